"""Files as phones write them: they are read upright, in sRGB, before and after their metadata are taken off."""

from __future__ import annotations

import base64
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from lab.world.phone_files import display_p3, heic, motion_photo, saved, scene, taken_by, ultra_hdr
from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures.containers import read_header
from s2edit_core.pictures.files import check_photo, declared_picture, decode_photo, media_type
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.request.picture_limits import CEILING_PIXELS, MAX_PIXELS
from tests.unit.api.pictures import png_bomb

SIZE = (1040, 640)
"""Of six tiles, the last of each row and column cut."""


@cache
def photo() -> Image.Image:
    return scene(SIZE)


TEN_BIT_AVIF = base64.b85decode(
    "0000WW^{RQVRmU|00000VRmU|ZE0pPZE0a<O+hh10002%ZDn*}000000000XXk=`10000000000aA{+7000000000000000000004sdC7Z2$lO000310016o"
    "Y;R)#0000)000310RR910RR926951JvH$=8C~0YKW&i*H00031000_kZf0cy000000RRADb}%tRZ)|UJ00000YH4tCZ~y=ROKEUpZvX%Q6lrsCWdHyG00000"
    "KmY&$FaQ7m5O8UDX#fBK00RmN3IG5A3}JRLLxCVb000006Ju{|a&BX6cmM(b0ssbp0000NX>e^}0000000001009I60)qqq006peWMOm?0162>6@R_F2nZTL"
    "GNJ(z0z*oG0P+9;Sm-EYpO3iL!UXm;yq*7(W8BiCwW+zs4e-"
    "41tp~NQb6i(9wVa86qWq~uij{==54?x62%)E28h|In@asV>8=Ncul|a+cj({U)l);z1dw42hd5FV5NisS9S}eOYTGB?2fS4LEvQWI^s~F0F4~;wITIp%-"
    "^kPJ+cVd87sb~XLAte9zJXL7ml5nx))%PT1?n?!lkp"
)
"""64×48 in 10 bits: red grows from left to right, green downwards. Pillow writes none."""


def turned(picture: Image.Image, orientation: int) -> Image.Image:
    """As it is stored, where it is upright once it is turned by that."""
    return picture.transpose(Image.Transpose.ROTATE_90) if orientation == 6 else picture


FILES: dict[str, Callable[[], bytes]] = {
    "HEIC of tiles": lambda: heic(photo()),
    "HEIC of one piece": lambda: heic(photo().resize((400, 300))),
    "HEIC of 10 bits": lambda: heic(photo(), bits=10),
    "HEIC in Display P3": lambda: heic(photo(), profile=display_p3()),
    "HEIC held upright": lambda: heic(turned(photo(), 6), turned=3, orientation=6),
    "AVIF": lambda: saved(photo(), "AVIF", exif=taken_by(), quality=80, speed=10),
    "AVIF held upright": lambda: saved(turned(photo(), 6), "AVIF", exif=taken_by(6), quality=80, speed=10),
    "Ultra HDR": lambda: ultra_hdr(photo(), exif=taken_by()),
    "Ultra HDR, progressive, held upright": lambda: ultra_hdr(turned(photo(), 6), exif=taken_by(6), progressive=True),
    "motion photo": lambda: motion_photo(ultra_hdr(photo(), exif=taken_by())),
    "Samsung's motion photo": lambda: motion_photo(saved(photo(), "JPEG", exif=taken_by(), quality=90), maker="samsung"),
    "JPEG in Display P3": lambda: saved(photo(), "JPEG", icc_profile=display_p3(), exif=taken_by(), quality=95),
    "PNG of 16 bits": lambda: saved(Image.fromarray(np.asarray(photo().convert("L")).astype(np.uint16) * 257), "PNG"),
}


@cache
def file(name: str) -> bytes:
    return FILES[name]()


def pixels(picture: Image.Image) -> NDArray[np.int64]:
    return np.asarray(picture, dtype=np.int64)


def expected(name: str) -> Image.Image:
    """What it shows, but for what the codec loses and what a profile changes."""
    if "one piece" in name:
        return photo().resize((400, 300))
    return photo().convert("L").convert("RGB") if "16 bits" in name else photo()


# --- what phones send ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FILES)
def test_it_is_taken_on_by_its_header_and_read_upright(name: str) -> None:
    data, header = file(name), read_header(file(name))
    assert header is not None
    assert header.size == check_photo(data)[0] == expected(name).size
    assert not header.looks_flat
    if "P3" not in name:
        assert np.abs(pixels(decode_photo(data)) - pixels(expected(name))).mean() < 12


@pytest.mark.parametrize("name", FILES)
def test_without_its_metadata_it_is_the_same_picture(name: str) -> None:
    data = file(name)
    size, orientation = check_photo(data)
    bare = without_metadata(data, orientation)
    assert np.array_equal(pixels(decode_photo(bare)), pixels(decode_photo(data)))
    assert check_photo(bare) == (size, orientation)
    header = read_header(bare)
    assert header is not None
    assert header.size == size
    assert b"iPhone" not in bare
    assert b"mp42" not in bare


@pytest.mark.parametrize("name", FILES)
def test_it_is_scaled_down_where_it_has_more_pixels_than_wanted(name: str) -> None:
    data, whole = file(name), decode_photo(file(name))
    seen = decode_photo(data, 100_000)
    assert seen.size == check_photo(data, 100_000)[0]
    assert 99_000 <= seen.width * seen.height <= 100_000
    assert np.abs(pixels(seen) - pixels(whole.resize(seen.size, Image.Resampling.LANCZOS))).mean() < 3
    scale = InputScale.of(data, seen.size, 100_000)
    assert (scale.sent, scale.scaled_to) == (whole.size, seen.size)
    assert scale.facts["input_size"] == list(whole.size)
    assert scale.facts["input_scale"] == pytest.approx(seen.width / whole.width, abs=0.005)


@pytest.mark.parametrize("name", FILES)
def test_one_of_fewer_pixels_is_left_alone(name: str) -> None:
    whole = decode_photo(file(name))
    seen = decode_photo(file(name), SIZE[0] * SIZE[1])
    assert np.array_equal(pixels(seen), pixels(whole))
    assert InputScale.of(file(name), seen.size, SIZE[0] * SIZE[1]).facts == {"input_size": list(whole.size), "input_scale": 1.0}


def test_ten_bits_of_avif_are_read_as_eight() -> None:
    seen = pixels(decode_photo(TEN_BIT_AVIF))
    header = read_header(TEN_BIT_AVIF)
    assert header is not None
    assert header.size == (64, 48)
    assert np.abs(seen[..., 0] - np.linspace(0, 255, 64)).max() < 6
    assert np.abs(seen[..., 1] - np.linspace(0, 255, 48)[:, None]).max() < 6


@pytest.mark.parametrize(
    "write", [lambda p: heic(p, profile=display_p3(), quality=90), lambda p: saved(p, "JPEG", icc_profile=display_p3())]
)
def test_display_p3_becomes_srgb(write: Callable[[Image.Image], bytes]) -> None:
    """The red of Display P3 lies outside sRGB, and grey is the same in both."""
    picture = Image.new("RGB", (256, 128), (200, 60, 60))
    picture.paste((128, 128, 128), (128, 0, 256, 128))
    seen = decode_photo(write(picture))
    red, grey = seen.getpixel((40, 40)), seen.getpixel((200, 40))
    assert isinstance(red, tuple)
    assert isinstance(grey, tuple)
    assert red[0] > 208
    assert max(red[1:]) < 56
    assert max(abs(level - 128) for level in grey) <= 5


@pytest.mark.parametrize("quarters", range(4))
def test_a_heic_is_turned_by_its_boxes_and_not_by_exif(quarters: int) -> None:
    """As ISO/IEC 23008-12 wants it. Phones say it twice."""
    picture = photo().resize((400, 300))
    data = heic(picture, turned=quarters, orientation=6)
    upright = picture.rotate(90 * quarters, expand=True)
    header = read_header(data)
    assert header is not None
    assert header.size == upright.size == check_photo(data)[0]
    assert np.abs(pixels(decode_photo(data)) - pixels(upright)).mean() < 12


def test_a_photo_beside_a_film_is_no_film() -> None:
    """The other half of a Live Photo is a file of its own, and no picture."""
    with pytest.raises(ImageInvalid) as refused:
        decode_photo(b"\0\0\0\x14ftypqt  \0\0\0\0qt  " + bytes(500))
    assert refused.value.reason == "image_format"


# --- scaling -------------------------------------------------------------------------------------------------------


def test_alpha_palettes_and_levels_survive_scaling() -> None:
    """Scaled first and laid on white then, or the other way round: the same to the eye."""
    small = photo().resize((640, 480))
    faded = small.copy()
    faded.putalpha(Image.linear_gradient("L").resize(small.size))
    pictures = [faded, faded.convert("LA"), small.quantize(64), small.convert("1"), small.convert("L"), faded.quantize(64)]
    for picture in pictures:
        data = saved(picture, "PNG")
        seen, whole = decode_photo(data, 76_800), decode_photo(data)
        assert seen.size == (320, 240)
        assert np.abs(pixels(seen) - pixels(whole.resize((320, 240), Image.Resampling.LANCZOS))).mean() < 2.5, picture.mode


def test_masks_follow_the_photo() -> None:
    drawn = Image.new("L", SIZE)
    drawn.paste(255, (SIZE[0] // 4, SIZE[1] // 4, SIZE[0] * 3 // 4, SIZE[1] * 3 // 4))
    seen = decode_photo(file("HEIC of tiles"), 100_000)
    inside = np.asarray(decode_mask(saved(drawn, "PNG"), seen.size)) >= 128
    assert inside.shape == (seen.height, seen.width)
    assert inside.mean() == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize("size", [(10_000, 6_000), (6_000, 10_000)])
def test_a_photo_over_the_limit_is_scaled_only_where_that_is_allowed(size: tuple[int, int]) -> None:
    data = png_bomb(*size)
    with pytest.raises(ImageInvalid, match=r"60 megapixels; at most 50 can be edited.*max_pixels") as refused:
        decode_photo(data)
    assert refused.value.reason == "image_too_large"
    assert check_photo(data, MAX_PIXELS)[0] == decode_photo(data, MAX_PIXELS).size
    assert InputScale.of(data, decode_photo(data, 1_000_000).size, 1_000_000).sent == size


def test_what_is_too_large_to_be_read_is_refused_whatever_is_allowed() -> None:
    with pytest.raises(ImageInvalid, match="120 megapixels; at most 110 can be read"):
        decode_photo(png_bomb(12_000, 10_000), 1_000_000)
    assert CEILING_PIXELS == 110_000_000


# --- headers -------------------------------------------------------------------------------------------------------


def test_only_a_whole_heic_is_believed() -> None:
    for name in ("HEIC of tiles", "AVIF", "HEIC of one piece"):
        data = file(name)
        assert [end for end in range(0, len(data), 997) if read_header(data[:end]) is not None] == []


def test_a_heic_that_is_cropped_or_made_of_other_things_is_decoded_to_be_judged() -> None:
    cropped = heic(photo().resize((400, 300)), turned=1).replace(b"irot", b"clap")
    assert read_header(cropped) is None
    assert read_header(file("HEIC of tiles").replace(b"grid", b"iovl")) is None
    assert read_header(file("HEIC of tiles").replace(b"dimg", b"dimh")) is None


def test_webp_announces_its_canvas() -> None:
    for options in ({"lossless": True}, {"quality": 80}, {"quality": 80, "exif": taken_by()}):
        data = saved(photo().resize((400, 300)), "WEBP", **options)
        assert (declared_picture(data).format, declared_picture(data).size, media_type(data)) == ("WEBP", (400, 300), "image/webp")

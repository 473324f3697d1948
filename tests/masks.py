"""A corpus of mask files as users make them, with the region that each marks. Rules generate it, so every run has the same."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from s2edit_core.request.spec import MaskMode

SIZE = (320, 400)
Drawing = NDArray[np.bool_]
CLEAR = (0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class MaskFile:
    """A mask file. `drawing` `(H, W)` is the region that it marks, or None if the service rejects it with `reason`."""

    data: bytes
    drawing: Drawing | None
    mode: MaskMode = "auto"
    reason: str = "mask_unclear"


Named = Iterator[tuple[str, MaskFile]]


@cache
def corpus() -> dict[str, MaskFile]:
    """Return all masks by name."""
    files: dict[str, MaskFile] = {}
    for part in (black_and_white, soft, compressed, cut_outs, strokes, inverted, explicit_modes, rejected, wrong_modes):
        for name, file in part():
            assert name not in files, name
            files[name] = file
    return files


def readable() -> dict[str, MaskFile]:
    return {name: file for name, file in corpus().items() if file.drawing is not None}


def unreadable() -> dict[str, MaskFile]:
    return {name: file for name, file in corpus().items() if file.drawing is None}


# --- building blocks ---


def silhouette(size: tuple[int, int] = SIZE) -> Image.Image:
    """Return the silhouette of a person from head to chest, anti-aliased, L. The shoulders reach the lower border."""
    width, height = (4 * side for side in size)
    wide = Image.new("L", (width, height))
    draw = ImageDraw.Draw(wide)
    draw.ellipse((0.33 * width, 0.15 * height, 0.67 * width, 0.6 * height), fill=255)
    draw.rectangle((0.43 * width, 0.5 * height, 0.57 * width, 0.75 * height), fill=255)
    draw.ellipse((0.1 * width, 0.68 * height, 0.9 * width, 1.3 * height), fill=255)
    return wide.resize(size, Image.Resampling.BOX)


def scribble(size: tuple[int, int] = SIZE, width: float = 0.06) -> Image.Image:
    """Return brush strokes over a face, anti-aliased, L."""
    x, y = (4 * side for side in size)
    wide = Image.new("L", (x, y))
    points = [(0.35, 0.25), (0.65, 0.3), (0.35, 0.4), (0.65, 0.45), (0.35, 0.55), (0.6, 0.6), (0.6, 0.25)]
    ImageDraw.Draw(wide).line([(a * x, b * y) for a, b in points], fill=255, width=round(width * x), joint="curve")
    return wide.resize(size, Image.Resampling.BOX)


def photo(size: tuple[int, int] = SIZE, seed: int = 3) -> Image.Image:
    """Return a picture with the spectrum of photographs, muted colours, grain, and a person in front of a background."""
    random = np.random.default_rng(seed)
    picture = np.zeros((size[1], size[0], 3), np.float32)
    for side in (3, 6, 12, 25, 50, 100):
        coarse = Image.fromarray(random.integers(0, 256, (side, side, 3), dtype=np.uint8))
        picture += np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float32) / side**0.7
    picture = 128 + (picture - picture.mean()) * (52 / picture.std())
    person = np.asarray(silhouette(size), np.float32)[..., None] / 255
    picture = picture * (1 - 0.5 * person) + person * np.array([110, 85, 70], np.float32)
    return Image.fromarray((picture + random.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8))


def of(drawn: Image.Image) -> Drawing:
    return np.asarray(drawn) >= 128


def saved(picture: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def painted(colour: tuple[int, int, int], drawn: Image.Image, opacity: float = 1.0) -> Image.Image:
    """Return `drawn` in one colour on a transparent background."""
    layer = Image.new("RGBA", drawn.size, (*colour, 255))
    layer.putalpha(drawn.point(lambda level: round(level * opacity)))
    return layer


def cut_out(picture: Image.Image, drawn: Image.Image) -> Image.Image:
    """Return what background removers write: the person's colours on transparent black."""
    layer = picture.convert("RGBA")
    layer.putalpha(drawn)
    return Image.composite(layer, Image.new("RGBA", drawn.size, CLEAR), drawn.point(lambda level: 255 * (level > 0)))


# --- read by luminance ---


def black_and_white() -> Named:
    drawn = silhouette()
    inside, hard = of(drawn), drawn.point(lambda level: 255 * (level >= 128))
    palette = hard.convert("P")
    deep = Image.fromarray(np.asarray(drawn).astype(np.uint16) * 257)
    files = {
        "L": drawn,
        "RGB": drawn.convert("RGB"),
        "opaque RGBA": drawn.convert("RGBA"),
        "opaque LA": drawn.convert("LA"),
        "1 bit": hard.convert("1"),
        "palette": palette,
        "16 bits": deep,
        "off-white on near-black": drawn.point(lambda level: 18 + round(level * 0.86)),
        "ivory on navy": Image.composite(Image.new("RGB", SIZE, (255, 250, 232)), Image.new("RGB", SIZE, (8, 10, 40)), drawn),
        "strokes": scribble(),
        "thin strokes": scribble(width=0.012),
        "small": silhouette((40, 50)).resize((40, 50)),
    }
    for name, picture in files.items():
        yield (
            f"black and white, {name}",
            MaskFile(saved(picture), of(files.get(name, drawn).convert("L")) if name != "16 bits" else inside),
        )
    yield "black person on white", MaskFile(saved(ImageChops.invert(drawn)), ~inside | (np.asarray(drawn) == 127))
    layered = painted((255, 255, 255), drawn)
    layered.paste((0, 0, 0, 255), (0, 0, 30, SIZE[1] // 2))
    yield "white and black on transparent", MaskFile(saved(layered), inside)
    half = drawn.convert("RGBA")
    half.putalpha(128)
    yield "black and white, evenly translucent", MaskFile(saved(half), inside)


def soft() -> Named:
    drawn = silhouette()
    for blur in (1, 3, 8, 16, 30):
        feathered = drawn.filter(ImageFilter.GaussianBlur(blur))
        yield f"feathered by {blur}", MaskFile(saved(feathered), of(feathered))
        yield f"feathered by {blur}, JPEG", MaskFile(saved(feathered, "JPEG", quality=60), of(feathered))
    box = drawn.filter(ImageFilter.BoxBlur(12))
    yield "feathered by a box", MaskFile(saved(box), of(box))
    coarse = drawn.resize((40, 50)).resize(SIZE, Image.Resampling.BICUBIC)
    yield "enlarged from 40×50", MaskFile(saved(coarse), of(coarse))


def compressed() -> Named:
    for name, drawn in {"person": silhouette(), "strokes": scribble(), "thin strokes": scribble(width=0.02)}.items():
        for quality in (95, 75, 50, 30):
            yield f"JPEG of {name} at {quality}", MaskFile(saved(drawn, "JPEG", quality=quality), of(drawn))
            colours = saved(drawn.convert("RGB"), "JPEG", quality=quality)
            yield f"JPEG of {name} in colours at {quality}", MaskFile(colours, of(drawn))
    drawn = silhouette()
    for kind in ("WEBP", "AVIF"):
        for quality in (80, 30):
            yield f"{kind} at {quality}", MaskFile(saved(drawn.convert("RGB"), kind, quality=quality), of(drawn))


# --- read by alpha ---


def cut_outs() -> Named:
    drawn, picture = silhouette(), photo()
    inside = of(drawn)
    kept = picture.convert("RGBA")
    kept.putalpha(drawn)
    grey = picture.convert("LA")
    grey.putalpha(drawn)
    feathered = drawn.filter(ImageFilter.GaussianBlur(4))
    bleached = picture.point(lambda level: min(255, level + 90))
    files = {
        "cut-out": cut_out(picture, drawn),
        "cut-out with hidden colours": kept,
        "cut-out in grey": grey,
        "cut-out of a dark photo": cut_out(picture.point(lambda level: level // 4), drawn),
        "cut-out of a light photo": cut_out(bleached, drawn),
        "cut-out in 256 colours": cut_out(picture, drawn.point(lambda level: 255 * (level >= 128))).quantize(256),
    }
    for name, layer in files.items():
        yield name, MaskFile(saved(layer), inside)
    yield "cut-out with a soft edge", MaskFile(saved(cut_out(picture, feathered)), of(feathered))
    yield "cut-out, lossless WebP", MaskFile(saved(files["cut-out"], "WEBP", lossless=True), inside)
    yield "cut-out, lossy WebP", MaskFile(saved(files["cut-out"], "WEBP", quality=50), inside)


def strokes() -> Named:
    colours = {"white": (255, 255, 255), "black": (0, 0, 0), "red": (224, 36, 94), "grey": (128, 128, 128), "green": (0, 255, 0)}
    for colour, rgb in colours.items():
        for name, drawn in {"person": silhouette(), "strokes": scribble(), "thin strokes": scribble(width=0.02)}.items():
            for opacity in (1.0, 0.7, 0.4, 0.15):
                layer = painted(rgb, drawn, opacity)
                yield f"{colour} {name} on transparent at {opacity:.0%}", MaskFile(saved(layer), of(drawn))
    crossing = Image.new("RGBA", SIZE, CLEAR)
    both = Image.new("L", SIZE)
    for x, y in ((40, 60), (90, 110), (130, 40), (150, 200)):
        blob = Image.new("L", SIZE)
        ImageDraw.Draw(blob).ellipse((x, y, x + 110, y + 110), fill=255)
        crossing.alpha_composite(painted((30, 90, 220), blob, 0.4))
        both = ImageChops.lighter(both, blob)
    yield "faint strokes that cross", MaskFile(saved(crossing), of(both))
    grey = Image.new("LA", SIZE, (0, 0))
    grey.putalpha(silhouette())
    yield "black on transparent in grey and alpha", MaskFile(saved(grey), of(silhouette()))
    brush = scribble(width=0.15).filter(ImageFilter.GaussianBlur(6))
    yield "soft brush in red on transparent", MaskFile(saved(painted((255, 0, 0), brush)), of(brush))


def inverted() -> Named:
    """Masks for `inverted_alpha`, the convention of OpenAI's image edits: the transparent part is the region."""
    drawn, picture = silhouette(), photo()
    hole = ImageChops.invert(drawn)
    erased = cut_out(picture, hole)
    yield "erased person, inverted alpha", MaskFile(saved(erased), of(drawn), "inverted_alpha")
    black = painted((0, 0, 0), hole)
    yield "hole in black, inverted alpha", MaskFile(saved(black), of(drawn), "inverted_alpha")
    almost = Image.new("RGBA", SIZE, (0, 0, 0, 1))
    almost.paste((0, 0, 0, 0), mask=drawn.point(lambda level: 255 * (level >= 128)))
    yield "hole in an alpha of 1, inverted alpha", MaskFile(saved(almost), of(drawn), "inverted_alpha")
    faint = painted((0, 0, 0), drawn.point(lambda level: 255 - round(level * 0.4)))
    yield "faintly erased, inverted alpha", MaskFile(saved(faint), of(drawn), "inverted_alpha")


def explicit_modes() -> Named:
    """Masks that `auto` rejects or reads differently, with an explicit mode."""
    drawn, picture = silhouette(), photo()
    hole = ImageChops.invert(drawn)
    yield "erased person, alpha", MaskFile(saved(cut_out(picture, hole)), of(hole), "alpha")
    yield "cut-out, alpha", MaskFile(saved(cut_out(picture, drawn)), of(drawn), "alpha")
    yield "black and white, luminance", MaskFile(saved(drawn), of(drawn), "luminance")
    grey = picture.convert("L")
    yield "grey photo, luminance", MaskFile(saved(grey), of(grey), "luminance")
    yellow = Image.composite(Image.new("RGB", SIZE, (255, 255, 0)), Image.new("RGB", SIZE), drawn)
    yield "yellow on black, luminance", MaskFile(saved(yellow), of(drawn), "luminance")
    faint = painted((255, 255, 255), drawn, 0.4)
    yield "faint white on transparent, luminance", MaskFile(saved(faint), of(drawn), "luminance")


# --- rejected ---


def rejected() -> Named:
    drawn, picture = silhouette(), photo()
    hole = ImageChops.invert(drawn)
    window = Image.new("L", SIZE, 255)
    ImageDraw.Draw(window).ellipse((100, 80, 220, 260), fill=0)
    rounded = Image.new("L", SIZE)
    ImageDraw.Draw(rounded).rounded_rectangle((0, 0, SIZE[0] - 1, SIZE[1] - 1), 30, fill=255)
    fine = Image.fromarray(np.random.default_rng(8).integers(0, 256, (SIZE[1] // 5, SIZE[0] // 5), dtype=np.uint8))
    texture = fine.resize((SIZE[0] * 4, SIZE[1] * 4), Image.Resampling.BICUBIC)
    drawn_in_grey = Image.composite(Image.new("L", SIZE, 207), Image.new("L", SIZE, 0), drawn)
    ImageDraw.Draw(drawn_in_grey).chord((105, 58, 215, 240), 190, 350, fill=45)  # dark hair
    black, red = Image.new("RGB", SIZE), Image.new("RGB", SIZE, (255, 0, 0))
    files = {
        "photo": picture,
        "opaque photo with alpha": picture.convert("RGBA"),
        "grey photo": picture.convert("L"),
        "grey photo, dark": picture.convert("L").point(lambda level: level * level // 255),
        "grey photo, large and smooth": picture.convert("L").resize((1280, 1600), Image.Resampling.BICUBIC),
        "grey texture": texture,
        "faded photo": Image.blend(picture, picture.convert("L").convert("RGB"), 0.8),
        "photo with an erased person": cut_out(picture, hole),
        "photo with a window": cut_out(picture, window),
        "photo with rounded corners": cut_out(picture, rounded),
        "grey photo with an erased person": cut_out(picture.convert("L").convert("RGB"), hole),
        "hole in black": painted((0, 0, 0), hole),
        "hole in white": painted((255, 255, 255), hole),
        "hole in red": painted((255, 0, 0), hole),
        "red on black": Image.composite(red, black, drawn),
        "red strokes on white": Image.composite(red, Image.new("RGB", SIZE, "white"), scribble(width=0.02)),
        "photo on black": Image.composite(picture, black, drawn),
        "photo on white": Image.composite(picture, Image.new("RGB", SIZE, "white"), drawn),
        "grey drawing on black": drawn_in_grey,
        "grey photo on black": Image.composite(picture, black, drawn).convert("L"),
        "red over the photo": Image.composite(Image.blend(picture, red, 0.5), picture, drawn),
        "grey on black": drawn.point(lambda level: level * 150 // 255),
    }
    for name, layer in files.items():
        yield name, MaskFile(saved(layer), None)
    for quality in (90, 30):
        yield f"photo as JPEG at {quality}", MaskFile(saved(picture, "JPEG", quality=quality), None)
        yield f"grey photo as JPEG at {quality}", MaskFile(saved(picture.convert("L"), "JPEG", quality=quality), None)


def wrong_modes() -> Named:
    drawn = silhouette()
    for mode in ("alpha", "inverted_alpha"):
        yield f"black and white, {mode}", MaskFile(saved(drawn), None, mode, "mask_opaque")  # type: ignore[arg-type]
    for opaque in (drawn.convert("RGBA"), photo().convert("RGBA")):
        yield f"opaque with alpha {opaque.getpixel((0, 0))}, alpha", MaskFile(saved(opaque), None, "alpha", "mask_opaque")
    black = painted((0, 0, 0), drawn)
    yield "black on transparent, luminance", MaskFile(saved(black), None, "luminance", "mask_empty")
    clear = Image.new("RGBA", SIZE, (255, 255, 255, 0))
    for mode, reason in (
        ("auto", "mask_empty"),
        ("luminance", "mask_empty"),
        ("alpha", "mask_empty"),
        ("inverted_alpha", "mask_full"),
    ):
        yield f"transparent everywhere, {mode}", MaskFile(saved(clear), None, mode, reason)  # type: ignore[arg-type]

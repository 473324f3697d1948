"""Forms and JSON of every kind: what is no request is a clear error, quickly, and stores nothing."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from api.openai import body as bodies
from api.openai.parameters import OWN
from api.wire.bodies.strict_json import MAX_JSON_BYTES
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.unit.api import pictures
from tests.unit.api.conftest import PROMPT
from tests.unit.api.openai.conftest import PATH, Images, assert_refused, data_url, mask
from tests.unit.api.routes.test_uploads import App

PHOTO = {"image_url": data_url(pictures.photo())}


@pytest.mark.parametrize("name", ["image", "image[]", "image[0]"])
def test_a_list_of_one_photo_is_a_photo(images: Images, name: str) -> None:
    assert images.edit(**{"image": None, name: pictures.photo()}).status_code == 200


def test_two_photos_are_refused(images: Images) -> None:
    for parts in (
        {"image": [pictures.photo()] * 2},
        {"image": None, "image[]": [pictures.photo()] * 2},
        {"image[]": pictures.photo()},
    ):
        assert "an edit takes one" in assert_refused(images.edit(**parts), "image", "part_repeated")
    assert_refused(images.json(images=[PHOTO, PHOTO]), "image", "part_repeated")
    assert_refused(images.json(image=PHOTO), "image", "part_repeated")


def test_a_form_that_is_wrong(images: Images) -> None:
    assert_refused(images.edit(n=["1", "2"]), "n", "part_repeated")
    assert_refused(images.edit(prompt=b"a woman"), "prompt", "part_kind")
    assert_refused(images.edit(image="https://x.test/a.png"), "image", "picture_unreadable")
    assert_refused(images.edit(image="u_nothing"), "image", "upload_unknown")
    assert_refused(images.edit(image=b"no picture"), "image", "image_format")
    assert_refused(images.edit(image=b""), "image", "part_empty")
    assert_refused(images.edit(**{"svg[reasoning][effort]": "low", "svg[model]": "x"}), "svg", "option_unsupported")
    assert_refused(images.edit(**{f"x{i}": "1" for i in range(200)}), None, "malformed_request")
    assert_refused(images.edit(**{"image[]": [pictures.photo()] * 30}), None, "malformed_request")
    assert images.specs() == 0


def test_a_part_that_does_not_match_its_digest(images: Images) -> None:
    digest = {"Content-Digest": "sha-256=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:"}
    parts = {"image": ("a.png", pictures.photo(), "image/png", digest), "prompt": (None, PROMPT)}
    assert_refused(images.api.client.post(PATH, files=parts), None, "digest_mismatch")


def test_openais_empty_fields_of_a_form_count_as_absent(images: Images) -> None:
    assert images.edit(size="", user="", model="", n="", at=None).status_code == 200


def test_an_empty_field_of_this_service_is_refused(images: Images) -> None:
    for name in {*OWN} - {"prompt", "negative_prompt"}:
        assert_refused(images.edit(**{name: ""}), name, "part_empty")
    assert images.specs() == 0


def test_an_empty_parameter_that_is_refused_stays_refused(images: Images) -> None:
    for name in ("style", "markup"):
        assert_refused(images.edit(**{name: ""}), name, "option_unsupported")
    assert_refused(images.edit(zzz=""), "zzz", "option_unknown")


NO_BODIES = (
    (b"", "application/json", None, "body_invalid", 400),
    (b"[]", "application/json", None, "body_invalid", 400),
    (b'"x"', "application/json", None, "body_invalid", 400),
    (b"{", "application/json", None, "body_invalid", 400),
    (b'{"prompt": "a", "prompt": "b"}', "application/json", None, "body_invalid", 400),
    (b'{"n": NaN}', "application/json", None, "body_invalid", 400),
    (b"[" * 60_000, "application/json", None, "body_invalid", 400),
    (b'{"prompt": "' + b"x" * 90_000 + b'"}', "application/json", None, "body_too_large", 413),
    (b'{"prompt": "' + b"x" * 200_000 + b'"}', "application/json", None, "body_too_large", 413),
    (b"prompt=a", "application/x-www-form-urlencoded", None, "unsupported_media_type", 400),
    (b"{}", "text/plain", None, "unsupported_media_type", 400),
    (b"nothing", "multipart/form-data", None, "malformed_request", 400),
    (b"nothing", "multipart/form-data; boundary=x", None, "malformed_request", 400),
)
"""Contents, content type, and the error."""


def test_a_body_that_is_none(images: Images) -> None:
    for content, kind, param, code, status in NO_BODIES:
        answer = images.api.client.post(PATH, content=content, headers={"Content-Type": kind})
        assert_refused(answer, param, code, status=status)


def test_values_of_wrong_types_in_json(images: Images) -> None:
    for name, value in {
        **dict.fromkeys(("n", "seed", "steps", "partial_images", "output_compression"), "2"),
        **dict.fromkeys(("prompt", "size", "user", "model", "quality", "source_prompt"), 5),
        **dict.fromkeys(("stream", "keep_alpha"), "true"),
        "attributes": "a_1",
        "at": [1],
        "consent": {"by": "ann"},
    }.items():
        assert_refused(images.json(**{name: value}), name, "option_invalid")
    for value in (
        5,
        "",
        "x y",
        {},
        {"url": "x"},
        {"image_url": 5},
        {"image_url": "u_1", "file_id": "u_1"},
        [5],
        {"image_url": "data:,x"},
    ):
        answer = images.json(images=..., image=value)
        assert answer.status_code == 400, value
        assert answer.json()["error"]["param"] == "image", value
    assert "in JSON as `images`" in assert_refused(images.json(images=[]), "image", "image_missing")
    assert_refused(images.json(images=[{"image_url": "data:image/png;base64,!!!!"}]), "image", "picture_unreadable")
    assert images.specs() == 0


def test_a_prompt_that_looks_like_a_data_url_is_a_prompt(images: Images) -> None:
    assert_refused(images.json(prompt="data:image/png;base64,AAAA"), "prompt", "subject_unknown")
    prompt = 'a woman, who says "data:image/png;base64,AAAA"'
    assert bodies._of_json(json.dumps({"prompt": prompt}).encode()).values == {"prompt": prompt}
    assert_refused(images.json(images=[{"image_url": "data:;base64,#7"}]), "image", "picture_unreadable")


def test_slashes_may_be_escaped(images: Images) -> None:
    text = json.dumps({"images": [PHOTO], "prompt": PROMPT, "mask": {"image_url": data_url(mask())}}).replace("/", "\\/")
    assert images.api.client.post(PATH, content=text, headers={"Content-Type": "application/json"}).status_code == 200


@pytest.mark.parametrize(
    ("head", "escape"),
    [
        ("DATA:IMAGE/PNG;BASE64,", None),
        ("data:image/png;charset=utf-8;base64,", None),
        ("data:image\\/png;base64,", ("/", "\\/")),  # as PHP writes it
        ("data:image/png;base64,", ("+", "\\u002B")),  # as .NET does
        ("data:image/png;base64,", ("=", "")),
        ("data:image/png;base64,", ("+", "%2B")),
    ],
)
@pytest.mark.parametrize("large", [False, True])
def test_a_data_url_may_be_written_so(images: Images, head: str, escape: tuple[str, str] | None, large: bool) -> None:
    """A large one is cut out of the body before that is parsed, because JSON has a bound of its own."""
    noise = np.random.default_rng(0).integers(0, 256, (130, 130, 3), np.uint8)
    text = base64.b64encode(pictures.encoded(Image.fromarray(noise)) if large else pictures.photo()).decode()
    assert (len(text) > MAX_JSON_BYTES) == large
    written = text if escape is None else text.replace(*escape)
    body = f'{{"images": [{{"image_url": "{head}{written}"}}], "prompt": "{PROMPT}"}}'
    answer = images.api.client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 200, answer.text[:300]


def test_the_lines_of_a_data_url_may_be_wrapped(images: Images) -> None:
    url = f"data:image/png;base64,{base64.encodebytes(pictures.photo()).decode()}"
    assert images.json(images=[{"image_url": url}]).status_code == 200


def test_pictures_may_be_uploads(images: Images, tmp_path: Path) -> None:
    app = App(images.api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))
    images.api.services, images.api.client = app.services, app.http
    photo = app.upload(pictures.photo())
    assert images.json(images=[{"file_id": photo}]).status_code == 200
    assert images.edit(image=photo).status_code == 200


def test_more_pictures_than_any_request_has_are_not_even_collected(images: Images) -> None:
    body = b'{"images": [' + b",".join([b'"data:;base64,"'] * 100) + b"]}"
    answer = images.api.client.post(PATH, content=body, headers={"Content-Type": "application/json"})
    assert_refused(answer, None, "body_too_large", status=413)


def test_a_large_body_costs_no_time_to_parse() -> None:
    """Pictures are cut out before anything is parsed."""
    picture = b"A" * 30_000_000
    began = time.process_time()
    read = bodies._of_json(b'{"images": [{"image_url": "data:image/png;base64,' + picture + b'"}], "prompt": "x"}')
    assert time.process_time() - began < 0.5
    assert (read.pictures["image"], read.values) == (picture, {"prompt": "x"})

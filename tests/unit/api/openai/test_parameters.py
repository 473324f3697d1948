"""Every parameter that OpenAI documents, with every value: it is honoured, or it is a 400 that says why.

The table must name all that the types of the official package name, so a new release of it shows here what is missing.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest
from openai.types.image_edit_params import ImageEditParamsBase, ImageEditParamsNonStreaming, ImageEditParamsStreaming
from openai.types.image_generate_params import ImageGenerateParamsBase

from api.openai.parameters import OWN, PICTURES, REFUSED, OpenAIOptions
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobSpec
from tests.unit.api import pictures
from tests.unit.api.openai.conftest import Images, assert_refused, data_url, events, mask, picture

ANY = "…"
"""Stands for any value of a parameter whose type lists none."""
Check = Callable[[JobSpec, Any], bool]


def request_is(**values: Any) -> Check:
    return lambda spec, answer: all(getattr(spec.request, name) == value for name, value in values.items())


def answer_is(**values: Any) -> Check:
    return lambda spec, answer: all(answer.json()[name] == value for name, value in values.items())


HONOURED: Mapping[tuple[str, Any], tuple[dict[str, Any], Check]] = {
    ("image", ANY): ({}, lambda spec, answer: "image" in spec.inputs),
    ("prompt", ANY): ({"prompt": "a photo of a smiling woman"}, request_is(prompt="a photo of a smiling woman")),
    ("mask", ANY): ({"mask": mask()}, lambda spec, answer: spec.inputs["edit_mask"].mask_mode == "inverted_alpha"),
    ("model", ANY): ({"model": "tiny"}, lambda spec, answer: True),
    ("n", ANY): ({"n": "3"}, lambda spec, answer: len({one["b64_json"] for one in answer.json()["data"]}) == 3),
    ("size", "auto"): ({"size": "auto"}, answer_is(size="96x128")),
    ("size", ANY): ({"size": "96x128"}, answer_is(size="96x128")),
    ("quality", "auto"): ({"quality": "auto"}, request_is(preset="balanced")),
    ("quality", "low"): (
        {"quality": "low"},
        lambda spec, answer: spec.request.preset == "instant" and answer.json()["quality"] == "low",
    ),  # type: ignore[union-attr]
    ("quality", "medium"): ({"quality": "medium"}, request_is(preset="balanced")),
    ("quality", "high"): ({"quality": "high"}, request_is(preset="balanced")),
    ("output_format", "png"): ({"output_format": "png"}, lambda spec, answer: picture(answer).format == "PNG"),
    ("output_format", "jpeg"): ({"output_format": "jpeg"}, lambda spec, answer: picture(answer).format == "JPEG"),
    ("output_format", "webp"): ({"output_format": "webp"}, lambda spec, answer: picture(answer).format == "WEBP"),
    ("output_compression", ANY): ({"output_format": "jpeg", "output_compression": "40"}, request_is(output_quality=40)),
    ("background", "auto"): ({"background": "auto"}, request_is(keep_alpha=None)),
    ("background", "opaque"): ({"background": "opaque"}, request_is(keep_alpha=False)),
    ("input_fidelity", "high"): ({"input_fidelity": "high"}, lambda spec, answer: True),
    ("moderation", "auto"): ({"moderation": "auto"}, lambda spec, answer: True),
    ("response_format", "b64_json"): (
        {"response_format": "b64_json"},
        lambda spec, answer: set(answer.json()["data"][0]) == {"b64_json"},
    ),
    ("response_format", "url"): ({"response_format": "url"}, lambda spec, answer: set(answer.json()["data"][0]) == {"url"}),
    ("stream", False): ({"stream": "false"}, lambda spec, answer: "data" in answer.json()),
    ("user", ANY): ({"user": "ann"}, lambda spec, answer: spec.owner.user == "ann"),
    ("safety_identifier", ANY): (
        {"safety_identifier": "ann"},
        lambda spec, answer: spec.owner.user == answer.json()["safety_identifier"] == "ann",
    ),
}
"""The form, and how to see that the parameter was honoured."""
STREAMED = {("stream", True): {"stream": "true"}, ("partial_images", ANY): {"stream": "true", "partial_images": "2"}}
"""Those that are seen in a stream."""
REFUSED_VALUES = (
    *(("quality", value) for value in ("xhigh", "max", "standard", "hd")),
    *(("output_format", value) for value in ("gif", "svg")),
    *(("size", value) for value in ("256x256", "512x512", "1024x1024", "1024x1536", "1536x1024", "1792x1024", "1024x1792")),
    *((name, value) for name in ("complexity",) for value in ("low", "medium", "high")),
    *(("style", value) for value in ("vivid", "natural")),
    *((name, ANY) for name in ("frame_count", "frame_duration_ms", "markup", "svg")),
    ("background", "transparent"),
    ("input_fidelity", "low"),
    ("moderation", "low"),
)


def literals(hint: Any) -> Iterator[Any]:
    """Yield the values that a type lists, and `ANY` if it takes others."""
    if get_origin(hint) is Literal:
        yield from get_args(hint)
    elif get_origin(hint) in (Union, types.UnionType):
        for one in get_args(hint):
            yield from literals(one)
    elif hint is not types.NoneType:
        yield ANY


def documented() -> set[tuple[str, Any]]:
    """Return every parameter and value of the package's types; models by `ANY`, because there are new ones every month."""
    found = set()
    for params in (ImageEditParamsBase, ImageEditParamsNonStreaming, ImageEditParamsStreaming, ImageGenerateParamsBase):
        for name, hint in get_type_hints(params).items():
            found |= {(name, ANY)} if name == "model" else {(name, value) for value in literals(hint)}
    return found


def test_the_table_names_all_that_the_package_documents() -> None:
    assert documented() == {*HONOURED, *STREAMED, *REFUSED_VALUES} - {("quality", "…")}


def test_what_is_honoured_shows_in_the_job_or_its_answer(images: Images) -> None:
    for case, (parts, check) in HONOURED.items():
        answer = images.edit(**parts)
        assert check(images.spec(answer), answer), case


@pytest.mark.parametrize("parts", STREAMED.values(), ids=[name for name, _ in STREAMED])
def test_it_is_honoured_in_a_stream(images: Images, parts: dict[str, str]) -> None:
    answer = images.edit(**parts)
    assert answer.headers["content-type"].startswith("text/event-stream")
    found = [kind for kind, _ in events(answer.text)]
    assert found[-1] == "image_edit.completed"
    assert set(found[:-1]) <= {"image_edit.partial_image"}
    assert len(found) - 1 <= int(parts.get("partial_images", 0))


@pytest.mark.parametrize("body", ["form", "json"])
def test_all_else_is_a_400_that_says_why(images: Images, body: str) -> None:
    for name, value in REFUSED_VALUES:
        if body == "form":
            answer = images.edit(**{name: pictures.mask() if name == "markup" else "5" if value is ANY else value})
        else:
            answer = images.json(**{name: {"model": "x"} if name == "svg" else 5 if value is ANY else value})
        assert answer.status_code == 400, (name, value, answer.text)
        error = answer.json()["error"]
        assert (error["type"], error["param"]) == ("invalid_request_error", name)
        assert error["code"] in ("option_unsupported", "option_invalid", "size_unsupported")
    assert images.specs() == 0


WRONG: tuple[tuple[dict[str, Any], str, str], ...] = (
    ({"model": "gpt-image-2"}, "model", "model_not_found"),
    ({"n": "0"}, "n", "option_invalid"),
    ({"n": "9"}, "n", "option_invalid"),
    ({"n": "two"}, "n", "option_invalid"),
    ({"size": "large"}, "size", "option_invalid"),
    ({"size": "096x128"}, "size", "option_invalid"),
    ({"size": "0x128"}, "size", "option_invalid"),
    ({"output_compression": "101", "output_format": "webp"}, "output_compression", "option_invalid"),
    ({"output_compression": "80"}, "output_compression", "quality_without_loss"),
    ({"partial_images": "4", "stream": "true"}, "partial_images", "option_invalid"),
    ({"partial_images": "1"}, "partial_images", "option_unsupported"),
    ({"response_format": "url", "stream": "true"}, "response_format", "option_unsupported"),
    ({"quality": "low", "preset": "paper"}, "quality", "preset_unclear"),
    ({"background": "opaque", "keep_alpha": "true"}, "background", "background_unclear"),
    ({"user": "ann@example.com"}, "user", "option_invalid"),
    ({"user": "ann", "safety_identifier": "bob"}, "user", "user_unclear"),
    ({"prompt": ""}, "prompt", "prompt_empty"),
    ({"prompt": None}, "prompt", "prompt_missing"),
    ({"image": None}, "image", "image_missing"),
    ({"mask": mask(), "edit_mask": pictures.mask()}, "edit_mask", "masks_unclear"),
    ({"mask": mask(), "edit_mask_mode": "alpha"}, "edit_mask_mode", "masks_unclear"),
    ({"mask_mode": "luminance"}, "mask_mode", "mask_mode_without_mask"),
    ({"mask": pictures.mask()}, "mask", "mask_opaque"),
    ({"mask": mask(hole=None)}, "mask", "mask_opaque"),
    ({"mask": mask((64, 64))}, "mask", "mask_size"),
    ({"variants": "2"}, "variants", "option_unsupported"),
    ({"output_quality": "2"}, "output_quality", "option_unsupported"),
    ({"dry_run": "true"}, "dry_run", "option_unsupported"),
    ({"qualitty": "low"}, "qualitty", "option_unknown"),
    ({"seed": "-1"}, "seed", "option_invalid"),
    ({"prompt": "x" * 5000}, "prompt", "prompt_too_long"),
    ({"identity": "c_nobody"}, "identity", "identity_unknown"),
    ({"webhook_url": "https://app.example.com"}, "webhook_url", "webhook_unavailable"),
)
"""A form, and what is wrong with it."""


def test_a_mask_that_is_transparent_everywhere_lets_all_of_the_photo_change(images: Images) -> None:
    assert images.edit(mask=mask(hole=(-200, -200, 400, 400))).status_code == 200


def test_what_is_wrong_is_named_in_the_terms_of_the_request(images: Images) -> None:
    for parts, param, code in WRONG:
        message = assert_refused(images.edit(**parts), param, code)
        for name in ("edit_mask_mode", "variants", "output_quality"):
            assert name in parts or name not in message
    assert images.specs() == 0


def test_an_instruction_is_answered_with_how_to_say_it(images: Images) -> None:
    said = assert_refused(images.edit(prompt="make her hair red"), "prompt", "prompt_instruction")
    assert "“a photo of a woman with red hair”" in said


def test_the_fields_of_this_service_are_taken_beside_them(images: Images) -> None:
    sent = {"source_prompt": "a photo of a woman", "subject": "woman", "preset": "instant", "seed": "7", "steps": "10"}
    spec = images.spec(images.edit(edit_mask=pictures.mask(), person_mask=pictures.mask(), **sent))
    wanted = {**sent, "seed": 7, "steps": 10}
    assert {name: getattr(spec.request, name) for name in sent} == wanted
    assert {"image", "mask", "edit_mask"} == set(spec.inputs)


def test_an_identity_and_a_parent_need_no_photo(images: Images) -> None:
    first = images.edit()
    identity, edit_id = first.json()["identity"], first.json()["id"]
    again = images.edit(image=None, identity=identity)
    assert images.spec(again).request.identity == identity  # type: ignore[union-attr]
    assert images.spec(images.edit(image=None, parent=edit_id, n="2")).parent == edit_id


def test_only_what_the_mask_leaves_transparent_may_change(images: Images) -> None:
    before = np.asarray(pictures_of(pictures.photo()))
    after = np.asarray(picture(images.edit(mask=mask())).convert("RGB"))
    hole = np.asarray(pictures_of(mask()).getchannel("A")) == 0
    assert np.array_equal(before[~hole], after[~hole])
    assert (before[hole] != after[hole]).any()


def test_a_webp_is_lossless_unless_told_otherwise(images: Images) -> None:
    before = np.asarray(pictures_of(pictures.photo()))
    after = np.asarray(picture(images.edit(mask=mask(), output_format="webp")).convert("RGB"))
    hole = np.asarray(pictures_of(mask()).getchannel("A")) == 0
    assert np.array_equal(before[~hole], after[~hole])


def test_a_link_leads_to_the_picture(images: Images) -> None:
    answer = images.edit(response_format="url")
    (key,) = [key for key in images.api.artifacts.objects if "/result" in key]
    assert key in answer.json()["data"][0]["url"]


def test_json_takes_data_urls_and_nulls_and_no_links(images: Images) -> None:
    answer = images.json(mask={"image_url": data_url(mask())}, n=2, size=None, user=None)
    assert {"image", "edit_mask"} == set(images.spec(answer).inputs)
    assert len(answer.json()["data"]) == 2
    said = assert_refused(images.json(images=[{"image_url": "https://x.test/a.png"}]), "image", "picture_unreadable")
    assert "fetches no pictures" in said


def test_every_name_is_in_one_place() -> None:
    names = [*PICTURES, *OWN, *OpenAIOptions.model_fields, *REFUSED]
    assert len(names) == len(set(names))


def pictures_of(data: bytes) -> Any:
    import io

    from PIL import Image

    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("stream", [{}, {"stream": "true"}])
def test_the_warnings_of_the_report_come_with_the_pictures(
    images: Images, monkeypatch: pytest.MonkeyPatch, stream: dict[str, str]
) -> None:
    assert "warnings" not in images.edit(**stream).text
    report = Jobs.report
    monkeypatch.setattr(Jobs, "report", lambda jobs, record: {**(report(jobs, record) or {}), "warnings": ["the mask is odd"]})
    assert '"warnings": ["the mask is odd"]' in images.edit(**stream).text

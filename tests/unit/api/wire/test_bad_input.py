"""Invalid requests are rejected with a problem that says what to change, and store nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pydantic import BaseModel

from api.wire.concept_schemas import AttributeForm, IdentityForm, MaskForm
from api.wire.edit_requests import EditForm
from api.wire.forms import FILES
from s2edit_jobs.records.record import Owner
from tests.pages import statuses_of
from tests.unit.api import pictures
from tests.unit.api.conftest import MAX_BODY, Api
from tests.unit.api.model_folder import MAX_TOKENS

REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {  # what is sent, the code, the field
    "no image": ({"image": None}, "image_missing", "image"),
    "a mask without its photo": ({"image": None}, "image_missing", "image"),
    "a person to be found, and a mask": ({"at": "4,4"}, "at_and_mask", "at"),
    "a person outside the photo": ({"mask": None, "at": "96,4"}, "at_outside", "at"),
    "a person below the photo": ({"mask": None, "at": "4,128"}, "at_outside", "at"),
    "half a pixel": ({"mask": None, "at": "4"}, "at_invalid", "at"),
    "a pixel in words": ({"mask": None, "at": "left,top"}, "at_invalid", "at"),
    "a pixel left of the photo": ({"mask": None, "at": "-1,4"}, "at_invalid", "at"),
    "a broken pixel": ({"mask": None, "at": "4.5,4"}, "at_invalid", "at"),
    "three numbers": ({"mask": None, "at": "1,2,3"}, "at_invalid", "at"),
    "no image, no mask": ({"image": None, "mask": None}, "image_missing", "image"),
    "an empty file": ({"image": b""}, "part_empty", "image"),
    "an empty file as mask": ({"mask": b""}, "part_empty", "mask"),
    "not an image": ({"image": b"%PDF-1.7 hello"}, "image_format", "image"),
    "a GIF": ({"image": pictures.photo(format="GIF")}, "image_format", "image"),
    "a cut off image": ({"image": pictures.photo()[:-200]}, "image_damaged", "image"),
    "a cut off JPEG": ({"image": pictures.photo((640, 480), "JPEG")[:-2000]}, "image_damaged", "image"),
    "a tiny image": ({"image": pictures.photo((16, 16))}, "image_too_small", "image"),
    "a 60-megapixel bomb": ({"image": pictures.png_bomb()}, "image_too_large", "image"),
    "a bomb as mask": ({"mask": pictures.png_bomb(12_000, 10_000)}, "image_too_large", "mask"),
    "a photo that can't be scaled down either": (
        {"image": pictures.png_bomb(12_000, 10_000), "max_pixels": "1000000"},
        "image_too_large",
        "image",
    ),
    "a limit of no pixels": ({"max_pixels": "0"}, "option_invalid", "max_pixels"),
    "a limit beyond what is edited": ({"max_pixels": "60000000"}, "option_invalid", "max_pixels"),
    "not a mask": ({"mask": b"hello"}, "image_format", "mask"),
    "a mask of another frame": ({"mask": pictures.mask((128, 96))}, "mask_size", "mask"),
    "an empty mask": ({"mask": pictures.mask(fill="nothing")}, "mask_empty", "mask"),
    "a full mask": ({"mask": pictures.mask(fill="everything")}, "mask_full", "mask"),
    "a photo as mask": ({"mask": pictures.photo()}, "mask_unclear", "mask"),
    "a mask of one pixel": ({"mask": pictures.mask((96, 128), fill="dot")}, "mask_too_small", "mask"),
    "an unknown mask mode": ({"mask_mode": "red"}, "option_invalid", "mask_mode"),
    "an empty edit mask": ({"edit_mask": pictures.mask(fill="nothing")}, "mask_empty", "edit_mask"),
    "no prompt": ({"prompt": None}, "prompt_missing", "prompt"),
    "an empty prompt": ({"prompt": ""}, "prompt_empty", "prompt"),
    "a blank prompt": ({"prompt": " \t "}, "prompt_empty", "prompt"),
    "a blank source prompt": ({"source_prompt": "  "}, "part_empty", "source_prompt"),
    "a long prompt": ({"prompt": "woman " * MAX_TOKENS}, "prompt_too_long", "prompt"),
    "a long source prompt": ({"source_prompt": "woman " * MAX_TOKENS}, "prompt_too_long", "source_prompt"),
    "a prompt about nobody": ({"prompt": "a red car"}, "subject_unknown", "prompt"),
    "a subject that is not in the prompt": ({"subject": "girl"}, "subject_not_in_prompt", "prompt"),
    "a source prompt without the subject": (
        {"source_prompt": "a photo of a man", "subject": "woman"},
        "subject_not_in_prompt",
        "source_prompt",
    ),
    "a subject of a whole sentence": ({"subject": "a woman in the rain"}, "subject_invalid", "subject"),
    "a long subject": ({"subject": "x" * 2000}, "subject_invalid", "subject"),
    "a subject of words that the prompt lacks": ({"subject": "old woman"}, "subject_not_in_prompt", "prompt"),
    "an instruction": ({"prompt": "make her hair red"}, "prompt_instruction", "prompt"),
    "an instruction as source prompt": ({"source_prompt": "please add a hat"}, "prompt_instruction", "source_prompt"),
    "an unknown identity": ({"image": None, "mask": None, "identity": f"c_{'0' * 32}"}, "identity_unknown", "identity"),
    "a path as identity": ({"identity": "../../secret"}, "identity_unknown", "identity"),
    "an unknown option": ({"stepz": "20"}, "option_unknown", "stepz"),
    "an unknown attribute": ({"attributes": f"a_{'0' * 32}"}, "attribute_unknown", "attributes"),
    "an identity as attribute": ({"attributes": f"c_{'7' * 32}"}, "attribute_unknown", "attributes"),
    "a path as attribute": ({"attributes": "../../secret"}, "attribute_unknown", "attributes"),
    "an attribute twice": ({"attributes": [f"a_{'0' * 32}"] * 2}, "attribute_repeated", "attributes"),
    "five attributes": ({"attributes": [f"a_{i:032}" for i in range(5)]}, "option_invalid", "attributes"),
    "a placeholder of nothing": ({"prompt": "a photo of a woman, [A] hat"}, "placeholder_unknown", "prompt"),
    "an unknown parent": ({"image": None, "mask": None, "parent": f"e_{'0' * 32}"}, "parent_unknown", "parent"),
    "a path as parent": ({"image": None, "mask": None, "parent": "../../secret"}, "parent_unknown", "parent"),
    "a photo and a parent": ({"parent": f"e_{'0' * 32}"}, "parent_and_image", "parent"),
    "an unknown file": ({"image2": b"x"}, "option_unknown", "image2"),
    "the same option twice": ({"steps": ["20", "30"]}, "part_repeated", "steps"),
    "two images": ({"image": [pictures.photo(), pictures.photo()]}, "part_repeated", "image"),
    "text as image": ({"image": "hello"}, "part_kind", "image"),
    "a file as prompt": ({"prompt": b"a photo of a woman"}, "part_kind", "prompt"),
    "an unknown preset": ({"preset": "best"}, "option_invalid", "preset"),
    "words as steps": ({"steps": "abc"}, "option_invalid", "steps"),
    "half a step": ({"steps": "20.5"}, "option_invalid", "steps"),
    "one step": ({"steps": "1"}, "option_invalid", "steps"),
    "words as guidance": ({"guidance_scale": "much"}, "option_invalid", "guidance_scale"),
    "guidance that is no number": ({"guidance_scale": "nan"}, "option_invalid", "guidance_scale"),
    "no variants": ({"variants": "0"}, "option_invalid", "variants"),
    "nine variants": ({"variants": "9"}, "option_invalid", "variants"),
    "a negative seed": ({"seed": "-1"}, "option_invalid", "seed"),
}


def test_an_id_of_the_other_kind_is_told_where_it_belongs(api: Api) -> None:
    problem = assert_problem(api.edit(attributes=f"c_{'7' * 32}"), 422, "attribute_unknown", "attributes")
    assert problem["detail"].endswith("it is the id of an identity: send it as identity")
    problem = assert_problem(api.edit(image=None, mask=None, identity=f"a_{'7' * 32}"), 422, "identity_unknown", "identity")
    assert problem["detail"].endswith("it is the id of an attribute: send it in attributes")


def assert_problem(answer: Any, status: int, code: str, field: str | None = None) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert (answer.status_code, problem["code"], problem.get("field")) == (status, code, field), problem
    assert status in statuses_of(code), "the guide says another status"
    assert problem["type"] == f"urn:s2edit:problem:{code}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    return problem


def assert_refused(answer: Any, code: str, field: str | None = None) -> str:
    """Return the message of a problem, or of the error in OpenAI's shape under `/v1/`."""
    if not answer.request.url.path.startswith("/v1/"):
        return str(assert_problem(answer, 422, code, field)["detail"])
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["param"]) == (400, code, field), error
    return str(error["message"])


@pytest.fixture(autouse=True)
def _nothing_is_kept(api: Api) -> Iterator[None]:
    yield
    assert api.kept() == ({}, [], [])


@pytest.mark.parametrize(("parts", "code", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_it_is_refused(api: Api, parts: dict[str, Any], code: str, field: str) -> None:
    problem = assert_problem(api.edit(**parts), 422, code, field)
    assert problem["retryable"] is False
    assert problem["errors"][0]["pointer"] == f"#/{field}"
    assert problem["errors"][0]["code"] == code


@pytest.mark.parametrize("height", [6_000, 12_000, 60_000, 2**31 - 1])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_a_bomb_is_refused_by_its_header_alone(api: Api, height: int) -> None:
    """Its pixels can't be decoded, so decoding would lead to `image_damaged`."""
    problem = assert_problem(api.edit(image=pictures.png_bomb(10_000, height, sound=False)), 422, "image_too_large", "image")
    assert "megapixels" in problem["detail"]


def test_a_long_prompt_is_told_how_much_fits(api: Api) -> None:
    problem = api.edit(prompt="woman " * 50).json()
    assert f"has 53 tokens, counting [I] and the begin and end tokens, but the limit is {MAX_TOKENS}:" in problem["detail"]


def test_an_unknown_option_is_told_the_known_ones(api: Api) -> None:
    assert "guidance_scale" in api.edit(guidance="3").json()["detail"]


@pytest.mark.parametrize(
    ("name", "meant"), [("promt", "prompt"), ("guidance", "guidance_scale"), ("Seed", "seed"), ("dryrun", "dry_run")]
)
def test_a_misspelt_name_is_told_the_right_one(api: Api, name: str, meant: str) -> None:
    """As a part of the form and as a field of the JSON body."""
    for answer in (api.edit(**{name: "1"}), api.client.post("/edits", json={"prompt": "a woman", name: 1})):
        problem = assert_problem(answer, 422, "option_unknown", name)
        assert problem["detail"] == f"unknown part {name!r}: did you mean {meant!r}?"


def test_a_name_like_no_other_is_told_all(api: Api) -> None:
    for answer in (api.edit(zzz="1"), api.client.post("/edits", json={"prompt": "a woman", "zzz": 1})):
        detail = assert_problem(answer, 422, "option_unknown", "zzz")["detail"]
        assert detail.startswith("unknown part 'zzz': use prompt, source_prompt, ")


def test_a_very_long_name_is_refused_at_once(api: Api) -> None:
    name = "prompt" * 10_000
    problem = assert_problem(api.client.post("/edits", json={"prompt": "a woman", name: 1}), 422, "option_unknown", name)
    assert len(problem["detail"]) < 1000


@pytest.mark.parametrize("path", ["/edits", "/uploads", "/tokens"])
@pytest.mark.parametrize("body", [b"[]", b'["prompt"]', b'"prompt"', b"1", b"null", b""])
def test_a_body_that_is_no_object_is_asked_for_one(api: Api, path: str, body: bytes) -> None:
    answer = api.client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert assert_problem(answer, 422, "body_invalid")["detail"].endswith("send a JSON object")


def test_several_wrong_options_are_all_named(api: Api) -> None:
    problem = api.edit(steps="abc", seed="def").json()
    assert [error["field"] for error in problem["errors"]] == ["steps", "seed"]


def test_a_body_of_a_stated_length_over_the_limit_is_refused(api: Api) -> None:
    problem = assert_problem(api.edit(image=b"x" * MAX_BODY), 413, "body_too_large")
    assert str(MAX_BODY) in problem["detail"]


def test_a_chunked_body_over_the_limit_is_refused_once_it_is_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The body was read completely, so the service must not wait for more, or this test times out."""
    monkeypatch.setattr("api.guard.body_size.DRAIN_S", 1000)
    boundary = "frontier"

    def chunks() -> Iterator[bytes]:
        yield f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'.encode()
        for _ in range(MAX_BODY // 1000):
            yield b"x" * 1000
        yield f"\r\n--{boundary}--\r\n".encode()

    answer = api.client.post("/edits", content=chunks(), headers={"Content-Type": f"multipart/form-data; boundary={boundary}"})
    assert "content-length" not in answer.request.headers
    assert_problem(answer, 413, "body_too_large")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [("application/jsonp", b'{"prompt": "a woman"}'), ("application/x-www-form-urlencoded", b"prompt=a+woman"), ("", b"hello")],
)
def test_another_content_type_is_refused(api: Api, content_type: str, body: bytes) -> None:
    assert_problem(api.client.post("/edits", content=body, headers={"Content-Type": content_type}), 415, "unsupported_media_type")


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=frontier"])
def test_a_form_that_is_none_is_refused(api: Api, content_type: str) -> None:
    assert_problem(api.client.post("/edits", content=b"hello", headers={"Content-Type": content_type}), 400, "malformed_request")


def test_a_flood_of_parts_is_refused(api: Api) -> None:
    assert_problem(api.edit(**{f"p{number}": "x" for number in range(100)}), 400, "malformed_request")


def test_a_huge_text_part_is_refused(api: Api) -> None:
    assert_problem(api.edit(prompt="woman " * 5000), 400, "malformed_request")


@pytest.mark.parametrize("user", ["a/b", "..", "a" * 65, "a b"])
def test_a_user_that_is_no_name_is_refused(api: Api, user: str) -> None:
    problem = assert_problem(api.edit(user=user), 422, "header_invalid", "S2Edit-User")
    assert problem["detail"].startswith("the header 'S2Edit-User' must be 1 to 64 letters, digits, hyphens and underscores, not '")


class TestWithAnIdentity:
    @pytest.fixture(autouse=True)
    def _nothing_is_kept(self, api: Api) -> Iterator[None]:
        """Only the identity is stored."""
        self.identity = api.learned_identity()
        before = api.kept()
        yield
        assert api.kept() == before

    @pytest.mark.parametrize(
        ("parts", "code", "field"),
        [
            ({"image": None}, "image_missing", "image"),
            ({"image": None, "mask": None, "at": "4,4"}, "at_and_mask", "at"),
            ({"image": None, "mask": None, "prompt": "a photo of a man"}, "subject_not_in_prompt", "prompt"),
            ({"image": None, "mask": None, "edit_mask": pictures.mask((128, 96))}, "mask_size", "edit_mask"),
        ],
    )
    def test_it_is_refused(self, api: Api, parts: dict[str, Any], code: str, field: str) -> None:
        assert_problem(api.edit(identity=self.identity, **parts), 422, code, field)

    def test_a_mask_without_its_photo_is_told_both_ways_out(self, api: Api) -> None:
        problem = assert_problem(api.edit(identity=self.identity, image=None), 422, "image_missing", "image")
        assert "send `image` too, or leave `mask` out to use the identity's" in problem["detail"]

    def test_a_foreign_identity_is_unknown(self, api: Api) -> None:
        answer = api.edit(user="mallory", image=None, mask=None, identity=self.identity)
        assert_problem(answer, 422, "identity_unknown", "identity")
        assert not [key for key in api.artifacts.objects if key.startswith(Owner("default", "mallory").prefix)]


@pytest.mark.parametrize("post", [Api.edit, Api.identity, Api.attribute])
def test_an_instruction_is_answered_with_a_description(post: Callable[..., Any], api: Api) -> None:
    told = "give the woman [A] hair" if post is Api.attribute else "give the woman red hair"
    problem = assert_problem(post(api, prompt=told), 422, "prompt_instruction", "prompt")
    assert problem["detail"].startswith("the prompt is an instruction: say what the picture should show, as in “a photo of a woman")


@pytest.mark.parametrize("post", [Api.edit, Api.identity, Api.attribute])
def test_an_instruction_is_refused_at_once_where_only_the_worker_knows_the_models_words(post: Callable[..., Any], api: Api) -> None:
    api.client.app.state.vocabulary = None  # type: ignore[attr-defined]  # as for a hub id
    assert_problem(post(api, prompt="Make her hair red."), 422, "prompt_instruction", "prompt")


@pytest.mark.parametrize("path", ["/edits", "/identities", "/attributes", "/masks"])
def test_the_advice_for_a_missing_photo_can_be_followed(api: Api, path: str) -> None:
    prompt = "a photo of a woman with [A] hat" if path == "/attributes" else "a photo of a woman"
    for answer in (api.post(path, prompt=prompt, mask=None), api.client.post(path, json={"prompt": prompt})):
        detail = assert_problem(answer, 422, "image_missing", "image")["detail"]
        assert detail.endswith("send it as a file, or in JSON as the id of an upload")


@pytest.mark.parametrize(
    ("path", "form"), [("/edits", EditForm), ("/masks", MaskForm), ("/identities", IdentityForm), ("/attributes", AttributeForm)]
)
def test_an_empty_part_never_becomes_a_default(api: Api, path: str, form: type[BaseModel]) -> None:
    parts = {"prompt": "a woman with [A] hat" if path == "/attributes" else "a photo of a woman"} if path != "/masks" else {}
    for name in {*form.model_fields} - {*FILES, "prompt", "negative_prompt"}:
        for blank in ("", " ", "\u200b"):
            answer = api.post(path, image=pictures.photo(), **{**parts, name: blank})
            assert name in assert_problem(answer, 422, "part_empty", name)["detail"]
    assert api.kept() == ({}, [], [])

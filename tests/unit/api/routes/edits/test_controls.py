"""Strength, negative prompts and output options, from the request to the response."""

from __future__ import annotations

import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image

from s2edit_core.request.plan import plan_edit
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobSpec
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, PROMPT, Api
from tests.unit.api.routes.test_uploads import App
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.engines.painters import TintPainter

CONTROLS: dict[str, Any] = {
    "negative_prompt": "glasses",
    "strength": 0.7,
    "output_format": "webp",
    "output_quality": 80,
    "keep_alpha": False,
}


def spec_of(api: Api, edit_id: str) -> JobSpec:
    return Jobs(api.services).spec(OWNER, edit_id)


def request_of(api: Api, answer: httpx.Response) -> EditRequest:
    assert answer.status_code == 202, answer.json()
    request = spec_of(api, answer.json()["id"]).request
    assert isinstance(request, EditRequest)
    return request


def test_a_form_asks_for_them(api: Api) -> None:
    sent = {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in CONTROLS.items()}
    assert request_of(api, api.edit(**sent)) == EditRequest(prompt=PROMPT, **CONTROLS)


def test_json_asks_for_them(api: Api, tmp_path: Path) -> None:
    app = App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))
    for wanted, expected in ((CONTROLS, CONTROLS), (dict.fromkeys(CONTROLS), {}), ({"strength": 1}, {})):
        answer = app.edit(image=app.upload(pictures.photo()), mask=app.upload(pictures.mask()), **wanted)
        assert answer.status_code == 202, answer.json()
        assert Jobs(app.services).spec(OWNER, answer.json()["id"]).request == EditRequest(prompt=PROMPT, **expected)


def test_an_empty_negative_prompt_is_none(api: Api) -> None:
    for blank in ("", "  "):
        assert request_of(api, api.edit(negative_prompt=blank)).negative_prompt is None


@pytest.mark.parametrize(
    ("parts", "code", "field"),
    [
        ({"strength": "0"}, "option_invalid", "strength"),
        ({"strength": "0.01"}, "strength_without_steps", "strength"),
        ({"strength": "0.15", "steps": "6"}, "strength_without_steps", "strength"),
        ({"strength": "1.1"}, "option_invalid", "strength"),
        ({"strength": "nan"}, "option_invalid", "strength"),
        ({"output_quality": "90"}, "quality_without_loss", "output_quality"),
        ({"output_format": "png", "output_quality": "100"}, "quality_without_loss", "output_quality"),
        ({"output_format": "jpeg", "output_quality": "0"}, "option_invalid", "output_quality"),
        ({"output_format": "jpeg", "output_quality": "101"}, "option_invalid", "output_quality"),
        ({"output_format": "jpeg", "keep_alpha": "true"}, "alpha_in_jpeg", "keep_alpha"),
        ({"negative_prompt": "hat", "guidance_scale": "1"}, "negative_without_guidance", "guidance_scale"),
        ({"negative_prompt": "[A] hat"}, "placeholder_unknown", "negative_prompt"),
        ({"negative_prompt": "a hat " * 80}, "prompt_too_long", "negative_prompt"),
        ({"negative_prompt": "(hat:1.4)"}, "prompt_syntax", "negative_prompt"),
        ({"prompt": "a photo of a woman with ((red)) hair"}, "prompt_syntax", "prompt"),
        ({"source_prompt": "a photo of a woman <lora:x:0.8>"}, "prompt_syntax", "source_prompt"),
        ({"negative_prompt": "hat, clothes"}, "policy_refused", "negative_prompt"),
        ({"negative_prompt": "her bra"}, "policy_refused", "negative_prompt"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing_behind(api: Api, parts: dict[str, str], code: str, field: str) -> None:
    before = api.kept()
    assert_problem(api.edit(**parts), 422, code, field=field)
    assert api.kept() == before


@pytest.mark.parametrize(("format", "longest"), [("webp", 16_383), ("jpeg", 65_500)])
def test_a_photo_that_is_longer_than_the_format_allows_is_refused_before_the_202(api: Api, format: str, longest: int) -> None:
    photo, mask = (make((longest + 1, 64)) for make in (pictures.photo, pictures.mask))
    for parts in ({}, {"dry_run": "true"}):
        problem = assert_problem(
            api.edit(image=photo, mask=mask, output_format=format, **parts), 422, "output_too_large", "output_format"
        )
        assert f"at most {longest} pixels" in problem["detail"]
    assert api.kept() == ({}, [], [])
    assert api.edit(image=photo, mask=mask, output_format="png").status_code == 202
    scaled = {"output_format": format, "max_pixels": str(longest * 63)}
    assert api.edit(image=photo, mask=mask, **scaled).status_code == 202, "it fits once it is scaled"


def test_so_is_the_photo_of_an_identity(api: Api) -> None:
    photo, mask = pictures.photo((16_384, 64)), pictures.mask((16_384, 64))
    identity = api.learned(api.identity(image=photo, mask=mask))
    answer = api.edit(image=None, mask=None, identity=identity, output_format="webp")
    assert_problem(answer, 422, "output_too_large", "output_format")
    assert api.edit(image=None, mask=None, identity=identity).status_code == 202


def test_an_unknown_format_is_refused(api: Api) -> None:
    answer = api.edit(output_format="gif")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "output_format"


@pytest.mark.parametrize(("path", "prompt"), [("/identities", "a [red] woman"), ("/attributes", "a woman with [A] (hat:1.2)")])
def test_learnings_read_no_weights_either(api: Api, path: str, prompt: str) -> None:
    answer = api.post(path, image=pictures.photo(), mask=pictures.mask(), prompt=prompt)
    assert_problem(answer, 422, "prompt_syntax", field="prompt")


@pytest.mark.parametrize(
    ("format", "ending", "media_type"),
    [(None, ".png", "image/png"), ("png", ".png", "image/png"), ("jpeg", ".jpg", "image/jpeg"), ("webp", ".webp", "image/webp")],
)
def test_the_answer_says_what_the_result_is(api: Api, format: str | None, ending: str, media_type: str) -> None:
    edit_id = api.edit(output_format=format, variants="2").json()["id"]
    api.work()
    edit = api.get(f"/edits/{edit_id}").json()
    assert [one["media_type"] for one in (edit["result"], *edit["results"])] == [media_type] * 3
    keys = [key for name, key in api.store.records.get(OWNER, edit_id).artifacts.items() if name.startswith("result")]
    assert len(keys) == 2
    assert all(key.endswith(ending) and api.artifacts.media_types[key] == media_type for key in keys)
    assert all(f"{ending}" in one["url"] for one in edit["results"])
    assert api.get("/edits").json()["items"][0]["result"]["media_type"] == media_type


def test_an_edit_goes_on_from_a_jpeg(api: Api) -> None:
    parent = api.edit(output_format="jpeg").json()["id"]
    api.work(FakeEngine(painter=TintPainter()))
    answer = api.edit(image=None, mask=None, prompt="a photo of a woman smiling, hat", parent=parent)
    assert answer.status_code == 202, answer.json()
    file = spec_of(api, answer.json()["id"]).inputs["image"]
    assert (file.media_type, file.key.rpartition(".")[2]) == ("image/jpeg", "jpg")
    assert Image.open(io.BytesIO(api.artifacts.get(file.key))).format == "JPEG"
    api.work(FakeEngine(painter=TintPainter()))
    assert api.store.records.get(OWNER, answer.json()["id"]).state == "succeeded"


def test_how_it_is_wanted_names_neither_concept_nor_inversion() -> None:
    given: dict[str, Any] = {
        "image": b"photo",
        "mask": b"mask",
        "model": "m",
        "source_prompt": "a photo of a [I] woman",
        "subject": "woman",
        "crop": (0, 0, 8, 8),
    }
    assert plan_edit(EditRequest(prompt=PROMPT), **given) == plan_edit(EditRequest(prompt=PROMPT, **CONTROLS), **given)


def test_stored_requests_of_former_releases_load_and_new_ones_say_only_what_they_have_to() -> None:
    """So older workers and stored idempotency digests still understand a request without the new options."""
    plain = EditRequest(prompt=PROMPT)
    former = {name: value for name, value in asdict(plain).items() if name not in (*CONTROLS, "max_pixels", "edit_mask_mode")}
    assert EditRequest.from_dict(former) == plain
    assert set(plain.to_dict()) == set(former)
    chosen = EditRequest(prompt=PROMPT, **CONTROLS)
    assert EditRequest.from_dict(chosen.to_dict()) == chosen
    weighted = {**former, "prompt": "a photo of a (woman:1.2)"}
    assert EditRequest.from_dict(weighted).prompt == "a photo of a (woman:1.2)", "what was taken on before is still done"

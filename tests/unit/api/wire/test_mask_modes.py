"""Mask modes: explicit, rejected at once if ambiguous, and stored with the file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from s2edit_core.request.texts import counted
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import InputFile, JobSpec
from s2edit_jobs.stores.model_facts import report_loaded
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests import masks
from tests.doubles import DecodingEngine, FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import MAX_BODY, OWNER, Api
from tests.unit.api.routes.edits.test_continuing import done, go_on
from tests.unit.api.routes.edits.test_dry_run import try_out
from tests.unit.api.routes.test_uploads import App
from tests.unit.api.wire.test_bad_input import assert_problem
from tests.unit.api.wire.test_pictures_at_work import LARGE

PHOTO = pictures.photo(masks.SIZE, "JPEG")
SMALL = MAX_BODY - len(PHOTO) - 2_000
UNCLEAR = [name for name, file in masks.unreadable().items() if file.reason == "mask_unclear" and len(file.data) < SMALL]


def layer(*, hole: bool, size: tuple[int, int] = pictures.SIZE) -> bytes:
    """Return a mask that is painted on transparent, or transparent in black."""
    drawn = masks.silhouette(size)
    return masks.saved(masks.painted((0, 0, 0), drawn.point(lambda level: 255 - level) if hole else drawn))


def spec_of(api: Api, location: str) -> JobSpec:
    return Jobs(api.services).spec(OWNER, location.removeprefix("/edits/"))


def modes(spec: JobSpec) -> dict[str, str]:
    return {name: file.mask_mode for name, file in spec.inputs.items()}


@pytest.mark.parametrize("name", UNCLEAR)
def test_a_mask_that_may_mean_either_is_refused_before_the_202(api: Api, name: str) -> None:
    mask = masks.corpus()[name].data
    for parts in ({"mask": mask}, {"mask": pictures.mask(masks.SIZE), "edit_mask": mask}):
        field = "edit_mask" if "edit_mask" in parts else "mask"
        problem = assert_problem(api.edit(image=PHOTO, **parts), 422, "mask_unclear", field)
        assert "mask_mode=inverted_alpha" in problem["detail"]
    assert_problem(api.identity(image=PHOTO, mask=mask), 422, "mask_unclear", "mask")
    assert api.kept() == ({}, [], [])


def test_many_such_masks_are_small_enough_for_this_test() -> None:
    assert len(UNCLEAR) >= 10


def test_a_cut_out_and_strokes_are_accepted(api: Api) -> None:
    names = [name for name in masks.readable() if name.endswith(("on transparent at 40%", "on transparent at 100%"))]
    assert len(names) > 20
    for number, name in enumerate(names):
        answer = api.edit(image=PHOTO, mask=masks.corpus()[name].data, user=f"user-{number}")
        assert answer.status_code == 202, name


def test_the_mode_that_the_message_names_is_taken_and_reaches_the_worker(api: Api) -> None:
    hole = layer(hole=True)
    assert_problem(api.edit(mask=hole), 422, "mask_unclear", "mask")
    answer = api.edit(mask=hole, edit_mask=hole, mask_mode="inverted_alpha")
    assert answer.status_code == 202
    spec = spec_of(api, answer.headers["location"])
    assert modes(spec) == {"image": "auto", "mask": "inverted_alpha", "edit_mask": "inverted_alpha"}
    api.work(DecodingEngine())
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"


def test_each_of_both_masks_may_have_a_mode_of_its_own(api: Api) -> None:
    hole, drawn = layer(hole=True), layer(hole=False)
    answer = api.edit(mask=pictures.mask(), edit_mask=hole, mask_mode="luminance", edit_mask_mode="inverted_alpha")
    assert modes(spec_of(api, answer.headers["location"])) == {
        "image": "auto",
        "mask": "luminance",
        "edit_mask": "inverted_alpha",
    }
    api.work(DecodingEngine())
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"
    answer = api.edit(mask=hole, edit_mask=drawn, mask_mode="inverted_alpha", edit_mask_mode="auto")
    assert modes(spec_of(api, answer.headers["location"])) == {"image": "auto", "mask": "inverted_alpha", "edit_mask": "auto"}
    problem = assert_problem(
        api.edit(edit_mask=hole, mask_mode="luminance", edit_mask_mode="auto"), 422, "mask_unclear", "edit_mask"
    )
    assert "edit_mask_mode=inverted_alpha" in problem["detail"]
    assert_problem(api.edit(edit_mask=drawn, edit_mask_mode="red"), 422, "option_invalid", "edit_mask_mode")


def test_a_mode_without_a_mask_is_refused(api: Api) -> None:
    drawn = layer(hole=False)
    parent = done(api)
    for parts in ({"mask": None}, {"image": None, "mask": None, "parent": parent}, {"mask": None, "dry_run": "true"}):
        assert_problem(api.edit(**parts, mask_mode="alpha"), 422, "mask_mode_without_mask", "mask_mode")
        assert_problem(api.edit(**parts, edit_mask_mode="alpha"), 422, "mask_mode_without_mask", "edit_mask_mode")
    assert_problem(api.edit(edit_mask_mode="auto"), 422, "mask_mode_without_mask", "edit_mask_mode")
    both = {"mask_mode": "alpha", "edit_mask_mode": "alpha"}
    assert_problem(api.edit(mask=None, edit_mask=drawn, **both), 422, "mask_mode_without_mask", "mask_mode")
    assert_problem(api.identity(mask=None, mask_mode="alpha"), 422, "mask_mode_without_mask", "mask_mode")
    assert api.edit(mask=None, mask_mode="auto").status_code == 202, "it says nothing"
    assert api.edit(mask=None, edit_mask=drawn, mask_mode="alpha").status_code == 202


def test_a_mode_that_does_not_fit_or_is_none_is_refused(api: Api) -> None:
    assert_problem(api.edit(mask_mode="alpha"), 422, "mask_opaque", "mask")
    assert_problem(api.edit(mask=layer(hole=False), mask_mode="luminance"), 422, "mask_empty", "mask")
    assert_problem(api.edit(mask_mode="red"), 422, "option_invalid", "mask_mode")
    assert_problem(api.identity(mask_mode="alpha"), 422, "mask_opaque", "mask")
    assert_problem(api.attribute(mask_mode="alpha"), 422, "mask_opaque", "mask")
    assert api.kept() == ({}, [], [])


def test_a_large_mask_that_is_unclear_fails_with_the_same_code(api: Api) -> None:
    """Its header looks ordinary, so only the worker notices."""
    picture = Image.linear_gradient("L").resize(LARGE)
    answer = api.edit(image=pictures.photo(LARGE, "JPEG"), mask=pictures.encoded(picture, "JPEG"))
    assert answer.status_code == 202
    engine = api.work(DecodingEngine())
    job = api.get(answer.headers["location"]).json()
    assert (job["state"], job["error"]["code"], job["error"]["field"]) == ("failed", "mask_unclear", "mask")
    assert engine.learned == 0


def test_the_mask_of_an_unturned_photo_is_told_so(api: Api) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    stored = Image.linear_gradient("L").resize((128, 96)).convert("RGB")
    photo = masks.saved(stored, "JPEG", exif=exif)
    problem = assert_problem(api.edit(image=photo, mask=pictures.mask((128, 96))), 422, "mask_size", "mask")
    assert "rotated by 90°" in problem["detail"]
    assert api.edit(image=photo, mask=pictures.mask((96, 128))).status_code == 202


def dot(side: int) -> bytes:
    mask = Image.new("L", pictures.SIZE)
    ImageDraw.Draw(mask).rectangle((40, 40, 39 + side, 39 + side), fill=255)
    return pictures.encoded(mask)


@pytest.mark.parametrize("side", [1, 31])
def test_a_person_of_a_few_pixels_is_refused_at_once(api: Api, side: int) -> None:
    for ask in (api.edit, api.identity):
        problem = assert_problem(ask(mask=dot(side)), 422, "mask_too_small", "mask")
        assert f"{counted(side, 'pixel')} long" in problem["detail"]
    assert api.kept() == ({}, [], [])


def test_lips_may_be_small(api: Api) -> None:
    assert api.edit(edit_mask=dot(12)).status_code == 202
    answer = api.attribute(mask=dot(12))
    assert answer.status_code == 202
    api.work(DecodingEngine())
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"
    assert_problem(api.edit(edit_mask=dot(2)), 422, "mask_too_small", "edit_mask")
    assert_problem(api.attribute(mask=dot(2)), 422, "mask_too_small", "mask")


# --- a mask that is used again ---------------------------------------------------------------------------------


def test_an_identitys_mask_is_read_as_it_was_sent(api: Api) -> None:
    identity = api.learned(api.identity(mask=layer(hole=True), mask_mode="inverted_alpha"))
    answer = api.edit(image=None, mask=None, identity=identity, edit_mask=layer(hole=False), mask_mode="alpha")
    assert modes(spec_of(api, answer.headers["location"])) == {"image": "auto", "mask": "inverted_alpha", "edit_mask": "alpha"}
    api.work(DecodingEngine())
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"


def test_a_parents_mask_is_read_as_it_was_sent(api: Api) -> None:
    parent = done(api, mask=layer(hole=True), mask_mode="inverted_alpha")
    answer = go_on(api, parent, edit_mask=layer(hole=False))
    assert answer.status_code == 202, answer.json()
    assert modes(spec_of(api, answer.headers["location"])) == {"image": "auto", "mask": "inverted_alpha", "edit_mask": "auto"}
    assert go_on(api, parent, dry_run="true").status_code == 200


def test_an_identitys_mask_is_read_as_it_was_sent_also_for_the_edits_that_follow(api: Api) -> None:
    identity = api.learned(api.identity(mask=layer(hole=True), mask_mode="inverted_alpha"))
    parent = done(api, image=None, mask=None, identity=identity)
    api.delete(f"/identities/{identity}")
    answer = go_on(api, parent)
    assert answer.status_code == 202, answer.json()
    assert modes(spec_of(api, answer.headers["location"])) == {"image": "auto", "mask": "inverted_alpha"}


def test_what_a_dry_run_names_is_what_is_learned(api: Api) -> None:
    report_loaded(api.artifacts, api.services.settings.model, FakeEngine.facts)
    drawing = layer(hole=False)
    names = {mode: try_out(api, mask=drawing, mask_mode=mode)["identity"] for mode in ("auto", "alpha", "inverted_alpha")}
    assert len(set(names.values())) == 3
    for mode, name in names.items():
        answer = api.edit(mask=drawing, mask_mode=mode)
        api.work()
        assert api.get(answer.headers["location"]).json()["identity"] == name


def test_one_key_is_one_mode(api: Api) -> None:
    key = {"Idempotency-Key": "k"}
    first = api.edit(mask=layer(hole=True), mask_mode="inverted_alpha", headers=key)
    again = api.edit(mask=layer(hole=True), mask_mode="inverted_alpha", headers=key)
    assert first.json()["id"] == again.json()["id"]
    other = api.edit(mask=layer(hole=True), mask_mode="alpha", headers=key)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


@pytest.fixture
def app(api: Api, tmp_path: Path) -> App:
    return App(api, FilesystemArtifactStore(tmp_path / "objects", "http://testserver", "a signing key"))


def test_uploads_in_json_have_a_mode_too(app: App) -> None:
    uploads = {"image": app.upload(pictures.photo()), "mask": app.upload(layer(hole=True))}
    assert_problem(app.edit(**uploads), 422, "mask_unclear", "mask")
    answer = app.edit(**uploads, mask_mode="inverted_alpha")
    assert answer.status_code == 202, answer.json()
    assert modes(Jobs(app.services).spec(OWNER, answer.json()["id"])) == {"image": "auto", "mask": "inverted_alpha"}


def test_what_was_stored_before_there_were_modes_is_read_in_auto(api: Api) -> None:
    spec = spec_of(api, api.edit().headers["location"])
    old = json.loads(spec.to_json())
    del old["request"]["mask_mode"]
    for file in old["inputs"].values():
        del file["mask_mode"]
    assert JobSpec.from_json(json.dumps(old).encode()) == spec
    assert InputFile("k", "s", 1, "image/png").mask_mode == "auto"

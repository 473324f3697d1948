"""Edits that continue an earlier one."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobRecord, JobSpec
from tests.doubles import FakeEngine
from tests.pages import PAGES
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, PROMPT, Api
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.engines.painters import Painter, TintPainter

NEXT = "a photo of a woman smiling, hat"


@dataclass
class PicturingEngine(FakeEngine):
    """A fake engine whose results and masks are real pictures, so that edits can continue from them."""

    def mask(self, photo: bytes, at: tuple[int, int] | None) -> bytes:
        return pictures.mask()

    painter: Painter = field(default_factory=TintPainter)
    own_photo: bool = False  # the identity stays, the photo is the last result


def done(api: Api, **parts: Any) -> str:
    edit_id: str = api.edit(**parts).json()["id"]
    api.work(PicturingEngine())
    assert record(api, edit_id).state == "succeeded"
    return edit_id


def record(api: Api, edit_id: str) -> JobRecord:
    return api.store.records.get(OWNER, edit_id)


def spec(api: Api, edit_id: str) -> JobSpec:
    return Jobs(api.services).spec(OWNER, edit_id)


def go_on(api: Api, parent: str, *, user: str | None = None, **parts: Any) -> Any:
    return api.edit(user=user, **{"image": None, "mask": None, "prompt": NEXT, "parent": parent, **parts})


def test_the_result_is_the_photo_and_nothing_is_learned_again(api: Api) -> None:
    parent = done(api)
    answer = go_on(api, parent)
    assert answer.status_code == 202, answer.json()
    assert answer.json()["parent"] == parent
    child = spec(api, answer.json()["id"])
    assert api.artifacts.get(child.inputs["image"].key) == api.artifacts.get(record(api, parent).artifacts["result"])
    assert api.artifacts.get(child.inputs["mask"].key) == pictures.mask()
    assert child.request == EditRequest(prompt=NEXT, source_prompt=PROMPT, subject="woman", identity=record(api, parent).identity)
    engine = PicturingEngine()
    api.work(engine)
    assert record(api, child.id).state == "succeeded"
    assert (engine.learned, engine.inverted) == (0, 1)


def test_a_source_prompt_of_the_parent_or_the_identity_is_given_as_the_guide_says(api: Api) -> None:
    parent = done(api)
    edits = [go_on(api, parent), api.edit(image=None, mask=None, prompt=NEXT, identity=record(api, parent).identity)]
    for _ in edits:
        api.work(PicturingEngine())
    (said,) = re.findall(r"`source_prompt_origin`: (.*?), `captioned`", PAGES["docs/api.md"], re.DOTALL)
    for answer, of in zip(edits, ("`parent`", "identity"), strict=True):
        assert spec(api, answer.json()["id"]).request.source_prompt  # type: ignore[union-attr]
        values = api.get(f"/edits/{answer.json()['id']}").json()["report"]["values"]
        assert f"`{values['source_prompt_origin']}`" in said
        assert of in said


def test_a_parent_whose_pictures_have_expired_is_refused_before_they_are_erased(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = done(api)
    api.limit(result_ttl_s=3600.0)
    assert go_on(api, parent).status_code == 202
    later = time.time() + 3601
    monkeypatch.setattr("time.time", lambda: later)
    problem = assert_problem(go_on(api, parent), 422, "parent_unfit", "parent")
    assert "expired" in problem["detail"]


def test_its_files_are_its_own(api: Api) -> None:
    parent = done(api)
    child = go_on(api, parent).json()["id"]
    api.artifacts.delete_prefix(f"{OWNER.prefix}edits/{parent}/")
    api.work(PicturingEngine())
    assert record(api, child).state == "succeeded"


def test_what_is_given_counts_more(api: Api) -> None:
    parent = done(api)
    mask = pictures.mask((48, 64))
    child = spec(api, go_on(api, parent, mask=mask, source_prompt="a photo of a woman, here", edit_mask=mask).json()["id"])
    assert api.artifacts.get(child.inputs["mask"].key) == api.artifacts.get(child.inputs["edit_mask"].key) == mask
    assert child.request.source_prompt == "a photo of a woman, here"  # type: ignore[union-attr]


def test_an_attributes_placeholder_is_not_in_what_the_photo_shows(api: Api) -> None:
    attribute = api.learned(api.attribute())
    parent = done(api, prompt="a photo of a woman, [A] hat", attributes=attribute)
    child = spec(api, go_on(api, parent).json()["id"])
    assert child.request.source_prompt == "a photo of a woman, hat"  # type: ignore[union-attr]
    assert child.request.attributes == ()  # type: ignore[union-attr]


def test_a_tree_grows_from_one_parent(api: Api) -> None:
    parent = done(api)
    children = [go_on(api, parent, prompt=prompt).json()["id"] for prompt in (NEXT, PROMPT)]
    api.work(PicturingEngine())
    grandchild = go_on(api, children[0]).json()
    assert {api.get(f"/edits/{child}").json()["parent"] for child in children} == {parent}
    assert grandchild["parent"] == children[0]
    api.database.empty()
    assert api.get(f"/edits/{grandchild['id']}").json()["parent"] == children[0]


@pytest.mark.parametrize("end", ["queued", "canceled"])
def test_a_parent_without_a_result_is_refused(api: Api, end: str) -> None:
    parent = api.edit().json()["id"]
    if end == "canceled":
        api.client.post(f"/edits/{parent}/cancel")
    problem = assert_problem(go_on(api, parent), 422, "parent_unfit", "parent")
    assert end in problem["detail"]


def test_a_learning_is_no_parent(api: Api) -> None:
    learning = api.identity().json()["id"]
    api.work()
    assert_problem(go_on(api, learning), 422, "parent_unfit", "parent")


def test_anothers_edit_is_no_parent(api: Api) -> None:
    assert_problem(go_on(api, done(api), user="mallory"), 422, "parent_unknown", "parent")


def test_an_erased_result_is_no_parent(api: Api) -> None:
    parent = done(api)
    api.artifacts.delete_prefix(record(api, parent).artifacts["result"])
    assert_problem(go_on(api, parent), 422, "parent_unknown", "parent")


def test_the_same_key_is_one_edit(api: Api) -> None:
    parent = done(api)
    answers = [go_on(api, parent, headers={"Idempotency-Key": "k"}) for _ in range(2)]
    assert answers[0].json()["id"] == answers[1].json()["id"]


def test_where_the_identity_was_erased_the_result_is_learned_from(api: Api) -> None:
    parent = done(api)
    api.delete(f"/identities/{record(api, parent).identity}")
    answer = go_on(api, parent)
    assert answer.status_code == 202, answer.json()
    engine = PicturingEngine()
    api.work(engine)
    assert (record(api, answer.json()["id"]).state, engine.learned) == ("succeeded", 1)


def test_an_edit_made_with_an_identity_is_a_parent_after_that_identity_is_erased(api: Api) -> None:
    identity = record(api, done(api)).identity
    parent = done(api, image=None, mask=None, prompt=PROMPT, identity=identity)
    assert api.delete(f"/identities/{identity}").status_code == 200
    assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/{identity}/"))
    answer = go_on(api, parent)
    assert answer.status_code == 202, answer.json()
    child = spec(api, answer.json()["id"])
    assert api.artifacts.get(child.inputs["mask"].key) == pictures.mask()
    assert (child.request.identity, child.inputs["mask"].mask_mode) == (None, "auto")  # type: ignore[union-attr]
    api.work(PicturingEngine())
    assert record(api, child.id).state == "succeeded"
    assert mask_of(api, child.id) == {"source": "identity", "edit": parent}


def test_variants_are_results_of_one_job(api: Api) -> None:
    answer = api.edit(variants="3")
    assert answer.json()["results"] == []
    engine = FakeEngine()
    api.work(engine)
    job = api.get(answer.headers["location"]).json()
    kept = record(api, job["id"]).artifacts
    pictures_made = [api.artifacts.get(kept[name]) for name in ("result", "result_1", "result_2")]
    assert len(set(pictures_made)) == 3
    for name, link in zip(("result", "result_1", "result_2"), job["results"], strict=True):
        assert kept[name] in link["url"]
    assert job["results"][0]["url"] == job["result"]["url"]
    assert (engine.learned, engine.inverted) == (1, 1)


def mask_of(api: Api, edit_id: str) -> dict[str, Any]:
    """Return the report's entry about the mask."""
    found: dict[str, Any] = api.get(f"/edits/{edit_id}").json()["report"]["values"]["mask"]
    return found


def followed(api: Api, parent: str, **parts: Any) -> str:
    edit_id: str = go_on(api, parent, **parts).json()["id"]
    api.work(PicturingEngine())
    assert record(api, edit_id).state == "succeeded"
    return edit_id


def test_a_mask_that_was_found_for_the_first_edit_is_found_in_all_that_follow(api: Api) -> None:
    first = done(api, mask=None)
    told = mask_of(api, first)
    assert told.pop("seconds") >= 0
    assert told["source"] == "found"
    second = followed(api, first)
    assert mask_of(api, second) == {**told, "edit": first}
    third = followed(api, second)
    assert mask_of(api, third) == {**told, "edit": first}, "the edit that found it"
    assert api.artifacts.get(spec(api, third).inputs["mask"].key) == api.artifacts.get(record(api, first).artifacts["mask"])


def test_a_mask_that_the_first_edit_was_given_or_had_of_an_identity_is_told_so(api: Api) -> None:
    given = done(api)
    assert mask_of(api, followed(api, given)) == {"source": "given", "edit": given}
    of_identity = done(api, image=None, mask=None, identity=record(api, given).identity)
    assert mask_of(api, of_identity) == {"source": "identity"}
    assert mask_of(api, followed(api, of_identity)) == {"source": "identity", "edit": of_identity}
    assert mask_of(api, followed(api, given, mask=pictures.mask())) == {"source": "given"}, "another one was sent"
    assert mask_of(api, followed(api, given, at="4,4"))["source"] == "found"


def test_a_file_that_no_edit_used_before_is_stored_as_former_releases_read_it(api: Api) -> None:
    parent = done(api)
    assert "told" not in spec(api, parent).inputs["mask"].to_dict()
    child = spec(api, followed(api, parent))
    assert JobSpec.from_json(child.to_json()) == child

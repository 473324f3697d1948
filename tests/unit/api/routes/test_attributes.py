"""Attributes over HTTP: learned by jobs, and applied to identities of the same owner only."""

from __future__ import annotations

import json
from typing import Any

import pytest

from s2edit_core.request.spec import Progress
from s2edit_jobs.lifecycle.jobs import Jobs
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.model_folder import MAX_TOKENS
from tests.unit.api.wire.test_bad_input import assert_problem
from worker.attempts import runner
from worker.attempts.runner import run_job
from worker.engines.engine import EditInputs

WEARING = "a photo of a woman smiling, [A] hat"
OTHER_PHOTO = pictures.photo((100, 130))
OTHER_MASK = pictures.mask((100, 130))


def test_learning_is_a_job_that_ends_in_an_attribute(api: Api) -> None:
    answer = api.attribute()
    job = answer.json()
    assert (answer.status_code, job["kind"], job["state"], job["attribute"]) == (202, "attribute", "queued", None)
    attribute_id = api.learned(answer)
    job = api.get(answer.headers["location"]).json()
    assert (job["identity"], job["result"]) == (None, None)
    assert job["report"]["values"]["learning_steps"] == 3
    shown = api.get(f"/attributes/{attribute_id}").json()
    assert shown.pop("created_at").endswith("Z")
    assert shown == {
        "id": attribute_id,
        "name": "Bowler",
        "placeholder": "[A]",
        "subject": "hat",
        "prompt": "a woman with [A] hat",
    }


class TestNames:
    def rename(self, api: Api, attribute: str, **body: Any) -> Any:
        return api.client.patch(f"/attributes/{attribute}", json=body)

    def test_it_gets_another_name_and_is_otherwise_the_same(self, api: Api) -> None:
        attribute = api.learned(api.attribute())
        before = api.get(f"/attributes/{attribute}").json()
        for name, kept in ((" Melon ", "Melon"), ("帽子", "帽子"), (None, None)):
            assert self.rename(api, attribute, name=name).json() == {**before, "name": kept}
            assert api.get("/attributes").json()["items"] == [{**before, "name": kept}]
        assert api.edit(prompt=WEARING, attributes=attribute).status_code == 202

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            ({"name": 101 * "a"}, "option_invalid", "name"),
            ({"name": " "}, "option_invalid", "name"),
            ({"name": 5}, "option_invalid", "name"),
            ({}, "name_missing", "name"),
            ({"name": "Melon", "placeholder": "[B]"}, "option_unknown", "placeholder"),
        ],
    )
    def test_what_is_no_name_changes_nothing(self, api: Api, body: dict[str, Any], code: str, field: str) -> None:
        attribute = api.learned(api.attribute())
        assert_problem(self.rename(api, attribute, **body), 422, code, field)
        assert api.get(f"/attributes/{attribute}").json()["name"] == "Bowler"

    @pytest.mark.parametrize("erases", ["attribute", "user"])
    def test_a_renaming_does_not_bring_back_what_is_erased_meanwhile(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, erases: str
    ) -> None:
        attribute = api.learned(api.attribute())
        put = api.artifacts.put

        def erase_and_put(key: str, data: bytes, **options: Any) -> None:
            monkeypatch.undo()
            gone = api.delete(f"/attributes/{attribute}") if erases == "attribute" else api.erase_user(OWNER.user)
            assert gone.status_code == 200
            put(key, data, **options)

        monkeypatch.setattr(api.artifacts, "put", erase_and_put)
        answer = self.rename(api, attribute, name="Melon")
        assert_problem(answer, 404, "not_found")
        assert "attribute" in answer.json()["detail"]
        assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/"))


def test_its_events_are_those_of_a_job(api: Api) -> None:
    answer = api.attribute()
    api.work()
    events = [line for line in api.get(f"{answer.headers['location']}/events").text.splitlines() if line.startswith("data:")]
    seen = [json.loads(event.removeprefix("data:")) for event in events]
    assert [one["state"] for one in seen][-1] == "succeeded"
    assert "learning" in {one["phase"] for one in seen}
    assert [one["sequence"] for one in seen] == sorted(one["sequence"] for one in seen)


def test_an_edit_wears_it_on_any_identity(api: Api) -> None:
    attribute_id = api.learned(api.attribute())
    for parts in ({}, {"image": OTHER_PHOTO, "mask": OTHER_MASK}):
        plain, worn = (
            api.edit(prompt=WEARING.replace("[A] ", ""), **parts),
            api.edit(prompt=WEARING, attributes=attribute_id, **parts),
        )
        assert worn.status_code == 202, worn.json()
        api.work()
        pictures_made = []
        for answer in (plain, worn):
            job = api.get(answer.headers["location"]).json()
            assert job["state"] == "succeeded", job
            pictures_made.append(api.artifacts.get(api.store.records.get(OWNER, job["id"]).artifacts["result"]))
        assert pictures_made[0] != pictures_made[1]


def test_two_attributes_of_two_placeholders_are_applied_together(api: Api) -> None:
    one = api.learned(api.attribute())
    other = api.learned(api.attribute(prompt="a woman with [Shades] glasses", name=None))
    answer = api.edit(prompt="a woman, [A] hat and [Shades] glasses", attributes=[one, other])
    assert answer.status_code == 202, answer.json()
    assert Jobs(api.services).spec(OWNER, answer.json()["id"]).request.attributes == (one, other)  # type: ignore[union-attr]
    assert api.work().events
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"


def test_two_of_one_placeholder_are_refused(api: Api) -> None:
    one, other = api.learned(api.attribute()), api.learned(api.attribute(image=OTHER_PHOTO, mask=OTHER_MASK))
    assert one != other
    problem = assert_problem(api.edit(prompt=WEARING, attributes=[one, other]), 422, "placeholder_repeated", "attributes")
    assert "[B]" in problem["detail"]


def test_a_prompt_without_the_placeholder_is_told_where_it_goes(api: Api) -> None:
    attribute_id = api.learned(api.attribute())
    for prompt in ({}, {"prompt": "a woman with [A]"}, {"prompt": "a woman with [A] beard"}):
        problem = assert_problem(api.edit(attributes=attribute_id, **prompt), 422, "placeholder_missing", "prompt")
        assert "[A] hat" in problem["detail"]
    assert api.edit(attributes=attribute_id, prompt="a woman with [A]  Hats").status_code == 202


def test_an_attribute_of_two_words_is_learned_and_named_by_both(api: Api) -> None:
    attribute_id = api.learned(api.attribute(prompt="a woman with [E] eye shadow", subject="Eye  shadow"))
    assert api.get(f"/attributes/{attribute_id}").json()["subject"] == "eye shadow"
    problem = assert_problem(
        api.edit(prompt="a woman with [E] eye liner", attributes=attribute_id), 422, "placeholder_missing", "prompt"
    )
    assert "[E] eye shadow" in problem["detail"]
    assert api.edit(prompt="a woman with [E] eye shadow", attributes=attribute_id).status_code == 202


def test_the_subject_of_an_attribute_may_differ_in_number_from_the_prompt(api: Api) -> None:
    attribute_id = api.learned(api.attribute(prompt="a woman with [E] pearl earrings", subject="pearl earring"))
    assert api.get(f"/attributes/{attribute_id}").json()["subject"] == "pearl earrings"


def test_a_mask_of_everything_is_refused_with_a_remedy_that_exists_here(api: Api) -> None:
    problem = assert_problem(api.attribute(mask=pictures.mask(fill="everything")), 422, "mask_full", "mask")
    assert "edit_mask" not in problem["detail"]


def test_two_ids_in_one_part_are_refused_with_what_is_wrong(api: Api) -> None:
    problem = assert_problem(api.edit(prompt=WEARING, attributes="a_" + 67 * "0"), 422, "option_invalid", "attributes")
    assert problem["detail"].endswith("not a list with one of 69 characters")


def test_placeholders_count_as_one_token_each(api: Api) -> None:
    attribute_id = api.learned(api.attribute())
    free = MAX_TOKENS - 2  # begin and end
    fits = "woman [A] hat " + "man " * (free - 6)  # [I], woman, [A], and "hat", three tokens here
    assert api.edit(prompt=fits, attributes=attribute_id).status_code == 202
    assert_problem(api.edit(prompt=f"{fits} man", attributes=attribute_id), 422, "prompt_too_long", "prompt")


def test_one_photo_is_learned_once_and_keeps_its_first_name(api: Api) -> None:
    first = api.learned(api.attribute())
    engine = FakeEngine()
    again = api.attribute(name="Topper")
    api.work(engine)
    assert api.get(again.headers["location"]).json()["attribute"] == first
    assert engine.learned == 0
    assert api.get(f"/attributes/{first}").json()["name"] == "Bowler"


def test_learners_of_one_attribute_at_once_wait_for_each_other(api: Api) -> None:
    jobs = [api.attribute().json()["id"] for _ in range(3)]
    other = FakeEngine()
    engine = FakeEngine(on_step=lambda progress: (api.work(other), None)[1] if progress.step == 2 else None)
    api.work(engine)
    api.work(other)
    assert {api.get(f"/edits/{job}").json()["state"] for job in jobs} == {"succeeded"}
    assert engine.learned + other.learned == 1


def test_a_worker_that_takes_over_goes_on_at_the_checkpoint(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "FIRST_DELAY_S", 0.0)

    def die(progress: Progress) -> None:
        if progress.step == 5:
            raise RuntimeError("the worker died")

    answer = api.attribute()
    broken, sound = FakeEngine(steps=6, checkpoint_every=2, on_step=die), FakeEngine(steps=6, checkpoint_every=2)
    api.queue.messages.append(api.queue.messages[0])
    ring = api.queue.messages.popleft()
    run_job(ring, api.services, broken)
    api.work(sound)
    assert api.get(answer.headers["location"]).json()["state"] == "succeeded"
    assert [progress.step for progress in sound.events] == [5, 6]


def test_a_checkpoint_that_does_not_fit_costs_a_new_learning_and_no_more(api: Api) -> None:
    answer = api.attribute()
    spec = Jobs(api.services).spec(OWNER, answer.json()["id"])
    concept = FakeEngine().plan_learning(spec.request, EditInputs(pictures.photo(), pictures.mask()))  # type: ignore[arg-type]
    api.artifacts.put(f"{OWNER.prefix}concepts/{concept}/checkpoint-000002.safetensors", b"damaged", media_type="x/y")
    assert api.learned(answer) == concept


def test_the_same_key_is_one_learning(api: Api) -> None:
    headers = {"Idempotency-Key": "k1"}
    first, second = api.attribute(headers=headers), api.attribute(headers=headers)
    assert (second.status_code, second.json()["id"]) == (202, first.json()["id"])
    assert_problem(api.attribute(headers=headers, name="Other"), 422, "idempotency_key_reused")


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no photo": ({"image": None}, "image_missing", "image"),
    "no mask": ({"mask": None}, "mask_missing", "mask"),
    "an empty mask": ({"mask": pictures.mask(fill="nothing")}, "mask_empty", "mask"),
    "not a picture": ({"image": b"%PDF-1.7"}, "image_format", "image"),
    "no prompt": ({"prompt": None}, "prompt_missing", "prompt"),
    "an empty prompt": ({"prompt": ""}, "prompt_empty", "prompt"),
    "no placeholder": ({"prompt": "a woman with a hat"}, "placeholder_missing", "prompt"),
    "an identity's placeholder": ({"prompt": "a [I] woman"}, "placeholder_invalid", "prompt"),
    "the same placeholder twice": ({"prompt": "a photo of a [A] woman with [A] hair"}, "placeholder_invalid", "prompt"),
    "the same placeholder twice before one word": ({"prompt": "a [A] hat on a [A] hat"}, "placeholder_invalid", "prompt"),
    "two placeholders": ({"prompt": "a woman with [A] hat and [B] scarf"}, "placeholder_invalid", "prompt"),
    "a placeholder before nothing": ({"prompt": "a woman with [A]"}, "subject_unknown", "prompt"),
    "a subject that is not after the placeholder": ({"subject": "woman"}, "subject_not_in_prompt", "subject"),
    "a subject without a placeholder before it": ({"prompt": "a hat, [A]", "subject": "hat"}, "subject_not_in_prompt", "subject"),
    "an empty subject": ({"subject": " "}, "part_empty", "subject"),
    "a long prompt": ({"prompt": "[A] hat " + "woman " * MAX_TOKENS}, "prompt_too_long", "prompt"),
    "a long name": ({"name": "x" * 101}, "option_invalid", "name"),
    "an edit's option": ({"steps": "20"}, "option_unknown", "steps"),
    "a webhook where none is sent": ({"webhook_url": "https://a.example/"}, "webhook_unavailable", "webhook_url"),
    "the prompt twice": ({"prompt": ["[A] hat", "[A] hat"]}, "part_repeated", "prompt"),
    "an unknown preset": ({"preset": "best"}, "option_invalid", "preset"),
}


@pytest.mark.parametrize(("parts", "code", "field"), REFUSED.values(), ids=REFUSED.keys())
def test_what_can_not_be_learned_is_refused_and_leaves_nothing(api: Api, parts: dict[str, Any], code: str, field: str) -> None:
    assert_problem(api.attribute(**parts), 422, code, field)
    assert api.kept() == ({}, [], [])


def test_an_erased_attribute_is_gone_and_whoever_waits_with_it_fails(api: Api) -> None:
    attribute_id = api.learned(api.attribute())
    waiting = api.edit(prompt=WEARING, attributes=attribute_id)
    assert api.delete(f"/attributes/{attribute_id}").status_code == 200
    assert_problem(api.get(f"/attributes/{attribute_id}"), 404, "not_found")
    assert_problem(api.delete(f"/attributes/{attribute_id}"), 404, "not_found")
    assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/{attribute_id}"))
    assert_problem(api.edit(prompt=WEARING, attributes=attribute_id), 422, "attribute_unknown", "attributes")
    api.work()
    error = api.get(waiting.headers["location"]).json()["error"]
    assert (error["code"], error["field"]) == ("attribute_unknown", "attributes")


def test_nobody_sees_wears_or_erases_anothers(api: Api) -> None:
    attribute_id = api.learned(api.attribute(user="ada"), user="ada")
    assert_problem(api.get(f"/attributes/{attribute_id}", user="mallory"), 404, "not_found")
    assert_problem(api.delete(f"/attributes/{attribute_id}", user="mallory"), 404, "not_found")
    assert api.get("/attributes", user="mallory").json() == {"items": [], "next_cursor": None}
    stolen = api.edit(prompt=WEARING, attributes=attribute_id, user="mallory")
    assert_problem(stolen, 422, "attribute_unknown", "attributes")
    assert api.get(f"/attributes/{attribute_id}", user="ada").status_code == 200


def test_an_attribute_is_no_identity(api: Api) -> None:
    attribute_id = api.learned(api.attribute())
    assert_problem(api.get(f"/identities/{attribute_id}"), 404, "not_found")
    assert_problem(api.edit(image=None, mask=None, identity=attribute_id), 422, "identity_unknown", "identity")
    assert api.get("/identities").json()["items"] == []

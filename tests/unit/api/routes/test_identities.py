"""Identities over HTTP: learned before any edit, exported, imported and erased."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load

from s2edit_core.request.spec import Progress
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.concept_files import ABOUT, FACTS, concept_file, full, low_rank, parts, with_header
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.wire.test_bad_input import assert_problem

SOURCE = "a photo of a woman"


def described(api: Api, identity: str) -> dict[str, Any]:
    """Return the identity without the link to its photo, which is another one in each second."""
    return {**api.get(f"/identities/{identity}").json(), "photo": None}


@pytest.fixture
def knowing(api: Api) -> Api:
    """Report a model, as a worker does."""
    report_loaded(api.artifacts, api.services.settings.model, FACTS)
    return api


def bring(api: Api, data: bytes | None, *, user: str | None = None) -> Any:
    return api.post("/identities/import", user=user, file=data)


class TestLearningAhead:
    def test_the_edit_that_follows_learns_nothing(self, api: Api) -> None:
        answer = api.identity()
        assert (answer.status_code, answer.json()["kind"]) == (202, "identity")
        identity = api.learned(answer)
        shown = api.get(f"/identities/{identity}").json()
        assert (shown["source_prompt"], shown["subject"], shown["has_photo"]) == ("a photo of a [I] woman", "woman", True)
        (listed,) = api.get("/identities").json()["items"]
        for link in (shown["photo"], listed["photo"]):
            assert f"/concepts/{identity}/image.png" in link["url"]
        engine = FakeEngine()
        by_photo, by_name = api.edit(source_prompt=SOURCE), api.edit(image=None, mask=None, identity=identity)
        api.work(engine)
        for edit in (by_photo, by_name):
            job = api.get(edit.headers["location"]).json()
            assert (job["state"], job["identity"]) == ("succeeded", identity)
        assert engine.learned == 0

    def test_what_an_edit_has_learned_is_not_learned_again(self, api: Api) -> None:
        edit = api.edit(source_prompt=SOURCE)
        api.work()
        engine, answer = FakeEngine(), api.identity()
        api.work(engine)
        job = api.get(answer.headers["location"]).json()
        assert job["identity"] == api.get(edit.headers["location"]).json()["identity"]
        assert (job["report"]["values"]["learning_steps"], engine.learned) == (0, 0)

    def test_the_subject_is_found_or_given(self, api: Api) -> None:
        identity = api.learned(api.identity(prompt="a photo of a queen", subject="queen"))
        assert api.get(f"/identities/{identity}").json()["subject"] == "queen"

    def test_an_edit_that_names_it_changes_nothing_of_it(self, api: Api) -> None:
        """As the descriptions of `identity_ttl_s`, `subject` and `consent` say."""
        identity = api.learned(api.identity())
        before = described(api, identity)
        sent = {"identity_ttl_s": "60", "consent": "yes", "source_prompt": "a photo of a young woman", "subject": "young woman"}
        edit = api.edit(image=None, mask=None, identity=identity, **{**sent, "prompt": "a photo of a young woman smiling"})
        assert edit.status_code == 202, edit.json()
        api.work()
        assert api.get(edit.headers["location"]).json()["state"] == "succeeded"
        assert described(api, identity) == before
        assert before["expires_at"] is None

    @pytest.mark.parametrize(
        ("form", "code", "field"),
        [
            ({"prompt": "a red car"}, "subject_unknown", "prompt"),
            ({"prompt": "a woman with [A] hat"}, "placeholder_unknown", "prompt"),
            ({"subject": "man"}, "subject_not_in_prompt", "prompt"),
            ({"name": 101 * "a"}, "option_invalid", "name"),
            ({"placeholder": "[A]"}, "option_unknown", "placeholder"),
            ({"image": None}, "image_missing", "image"),
        ],
    )
    def test_what_can_not_be_learned_is_refused(self, api: Api, form: dict[str, Any], code: str, field: str) -> None:
        assert_problem(api.identity(**form), 422, code, field)
        assert api.kept() == ({}, [], [])


class TestNames:
    def rename(self, api: Api, identity: str, **body: Any) -> Any:
        return api.client.patch(f"/identities/{identity}", json=body)

    def test_a_person_gets_a_name_when_learned_and_another_one_later(self, api: Api) -> None:
        identity = api.learned(api.identity(name=" Ada "))
        assert api.get(f"/identities/{identity}").json()["name"] == "Ada"
        before = api.get("/identities").json()["items"]
        for name in ("Ada Lovelace", "李雷", None):
            assert self.rename(api, identity, name=name).json()["name"] == name
            assert api.get("/identities").json()["items"] == [{**before[0], "name": name}]

    def test_the_person_of_an_edit_has_no_name_at_first(self, api: Api) -> None:
        edit = api.edit()
        api.work()
        identity = api.get(edit.headers["location"]).json()["identity"]
        stored = json.loads(api.artifacts.get(f"{OWNER.prefix}concepts/{identity}/identity.json"))
        assert "name" not in stored, "the release before this field rejects it"
        assert api.get(f"/identities/{identity}").json()["name"] is None
        assert self.rename(api, identity, name="Ada").status_code == 200
        assert api.edit(image=None, mask=None, identity=identity).status_code == 202

    @pytest.mark.parametrize(
        ("body", "code", "field"),
        [
            ({"name": 101 * "a"}, "option_invalid", "name"),
            ({"name": " "}, "option_invalid", "name"),
            ({"name": "\u200b \u2060"}, "option_invalid", "name"),
            ({"name": "a\nb\0"}, "option_invalid", "name"),
            ({"name": 5}, "option_invalid", "name"),
            ({}, "name_missing", "name"),
            ({"name": "Ada", "consent": "yes"}, "option_unknown", "consent"),
        ],
    )
    def test_what_is_no_name_changes_nothing(self, api: Api, body: dict[str, Any], code: str, field: str) -> None:
        identity = api.learned(api.identity(name="Ada"))
        assert_problem(self.rename(api, identity, **body), 422, code, field)
        assert api.get(f"/identities/{identity}").json()["name"] == "Ada"

    @pytest.mark.parametrize("erases", ["identity", "user"])
    def test_a_renaming_does_not_bring_back_what_is_erased_meanwhile(
        self, api: Api, monkeypatch: pytest.MonkeyPatch, erases: str
    ) -> None:
        identity = api.learned(api.identity())
        put = api.artifacts.put

        def erase_and_put(key: str, data: bytes, **options: Any) -> None:
            monkeypatch.undo()
            assert (
                api.delete(f"/identities/{identity}") if erases == "identity" else api.erase_user(OWNER.user)
            ).status_code == 200
            put(key, data, **options)

        monkeypatch.setattr(api.artifacts, "put", erase_and_put)
        assert_problem(self.rename(api, identity, name="Ada"), 404, "not_found")
        assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/"))

    def test_an_erasure_finds_what_a_renaming_writes_at_its_end(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        """The renaming has seen the concept, and writes when the erasure has just listed what to delete."""
        identity = api.learned(api.identity())
        card = f"{OWNER.prefix}concepts/{identity}/identity.json"
        data, delete = api.artifacts.get(card), api.artifacts.delete_prefix

        def delete_and_write(prefix: str) -> int:
            found = delete(prefix)
            if prefix == card.removesuffix("identity.json"):
                api.artifacts.put(card, data, media_type="application/json")
            return found

        monkeypatch.setattr(api.artifacts, "delete_prefix", delete_and_write)
        assert api.delete(f"/identities/{identity}").status_code == 200
        assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/"))


class TestErasing:
    def test_nothing_of_it_stays_but_the_edits(self, api: Api) -> None:
        edit = api.edit()
        api.work()
        identity = api.get(edit.headers["location"]).json()["identity"]
        assert list(api.artifacts.list(f"{OWNER.prefix}inversions/"))
        assert api.delete(f"/identities/{identity}").status_code == 200
        assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/"))
        assert not list(api.artifacts.list(f"{OWNER.prefix}inversions/"))
        assert_problem(api.get(f"/identities/{identity}"), 404, "not_found")
        assert_problem(api.delete(f"/identities/{identity}"), 404, "not_found")
        assert api.get(edit.headers["location"]).json()["result"]["url"]

    def test_another_identitys_inversions_stay(self, api: Api) -> None:
        one, other = api.edit(), api.edit(image=pictures.photo((80, 80)), mask=pictures.mask((80, 80)))
        api.work()
        identities = [api.get(edit.headers["location"]).json()["identity"] for edit in (one, other)]
        api.delete(f"/identities/{identities[0]}")
        assert len(list(api.artifacts.list(f"{OWNER.prefix}inversions/"))) == 1
        assert api.get(f"/identities/{identities[1]}").status_code == 200

    def test_whoever_waits_with_it_fails_and_does_not_bring_it_back(self, api: Api) -> None:
        identity = api.learned(api.identity())
        photo = {"image": pictures.photo(), "mask": pictures.mask()}
        waiting = api.edit(identity=identity, **photo)
        api.delete(f"/identities/{identity}")
        api.work()
        error = api.get(waiting.headers["location"]).json()["error"]
        assert (error["code"], error["field"]) == ("identity_unknown", "identity")
        assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/"))

    def test_erasing_that_was_cut_short_can_be_repeated(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        identity = api.learned(api.identity())
        delete = api.artifacts.delete_prefix
        with monkeypatch.context() as outage:

            def down(prefix: str) -> int:
                if prefix.endswith("identity.json"):
                    return delete(prefix)
                raise ArtifactsUnavailable("down")

            outage.setattr(api.artifacts, "delete_prefix", down)
            assert_problem(api.delete(f"/identities/{identity}"), 503, "artifacts_unavailable")
        assert api.delete(f"/identities/{identity}").status_code == 200
        assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/"))

    def test_what_is_inverted_while_it_is_erased_goes_too(self, api: Api) -> None:
        identity = api.learned(api.identity())
        edit = api.edit(image=None, mask=None, identity=identity)
        erased: list[int] = []

        def erase(progress: Progress) -> None:
            if progress.phase == "inverting" and not erased:
                erased.append(api.delete(f"/identities/{identity}").status_code)

        api.work(FakeEngine(on_step=erase))
        assert erased == [200]
        job = api.get(edit.headers["location"]).json()
        assert (job["state"], job["error"]["code"], job["results"]) == ("failed", "identity_unknown", [])
        assert not list(api.artifacts.list(f"{OWNER.prefix}concepts/"))
        assert not list(api.artifacts.list(f"{OWNER.prefix}inversions/"))

    def test_nobody_erases_or_exports_anothers(self, api: Api) -> None:
        identity = api.learned(api.identity(user="ada"), user="ada")
        for one in (identity, f"c_{'0' * 32}", "a.b"):
            assert_problem(api.delete(f"/identities/{one}", user="mallory"), 404, "not_found")
            assert_problem(api.get(f"/identities/{one}/export", user="mallory"), 404, "not_found")
        assert api.get(f"/identities/{identity}", user="ada").status_code == 200


class TestExportAndImport:
    def test_the_link_leads_to_the_file_and_the_answer_describes_it(self, api: Api) -> None:
        identity = api.learned(api.identity())
        answer = api.get(f"/identities/{identity}/export").json()
        kept = api.artifacts.get(f"{OWNER.prefix}concepts/{identity}/concept.safetensors")
        assert answer["url"].startswith(f"memory:///{OWNER.prefix}concepts/{identity}/concept.safetensors")
        assert f"name={identity}.safetensors" in answer["url"]
        assert (answer["sha256"], answer["size_bytes"]) == (hashlib.sha256(kept).hexdigest(), len(kept))
        assert (answer["identity"], answer["subject"]) == (identity, "woman")

    @pytest.mark.parametrize("tensors", [low_rank(), full(), {"token": np.ones(4, np.float64)}], ids=["low rank", "full", "token"])
    def test_a_file_becomes_an_identity_once(self, knowing: Api, tensors: dict[str, Any]) -> None:
        data = concept_file(tensors)
        assert load(data).keys() == tensors.keys(), "safetensors itself reads the file"
        first, second = bring(knowing, data), bring(knowing, data)
        assert first.status_code == second.status_code == 201, first.json()
        assert first.json() == second.json()
        assert first.json()["has_photo"] is False
        assert first.headers["location"] == f"/identities/{first.json()['id']}"
        assert [one["id"] for one in knowing.get("/identities").json()["items"]] == [first.json()["id"]]
        assert knowing.get(f"{first.headers['location']}/export").json()["sha256"] == hashlib.sha256(data).hexdigest()

    def test_an_exported_file_with_any_flipped_bit_is_refused(self, knowing: Api) -> None:
        identity = knowing.learned(knowing.identity())
        exported = knowing.artifacts.get(f"{OWNER.prefix}concepts/{identity}/concept.safetensors")
        kept = knowing.kept()
        for place in (-100, -200, len(exported) // 2, 100, 8, 0):
            data = bytearray(exported)
            data[place] ^= 1
            answer = bring(knowing, bytes(data))
            assert answer.status_code == 422, (place, answer.json())
        assert knowing.kept() == kept
        imported = bring(knowing, exported, user="ada")
        assert imported.status_code == 201
        assert imported.json()["id"] != identity

    def test_it_is_its_owners_alone(self, knowing: Api) -> None:
        identity = bring(knowing, concept_file(), user="ada").json()["id"]
        assert_problem(knowing.get(f"/identities/{identity}"), 404, "not_found")
        assert all(key.startswith(("t/default/u/ada/concepts/", "models/")) for key in knowing.artifacts.objects)

    def test_an_edit_with_it_sends_its_photo(self, knowing: Api) -> None:
        identity = bring(knowing, concept_file()).json()["id"]
        assert_problem(knowing.edit(image=None, mask=None, identity=identity), 422, "image_missing", "image")
        assert knowing.edit(identity=identity).status_code == 202

    def test_what_the_engine_refuses_is_not_learned_in_its_place(self, knowing: Api) -> None:
        """The fake engine has not written this file, so it must stay unchanged."""
        data = concept_file()
        identity = bring(knowing, data).json()["id"]
        edit, engine = knowing.edit(identity=identity), FakeEngine()
        knowing.work(engine)
        assert knowing.get(edit.headers["location"]).json()["error"]["code"] == "artifact_mismatch"
        assert engine.learned == 0
        assert knowing.artifacts.get(f"{OWNER.prefix}concepts/{identity}/concept.safetensors") == data

    def test_without_a_worker_nobody_knows_the_model(self, api: Api) -> None:
        problem = assert_problem(bring(api, concept_file()), 503, "model_unknown")
        assert problem["retryable"] is True

    def test_a_missing_file_is_named(self, knowing: Api) -> None:
        assert_problem(knowing.post("/identities/import", files="x"), 422, "option_unknown", "files")
        assert_problem(bring(knowing, "text"), 422, "part_kind", "file")  # type: ignore[arg-type]

    def test_a_link_of_an_erased_file_is_refused(self, knowing: Api) -> None:
        identity = bring(knowing, concept_file()).json()["id"]
        knowing.artifacts.delete_prefix(f"{OWNER.prefix}concepts/{identity}/concept.safetensors")
        assert_problem(knowing.get(f"/identities/{identity}/export"), 404, "not_found")


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    """Return a valid file with a changed header."""
    header, numbers = parts(concept_file())
    change(header)
    return with_header(header, numbers)


def without(name: str) -> dict[str, Any]:
    return {key: tensor for key, tensor in low_rank().items() if key != name}


NAN = {"token": np.array([1, 2, 3, np.nan], np.float32)}
GOOD = concept_file()
BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "concept_damaged"),
    "eight zeros": (bytes(8), "concept_damaged"),
    "a pickle": (pickle.dumps({"token": [1.0]}), "concept_damaged"),
    "a zip": (b"PK\x03\x04" + bytes(100), "concept_damaged"),
    "a picture": (pictures.photo(), "concept_damaged"),
    "cut off in the numbers": (GOOD[:-1], "concept_damaged"),
    "cut off in the header": (GOOD[:50], "concept_damaged"),
    "something behind": (GOOD + b"x", "concept_damaged"),
    "a huge header": (b"\xff" * 8 + GOOD[8:], "concept_damaged"),
    "a header that is a list": (with_header([], b""), "concept_damaged"),
    "a header that is no JSON": (with_header(b"{]", b""), "concept_damaged"),
    "a deep header": (with_header(b"[" * 50_000, b""), "concept_damaged"),
    "a header that is not Unicode": (with_header(b'{"\xff": 1}', b""), "concept_damaged"),
    "a name twice": (with_header(b'{"a": 1, "a": 2}', b""), "concept_damaged"),
    "a tensor that is a number": (changed(lambda header: header.update(token=5)), "concept_damaged"),
    "a tensor of an unknown type": (changed(lambda header: header["token"].update(dtype="OBJECT")), "concept_damaged"),
    "a type that is a list": (changed(lambda header: header["token"].update(dtype=[])), "concept_damaged"),
    "whole numbers": (concept_file({"token": np.ones(4, np.int32)}), "concept_damaged"),
    "a shape that lies": (changed(lambda header: header["token"].update(shape=[5])), "concept_damaged"),
    "a negative shape": (changed(lambda header: header["token"].update(shape=[-2, -2])), "concept_damaged"),
    "a shape of words": (changed(lambda header: header["token"].update(shape="four")), "concept_damaged"),
    "a huge shape": (changed(lambda header: header["token"].update(shape=[2**62, 4])), "concept_damaged"),
    "overlapping tensors": (
        changed(lambda header: header["keys.0.down"].update(data_offsets=[0, 32])),
        "concept_damaged",
    ),
    "no offsets": (changed(lambda header: header["token"].pop("data_offsets")), "concept_damaged"),
    "not a number": (concept_file(NAN), "concept_damaged"),
    "infinity in bfloat16": (concept_file({"token": np.array([0, 0, 0, 0x7F80], np.uint16)}), "concept_damaged"),
    "no token": (concept_file(without("token")), "concept_damaged"),
    "half a layer": (concept_file(without("keys.1.up")), "concept_damaged"),
    "a layer too few": (concept_file({k: v for k, v in low_rank().items() if ".1." not in k}), "concept_damaged"),
    "a tensor too many": (concept_file(low_rank() | {"extra": np.ones(1, np.float32)}), "concept_damaged"),
    "an impossible rank": (concept_file(low_rank(129)), "concept_damaged"),
    "a token of another width": (concept_file({"token": np.ones(5, np.float32)}), "concept_damaged"),
    "no description": (changed(lambda header: header.pop("__metadata__")), "concept_unknown"),
    "a description that is no JSON": (changed(lambda header: header.update(__metadata__={"s2edit": "{"})), "concept_unknown"),
    "a description that is a list": (changed(lambda header: header.update(__metadata__={"s2edit": "[]"})), "concept_unknown"),
    "another kind of file": (concept_file(format="s2edit-inversion-1"), "concept_unknown"),
    "an attribute": (concept_file(placeholder="[A]"), "concept_not_identity"),
    "another model's": (concept_file(fingerprint="0" * 32), "concept_foreign"),
    "no prompt": (concept_file(facts={}), "concept_damaged"),
    "facts that are a list": (concept_file(facts=[]), "concept_damaged"),
    "a prompt without the placeholder": (concept_file(facts={"prompt": "a woman"}), "concept_damaged"),
    "a long prompt": (concept_file(facts={"prompt": "[I] " * 1000}), "concept_damaged"),
    "no subject": (concept_file(subject=""), "concept_damaged"),
    "a subject that is a number": (concept_file(subject=7), "concept_damaged"),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN.keys())
def test_a_foreign_or_broken_file_is_refused_and_leaves_nothing(knowing: Api, data: bytes, code: str) -> None:
    before = dict(knowing.artifacts.objects)
    problem = assert_problem(bring(knowing, data), 422, code, "file")
    assert problem["errors"][0]["pointer"] == "#/file"
    assert knowing.artifacts.objects == before


def test_any_byte_of_the_header_may_be_another(knowing: Api) -> None:
    """Changing any byte never leads to a server error."""
    size = 8 + int.from_bytes(GOOD[:8], "little")
    for place in range(0, size, 5):
        data = GOOD[:place] + bytes([GOOD[place] ^ 0x15]) + GOOD[place + 1 :]
        assert bring(knowing, data).status_code in (201, 422), place


def test_the_made_files_say_what_real_ones_say() -> None:
    from s2edit_core.concepts.concept import FORMAT

    assert json.loads(parts(GOOD)[0]["__metadata__"]["s2edit"]) == ABOUT
    assert ABOUT["format"] == FORMAT

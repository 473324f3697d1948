"""Erasure over HTTP: what is erased, what stays, and what the receipt proves."""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from fastapi.testclient import TestClient
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from pydantic import SecretStr

from api.app import create_app
from api.wire.receipts import TYPE, Receipts
from s2edit_jobs.access.revoked_tokens import ENDED
from s2edit_jobs.bootstrap import NotConfigured
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.lifecycle.request_markers import ERASED
from s2edit_jobs.records.errors import DeletionRefused
from s2edit_jobs.records.record import Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import report_loaded
from tests.unit.api.concept_files import FACTS, concept_file
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.wire.test_bad_input import assert_problem

NEVER = f"e_{'0' * 32}"


def claims(api: Api, receipt: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(api.client.get("/receipts/keys").json())
    token = jwt.decode(receipt, keys, algorithms=["ES256"])
    assert token.header["typ"] == TYPE
    return token.claims


def test_everything_of_a_user_is_erased_and_of_others_nothing(api: Api) -> None:
    api.edit(user="bob")
    before = dict(api.artifacts.objects)
    for key in ("one", "two"):
        api.edit(user="ada", headers={"Idempotency-Key": key})
    api.learned_identity(owner=Owner("default", "ada"))
    there = len(list(api.artifacts.list("t/default/u/ada/")))
    answer = api.erase_user("ada")
    assert answer.status_code == 200
    assert answer.json()["objects"] == there
    assert {key: data for key, data in api.artifacts.objects.items() if not key.startswith((ENDED, ERASED, "keys/"))} == before
    said = claims(api, answer.json()["receipt"])
    told = {
        "erased": "user",
        "id": "ada",
        "tenant": "default",
        "user": "ada",
        "objects": there,
        "edits": 2,
        "identities": 1,
        "attributes": 0,
        "redis_files_rewritten": True,
        "iss": "http://127.0.0.1:8000",
    }
    assert {name: said[name] for name in told} == told
    assert said["requested_at"] <= said["erased_at"]


def test_an_erased_attribute_is_gone_with_a_receipt(api: Api) -> None:
    attribute = api.learned(api.attribute())
    answer = api.client.delete(f"/attributes/{attribute}")
    assert (answer.status_code, answer.json()["objects"]) == (200, 2)
    said = claims(api, answer.json()["receipt"])
    assert (said["erased"], said["id"]) == ("attribute", attribute)
    left = [key for key in api.artifacts.objects if attribute in key and "/index/" not in key]  # the job that learned it stays
    assert left == [f"{OWNER.prefix}erased/{attribute}"]
    assert_problem(api.client.delete(f"/attributes/{attribute}"), 404, "not_found")


def test_what_was_learned_goes_with_its_user_and_is_counted(api: Api) -> None:
    api.learned(api.attribute())
    api.learned(api.identity())
    said = claims(api, api.erase_user("default").json()["receipt"])
    assert (said["attributes"], said["identities"], said["edits"]) == (1, 1, 2)
    assert not list(api.artifacts.list("t/"))


def test_an_identity_that_is_brought_while_its_user_is_erased_is_refused(api: Api) -> None:
    report_loaded(api.artifacts, api.services.settings.model, FACTS)
    erasure = Erasure(api.services)
    begun, _ = erasure.begin(Owner("default", "default"))
    assert_problem(api.post("/identities/import", file=concept_file()), 409, "being_erased")
    assert not list(api.artifacts.list("t/"))
    erasure.complete(begun)
    assert api.post("/identities/import", file=concept_file()).status_code == 201


def test_erasing_again_erases_nothing_and_says_so(api: Api) -> None:
    assert api.erase_user("nobody").json()["objects"] == 0


def test_an_erased_edit_is_gone_with_all_its_files(api: Api) -> None:
    edit_id = api.edit().json()["id"]
    answer = api.client.delete(f"/edits/{edit_id}")
    assert (answer.status_code, answer.json()["objects"]) == (200, 3)
    assert claims(api, answer.json()["receipt"])["id"] == edit_id
    assert not any(edit_id in key for key in api.artifacts.objects)
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("DELETE", "")):
        assert_problem(api.client.request(method, f"/edits/{edit_id}{path}"), 404, "not_found")


def test_an_erased_identity_is_gone_and_can_not_be_named(api: Api) -> None:
    identity_id = api.learned_identity()
    answer = api.client.delete(f"/identities/{identity_id}")
    assert (answer.status_code, answer.json()["objects"]) == (200, 3)
    assert claims(api, answer.json()["receipt"])["erased"] == "identity"
    assert list(api.artifacts.objects) == [f"{OWNER.prefix}erased/{identity_id}"], "the time of the erasure"
    assert_problem(api.client.get(f"/identities/{identity_id}"), 404, "not_found")
    assert_problem(api.edit(image=None, mask=None, identity=identity_id), 422, "identity_unknown", "identity")


@pytest.mark.parametrize("path", [f"/edits/{NEVER}", "/edits/../x", f"/identities/c_{'0' * 32}"])
def test_what_does_not_exist_is_not_found(api: Api, path: str) -> None:
    assert_problem(api.client.delete(path), 404, "not_found")


def test_foreign_things_are_not_found_and_stay(api: Api) -> None:
    edit_id = api.edit(user="ada").json()["id"]
    identity_id = api.learned_identity(owner=Owner("default", "ada"))
    before = dict(api.artifacts.objects)
    for path in (f"/edits/{edit_id}", f"/identities/{identity_id}"):
        assert_problem(api.client.delete(path, headers={"S2Edit-User": "eve"}), 404, "not_found")
    assert api.artifacts.objects == before


@pytest.mark.parametrize("user", ["a" * 65, "a.b", "%2e%2e", "ä"])
def test_a_name_that_is_none_is_refused(api: Api, user: str) -> None:
    answer = api.erase_user(user)
    assert answer.status_code in (404, 422), answer.text


def test_while_it_lasts_requests_of_the_user_are_refused_and_leave_nothing(api: Api) -> None:
    erasure = Erasure(api.services)
    begun, _ = erasure.begin(Owner("default", "default"))
    before = api.kept()
    answer = api.edit()
    assert_problem(answer, 409, "being_erased")
    assert int(answer.headers["retry-after"]) > 0
    assert api.kept() == before
    assert api.edit(user="bob").status_code == 202
    erasure.complete(begun)
    assert api.edit().status_code == 202


def test_a_running_edit_is_stopped_and_whoever_waits_for_it_is_told(api: Api) -> None:
    edit_id = api.edit().json()["id"]
    tag = api.client.get(f"/edits/{edit_id}").headers["etag"]
    answers: list[Any] = []
    waiting = threading.Thread(
        target=lambda: answers.append(api.client.get(f"/edits/{edit_id}", headers={"Prefer": "wait=20", "If-None-Match": tag}))
    )
    waiting.start()
    assert api.client.delete(f"/edits/{edit_id}").status_code == 200
    waiting.join(10)
    assert [answer.status_code for answer in answers] == [404]


class TestReceipts:
    def test_the_key_is_kept_and_everyone_uses_the_same(self, tmp_path: Any) -> None:
        settings = Settings(data_dir=tmp_path)
        first, second = Receipts.from_settings(settings), Receipts.from_settings(settings)
        assert first.public_keys == second.public_keys
        assert (tmp_path / "receipt.key").stat().st_mode & 0o777 == 0o600

    def test_the_published_keys_hold_no_private_part(self, api: Api) -> None:
        assert all("d" not in key for key in api.client.get("/receipts/keys").json()["keys"])

    def test_a_changed_receipt_is_found_out(self, api: Api) -> None:
        receipt = api.erase_user("ada").json()["receipt"]
        head, body, signature = receipt.split(".")
        other = api.erase_user("bob").json()["receipt"].split(".")[1]
        with pytest.raises(JoseError):
            claims(api, f"{head}.{other}.{signature}")
        assert claims(api, f"{head}.{body}.{signature}")["user"] == "ada"

    def test_a_key_of_ones_own_signs(self, tmp_path: Any) -> None:
        key = ECKey.generate_key("P-256")
        receipts = Receipts.from_settings(Settings(data_dir=tmp_path, receipt_key=SecretStr(key.as_pem(private=True).decode())))
        assert jwt.decode(receipts.sign({"erased": "user"}), key).claims["erased"] == "user"
        assert not (tmp_path / "receipt.key").exists()

    @pytest.mark.parametrize(
        "text",
        [
            "not a key",
            ECKey.generate_key("P-256").as_pem(private=False).decode(),
            ECKey.generate_key("P-384").as_pem(private=True).decode(),
        ],
        ids=["nonsense", "public", "another curve"],
    )
    def test_a_key_that_can_not_sign_is_refused(self, tmp_path: Any, text: str) -> None:
        with pytest.raises(NotConfigured, match="S2EDIT_RECEIPT_KEY"):
            Receipts.from_settings(Settings(data_dir=tmp_path, receipt_key=SecretStr(text)))

    def test_the_key_is_made_at_the_start_as_the_disk_may_be_full_at_the_first_erasure(self, api: Api, tmp_path: Any) -> None:
        create_app(replace(api.services, settings=api.services.settings.model_copy(update={"data_dir": tmp_path / "new"})))
        assert (tmp_path / "new" / "receipt.key").exists()

    def test_a_key_that_can_not_be_made_delays_the_erasure(self, api: Api, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: Any) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        settings = api.services.settings.model_copy(update={"data_dir": tmp_path / "new", "token_keys": SecretStr("k" * 32)})
        with monkeypatch.context() as patch:
            patch.setattr("s2edit_jobs.bootstrap._write_key", full)
            api.client = TestClient(create_app(replace(api.services, settings=settings)), raise_server_exceptions=False)
            answer = api.erase_user("ada")
            assert_problem(answer, 503, "artifacts_unavailable")
            assert answer.json()["retryable"]
        assert api.erase_user("ada").status_code == 200

    def test_a_key_that_can_not_sign_stops_the_service_from_starting(self, api: Api) -> None:
        settings = api.services.settings.model_copy(update={"receipt_key": SecretStr("not a key")})
        with pytest.raises(NotConfigured):
            create_app(replace(api.services, settings=settings))


@pytest.mark.parametrize(("asked", "seconds"), [({}, 60), ({"identity_ttl_s": "30"}, 30), ({"identity_ttl_s": "90"}, 60)])
def test_the_expiry_follows_a_setting_that_came_later(api: Api, asked: dict[str, str], seconds: int) -> None:
    identity = api.learned(api.identity(**asked))
    api.limit(identity_ttl_s=60.0)
    for shown in (api.get(f"/identities/{identity}").json(), api.get("/identities").json()["items"][0]):
        ages = datetime.fromisoformat(shown["expires_at"]) - datetime.fromisoformat(shown["created_at"])
        assert ages.total_seconds() == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("kind", ["identity", "attribute"])
def test_a_name_that_is_changed_leaves_no_older_version(api: Api, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket with versioning would keep the name that somebody has removed. Without that right, the new one counts."""
    learned = api.learned(api.identity(name="Ada") if kind == "identity" else api.attribute(name="Ada"))
    replaced: list[bytes] = []
    replace_object = api.artifacts.replace

    def noting(key: str, data: bytes, *, media_type: str) -> None:
        replaced.append(data)
        replace_object(key, data, media_type=media_type)
        raise DeletionRefused("the right is missing")

    monkeypatch.setattr(api.artifacts, "replace", noting)
    path = {"identity": "identities", "attribute": "attributes"}[kind]
    assert api.client.patch(f"/{path}/{learned}", json={"name": None}).json()["name"] is None
    assert [b"Ada" in data for data in replaced] == [False]

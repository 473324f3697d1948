"""The contract of the key ring, with every object store."""

from __future__ import annotations

import time

import pytest

from s2edit_jobs.access.keys import SCOPES, USUAL_SCOPES, KeyEnded, KeyNotFound, KeyRing, authenticate
from s2edit_jobs.records.errors import CredentialsInvalid
from s2edit_jobs.stores.artifacts import ArtifactStore


@pytest.fixture
def ring(artifacts: ArtifactStore) -> KeyRing:
    return KeyRing(artifacts)


def test_a_key_has_its_tenant_and_scopes(ring: KeyRing) -> None:
    assert not ring.exist()
    made, text = ring.create("acme", ["edits:read"], note="phone team")
    found = authenticate(ring, text)
    assert found == made
    assert (found.tenant, found.scopes, found.note) == ("acme", {"edits:read"}, "phone team")
    assert ring.exist()
    assert ring.any_active()


def test_the_secret_is_not_stored(ring: KeyRing, artifacts: ArtifactStore) -> None:
    _, text = ring.create("acme")
    secret = text.split("_", 2)[2].encode()
    keys = list(artifacts.list("keys/"))
    assert keys
    for key in keys:
        assert secret not in artifacts.get(key)
        assert secret.decode() not in key


def test_two_keys_have_nothing_in_common(ring: KeyRing) -> None:
    (one, first), (other, second) = ring.create("acme"), ring.create("acme")
    assert one.id != other.id
    assert not set(first.split("_", 2)[1:]) & set(second.split("_", 2)[1:])
    assert {key.id for key in ring.list()} == {one.id, other.id}
    assert one.scopes == USUAL_SCOPES < SCOPES


def test_a_wrong_secret_is_rejected(ring: KeyRing) -> None:
    (_, first), (_, second) = ring.create("acme"), ring.create("acme")
    prefix, key_id, secret = first.split("_", 2)
    mixed = f"{prefix}_{key_id}_{second.split('_', 2)[2]}"
    flipped = f"{prefix}_{key_id}_{'A' if secret[0] != 'A' else 'B'}{secret[1:]}"
    for text in (mixed, flipped, first[:-1], first + "A", first.upper(), "s2e_", "", "s2e_../../x_" + "A" * 43):
        with pytest.raises(CredentialsInvalid):
            authenticate(ring, text)


def test_a_revoked_key_is_rejected_and_stays_in_the_list(ring: KeyRing) -> None:
    key, text = ring.create("acme")
    ring.revoke(key.id)
    ring.revoke(key.id)
    with pytest.raises(CredentialsInvalid):
        authenticate(ring, text)
    (kept,) = ring.list()
    assert kept.ends_at is not None
    assert not ring.any_active()
    assert ring.exist()


def test_after_a_rotation_both_keys_work_until_the_old_one_expires(ring: KeyRing) -> None:
    old, old_text = ring.create("acme", ["edits:read", "admin"], note="backend")
    new, new_text = ring.rotate(old.id, grace_s=60)
    assert authenticate(ring, old_text).id == old.id
    fresh = authenticate(ring, new_text)
    assert (fresh.tenant, fresh.scopes, fresh.note) == (old.tenant, old.scopes, old.note)
    again = ring.find(old.id)
    assert again is not None
    assert again.ends_at == pytest.approx(time.time() + 60, abs=30)
    ring.revoke(old.id)  # revoking a leaked key ends the grace period
    with pytest.raises(CredentialsInvalid):
        authenticate(ring, old_text)
    assert authenticate(ring, new_text).id == new.id


def test_a_rotation_without_a_grace_period_ends_the_old_key_at_once(ring: KeyRing) -> None:
    old, old_text = ring.create("acme")
    ring.rotate(old.id, grace_s=0)
    with pytest.raises(CredentialsInvalid):
        authenticate(ring, old_text)


@pytest.mark.parametrize("end", ["rotated", "revoked"])
def test_a_key_can_be_rotated_only_once(ring: KeyRing, end: str) -> None:
    key, _ = ring.create("acme")
    if end == "rotated":
        ring.rotate(key.id, grace_s=60)
    else:
        ring.revoke(key.id)
    before = len(list(ring.list()))
    with pytest.raises(KeyEnded):
        ring.rotate(key.id, grace_s=60)
    assert len(list(ring.list())) == before


def test_only_one_of_two_concurrent_rotations_succeeds(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    key, _ = ring.create("acme")
    seen = ring.find(key.id)
    ring.rotate(key.id, grace_s=60)
    monkeypatch.setattr(ring, "_existing", lambda _: seen)  # the state before the first rotation
    with pytest.raises(KeyEnded):
        ring.rotate(key.id, grace_s=60)
    monkeypatch.undo()
    assert sum(one.ends_at is None for one in ring.list()) == 1


def test_an_unknown_key_cannot_be_revoked_or_rotated(ring: KeyRing) -> None:
    for key_id in ("0" * 16, "../../x", ""):
        assert ring.find(key_id) is None
        with pytest.raises(KeyNotFound):
            ring.revoke(key_id)
        with pytest.raises(KeyNotFound):
            ring.rotate(key_id, grace_s=1)


@pytest.mark.parametrize("tenant", ["", "a/b", "..", "a b", "é", "x" * 65])
def test_a_tenant_must_fit_into_an_object_key(ring: KeyRing, tenant: str) -> None:
    with pytest.raises(ValueError, match="tenant"):
        ring.create(tenant)
    assert not ring.exist()


def test_unknown_or_missing_scopes_are_rejected(ring: KeyRing) -> None:
    for scopes in ([], ["edits:all"]):
        with pytest.raises(ValueError, match="scopes"):
            ring.create("acme", scopes)  # type: ignore[arg-type]


def test_a_test_key_acts_for_a_tenant_that_no_live_key_can_have(ring: KeyRing) -> None:
    made, text = ring.create("acme", test=True)
    assert text.startswith("test_")
    found = authenticate(ring, text)
    assert (found, found.tenant, found.test) == (made, "acme", True)
    assert found.effective_tenant != ring.create("acme")[0].effective_tenant == "acme"
    with pytest.raises(ValueError, match="valid tenant name"):
        ring.create(found.effective_tenant)
    with pytest.raises(CredentialsInvalid):
        authenticate(ring, text.replace("test_", "s2e_", 1))
    rotated, new = ring.rotate(found.id, grace_s=0)
    assert (rotated.effective_tenant, new[:5]) == (found.effective_tenant, "test_")

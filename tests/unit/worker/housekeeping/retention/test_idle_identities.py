"""Identities that no edit has used for long go, if the settings say so, unless an edit is about to use them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.library.last_use import DAY_S, used_name
from s2edit_jobs.records.errors import IdentityNotFound
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.artifacts import concept_key, edit_key
from tests.unit.worker.conftest import ANN, FILES, InProcessService
from tests.unit.worker.housekeeping.retention.sweeps import BOB, configured, done, sweep, used

SMILING = "a photo of a smiling woman"


def idle(service: InProcessService, pass_time: Callable[[float], None]) -> str:
    """Return an identity that has been idle for so long that the next sweep erases it."""
    identity = service.get(done(service)).identity
    assert identity is not None
    configured(service, identity_idle_ttl_s=DAY_S)
    pass_time(2 * DAY_S)
    return identity


def test_an_unused_identity_goes_if_the_settings_say_so(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    identity = service.get(done(service)).identity
    assert identity is not None
    pass_time(40 * DAY_S)
    done(service)
    configured(service, identity_idle_ttl_s=30 * DAY_S, inversion_ttl_s=100 * DAY_S)
    pass_time(30 * DAY_S - 60)
    assert sweep(service) == {}
    pass_time(120)
    assert sweep(service) == {"identities": 1}
    with pytest.raises(IdentityNotFound):
        Library(service.services).identity(ANN, identity)
    assert [key for key in service.artifacts.objects if "/concepts/" in key or "/inversions/" in key] == []


def test_an_identity_that_is_used_since_the_listing_stays(
    service: InProcessService, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = service.get(done(service)).identity
    assert identity is not None
    configured(service, identity_idle_ttl_s=DAY_S)
    pass_time(2 * DAY_S)
    listed = service.artifacts.list

    def use_before(prefix: str, *, after: str | None = None) -> Iterator[str]:
        if prefix.startswith(f"{ANN.prefix}concepts/"):
            monkeypatch.undo()
            service.artifacts.put(concept_key(ANN, identity, used_name(None, time.time() + 2 * DAY_S)), b"", media_type="x/y")
        return listed(prefix, after=after)

    monkeypatch.setattr(service.artifacts, "list", use_before)
    assert sweep(service) == {}
    assert Library(service.services).identity(ANN, identity).id == identity


def test_an_identity_without_a_time_of_use_counts_as_used_now(
    service: InProcessService, pass_time: Callable[[float], None]
) -> None:
    done(service)
    service.artifacts.delete(used(service))
    configured(service, identity_idle_ttl_s=DAY_S)
    pass_time(100 * DAY_S)
    assert sweep(service) == {}
    pass_time(DAY_S + 1)
    assert sweep(service) == {"identities": 1}


@pytest.mark.parametrize("own_photo", [False, True])
@pytest.mark.parametrize("lost", [False, True], ids=["", "and Redis is empty"])
def test_an_identity_that_an_unfinished_edit_names_stays(
    service: InProcessService, pass_time: Callable[[float], None], own_photo: bool, lost: bool
) -> None:
    identity = idle(service, pass_time)
    waiting = service.accept(EditRequest(prompt=SMILING, identity=identity), FILES if own_photo else {})
    if lost:
        service.database.empty()
    pass_time(2 * DAY_S)
    assert "identities" not in sweep(service)
    assert service.get(waiting).state is JobState.QUEUED
    service.work()
    assert service.get(waiting).state is JobState.SUCCEEDED
    pass_time(2 * DAY_S)
    assert sweep(service)["identities"] == 1


def test_edits_of_other_identities_and_users_do_not_keep_it(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    idle(service, pass_time)
    service.accept()
    damaged = service.accept()
    service.artifacts.put(edit_key(ANN, damaged, "spec.json"), b"{", media_type="application/json")
    service.jobs.accept(draft(service.services, BOB, EditRequest(prompt=SMILING), FILES), FILES)
    assert sweep(service)["identities"] == 1


def test_an_edit_of_a_newer_release_keeps_it(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    identity = idle(service, pass_time)
    key = edit_key(ANN, service.accept(), "spec.json")
    newer = {**json.loads(service.artifacts.get(key)), "version": 99}
    service.artifacts.put(key, json.dumps(newer).encode(), media_type="application/json")
    assert "identities" not in sweep(service)
    assert Library(service.services).identity(ANN, identity).id == identity

"""What has outlived its time goes, by the settings; the rest stays."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from s2edit_jobs.library.concepts import CONCEPT, METADATA, Library
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.last_use import DAY_S
from s2edit_jobs.lifecycle.learnings import LEARNING
from s2edit_jobs.records.errors import JobNotFound
from s2edit_jobs.records.record import JobState, Owner
from s2edit_jobs.stores.artifacts import concept_key, inversion_key
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, REQUEST, InProcessService
from tests.unit.worker.housekeeping.retention.sweeps import (
    BOB,
    HOUR_S,
    WEEK_S,
    RecordingAudit,
    configured,
    done,
    inversions,
    names_of,
    slid,
    sweep,
    used,
)

# --- edits and their pictures ----------------------------------------------------------------------------------------


def test_nothing_that_users_keep_expires_by_default(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    done(service)
    pass_time(2 * HOUR_S)
    kept = dict(service.artifacts.objects)
    pass_time(DAY_S)
    assert sweep(service) == {}
    assert service.artifacts.objects == kept


def test_the_pictures_go_after_their_time_and_the_record_stays(
    service: InProcessService, pass_time: Callable[[float], None]
) -> None:
    audit = RecordingAudit()
    service.services = replace(service.services, audit=audit)
    job_id = done(service, replace(REQUEST, variants=2))
    assert names_of(service, job_id) == {"spec", "image", "mask", "result", "result_1", "report", "outcome"}
    configured(service, result_ttl_s=30 * DAY_S)
    pass_time(30 * DAY_S - 60)
    assert "pictures" not in sweep(service)
    pass_time(120)
    assert sweep(service)["pictures"] == 4
    assert names_of(service, job_id) == {"spec", "report", "outcome"}
    assert audit.entries[-1] == ("edit.erase", job_id, "pictures_expired")
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert "pictures" not in sweep(service)


def test_the_record_of_a_cancellation_is_no_picture(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    def cancel(progress: Any) -> None:
        if progress.phase == "editing":
            service.jobs.cancel(ANN, job_id)

    job_id = service.accept()
    service.work(FakeEngine(on_step=cancel))
    configured(service, result_ttl_s=HOUR_S)
    pass_time(HOUR_S + 1)
    assert sweep(service)["pictures"] == 2
    assert names_of(service, job_id) == {"spec", "cancellation", "outcome"}


def test_an_edit_goes_whole_and_leaves_what_it_has_learned(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    audit = RecordingAudit()
    service.services = replace(service.services, audit=audit)
    job_id = done(service)
    identity = service.get(job_id).identity
    assert identity is not None
    configured(service, edit_ttl_s=DAY_S, result_ttl_s=HOUR_S)
    pass_time(DAY_S + 1)
    assert sweep(service) == {"edits": 1}
    with pytest.raises(JobNotFound):
        service.get(job_id)
    assert [key for key in service.artifacts.objects if job_id in key or "/index/" in key] == []
    assert service.database.jobs_of(ANN) == []
    assert Library(service.services).identity(ANN, identity).id == identity
    assert audit.entries[-1] == ("edit.erase", job_id, "expired")


def test_the_times_count_from_the_end_and_an_unfinished_edit_has_none(
    service: InProcessService, pass_time: Callable[[float], None]
) -> None:
    waiting, late = service.accept(), service.accept()
    configured(service, edit_ttl_s=DAY_S)
    pass_time(3 * DAY_S)
    service.queue.messages.popleft()
    service.jobs.cancel(ANN, late)
    assert sweep(service) == {}
    pass_time(DAY_S + 1)
    assert sweep(service) == {"edits": 1}
    assert service.get(waiting).state is JobState.QUEUED
    with pytest.raises(JobNotFound):
        service.get(late)


def test_an_edit_that_was_erased_since_the_listing_is_passed_over(
    service: InProcessService, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = done(service)
    pass_time(1)
    second = done(service)
    configured(service, edit_ttl_s=DAY_S)
    pass_time(DAY_S + 1)
    outcome = service.jobs.outcome
    erased: list[str] = []

    def erase_first(_self: object, owner: Owner, job_id: str) -> Any:
        if not erased:
            erased.append(job_id)
            Erasure(service.services).edit(owner, job_id)
        return outcome(owner, job_id)

    monkeypatch.setattr("s2edit_jobs.lifecycle.jobs.Jobs.outcome", erase_first)
    assert sweep(service) == {"edits": 1}
    assert erased == [first]
    with pytest.raises(JobNotFound):
        service.get(second)


# --- inversions ------------------------------------------------------------------------------------------------------


def test_an_inversion_goes_when_it_was_not_used_for_its_time(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    done(service)
    assert len(inversions(service)) == 1
    pass_time(WEEK_S - DAY_S)
    done(service)  # uses it again
    pass_time(WEEK_S - 60)
    assert sweep(service) == {}
    pass_time(120)
    assert sweep(service) == {"inversions": 3}  # the file, its marker and its time of use
    assert inversions(service) == set()
    engine = FakeEngine()
    job_id = service.accept()
    service.work(engine)
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert (engine.learned, engine.inverted) == (0, 1)


def test_a_guidance_slider_keeps_the_inversions_that_were_used_last(
    service: InProcessService, pass_time: Callable[[float], None]
) -> None:
    configured(service, max_inversions_per_identity=4)
    for notch in range(10):
        done(service, slid(1 + notch / 2))
        pass_time(60)
    assert len(inversions(service)) == 4
    engine = FakeEngine()
    for notch in (9, 8, 7, 6):
        service.accept(slid(1 + notch / 2))
        service.work(engine)
    assert engine.inverted == 0
    service.accept(slid(1.0))
    service.work(engine)
    assert engine.inverted == 1


def test_a_sweep_applies_a_lower_limit_to_what_is_there(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    for notch in range(5):
        done(service, slid(1 + notch / 2))
        pass_time(60)
    configured(service, max_inversions_per_identity=2)
    assert sweep(service) == {"inversions": 9}
    assert len(inversions(service)) == 2


def test_a_time_of_use_is_written_once_a_day(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    done(service)
    first = used(service)
    assert len(first) == 2  # the identity's and the inversion's
    pass_time(DAY_S / 2)
    done(service)
    assert used(service) == first
    pass_time(DAY_S)
    done(service)
    second = used(service)
    assert len(second) == 2
    assert not {*first} & {*second}


def test_inversions_of_an_earlier_release_count_from_the_first_sweep(
    service: InProcessService, pass_time: Callable[[float], None]
) -> None:
    done(service)
    service.artifacts.delete(used(service))
    pass_time(100 * DAY_S)
    assert sweep(service) == {}
    assert len(used(service)) == 1
    pass_time(WEEK_S - 60)
    assert sweep(service) == {}
    pass_time(120)
    assert sweep(service) == {"inversions": 3}


def test_an_inversion_that_no_identity_knows_of_goes(service: InProcessService) -> None:
    done(service)
    known = inversions(service)
    lost = f"i_{'0' * 32}"
    service.artifacts.put(inversion_key(ANN, lost, "inversion.safetensors"), b"x", media_type="x/y")
    service.artifacts.put(inversion_key(BOB, next(iter(known)), "inversion.safetensors"), b"x", media_type="x/y")
    assert sweep(service) == {"inversions": 2}
    assert inversions(service) == known


def test_an_edit_computes_an_inversion_that_is_swept_before_it_is_read(
    service: InProcessService, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    done(service)
    pass_time(WEEK_S + 60)
    get = service.artifacts.get

    def sweep_before(key: str) -> bytes:
        if key.endswith("inversion.safetensors"):
            assert sweep(service) == {"inversions": 3}
        return get(key)

    monkeypatch.setattr(service.artifacts, "get", sweep_before)
    engine = FakeEngine()
    job_id = service.accept()
    service.work(engine)
    assert service.get(job_id).state is JobState.SUCCEEDED
    assert (engine.learned, engine.inverted) == (0, 1)
    assert len(inversions(service)) == 1


def test_one_that_is_removed_while_it_is_stored_is_not_left_without_its_marker(
    service: InProcessService, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = service.artifacts.put

    def remove_marker_before(key: str, data: bytes, **options: Any) -> None:
        if key.endswith("inversion.safetensors"):
            service.artifacts.delete([each for each in service.artifacts.objects if "/concepts/" in each and "/i_" in each])
        put(key, data, **options)

    monkeypatch.setattr(service.artifacts, "put", remove_marker_before)
    done(service)
    assert inversions(service) == set()


# --- identities and checkpoints --------------------------------------------------------------------------------------


@pytest.mark.parametrize("asked", [None, 100 * DAY_S])
def test_the_age_of_identities_is_limited_also_where_they_are_older_than_the_setting(
    service: InProcessService, pass_time: Callable[[float], None], asked: float | None
) -> None:
    job_id = service.accept(identity_ttl_s=asked)
    service.work()
    identity = service.get(job_id).identity
    assert identity is not None
    pass_time(20 * DAY_S)
    configured(service, identity_ttl_s=30 * DAY_S, inversion_ttl_s=100 * DAY_S)
    assert sweep(service) == {}
    pass_time(10 * DAY_S + 1)
    done(service)  # its age counts, and not its use
    assert sweep(service) == {"identities": 1}
    assert [key for key in service.artifacts.objects if "/concepts/" in key or "/inversions/" in key or "expiring/" in key] == []


def test_an_identity_of_unknown_age_is_swept_otherwise(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    identity = service.get(done(service)).identity
    assert identity is not None
    service.artifacts.put(concept_key(ANN, identity, METADATA["c_"]), b"{", media_type="application/json")
    configured(service, identity_ttl_s=DAY_S, inversion_ttl_s=2 * DAY_S)
    pass_time(3 * DAY_S + 1)
    assert sweep(service)["inversions"] >= 1
    configured(service, identity_idle_ttl_s=DAY_S)
    assert sweep(service) == {"identities": 1}


def test_checkpoints_of_a_learning_that_was_given_up_go(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    def give_up(progress: Any) -> None:
        if progress.phase == "learning" and progress.step == 2:
            service.jobs.cancel(ANN, job_id)

    job_id = service.accept()
    service.work(FakeEngine(checkpoint_every=1, on_step=give_up))
    checkpoints = [key for key in service.artifacts.objects if "checkpoint-" in key]
    assert checkpoints
    assert sweep(service) == {}
    pass_time(WEEK_S - 60)
    assert sweep(service) == {}
    pass_time(120)
    assert sweep(service) == {"unlearned": len(checkpoints) + 1}  # and the marker that says since when
    assert [key for key in service.artifacts.objects if "/concepts/" in key] == []


def lost(service: InProcessService, *names: str) -> str:
    """Learn an identity, then lose objects of it. Return the prefix of its folder."""
    folder = concept_key(ANN, service.get(done(service)).identity or "", "")
    for name in names:
        service.artifacts.delete_prefix(folder + name)
    return folder


@pytest.mark.parametrize("by_a_marker", [False, True])
def test_copies_of_a_photo_that_belong_to_no_identity_go(
    service: InProcessService, pass_time: Callable[[float], None], by_a_marker: bool
) -> None:
    """Earlier releases have left some without a marker. One with a marker may also have metadata, and its job is not erased."""
    folder = lost(service, CONCEPT, "inversions/", "used-", *(() if by_a_marker else [METADATA["c_"]]))
    if by_a_marker:
        service.artifacts.put(f"{folder}{LEARNING}{service.accept()}", b"", media_type="text/plain")
    photos = [key for key in service.artifacts.objects if key.startswith(folder)]
    sweep(service)
    pass_time(WEEK_S - 60)
    sweep(service)
    assert {*photos} < {key for key in service.artifacts.objects if key.startswith(folder)}
    pass_time(120)
    assert sweep(service) == {"unlearned": len(photos) + 1}
    assert [key for key in service.artifacts.objects if "/concepts/" in key] == []


@pytest.mark.parametrize("foreign", [None, f"{LEARNING}notes.txt"])
def test_an_identity_whose_file_was_lost_stays(
    service: InProcessService, pass_time: Callable[[float], None], foreign: str | None
) -> None:
    """An edit that names it learns it again from its photo."""
    folder = lost(service, CONCEPT)
    if foreign:
        service.artifacts.put(folder + foreign, b"", media_type="text/plain")
    pass_time(3 * WEEK_S)
    sweep(service)
    sweep(service)
    assert {"identity.json", "image.png", "mask.png"} < {key.removeprefix(folder) for key in service.artifacts.objects}

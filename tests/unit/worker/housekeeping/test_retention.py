"""What has outlived its time goes, by the settings; the rest stays, and a sweep costs no more than what it has to look at."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from s2edit_core.request.spec import EditRequest
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.library.last_use import DAY_S, used_name
from s2edit_jobs.library.library import Library
from s2edit_jobs.library.retention import Retention
from s2edit_jobs.records.errors import IdentityNotFound, JobNotFound
from s2edit_jobs.records.record import JobState, Outcome, Owner, new_job_id
from s2edit_jobs.records.set_aside import set_aside_counts
from s2edit_jobs.stores.artifacts import concept_key, edit_key, inversion_key
from s2edit_jobs.stores.user_folders import SEEK_AFTER
from tests.doubles import FakeEngine
from tests.unit.worker.conftest import ANN, FILES, REQUEST, InProcessService

HOUR_S = 3600.0
WEEK_S = 7 * DAY_S
BOB = Owner("app", "bob")


@pytest.fixture(autouse=True)
def pass_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Stop the clock, and return the function that moves it on."""
    now = [time.time()]
    monkeypatch.setattr("time.time", lambda: now[0])

    def move(seconds: float) -> None:
        now[0] += seconds

    return move


class RecordingAudit:
    def __init__(self) -> None:
        self.entries: list[tuple[str, str | None, str]] = []

    def record(self, action: str, _owner: Owner, what: str | None, outcome: str) -> None:
        self.entries.append((action, what, outcome))


def configured(service: InProcessService, **settings: Any) -> None:
    service.services = replace(service.services, settings=service.services.settings.model_copy(update=settings))


def done(service: InProcessService, request: EditRequest = REQUEST) -> str:
    job_id = service.accept(request)
    service.work()
    assert service.get(job_id).state is JobState.SUCCEEDED
    return job_id


def slid(guidance: float) -> EditRequest:
    return replace(REQUEST, guidance_scale=guidance)


def names_of(service: InProcessService, job_id: str) -> set[str]:
    folder = edit_key(ANN, job_id, "")
    return {key.removeprefix(folder).partition("-")[0].partition(".")[0] for key in service.artifacts.list(folder)}


def inversions(service: InProcessService) -> set[str]:
    return set(service.artifacts.folders(f"{ANN.prefix}inversions/"))


def used(service: InProcessService) -> list[str]:
    return [key for key in service.artifacts.list(f"{ANN.prefix}concepts/") if "used-" in key]


def sweep(service: InProcessService) -> dict[str, int]:
    return dict(Retention(service.services, clock=lambda: time.time()).sweep())


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

    monkeypatch.setattr("s2edit_jobs.jobs.jobs.Jobs.outcome", erase_first)
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
    assert sweep(service) == {"checkpoints": len(checkpoints)}
    assert [key for key in service.artifacts.objects if "checkpoint-" in key] == []
    assert sweep(service) == {"markers": 1}
    assert [key for key in service.artifacts.objects if "/concepts/" in key] == []


# --- sweeps as a whole -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        f"{ANN.prefix}edits/{new_job_id(1.0)}/outcome.json",
        f"{ANN.prefix}edits/not-ours/outcome.json",
        f"{ANN.prefix}concepts/not-ours/used-x",
        f"{ANN.prefix}requests/{'0' * 32}.json",
        f"{ANN.prefix}uploads/u_{'0' * 32}/upload.json",
        f"{ANN.prefix}inversions/not-ours",
        f"{ANN.prefix}notes.txt",
        "t/readme.txt",
        "t/app/u/ann",
    ],
)
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"state": "flying", "finished_at": "soon"}', b"\xff\xfe"])
def test_one_bad_item_stops_nothing(service: InProcessService, pass_time: Callable[[float], None], key: str, data: bytes) -> None:
    first = done(service)
    configured(service, edit_ttl_s=DAY_S)
    pass_time(WEEK_S + 60)
    service.artifacts.objects = {key: data} | service.artifacts.objects
    gone = sweep(service)
    assert (gone["edits"], gone["inversions"] >= 3) == (1, True)
    with pytest.raises(JobNotFound):
        service.get(first)


@pytest.mark.parametrize("name", ["outcome.json", "spec.json"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"version": 99}'])
def test_an_edit_whose_record_is_damaged_or_newer_expires_like_any_other(
    service: InProcessService, pass_time: Callable[[float], None], name: str, data: bytes
) -> None:
    job_id = done(service)
    service.artifacts.put(edit_key(ANN, job_id, name), data, media_type="x/y")
    configured(service, edit_ttl_s=2 * DAY_S, result_ttl_s=DAY_S)
    pass_time(DAY_S + 1)
    assert sweep(service) == {"pictures": 3}
    pass_time(DAY_S)
    assert sweep(service) == {"edits": 1}
    assert [key for key in service.artifacts.objects if job_id in key] == []


def test_an_error_about_one_folder_is_counted_as_set_aside(
    service: InProcessService, pass_time: Callable[[float], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = done(service)
    pass_time(1)
    second = done(service)
    configured(service, edit_ttl_s=DAY_S)
    pass_time(DAY_S + 1)
    drop = service.jobs.drop

    def fail_first(_self: object, owner: Owner, job_id: str) -> int:
        if job_id == first:
            raise RuntimeError("a fault of our own")
        return drop(owner, job_id)

    monkeypatch.setattr("s2edit_jobs.jobs.jobs.Jobs.drop", fail_first)
    before = set_aside_counts().get("expiring edits", 0)
    assert sweep(service) == {"edits": 1}
    assert set_aside_counts()["expiring edits"] == before + 1
    with pytest.raises(JobNotFound):
        service.get(second)


def test_several_sweeps_at_a_time_do_no_harm(service: InProcessService, pass_time: Callable[[float], None]) -> None:
    jobs = [done(service, slid(1 + notch)) for notch in range(6)]
    configured(service, edit_ttl_s=DAY_S)
    pass_time(WEEK_S + 60)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: sweep(service), range(4)))
    assert inversions(service) == set()
    assert [key for key in service.artifacts.objects if any(job_id in key for job_id in jobs)] == []


@contextmanager
def counted(service: InProcessService) -> Iterator[dict[str, int]]:
    """Count the keys that listings yield, and the objects that are read."""
    counts = {"listed": 0, "read": 0}
    listing, get = service.artifacts.list, service.artifacts.get

    def count_keys(prefix: str, *, after: str | None = None) -> Iterator[str]:
        for key in listing(prefix, after=after):
            counts["listed"] += 1
            yield key

    def count_reads(key: str) -> bytes:
        counts["read"] += 1
        return get(key)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(service.artifacts, "list", count_keys)
        patch.setattr(service.artifacts, "get", count_reads)
        yield counts


def with_history(service: InProcessService, edits: int, *, ages_s: float) -> None:
    """Store the objects of finished edits of `ANN`, of that age."""
    now = time.time()
    outcome = Outcome(state=JobState.CANCELED, attempt=1, finished_at=now).to_json()
    for number in range(edits):
        job_id = new_job_id(now - ages_s + number / 1000)
        for name in ("image.png", "mask.png", "outcome.json", "report-1.json", "result-1.png", "spec.json"):
            service.artifacts.objects[edit_key(ANN, job_id, name)] = outcome
        service.artifacts.objects[f"{ANN.prefix}index/all/edit-canceled/{number:05}"] = b""


@pytest.mark.parametrize("settings", [{}, {"edit_ttl_s": 30 * DAY_S}, {"result_ttl_s": 30 * DAY_S}])
def test_a_sweep_passes_over_edits_that_cannot_have_expired(service: InProcessService, settings: dict[str, float]) -> None:
    with_history(service, 5000, ages_s=DAY_S)
    configured(service, **settings)
    with counted(service) as counts:
        assert sweep(service) == {}
    assert counts["listed"] < 2 * SEEK_AFTER + 100  # of the edits, and of the index
    assert counts["read"] == 0


def test_a_sweep_reads_only_edits_that_may_have_expired(service: InProcessService) -> None:
    with_history(service, 300, ages_s=DAY_S)
    with_history(service, 20, ages_s=40 * DAY_S)  # ended just now
    configured(service, edit_ttl_s=30 * DAY_S)
    with counted(service) as counts:
        assert sweep(service) == {}
    assert counts["read"] == 20


def test_one_listing_serves_every_kind(service: InProcessService, monkeypatch: pytest.MonkeyPatch) -> None:
    done(service)
    for user in (ANN, BOB, Owner("zoo", "ann")):
        service.jobs.accept(draft(service.services, user, REQUEST, FILES), FILES)
    prefixes: list[str] = []
    listing = service.artifacts.list

    def note(prefix: str, **options: Any) -> Iterator[str]:
        prefixes.append(prefix)
        return listing(prefix, **options)

    monkeypatch.setattr(service.artifacts, "list", note)
    sweep(service)
    assert prefixes == ["t/"]

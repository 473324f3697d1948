"""A storm is reproducible, every crash point lies on the path of an edit, and a third of the edits is never looked at."""

from __future__ import annotations

import hashlib
import signal
from collections import Counter
from pathlib import Path

import pytest
from pydantic import SecretStr

from lab.storm.app import ClientApp, planned_edit
from lab.storm.plan import MIN_EMPTYINGS, Plan
from lab.storm.system import points as storm_points
from lab.storm.system.engines import SICK, SLOW_EDITING, SLOW_LEARNING, EngineChoice, FaultyEngine, Reference, signed, unsigned
from lab.storm.system.points import PAUSE_POINTS, POINTS, EventLog, FaultPoints, read_event_logs
from lab.storm.system.ports import FULL, LATE_500, LATE_500_KINDS, with_fault_points
from s2edit_core.errors import DeviceFault
from s2edit_core.pictures.files import decode_photo
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import ArtifactsUnavailable
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.worker.conftest import ANN, FILES, REQUEST
from worker.attempts.runner import run_job
from worker.housekeeping.messenger import Messenger
from worker.housekeeping.reaper import reap

JOBS = 100


def points_in(folder: Path, role: storm_points.Role = "worker") -> FaultPoints:
    for name in ("armed", "paused", "event_logs"):
        (folder / name).mkdir(exist_ok=True)
    return FaultPoints(folder / "armed", EventLog(folder / "event_logs"), role)


def test_a_plan_follows_from_its_seed_and_covers_every_point() -> None:
    plan = Plan(jobs=1000, kills=100, seed=7)
    assert plan.disturbances() == Plan(jobs=1000, kills=100, seed=7).disturbances()
    assert plan.disturbances() != Plan(jobs=1000, kills=100, seed=8).disturbances()
    disturbances = [disturbance for _, disturbance in plan.disturbances()]
    assert {disturbance.removeprefix("point ") for disturbance in disturbances if disturbance.startswith("point")} == set(POINTS)
    assert sum(disturbance.startswith(("point", "kill")) for disturbance in disturbances) == 100
    assert {f"pause {point}" for point in PAUSE_POINTS} | {f"{LATE_500}{kind}" for kind in LATE_500_KINDS} <= set(disturbances)
    assert {"empty redis", "cut redis", "stop worker", "notify twice", "lose notifications", FULL} <= set(disturbances)


@pytest.mark.parametrize("seed", range(5))
def test_even_a_short_storm_empties_redis_at_least_three_times_apart(seed: int) -> None:
    shares = [share for share, disturbance in Plan(jobs=50, kills=4, seed=seed).disturbances() if disturbance == "empty redis"]
    assert len(shares) >= MIN_EMPTYINGS == 3
    assert len({int(share * len(shares) / 0.7) for share in shares}) == len(shares)


def test_the_reference_equals_the_result_of_a_worker() -> None:
    reference = Reference(EngineChoice(), Settings())
    for number in (0, 8, 1):
        one = planned_edit(1, number)
        made = FakeEngine().result(EditRequest(prompt=one.prompt), one.inputs)
        assert reference.result(one.prompt, one.inputs) == hashlib.sha256(made).hexdigest()


def test_a_planned_edit_follows_from_its_number_and_is_valid() -> None:
    one = planned_edit(1, 17, users=8)
    assert one == planned_edit(1, 17, users=8)
    assert one.inputs != planned_edit(1, 18, users=8).inputs
    assert len({planned_edit(1, 17 + 8 * i, users=8, one_prompt=True).prompt for i in range(3)}) == 1
    decode_mask(one.mask, decode_photo(one.image).size)


@pytest.mark.parametrize("jobs", [50, JOBS, 1000])
def test_a_third_of_the_edits_is_never_looked_at_and_some_of_each_kind_are_slow(jobs: int) -> None:
    planned = [planned_edit(1, number, jobs=jobs) for number in range(jobs)]
    unlooked = [one for one in planned if not one.looked_at]
    assert abs(len(unlooked) - jobs / 3) < 1
    assert not any(one.cancel or one.repeated for one in unlooked), "both are looks"
    assert len({one.user for one in unlooked}) == 8
    slow = Counter(one.looked_at for one in planned if SLOW_EDITING in one.prompt)
    assert min(slow[True], slow[False]) >= 1
    assert slow.total() <= 43
    learned_slowly = {one.image for one in planned if SLOW_LEARNING in one.prompt}
    assert 1 <= len(learned_slowly) <= 11
    assert all(SLOW_LEARNING in one.prompt for one in planned if one.image in learned_slowly), "any of them may learn"


def test_the_late_edits_are_ones_that_nobody_looks_at() -> None:
    app = ClientApp("http://127.0.0.1:9", 1, JOBS, "", EngineChoice(), {}, late=7)
    late = [planned_edit(1, number, jobs=JOBS) for number in app._late]
    assert len(late) == 7
    assert not any(one.looked_at for one in late)
    assert sorted([*app._late, *app._numbers]) == list(range(JOBS))


class Crashed(BaseException):
    pass


def test_an_edit_passes_every_crash_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test itself calls the ports of points that an edit passes only after a fault."""
    reached: set[str] = set()
    monkeypatch.setattr(FaultPoints, "reach", lambda self, point: reached.add(f"{self.role}.{point}"))
    settings = Settings(data_dir=tmp_path, webhook_secrets=SecretStr("whsec_" + "A" * 32))
    plain = Services(MemoryArtifactStore(), Database().store(), queue := MemoryJobQueue(), settings)
    api, worker = (with_fault_points(plain, points_in(tmp_path, role)) for role in ("api", "worker"))
    jobs = Jobs(api)
    spec = draft(api, ANN, REQUEST, FILES, webhook_url="https://app.example.com/hook")
    api.artifacts.put(f"{ANN.prefix}requests/00.json", b"", media_type="application/json")
    jobs.accept(spec, FILES)
    slow = EditRequest(prompt=f"a photo of a woman with {SLOW_LEARNING} {SLOW_EDITING} hair")
    other = draft(api, ANN, slow, FILES)
    jobs.accept(other, FILES)
    engine = FaultyEngine(FakeEngine(checkpoint_every=1), points_in(tmp_path), lease_s=0.01)
    run_job(other.id, worker, engine)
    run_job(spec.id, worker, engine)
    worker.queue.notify(spec.id)
    housekeeper = with_fault_points(plain, points_in(tmp_path, "housekeeper"))
    lost = jobs.accept(draft(api, ANN, REQUEST, FILES), FILES)
    plain.store.erasure.erase(ANN, lost.id)
    queue.messages.clear()
    reap(housekeeper)
    assert Messenger(housekeeper, post=lambda *_: 204).send_next()
    assert set(POINTS) - reached == set()
    assert "worker.engine.editing" in reached
    logged = Counter(line["what"] for line in read_event_logs(tmp_path / "event_logs"))
    assert (logged["claim"], logged["learned"], logged["outcome"]) == (2, 1, 2)
    assert min(logged["held"], logged["reserve"], logged["releases"], logged["left"], logged["put"]) >= 1


@pytest.mark.parametrize(
    ("armed", "number", "words"),
    [
        ("worker.store.claim.after", signal.SIGKILL, '"what": "crash", "point": "worker.store.claim.after"'),
        ("pause worker.store.claim.after", signal.SIGSTOP, '"what": "pause", "point": "worker.store.claim.after"'),
    ],
)
def test_an_armed_point_has_its_fault_once_and_is_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, armed: str, number: signal.Signals, words: str
) -> None:
    def crash(_: int, sent: int) -> None:
        assert sent == number
        raise Crashed

    monkeypatch.setattr(storm_points.os, "kill", crash)
    points = points_in(tmp_path)
    points.reach("store.claim.after")
    (tmp_path / "armed" / armed).touch()
    points.reach("store.claim.before")
    with pytest.raises(Crashed):
        points.reach("store.claim.after")
    points.reach("store.claim.after")
    (event_log,) = (tmp_path / "event_logs").glob("*.jsonl")
    assert words in event_log.read_text()
    assert len(list((tmp_path / "paused").iterdir())) == (number == signal.SIGSTOP)


def test_a_store_may_answer_500_after_it_has_written_and_be_full(tmp_path: Path) -> None:
    plain = Services(MemoryArtifactStore(), Database().store(), MemoryJobQueue(), Settings(data_dir=tmp_path))
    points = points_in(tmp_path)
    artifacts = with_fault_points(plain, points).artifacts
    (points.armed / f"{LATE_500}worker.put.result").touch()
    with pytest.raises(ArtifactsUnavailable):
        artifacts.put("t/a/u/b/edits/e_1/result-1.png", b"red", media_type="image/png")
    assert plain.artifacts.get("t/a/u/b/edits/e_1/result-1.png") == b"red"
    artifacts.put("t/a/u/b/edits/e_1/result-1.png", b"red", media_type="image/png")
    (points.armed / FULL).touch()
    for _ in range(2):
        with pytest.raises(ArtifactsUnavailable):
            artifacts.put("t/a/u/b/edits/e_1/report-1.json", b"{}", media_type="application/json")
    assert not plain.artifacts.exists("t/a/u/b/edits/e_1/report-1.json")


def test_pictures_of_two_attempts_differ_by_their_signatures_only(tmp_path: Path) -> None:
    wanted = planned_edit(1, 0)
    engine = FaultyEngine(FakeEngine(), points_in(tmp_path), lease_s=1.0)
    pictures = []
    for _ in range(2):
        steps = engine.edit(EditRequest(prompt=wanted.prompt), wanted.inputs, concept=None, inversion=None)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                pictures.append(end.value.picture)
                break
    assert pictures[0] != pictures[1]
    assert unsigned(pictures[0]) == unsigned(pictures[1]) == FakeEngine().result(EditRequest(prompt=wanted.prompt), wanted.inputs)
    assert unsigned(signed(b"a|attempt b", "1")) == b"a|attempt b"


def test_a_sick_engine_fails_every_call_from_then_on(tmp_path: Path) -> None:
    wanted, points = planned_edit(1, 0), points_in(tmp_path)
    engine = FaultyEngine(FakeEngine(), points, lease_s=1.0)
    engine.plan(EditRequest(prompt=wanted.prompt), wanted.inputs)
    (points.armed / SICK).touch()
    for _ in range(3):
        with pytest.raises(DeviceFault):
            engine.plan(EditRequest(prompt=wanted.prompt), wanted.inputs)

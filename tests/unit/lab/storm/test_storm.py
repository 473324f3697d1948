"""A storm is reproducible, and every crash point lies on the path of an edit."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import pytest

from lab.storm import points as storm_points
from lab.storm.app import planned_edit
from lab.storm.engines import EngineChoice, Reference
from lab.storm.points import POINTS, CrashPoints, EventLog, with_crash_points
from lab.storm.run import Plan
from s2edit_core.pictures.files import decode_photo
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.settings import Settings
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.worker.conftest import ANN, FILES, REQUEST
from worker.attempts.runner import run_job


def test_a_plan_follows_from_its_seed_and_covers_every_crash_point() -> None:
    plan = Plan(jobs=1000, kills=100, seed=7)
    assert plan.disturbances() == Plan(jobs=1000, kills=100, seed=7).disturbances()
    assert plan.disturbances() != Plan(jobs=1000, kills=100, seed=8).disturbances()
    disturbances = [disturbance for _, disturbance in plan.disturbances()]
    assert {disturbance.removeprefix("point ") for disturbance in disturbances if disturbance.startswith("point")} == set(POINTS)
    assert sum(disturbance.startswith(("point", "kill")) for disturbance in disturbances) == 100
    assert {"empty redis", "pause worker", "stop worker", "ring twice", "lose rings"} <= set(disturbances)


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


class Crashed(BaseException):
    pass


def test_an_edit_passes_every_crash_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The test itself calls the ports of points that an edit passes only after a fault."""
    reached: set[str] = set()
    monkeypatch.setattr(CrashPoints, "reach", lambda self, call, side: reached.add(f"{self.role}.{call}.{side}"))
    plain = Services(MemoryArtifactStore(), Database().store(), MemoryJobQueue(), Settings(data_dir=tmp_path))
    event_log = EventLog(tmp_path)
    api = with_crash_points(plain, CrashPoints(tmp_path, event_log, "api"))
    worker = with_crash_points(plain, CrashPoints(tmp_path, event_log, "worker"))
    jobs = Jobs(api)
    spec = draft(api, ANN, REQUEST, FILES)
    api.artifacts.put(f"{ANN.prefix}requests/00.json", b"", media_type="application/json")
    jobs.accept(spec, FILES)
    run_job(spec.id, worker, FakeEngine(checkpoint_every=1))
    worker.queue.notify(spec.id)
    assert set(POINTS) - reached == set()


def test_an_armed_point_crashes_once_and_is_logged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: int, number: int) -> None:
        assert number == signal.SIGKILL
        raise Crashed

    monkeypatch.setattr(storm_points.os, "kill", crash)
    points = CrashPoints(tmp_path, EventLog(tmp_path), "worker")
    points.reach("store.claim", "after")
    (tmp_path / "worker.store.claim.after").touch()
    points.reach("store.claim", "before")
    with pytest.raises(Crashed):
        points.reach("store.claim", "after")
    points.reach("store.claim", "after")
    (event_log,) = tmp_path.glob("*.jsonl")
    assert '"what": "crash", "point": "worker.store.claim.after"' in event_log.read_text()

"""What makes a storm one that can be repeated, and its crash points ones that are really reached."""

from __future__ import annotations

import hashlib
import signal
from pathlib import Path

import pytest

from lab.storm import points as storm_points
from lab.storm.app import wish
from lab.storm.engines import Cast, Reference
from lab.storm.points import POINTS, CrashPoints, Diary, with_crash_points
from lab.storm.run import Plan
from s2edit_core.pictures.files import decode_photo
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.memory import MemoryArtifactStore, MemoryJobQueue, MemoryJobStore
from tests.unit.worker.conftest import ANN, FILES, REQUEST
from worker.attempts.runner import run_job
from worker.engines.fake_engine import FakeEngine


def test_a_plan_follows_from_its_seed_and_has_every_point() -> None:
    plan = Plan(jobs=1000, kills=100, seed=7)
    assert plan.blows() == Plan(jobs=1000, kills=100, seed=7).blows()
    assert plan.blows() != Plan(jobs=1000, kills=100, seed=8).blows()
    blows = [blow for _, blow in plan.blows()]
    assert {blow.removeprefix("point ") for blow in blows if blow.startswith("point")} == set(POINTS)
    assert sum(blow.startswith(("point", "kill")) for blow in blows) == 100
    assert {"empty redis", "pause worker", "stop worker", "ring twice", "lose rings"} <= set(blows)


def test_the_reference_is_what_any_worker_makes_of_the_same_wish() -> None:
    reference = Reference(Cast(), Settings())
    for number in (0, 8, 1):
        one = wish(1, number)
        made = FakeEngine().result(EditRequest(prompt=one.prompt), one.inputs)
        assert reference.result(one.prompt, one.inputs) == hashlib.sha256(made).hexdigest()


def test_a_wish_follows_from_its_number_and_can_be_asked_for() -> None:
    one = wish(1, 17, users=8)
    assert one == wish(1, 17, users=8)
    assert one.inputs != wish(1, 18, users=8).inputs
    assert len({wish(1, 17 + 8 * i, users=8, one_prompt=True).prompt for i in range(3)}) == 1
    decode_mask(one.mask, decode_photo(one.image).size)


class Died(BaseException):
    pass


def test_every_point_is_on_the_way_of_a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that only an accident reaches are passed here by hand."""
    reached: set[str] = set()
    monkeypatch.setattr(CrashPoints, "reach", lambda self, call, side: reached.add(f"{self.role}.{call}.{side}"))
    plain = Services(MemoryArtifactStore(), MemoryJobStore(), MemoryJobQueue(), Settings(data_dir=tmp_path))
    diary = Diary(tmp_path)
    api = with_crash_points(plain, CrashPoints(tmp_path, diary, "api"))
    worker = with_crash_points(plain, CrashPoints(tmp_path, diary, "worker"))
    jobs = Jobs(api)
    spec = draft(api, ANN, REQUEST, FILES)
    api.artifacts.put(f"{ANN.prefix}requests/00.json", b"", media_type="application/json")
    jobs.accept(spec, FILES)
    run_job(spec.id, worker, FakeEngine(checkpoint_every=1))
    worker.queue.ring(spec.id)
    assert set(POINTS) - reached == set()


def test_an_armed_point_is_reached_once_and_written_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(_: int, number: int) -> None:
        assert number == signal.SIGKILL
        raise Died

    monkeypatch.setattr(storm_points.os, "kill", die)
    points = CrashPoints(tmp_path, Diary(tmp_path), "worker")
    points.reach("store.claim", "after")
    (tmp_path / "worker.store.claim.after").touch()
    points.reach("store.claim", "before")
    with pytest.raises(Died):
        points.reach("store.claim", "after")
    points.reach("store.claim", "after")
    (diary,) = tmp_path.glob("*.jsonl")
    assert '"what": "crash", "point": "worker.store.claim.after"' in diary.read_text()

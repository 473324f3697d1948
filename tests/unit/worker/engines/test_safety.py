"""Safety checks of photos and results: around an engine, in an attempt, through the API, and at the worker's start."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from PIL import Image
from pydantic import SecretStr

from api.app import create_app
from s2edit_core.errors import PolicyRefused
from s2edit_core.request.spec import EditRequest, LearningRequest, Progress
from s2edit_core.vision.safety import open_safety_model
from s2edit_jobs.access.audit import MemoryAudit
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobState, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.job_store import JobStore
from tests.admin import METRICS, METRICS_TOKEN
from tests.doubles import FakeEngine
from tests.models import tiny_judges
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.api import pictures
from worker import process as process_module
from worker.attempts.runner import run_job
from worker.engines.engine import EditInputs, PreviewedProgress
from worker.engines.modeless_engine import ModelessEngine, engine_of_test_mode
from worker.engines.safety import SafeEngine, _views
from worker.process import WorkerProcess

ANN = Owner("app", "ann")
REQUEST = EditRequest(prompt="a photo of a woman with red hair", variants=2)
FILES = {"image": Upload(pictures.photo(), "image/png"), "mask": Upload(pictures.mask(), "image/png")}
INPUTS = EditInputs(FILES["image"].data, FILES["mask"].data)


@dataclass
class Judge:
    """A safety model that records the pictures it is shown and finds some unsafe."""

    refuses: Callable[[int], bool] = lambda _: False
    seen: list[Image.Image] = field(default_factory=list)

    def is_unsafe(self, picture: Image.Image) -> bool:
        assert picture.mode == "RGB"
        self.seen.append(picture)
        return self.refuses(len(self.seen))


def drawing() -> ModelessEngine:
    """An engine that draws real pictures without a model."""
    return engine_of_test_mode(FakeEngine.facts)


@dataclass
class InProcessService:
    judge: Any
    data_dir: Path = Path("/dev/null/nowhere")  # the API stores keys there
    store: JobStore = field(default_factory=lambda: Database().store())
    artifacts: MemoryArtifactStore = field(default_factory=MemoryArtifactStore)
    queue: MemoryJobQueue = field(default_factory=MemoryJobQueue)
    audit: MemoryAudit = field(default_factory=MemoryAudit)

    def __post_init__(self) -> None:
        settings = Settings(data_dir=self.data_dir, metrics_token=SecretStr(METRICS_TOKEN))
        self.services = Services(self.artifacts, self.store, self.queue, settings, audit=self.audit)
        self.jobs = Jobs(self.services)
        self.engine = SafeEngine(drawing(), self.judge)

    def done(self, request: EditRequest | LearningRequest = REQUEST, owner: Owner = ANN) -> Any:
        files = FILES | (
            {"edit_mask": FILES["mask"]} if isinstance(request, EditRequest) else {}
        )  # otherwise nearly all pixels may change
        job_id = self.jobs.accept(draft(self.services, owner, request, files), files).id
        run_job(self.queue.messages.popleft(), self.services, self.engine, stop=threading.Event())
        return self.jobs.get(owner, job_id)

    def kept(self) -> set[str]:
        """The names of the job's objects besides those accepted. The index of the user's jobs holds no picture."""
        keys = [key for key in self.artifacts.list("t/") if "/index/" not in key]
        names = {key.rpartition("/")[2].partition("-")[0].partition(".")[0] for key in keys}
        return names - {"image", "mask", "edit_mask", "spec", "outcome"}


def test_what_is_safe_passes_as_it_was_drawn() -> None:
    service, plain = InProcessService(Judge()), InProcessService(Judge())
    plain.engine = drawing()  # type: ignore[assignment]
    record, other = service.done(), plain.done()
    assert record.state is other.state is JobState.SUCCEEDED
    for name in ("result", "result_1"):
        assert service.artifacts.get(record.artifacts[name]) == plain.artifacts.get(other.artifacts[name])
    assert service.store.usage.refusals() == {}
    sizes = [picture.size for picture in service.judge.seen]
    photo, result, changed = sizes[0], sizes[1::2], sizes[2::2]
    assert result == [photo] * 2, "the photo once, then each result as a whole"
    assert len(changed) == 2
    assert all(width < photo[0] or height < photo[1] for width, height in changed), "and the changed region"


def test_a_refused_photo_is_neither_learned_nor_edited() -> None:
    for request in (
        REQUEST,
        LearningRequest(kind="identity", prompt="a woman"),
        LearningRequest(kind="attribute", prompt="[A] hat"),
    ):
        service = InProcessService(Judge(lambda _: True))
        record = service.done(request)
        assert record.state is JobState.FAILED
        assert record.failure is not None
        assert (record.failure.code, record.failure.field, record.failure.retryable) == ("policy_refused", "image", False)
        assert service.kept() == set()
        assert len(service.judge.seen) == 1
        assert service.store.usage.refusals() == {"image": 1}
        assert ("edit.refuse", ANN, record.id, "policy_refused") in service.audit.lines
        assert service.store.leases.claim(lease_s=1) is None, "it is not retried"


@pytest.mark.parametrize("at", [2, 3, 4, 5], ids=["the result", "its changed part", "a variant", "the variant's changed part"])
def test_a_refused_result_is_not_kept_nor_are_its_variants(at: int) -> None:
    service = InProcessService(Judge(lambda count: count == at))
    record = service.done()
    assert record.state is JobState.FAILED
    assert record.failure is not None
    assert (record.failure.code, record.failure.field) == ("policy_refused", "result")
    assert record.artifacts == {}
    assert not {name for name in service.kept() if name.startswith(("result", "report"))}
    assert service.store.usage.refusals() == {"result": 1}
    assert service.audit.lines[-2:] == [
        ("edit.refuse", ANN, record.id, "policy_refused"),
        ("edit.end", ANN, record.id, "policy_refused"),
    ]


def test_a_photo_that_passed_is_not_asked_for_again_and_another_is() -> None:
    judge = Judge()
    engine = SafeEngine(drawing(), judge)
    for _ in range(2):
        engine.plan(REQUEST, INPUTS)
    assert len(judge.seen) == 1
    engine.plan(REQUEST, EditInputs(pictures.photo((80, 60)), pictures.mask((80, 60))))
    engine.plan(REQUEST, INPUTS)
    assert len(judge.seen) == 3


def test_an_engine_that_was_not_asked_for_a_plan_looks_all_the_same() -> None:
    engine = SafeEngine(drawing(), Judge(lambda _: True))
    with pytest.raises(PolicyRefused) as refused:
        next(engine.edit(REQUEST, INPUTS, concept=None, inversion=None))
    assert refused.value.field == "image"
    with pytest.raises(PolicyRefused):
        next(engine.learn(LearningRequest(kind="identity", prompt="a woman"), INPUTS))


def test_refusals_of_test_mode_and_of_a_store_that_is_down_are_not_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    service = InProcessService(Judge())
    with pytest.raises(PolicyRefused):
        draft(service.services, Owner("test.app", "ann"), EditRequest(prompt="a woman [test:refused]"), FILES)
    assert service.store.usage.refusals() == {}
    with pytest.raises(PolicyRefused):
        draft(service.services, ANN, EditRequest(prompt="a naked woman"), FILES)
    assert service.store.usage.refusals() == {"prompt": 1}

    def down(*_: Any) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(service.store.usage, "count_refusal", down)
    with pytest.raises(PolicyRefused):
        draft(service.services, ANN, EditRequest(prompt="a naked woman"), FILES)
    assert len(service.audit.lines) == 3


def test_a_small_change_of_a_large_photo_is_looked_at_for_itself() -> None:
    photo = Image.new("RGB", (1000, 800), "gray")
    result = photo.copy()
    result.paste("red", (500, 400, 540, 420))
    assert [view.size for view in _views(photo, result)] == [(1000, 800), (60, 30)]
    assert [view.size for view in _views(photo, photo)] == [(1000, 800)]
    assert [view.size for view in _views(photo, result.resize((500, 400)))] == [(500, 400)]
    marked = photo.point(lambda level: level + 9)  # as a watermark does
    assert [view.size for view in _views(photo, marked)] == [(1000, 800)]
    assert [view.size for view in _views(photo, Image.new("RGB", (1000, 800), "red"))] == [(1000, 800)]


@pytest.mark.parametrize("kind", ["classifier", "checker"])
def test_over_http_an_edit_that_a_model_refuses_fails_and_has_no_result(kind: str, tmp_path: Path) -> None:
    """With real weights that reject everything. With weights that reject nothing, the edit succeeds."""
    for refuses in (True, False):
        folder = tmp_path / f"{kind}{refuses}"
        model = tiny_judges.classifier(folder, "nsfw" if refuses else "safe") if kind == "classifier" else None
        judge = open_safety_model(model or tiny_judges.checker(folder, refuses), ("nsfw",), 0.5)
        service = InProcessService(judge, tmp_path / "data")
        with TestClient(create_app(service.services)) as client:
            files = {name: (f"{name}.png", upload.data) for name, upload in FILES.items()}
            answer = client.post("/edits", data={"prompt": REQUEST.prompt}, files=files)
            assert answer.status_code == 202, answer.text
            run_job(service.queue.messages.popleft(), service.services, service.engine, stop=threading.Event())
            edit = client.get(answer.headers["location"]).json()
            metrics = client.get("/metrics", headers=METRICS).text
        if refuses:
            assert edit["state"] == "failed"
            assert (edit["error"]["code"], edit["error"]["field"]) == ("policy_refused", "image")
            assert (edit["result"], edit["results"], edit["report"], edit["identity"]) == (None, [], None, None)
            assert 's2edit_policy_refusals_total{field="image"} 1.0' in metrics
        else:
            assert edit["state"] == "succeeded"
            assert len(edit["results"]) == 1
            assert "s2edit_policy_refusals_total{" not in metrics


def test_over_http_a_refused_result_is_not_there(tmp_path: Path) -> None:
    service = InProcessService(Judge(lambda count: count > 1), tmp_path)
    with TestClient(create_app(service.services)) as client:
        files = {name: (f"{name}.png", upload.data) for name, upload in FILES.items()}
        answer = client.post("/edits", data={"prompt": REQUEST.prompt}, files=files)
        run_job(service.queue.messages.popleft(), service.services, service.engine, stop=threading.Event())
        edit = client.get(answer.headers["location"]).json()
        assert (edit["state"], edit["error"]["code"], edit["error"]["field"]) == ("failed", "policy_refused", "result")
        assert (edit["result"], edit["results"], edit["report"]) == (None, [], None)
        assert 's2edit_policy_refusals_total{field="result"} 1.0' in client.get("/metrics", headers=METRICS).text
        assert not [key for key in service.artifacts.list("t/") if "/result" in key]


# --- starting ----------------------------------------------------------------------------------------------------


class StubS2EditEngine:
    """A stand-in for the model, which is not under test here."""

    def __init__(self, model: str, device: str, **options: Any) -> None:
        self.options = options
        self.pipeline = type("", (), {"backbone": type("", (), {"device": "cpu"})})


def load(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> Any:
    monkeypatch.setenv("S2EDIT_REDIS_URL", "redis://127.0.0.1:1/0")  # the import creates a Celery app, which does not connect
    from worker import app
    from worker.engines import s2edit_engine

    monkeypatch.setattr(s2edit_engine, "S2EditEngine", StubS2EditEngine)
    return app.load_engine(
        Settings(**{"data_dir": Path("/dev/null/nowhere"), "provenance": False, **settings})
    )._engine  # unguarded


def test_the_worker_looks_where_the_settings_name_a_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = load(monkeypatch)
    assert isinstance(plain, StubS2EditEngine), "off by default"
    assert plain.options["captioner"] is None
    assert load(monkeypatch, captioner="a/captioner").options["captioner"] == "a/captioner"
    folder = tiny_judges.classifier(tmp_path / "judge", "gore")
    engine = load(monkeypatch, safety=folder, safety_labels="nsfw, gore", safety_threshold=0.9)
    assert isinstance(engine, SafeEngine)
    assert engine._model.is_unsafe(Image.new("RGB", (32, 32)))
    signed = load(monkeypatch, safety=folder, provenance=True, data_dir=tmp_path)
    assert isinstance(signed._engine, SafeEngine), "results are checked before they are signed"


@pytest.mark.parametrize("broken", ["missing", "headless", "label"])
def test_a_worker_whose_safety_model_cannot_be_loaded_does_not_start(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from safetensors.torch import load_file, save_file

    folder = tmp_path / "judge"
    named = {"safety": tiny_judges.classifier(folder, "safe")}
    reason = "no label 'porn'"
    if broken == "missing":
        named, reason = {"safety": str(tmp_path / "nothing")}, "can't be used to judge pictures"
    elif broken == "headless":
        file, reason = folder / "model.safetensors", "lacks weights"
        kept = {name: each for name, each in load_file(file).items() if not name.startswith("classifier")}
        save_file(kept, file, {"format": "pt"})
    else:
        named["safety_labels"] = "porn"
    monkeypatch.setattr(process_module, "configure_logs", lambda: None)
    settings = Settings(data_dir=tmp_path, redis_url="redis://127.0.0.1:1/0")
    services = Services(MemoryArtifactStore(), Database().store(), MemoryJobQueue(), settings)
    process = WorkerProcess(settings, lambda _: load(monkeypatch, **named), lambda _: services)
    with pytest.raises(SystemExit, match=f"the worker can't start: .*{reason}"):
        process.start()


def test_a_picture_that_cannot_be_judged_is_not_delivered() -> None:
    def broken(_: int) -> bool:
        raise RuntimeError("out of memory")

    service = InProcessService(Judge(broken))
    record = service.done()
    assert record.state is JobState.QUEUED
    assert service.kept() == set()


def test_an_edit_shows_no_previews_which_nothing_has_checked() -> None:
    steps = list(SafeEngine(drawing(), Judge()).edit(REQUEST, INPUTS, concept=None, inversion=None))
    assert [type(step) for step in steps if isinstance(step, Progress)] == [Progress] * sum(
        isinstance(step, Progress) for step in steps
    )
    assert any(isinstance(step, PreviewedProgress) for step in drawing().edit(REQUEST, INPUTS, concept=None, inversion=None))

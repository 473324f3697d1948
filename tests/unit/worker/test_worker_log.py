"""The worker's log: it names the job in every line and contains no user input."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
import torch
from botocore.exceptions import ClientError

from s2edit_core.errors import InvalidInput, NumbersNotFinite
from s2edit_core.request.spec import EditRequest, Progress
from s2edit_jobs.records import trace
from s2edit_jobs.records.errors import ArtifactsUnavailable, StoreUnavailable
from s2edit_jobs.records.files import Upload
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.celery_queue import TASK
from tests.doubles import FakeEngine
from tests.logged import Logged, logging_to_memory
from tests.unit.worker.conftest import FILES, InProcessService
from worker import process
from worker.engines.engine import Artifact, EditInputs
from worker.engines.guarded import GuardedEngine
from worker.process import WorkerProcess

CANARY = "canaryword9e4a"
REQUEST = EditRequest(prompt=f"a photo of a woman {CANARY}")
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ENDS: dict[str, Callable[[], BaseException | None]] = {
    "success": lambda: None,
    "a fault": lambda: RuntimeError(f"about {CANARY}"),
    "an invalid input": lambda: InvalidInput(f"about {CANARY}", field="prompt"),
    "an error of the method": lambda: NumbersNotFinite(f"about {CANARY}"),
    "a key error": lambda: KeyError(CANARY),
}


@pytest.fixture
def logged() -> Iterator[Logged]:
    with logging_to_memory() as stream:
        yield stream


class Quoting(FakeEngine):
    """An engine whose errors quote the prompt, also in nested causes."""

    error: BaseException | None = None

    def edit(self, request: EditRequest, inputs: EditInputs, **given: Any) -> Generator[Progress | Artifact, None, Any]:
        edited = yield from super().edit(request, inputs, **given)
        if self.error is not None:
            try:
                raise ValueError(request.prompt)
            except ValueError as cause:
                raise self.error from cause
        return edited


@pytest.mark.parametrize("end", ENDS)
def test_no_word_of_the_request_is_logged_however_the_job_ends(service: InProcessService, logged: Logged, end: str) -> None:
    service.engine = engine = Quoting()
    engine.error = ENDS[end]()
    files = {**FILES, "image": Upload(CANARY.encode(), "image/png")}
    job_id = service.accept(REQUEST, files, webhook_url=f"https://example.com/{CANARY}")
    while not service.get(job_id).state.over:
        service.work()
    assert logged.of("job_over")
    assert CANARY not in logged.text
    assert "app/ann" not in logged.text


def test_every_line_names_the_job_the_attempt_and_the_trace(service: InProcessService, logged: Logged) -> None:
    with trace.answering(f"00-{TRACE}-00f067aa0ba902b7-01"):
        job_id = service.accept(REQUEST)
    other = service.accept(REQUEST)
    service.work()
    service.work()
    lines = [line for line in logged.lines if line["job_id"] == job_id]
    assert {(line["attempt"], line.get("trace_id")) for line in lines if line["action"] != "attempt_begins"} == {(1, TRACE)}
    assert [line.get("trace_id") for line in logged.lines if line["job_id"] == other] == [None, None]


class TestCelery:
    @pytest.fixture
    def worker(self, monkeypatch: pytest.MonkeyPatch) -> WorkerProcess:
        secret = "canary-password-11"
        settings = Settings(redis_url=f"redis://:{secret}@127.0.0.1:9/0")
        made = WorkerProcess(settings, lambda _: FakeEngine())
        monkeypatch.setattr(made, "_services", object())
        monkeypatch.setattr(made, "_engine", FakeEngine())
        monkeypatch.setattr(process, "configure_logs", lambda: None)  # it would cache loggers that no later test could capture
        return made

    def test_a_ring_that_fails_is_told_without_words_and_celery_hears_of_no_failure(
        self, worker: WorkerProcess, logged: Logged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def broken(*_: Any, **__: Any) -> None:
            raise RuntimeError(f"about {CANARY}")

        monkeypatch.setattr(process, "run_job", broken)
        result = worker.app.tasks[TASK].apply(args=("e_1",))
        assert result.state == "SUCCESS"
        (line,) = logged.of("ring_unanswered")
        assert line["job_id"] == "e_1"
        assert CANARY not in logged.text

    def test_celerys_own_traceback_holds_no_words(self, worker: WorkerProcess, logged: Logged) -> None:
        def broken(_: str) -> None:
            raise RuntimeError(f"about {CANARY}")

        task = worker.app.task(name="test.broken")(broken)
        assert task.apply(args=(CANARY,)).state == "FAILURE"
        (line,) = logged.lines
        assert line["logger"] == "celery.app.trace"
        assert "builtins.RuntimeError" in line["exception"]
        assert CANARY not in logged.text

    def test_passwords_of_services_stay_out(self, worker: WorkerProcess, logged: Logged) -> None:
        """A worker that cannot start because Redis refuses connections."""

        message = "redis://:canary-password-11@127.0.0.1 refused"  # not in the line that raises, which a traceback shows

        def refused(_: Settings) -> Any:
            raise StoreUnavailable(message)

        worker._build = refused
        with logging_to_memory() as inner, pytest.raises(SystemExit):
            worker.start()
        assert inner.of("start_failed")
        assert "canary-password-11" not in inner.text + logged.text


DEVICE_ERRORS: dict[str, tuple[Callable[[], Exception], str]] = {
    "CUDA": (lambda: torch.AcceleratorError("CUDA error: an illegal memory access was encountered"), "illegal memory access"),
    "memory": (lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "Tried to allocate 2.00 GiB"),
    "cuDNN": (lambda: RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "CUDNN_STATUS_EXECUTION_FAILED"),
}


@pytest.mark.parametrize("kind", DEVICE_ERRORS)
def test_what_the_device_reports_is_logged_and_no_word_of_the_request(service: InProcessService, logged: Logged, kind: str) -> None:
    """Not only "RuntimeError at backbone.py"."""
    make, expected = DEVICE_ERRORS[kind]
    engine = Quoting()
    engine.error = make()
    service.accept(REQUEST, webhook_url=f"https://example.com/{CANARY}")
    service.engine = engine
    service.work(GuardedEngine(engine))  # type: ignore[arg-type]
    (line,) = logged.of("device_fault")
    assert expected in line["exception"]
    assert line["sticky"] == (kind != "memory")
    assert CANARY not in logged.text
    assert "app/ann" not in logged.text


def test_why_a_service_is_down_is_logged(service: InProcessService, logged: Logged) -> None:
    def refuse(key: str) -> bytes:
        error = {"Error": {"Code": "SlowDown", "Message": "Please reduce your request rate"}}
        raise ArtifactsUnavailable("the object store does not answer") from ClientError(error, "GetObject")  # type: ignore[arg-type]

    service.accept(REQUEST)
    service.artifacts.get = refuse  # type: ignore[method-assign]
    service.work()
    (line,) = logged.of("service_unavailable")
    assert "Please reduce your request rate" in line["cause"]

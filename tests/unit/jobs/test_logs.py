"""What is logged, and what must never be."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator

import pytest
import structlog

from s2edit_jobs.logs import describe
from s2edit_jobs.records import trace
from s2edit_jobs.settings import ROOT
from tests.logged import Logged, logging_to_memory

CANARY = "canary-2b7e"
log = structlog.get_logger("test")


@pytest.fixture
def logged() -> Iterator[Logged]:
    with logging_to_memory() as stream:
        yield stream


def fail(words: str = CANARY) -> None:
    prompt = words  # a local variable
    raise ValueError(f"not a prompt: {prompt}")


def chained() -> None:
    try:
        fail()
    except ValueError as error:
        raise RuntimeError(f"because of {CANARY}") from error


def test_an_exception_is_told_by_its_type_and_place_and_not_by_its_words(logged: Logged) -> None:
    try:
        chained()
    except RuntimeError as error:
        error.add_note(CANARY)
        log.exception("it failed", action="failed")
    (line,) = logged.lines
    assert CANARY not in logged.text
    assert (line["event"], line["level"]) == ("it failed", "error")
    told = line["exception"]
    assert told.index("builtins.ValueError") < told.index("builtins.RuntimeError"), "the cause first"
    assert "test_logs.py" in told
    assert "in fail" in told
    assert "raise ValueError(" in told


@pytest.mark.parametrize("how", ["exc_info=error", "tuple", "true", "none"])
def test_however_the_exception_is_given(logged: Logged, how: str) -> None:
    try:
        fail()
    except ValueError as error:
        given = {"exc_info=error": error, "tuple": sys.exc_info(), "true": True, "none": None}[how]
        log.warning("it failed", exc_info=given)
    assert ("exception" in logged.lines[0]) == (how != "none")
    assert CANARY not in logged.text


def test_an_exception_that_led_to_itself_is_told_once() -> None:
    first, second = ValueError("a"), KeyError("b")
    first.__context__, second.__context__ = second, first
    assert describe(first).count("ValueError") == 1


def test_one_that_was_hidden_on_purpose_stays_hidden() -> None:
    def hide() -> None:
        try:
            fail()
        except ValueError:
            raise RuntimeError from None

    with pytest.raises(RuntimeError) as caught:
        hide()
    assert "ValueError" not in describe(caught.value)


def test_values_that_json_does_not_know_are_told_by_their_type(logged: Logged) -> None:
    class Request:
        def __repr__(self) -> str:
            return CANARY

    log.info("asked", request=Request(), photo=CANARY.encode())
    assert logged.lines[0]["request"] == "Request"
    assert CANARY not in logged.text


class TestLibraries:
    def test_they_write_the_same_lines(self, logged: Logged) -> None:
        with structlog.contextvars.bound_contextvars(job_id="e_1"):
            logging.getLogger("some.library").warning("disk %s is full", "sda")
        (line,) = logged.lines
        assert (line["event"], line["level"], line["logger"], line["job_id"]) == (
            "disk sda is full",
            "warning",
            "some.library",
            "e_1",
        )

    def test_of_a_failure_that_they_quote_only_their_own_words_are_kept(self, logged: Logged) -> None:
        """Celery's and asyncio's ways of telling of an exception."""
        try:
            fail()
        except ValueError as error:
            celery = logging.getLogger("celery.app.trace")
            celery.error(
                "Task %(name)s raised unexpected: %(exc)s\n%(traceback)s",
                {"name": "t", "exc": error, "traceback": CANARY},
                exc_info=True,
            )
            logging.getLogger("asyncio").error(f"Task exception was never retrieved\nfuture: {error!r}", exc_info=error)
        assert CANARY not in logged.text
        assert [line["event"] for line in logged.lines] == [
            "Task %(name)s raised unexpected: %(exc)s",
            "Task exception was never retrieved",
        ]
        assert all("builtins.ValueError" in line["exception"] for line in logged.lines)

    def test_access_logs_are_silent(self, logged: Logged) -> None:
        logging.getLogger("uvicorn.access").info('%s - "%s"', "127.0.0.1", f"GET /files/x?signature={CANARY}")
        assert logged.text == ""

    def test_what_libraries_say_in_detail_is_not_kept(self, logged: Logged) -> None:
        logging.getLogger("botocore.endpoint").info(CANARY)
        logging.getLogger("any").debug(CANARY)
        assert logged.text == ""

    def test_warnings_are_lines_too(self, logged: Logged) -> None:
        warnings.warn("old", DeprecationWarning, stacklevel=1)
        assert logged.lines[0]["logger"] == "py.warnings"


def test_a_thread_that_dies_says_so_without_words(logged: Logged) -> None:
    thread = threading.Thread(target=fail, name=f"heartbeat {CANARY}")
    thread.start()
    thread.join()
    (line,) = logged.of("crashed")
    assert (line["level"], line["thread"]) == ("critical", "heartbeat")
    assert CANARY not in logged.text


def test_a_process_that_dies_says_so_without_words() -> None:
    code = f"from s2edit_jobs.logs import configure_logs\nconfigure_logs()\nraise ValueError('{CANARY}'[:])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 1
    assert '"action": "crashed"' in done.stderr
    assert "builtins.ValueError" in done.stderr
    assert CANARY not in done.stderr


class TestTraces:
    GIVEN = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

    def test_a_trace_goes_on_by_a_span_of_our_own(self) -> None:
        ours = trace.continued(self.GIVEN)
        assert trace.trace_id(ours) == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert ours.endswith("-01")
        assert ours != self.GIVEN

    def test_a_later_version_is_understood(self) -> None:
        assert trace.trace_id(trace.continued(f"cc{self.GIVEN[2:]}-more")) == "4bf92f3577b34da6a3ce929d0e0e4736"

    @pytest.mark.parametrize(
        "given",
        [
            None,
            "",
            "x",
            f"{GIVEN}-more",
            f"ff{GIVEN[2:]}",
            GIVEN.upper(),
            f"00-{'0' * 32}-00f067aa0ba902b7-01",
            f"00-4bf92f3577b34da6a3ce929d0e0e4736-{'0' * 16}-01",
            f"{GIVEN}\n",
        ],
    )
    def test_a_malformed_one_begins_anew(self, given: str | None) -> None:
        ours = trace.continued(given)
        assert trace.continued(ours).split("-")[1] == trace.trace_id(ours)
        assert trace.trace_id(ours) != "4bf92f3577b34da6a3ce929d0e0e4736"

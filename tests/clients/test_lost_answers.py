"""What the Python client does when an answer is lost or comes from something else, by a clock that the tests move."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from s2edit_client import Client, EditFailed, events, waiting
from s2edit_client.rest.api.edits import get_edit

PAGE = "<html>a page of a proxy</html>"
CUT = httpx.ReadError("the connection was cut")


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(waiting, "time", SimpleNamespace(monotonic=clock.monotonic))
    monkeypatch.setattr(events, "time", SimpleNamespace(monotonic=clock.monotonic, sleep=lambda _s: None))
    return clock


def polling(clock: Clock, *, for_s: float = 600.0) -> Generator[Any, Any, Any]:
    return waiting._answered(get_edit, {"edit_id": "e_1"}, clock.now + for_s, "e_1")


def sent(steps: Generator[Any, Any, Any], result: Any = None) -> Any:
    """Give the result of the last call, and return the next one."""
    step = steps.send(result)
    return steps.send(None) if isinstance(step, waiting._Pause) else step


def foreign(status: int) -> Any:
    return waiting._read(get_edit, Client(base_url="http://service.test"), httpx.Response(status, text=PAGE))


def test_a_long_poll_that_is_cut_is_sent_again(clock: Clock) -> None:
    """It has taken longer than the service may be unreachable."""
    steps = polling(clock)
    assert sent(steps).arguments["prefer"] == "wait=30"
    clock.now += 29
    again = sent(steps, CUT)
    assert again.arguments["prefer"] == "wait=0", "an answer at once shows that the service is back"


def test_a_service_that_stays_away_is_given_up(clock: Clock) -> None:
    steps, began = polling(clock), clock.now
    sent(steps)

    def stay_away() -> None:
        while True:
            clock.now += waiting.PAUSE_S
            sent(steps, CUT)

    with pytest.raises(EditFailed) as failure:
        stay_away()
    assert (failure.value.code, failure.value.edit_id) == ("unreachable", "e_1")
    assert waiting.PATIENCE_S <= clock.now - began <= waiting.PATIENCE_S + 2


def test_a_request_ends_soon_after_the_time_of_the_call(clock: Clock) -> None:
    assert sent(polling(clock, for_s=600)).timeout_s == waiting.ANSWER_S
    assert sent(polling(clock, for_s=3)).timeout_s == 3 + waiting.GRACE_S


@pytest.mark.parametrize("status", [400, 401, 403, 413, 431])
def test_what_a_proxy_refuses_is_not_sent_again(clock: Clock, status: int) -> None:
    steps = polling(clock)
    sent(steps)
    with pytest.raises(EditFailed, match=f"it answered {status}") as failure:
        steps.send(foreign(status))
    assert (failure.value.code, failure.value.status, failure.value.retryable) == ("unreachable", status, False)


@pytest.mark.parametrize("status", [200, 404, 408, 429, 500, 502, 503, 504])
def test_a_page_that_may_be_there_only_for_now_is_waited_out(clock: Clock, status: int) -> None:
    steps = polling(clock)
    sent(steps)
    sent(steps, foreign(status))
    clock.now += waiting.PATIENCE_S
    with pytest.raises(EditFailed, match=f"it answered {status}") as failure:
        sent(steps, foreign(status))
    assert (failure.value.status, failure.value.retryable) == (status, True)


def test_a_download_that_breaks_off_late_is_begun_again(clock: Clock) -> None:
    steps = waiting._fetched("http://store.test/1", "e_1")
    sent(steps)
    clock.now += 3 * waiting.PATIENCE_S
    sent(steps, CUT)
    with pytest.raises(StopIteration) as done:
        steps.send(httpx.Response(200, content=b"whole"))
    assert done.value.value == b"whole"


@pytest.mark.parametrize("status", [200, 404, 502])
def test_a_page_instead_of_events_is_given_up(clock: Clock, status: int) -> None:
    progress, began = events._Progress("e_1", None, 0), clock.now
    page = httpx.Response(status, text=PAGE, headers={"Content-Type": "text/html"})

    def follow() -> None:
        while clock.now < began + 10 * waiting.PATIENCE_S:
            assert not progress.opened(page)
            progress.rejected(page)
            clock.now += progress.pause_s()

    with pytest.raises(EditFailed, match=f"it answered {status}"):
        follow()


def test_a_page_of_a_proxy_that_refuses_is_given_up_at_once() -> None:
    progress = events._Progress("e_1", None, 0)
    with pytest.raises(EditFailed, match="it answered 401"):
        progress.rejected(httpx.Response(401, text=PAGE))

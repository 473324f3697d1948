"""Bodies that arrive too slowly are ended, and slow ones are counted."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.types import Message, Receive, Scope, Send

from api.guard import slow_bodies
from api.guard.slow_bodies import SENDER, SlowBodies
from s2edit_jobs.records.record import Owner

GRACE_S, SLOW_S = 0.3, 0.05
RATE = 1000


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_bodies, "GRACE_S", GRACE_S)
    monkeypatch.setattr(slow_bodies, "SLOW_AFTER_S", SLOW_S)


class TimelessLoop(asyncio.SelectorEventLoop):
    """An event loop that waits for nothing: its time jumps to the next timer, so a slow machine changes nothing."""

    _now = 0.0

    def __init__(self) -> None:
        super().__init__()
        self._selector.select = self._jump  # type: ignore[attr-defined]

    def time(self) -> float:
        return self._now

    def _jump(self, timeout: float | None) -> list[Any]:
        assert timeout is not None, "nothing would ever end this wait"
        self._now += timeout
        return []


def run(scenario: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner(loop_factory=TimelessLoop) as runner:
        return runner.run(scenario)


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body"):
        pass


def scope_of(owner: Owner | None = None, path: str = "/edits", address: str = "192.0.2.1") -> Scope:
    state: dict[str, Any] = {} if owner is None else {SENDER: owner}
    headers = [(b"content-length", b"100")]
    return {"type": "http", "method": "POST", "path": path, "headers": headers, "state": state, "client": (address, 1)}


async def unused(message: Message) -> None:
    raise AssertionError(message)


async def send_body(guard: SlowBodies, scope: Scope, *, pieces: int, size: int, pause_s: float) -> int:
    """Send a body of some pieces with a pause before each. Return 200, or the status of the refusal."""
    loop, left = asyncio.get_running_loop(), pieces
    due = loop.time() + pause_s

    async def receive() -> Message:
        """Return the next piece when it is due. A call that was canceled loses nothing, as in uvicorn."""
        nonlocal left, due
        await asyncio.sleep(due - loop.time())
        left, due = left - 1, due + pause_s
        return {"type": "http.request", "body": b"x" * size, "more_body": left > 0}

    try:
        await guard(scope, receive, unused)
    except HTTPException as error:
        return error.status_code if error.headers == {"Connection": "close"} else -1
    return 200


@pytest.mark.parametrize(
    ("pieces", "size", "pause_s", "status"),
    [
        (1, 100, 0.0, 200),
        (3, 1, 0.01, 200),
        (1, 1, 60.0, 408),  # nothing comes at all
        (1000, 1, 0.02, 408),  # 50 bytes per second
        (20, 100, 0.05, 200),  # 2000 bytes per second, for longer than the grace
    ],
)
def test_a_body_must_arrive_at_a_rate(pieces: int, size: int, pause_s: float, status: int) -> None:
    guard = SlowBodies(read_all, RATE)
    assert run(send_body(guard, scope_of(), pieces=pieces, size=size, pause_s=pause_s)) == status
    assert not guard._slow


def test_a_rate_of_0_is_no_limit() -> None:
    guard = SlowBodies(read_all, 0)
    assert run(send_body(guard, scope_of(), pieces=2, size=1, pause_s=GRACE_S)) == 200


def crowd(scopes: list[Scope], last: Scope) -> int:
    """Send a slow body for each of `scopes`. Return how a slow body of `last` is answered meanwhile."""

    async def scenario() -> int:
        guard = SlowBodies(read_all, RATE)
        tasks = [asyncio.create_task(send_body(guard, scope, pieces=1, size=1, pause_s=0.25)) for scope in scopes]
        await asyncio.sleep(SLOW_S * 2)
        status = await send_body(guard, last, pieces=1, size=1, pause_s=SLOW_S * 2)
        assert await asyncio.gather(*tasks) == [200] * len(scopes)
        assert not guard._slow
        return status

    return run(scenario())


ANN, BOB, ZOE = Owner("app", "ann"), Owner("app", "bob"), Owner("other", "zoe")


@pytest.mark.parametrize(
    ("scopes", "last", "status"),
    [
        ([scope_of(ANN)] * 2, scope_of(ANN), 408),
        ([scope_of(ANN)] * 2, scope_of(BOB), 200),
        ([scope_of(ANN)] * 2 + [scope_of(BOB)], scope_of(BOB), 408),  # the tenant's
        ([scope_of(ANN)] * 2 + [scope_of(BOB)], scope_of(ZOE), 200),
        ([scope_of(ANN)] * 2 + [scope_of(ZOE)] * 2, scope_of(Owner("third", "eve")), 408),  # all
        ([scope_of(path="/files/t/app/u/ann/uploads/u_1/file.png")] * 2, scope_of(ANN), 408),
        ([scope_of(address="192.0.2.1")] * 2, scope_of(address="192.0.2.1"), 408),
        ([scope_of(address="192.0.2.1")] * 2, scope_of(address="192.0.2.2"), 200),
    ],
)
def test_slow_bodies_are_bounded_by_user_by_tenant_and_in_all(
    scopes: list[Scope], last: Scope, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("MAX_SLOW_PER_USER", 2), ("MAX_SLOW_PER_TENANT", 3), ("MAX_SLOW", 4)):
        monkeypatch.setattr(slow_bodies, name, most)
    assert crowd(scopes, last) == status

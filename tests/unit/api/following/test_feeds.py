"""Streams and long polls of one job share what they read, and their number is bounded."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import anyio
import pytest
from anyio import to_thread
from fastapi import FastAPI
from starlette.requests import Request

from api.changes import Changes
from api.following import feeds as feeds_module
from api.following.connections import Connections
from api.following.events import EventStream, _Stream, stream_edit
from api.following.feeds import Feeds
from api.guard.auth import Authenticator, Principal
from api.slow_calls import SharedCalls
from s2edit_core.request.spec import Progress
from s2edit_jobs.access.keys import USUAL_SCOPES
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobRecord, Owner
from s2edit_jobs.stores.object_store.filesystem_artifacts import LINK_BASE
from tests.unit.api.conftest import OWNER, Api
from tests.unit.api.following.test_following import done, once_awaited, stream
from tests.unit.api.routes.edits.test_edits import claim, succeed
from tests.unit.api.wire.test_bad_input import assert_problem

CROWD = 50


async def allowed() -> bool:
    return True


def sequences(chunks: list[bytes]) -> list[int]:
    return [int(line[4:]) for chunk in chunks for line in chunk.decode().splitlines() if line.startswith("id: ")]


class Crowd:
    """Many streams of one edit, as one process serves them."""

    def __init__(self, api: Api, edit_id: str, *, check: Callable[[], Awaitable[bool]] = allowed) -> None:
        self.changes = Changes(api.store.events)
        self.feeds = Feeds(api.services, self.changes)
        self.edit_id = edit_id
        self.check = check
        self.received: list[list[bytes]] = []

    def join(self, after: int = 0) -> asyncio.Task[None]:
        chunks: list[bytes] = []
        self.received.append(chunks)
        one = _Stream(self.feeds, self.changes, OWNER, self.edit_id, self.check)

        async def collect(events: AsyncIterator[bytes]) -> None:
            async for chunk in events:
                chunks.append(chunk)  # noqa: PERF401  others look at it meanwhile

        return asyncio.create_task(collect(one.follow(after)))

    async def until_all_have(self, sequence: int) -> None:
        ends = time.monotonic() + 20
        while not all(sequence in sequences(chunks) for chunks in self.received):
            assert time.monotonic() < ends
            await asyncio.sleep(0.01)


def test_a_crowd_of_streams_reads_each_change_once(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    edit_id = api.edit().json()["id"]
    reads: list[int] = []
    read = Jobs.events

    def counted(self: Jobs, owner: Owner, job_id: str, *, after: int) -> tuple[list[JobRecord], bool]:
        reads.append(after)
        return read(self, owner, job_id, after=after)

    async def scenario() -> None:
        crowd = Crowd(api, edit_id)
        tasks = [crowd.join() for _ in range(CROWD)]
        await crowd.until_all_have(1)
        monkeypatch.setattr(Jobs, "events", counted)
        await asyncio.to_thread(done, api, edit_id)
        await asyncio.gather(*tasks)
        assert {tuple(sequences(chunks)) for chunks in crowd.received} == {(1, 2, 3, 4, 5, 6)}
        assert len(reads) <= 8, "at most one for each change, and one for the last message"
        assert not crowd.feeds._feeds, "the feed ends with its last stream"
        crowd.changes.stop()

    asyncio.run(scenario())


def test_streams_that_come_at_any_time_miss_nothing(api: Api) -> None:
    edit_id = api.edit().json()["id"]

    async def scenario() -> None:
        crowd = Crowd(api, edit_id)
        tasks = [crowd.join()]
        lease = await asyncio.to_thread(claim, api, edit_id)
        for step in range(1, 21):
            tasks.append(crowd.join(after=step % 3))
            await asyncio.to_thread(api.store.events.progress, lease, Progress("learning", step, 20))
        await asyncio.to_thread(succeed, api, edit_id)
        await asyncio.gather(*tasks)
        last = sequences(crowd.received[0])[-1]
        for number, chunks in enumerate(crowd.received):
            first = 1 if number == 0 else number % 3 + 1
            assert sequences(chunks) == list(range(first, last + 1))
            assert not any(b"event: gap" in chunk for chunk in chunks)
        crowd.changes.stop()

    asyncio.run(scenario())


def test_a_client_that_reads_slowly_holds_up_no_other_and_sees_a_gap(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds_module, "KEPT", 3)
    edit_id = api.edit().json()["id"]

    async def scenario() -> None:
        crowd = Crowd(api, edit_id)
        slow = _Stream(crowd.feeds, crowd.changes, OWNER, edit_id, allowed).follow(0)
        seen = [await anext(slow), await anext(slow)]
        quick = crowd.join()
        await crowd.until_all_have(1)
        lease = await asyncio.to_thread(claim, api, edit_id)
        for step in range(1, 11):
            await asyncio.to_thread(api.store.events.progress, lease, Progress("learning", step, 10))
        await asyncio.to_thread(succeed, api, edit_id)
        await quick
        seen += [chunk async for chunk in slow]
        assert any(b"event: gap" in chunk for chunk in seen)
        assert sequences(seen)[-1] == sequences(crowd.received[0])[-1]
        crowd.changes.stop()

    asyncio.run(scenario())


def test_an_erased_edit_ends_its_streams(api: Api) -> None:
    edit_id = api.edit().json()["id"]

    async def scenario() -> None:
        crowd = Crowd(api, edit_id)
        tasks = [crowd.join() for _ in range(3)]
        await crowd.until_all_have(1)
        await asyncio.to_thread(api.delete, f"/edits/{edit_id}")
        await asyncio.wait_for(asyncio.gather(*tasks), 10)
        crowd.changes.stop()

    asyncio.run(scenario())


def test_the_streams_of_a_key_share_each_check_of_it(api: Api) -> None:
    edit_id = api.edit().json()["id"]
    released = threading.Event()
    checked: list[str] = []

    class Slow(Authenticator):
        def is_valid(self, principal: Principal) -> bool:
            checked.append(principal.key_id)
            return released.wait(60)

    async def begun(app: FastAPI, key_id: str) -> AsyncIterator[bytes]:
        """Return a stream that has sent its first bytes, and checks the key next."""
        answer = await stream_edit(
            edit_id,
            Request({"type": "http", "app": app}),
            OWNER,
            Jobs(api.services),
            app.state.changes,
            Slow(api.services),
            Principal(OWNER, USUAL_SCOPES, key_id),
        )
        assert isinstance(answer, EventStream)
        events: Any = aiter(answer.body_iterator)
        await anext(events)
        return events  # type: ignore[no-any-return]

    async def scenario() -> None:
        app = FastAPI()
        app.state.changes = Changes(api.store.events)
        app.state.feeds = Feeds(api.services, app.state.changes)
        app.state.connections = Connections(api.services.settings)
        app.state.credential_checks = SharedCalls[Principal](app.state.changes.threads)
        streams = [await begun(app, key_id) for key_id in ("ours", "ours", "ours", "theirs")]
        first = [asyncio.ensure_future(anext(events)) for events in streams]
        await asyncio.sleep(0)  # one iteration of the loop: now each has asked
        released.set()
        assert all(b"event: edit" in event for event in await asyncio.gather(*first))
        assert sorted(checked) == ["ours", "theirs"]
        app.state.changes.stop()

    asyncio.run(scenario())


@pytest.mark.parametrize("iterations", range(3))
def test_a_feed_ends_with_its_last_stream_though_a_change_comes_then(api: Api, iterations: int) -> None:
    edit_id = api.edit().json()["id"]

    async def scenario() -> None:
        changes = Changes(api.store.events)
        with Feeds(api.services, changes).following(OWNER, edit_id) as (feed, _):
            await asyncio.sleep(0)  # it waits now
            feed._changed.set()
            for _ in range(iterations):
                await asyncio.sleep(0)
        ended, _ = await asyncio.wait([feed._task], timeout=20)
        assert ended
        changes.stop()

    asyncio.run(scenario())


def test_long_polls_of_one_edit_share_their_reads(api: Api) -> None:
    edit_id = api.edit().json()["id"]
    reads: list[float] = []

    def load() -> JobRecord:
        reads.append(time.monotonic())
        time.sleep(0.05)
        return Jobs(api.services).get(OWNER, edit_id)

    async def scenario() -> None:
        changes = Changes(api.store.events)
        polls = [
            asyncio.create_task(changes.until(load, lambda record: record.state.over, job_id=edit_id, wait_s=20))
            for _ in range(CROWD)
        ]
        while len(reads) < CROWD:
            await asyncio.sleep(0.01)
        reads.clear()
        await asyncio.to_thread(done, api, edit_id)
        assert {record.state.value for record in await asyncio.gather(*polls)} == {"succeeded"}
        assert len(reads) <= 12
        changes.stop()

    asyncio.run(scenario())


def test_streams_are_read_while_all_threads_of_other_requests_are_busy(api: Api) -> None:
    edit_id = api.edit().json()["id"]
    free = threading.Event()

    async def scenario() -> None:
        common = to_thread.current_default_thread_limiter()
        common.total_tokens = 1
        changes = Changes(api.store.events)
        async with anyio.create_task_group() as others:
            others.start_soon(to_thread.run_sync, free.wait)
            try:
                while common.available_tokens:
                    await anyio.sleep(0)
                with anyio.fail_after(20):
                    assert await Feeds(api.services, changes).read(OWNER, edit_id, 0)
            finally:
                free.set()
        changes.stop()

    anyio.run(scenario)


class TestBounds:
    @pytest.fixture
    def connections(self, api: Api) -> Connections:
        limits = {"max_streams_per_user": 2, "max_streams_per_tenant": 3, "max_streams": 4}
        made = Connections(api.services.settings.model_copy(update=limits))
        api.client.app.state.connections = made  # type: ignore[attr-defined]
        return made

    @pytest.mark.parametrize(
        ("others", "status", "code"),
        [
            ([OWNER] * 2, 429, "too_many_streams"),
            ([Owner("default", f"user-{i}") for i in range(3)], 429, "too_many_streams"),
            ([Owner(f"tenant-{i}", "ann") for i in range(4)], 503, "streams_full"),
        ],
    )
    def test_beyond_a_bound_streams_are_refused_and_long_polls_answered_at_once(
        self, api: Api, connections: Connections, others: list[Owner], status: int, code: str
    ) -> None:
        edit = api.edit().json()
        where = f"/edits/{edit['id']}"
        with ExitStack() as held:
            for owner in others:
                held.enter_context(connections.held(owner))
            refused = api.client.get(f"{where}/events")
            assert_problem(refused, status, code)
            assert refused.json()["retryable"] is True
            assert int(refused.headers["retry-after"]) > 0
            began = time.monotonic()
            answer = api.client.get(where, headers={"Prefer": "wait=20"})
            assert (answer.status_code, "preference-applied" in answer.headers) == (200, False)
            assert api.edit(headers={"Prefer": "wait=20"}).status_code == 202
            assert time.monotonic() - began < 10
        threads = once_awaited(api, lambda: done(api, edit["id"]))
        assert stream(api, edit["id"])[-1]["data"]["state"] == "succeeded"
        threads.pop().join()

    def test_whatever_waits_is_counted(self, api: Api) -> None:
        counted: list[Owner] = []

        class Watched(Connections):
            @contextmanager
            def held(self, owner: Owner) -> Iterator[None]:
                counted.append(owner)
                with super().held(owner):
                    yield

        api.client.app.state.connections = Watched(api.services.settings)  # type: ignore[attr-defined]
        key = {"Idempotency-Key": "one", "Prefer": "wait=20"}
        edit_id = api.edit(headers={"Idempotency-Key": "one"}).json()["id"]
        done(api, edit_id)
        for wait in (
            lambda: stream(api, edit_id),
            lambda: api.client.get(f"/edits/{edit_id}", headers={"Prefer": "wait=20"}),
            lambda: api.edit(headers=key),
        ):
            wait()
            assert counted == [OWNER]
            counted.clear()
        api.client.get(f"/edits/{edit_id}")
        assert counted == []

    def test_a_connection_that_ends_is_counted_no_more(self, api: Api, connections: Connections) -> None:
        edit_id: Any = api.edit().json()["id"]
        done(api, edit_id)
        for _ in range(5):
            assert stream(api, edit_id)
            assert api.client.get(f"/edits/{edit_id}", headers={"Prefer": "wait=5"}).headers["preference-applied"] == "wait=5"
        assert not connections._open


def test_streams_share_a_feed_only_if_they_came_to_the_same_address(api: Api) -> None:
    """The events contain links, which begin with that address."""
    edit_id = api.edit().json()["id"]

    async def followed() -> None:
        changes = Changes(api.store.events)
        feeds = Feeds(api.services, changes)
        with feeds.following(OWNER, edit_id) as (here, _):
            LINK_BASE.set("http://192.168.1.7:8000")
            with feeds.following(OWNER, edit_id) as (there, _), feeds.following(OWNER, edit_id) as (also_there, _):
                assert here is not there
                assert there is also_there
        changes.stop()

    asyncio.run(followed())

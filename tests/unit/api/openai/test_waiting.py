"""What stands between a request and its answer: idempotency, lost connections, bounds, failures, streams."""

from __future__ import annotations

import asyncio
import base64
import io
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from PIL import Image

from api.openai import streaming, waiting
from api.openai.parameters import OpenAIOptions
from api.openai.translation import Asked
from api.wire.edit_requests import EditDocument
from s2edit_core.request.spec import Progress
from s2edit_jobs.access.keys import SCOPES, KeyRing
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.record import Failure, JobRecord, JobState
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import OWNER, PROMPT
from tests.unit.api.guard.test_auth import bearer, with_auth
from tests.unit.api.guard.test_testmode import Sides
from tests.unit.api.openai.conftest import PATH, Images, assert_refused, events, mask
from tests.waiting import until
from worker.attempts.runner import run_attempt
from worker.engines.modeless_engine import engine_of_test_mode

KEY = {"Idempotency-Key": "order-1"}


def test_the_same_key_gets_the_same_edit_in_whatever_form(images: Images) -> None:
    first = images.edit(headers=KEY, mask=mask())
    again = images.edit(headers=KEY, mask=mask(), response_format="url")
    streamed = images.edit(headers=KEY, mask=mask(), stream="true")
    assert first.json()["id"] == again.json()["id"] == events(streamed.text)[-1][1]["id"]
    assert images.specs() == 1
    assert_refused(images.edit(headers=KEY, mask=mask(), n="2"), None, "idempotency_key_reused")
    assert_refused(images.edit(headers={"Idempotency-Key": "order 1"}), "idempotency-key", "header_invalid")


@pytest.mark.parametrize("again", [{}, {"stream": "true"}, {"response_format": "url"}, {"n": "2"}], ids=repr)
def test_an_erased_edit_does_not_come_back_by_its_key(images: Images, again: dict[str, str]) -> None:
    edit_id = images.edit(headers=KEY).json()["id"]
    images.api.delete(f"/edits/{edit_id}")
    assert_refused(images.edit(headers=KEY, **again), None, "edit_erased", status=404)
    assert images.specs() == 0
    assert images.engine.learned == 1


@pytest.mark.parametrize("stream", ["false", "true"])
def test_an_edit_that_is_erased_while_its_request_waits(images: Images, stream: str) -> None:
    images.held.clear()
    answers: list[Any] = []
    waiting = threading.Thread(target=lambda: answers.append(images.edit(headers=KEY, stream=stream)))
    waiting.start()
    until(lambda: bool(images.api.get("/edits").json()["items"]))
    (edit,) = images.api.get("/edits").json()["items"]
    images.api.delete(f"/edits/{edit['id']}")
    waiting.join(20)
    (answer,) = answers
    if stream == "true":
        assert events(answer.text)[-1][1]["error"]["code"] == "edit_erased"
    else:
        assert_refused(answer, None, "edit_erased", status=404)
    images.held.set()
    assert images.specs() == 0


@pytest.mark.parametrize(("stream", "status"), [("false", 499), ("true", 200)])
def test_a_client_that_goes_away_cancels_nothing(images: Images, stream: str, status: int) -> None:
    """The connection is lost while the edit waits; asking again with the key gets its result."""
    images.held.clear()
    app = images.api.client.app
    request = images.api.client.build_request(
        "POST", PATH, files={"image": ("a.png", pictures.photo()), "prompt": (None, PROMPT), "stream": (None, stream)}, headers=KEY
    )
    body = request.read()
    scope = {
        "type": "http",
        "scheme": "http",
        "method": "POST",
        "path": PATH,
        "query_string": b"",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": None,
    }
    sent: list[Any] = []

    async def lose_the_connection() -> None:
        messages = [{"type": "http.request", "body": body}]
        accepted = asyncio.Event()
        loop = asyncio.get_running_loop()
        notify = images.api.queue.notify
        images.api.queue.notify = lambda job_id: (notify(job_id), loop.call_soon_threadsafe(accepted.set))  # type: ignore[assignment, func-returns-value]

        async def receive() -> Any:
            if messages:
                return messages.pop()
            await accepted.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            sent.append(message)

        await asyncio.wait_for(app(scope, receive, send), 20)
        assert app.state.connections._open == {}  # type: ignore[attr-defined]

    portal = images.api.client.portal
    assert portal is not None
    portal.call(lose_the_connection)
    assert sent[0]["status"] == status
    images.held.set()
    answer = images.edit(headers=KEY)
    assert (answer.status_code, images.specs()) == (200, 1)


def test_an_edit_that_takes_too_long_is_told_so_and_not_repeated_by_the_sdks(
    images: Images, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waiting, "MAX_WAIT_S", 0.2)
    images.held.clear()
    answer = images.edit(headers=KEY)
    assert "same Idempotency-Key" in assert_refused(answer, None, "edit_unfinished", status=504)
    assert answer.headers["x-should-retry"] == "false"
    images.held.set()
    monkeypatch.undo()
    assert images.edit(headers=KEY).status_code == 200
    assert images.specs() == 1


@pytest.mark.parametrize("limits", [{"max_streams_per_user": 1}, {"max_streams": 1}], ids=["user", "all"])
def test_no_more_than_so_many_wait_and_a_refused_one_leaves_no_job(images: Images, limits: dict[str, int]) -> None:
    connections = images.api.client.app.state.connections  # type: ignore[attr-defined]
    connections._settings = connections._settings.model_copy(update=limits)
    with connections.held(OWNER):
        answer = images.edit()
    status, code = (429, "too_many_streams") if "max_streams_per_user" in limits else (503, "streams_full")
    assert_refused(answer, None, code, status=status)
    assert (answer.headers["x-should-retry"], "retry-after" in answer.headers) == ("true", True)
    assert images.specs() == 0
    assert images.edit().status_code == 200


def test_a_canceled_edit_is_a_conflict(images: Images) -> None:
    def cancel(_: Progress) -> None:
        images.engine.on_step = None
        (edit,) = images.api.get("/edits").json()["items"]
        images.api.client.post(f"/edits/{edit['id']}/cancel")

    images.engine.on_step = cancel
    answer = images.edit()
    assert_refused(answer, None, "canceled", status=409)
    assert answer.headers["x-should-retry"] == "false"


def test_redis_may_be_down_while_an_edit_waits(images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "RETRY_S", 0.05)
    get, failures = images.api.store.records.get, iter(range(3))

    def flaky(*arguments: Any) -> Any:
        if next(failures, None) is not None:
            raise StoreUnavailable("down")
        images.held.set()
        return get(*arguments)

    images.held.clear()
    monkeypatch.setattr(images.api.store.records, "get", flaky)
    assert images.edit().status_code == 200
    assert next(failures, None) is None


def test_pictures_that_have_expired(images: Images) -> None:
    assert images.edit(headers=KEY).status_code == 200
    images.api.limit(result_ttl_s=1e-6)
    assert_refused(images.edit(headers=KEY), None, "results_expired", status=404)
    (kind, event) = events(images.edit(headers=KEY, stream="true").text)[-1]
    assert (kind, event["error"]["code"]) == ("error", "results_expired")


class TestStreams:
    def test_every_picture_is_an_event(self, images: Images) -> None:
        whole = images.edit(n="3").json()
        answer = images.edit(n="3", stream="true")
        found = events(answer.text)
        assert [kind for kind, _ in found] == ["image_edit.completed"] * 3
        assert [event["b64_json"] for _, event in found] == [one["b64_json"] for one in whole["data"]]
        assert {name: found[0][1][name] for name in ("type", "size", "output_format", "background", "usage")} == {
            "type": "image_edit.completed",
            "size": "96x128",
            "output_format": "png",
            "background": "opaque",
            "usage": None,
        }

    def test_what_is_wrong_at_once_is_no_stream(self, images: Images) -> None:
        assert_refused(images.edit(stream="true", prompt="make her smile"), "prompt", "prompt_instruction")
        assert_refused(images.edit(stream="true", quality="max"), "quality", "option_unsupported")

    def test_a_silent_edit_sends_a_sign_of_life(self, images: Images, monkeypatch: pytest.MonkeyPatch) -> None:
        """The edit runs once two of them were sent."""
        until_over, pings = streaming._until_over, []

        async def watched(*arguments: Any) -> AsyncIterator[bytes]:
            async for event in until_over(*arguments):
                yield event
                if event.startswith(b": ping"):
                    pings.append(event)
                if len(pings) == 2:
                    images.held.set()

        monkeypatch.setattr(streaming, "_until_over", watched)
        monkeypatch.setattr(streaming, "KEEPALIVE_S", 0.02)
        images.held.clear()
        text = images.edit(stream="true").text
        assert text.count(": ping") == len(pings) >= 2
        assert events(text)[-1][0] == "image_edit.completed"


FAILURES: tuple[tuple[str, int, str | None, str, str | None], ...] = (
    ("failed mask_not_found", 400, "person_mask", "mask_not_found", None),
    ("failed identity_unknown", 400, "identity", "identity_unknown", None),
    ("failed prompt_too_long", 400, "prompt", "prompt_too_long", None),
    ("failed out_of_memory", 503, None, "out_of_memory", "true"),
    ("failed parked", 500, None, "parked", "false"),
    ("failed numbers_not_finite", 500, None, "numbers_not_finite", "false"),
    ("failed artifact_mismatch", 409, None, "artifact_mismatch", "false"),
    ("refused", 400, "prompt", "policy_refused", None),
)
"""A directive of test mode, and the error: status, parameter, code and `x-should-retry`."""


@pytest.mark.parametrize("retryable", [False, True])
@pytest.mark.parametrize(
    "code", ["parked", "out_of_memory", "numbers_not_finite", "record_newer", "deadline_exceeded", "unheard_of"]
)
def test_a_failure_is_a_503_only_if_the_same_request_may_succeed_later(code: str, retryable: bool) -> None:
    failure = Failure(code, "message", retryable=retryable)
    record = JobRecord(id="e_1", owner=OWNER, state=JobState.FAILED, sequence=1, created_at=0, updated_at=0, failure=failure)
    asked = Asked(options=cast("OpenAIOptions", None), document=EditDocument(prompt=PROMPT), files={}, user=None)
    failed = waiting.failure_of(asked, record)
    assert (failed.status, failed.retryable) == (503 if retryable else 500, retryable)


@contextmanager
def housekeeper(images: Images) -> Iterator[None]:
    """Run the jobs of test mode as they come."""
    services, over = images.api.services, threading.Event()

    def work() -> None:
        while not over.wait(0.02):
            if (lease := services.store.leases.claim(lease_s=15, test=True)) is not None:
                run_attempt(lease, services, engine_of_test_mode(FakeEngine.facts), stop=threading.Event())

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        over.set()
        worker.join()


def test_failures_are_the_errors_of_the_sdks(images: Images) -> None:
    sides = Sides(images.api)
    with images.api.client, housekeeper(images):
        for directive, status, param, code, retry in FAILURES:
            answer = images.edit(prompt=f"{PROMPT} [test:{directive}]", headers=sides.test)
            assert_refused(answer, param, code, status=status)
            assert (answer.headers.get("x-should-retry"), answer.headers["s2edit-test"]) == (retry, "true")
        streamed = images.edit(prompt=f"{PROMPT} [test:failed mask_not_found]", headers=sides.test, stream="true")
        (kind, event) = events(streamed.text)[-1]
        assert (kind, event["error"]["code"], event["error"]["param"]) == ("error", "mask_not_found", "person_mask")


def test_previews_are_partial_images(images: Images) -> None:
    sides = Sides(images.api)
    with images.api.client, housekeeper(images):
        answer = images.edit(prompt=f"{PROMPT} [test:slow 6]", headers=sides.test, stream="true", partial_images="2")
    found = events(answer.text)
    assert [kind for kind, _ in found] == ["image_edit.partial_image", "image_edit.partial_image", "image_edit.completed"]
    for index, (_, event) in enumerate(found[:2]):
        assert (event["partial_image_index"], event["output_format"]) == (index, "webp")
        with Image.open(io.BytesIO(base64.b64decode(event["b64_json"]))) as preview:
            assert (preview.format, f"{preview.width}x{preview.height}") == ("WEBP", event["size"])


class TestCallers:
    def test_keys_scopes_and_users(self, images: Images) -> None:
        ring = KeyRing(images.api.artifacts)
        full, reads = ring.create("acme", SCOPES)[1], ring.create("acme", ["edits:read"])[1]
        writes = ring.create("acme", ["edits:write"])[1]
        report_loaded(images.api.artifacts, images.api.services.settings.model, FakeEngine.facts)
        with_auth(images.api, "keys")
        images.__post_init__()
        with images.api.client:
            assert_refused(images.edit(), None, "credentials_missing", status=401)
            assert_refused(images.api.client.post(PATH), None, "credentials_missing", status=401)
            assert_refused(images.edit(headers=bearer("none")), None, "credentials_missing", status=401)
            assert_refused(images.edit(headers=bearer("sk-nothing")), None, "credentials_invalid", status=401)
            assert_refused(images.edit(headers=bearer(reads)), None, "scope_missing", status=403)
            assert images.api.client.get("/v1/models", headers=bearer(reads)).status_code == 200
            assert_refused(images.api.client.get("/v1/models", headers=bearer(writes)), None, "scope_missing", status=403)
            answer = images.edit(headers=bearer(writes), user="ann")
            assert (answer.headers["s2edit-user"], images.spec(answer).owner.user) == ("ann", "ann")
            seen = images.api.client.get(f"/edits/{answer.json()['id']}", headers=bearer(full, "ann"))
            assert seen.status_code == 200
            for name in ("user", "safety_identifier"):
                refused = images.edit(headers=bearer(full, "bob"), **{name: "ann"})
                assert_refused(refused, name, "user_unclear")
                assert f"`{name}` and S2Edit-User" in refused.json()["error"]["message"]
            assert images.edit(headers=bearer(full, "ann"), user="ann").status_code == 200
            token = images.api.client.post("/tokens", json={"edits": 1}, headers=bearer(full, "ann")).json()["token"]
            assert_refused(images.edit(headers=bearer(token), user="bob"), None, "user_foreign", status=403)
            assert images.edit(headers=bearer(token), user="ann").status_code == 200
            assert_refused(images.edit(headers=bearer(token)), None, "token_spent", status=403)

    def test_each_user_of_a_gateway_has_a_rate_of_its_own(self, images: Images) -> None:
        key = KeyRing(images.api.artifacts).create("acme", SCOPES)[1]
        images.api.limit(user_writes_per_minute=2, tenant_writes_per_minute=5, require_user=True)
        with_auth(images.api, "keys")
        images.__post_init__()
        with images.api.client:
            wrong = {"prompt": "make her smile", "headers": bearer(key)}
            for user in ("ann", "ann", "bob", "bob"):
                assert_refused(images.edit(user=user, **wrong), "prompt", "prompt_instruction")
            answer = images.edit(user="ann", **wrong)
            assert_refused(answer, None, "rate_exceeded", status=429)
            assert (answer.headers["x-should-retry"], "retry-after" in answer.headers) == ("true", True)
            assert_refused(images.edit(**wrong), None, "user_missing", status=403)
            assert_refused(images.edit(user="eve", **wrong), None, "rate_exceeded", status=429)


def test_models(images: Images) -> None:
    assert images.api.client.get("/v1/models", headers=bearer("none")).status_code == 200
    listed = images.api.client.get("/v1/models").json()
    assert (listed["object"], [one["id"] for one in listed["data"]]) == ("list", ["tiny"])
    assert images.api.client.get("/v1/models/tiny").json() == listed["data"][0]
    assert "tiny" in assert_refused(images.api.client.get("/v1/models/gpt-image-2"), None, "model_not_found", status=404)
    images.api.limit(model_aliases="gpt-image-2 gpt-image-1.5")
    assert images.api.client.get("/v1/models/gpt-image-2").json()["id"] == "gpt-image-2"
    assert images.edit(model="gpt-image-2").status_code == 200


def test_paths_that_are_not_there_answer_in_the_same_shape(images: Images) -> None:
    client = images.api.client
    assert_refused(client.post("/v1/images/generations", json={}), None, "not_found", status=404)
    assert_refused(client.get(PATH), None, "method_not_allowed", status=405)
    assert_refused(client.get("/v1/models?limit=5"), "limit", "option_unknown")
    assert_refused(client.post(f"{PATH}?n=1", files={"prompt": (None, PROMPT)}), "n", "option_unknown")

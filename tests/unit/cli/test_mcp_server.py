from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
from mcp_types import ImageContent, TextContent
from PIL import Image
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from typer.testing import CliRunner

from api.guard import slow_bodies
from cli.client import EditClient, ServiceError
from cli.main import app
from cli.mcp_server import answers, photos, requests, waiting
from cli.mcp_server.photos import PhotoReader, PictureRefused
from cli.mcp_server.server import Listening, Upstream, http_app
from cli.mcp_server.tools import Tools
from s2edit_core.delivery.report import OUTSIDE, UNCHANGED

URL = "http://service.test"


def client_of(handler: Callable[[httpx.Request], httpx.Response]) -> EditClient:
    return EditClient(URL, http=httpx.Client(transport=httpx.MockTransport(handler)), sleep=lambda _s: None)


def noise(width: int, height: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (height, width, 3), dtype=np.uint8)).save(file, kind)
    return file.getvalue()


def job(state: str, **more: Any) -> dict[str, Any]:
    return {"id": "e_1", "kind": "edit", "state": state, "sequence": 1, **more}


@pytest.mark.parametrize(
    ("size", "kind", "shown_as"),
    [
        ((128, 128), "png", "image/png"),
        ((1600, 400), "png", "image/jpeg"),
        ((1024, 1024), "jpeg", "image/jpeg"),
        ((64, 64), "avif", "image/jpeg"),
    ],
)
def test_a_large_picture_is_shown_reduced_within_its_budget(size: tuple[int, int], kind: str, shown_as: str) -> None:
    data = noise(*size, kind.upper())
    content, words = answers.shown(data, f"image/{kind}", 100_000)
    shown = base64.b64decode(content.data)
    assert content.mime_type == shown_as
    assert len(shown) <= 100_000
    assert (shown == data) == (shown_as == f"image/{kind}" and len(data) <= 100_000)
    assert ("the link has the whole file" in words) == (shown != data)
    assert f"{size[0]}×{size[1]}" in words


def test_all_pictures_of_an_answer_share_one_budget() -> None:
    data = noise(400, 400)
    results = [{"url": f"{URL}/{i}", "media_type": "image/png", "expires_at": "soon"} for i in range(8)]
    answer = answers.of_job(job("succeeded", results=results), client_of(lambda _: httpx.Response(200, content=data)))
    pictures = [block for block in answer.content if isinstance(block, ImageContent)]
    assert len(pictures) == 8
    assert sum(len(base64.b64decode(picture.data)) for picture in pictures) <= answers.MAX_BYTES


def test_a_picture_that_cant_be_fetched_is_still_linked() -> None:
    results = [{"url": f"{URL}/1", "media_type": "image/png", "expires_at": "soon"}]
    answer = answers.of_job(job("succeeded", results=results), client_of(lambda _: httpx.Response(502)))
    assert [block.type for block in answer.content] == ["text", "text", "resource_link"]
    assert not answer.is_error


@pytest.mark.parametrize(
    ("outside", "words"), [(0, "every pixel equals the photo"), (3, "a lossy format or a watermark changes it")]
)
def test_the_answer_states_what_was_measured_outside_the_edit_mask(outside: int, words: str) -> None:
    values = {"values": {"outside_edit_mask": {"max_level_difference": outside, "psnr_db": None}}}
    answer = answers.of_job(job("succeeded", results=[], report=values), client_of(lambda _: httpx.Response(500)))
    assert isinstance(answer.content[0], TextContent)
    assert f"largest difference {outside} of 255 levels ({words})" in answer.content[0].text


@pytest.mark.parametrize("warnings", [[UNCHANGED], [OUTSIDE, "a second one"]])
def test_the_answer_has_the_warnings_of_the_report(warnings: list[str]) -> None:
    values = {"values": {"warnings": warnings}}
    answer = answers.of_job(job("succeeded", results=[], report=values), client_of(lambda _: httpx.Response(500)))
    assert isinstance(answer.content[0], TextContent)
    lines = answer.content[0].text.splitlines()
    assert [line for line in lines if line.startswith("warning: ")] == [f"warning: {each}" for each in warnings]


def test_links_that_the_service_gave_are_read_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a bucket or behind a proxy, they lead to another address than that of the service."""
    reader = PhotoReader(URL, None)
    client = client_of(lambda request: httpx.Response(200, content=str(request.url).encode()))
    given = "https://bucket.test/t/1.png?signature=1"
    for url in (given, f"{URL}/files/1.png"):
        reader.remember(url)
        assert reader.read(url, client) == url.encode()
    for url in ("https://bucket.test/t/1.png?signature=2", "https://bucket.test/", "http://169.254.169.254/latest"):
        with pytest.raises(PictureRefused, match="only links that the service"):
            reader.read(url, client)
    monkeypatch.setattr(photos, "MAX_GIVEN", 2)
    for number in range(3):
        reader.remember(f"https://bucket.test/{number}")
    with pytest.raises(PictureRefused):
        reader.read(given, client)


@pytest.mark.parametrize("tool", ["edit_photo", "learn_person", "learn_attribute"])
def test_the_links_of_results_are_remembered_and_a_large_photo_can_be_scaled_down(tool: str) -> None:
    """As the error about a photo of more than 50 megapixels advises."""
    sent: list[bytes] = []
    results = [{"url": "https://bucket.test/1", "media_type": "image/png", "expires_at": "soon"}]

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.host == "bucket.test":
            return httpx.Response(200, content=noise(8, 8))
        sent.append(request.read())
        return httpx.Response(202, json=job("succeeded", results=results))

    reader = PhotoReader(URL, None)
    tools = Tools(lambda _context: client_of(answer), reader)
    picture = "data:image/png;base64," + base64.b64encode(noise(8, 8)).decode()
    given: dict[str, Any] = {"photo": picture, "mask": picture, "prompt": "a woman", "max_pixels": 65_536}
    given |= {"strength": 0.00001} if tool == "edit_photo" else {}
    anyio.run(partial(getattr(tools, tool), Reports(), **given))
    assert b'name="max_pixels"\r\n\r\n65536' in sent[0]
    assert (b'name="strength"\r\n\r\n1e-05\r\n' in sent[0]) == (tool == "edit_photo")
    assert reader.read("https://bucket.test/1", client_of(answer)) == noise(8, 8)


class Reports:
    """Stands for the context of a call, and keeps what it reports."""

    def __init__(self) -> None:
        self.seconds: list[float] = []

    async def report_progress(self, progress: float, _total: float | None, _message: str | None) -> None:
        self.seconds.append(progress)


def test_a_job_is_followed_through_an_outage_of_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    async def soon(_s: float) -> None:
        return None

    monkeypatch.setattr(anyio, "sleep", soon)
    held = {"Preference-Applied": "wait=2"}
    script = itertools.chain(
        [httpx.Response(304, headers=held), httpx.Response(503), httpx.ConnectError("refused")],
        [httpx.Response(200, json=job("succeeded"), headers=held)],
    )

    def handle(_request: httpx.Request) -> httpx.Response:
        if isinstance(one := next(script), Exception):
            raise one
        return one

    reports = Reports()
    over = anyio.run(waiting.followed, client_of(handle), job("queued"), 60.0, reports)
    assert over["state"] == "succeeded"
    assert reports.seconds == sorted(reports.seconds)
    assert len(reports.seconds) == 4


def test_a_job_that_was_erased_meanwhile_is_an_error() -> None:
    gone = client_of(lambda _: httpx.Response(404, json={"detail": "Not found.", "code": "not_found"}))
    with pytest.raises(ServiceError, match="not_found"):
        anyio.run(waiting.followed, gone, job("queued"), 60.0, Reports())


def test_a_request_that_is_lost_is_sent_again_under_its_key() -> None:
    keys: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) < 3:
            raise httpx.ReadError("lost")
        return httpx.Response(202, json=job("queued"))

    assert client_of(handle).begin("/edits", {"prompt": "x", "attributes": ["a_1", "a_2"]}, {"image": b"1"}, "k")["id"] == "e_1"
    assert keys == ["k", "k", "k"]


def upstream() -> Upstream:
    return Upstream(URL, None, None, folders=None)


@pytest.mark.parametrize(("key", "status"), [({}, 401), ({"Authorization": "Basic x"}, 401), ({"Authorization": "Bearer k"}, 200)])
def test_beyond_this_machine_every_caller_needs_a_key(key: dict[str, str], status: int) -> None:
    listening = Listening("0.0.0.0", 8765, hosts=["mcp.example.com"])
    ask = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with TestClient(http_app(upstream(), listening), base_url="http://mcp.example.com") as http:
        answer = http.post("/mcp", json=ask, headers={"Accept": "application/json, text/event-stream"} | key)
    assert answer.status_code == status, answer.text
    assert ("WWW-Authenticate" in answer.headers) == (status == 401)


def test_no_stream_is_held_open_for_a_server_without_sessions() -> None:
    with TestClient(http_app(upstream(), Listening("127.0.0.1", 80)), base_url="http://127.0.0.1") as http:
        answer = http.get("/mcp", headers={"Accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


async def answered(app: ASGIApp, receive: Receive) -> int:
    """Return the status that `app` answers to a POST whose body is `receive`d."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/mcp", "headers": [(b"transfer-encoding", b"chunked")], "query_string": b""}
    await app(scope, receive, send)
    return int(sent[0]["status"])


def test_a_body_has_a_deadline_and_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    async def reads_all(_scope: Scope, receive: Receive, send: Send) -> None:
        while (await receive())["more_body"]:
            pass
        await PlainTextResponse("read")(_scope, receive, send)

    async def endless() -> Message:
        return {"type": "http.request", "body": b"x" * 50, "more_body": True}

    async def silent() -> Message:
        await anyio.sleep_forever()
        return {}

    pieces = iter([{"type": "http.request", "body": b"x" * 50, "more_body": more} for more in (True, True, False)])

    async def whole() -> Message:
        return next(pieces)

    monkeypatch.setattr(slow_bodies, "GRACE_S", 0.0)
    app = requests.bounded(reads_all, 150)
    assert [anyio.run(answered, app, body) for body in (endless, silent, whole)] == [413, 408, 200]


def test_all_bodies_together_are_bounded() -> None:
    async def scenario() -> None:
        let_go = anyio.Event()
        statuses: list[int] = []

        async def waits(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await let_go.wait()
            await PlainTextResponse("read")(scope, receive, send)

        async def large() -> Message:
            return {"type": "http.request", "body": b"x" * 100, "more_body": False}

        app = requests.bounded(waits, 100)

        async def send_one() -> None:
            statuses.append(await answered(app, large))

        async with anyio.create_task_group() as group:
            for _ in range(requests.BODIES + 1):
                group.start_soon(send_one)
            await anyio.wait_all_tasks_blocked()
            assert statuses == [503]
            let_go.set()
        await send_one()
        assert statuses == [503, *[200] * (requests.BODIES + 1)]

    anyio.run(scenario)


@pytest.mark.parametrize(
    "options", [["--url", "ftp://x"], ["--url", "127.0.0.1:8000"], ["--user", "ann smith"], ["--api-key", "a b"]]
)
def test_a_service_that_nobody_can_reach_is_refused_at_once(options: list[str]) -> None:
    result = CliRunner().invoke(app, ["mcp", *options])
    assert result.exit_code == 1
    assert "s2edit: " in result.output


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--host", "0.0.0.0", "--api-key", "s2e_x"], "would act with the API key"),
        (["--allow-folder", "FOLDER"], "callers may be on another machine"),
    ],
)
def test_unsafe_options_are_refused(options: list[str], words: str, tmp_path: Path) -> None:
    chosen = [str(tmp_path) if option == "FOLDER" else option for option in options]
    result = CliRunner().invoke(app, ["mcp", "--http", *chosen])
    assert result.exit_code == 1
    assert words in " ".join(result.output.split())

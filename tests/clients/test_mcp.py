"""`s2edit mcp` with the client of the package `mcp`, against a service in test mode: over standard input and output, and HTTP."""

from __future__ import annotations

import asyncio
import base64
import io
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import httpx2
import numpy as np
import pytest
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, ImageContent, ResourceLink, TextContent
from PIL import Image

from cli.supervision.service import free_port
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.clients.conftest import Live, running
from tests.waiting import until

PROMPT = "a photo of a woman with long red hair"
LISTS = {"list_people", "list_attributes", "list_jobs"}
TOOLS = LISTS | {"edit_photo", "learn_person", "learn_attribute", "rename", "follow", "cancel", "erase"}


@dataclass(frozen=True)
class Ground:
    """A service that asks for keys, a test key, and the folder of photos that the MCP server may read."""

    live: Live
    key: str
    photos: Path

    @property
    def photo(self) -> str:
        return str(self.photos / "source.png")

    @property
    def mask(self) -> str:
        return str(self.photos / "mask.png")

    def get(self, path: str, user: str) -> Any:
        return httpx.get(f"{self.live.url}{path}", headers={"Authorization": f"Bearer {self.key}", "S2Edit-User": user}).json()


@pytest.fixture(scope="module")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with running(tmp_path_factory.mktemp("mcp")) as live:
        command = [sys.executable, "-m", "cli", "keys", "create", "--test", "--data-dir", str(live.folder / "data")]
        key = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
        until(lambda: httpx.get(f"{live.url}/edits").status_code == httpx.codes.UNAUTHORIZED)
        yield Ground(live, key, live.folder / "demo-out")


@dataclass(frozen=True)
class Http:
    """The MCP server over HTTP, without a key of its own."""

    url: str
    port: int


@pytest.fixture(scope="module")
def http_server(ground: Ground) -> Iterator[Http]:
    port = free_port()
    env = {name: value for name, value in os.environ.items() if name != "S2EDIT_API_KEY"}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "mcp", "--url", ground.live.url, "--http", "--port", str(port)],
        env=env,
        preexec_fn=end_with_parent(signal.SIGTERM),
    )
    try:
        until(lambda: _listens(port), 120)
        yield Http(f"http://127.0.0.1:{port}/mcp", port)
    finally:
        process.terminate()
        process.wait(10)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def stdio(ground: Ground, user: str, *options: str, key: str | None = None) -> Client:
    """Return a client that starts a server process of its own."""
    folders = options or ("--allow-folder", str(ground.photos))
    arguments = ["-m", "cli", "mcp", "--url", ground.live.url, "--user", user, *folders]
    env = {**os.environ, "S2EDIT_API_KEY": ground.key if key is None else key}
    return Client(StdioServerParameters(command=sys.executable, args=arguments, env=env))


@asynccontextmanager
async def http(server: Http, key: str | None, user: str = "web") -> AsyncIterator[Client]:
    headers = {"S2Edit-User": user, **({"Authorization": f"Bearer {key}"} if key else {})}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=60) as connection,
        Client(streamable_http_client(server.url, http_client=connection)) as client,
    ):
        yield client


def run(client: Any, body: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    async def whole() -> None:
        async with client as connected:
            await body(connected)

    asyncio.run(whole())


def text(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))


def the(pattern: str, result: CallToolResult) -> str:
    found = re.search(pattern, text(result))
    assert found, text(result)
    return found[0]


def picture(result: CallToolResult) -> Image.Image:
    (block,) = [block for block in result.content if isinstance(block, ImageContent)]
    return Image.open(io.BytesIO(base64.b64decode(block.data)))


def link(result: CallToolResult) -> str:
    (block,) = [block for block in result.content if isinstance(block, ResourceLink)]
    return block.uri


def data_url(path: str) -> str:
    return f"data:image/png;base64,{base64.b64encode(Path(path).read_bytes()).decode()}"


def test_a_photo_is_edited_by_path_and_a_job_outlives_the_server_that_began_it(ground: Ground) -> None:
    unfinished: list[str] = []

    async def body(client: Client) -> None:
        assert str(ground.photos) in (client.instructions or "")
        seen: list[tuple[float, str | None]] = []

        async def progress(done: float, _total: float | None, message: str | None) -> None:
            seen.append((done, message))

        arguments = {"prompt": f"{PROMPT} [test:slow 1]", "photo": ground.photo, "mask": ground.mask, "edit_mask": ground.mask}
        result = await client.call_tool("edit_photo", arguments, progress_callback=progress)
        assert not result.is_error, text(result)
        assert "test mode" in text(result)
        shown, photo = np.asarray(picture(result).convert("RGB")), np.asarray(Image.open(ground.photo).convert("RGB"))
        outside = np.asarray(Image.open(ground.mask).convert("L")) == 0
        assert (shown[outside] == photo[outside]).all()
        assert (shown[~outside] != photo[~outside]).any()
        assert httpx.get(link(result)).status_code == 200
        assert [done for done, _ in seen] == sorted({done for done, _ in seen})
        assert any("step" in (message or "") for _, message in seen), seen

        again = await client.call_tool("edit_photo", {"prompt": PROMPT, "identity": the(r"c_\w+", result)})
        assert not again.is_error, text(again)
        onward = await client.call_tool("edit_photo", {"prompt": PROMPT, "parent": the(r"e_\w+", again), "seed": 4})
        by_link = await client.call_tool("edit_photo", {"prompt": PROMPT, "photo": link(onward), "source_prompt": PROMPT})
        assert not by_link.is_error, text(by_link)
        arguments |= {"prompt": f"{PROMPT} [test:slow 2]", "wait_s": 0}
        begun = await client.call_tool("edit_photo", arguments)
        assert "call follow with" in text(begun)
        unfinished.append(the(r"e_\w+", begun))

    async def later(client: Client) -> None:
        assert unfinished[0] in text(await client.call_tool("list_jobs"))
        result = await client.call_tool("follow", {"job_id": unfinished[0]})
        assert "has succeeded" in text(result)
        assert picture(result)

    run(stdio(ground, "ann"), body)
    run(stdio(ground, "ann"), later)
    assert len(ground.get("/edits", "ann")["items"]) == 5


def test_people_and_attributes_are_learned_listed_applied_and_erased(ground: Ground, http_server: Http) -> None:
    async def body(client: Client) -> None:
        person = await client.call_tool(
            "learn_person", {"photo": data_url(ground.photo), "mask": data_url(ground.mask), "prompt": PROMPT, "name": "Ada"}
        )
        identity = the(r"c_\w+", person)
        assert f"{identity}: Ada, " in text(await client.call_tool("list_people"))
        marked = {
            "photo": data_url(ground.photo),
            "mask": data_url(ground.mask),
            "prompt": "a photo of a woman with [A] hair",
            "name": "Evening",
        }
        attribute = the(r"a_[0-9a-f]{32}", await client.call_tool("learn_attribute", marked))
        assert f"{attribute}: Evening, [A] hair" in text(await client.call_tool("list_attributes"))
        for one, name, words in ((identity, "Bea", "called Bea"), (attribute, " ", "no name"), ("e_1", "x", "begin with c_ or a_")):
            assert words in text(await client.call_tool("rename", {"id": one, "name": name}))
        applied = {"prompt": "a photo of a woman with [A] hair", "identity": identity, "attributes": [attribute]}
        edit = await client.call_tool("edit_photo", applied)
        assert not edit.is_error, text(edit)
        for one in (the(r"e_\w+", edit), identity, attribute):
            assert "receipt: ey" in text(await client.call_tool("erase", {"id": one}))
        gone = await client.call_tool("erase", {"id": identity})
        assert gone.is_error
        assert "see list_jobs, list_people" in text(gone)
        assert text(await client.call_tool("list_people")) == "none"

    run(http(http_server, ground.key, "library"), body)


def test_an_erased_job_does_not_come_back_by_its_key(ground: Ground, http_server: Http) -> None:
    async def body(client: Client) -> None:
        photo = {"photo": data_url(ground.photo), "mask": data_url(ground.mask), "idempotency_key": "order-1"}
        calls: dict[str, dict[str, Any]] = {
            "edit_photo": {**photo, "prompt": PROMPT},
            "learn_person": {**photo, "prompt": PROMPT, "idempotency_key": "order-2"},
            "learn_attribute": {**photo, "prompt": "a woman with [A] hair", "name": "Evening", "idempotency_key": "order-3"},
        }
        for tool, arguments in calls.items():
            job = the(r"e_\w+", await client.call_tool(tool, arguments))
            assert not (await client.call_tool("erase", {"id": job})).is_error
            again = await client.call_tool(tool, arguments)
            assert again.is_error
            assert "was erased" in text(again)
            assert "`idempotency_key`" in text(again)
        assert text(await client.call_tool("list_jobs")) == "none"

    run(http(http_server, ground.key, "erased"), body)


def test_a_running_job_is_canceled(ground: Ground, http_server: Http) -> None:
    async def body(client: Client) -> None:
        arguments = {
            "prompt": f"{PROMPT} [test:slow 60]",
            "photo": data_url(ground.photo),
            "mask": data_url(ground.mask),
            "wait_s": 0,
        }
        edit = the(r"e_\w+", await client.call_tool("edit_photo", arguments))
        await client.call_tool("cancel", {"job_id": edit})
        assert "was canceled" in text(await client.call_tool("follow", {"job_id": edit}))

    run(http(http_server, ground.key, "cancel"), body)


def test_a_call_that_the_client_gives_up_leaves_its_job_running(ground: Ground, http_server: Http) -> None:
    async def body(client: Client) -> None:
        arguments = {"prompt": f"{PROMPT} [test:slow 2]", "photo": data_url(ground.photo), "mask": data_url(ground.mask)}
        call = asyncio.create_task(client.call_tool("edit_photo", arguments))
        await asyncio.to_thread(until, lambda: ground.get("/edits", "leaver")["items"])
        call.cancel()
        (job,) = await asyncio.to_thread(lambda: ground.get("/edits", "leaver")["items"])
        result = await client.call_tool("follow", {"job_id": job["id"]})
        assert "has succeeded" in text(result)

    run(http(http_server, ground.key, "leaver"), body)


def test_only_files_in_allowed_folders_are_read(ground: Ground, tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_bytes(Path(ground.photo).read_bytes())
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "out.png").symlink_to(secret)
    (allowed / "deep").symlink_to(tmp_path)
    os.mkfifo(allowed / "pipe.png")
    (allowed / "in.png").symlink_to(allowed / "real.png")
    (allowed / "real.png").write_bytes(Path(ground.photo).read_bytes())

    async def body(client: Client) -> None:
        async def tried(path: object) -> CallToolResult:
            return await client.call_tool("edit_photo", {"prompt": PROMPT, "photo": str(path)})

        outside = (secret, f"{allowed}/../secret.png", allowed / "out.png", allowed / "deep" / "secret.png", f"file://{secret}")
        for path, words in (
            *((path, "not in a folder that the operator allows") for path in outside),
            (allowed / "pipe.png", "is no file"),
            (allowed, "is no file"),
            (allowed / "none.png", "there is no file"),
            ("real.png", "no absolute path"),
            (f"file://evil{allowed}/real.png", "names the host 'evil'"),
            (f"file://[evil{allowed}/real.png", "is no URL"),
            ("/proc/self/environ", "not in a folder"),
            ("http://127.0.0.1:1/x.png", "only links that the service"),
            ("http://user@169.254.169.254/latest", "only links that the service"),
            ("data:image/png;base64,%%%", "no base64"),
            ("data:image/png,abc", "not base64"),
        ):
            refused = await tried(path)
            assert refused.is_error
            assert words in text(refused), path
        assert not (await tried(allowed / "in.png")).is_error

    run(stdio(ground, "paths", "--allow-folder", str(allowed)), body)


def test_errors_are_plain_words_with_what_to_do(ground: Ground, http_server: Http) -> None:
    photo = data_url(ground.photo)

    async def body(client: Client) -> None:
        for arguments, words in (
            ({"prompt": "make her hair red", "photo": photo}, "say what the picture should show"),
            ({"prompt": PROMPT}, "send a `photo`"),
            ({"prompt": PROMPT, "photo": photo, "colour": "red"}, "there is no colour. Its arguments are prompt, photo"),
            ({"prompt": PROMPT, "photo": photo, "variants": 9}, "variants must be a whole number between 1 and 8"),
            ({"photo": photo}, "prompt is missing"),
            ({"prompt": PROMPT, "photo": photo, "preset": "best"}, "preset must be 'balanced', 'instant' or 'paper', not 'best'"),
            ({"prompt": PROMPT, "photo": photo, "idempotency_key": "a b"}, "1 to 255 visible ASCII characters without spaces"),
            ({"prompt": PROMPT, "photo": photo, "wait_s": -1}, "wait_s must be a number between 0 and 600"),
            ({"prompt": PROMPT, "photo": ""}, "send a `photo`"),
            ({"prompt": PROMPT, "photo": "DATA:image/png,abc"}, "the data URL is not base64"),
            ({"prompt": PROMPT, "mask": photo, "identity": "c_0"}, "a mask of your own needs the photo: send `photo` too"),
            ({"prompt": PROMPT, "identity": "c_0"}, "see list_people"),
            ({"prompt": PROMPT, "photo": photo, "attributes": ["a_0"]}, "see list_attributes"),
            ({"prompt": PROMPT, "photo": photo, "at": "x"}, "at"),
            ({"prompt": f"{PROMPT} [test:failed out_of_memory]", "photo": photo}, "may succeed later"),
        ):
            result = await client.call_tool("edit_photo", arguments)
            assert result.is_error
            assert words in text(result), text(result)
            assert "Traceback" not in text(result)
            assert "Input should" not in text(result)
        for tool, arguments, words in (
            ("learn_person", {"prompt": PROMPT, "photo": " "}, "`photo` is empty"),
            ("learn_attribute", {"prompt": "a woman with [A] hat", "photo": photo, "mask": ""}, "`mask` is empty"),
        ):
            result = await client.call_tool(tool, arguments)
            assert words in text(result), text(result)
        for job_id in ("e_../identities", "c_1", ""):
            result = await client.call_tool("follow", {"job_id": job_id})
            assert "is no id here" in text(result)

    run(http(http_server, ground.key, "errors"), body)


@pytest.mark.parametrize("key", [None, "wrong-key"])
def test_a_missing_or_wrong_key_is_named(http_server: Http, key: str | None) -> None:
    async def body(client: Client) -> None:
        result = await client.call_tool("list_people")
        assert result.is_error
        assert "Authorization: Bearer of your requests" in text(result)

    run(http(http_server, key), body)


def test_the_tools_say_all_that_a_model_needs(http_server: Http) -> None:
    async def body(client: Client) -> None:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert set(tools) == TOOLS
        assert "outside the edit mask every pixel of the result equals the photo" in (tools["edit_photo"].description or "")
        assert "not an instruction" in (tools["edit_photo"].description or "")
        assert "data URL" in (client.instructions or "")
        for tool in tools.values():
            assert tool.input_schema["additionalProperties"] is False
            for name, schema in tool.input_schema["properties"].items():
                assert schema.get("description"), f"{tool.name}.{name}"
        assert tools["erase"].annotations is not None
        assert tools["erase"].annotations.destructive_hint
        assert tools["follow"].annotations is not None
        assert tools["follow"].annotations.read_only_hint

    run(http(http_server, None), body)


def test_over_http_callers_send_their_own_key_and_no_paths(ground: Ground, http_server: Http) -> None:
    async def body(client: Client) -> None:
        arguments = {"prompt": PROMPT, "photo": data_url(ground.photo), "mask": data_url(ground.mask)}
        result = await client.call_tool("edit_photo", arguments)
        assert not result.is_error, text(result)
        assert picture(result).size == Image.open(ground.photo).size
        refused = await client.call_tool("edit_photo", {"prompt": PROMPT, "photo": ground.photo})
        assert "reads no files" in text(refused)

    run(http(http_server, ground.key), body)
    assert len(ground.get("/edits", "web")["items"]) == 1


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "rebound.example.com"}, 421),
        ({"Host": "127.0.0.1:1"}, 421),
        ({"Origin": "https://evil.example.com"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
    ],
)
def test_pages_of_other_origins_and_rebound_names_are_refused(http_server: Http, headers: dict[str, str], status: int) -> None:
    accepted = {"Accept": "application/json, text/event-stream"}
    answer = httpx.post(http_server.url, json={"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, headers=accepted | headers)
    assert answer.status_code == status

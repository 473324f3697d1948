"""One service in test mode, and each client that calls it: OpenAI's SDKs for Python and Node, and LiteLLM's proxy."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image, ImageDraw

from cli.demo.demo import sample
from cli.supervision.service import free_port
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.clients.conftest import running
from tests.sdks.callers import Caller, NodeCaller, PythonCaller
from tests.sdks.environments import litellm_python, node_sdk
from tests.waiting import until

MODEL = "portraits-128"
PROXY_START_S = 90.0


@dataclass(frozen=True)
class Served:
    """A service, a key of its test mode, and the pictures that are sent to it."""

    url: str
    key: str
    folder: Path

    @property
    def photo(self) -> Path:
        return self.folder / "photo.png"

    @property
    def mask(self) -> Path:
        return self.folder / "hole.png"


def draw_pictures(folder: Path) -> None:
    """Write a photo, and a mask whose transparent part is all but the background's corners."""
    photo = sample().source
    photo.save(folder / "photo.png")
    mask = Image.new("RGBA", photo.size, (0, 0, 0, 255))
    width, height = photo.size
    ImageDraw.Draw(mask).ellipse([width // 8, 0, 7 * width // 8, 7 * height // 8], fill=(0, 0, 0, 0))
    mask.save(folder / "hole.png")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sdks")
    with running(folder) as live:
        env = {**os.environ, "S2EDIT_DATA_DIR": str(folder / "data")}
        keys = [sys.executable, "-m", "cli", "keys", "create", "--tenant", "acme", "--test"]
        said = subprocess.run(keys, env=env, capture_output=True, text=True, check=True).stdout
        draw_pictures(folder)
        yield Served(live.url, next(word for word in said.split() if word.startswith("test_")), folder)


@contextmanager
def litellm_proxy(base_url: str, key: str, folder: Path) -> Iterator[PythonCaller]:
    """Run LiteLLM's proxy in front of a service."""
    port = free_port()
    (folder / "litellm.yaml").write_text(
        f"model_list:\n- model_name: portraits\n  litellm_params: {{model: openai/{MODEL}, api_base: {base_url}, api_key: {key}}}\n"
        "general_settings: {master_key: sk-proxy}\nlitellm_settings: {num_retries: 0}\n"
    )
    argv = [litellm_python(), "-c", "from litellm import run_server; run_server()", "--config", folder / "litellm.yaml"]
    with (folder / "litellm.txt").open("wb") as log:
        process = psutil.Popen(
            [*map(str, argv), "--host", "127.0.0.1", "--port", str(port)],
            env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"},
            stdout=log,
            stderr=log,
            preexec_fn=end_with_parent(signal.SIGTERM),
        )
    try:
        with httpx.Client(timeout=2.0) as http:
            until(lambda: _lives(http, port) or process.poll() is not None, PROXY_START_S)
        assert process.poll() is None, (folder / "litellm.txt").read_text()
        yield PythonCaller(f"http://127.0.0.1:{port}/v1", "sk-proxy")
    finally:
        process.terminate()
        process.wait(20)


def _lives(http: httpx.Client, port: int) -> bool:
    try:
        return http.get(f"http://127.0.0.1:{port}/health/liveliness").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture(scope="session")
def python_sdk(served: Served) -> Caller:
    return PythonCaller(f"{served.url}/v1", served.key)


@pytest.fixture(scope="session")
def node(served: Served) -> Caller:
    return NodeCaller(f"{served.url}/v1", served.key, node_sdk())


@pytest.fixture(scope="session")
def litellm(served: Served) -> Iterator[Caller]:
    with litellm_proxy(f"{served.url}/v1", served.key, served.folder) as caller:
        yield caller

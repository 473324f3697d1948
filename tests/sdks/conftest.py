"""One service with the shipped model, and each client that calls it: OpenAI's SDKs for Python and Node, and LiteLLM's proxy.

Keys of test mode reach no model, so the tests of the interface don't wait for it.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from PIL import Image, ImageDraw

from cli.demo.samples import sample
from cli.supervision.service import WORKER_APP, free_port
from s2edit_core.base_model.model_files import SHIPPED_NAME
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.clients.conftest import Live, running
from tests.sdks.callers import Caller, NodeCaller, PythonCaller
from tests.sdks.environments import litellm_python, node_sdk
from tests.waiting import until

MODEL = SHIPPED_NAME
PROXIED = ("s2edit", "s2edit-live")
"""The names that LiteLLM's proxy has for the model: with the key of test mode, and with the other one."""
PROXY_START_S = 400.0
START = "import gc; gc.disable(); from litellm import run_server; run_server()"
"""Without garbage collection, which would take a quarter of the start's processor time."""


@dataclass(frozen=True)
class Served:
    """A service, a key of its test mode and one of its model, and the pictures that are sent to it."""

    live: Live
    key: str
    live_key: str

    @property
    def url(self) -> str:
        return self.live.url

    @property
    def folder(self) -> Path:
        return self.live.folder

    @property
    def photo(self) -> Path:
        return self.folder / "photo.png"

    @property
    def mask(self) -> Path:
        return self.folder / "hole.png"


def draw_pictures(folder: Path) -> None:
    """Write a photo, and a mask whose transparent part is all but the background's corners."""
    photo = sample().photo
    photo.save(folder / "photo.png")
    mask = Image.new("RGBA", photo.size, (0, 0, 0, 255))
    width, height = photo.size
    ImageDraw.Draw(mask).ellipse([width // 8, 0, 7 * width // 8, 7 * height // 8], fill=(0, 0, 0, 0))
    mask.save(folder / "hole.png")


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("sdks")
    with running(folder, WORKER_APP) as live:
        ring = KeyRing(build_artifacts(Settings(data_dir=folder / "data")))
        (_, key), (_, live_key) = (ring.create("acme", test=test) for test in (True, False))
        draw_pictures(folder)
        yield Served(live, key, live_key)


@contextmanager
def litellm_proxy(served: Served) -> Iterator[PythonCaller]:
    """Run LiteLLM's proxy in front of the service. It starts slowly, so one proxy has both keys, each by a model's name."""
    port, folder = free_port(), served.folder
    listed = [
        {"model_name": name, "litellm_params": {"model": f"openai/{MODEL}", "api_base": f"{served.url}/v1", "api_key": key}}
        for name, key in zip(PROXIED, (served.key, served.live_key), strict=True)
    ]
    settings = {"general_settings": {"master_key": "sk-proxy"}, "litellm_settings": {"num_retries": 0}}
    (folder / "litellm.yaml").write_text(yaml.safe_dump({"model_list": listed, **settings}))
    argv = [litellm_python(), "-c", START, "--config", folder / "litellm.yaml"]
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
    with litellm_proxy(served) as caller:
        yield caller

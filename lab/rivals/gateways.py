"""Gateways that others put before servers of OpenAI's shape: the same bench through one of them, in front of our own service.

They are installed apart, because they bring other versions of shared packages: `pip install 'litellm[proxy]'` in an environment of
its own, `npm install @portkey-ai/gateway` in a folder of its own.
"""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from cli.supervision.service import answers, free_port
from s2edit_core.base_model.model_files import SHIPPED_NAME

START_S = 120.0
STOP_S = 20.0
MODEL = SHIPPED_NAME
"""The shipped model, as `GET /v1/models` names it."""


@dataclass(frozen=True, slots=True)
class Way:
    """How a request goes through a gateway: its address and key, and what each request carries."""

    url: str
    key: str | None
    fields: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def litellm(program: Path, service: str, key: str, folder: Path) -> Iterator[Way]:
    """Run LiteLLM's proxy. `program` is the command `litellm`. It tries nothing again by itself, so that its own faults show."""
    port = free_port()
    config = folder / "litellm.yaml"
    config.write_text(
        f"model_list:\n- model_name: editor\n  litellm_params: {{model: openai/{MODEL}, api_base: {service}/v1, api_key: {key}}}\n"
        "general_settings: {master_key: sk-proxy}\nlitellm_settings: {num_retries: 0}\n",
        encoding="utf-8",
    )
    command = [str(program), "--config", str(config), "--host", "127.0.0.1", "--port", str(port)]
    with _running(command, f"http://127.0.0.1:{port}/health/liveliness", folder / "litellm.txt"):
        yield Way(f"http://127.0.0.1:{port}", "sk-proxy", {"model": "editor"})


@contextmanager
def portkey(program: Path, service: str, key: str, folder: Path) -> Iterator[Way]:
    """Run Portkey's gateway. `program` is its `build/start-server.js`; `node` is on the path."""
    port = free_port()
    command = ["node", str(program), f"--port={port}", "--headless"]
    headers = {"x-portkey-provider": "openai", "x-portkey-custom-host": f"{service}/v1"}
    with _running(command, f"http://127.0.0.1:{port}/", folder / "portkey.txt"):
        yield Way(f"http://127.0.0.1:{port}", key, {"model": MODEL}, headers)


GATEWAYS = {"litellm": litellm, "portkey": portkey}


@contextmanager
def _running(command: Sequence[str], live: str, log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "NO_PROXY": "127.0.0.1"}  # it would fetch prices
        process = subprocess.Popen(command, env={**os.environ, **quiet}, stdout=output, stderr=output)  # noqa: S603
    try:
        deadline = time.monotonic() + START_S
        with httpx.Client(timeout=2.0) as http:
            while not answers(http, live):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the gateway did not start:\n{log.read_text(encoding='utf-8', errors='replace')[-2000:]}")
                time.sleep(0.2)
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)

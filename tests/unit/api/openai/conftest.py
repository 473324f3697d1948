"""The app with a worker that takes each job as soon as it is accepted, so that a request can wait for its edit."""

from __future__ import annotations

import base64
import io
import json
import threading
from dataclasses import dataclass, field
from typing import Any

import pytest
from PIL import Image, ImageDraw

from s2edit_jobs.records.record import JobSpec
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import PROMPT, Api
from worker.attempts.runner import run_job
from worker.engines.painters import TintPainter

PATH = "/v1/images/edits"
HOLE = (20, 20, 80, 100)


def mask(size: tuple[int, int] = pictures.SIZE, *, hole: tuple[int, int, int, int] | None = HOLE) -> bytes:
    """Draw a mask as OpenAI's: opaque, with a transparent hole where something may change."""
    picture = Image.new("RGBA", size, (0, 0, 0, 255))
    if hole is not None:
        ImageDraw.Draw(picture).ellipse(hole, fill=(0, 0, 0, 0))
    return pictures.encoded(picture)


def data_url(data: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


@dataclass
class Images:
    """The endpoint. `engine` runs what is accepted; `held` keeps jobs from running until it is set."""

    api: Api
    engine: FakeEngine = field(default_factory=lambda: FakeEngine(painter=TintPainter()))
    held: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.held.set()
        self.api.queue.notify = self._run  # type: ignore[method-assign]

    def _run(self, job_id: str) -> None:
        def work() -> None:
            self.held.wait(30)
            run_job(job_id, self.api.services, self.engine)

        self.threads.append(threading.Thread(target=work, daemon=True))
        self.threads[-1].start()

    def edit(self, *, headers: dict[str, str] | None = None, **parts: Any) -> Any:
        """POST a valid form, changed by `parts`: bytes are files, None omits the part, a list repeats it."""
        parts = {"image": pictures.photo(), "prompt": PROMPT, **parts}
        sent = [(name, one) for name, value in parts.items() for one in (value if isinstance(value, list) else [value])]
        files = [(name, ("a.png", one) if isinstance(one, bytes) else (None, one)) for name, one in sent if one is not None]
        return self.api.client.post(PATH, files=files, headers=headers)

    def json(self, *, headers: dict[str, str] | None = None, **values: Any) -> Any:
        """POST a valid JSON body, changed by `values`."""
        body = {"images": [{"image_url": data_url(pictures.photo())}], "prompt": PROMPT, **values}
        return self.api.client.post(PATH, json={name: value for name, value in body.items() if value is not ...}, headers=headers)

    def spec(self, answer: Any) -> JobSpec:
        """Return what was accepted."""
        assert answer.status_code == 200, answer.text
        (key,) = [key for key in self.api.artifacts.objects if key.endswith(f"{answer.json()['id']}/spec.json")]
        return JobSpec.from_json(self.api.artifacts.get(key))

    def specs(self) -> int:
        return sum(key.endswith("/spec.json") for key in self.api.artifacts.objects)


def picture(answer: Any, index: int = 0) -> Image.Image:
    """Return one picture of an answer."""
    assert answer.status_code == 200, answer.text
    with Image.open(io.BytesIO(base64.b64decode(answer.json()["data"][index]["b64_json"]))) as opened:
        opened.load()
        return opened


def events(text: str) -> list[tuple[str, dict[str, Any]]]:
    """Return the events of a stream."""
    found = []
    for block in text.split("\n\n"):
        lines = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if "data" in lines:
            found.append((lines["event"], json.loads(lines["data"])))
    return found


def assert_refused(answer: Any, param: str | None, code: str, *, status: int = 400) -> str:
    """Check an error in OpenAI's shape. Return its message."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/json"
    (error,) = answer.json().values()
    assert set(error) == {"message", "type", "param", "code"}
    assert (error["param"], error["code"]) == (param, code), error
    message: str = error["message"]
    assert message
    return message


@pytest.fixture
def images(api: Api) -> Images:
    return Images(api)

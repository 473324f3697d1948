"""The order in which the demo posts its edits, against a service that only counts requests."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from cli.client import EditClient, EditFailed
from cli.demo.edits import make_edits
from cli.demo.samples import EDITS, SOURCE_PROMPTS, TRANSFER, Sample, sample

URL = "http://service.test"
PATIENCE_S = 10.0
"""Seconds after which the test gives up: a job waits for others that the demo does not post."""


@dataclass
class Service:
    """Ends the first jobs once `together` of them have come, and every later one at once. `failing` is a job's number, from 0."""

    together: int = 4
    failing: int | None = None
    posts: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    over: list[set[int]] = field(default_factory=list)
    """The jobs that were over at each post."""
    _ended: set[int] = field(default_factory=set)
    _posted: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        with self._posted:
            if request.method == "POST":
                return self._post(request)
            if request.url.path.startswith("/files/"):
                return httpx.Response(200, content=b"file")
            return self._poll(int(request.url.path.rpartition("_")[2]))

    def _post(self, request: httpx.Request) -> httpx.Response:
        number = len(self.posts)
        self.posts.append((request.url.path, _fields(request.content)))
        self.over.append(set(self._ended))
        self._posted.notify_all()
        return httpx.Response(202, headers={"Location": f"{URL}/edits/e_{number}"}, json={})

    def _poll(self, number: int) -> httpx.Response:
        assert self._posted.wait_for(lambda: len(self.posts) >= self.together, PATIENCE_S)
        self._ended.add(number)
        return httpx.Response(200, json=_failed() if number == self.failing else _succeeded(number))


def _fields(form: bytes) -> dict[str, str]:
    """Return the parts of a multipart form: texts, and the names of files."""
    parts = re.findall(rb'name="(\w+)"(?:; filename="([\w.-]+)")?\r\n(?:Content-Type: \S+\r\n)?\r\n(.*?)\r\n', form)
    return {name.decode(): (file or text).decode() for name, file, text in parts}


def _failed() -> dict[str, Any]:
    return {"state": "failed", "error": {"message": "no person was found"}}


def _succeeded(number: int) -> dict[str, Any]:
    report = {"url": f"{URL}/files/report", "values": {"learning_steps": 100, "seconds": {"total": 1.0}}}
    ids = {"identity": f"c_{number}", "attribute": f"a_{number}"}
    return {"state": "succeeded", "result": {"url": f"{URL}/files/result"}, "report": report, **ids}


@pytest.fixture(scope="module")
def samples() -> dict[str, Sample]:
    return {name: sample(name) for name in SOURCE_PROMPTS}


def run(service: Service, samples: dict[str, Sample], folder: Path) -> Any:
    for each in samples.values():
        each.save(folder)
    http = httpx.Client(transport=httpx.MockTransport(service))
    with EditClient(URL, http=http, sleep=lambda _: None) as client:
        return make_edits(client, samples, folder, {"preset": "instant"})


def test_all_first_edits_and_the_makeup_are_posted_before_any_of_them_is_over(samples: dict[str, Sample], tmp_path: Path) -> None:
    service = Service()
    outcome = run(service, samples, tmp_path)
    assert [path for path, _ in service.posts] == ["/edits", "/edits", "/edits", "/attributes", "/edits", "/edits"]
    assert service.over[:4] == [set()] * 4
    assert [done.edit for done in outcome.edits] == list(EDITS)


def test_a_first_edit_sends_its_photo_and_a_later_one_names_what_is_learned(samples: dict[str, Sample], tmp_path: Path) -> None:
    service = Service()
    run(service, samples, tmp_path)
    person, cat, church, makeup, transfer, smile = (fields for _, fields in service.posts)
    for fields, image, name in ((person, "source", "person"), (cat, "cat", "cat"), (church, "church", "church")):
        assert fields["image"] == f"{image}.png"
        assert fields["source_prompt"] == SOURCE_PROMPTS[name]
    assert makeup == {"preset": "instant", "prompt": SOURCE_PROMPTS["makeup"], "image": "makeup.png", "mask": "makeup-mask.png"}
    assert transfer == {"preset": "instant", "prompt": TRANSFER.prompt, "identity": "c_0", "attributes": "a_3"}
    assert smile == {"preset": "instant", "prompt": EDITS[-1].prompt, "identity": "c_0"}


def test_the_last_edit_runs_alone(samples: dict[str, Sample], tmp_path: Path) -> None:
    service = Service()
    run(service, samples, tmp_path)
    assert service.over[-1] == set(range(5))


@pytest.mark.parametrize("failing", range(6))
def test_an_edit_that_fails_ends_the_demo_with_its_reason(samples: dict[str, Sample], tmp_path: Path, failing: int) -> None:
    with pytest.raises(EditFailed, match="no person was found"):
        run(Service(failing=failing), samples, tmp_path)
    threads = [thread for thread in threading.enumerate() if thread.name.startswith("ThreadPoolExecutor")]
    for thread in threads:
        thread.join(5)
    assert not any(thread.is_alive() for thread in threads)

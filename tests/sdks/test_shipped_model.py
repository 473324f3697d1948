"""The shipped model behind `/v1/images/edits`: an edit by each SDK and by LiteLLM's proxy, the first of which loses its worker.

They share one learned person.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import httpx
import numpy as np
import pytest
from PIL import Image

from cli.client import EditClient, View
from lab.judges.attributes import load_judge
from s2edit_core.delivery.canvas import to_tensor
from tests.clients.conftest import Live
from tests.sdks.callers import Call, Caller, NodeCaller, PythonCaller
from tests.sdks.conftest import MODEL, PROXIED, Served
from tests.sdks.environments import node_sdk
from tests.sdks.test_sdks import picture
from tests.servers.children import child_of
from tests.waiting import until

pytestmark = pytest.mark.timeout(600)
OWN = {"source_prompt": "a photo of a woman with long brown hair"}
EDITS: dict[str, tuple[str, dict[str, str]]] = {
    "python": ("a photo of a woman with long red hair", {"hair_colour": "red"}),
    "node": ("a photo of a smiling woman with long brown hair", {"expression": "smiling"}),
    "litellm": ("a photo of a woman with long brown hair and glasses", {"glasses": "yes"}),
}
"""What each client asks for, and what must be seen."""


@dataclass(frozen=True)
class Shipped:
    """The service, and its callers by name, with the key of its model."""

    live: Live
    key: str
    callers: dict[str, Caller]

    def ask(self, name: str) -> Image.Image:
        """Return the picture that a caller gets for its edit."""
        folder = self.live.folder
        params = {"image": str(folder / "photo.png"), "mask": str(folder / "hole.png"), "prompt": EDITS[name][0], "quality": "low"}
        model = PROXIED[1] if name == "litellm" else MODEL
        (outcome,) = self.callers[name].make([Call({**params, "model": model}, OWN, {})])
        return picture(outcome).convert("RGB")

    def check(self, name: str, result: Image.Image) -> None:
        """Check that the picture differs from the photo in what was asked for, and in nothing outside the mask."""
        folder, wanted = self.live.folder, EDITS[name][1]
        before, after = np.asarray(Image.open(folder / "photo.png").convert("RGB")), np.asarray(result)
        outside = np.asarray(Image.open(folder / "hole.png").getchannel("A")) > 0
        assert np.array_equal(before[outside], after[outside])
        (seen,) = load_judge()(to_tensor(result.resize((128, 128), Image.Resampling.LANCZOS))[None], "person")
        assert {attribute: seen[attribute] for attribute in wanted} == wanted


@pytest.fixture
def shipped(served: Served, litellm: Caller) -> Shipped:
    base, key = f"{served.url}/v1", served.live_key
    return Shipped(
        served.live, key, {"python": PythonCaller(base, key), "node": NodeCaller(base, key, node_sdk()), "litellm": litellm}
    )


def test_an_edit_survives_a_kill_of_its_worker(shipped: Shipped) -> None:
    """Its client waits for the answer meanwhile."""
    url, killed, view = shipped.live.url, False, View()
    with ThreadPoolExecutor(1) as thread, EditClient(url, api_key=shipped.key) as client:
        answer = thread.submit(shipped.ask, "python")
        until(lambda: answer.done() or bool(newest(shipped)))
        location = f"{url}/edits/{newest(shipped)[0]['id']}"
        for view in client.follow(location):
            if not killed and view["state"] == "running" and (view["progress"] or {}).get("step", 0) > 0:
                child_of(shipped.live.process, "celery").kill()
                killed = True
        assert killed
        assert view["state"] == "succeeded", view
        shipped.check("python", answer.result())
    outcomes = list((shipped.live.folder / "data" / "artifacts").rglob(f"{view['id']}/outcome.json"))
    assert [json.loads(outcome.read_text())["attempt"] for outcome in outcomes] == [2]


def newest(shipped: Shipped) -> list[View]:
    """Return the newest edit, if there is one."""
    headers = {"Authorization": f"Bearer {shipped.key}"}
    edits: list[View] = httpx.get(f"{shipped.live.url}/edits", params={"limit": 1}, headers=headers).json()["items"]
    return edits


@pytest.mark.parametrize("name", ["node", "litellm"])
def test_an_edit_by_the_model(shipped: Shipped, name: str) -> None:
    shipped.check(name, shipped.ask(name))

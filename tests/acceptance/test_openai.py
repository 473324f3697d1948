"""The shipped model behind `/v1/images/edits`: an edit by each SDK and by LiteLLM's proxy. They share one learned person."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli.supervision.service import WORKER_APP
from lab.judges.judge import load_judge
from lab.world.portraits import SIZE
from s2edit_core.delivery.canvas import to_tensor
from tests.clients.conftest import running
from tests.sdks.callers import Call, Caller, NodeCaller, PythonCaller
from tests.sdks.conftest import MODEL, draw_pictures, litellm_proxy
from tests.sdks.environments import node_sdk
from tests.sdks.test_sdks import picture

pytestmark = pytest.mark.timeout(600)
OWN = {"source_prompt": "a photo of a woman with long brown hair"}
EDITS: dict[str, tuple[str, dict[str, Any]]] = {
    "python": ("a photo of a woman with long red hair", {"hair_colour": "red"}),
    "node": ("a photo of a smiling woman with long brown hair", {"expression": "smiling"}),
    "litellm": ("a photo of a woman with long brown hair and glasses", {"glasses": True}),
}
"""What each client asks for, and what must be seen."""


@pytest.fixture(scope="module")
def callers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, Caller]]]:
    folder = tmp_path_factory.mktemp("openai")
    with running(folder, WORKER_APP) as live:
        draw_pictures(folder)
        base = f"{live.url}/v1"
        with litellm_proxy(base, "''", folder) as proxy:
            yield folder, {"python": PythonCaller(base, ""), "node": NodeCaller(base, "", node_sdk()), "litellm": proxy}


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_by_the_model(callers: tuple[Path, dict[str, Caller]], name: str) -> None:
    folder, by_name = callers
    prompt, wanted = EDITS[name]
    params = {"image": str(folder / "photo.png"), "mask": str(folder / "hole.png"), "prompt": prompt, "quality": "low"}
    model = "portraits" if name == "litellm" else MODEL
    (outcome,) = by_name[name].make([Call({**params, "model": model}, OWN, {})])
    result = picture(outcome).convert("RGB")
    before, after = np.asarray(Image.open(folder / "photo.png").convert("RGB")), np.asarray(result)
    outside = np.asarray(Image.open(folder / "hole.png").getchannel("A")) > 0
    assert np.array_equal(before[outside], after[outside])
    (seen,) = load_judge()(to_tensor(result.resize((SIZE, SIZE), Image.Resampling.LANCZOS))[None])
    assert {attribute: seen[attribute] for attribute in wanted} == wanted

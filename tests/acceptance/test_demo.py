"""`s2edit demo` and `s2edit up` as the README shows them, with the shipped model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from cli.client import EditClient
from cli.demo.demo import sample
from cli.demo.strip import GAP, MARGIN, PICTURE_TOP
from lab.judges.judge import load_judge
from lab.world.people import replace_attributes
from lab.world.portraits import SIZE
from lab.world.sample import PERSON, portrait
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.pictures.files import INSIDE, decode_photo, grown
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.presets import PRESETS
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.settings import ROOT
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.waiting import until

pytestmark = pytest.mark.timeout(900)  # the demo computes for minutes on two busy cores
with_this_run = end_with_parent(signal.SIGTERM)  # a killed test run must not leave the service behind
DEMO_S = 800.0
START_S = 120.0
NUMBERS = (1, 2, 3)
README_STRIP = ROOT / "docs" / "images" / "strip.png"


@dataclass(frozen=True)
class Demo:
    """The results of a demo run."""

    folder: Path
    figures: Path
    status: int
    output: str
    left_running: list[psutil.Process]

    def picture(self, name: str) -> Image.Image:
        return decode_photo((self.folder / name).read_bytes())

    def report(self, number: int) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((self.folder / f"report-{number}.json").read_text())
        return values


def running(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Run the demo once, and record all processes that it starts."""
    folder = tmp_path_factory.mktemp("demo")
    out, figures = folder / "demo-out", folder / "demo.json"
    argv = [sys.executable, "-m", "cli", "demo", "--folder", str(out), "--figures", str(figures)]
    descendants: set[psutil.Process] = set()
    with (folder / "output.txt").open("w") as file:
        process = psutil.Popen(argv, stdout=file, stderr=file, env={**os.environ, "COLUMNS": "200"}, preexec_fn=with_this_run)
        deadline = time.monotonic() + DEMO_S
        while process.poll() is None:
            assert time.monotonic() < deadline, "the demo takes too long"
            descendants.update(process.children(recursive=True))
            time.sleep(0.2)
    assert len(descendants) >= 4, "at least the service, Redis, the API and the worker"
    return Demo(out, figures, process.returncode, (folder / "output.txt").read_text(), running(list(descendants)))


def test_the_demo_succeeds_and_leaves_nothing_running(demo: Demo) -> None:
    assert demo.status == 0, demo.output
    assert demo.left_running == []


def test_the_demo_saves_pictures_and_reports(demo: Demo) -> None:
    source = demo.picture("source.png")
    for number in NUMBERS:
        result = demo.picture(f"result-{number}.png")
        assert result.size == source.size
        assert np.asarray(result).tobytes() != np.asarray(source).tobytes()


def test_the_strip_shows_the_photo_and_the_results_unscaled(demo: Demo) -> None:
    strip, source = demo.picture("strip.png"), demo.picture("source.png")
    width, height = source.size
    assert strip.width == 2 * MARGIN + 4 * width + 3 * GAP
    assert PICTURE_TOP + height < strip.height < 2 * height
    for i, name in enumerate(["source.png", *(f"result-{number}.png" for number in NUMBERS)]):
        x = MARGIN + i * (width + GAP)
        assert strip.crop((x, PICTURE_TOP, x + width, PICTURE_TOP + height)).tobytes() == demo.picture(name).tobytes(), name


def test_the_readme_shows_this_strip(demo: Demo) -> None:
    """Seconds and rounding may differ on another machine, but not visibly."""
    shown, strip = decode_photo(README_STRIP.read_bytes()), demo.picture("strip.png")
    assert f"]({README_STRIP.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert shown.size == strip.size
    assert README_STRIP.stat().st_size <= 300_000
    assert np.abs(np.asarray(shown, dtype=np.float32) - np.asarray(strip, dtype=np.float32)).mean() < 1


def test_the_demo_edits_with_the_default_preset(demo: Demo) -> None:
    assert {demo.report(number)["preset"] for number in NUMBERS} == {EditRequest(prompt="a person").preset}


def test_further_edits_of_a_person_learn_nothing(demo: Demo) -> None:
    """On a busy machine, the worker may lose its lease. The next attempt goes on from the checkpoint, so it counts fewer steps."""
    first = demo.report(1)
    assert 0 < first["learning_steps"] <= first["concept"]["steps"] == PRESETS["balanced"].learning.steps
    for number in NUMBERS[1:]:
        later = demo.report(number)
        assert later["learning_steps"] == 0
        assert later["concept_id"] == first["concept_id"]
        assert later["inversion_id"] == first["inversion_id"]
        assert later["seconds"]["learning"] == later["seconds"]["inverting"] == 0
        assert later["unet_evaluations"] < first["unet_evaluations"] / 2  # seconds would depend on the machine's load


@pytest.mark.parametrize("number", NUMBERS)
def test_outside_the_edit_mask_no_pixel_changes(demo: Demo, number: int) -> None:
    """Without an edit mask in the request, the service edits inside the grown identity mask."""
    source = demo.picture("source.png")
    allowed = grown(decode_mask((demo.folder / "mask.png").read_bytes(), source.size))
    outside = np.asarray(allowed) < INSIDE
    assert outside.mean() > 0.1
    assert np.array_equal(np.asarray(source)[outside], np.asarray(demo.picture(f"result-{number}.png"))[outside])
    assert demo.report(number)["outside_edit_mask"]["max_level_difference"] == 0


@pytest.mark.parametrize(
    ("number", "changes"),
    [(1, {"hair_colour": "red"}), (2, {"expression": "smiling"}), (3, {"glasses": True})],
    ids=["hair", "smile", "glasses"],
)
def test_inside_the_mask_the_edits_follow_their_prompts(demo: Demo, number: int, changes: dict[str, Any]) -> None:
    """The judge finds the requested attributes and no side effects.

    Where ground truth and photo differ, the result has at most three quarters of the photo's squared error.
    """
    answer = replace_attributes(PERSON, **changes)
    result = demo.picture(f"result-{number}.png")
    seen = result.resize((SIZE, SIZE), Image.Resampling.LANCZOS)  # the judge was trained at this size
    assert load_judge()(to_tensor(seen)[None]) == [asdict(answer.attributes)]
    source = np.asarray(demo.picture("source.png"), dtype=np.float64)
    truth = np.asarray(portrait(answer), dtype=np.float64)
    changed = np.abs(truth - source).max(axis=2) > 24
    pixels = np.asarray(result, dtype=np.float64)
    assert np.square(pixels - truth)[changed].mean() < np.square(source - truth)[changed].mean() * 0.75


def test_the_demo_reports_each_edit_and_ends_with_the_files(demo: Demo) -> None:
    lines = demo.output.splitlines()
    for number, prompt in zip(NUMBERS, sample().prompts, strict=True):
        how = r"\(\d+\.\d s to learn the person\)" if number == 1 else r"\(the person is known\)"
        assert re.search(rf"^edit {number}   {prompt}: \d+\.\d s {how}$", demo.output, re.MULTILINE), number
    for word in ("learning, s", "inverting, s", "editing, s", "total, s"):
        assert re.search(rf"^\s*{word}(\s+\d+\.\d+){{3}}\s*$", demo.output, re.MULTILINE), word
    assert re.search(r"^\s*learning steps\s+\d+\s+0\s+0\s*$", demo.output, re.MULTILINE)
    for word in ("replaced", "recoloured", "untouched"):
        assert re.search(rf"^\s*{word}, of the edit mask(\s+\d+%){{3}}\s*$", demo.output, re.MULTILINE), word
    assert re.search(r"^\s*pixels changed outside it(\s+0){3}\s*$", demo.output, re.MULTILINE)
    made = [name for number in NUMBERS for name in (f"result-{number}.png", f"report-{number}.json")]
    saved = [demo.folder / name for name in ("source.png", "mask.png", *made, "strip.png")]
    assert [line.strip() for line in lines[-len(saved) :]] == [str(path) for path in saved]
    assert all(path.is_file() for path in saved)


def test_the_figures_are_those_of_the_reports(demo: Demo) -> None:
    figures = json.loads(demo.figures.read_text())
    edits = [figures["cold"], *figures["warm"]]
    for number, edit in zip(NUMBERS, edits, strict=True):
        assert edit["seconds"] == demo.report(number)["seconds"]
        assert edit["wall_s"] >= edit["seconds"]["total"] * 0.9


def test_the_printed_commands_work(demo: Demo) -> None:
    """Restart the demo's service by the printed command, and send the printed curl request."""
    lines = demo.output.splitlines()
    up = next(line for line in lines if " up --port " in line).split()
    curl = next(line.strip() for line in lines if line.strip().startswith("curl") and "-F" in line)
    url = re.findall(r"http://127\.0\.0\.1:\d+", curl)[0]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([sys.executable, "-m", "cli", *up[1:]], stdout=quiet, stderr=quiet, preexec_fn=with_this_run)
    try:
        with httpx.Client(timeout=2.0) as http:
            until(lambda: _ready(http, url), START_S)
        answer = json.loads(subprocess.run(["bash", "-c", curl], capture_output=True, text=True, check=True).stdout)
        assert answer["state"] in ("queued", "running", "succeeded"), answer
        with EditClient(url) as client:
            *_, view = client.follow(f"{url}/edits/{answer['id']}")
        assert view["state"] == "succeeded", view
        assert view["report"]["values"]["learning_steps"] == 0
        known = httpx.get(f"{url}/edits", params={"identity": view["identity"]}).json()["items"]
        assert len(known) == 1 + len(NUMBERS), "the edits of the demo still exist"
        assert {edit["state"] for edit in known} == {"succeeded"}
        oldest = httpx.get(f"{url}/edits/{known[-1]['id']}").json()
        assert httpx.get(oldest["result"]["url"]).content == (demo.folder / "result-1.png").read_bytes()
    finally:
        process.terminate()
        process.wait(30)


def _ready(http: httpx.Client, url: str) -> bool:
    try:
        return http.get(f"{url}/readyz").status_code == 200
    except httpx.TransportError:
        return False

"""`s2edit demo` and `s2edit up` as the README shows them, with the shipped model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from PIL import Image

from cli.client import EditClient
from cli.demo.samples import EDITS, FIRST_EDITS, SCENES, SOURCE_PROMPTS, Edit, sample
from cli.demo.strip import GAP, GIVEN_TOP, MARGIN, result_top
from lab.judges.attributes import load_judge
from lab.world.sample import ANSWERS
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.pictures.files import decode_photo, inside_of
from s2edit_core.request.presets import PRESETS
from s2edit_core.request.spec import EditRequest
from s2edit_jobs.settings import ROOT
from s2edit_jobs.stores.embedded_redis import end_with_parent
from tests.waiting import until

pytestmark = pytest.mark.timeout(900)  # the demo computes for minutes on two busy cores
with_this_run = end_with_parent(signal.SIGTERM)  # a killed test run must not leave the service behind
DEMO_S = 800.0
START_S = 120.0
NUMBERS = tuple(edit.number for edit in EDITS)
FIRST, LATER = FIRST_EDITS[0], [edit for edit in EDITS if edit not in FIRST_EDITS]
README_STRIP = ROOT / "docs" / "images" / "strip.webp"
JUDGED = 128
"""The judge was trained on pictures of so many pixels square."""
LEFT_ERROR = 0.75
"""Where the true answer differs from the photo, the result has at most this share of the photo's squared error."""


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
    for edit in EDITS:
        photo, result = sample(edit.of).photo, demo.picture(f"result-{edit.number}.png")
        assert result.size == photo.size
        assert result.tobytes() != photo.tobytes()


def test_the_strip_shows_the_photos_and_the_results_unscaled(demo: Demo) -> None:
    """The strip is compressed, so its pixels are only nearly those of the files."""
    strip, (width, height) = demo.picture("strip.webp"), demo.picture("source.png").size
    assert strip.width == 2 * MARGIN + len(EDITS) * width + (len(EDITS) - 1) * GAP
    given = ("source.png", "cat.png", "church.png", "makeup.png")
    shown = [(i, GIVEN_TOP, name) for i, name in enumerate(given)]
    shown += [(number - 1, result_top(height), f"result-{number}.png") for number in NUMBERS]
    for i, y, name in shown:
        x = MARGIN + i * (width + GAP)
        part = np.asarray(strip.crop((x, y, x + width, y + height)), dtype=np.float32)
        assert np.abs(part - np.asarray(demo.picture(name))).mean() < 5, name


def test_the_readme_shows_this_strip(demo: Demo) -> None:
    """Seconds and rounding may differ on another machine, but not visibly."""
    shown, strip = decode_photo(README_STRIP.read_bytes()), demo.picture("strip.webp")
    assert f"]({README_STRIP.relative_to(ROOT)})" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert shown.size == strip.size
    assert README_STRIP.stat().st_size <= 400_000
    assert np.abs(np.asarray(shown, dtype=np.float32) - np.asarray(strip, dtype=np.float32)).mean() < 1


def test_the_demo_edits_with_the_default_preset(demo: Demo) -> None:
    assert {demo.report(number)["preset"] for number in NUMBERS} == {EditRequest(prompt="a person").preset}


@pytest.mark.parametrize("edit", FIRST_EDITS, ids=lambda edit: edit.of)
def test_the_first_edit_of_each_subject_learns_it(demo: Demo, edit: Edit) -> None:
    """On a busy machine, the worker may lose its lease. The next attempt goes on from the checkpoint, so it counts fewer steps."""
    report = demo.report(edit.number)
    assert 0 < report["learning_steps"] <= report["concept"]["steps"] == PRESETS["balanced"].learning.steps
    assert report["subject"] in edit.prompt.split()
    assert len({demo.report(each.number)["concept_id"] for each in FIRST_EDITS}) == len(FIRST_EDITS)


def test_further_edits_of_a_person_learn_nothing(demo: Demo) -> None:
    first = demo.report(FIRST.number)
    for edit in LATER:
        later = demo.report(edit.number)
        assert later["learning_steps"] == 0
        assert later["concept_id"] == first["concept_id"]
        assert later["inversion_id"] == first["inversion_id"]
        assert later["seconds"]["learning"] == later["seconds"]["inverting"] == 0
        assert later["unet_evaluations"] < first["unet_evaluations"] / 2  # seconds would depend on the machine's load


def test_only_the_transfer_applies_the_learned_makeup(demo: Demo) -> None:
    applied = {edit.number: list(demo.report(edit.number)["attributes"]) for edit in EDITS}
    assert applied == {edit.number: ["[A]"] if edit.attribute else [] for edit in EDITS}


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.of}-{edit.number}")
def test_outside_the_edit_mask_no_pixel_changes(demo: Demo, edit: Edit) -> None:
    """Without an edit mask in the request, the service edits inside the grown identity mask, and all of the `SCENES`."""
    of = sample(edit.of)
    outside = ~inside_of(of.edit_mask)
    assert (outside.mean() > 0.05) == (of.name not in SCENES)
    assert np.array_equal(np.asarray(of.photo)[outside], np.asarray(demo.picture(f"result-{edit.number}.png"))[outside])
    assert demo.report(edit.number)["outside_edit_mask"]["max_level_difference"] == 0


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit.of}-{edit.number}")
def test_inside_the_mask_the_edits_follow_their_prompts(demo: Demo, edit: Edit) -> None:
    """The judge finds the requested attributes and no side effects. Where the true answer differs, the result is nearer to it."""
    domain, answer = ANSWERS[edit.number - 1]
    seen = demo.picture(f"result-{edit.number}.png").resize((JUDGED, JUDGED), Image.Resampling.LANCZOS)
    asked = {name: domain.labels[name][label] for name, label in domain.label(answer.attributes).items()}
    assert load_judge()(to_tensor(seen)[None], domain.name) == [asked]
    photo = np.asarray(sample(edit.of).photo, dtype=np.float64)
    truth = np.asarray(domain.render(answer, photo.shape[0]), dtype=np.float64)
    pixels = np.asarray(demo.picture(f"result-{edit.number}.png"), dtype=np.float64)
    changed = np.abs(truth - photo).max(axis=2) > 24
    assert np.square(pixels - truth)[changed].mean() < np.square(photo - truth)[changed].mean() * LEFT_ERROR


def test_the_demo_reports_each_edit_and_ends_with_the_files(demo: Demo) -> None:
    lines = demo.output.splitlines()
    for edit in EDITS:
        how = f"learned the {edit.of}" if edit in FIRST_EDITS else f"the {edit.of} is known"
        assert re.search(rf"^edit {edit.number}   {re.escape(edit.prompt)}: \d+\.\d s, {how}$", demo.output, re.MULTILINE), edit
    assert re.search(r"^makeup   learned from another photo: \d+\.\d s$", demo.output, re.MULTILINE)
    for word in ("learning, s", "inverting, s", "editing, s", "total, s"):
        assert re.search(rf"^\s*{word}(\s+\d+\.\d+){{5}}\s*$", demo.output, re.MULTILINE), word
    assert re.search(r"^\s*learning steps(\s+[1-9]\d*){3}\s+0\s+0\s*$", demo.output, re.MULTILINE)
    for word in ("replaced", "recoloured", "untouched"):
        assert re.search(rf"^\s*{word}, of the edit mask(\s+\d+%){{5}}\s*$", demo.output, re.MULTILINE), word
    assert re.search(r"^\s*pixels changed outside it(\s+0){5}\s*$", demo.output, re.MULTILINE)
    photos = [path for name in SOURCE_PROMPTS for path in sample(name).files(demo.folder).values()]
    made = [demo.folder / name for number in NUMBERS for name in (f"result-{number}.png", f"report-{number}.json")]
    saved = [*photos, *made, demo.folder / "strip.webp"]
    assert [line.strip() for line in lines[-len(saved) :]] == [str(path) for path in saved]
    assert all(path.is_file() for path in saved)


def test_the_figures_are_those_of_the_reports(demo: Demo) -> None:
    figures = json.loads(demo.figures.read_text())
    for number, edit in zip(NUMBERS, figures["edits"], strict=True):
        assert edit["seconds"] == demo.report(number)["seconds"]
        assert edit["wall_s"] >= edit["seconds"]["total"] * 0.9
    assert figures["wall_s"] >= max(edit["wall_s"] for edit in figures["edits"])


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
        assert len(known) == 1 + 1 + len(LATER), "the edits of the demo still exist"
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

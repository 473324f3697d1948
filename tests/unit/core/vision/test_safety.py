"""Safety models, tiny and random, saved and loaded as any weights are: what passes, what does not, and what is not loaded."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from s2edit_core.errors import ModelUnusable
from s2edit_core.vision.safety import open_safety_model
from tests.models import tiny_judges

PHOTO = Image.effect_noise((40, 24), 80).convert("RGB")


def judge(folder: str, labels: tuple[str, ...] = ("nsfw",), threshold: float = 0.5) -> bool:
    return open_safety_model(folder, labels, threshold).is_unsafe(PHOTO)


def change_weights(folder: str | Path, change: Any) -> None:
    file = Path(folder) / "model.safetensors"
    save_file(change(load_file(file)), file, {"format": "pt"})


@pytest.mark.parametrize(("says", "unsafe"), [("safe", False), ("nsfw", True), ("gore", False)])
def test_a_classifier_refuses_by_the_labels_that_are_named(says: str, unsafe: bool, tmp_path: Path) -> None:
    assert judge(tiny_judges.classifier(tmp_path, says)) is unsafe


def test_labels_count_together_in_any_case(tmp_path: Path) -> None:
    folder = tiny_judges.classifier(tmp_path, "gore")
    assert judge(folder, (" NSFW ", "Gore", ""))
    assert not judge(folder, ("nsfw",))


def test_the_threshold_is_a_probability(tmp_path: Path) -> None:
    """Three labels of random weights: each has something near a third."""
    folder = tiny_judges.classifier(tmp_path)
    assert judge(folder, ("nsfw",), 0.1)
    assert not judge(folder, ("nsfw",), 0.9)
    assert judge(folder, ("nsfw", "gore"), 0.5), "exclusive labels add up"
    assert judge(folder, tiny_judges.LABELS, 0.999)


def test_labels_that_may_hold_together_count_each_for_itself(tmp_path: Path) -> None:
    folder = tiny_judges.classifier(tmp_path, problem_type="multi_label_classification")
    assert judge(folder, ("nsfw", "gore"), 0.3)
    assert not judge(folder, tiny_judges.LABELS, 0.9)


def test_a_single_label_is_a_probability_and_no_certainty(tmp_path: Path) -> None:
    folder = tiny_judges.classifier(tmp_path, id2label={0: "nsfw"})
    assert judge(folder, threshold=0.1)
    assert not judge(folder, threshold=0.9)


@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("refuses", [False, True])
def test_diffusers_checker_is_known_by_its_configuration(refuses: bool, within: bool, tmp_path: Path) -> None:
    assert judge(tiny_judges.checker(tmp_path, refuses, within=within)) is refuses


def test_a_checker_saved_by_earlier_releases_loads_whole(tmp_path: Path) -> None:
    """As the published weights: the vision model one level deeper, with its positions."""
    folder = tiny_judges.checker(tmp_path, refuses=True)

    def older(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        renamed = {re.sub(r"^vision_model\.", "vision_model.vision_model.", name): each for name, each in weights.items()}
        return {**renamed, "vision_model.vision_model.embeddings.position_ids": torch.arange(5)[None]}

    change_weights(folder, older)
    assert judge(folder)


@pytest.mark.parametrize("build", ["classifier", "checker"])
def test_what_is_no_number_does_not_pass(build: str, tmp_path: Path) -> None:
    folder = tiny_judges.classifier(tmp_path, "safe") if build == "classifier" else tiny_judges.checker(tmp_path, refuses=False)
    assert not judge(folder)
    change_weights(folder, lambda weights: {name: torch.full_like(each, torch.nan) for name, each in weights.items()})
    assert judge(folder)


@pytest.mark.parametrize("lacks", ["classifier.", "visual_projection."])
def test_a_model_without_a_trained_head_is_not_loaded(lacks: str, tmp_path: Path) -> None:
    folder = tiny_judges.classifier(tmp_path) if lacks == "classifier." else tiny_judges.checker(tmp_path, refuses=True)
    change_weights(folder, lambda weights: {name: each for name, each in weights.items() if not name.startswith(lacks)})
    with pytest.raises(ModelUnusable, match=rf"lacks weights of \w+ \({lacks}"):
        judge(folder)


def test_labels_and_thresholds_that_nothing_could_be_refused_by_are_not_taken(tmp_path: Path) -> None:
    folder = tiny_judges.classifier(tmp_path)
    with pytest.raises(ModelUnusable, match="no label 'porn': choose among safe, nsfw, gore"):
        judge(folder, ("nsfw", "porn"))
    for labels, threshold in (((), 0.5), ((" ",), 0.5), (("nsfw",), 0.0), (("nsfw",), 1.1), (("nsfw",), float("nan"))):
        with pytest.raises(ModelUnusable, match="at least one unsafe label, and a threshold"):
            judge(folder, labels, threshold)


def test_what_is_no_safety_model_is_not_loaded(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="can't be used to judge pictures"):
        judge(str(tmp_path))
    folder = Path(tiny_judges.classifier(tmp_path))
    (folder / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    with pytest.raises(ModelUnusable, match="can't be used to judge pictures"):
        judge(str(folder))

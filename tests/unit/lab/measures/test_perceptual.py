"""Properties of CLIP score and structure distance, with tiny random models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, ViTConfig, ViTModel

from lab.measures.perceptual import ClipScore, StructureDistance
from lab.training.tokenizer import build_tokenizer


def picture(seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> ClipScore:
    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    shape = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "projection_dim": 8}
    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    text = {**shape, **ends, "vocab_size": len(tokenizer), "max_position_embeddings": 12}
    config = CLIPConfig(text_config=text, vision_config={**shape, "image_size": 32, "patch_size": 16}, projection_dim=8)
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return ClipScore(str(folder))


@pytest.fixture(scope="module")
def structure(tmp_path_factory: pytest.TempPathFactory) -> StructureDistance:
    torch.manual_seed(0)
    folder: Path = tmp_path_factory.mktemp("vit")
    config = ViTConfig(
        hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=32, patch_size=16
    )
    ViTModel(config, add_pooling_layer=False).save_pretrained(folder)
    return StructureDistance(str(folder))


def test_a_score_is_a_cosine_in_percent_and_depends_on_picture_and_text(clip: ClipScore) -> None:
    scores = {clip(picture(seed), text) for seed in (0, 1) for text in ("a red hat", "a woman smiling with black hair")}
    assert all(0 <= score <= 100 for score in scores)
    assert len(scores - {0.0}) >= 2
    assert clip(picture(0), "a red hat") == clip(picture(0), "a red hat")


def test_a_text_that_is_too_long_is_truncated(clip: ClipScore) -> None:
    assert clip(picture(0), "hat " * 10) == clip(picture(0), "hat " * 40)


def test_only_the_centre_square_counts(clip: ClipScore) -> None:
    wide = Image.new("RGB", (96, 32))
    wide.paste(picture(3, (32, 32)), (32, 0))
    assert clip(wide, "hat") == pytest.approx(clip(picture(3, (32, 32)), "hat"), abs=1e-4)


def test_pictures_are_compared_with_each_other(clip: ClipScore) -> None:
    assert clip.of_pictures(picture(0), picture(0)) == pytest.approx(100, abs=1e-3)
    assert -100 <= clip.of_pictures(picture(0), picture(1)) < 100 - 1e-3


def test_equal_pictures_have_no_structure_distance(structure: StructureDistance) -> None:
    assert structure(picture(0), picture(0)) == 0
    assert structure(picture(0), picture(1)) > 0
    assert structure(picture(0), picture(1)) == pytest.approx(structure(picture(1), picture(0)))

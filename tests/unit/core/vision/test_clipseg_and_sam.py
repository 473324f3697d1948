"""The hooks over transformers' own classes, tiny and random, saved and loaded as any weights are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from lab.training.tokenizer import build_tokenizer
from s2edit_core.errors import MaskInvalid, ModelUnusable, OptionInvalid
from s2edit_core.vision.clipseg_and_sam import BoxSegmenter, TextSegmenter

PHOTO = Image.effect_noise((40, 24), 80).convert("RGB")


def values(mask: Image.Image) -> set[int]:
    assert (mask.mode, mask.size) == ("L", PHOTO.size)
    return set(np.unique(np.asarray(mask)).tolist())


def text_segmenter(folder: Path, bias: float | None = None) -> TextSegmenter:
    """With a `bias`, one whose logits are that everywhere."""
    tokenizer = build_tokenizer()
    vision = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 32}
    text = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 800}
    config = transformers.CLIPSegConfig(
        text_config={**text, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id},
        vision_config={**vision, "patch_size": 8},
        projection_dim=8,
        reduce_dim=8,
        extract_layers=[0, 1],
        decoder_num_attention_heads=2,
        decoder_intermediate_size=8,
    )
    torch.manual_seed(0)
    network = transformers.CLIPSegForImageSegmentation(config)
    if bias is not None:
        with torch.no_grad():
            network.decoder.transposed_convolution.weight.zero_()
            network.decoder.transposed_convolution.bias.fill_(bias)
    network.save_pretrained(folder)
    pictures = transformers.ViTImageProcessorPil(size={"height": 32, "width": 32})
    transformers.CLIPSegProcessor(pictures, tokenizer).save_pretrained(folder)
    return TextSegmenter(str(folder))


def test_a_text_segmenter_masks_what_is_probable(tmp_path: Path) -> None:
    segmenter = text_segmenter(tmp_path)
    assert values(segmenter.mask(PHOTO, "hat", threshold=0.0)) == {255}
    with pytest.raises(MaskInvalid, match="no hat was found"):
        segmenter.mask(PHOTO, "hat", threshold=1.0)
    lower, higher = (np.asarray(segmenter.mask(PHOTO, "hat", threshold=each)).mean() for each in (0.1, 0.4))
    assert lower >= higher


def box_segmenter(folder: Path) -> BoxSegmenter:
    vision = transformers.SamVisionConfig(
        hidden_size=8,
        output_channels=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=64,
        patch_size=16,
        window_size=2,
        global_attn_indexes=[0],
        mlp_dim=8,
        num_pos_feats=4,
    )
    prompts = transformers.SamPromptEncoderConfig(hidden_size=8, image_size=64, patch_size=16, mask_input_channels=4)
    decoder = transformers.SamMaskDecoderConfig(
        hidden_size=8, mlp_dim=8, num_hidden_layers=1, num_attention_heads=2, iou_head_hidden_dim=8
    )
    config = transformers.SamConfig(vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder)
    torch.manual_seed(0)
    transformers.SamModel(config).save_pretrained(folder)
    pictures = transformers.SamImageProcessorPil(
        size={"longest_edge": 64},
        pad_size={"height": 64, "width": 64},
        mask_size={"longest_edge": 16},
        mask_pad_size={"height": 16, "width": 16},
    )
    transformers.SamProcessor(pictures).save_pretrained(folder)
    return BoxSegmenter(str(folder))


def test_a_box_segmenter_masks_in_the_photos_size(tmp_path: Path) -> None:
    segmenter = box_segmenter(tmp_path)
    assert values(segmenter.mask(PHOTO, (4, 2, 30, 20))) <= {0, 255}
    with pytest.raises(OptionInvalid, match="within the photo's"):
        segmenter.mask(PHOTO, (4, 2, 41, 20))


@pytest.mark.parametrize("hook", [TextSegmenter, BoxSegmenter])
def test_missing_weights_are_said_to_be_missing(hook: Any, tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="can't be loaded"):
        hook(str(tmp_path))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelUnusable, match=r"s2edit\[auto\]"):
        TextSegmenter("anything")

"""Any segmentation model of transformers behind the port: tiny random ones of each kind, saved and loaded as any weights are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from safetensors.torch import save_file

from s2edit_core.errors import MaskInvalid, ModelUnusable
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from s2edit_core.vision.clipseg_and_sam import BoxSegmenter, TextSegmenter
from s2edit_core.vision.transformers_segmenter import open_transformers
from tests.unit.core.vision import test_clipseg_and_sam as tiny

PHOTO = Image.effect_noise((40, 24), 80).convert("RGB")
PROMPT = "a photo of a [I] woman"


def inside(mask: Image.Image) -> Any:
    assert (mask.mode, mask.size) == ("L", PHOTO.size)
    pixels = np.asarray(mask)
    assert set(np.unique(pixels)) <= {0, 255}
    return pixels > 127


def segformer(folder: Path, labels: dict[int, str], favourite: int) -> str:
    """A segmenter that prefers one label everywhere."""
    config = transformers.SegformerConfig(
        num_encoder_blocks=2,
        depths=[1, 1],
        sr_ratios=[2, 1],
        hidden_sizes=[4, 8],
        patch_sizes=[3, 3],
        strides=[2, 2],
        num_attention_heads=[1, 1],
        mlp_ratios=[1, 1],
        decoder_hidden_size=8,
        id2label=labels,
    )
    torch.manual_seed(0)
    network = transformers.SegformerForSemanticSegmentation(config)
    with torch.no_grad():
        network.decode_head.classifier.bias[favourite] = 100.0
    network.save_pretrained(folder)
    transformers.SegformerImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize(
    ("labels", "favourite", "found"),
    [
        (("background", "skin", "hair"), 2, True),
        (("background", "skin", "hair"), 0, False),
        (("wall", "person", "tree"), 1, True),
        (("wall", "person", "tree"), 2, False),
        (("sky", "person-other", "Background"), 1, True),
    ],
)
def test_labels_say_who_is_a_person(tmp_path: Path, labels: tuple[str, ...], favourite: int, found: bool) -> None:
    segmenter = open_transformers(segformer(tmp_path / "seer", dict(enumerate(labels)), favourite))
    assert segmenter.name == "transformers:seer", "a report shows no path of the machine"
    if not found:
        with pytest.raises(MaskInvalid, match="nobody was found"):
            segmenter.find(PHOTO, prompt=PROMPT)
        return
    answer = segmenter.find(PHOTO, prompt=PROMPT)
    assert inside(answer.mask).all()
    assert (answer.people, answer.confidence) == (1, pytest.approx(1, abs=0.01))


def test_labels_without_person_and_background_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelUnusable, match="has no label for a person or the background: wall, lamp, tree"):
        open_transformers(segformer(tmp_path, dict(enumerate(("wall", "lamp", "tree"))), 1))


@pytest.mark.parametrize(("favourite", "found"), [(1, True), (0, False)])
def test_masks_with_labels_are_summed_up(tmp_path: Path, favourite: int, found: bool) -> None:
    config = transformers.MaskFormerConfig(
        backbone_config=transformers.SwinConfig(
            image_size=32, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1], window_size=2,
            out_features=["stage1", "stage2", "stage3", "stage4"],
        ),
        decoder_config=transformers.DetrConfig(
            d_model=8, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
            encoder_attention_heads=1, decoder_attention_heads=1, num_queries=3,
        ),
        fpn_feature_size=32,
        mask_feature_size=32,
        id2label={0: "wall", 1: "person"},
    )  # fmt: skip
    torch.manual_seed(0)
    network = transformers.MaskFormerForInstanceSegmentation(config)
    with torch.no_grad():
        network.class_predictor.bias[favourite] = 100.0
        for parameter in network.mask_embedder.parameters():
            parameter.zero_()  # every mask is undecided everywhere: three halves make a person
    network.save_pretrained(tmp_path)
    transformers.MaskFormerImageProcessorPil(size={"height": 64, "width": 64}, size_divisor=32).save_pretrained(tmp_path)
    segmenter = open_transformers(str(tmp_path))
    if found:
        assert inside(segmenter.find(PHOTO, prompt=PROMPT).mask).all()
    else:
        with pytest.raises(MaskInvalid, match="nobody was found"):
            segmenter.find(PHOTO, prompt=PROMPT)


@pytest.mark.parametrize(("bias", "found"), [(5.0, True), (-5.0, False)])
def test_a_text_segmenter_is_asked_for_what_the_prompt_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bias: float, found: bool
) -> None:
    tiny.text_segmenter(tmp_path, bias)
    asked: list[str] = []
    answering = TextSegmenter.probability

    def listening(self: TextSegmenter, photo: Image.Image, text: str) -> Any:
        asked.append(text)
        return answering(self, photo, text)

    monkeypatch.setattr(TextSegmenter, "probability", listening)
    segmenter = open_transformers(str(tmp_path))
    for prompt in (PROMPT, " "):
        if found:
            assert inside(segmenter.find(PHOTO, prompt=prompt).mask).all()
        else:
            with pytest.raises(MaskInvalid, match="nobody was found"):
                segmenter.find(PHOTO, prompt=prompt)
    assert asked == ["a photo of a woman", "a person"]


def test_a_point_or_the_whole_photo_prompts_segment_anything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.box_segmenter(tmp_path)
    asked: list[dict[str, Any]] = []
    answering = BoxSegmenter.best

    def listening(self: BoxSegmenter, photo: Image.Image, **where: Any) -> tuple[Image.Image, float]:
        asked.append(where)
        answering(self, photo, **where)  # it runs; what random weights draw is nothing to hold on to
        disc = Image.new("L", photo.size)
        disc.paste(255, (10, 5, 30, 20))
        return disc, 1.25

    monkeypatch.setattr(BoxSegmenter, "best", listening)
    segmenter = open_transformers(str(tmp_path))
    for at in (None, (12, 8)):
        answer = segmenter.find(PHOTO, prompt=PROMPT, at=at)
        assert answer.mask.getbbox() == (10, 5, 30, 20)
        assert (answer.people, answer.confidence) == (1, 1.0)
    assert asked == [{"box": (1, 0, 39, 24)}, {"point": (12, 8)}]


CODE = """
import torch
from transformers import PreTrainedConfig, PreTrainedModel

class SeerConfig(PreTrainedConfig):
    model_type = "seer"

class Seer(PreTrainedModel):
    config_class = SeerConfig
    def __init__(self, config):
        super().__init__(config)
        self.last = torch.nn.Conv2d(3, 1, 1)
        self.post_init()
    def forward(self, x):
        logits = self.last(x)
        return [-logits, logits]
"""


def salient(folder: Path) -> str:
    """As BiRefNet's folder is: code beside weights. It sees what is brighter than middle grey."""
    folder.mkdir()
    (folder / "seer.py").write_text(CODE)
    auto = {"AutoConfig": "seer.SeerConfig", "AutoModelForImageSegmentation": "seer.Seer"}
    (folder / "config.json").write_text(json.dumps({"model_type": "seer", "architectures": ["Seer"], "auto_map": auto}))
    save_file({"last.weight": torch.full((1, 3, 1, 1), 9.0), "last.bias": torch.zeros(1)}, folder / "model.safetensors")
    return str(folder)


def test_a_folder_with_code_of_its_own_is_run(tmp_path: Path) -> None:
    photo = Image.new("RGB", PHOTO.size, (20, 20, 20))
    photo.paste((250, 250, 250), (10, 4, 30, 20))
    answer = open_transformers(salient(tmp_path / "seer")).find(photo, prompt=PROMPT)
    left, top, right, bottom = answer.mask.getbbox() or (0, 0, 0, 0)
    assert max(abs(left - 10), abs(top - 4), abs(right - 30), abs(bottom - 20)) <= 1


def test_code_of_a_hub_is_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    config = {"model_type": "seer", "auto_map": {"AutoModelForImageSegmentation": "seer.Seer"}}
    monkeypatch.setattr(transformers.PreTrainedConfig, "get_config_dict", lambda _model: (config, {}))
    with pytest.raises(ModelUnusable, match="contains code: download it into a folder"):
        open_transformers("somebody/seer")


def test_what_finds_nobody_is_refused(tmp_path: Path, backbone: Backbone) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert", "architectures": ["BertModel"]}))
    with pytest.raises(ModelUnusable, match=r"is a bert of \['BertModel'\], which is no supported segmenter"):
        S2EditPipeline(backbone).segmenter(f"transformers:{tmp_path}")
    with pytest.raises(ModelUnusable, match="can't be loaded"):
        open_transformers(str(tmp_path / "nowhere"))

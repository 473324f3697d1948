"""Single-file checkpoints: each loads offline and runs, or is refused with the reason."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from s2edit_core.base_model import single_file_layout
from s2edit_core.errors import ModelUnusable
from s2edit_core.unet.backbone import Backbone
from tests.models.single_files import original_tensors, save_configs, save_single
from tests.tiny import tiny_parts
from tests.unit.core.base_model.samples import SCHEDULER, runs


def small(family: str) -> dict[str, Any]:
    """A small model with CLIP's vocabulary; of `sd2` as its UNet and text encoder differ."""
    from transformers import CLIPTextConfig, CLIPTextModel

    parts = tiny_parts(3)
    changed = {"hidden_act": "gelu" if family == "sd2" else "quick_gelu", "vocab_size": 49_408, "max_position_embeddings": 77}
    special = {"bos_token_id": 49_406, "eos_token_id": 49_407}
    config = {**parts["text_encoder"].config.to_dict(), **changed, **special, "architectures": ["CLIPTextModel"]}
    parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**config))
    if family == "sd2":
        parts["unet"] = type(parts["unet"]).from_config({**parts["unet"].config, "use_linear_projection": True})
    return parts


@pytest.fixture
def checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Path, Mapping[str, Any]]]:
    """Writes a small model as one file, whose family has small configurations for the time of the test."""
    shutil.copytree(single_file_layout.CONFIGS, tmp_path / "configs", dirs_exist_ok=True)
    monkeypatch.setattr(single_file_layout, "CONFIGS", tmp_path / "configs")
    kinds = [(family, prediction) for family in ("sd1", "sd2") for prediction in ("epsilon", "v_prediction")]
    monkeypatch.setattr(single_file_layout, "FRAMES", dict.fromkeys(kinds, 8))

    def write(family: str, name: str, metadata: Mapping[str, str] | None = None, **markers: torch.Tensor) -> Any:
        parts = small(family)
        index = (tmp_path / "configs" / family / "model_index.json").read_text()
        shutil.rmtree(tmp_path / "configs" / family)
        save_configs(tmp_path / "configs" / family, parts, SCHEDULER)
        (tmp_path / "configs" / family / "model_index.json").write_text(index)
        tensors = original_tensors(parts["unet"], parts["vae"], parts["text_encoder"], family)
        return save_single(tmp_path / name, {**tensors, **markers}, metadata), parts

    return write


def same_weights(backbone: Backbone, parts: Mapping[str, Any]) -> None:
    for name in ("unet", "vae", "text_encoder"):
        mine, theirs = getattr(backbone, name).state_dict(), parts[name].state_dict()
        assert mine.keys() == theirs.keys()
        for key, tensor in theirs.items():
            torch.testing.assert_close(mine[key], tensor, rtol=0, atol=0, msg=f"{name}.{key}")


@pytest.mark.parametrize("name", ["model.safetensors", "model.ckpt"])
@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_one_file_loads_offline_and_runs(
    family: str, name: str, checkpoint: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("nothing may be fetched"))
    path, parts = checkpoint(family, name)
    (tmp_path / "model.s2edit.json").write_text(json.dumps({"prediction_type": "epsilon", "guidance_scale": 5}))
    backbone = Backbone.from_pretrained(str(path))
    same_weights(backbone, parts)
    assert backbone.schedule.prediction == "epsilon"
    assert backbone.card.guidance_scale == 5.0
    assert backbone.tokenizer("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert backbone.tokenizer.pad_token_id == (0 if family == "sd2" else 49407)
    runs(backbone)


def test_one_file_has_the_fingerprint_of_its_folder(checkpoint: Callable[..., Any], tmp_path: Path) -> None:
    path, parts = checkpoint("sd1", "model.safetensors")
    for name in ("unet", "vae", "text_encoder"):
        parts[name].save_pretrained(tmp_path / "folder" / name)
    shutil.copytree(tmp_path / "configs" / "sd1" / "scheduler", tmp_path / "folder" / "scheduler")
    Backbone.from_pretrained(str(path)).tokenizer.save_pretrained(tmp_path / "folder" / "tokenizer")
    folder = Backbone.from_pretrained(str(tmp_path / "folder"))
    assert Backbone.from_pretrained(str(path)).fingerprint == folder.fingerprint


@pytest.mark.parametrize(
    ("beside", "inside"),
    [
        ({"model.s2edit.json": '{"prediction_type": "v_prediction"}'}, {}),
        ({"model.yaml": 'model:\n  params:\n    parameterization: "v"\n'}, {}),
        ({}, {"metadata": {"modelspec.prediction_type": "v"}}),
        ({}, {"v_pred": torch.zeros(1)}),
    ],
    ids=["card", "original configuration", "metadata", "marker"],
)
def test_what_a_file_predicts_is_said_beside_it_or_inside(
    beside: Mapping[str, str], inside: Mapping[str, Any], checkpoint: Callable[..., Any], tmp_path: Path
) -> None:
    path, _ = checkpoint("sd2", "model.safetensors", **inside)
    for name, text in beside.items():
        (tmp_path / name).write_text(text)
    assert Backbone.from_pretrained(str(path)).schedule.prediction == "v_prediction"


def test_a_file_of_sd2_that_does_not_say_what_it_predicts_is_refused(checkpoint: Callable[..., Any]) -> None:
    for name in ("model.safetensors", "model.ckpt"):
        path, _ = checkpoint("sd2", name)
        with pytest.raises(ModelUnusable, match=r'put model.s2edit.json beside it with {"prediction_type": "v_prediction"}'):
            Backbone.from_pretrained(str(path))


def test_a_marker_asks_for_zero_snr(checkpoint: Callable[..., Any]) -> None:
    path, _ = checkpoint("sd2", "model.safetensors", v_pred=torch.zeros(1), ztsnr=torch.zeros(1))
    schedule = Backbone.from_pretrained(str(path)).schedule
    assert schedule.alpha(999) == 2**-24
    path, _ = checkpoint("sd1", "other.safetensors", ztsnr=torch.zeros(1))
    with pytest.raises(ModelUnusable, match="rescale_betas_zero_snr"):
        Backbone.from_pretrained(str(path))


def without(prefix: str) -> Callable[[dict[str, torch.Tensor]], None]:
    def remove(tensors: dict[str, torch.Tensor]) -> None:
        for name in [name for name in tensors if name.startswith(prefix)]:
            del tensors[name]

    return remove


BLOCK = "model.diffusion_model.middle_block.0.in_layers.2.weight"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("model.diffusion_model."), "it holds no UNet"),
        (without("first_stage_model."), "it holds no auto-encoder"),
        (without("cond_stage_model."), "it holds no text encoder"),
        (without(BLOCK), "lacks tensors of the UNet"),
        (without("cond_stage_model.transformer.text_model.final_layer_norm.weight"), "lacks 1 tensors of the text_encoder"),
        (lambda tensors: tensors.update({"conditioner.embedders.0.x": torch.zeros(1)}), "Stable Diffusion XL"),
        (
            lambda tensors: tensors.update({"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(16, 9, 3, 3)}),
            "takes 9 channels: inpainting",
        ),
        (lambda tensors: tensors.update({BLOCK: torch.zeros(3, 3)}), "shape"),
    ],
    ids=["no UNet", "no auto-encoder", "no text encoder", "a tensor missing", "another", "XL", "inpainting", "another shape"],
)
@pytest.mark.parametrize("ending", ["safetensors", "ckpt"])
def test_a_file_that_is_no_whole_model_is_refused_by_name(
    change: Callable[[dict[str, torch.Tensor]], None], words: str, ending: str, checkpoint: Callable[..., Any], tmp_path: Path
) -> None:
    _, parts = checkpoint("sd1", "whole.safetensors")
    tensors = original_tensors(parts["unet"], parts["vae"], parts["text_encoder"], "sd1")
    change(tensors)
    with pytest.raises(ModelUnusable, match=words):
        Backbone.from_pretrained(str(save_single(tmp_path / f"model.{ending}", tensors)))

"""Model folders as people have them: each loads and runs, whatever its variant, format or scheduler."""

from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from s2edit_core.base_model.clip_words import clip_words
from s2edit_core.base_model.model_files import ModelFolder, find_model
from s2edit_core.errors import ModelUnusable
from s2edit_core.unet.backbone import Backbone
from tests.tiny import save_tiny
from tests.unit.core.base_model.samples import runs

FOLDERS: dict[str, dict[str, Any]] = {
    "float32": {},
    "bin": {"pickled": True},
    "fp16 variant": {"dtype": torch.float16, "variant": "fp16"},
    "fp16 variant as bin": {"dtype": torch.float16, "variant": "fp16", "pickled": True},
    "bf16 variant": {"dtype": torch.bfloat16, "variant": "bf16"},
    "v-prediction": {"scheduler": {"prediction_type": "v_prediction"}},
    "zero SNR": {
        "scheduler": {
            "prediction_type": "v_prediction",
            "rescale_betas_zero_snr": True,
            "timestep_spacing": "trailing",
            "set_alpha_to_one": True,
        }
    },
}


@pytest.mark.parametrize("kind", FOLDERS)
def test_a_folder_loads_and_runs(kind: str, tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", **FOLDERS[kind])
    backbone = Backbone.from_pretrained(str(folder))
    assert backbone.dtype == torch.float32
    runs(backbone)


def test_the_fingerprint_is_that_of_the_content(tmp_path: Path) -> None:
    """Not of its names, its files or its precision."""
    whole = Backbone.from_pretrained(str(save_tiny(tmp_path / "float32")))
    for kind in ("bin", "fp16 variant", "fp16 variant as bin"):
        assert Backbone.from_pretrained(str(save_tiny(tmp_path / kind, **FOLDERS[kind]))).fingerprint == whole.fingerprint, kind
    for dtype in (torch.float16, torch.bfloat16):
        half = Backbone.from_pretrained(str(tmp_path / "float32"), dtype=dtype)
        assert half.dtype == dtype
        assert (half.fingerprints.current, half.fingerprints.legacy) == (whole.fingerprint, whole.fingerprints.legacy)
    for other in ({"seed": 1}, FOLDERS["v-prediction"], {"scheduler": {"timestep_spacing": "trailing"}}):
        path = tmp_path / "other"
        shutil.rmtree(path, ignore_errors=True)
        assert Backbone.from_pretrained(str(save_tiny(path, **other))).fingerprint != whole.fingerprint, other


def test_full_precision_goes_before_a_variant_and_safetensors_before_a_pickle(tmp_path: Path) -> None:
    folder = save_tiny(tmp_path / "model", pickled=True)
    save_tiny(tmp_path / "half", dtype=torch.float16, variant="fp16")
    for file in (tmp_path / "half").rglob("*.fp16.safetensors"):
        shutil.copy(file, folder / file.relative_to(tmp_path / "half"))
    found = find_model(str(folder))
    assert isinstance(found, ModelFolder)
    assert {part: weights.name for part, weights in found.weights.items()} == {
        "unet": "diffusion_pytorch_model.bin",
        "vae": "diffusion_pytorch_model.bin",
        "text_encoder": "pytorch_model.bin",
    }
    (folder / "unet" / "diffusion_pytorch_model.bin").unlink()
    found = find_model(str(folder))
    assert isinstance(found, ModelFolder)
    assert found.weights["unet"].name == "diffusion_pytorch_model.fp16.safetensors"


class Trap:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("sprung"),)


def test_a_pickle_runs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = save_tiny(tmp_path / "model", pickled=True)
    for path in (folder / "unet" / "diffusion_pytorch_model.bin", tmp_path / "model.ckpt"):
        torch.save({"state_dict": {}, "callbacks": Trap()}, path)
    for model in (folder, tmp_path / "model.ckpt"):
        with pytest.raises(ModelUnusable, match="can't be loaded"):
            Backbone.from_pretrained(str(model))
    assert not (tmp_path / "sprung").exists()
    with pytest.raises(pickle.UnpicklingError):  # what the trap would be refused for
        torch.load(tmp_path / "model.ckpt", weights_only=True)


def test_the_vocabulary_is_clips_own() -> None:
    """Numbers that openai/CLIP's tokenizer gives."""
    vocabulary, merges = clip_words()
    assert (len(vocabulary), len(merges)) == (49_408, 48_894)
    assert merges[:2] == [("i", "n"), ("t", "h")]
    known = {"!": 0, "a</w>": 320, "of</w>": 539, "photo</w>": 1125, "woman</w>": 2308, "cat</w>": 2368, "<|endoftext|>": 49_407}
    assert {token: vocabulary[token] for token in known} == known

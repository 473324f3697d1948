"""The family of a single-file checkpoint, from its tensors' names and shapes (layout of CompVis and Stability AI).

Loads no torch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2edit_core.base_model.model_card import card_path

CONFIGS = Path(__file__).resolve().parent / "single_file"
"""Configurations in diffusers' layout, one folder per family."""

Family = Literal["sd1", "sd2"]
Shapes = Mapping[str, Sequence[int]]

UNET, VAE = "model.diffusion_model.", "first_stage_model."
TEXT: Mapping[Family, str] = {"sd1": "cond_stage_model.transformer.", "sd2": "cond_stage_model.model."}
INPUT = f"{UNET}input_blocks.0.0.weight"
FRAMES: Mapping[tuple[Family, str], int] = {("sd2", "v_prediction"): 96}
"""Side of the training frame in latent cells, where it is not 64: SD 2.x with v-prediction was trained at 768 pixels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The family and the prediction type of a checkpoint.

    `prediction` and `zero_snr` become entries of the scheduler's configuration.
    """

    family: Family
    prediction: Literal["epsilon", "v_prediction"]
    zero_snr: bool = False

    @property
    def configs(self) -> Path:
        """The folder with this family's configurations."""
        return CONFIGS / self.family

    @property
    def sample_size(self) -> int:
        """Side of the training frame in latent cells."""
        return FRAMES.get((self.family, self.prediction), 64)


def layout_of(shapes: Shapes, path: Path, metadata: Mapping[str, str] | None = None) -> Layout:
    """Return the layout of the checkpoint `path` with tensors of `shapes`. Raises `ValueError` for anything but SD 1.x and 2.x.

    Shapes don't show what a model predicts. In this order, these sources tell: the card beside the file (`prediction_type`), the
    original .yaml beside it (`parameterization`), a marker tensor `v_pred`, and the file's metadata (`modelspec.prediction_type`).
    Without any of them, SD 1.x is taken to predict ε; SD 2.x is refused, because both kinds are common.
    """
    family = _family(shapes)
    prediction = _prediction_beside(path) or _prediction_inside(shapes, metadata or {})
    if prediction is None and family == "sd2":
        raise ValueError(
            f"{path.name} is Stable Diffusion 2.x and does not state its prediction type: put {card_path(path).name} beside it "
            'with {"prediction_type": "v_prediction"} for models trained at 768 pixels, or "epsilon" for 512 pixels'
        )
    if prediction not in (None, "epsilon", "v_prediction"):
        raise ValueError(f"prediction_type {prediction!r} of {path.name} is not supported: use epsilon or v_prediction")
    return Layout(family, "v_prediction" if prediction == "v_prediction" else "epsilon", zero_snr="ztsnr" in shapes)


def _family(shapes: Shapes) -> Family:
    if any(name.startswith("conditioner.embedders.") for name in shapes):
        raise ValueError("it is Stable Diffusion XL: only Stable Diffusion 1.x and 2.x are supported")
    for prefix, what in ((UNET, "UNet"), (VAE, "auto-encoder")):
        if not any(name.startswith(prefix) for name in shapes):
            raise ValueError(f"it holds no {what} (tensors {prefix}…): use a full checkpoint of Stable Diffusion 1.x or 2.x")
    channels = shapes[INPUT][1] if INPUT in shapes else 4
    if channels != 4:
        raise ValueError(f"its UNet takes {channels} channels: inpainting and depth models are not supported")
    for family, prefix in TEXT.items():
        if any(name.startswith(prefix) for name in shapes):
            return family
    raise ValueError("it holds no text encoder (tensors cond_stage_model.…): use a full checkpoint")


def _prediction_beside(path: Path) -> str | None:
    """Return the prediction type that the files beside the checkpoint declare; None if they declare none."""
    card, original = card_path(path), path.with_suffix(".yaml")
    if card.is_file():
        values = json.loads(card.read_text(encoding="utf-8"))
        if isinstance(values, dict) and "prediction_type" in values:
            return str(values["prediction_type"])
    if original.is_file():
        found = re.search(r"^\s*parameterization:\s*[\"']?(\w+)", original.read_text(encoding="utf-8"), flags=re.MULTILINE)
        return {None: "epsilon", "v": "v_prediction", "eps": "epsilon"}.get(found[1] if found else None, found and found[1])
    return None


def _prediction_inside(shapes: Shapes, metadata: Mapping[str, str]) -> str | None:
    """Return the prediction type that the checkpoint itself declares; None if it declares none."""
    if "v_pred" in shapes:
        return "v_prediction"
    declared = metadata.get("modelspec.prediction_type")
    return {"v": "v_prediction", "eps": "epsilon"}.get(declared, declared) if declared is not None else None

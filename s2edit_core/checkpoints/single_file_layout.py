"""Which model a checkpoint in one file is, by its tensors' names and shapes (layout of CompVis and Stability AI). No torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from s2edit_core.checkpoints.model_card import card_path

CONFIGS = Path(__file__).resolve().parent / "single_file"
"""Configurations in diffusers' layout, one folder per family."""

Family = Literal["sd1", "sd2"]
Shapes = Mapping[str, Sequence[int]]

UNET, VAE = "model.diffusion_model.", "first_stage_model."
TEXT: Mapping[Family, str] = {"sd1": "cond_stage_model.transformer.", "sd2": "cond_stage_model.model."}
INPUT = f"{UNET}input_blocks.0.0.weight"
FRAMES: Mapping[tuple[Family, str], int] = {("sd2", "v_prediction"): 96}
"""Side of the frame in latent cells, where it is not 64: SD 2.x that predicts v was trained at 768 pixels."""


@dataclass(frozen=True, slots=True)
class Layout:
    """`prediction` and `zero_snr` are entries of the scheduler's configuration."""

    family: Family
    prediction: Literal["epsilon", "v_prediction"]
    zero_snr: bool = False

    @property
    def configs(self) -> Path:
        return CONFIGS / self.family

    @property
    def sample_size(self) -> int:
        return FRAMES.get((self.family, self.prediction), 64)


def layout_of(shapes: Shapes, path: Path, metadata: Mapping[str, str] | None = None) -> Layout:
    """The layout of the checkpoint `path` with tensors of `shapes`. Raises `ValueError` for what is not SD 1.x or 2.x, by its name.

    What the model predicts does not show in its shapes: the card beside it says so (`prediction_type`), the file's own metadata
    (`modelspec.prediction_type`), a marker tensor `v_pred`, or the original .yaml beside it (`parameterization`).
    Without any of them SD 1.x predicts ε, and SD 2.x is refused, since both kinds are common.
    """
    family = _family(shapes)
    prediction = _prediction_beside(path) or _prediction_inside(shapes, metadata or {})
    if prediction is None and family == "sd2":
        raise ValueError(
            f"{path.name} is Stable Diffusion 2.x and does not say what it predicts: put {card_path(path).name} beside it with "
            '{"prediction_type": "v_prediction"} for the models of 768 pixels, or "epsilon" for those of 512'
        )
    if prediction not in (None, "epsilon", "v_prediction"):
        raise ValueError(f"prediction_type {prediction!r} of {path.name} is not supported: known are epsilon, v_prediction")
    return Layout(family, "v_prediction" if prediction == "v_prediction" else "epsilon", zero_snr="ztsnr" in shapes)


def _family(shapes: Shapes) -> Family:
    if any(name.startswith("conditioner.embedders.") for name in shapes):
        raise ValueError("it is Stable Diffusion XL: only Stable Diffusion 1.x and 2.x are supported")
    for prefix, what in ((UNET, "UNet"), (VAE, "auto-encoder")):
        if not any(name.startswith(prefix) for name in shapes):
            raise ValueError(f"it holds no {what} (tensors {prefix}…): give the whole checkpoint of Stable Diffusion 1.x or 2.x")
    channels = shapes[INPUT][1] if INPUT in shapes else 4
    if channels != 4:
        raise ValueError(f"its UNet takes {channels} channels: inpainting and depth models are not supported")
    for family, prefix in TEXT.items():
        if any(name.startswith(prefix) for name in shapes):
            return family
    raise ValueError("it holds no text encoder (tensors cond_stage_model.…): give the whole checkpoint")


def _prediction_beside(path: Path) -> str | None:
    card, original = card_path(path), path.with_suffix(".yaml")
    if card.is_file():
        values = json.loads(card.read_text(encoding="utf-8"))
        if isinstance(values, dict) and "prediction_type" in values:
            return str(values["prediction_type"])
    if original.is_file():
        said = re.search(r"^\s*parameterization:\s*[\"']?(\w+)", original.read_text(encoding="utf-8"), flags=re.MULTILINE)
        return {None: "epsilon", "v": "v_prediction", "eps": "epsilon"}.get(said[1] if said else None, said and said[1])
    return None


def _prediction_inside(shapes: Shapes, metadata: Mapping[str, str]) -> str | None:
    if "v_pred" in shapes:
        return "v_prediction"
    said = metadata.get("modelspec.prediction_type")
    return {"v": "v_prediction", "eps": "epsilon"}.get(said, said) if said is not None else None

"""What a call of the pipeline returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery import report
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.method.inversion import Inversion

OutputType = Literal["pil", "np", "pt", "latent"]


@dataclass(frozen=True, eq=False)
class S2EditOutput:
    """The results of a call, one per prompt.

    `images`: the edited photos, in the form that `output_type` asked for. `reports`: what each edit did, as JSON values. `frames`:
    the model's decoded output, RGB. `latents` `(n, c, h, w)`: the same before decoding.
    """

    images: list[Image.Image] | NDArray[np.float32] | Tensor
    reports: list[dict[str, Any]]
    frames: list[Image.Image]
    latents: Tensor


def converted(
    results: list[Image.Image], latents: Tensor, output_type: OutputType
) -> list[Image.Image] | NDArray[np.float32] | Tensor:
    """Return the results in the form of `output_type`: "np" `(n, H, W, 3)` and "pt" `(n, 3, H, W)` in 0..1."""
    if output_type == "latent":
        return latents
    if output_type == "pil":
        return results
    pixels = np.stack([np.asarray(result, dtype=np.float32) for result in results]) / np.float32(255)
    return pixels if output_type == "np" else torch.from_numpy(pixels).permute(0, 3, 1, 2)


def provenance(
    canvas: Canvas, inversion: Inversion, identity: Concept | None, seed: int | None, edit_mask: Image.Image | None
) -> dict[str, Any]:
    """Return what an edit was made from, for its report. Without a `seed`, it is that of the identity."""
    inputs = {"image": canvas.photo, "mask": canvas.identity_mask} | ({} if edit_mask is None else {"edit_mask": edit_mask})
    learned = {} if identity is None else identity.facts
    return {
        "source_prompt": inversion.facts.get("prompt"),
        "subject": learned.get("subject"),
        "concept": learned,
        "inversion": inversion.facts | {"tier": inversion.tier, "steps": inversion.steps},
        "guidance_scale": inversion.guidance_scale,
        "seed": learned.get("seed") if seed is None else seed,
        "inputs": {name: report.picture_digest(picture) for name, picture in inputs.items()},
        "versions": report.versions(),
    }

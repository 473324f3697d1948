"""The figures of an edit as the service delivers it: the photo at its own resolution, with what the edit changed.

Each subject is also drawn as a photograph with finer texture, and so is each true answer. The service would scale the photograph
down to the frame that the model sees. Here the model sees the picture that the raw figures are of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lab.measures.metrics import psnr_of
from lab.measures.zones import Pixels, laplacian, squared_error, zone_figures, zones_of
from lab.quality.population import Shot
from s2edit_core.delivery.asked import Asked
from s2edit_core.delivery.canvas import Canvas, to_tensor
from s2edit_core.pipeline import S2EditPipeline

SIZE = 512
"""Side of the photographs in pixels: the crop of a person in a phone's photo, four times the shipped model's frame."""
DELIVERED = ("delivered_psnr", "delivered_psnr_changed", "delivered_psnr_unchanged", "delivered_detail")


@dataclass(frozen=True, eq=False)
class Original:
    """A subject's photograph on its canvas, and the decoded latent `(3, H, W)` of the frame that the model saw."""

    canvas: Canvas
    before: Tensor


def original_of(pipe: S2EditPipeline, shot: Shot, seen: Canvas, subject: str = "") -> Original:
    """Return the photograph of a subject whose picture the model saw on the canvas `seen`. `subject` is its word in the prompts.

    Raises `ValueError` if the two canvases frame the subject differently, because an edit of one would not fit the other.
    """
    canvas = pipe.canvas(shot.picture, shot.mask, subject=subject)
    whole = seen.box == (0, 0, *seen.photo.size)
    if whole:
        canvas = replace(canvas, box=(0, 0, *shot.picture.size), frame=seen.frame)
    ratio = shot.picture.width / seen.photo.width
    if canvas.box != tuple(round(ratio * side) for side in seen.box) or canvas.frame != seen.frame:
        raise ValueError(f"the photograph is framed by {canvas.box}, the picture by {seen.box}")
    with torch.no_grad():
        return Original(canvas, pipe.backbone.decode_latent(pipe.backbone.encode_image(seen.source())))


def deliver(pipe: S2EditPipeline, original: Original, raw: Image.Image, asked: Asked = "anything") -> Image.Image:
    """Return the photograph with the edit whose raw output is `raw`, as the service delivers what was `asked` for by default.

    The service does not round the raw output to 8 bits first. That changed no PSNR of 27 edits by more than 0.1 dB.
    """
    picture, _ = pipe.deliver(original.canvas, original.before, to_tensor(raw), asked=asked)
    return picture


def measure_delivered(
    pipe: S2EditPipeline, original: Original, answer: Image.Image, raw: Image.Image, asked: Asked = "anything"
) -> dict[str, float | None]:
    """Deliver an edit and compare it with its true answer, a photograph too. A figure without pixels is None.

    `delivered_psnr` is of the whole photograph, the other figures are of the zones inside the edit mask. `delivered_detail` is the
    energy of the Laplacian, as a share of the photograph's own, beyond one latent cell from what should change. Nearer to it, the
    Laplacian would measure the outline of the change.
    """
    canvas = original.canvas
    photo, truth, result = (_pixels(each) for each in (canvas.photo, answer, deliver(pipe, original, raw, asked)))
    error = squared_error(result, truth)
    zones = zones_of(photo, truth, canvas, pipe.backbone.latent_scale)
    figures = zone_figures(error, laplacian(result), laplacian(truth), zones)
    energy = figures["energy_far"]
    return {
        "delivered_psnr": psnr_of(float(error.mean(dtype=np.float64))),
        "delivered_psnr_changed": figures["psnr_changed"],
        "delivered_psnr_unchanged": figures["psnr_same"],
        "delivered_detail": None if energy is None else energy / 100,
    }


def _pixels(picture: Image.Image) -> Pixels:
    return np.asarray(picture, dtype=np.float32)

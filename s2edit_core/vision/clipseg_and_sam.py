"""Masks by segmentation models of transformers, for users who have the weights.

The method does not need these models, and no weights are included. Each class takes a folder or hub id in transformers' layout,
loads it when created, and returns the mask that an edit needs: L, of the photo's size, 255 inside. The default names are the usual
weights of each architecture; no test downloads them. Segmentation of people has the biases and the licence of its weights: check
both before use.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.errors import MaskInvalid, ModelUnusable, OptionInvalid


def load_pretrained(model: str, processor: str, network: str, device: str) -> tuple[Any, Any]:
    """Load processor and network by their class names. Raises `ModelUnusable` if transformers or the weights are missing."""
    try:
        import transformers
    except ImportError as error:
        raise ModelUnusable("segmentation models need transformers: install s2edit[auto]") from error
    try:
        chosen = getattr(transformers, processor).from_pretrained(model)
        return chosen, getattr(transformers, network).from_pretrained(model).to(device).eval()
    except (OSError, ValueError) as error:
        raise ModelUnusable(
            f"the weights of {model!r} can't be loaded as {network}: name a folder that holds them, or a hub id ({error})"
        ) from error


def _mask(inside: Tensor, what: str) -> Image.Image:
    """Convert `(H, W)` bool to a mask. Raises `MaskInvalid` if nothing is inside; `what` names the object in the message."""
    if not inside.any():
        raise MaskInvalid(f"no {what} was found in the photo: give a mask", field="mask", reason="mask_not_found")
    return Image.fromarray(inside.cpu().numpy().astype(np.uint8) * 255)


class TextSegmenter:
    """CLIPSeg, which finds the object that a text describes."""

    def __init__(self, model: str = "CIDAS/clipseg-rd64-refined", *, device: str = "cpu") -> None:
        self.processor, self.network = load_pretrained(model, "CLIPSegProcessor", "CLIPSegForImageSegmentation", device)

    @torch.no_grad()
    def mask(self, photo: Image.Image, text: str, *, threshold: float = 0.4) -> Image.Image:
        """Return where the probability of `text` is above `threshold`.

        Raises `OptionInvalid` for an empty text or a threshold outside 0..1, `MaskInvalid` if nothing is found.
        """
        if not 0 <= threshold <= 1:
            raise OptionInvalid(f"the threshold must be a probability between 0 and 1, not {threshold!r}", field="threshold")
        logits = self._logits(photo, text)
        probable = F.interpolate(logits, size=photo.size[::-1], mode="bilinear", align_corners=False)[0, 0].sigmoid()
        return _mask(probable > threshold, text)

    @torch.no_grad()
    def probability(self, photo: Image.Image, text: str) -> NDArray[np.float32]:
        """Return the probability of `text`: `(h, w)` in 0..1 at the model's size. Raises `OptionInvalid` for an empty text."""
        plane: NDArray[np.float32] = self._logits(photo, text)[0, 0].sigmoid().cpu().numpy()
        return plane

    def _logits(self, photo: Image.Image, text: str) -> Tensor:
        """Return the logits `(1, 1, h, w)`."""
        if not text.strip():
            raise OptionInvalid("the text is empty: describe what to find, such as hair", field="text")
        inputs = self.processor(text=[text], images=[photo], truncation=True, return_tensors="pt").to(self.network.device)
        logits: Tensor = self.network(**inputs).logits
        return logits.view(1, 1, *logits.shape[-2:])  # some versions drop the batch axis


class BoxSegmenter:
    """Segment Anything, which segments the object in a box or at a point."""

    def __init__(self, model: str = "facebook/sam-vit-base", *, device: str = "cpu") -> None:
        self.processor, self.network = load_pretrained(model, "SamProcessor", "SamModel", device)

    @torch.no_grad()
    def mask(self, photo: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
        """Return the best proposal for the object that fills `box` (left, top, right, bottom), in pixels.

        Raises `OptionInvalid` for a box outside the photo, `MaskInvalid` for an empty proposal.
        """
        left, top, right, bottom = box
        if not (0 <= left < right <= photo.width and 0 <= top < bottom <= photo.height):
            raise OptionInvalid(
                f"the box must be (left, top, right, bottom) within the photo's {photo.size}, not {box}", field="box"
            )
        return self.best(photo, box=box)[0]

    @torch.no_grad()
    def best(
        self,
        photo: Image.Image,
        *,
        box: tuple[int, int, int, int] | None = None,
        point: tuple[int, int] | None = None,
    ) -> tuple[Image.Image, float]:
        """Return the best proposal for the object that fills `box`, or lies at the pixel `point` (x, y), and its predicted IoU.

        Raises `MaskInvalid` for an empty proposal.
        """
        where: dict[str, Any] = {"input_boxes": [[[float(x) for x in box]]]} if box else {}
        if point:
            where["input_points"] = [[[[float(x) for x in point]]]]
        inputs = self.processor(photo, **where, return_tensors="pt").to(self.network.device)
        out = self.network(**inputs)
        sizes = (inputs["original_sizes"].cpu(), inputs["reshaped_input_sizes"].cpu())
        proposals = self.processor.image_processor.post_process_masks(out.pred_masks.cpu(), *sizes)[0][0]
        scores = out.iou_scores[0, 0]
        return _mask(proposals[int(scores.argmax())], "object in the box" if box else "object at the point"), float(scores.max())

"""Masks of real photos, by models of transformers: hooks for those who have the weights. `captions` are their source prompts.

Nothing of the method needs them, and none is shipped. Each takes a folder or hub id in transformers' layout, loads it when made,
and turns an RGB photo into the mask that an edit asks for (L, of the photo's size, white inside). Segmentation of people carries
the biases and the licences of its weights: look at them before use. The names of weights that stand here as defaults are those that
their papers or their users go by; no test downloads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.errors import MaskInvalid, ModelUnusable, OptionInvalid


def loaded(model: str, processor: str, network: str, device: str) -> tuple[Any, Any]:
    """Processor and network, by the names of their classes. Raises `ModelUnusable` if transformers or the weights are missing."""
    try:
        import transformers
    except ImportError as error:
        raise ModelUnusable("masks and captions by a model need transformers: install s2edit[auto]") from error
    try:
        chosen = getattr(transformers, processor).from_pretrained(model)
        return chosen, getattr(transformers, network).from_pretrained(model).to(device).eval()
    except (OSError, ValueError) as error:
        raise ModelUnusable(
            f"the weights of {model!r} can't be loaded as {network}: give a folder that has them or a hub id ({error})"
        ) from error


def _mask(inside: Tensor, what: str) -> Image.Image:
    """`(H, W)` bool to a mask. Raises `MaskInvalid` if nothing is inside."""
    if not inside.any():
        raise MaskInvalid(f"no {what} was found in the photo: give a mask", field="mask", reason="mask_not_found")
    return Image.fromarray(inside.cpu().numpy().astype(np.uint8) * 255)


class FaceParser:
    """SegFormer: every pixel gets one of the model's labels."""

    def __init__(self, model: str = "jonathandinu/face-parsing", *, device: str = "cpu") -> None:
        self.processor, self.network = loaded(model, "SegformerImageProcessorPil", "SegformerForSemanticSegmentation", device)

    @property
    def parts(self) -> tuple[str, ...]:
        return tuple(self.network.config.id2label.values())

    @torch.no_grad()
    def mask(self, photo: Image.Image, parts: Sequence[str] = ()) -> Image.Image:
        """Where any of `parts` is; without names, whatever is not background. Raises `OptionInvalid` for an unknown part."""
        known = self.parts
        for part in parts:
            if part not in known:
                raise OptionInvalid(f"the model knows no part {part!r}; known are {', '.join(known)}", field="parts")
        wanted = [i for i, name in enumerate(known) if (name in parts if parts else name != "background")]
        pixels = self.processor(images=photo, return_tensors="pt").pixel_values.to(self.network.device)
        logits = self.network(pixel_values=pixels).logits
        labels = F.interpolate(logits, size=photo.size[::-1], mode="bilinear", align_corners=False)[0].argmax(dim=0)
        return _mask(torch.isin(labels, torch.tensor(wanted, device=labels.device)), " or ".join(parts) or "person")


class TextSegmenter:
    """CLIPSeg: where what a text says is."""

    def __init__(self, model: str = "CIDAS/clipseg-rd64-refined", *, device: str = "cpu") -> None:
        self.processor, self.network = loaded(model, "CLIPSegProcessor", "CLIPSegForImageSegmentation", device)

    @torch.no_grad()
    def mask(self, photo: Image.Image, text: str, *, threshold: float = 0.4) -> Image.Image:
        """Where the probability of `text` is above `threshold`, 0..1. Raises `OptionInvalid` for no text or another threshold."""
        if not 0 <= threshold <= 1:
            raise OptionInvalid(f"the threshold is a probability, between 0 and 1, not {threshold!r}", field="threshold")
        logits = self._logits(photo, text)
        probable = F.interpolate(logits, size=photo.size[::-1], mode="bilinear", align_corners=False)[0, 0].sigmoid()
        return _mask(probable > threshold, text)

    @torch.no_grad()
    def probability(self, photo: Image.Image, text: str) -> NDArray[np.float32]:
        """How probable `text` is: `(h, w)` in 0..1 at the model's size. Raises `OptionInvalid` for no text."""
        plane: NDArray[np.float32] = self._logits(photo, text)[0, 0].sigmoid().cpu().numpy()
        return plane

    def _logits(self, photo: Image.Image, text: str) -> Tensor:
        """`(1, 1, h, w)`."""
        if not text.strip():
            raise OptionInvalid("say what to look for, such as hair", field="text")
        inputs = self.processor(text=[text], images=[photo], truncation=True, return_tensors="pt").to(self.network.device)
        logits: Tensor = self.network(**inputs).logits
        return logits.view(1, 1, *logits.shape[-2:])  # without the batch of one, which some versions drop


class BoxSegmenter:
    """Segment Anything: the object that fills a box."""

    def __init__(self, model: str = "facebook/sam-vit-base", *, device: str = "cpu") -> None:
        self.processor, self.network = loaded(model, "SamProcessor", "SamModel", device)

    @torch.no_grad()
    def mask(self, photo: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
        """What fills `box` (left, top, right, bottom), by the best of the model's proposals. Raises `OptionInvalid` for no box."""
        left, top, right, bottom = box
        if not (0 <= left < right <= photo.width and 0 <= top < bottom <= photo.height):
            raise OptionInvalid(f"the box {box} is not (left, top, right, bottom) within the photo's {photo.size}", field="box")
        return self.best(photo, box=box)[0]

    @torch.no_grad()
    def best(
        self,
        photo: Image.Image,
        *,
        box: tuple[int, int, int, int] | None = None,
        point: tuple[int, int] | None = None,
    ) -> tuple[Image.Image, float]:
        """The best proposal for what fills `box`, or lies at the pixel `point` (x, y), and the overlap that the model expects."""
        where: dict[str, Any] = {"input_boxes": [[[float(x) for x in box]]]} if box else {}
        if point:
            where["input_points"] = [[[[float(x) for x in point]]]]
        inputs = self.processor(photo, **where, return_tensors="pt").to(self.network.device)
        out = self.network(**inputs)
        sizes = (inputs["original_sizes"].cpu(), inputs["reshaped_input_sizes"].cpu())
        proposals = self.processor.image_processor.post_process_masks(out.pred_masks.cpu(), *sizes)[0][0]
        scores = out.iou_scores[0, 0]
        return _mask(proposals[int(scores.argmax())], "object in the box" if box else "object at the point"), float(scores.max())

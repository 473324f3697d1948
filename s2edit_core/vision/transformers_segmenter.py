"""Any segmentation model of transformers as a `Segmenter`, by folder or hub id.

The model's `config.json` determines its kind:

    clipseg                                             the object that the prompt describes
    sam                                                 the object at the point, or the one that fills the photo
    *ForSemanticSegmentation                            the person's labels, or all but the background (face parsers)
    maskformer, mask2former, eomt                       the same, for models that label masks
    auto_map with AutoModelForImageSegmentation         BiRefNet and similar models. Their code is in the folder and is executed,
                                                        so they must be a local folder, never a hub id
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from s2edit_core.errors import MaskInvalid, ModelUnusable
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.vision.clipseg_and_sam import BoxSegmenter, TextSegmenter, load_pretrained
from s2edit_core.vision.people import ProbabilityMap, choose_person, find_person
from s2edit_core.vision.segmenters import FoundMask, check_photo

PERSON_LABELS = frozenset(("person", "people", "human", "man", "woman", "child", "rider", "foreground"))
BACKGROUND_LABELS = frozenset(("background", "bg", "other", "others"))
SEMANTIC = "ForSemanticSegmentation"
UNIVERSAL = ("maskformer", "mask2former", "eomt")
REMOTE = "AutoModelForImageSegmentation"
INSET = 0.02
"""Margin, as a share of each side, of the box that SAM gets without a point. The photo's main object fills that box."""
SALIENT_SIDE, MEAN, DEVIATION = 1024, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Input side and normalisation (ImageNet's) of BiRefNet."""


def open_transformers(model: str, device: str = "cpu") -> AutoSegmenter:
    """Return the segmenter in a folder or under a hub id. Raises `ModelUnusable` if it can't be loaded or is of another kind."""
    try:
        from transformers import PreTrainedConfig

        config: dict[str, Any] = PreTrainedConfig.get_config_dict(model)[0]
    except ImportError as error:
        raise ModelUnusable("segmentation models need transformers: install s2edit[auto]") from error
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"the segmenter {model!r} can't be loaded: name a folder or a hub id ({error})") from error
    if not config:
        raise ModelUnusable(f"the segmenter {model!r} can't be loaded: there is no such folder, or it holds no config.json")
    return AutoSegmenter(model, _chosen(model, config, device))


Find = Callable[[Image.Image, str, tuple[int, int] | None], tuple[Image.Image, float, int]]
"""Maps photo, prompt and point to mask, confidence and number of people."""


class AutoSegmenter:
    """A model of transformers as a `Segmenter`."""

    def __init__(self, model: str, find: Find) -> None:
        self.name = f"transformers:{Path(model).name if Path(model).is_dir() else model}"  # reports must not show local paths
        self._find = find

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        """See `Segmenter.find`."""
        check_photo(photo)
        return FoundMask(*self._find(photo, re.sub(re.escape(PLACEHOLDER) + r"\s*", "", prompt), at), self.name)


def _chosen(model: str, config: Mapping[str, Any], device: str) -> Find:
    """Return the function that finds people with a model of this configuration."""
    kind, names = config.get("model_type", ""), config.get("architectures") or []
    if kind == "clipseg":
        return _from_text(TextSegmenter(model, device=device))
    if kind == "sam":
        return _from_point(BoxSegmenter(model, device=device))
    if REMOTE in config.get("auto_map", {}):
        return _from_map(_load_salient(model, device))
    if kind in UNIVERSAL:
        return _from_map(_load_labelled(model, "AutoModelForUniversalSegmentation", device))
    if any(name.endswith(SEMANTIC) for name in names):
        return _from_map(_load_labelled(model, f"AutoModel{SEMANTIC}", device))
    known = f"clipseg, sam, {', '.join(UNIVERSAL)}, *{SEMANTIC}, or a folder whose auto_map has {REMOTE}"
    raise ModelUnusable(f"{model!r} is a {kind or 'model'} of {names}, which is no supported segmenter: use one of {known}")


def _from_map(predict: Callable[[Image.Image], ProbabilityMap]) -> Find:
    """Find people in the probability map that `predict` returns."""
    return lambda photo, _prompt, at: find_person(predict, photo, at)


def _from_text(segmenter: TextSegmenter) -> Find:
    """Find people with a model that reads the prompt."""
    return lambda photo, prompt, at: find_person(
        lambda picture: segmenter.probability(picture, prompt.strip() or "a person"), photo, at
    )


def _from_point(segmenter: BoxSegmenter) -> Find:
    """Find the object at the point, or without a point the one that fills the photo."""

    def find(photo: Image.Image, _prompt: str, at: tuple[int, int] | None) -> tuple[Image.Image, float, int]:
        x, y = round(INSET * photo.width), round(INSET * photo.height)
        if at is None:
            mask, confidence = segmenter.best(photo, box=(x, y, photo.width - x, photo.height - y))
        else:
            mask, confidence = segmenter.best(photo, point=at)
        return _one_object(mask, confidence, at)

    return find


def _one_object(mask: Image.Image, confidence: float, at: tuple[int, int] | None) -> tuple[Image.Image, float, int]:
    """Return the object that SAM has chosen, as one connected region.

    It counts as one person, because no others were searched for.
    """
    chosen, _, _ = choose_person(np.asarray(mask).astype(np.float32) / np.float32(255), mask.size, at)
    return chosen, min(1.0, max(0.0, confidence)), 1


def _load_labelled(model: str, network_class: str, device: str) -> Callable[[Image.Image], ProbabilityMap]:
    """Load a model that labels pixels or masks, and return its prediction of a person's probability."""
    processor, network = load_pretrained(model, "AutoImageProcessor", network_class, device)
    labels = {i: name.lower() for i, name in network.config.id2label.items()}
    people = [i for i, name in labels.items() if PERSON_LABELS & set(re.split(r"[^a-z]+", name))]
    empty = [i for i, name in labels.items() if name.strip() in BACKGROUND_LABELS]
    if not people and not empty:
        raise ModelUnusable(f"{model!r} has no label for a person or the background: {', '.join(list(labels.values())[:20])}…")

    @torch.no_grad()
    def predict(picture: Image.Image) -> ProbabilityMap:
        inputs = processor(images=picture, return_tensors="pt").to(network.device)
        out = network(**inputs)
        if hasattr(out, "masks_queries_logits"):
            each = out.class_queries_logits[0].softmax(-1)[:, :-1]  # the last class is "no object"
            classes = torch.einsum("qc,qhw->chw", each, out.masks_queries_logits[0].sigmoid()).clamp(0, 1)
        else:
            classes = out.logits[0].softmax(0)
        plane = classes[people].sum(dim=0) if people else 1 - classes[empty].sum(dim=0)
        return _to_map(plane.clamp(0, 1))

    return predict


def _load_salient(model: str, device: str) -> Callable[[Image.Image], ProbabilityMap]:
    """Load BiRefNet or a similar model, which returns one logit per pixel as its last output."""
    if not Path(model).is_dir():
        raise ModelUnusable(f"{model!r} contains code: download it into a folder, review the code, and name the folder")
    import transformers

    try:
        network = getattr(transformers, REMOTE).from_pretrained(model, trust_remote_code=True).to(device).eval()
    except (OSError, ValueError, ImportError) as error:
        raise ModelUnusable(f"the weights of {model!r} can't be loaded as {REMOTE}: {error}") from error
    mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, DEVIATION))

    @torch.no_grad()
    def predict(picture: Image.Image) -> ProbabilityMap:
        small = picture.resize((SALIENT_SIDE, SALIENT_SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
        x = (torch.tensor(np.asarray(small), dtype=torch.float32).permute(2, 0, 1) / 255 - mean) / deviation
        out = network(x[None].to(device))
        logits = out if isinstance(out, Tensor) else out.logits if hasattr(out, "logits") else out[-1]
        return _to_map(logits.float().squeeze().sigmoid())

    return predict


def _to_map(probability: Tensor) -> ProbabilityMap:
    plane: ProbabilityMap = probability.float().cpu().numpy()
    if plane.ndim != 2:
        raise MaskInvalid(
            f"the segmenter returned the shape {plane.shape} instead of (h, w)", field="mask", reason="mask_not_found"
        )
    return plane

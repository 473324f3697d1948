"""Any segmentation model of transformers behind the port of `segmenters.py`, by folder or hub id.

What kind it is says its `config.json`:

    clipseg                                             where what the prompt says is
    sam                                                 the object at the point, or the one that fills the photo
    *ForSemanticSegmentation                            labels: the person's, or all but the background (face parsers)
    maskformer, mask2former, eomt: universal            the same, of masks with labels
    auto_map with AutoModelForImageSegmentation         BiRefNet and its kind: their code lies beside the weights and is run, so
                                                        only a folder on this machine will do, never a hub id
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
from s2edit_core.vision.auto import BoxSegmenter, TextSegmenter, loaded
from s2edit_core.vision.people import Plane, choose_person, find_person
from s2edit_core.vision.segmenters import FoundMask, check_photo

PERSON_LABELS = frozenset(("person", "people", "human", "man", "woman", "child", "rider", "foreground"))
BACKGROUND_LABELS = frozenset(("background", "bg", "other", "others"))
SEMANTIC = "ForSemanticSegmentation"
UNIVERSAL = ("maskformer", "mask2former", "eomt")
REMOTE = "AutoModelForImageSegmentation"
INSET = 0.02
"""Margin of the box that SAM gets where nobody has pointed, as a share of each side: what fills it is the photo's main object."""
SALIENT_SIDE, MEAN, DEVIATION = 1024, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""What BiRefNet takes: ImageNet's normalisation, at this size."""


def open_transformers(model: str, device: str = "cpu") -> AutoSegmenter:
    """The segmenter in a folder or under a hub id. Raises `ModelUnusable` for what can't be loaded or is of another kind."""
    try:
        from transformers import PreTrainedConfig

        config: dict[str, Any] = PreTrainedConfig.get_config_dict(model)[0]
    except ImportError as error:
        raise ModelUnusable("a segmenter of transformers needs transformers: install s2edit[auto]") from error
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"the segmenter {model!r} can't be loaded: give a folder or a hub id ({error})") from error
    if not config:
        raise ModelUnusable(f"the segmenter {model!r} can't be loaded: there is no config.json in it, or no such folder")
    return AutoSegmenter(model, _chosen(model, config, device))


Find = Callable[[Image.Image, str, tuple[int, int] | None], tuple[Image.Image, float, int]]
"""From photo, prompt and point to mask, confidence and number of people."""


class AutoSegmenter:
    """One model of transformers behind the port."""

    def __init__(self, model: str, find: Find) -> None:
        self.name = f"transformers:{Path(model).name if Path(model).is_dir() else model}"  # a report shows no path
        self._find = find

    def find(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None = None) -> FoundMask:
        check_photo(photo)
        return FoundMask(*self._find(photo, re.sub(re.escape(PLACEHOLDER) + r"\s*", "", prompt), at), self.name)


def _chosen(model: str, config: Mapping[str, Any], device: str) -> Find:
    """How a model of this configuration finds people."""
    kind, names = config.get("model_type", ""), config.get("architectures") or []
    if kind == "clipseg":
        return _by_text(TextSegmenter(model, device=device))
    if kind == "sam":
        return _by_point(BoxSegmenter(model, device=device))
    if REMOTE in config.get("auto_map", {}):
        return _by_look(_salient(model, device))
    if kind in UNIVERSAL:
        return _by_look(_labelled(model, "AutoModelForUniversalSegmentation", device))
    if any(name.endswith(SEMANTIC) for name in names):
        return _by_look(_labelled(model, f"AutoModel{SEMANTIC}", device))
    known = f"clipseg, sam, {', '.join(UNIVERSAL)}, *{SEMANTIC}, or a folder whose auto_map has {REMOTE}"
    raise ModelUnusable(f"{model!r} is a {kind or 'model'} of {names}, which finds nobody: give one of {known}")


def _by_look(look: Callable[[Image.Image], Plane]) -> Find:
    return lambda photo, _prompt, at: find_person(look, photo, at)


def _by_text(segmenter: TextSegmenter) -> Find:
    return lambda photo, prompt, at: find_person(
        lambda picture: segmenter.probability(picture, prompt.strip() or "a person"), photo, at
    )


def _by_point(segmenter: BoxSegmenter) -> Find:
    def find(photo: Image.Image, _prompt: str, at: tuple[int, int] | None) -> tuple[Image.Image, float, int]:
        x, y = round(INSET * photo.width), round(INSET * photo.height)
        if at is None:
            mask, sure = segmenter.best(photo, box=(x, y, photo.width - x, photo.height - y))
        else:
            mask, sure = segmenter.best(photo, point=at)
        return _one_object(mask, sure, at)

    return find


def _one_object(mask: Image.Image, sure: float, at: tuple[int, int] | None) -> tuple[Image.Image, float, int]:
    """The object that SAM has chosen, in one piece. It counts as one person: others were not looked for."""
    chosen, _, _ = choose_person(np.asarray(mask).astype(np.float32) / np.float32(255), mask.size, at)
    return chosen, min(1.0, max(0.0, sure)), 1


def _labelled(model: str, network_class: str, device: str) -> Callable[[Image.Image], Plane]:
    """Models that give labels to pixels, or to masks."""
    processor, network = loaded(model, "AutoImageProcessor", network_class, device)
    labels = {i: name.lower() for i, name in network.config.id2label.items()}
    people = [i for i, name in labels.items() if PERSON_LABELS & set(re.split(r"[^a-z]+", name))]
    empty = [i for i, name in labels.items() if name.strip() in BACKGROUND_LABELS]
    if not people and not empty:
        raise ModelUnusable(f"the labels of {model!r} name no person and no background: {', '.join(list(labels.values())[:20])}…")

    @torch.no_grad()
    def look(picture: Image.Image) -> Plane:
        inputs = processor(images=picture, return_tensors="pt").to(network.device)
        out = network(**inputs)
        if hasattr(out, "masks_queries_logits"):
            each = out.class_queries_logits[0].softmax(-1)[:, :-1]  # the last class is "no object"
            classes = torch.einsum("qc,qhw->chw", each, out.masks_queries_logits[0].sigmoid()).clamp(0, 1)
        else:
            classes = out.logits[0].softmax(0)
        plane = classes[people].sum(dim=0) if people else 1 - classes[empty].sum(dim=0)
        return _plane(plane.clamp(0, 1))

    return look


def _salient(model: str, device: str) -> Callable[[Image.Image], Plane]:
    """BiRefNet and its kind: one logit per pixel, the last of what they answer."""
    if not Path(model).is_dir():
        raise ModelUnusable(f"{model!r} brings code of its own: fetch it into a folder, look at the code, and name the folder")
    import transformers

    try:
        network = getattr(transformers, REMOTE).from_pretrained(model, trust_remote_code=True).to(device).eval()
    except (OSError, ValueError, ImportError) as error:
        raise ModelUnusable(f"the weights of {model!r} can't be loaded as {REMOTE}: {error}") from error
    mean, deviation = (torch.tensor(each).view(3, 1, 1) for each in (MEAN, DEVIATION))

    @torch.no_grad()
    def look(picture: Image.Image) -> Plane:
        small = picture.resize((SALIENT_SIDE, SALIENT_SIDE), Image.Resampling.BILINEAR, reducing_gap=3.0)
        x = (torch.tensor(np.asarray(small), dtype=torch.float32).permute(2, 0, 1) / 255 - mean) / deviation
        out = network(x[None].to(device))
        logits = out if isinstance(out, Tensor) else out.logits if hasattr(out, "logits") else out[-1]
        return _plane(logits.float().squeeze().sigmoid())

    return look


def _plane(probability: Tensor) -> Plane:
    plane: Plane = probability.float().cpu().numpy()
    if plane.ndim != 2:
        raise MaskInvalid(f"the segmenter answers {plane.shape}, no plane", field="mask", reason="mask_not_found")
    return plane

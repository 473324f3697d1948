"""What a segmenter may be called, and what a name needs on this machine. No torch: `segmenters.py` opens them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from s2edit_core.errors import ModelUnusable

CARD_CHOICES = ("model", "card", "mediapipe")
"""What a model's card may name."""
FETCH = "python -m s2edit_core fetch-segmenter"


def mediapipe_file() -> Path:
    """Where MediaPipe's file lies once it is fetched: beside the packages of this Python."""
    return Path(sys.prefix) / "share" / "s2edit" / "selfie_segmentation.tflite"


def has_litert() -> bool:
    return find_spec("ai_edge_litert") is not None


def check_litert(path: Path) -> None:
    """Raises `ModelUnusable` where the file, or the package that runs it, is missing."""
    if not path.is_file():
        raise ModelUnusable(f"the segmenter {path} is not there: name a *.tflite file, or fetch MediaPipe's by `{FETCH}`")
    if not has_litert():
        raise without_litert(path)


def without_litert(path: Path) -> ModelUnusable:
    return ModelUnusable(f"{path.name} is run by LiteRT, which is not installed: install s2edit[segmenter]")


def checked_card_choice(named: str) -> str:
    """What the card names; empty for nothing. A card comes with weights from anywhere, so it can't name files, or models that
    bring code."""
    if named not in ("", *CARD_CHOICES):
        raise ModelUnusable(f"the model's card names the segmenter {named!r}: it may say {', '.join(CARD_CHOICES)}")
    return named


def unknown(name: str) -> ModelUnusable:
    return ModelUnusable(
        f"there is no segmenter {name!r}: say model, card, mediapipe, the path of a *.tflite file, or transformers:FOLDER"
    )

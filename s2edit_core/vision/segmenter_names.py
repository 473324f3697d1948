"""The names of segmenters, and what each name needs on this machine. Loads no torch; `segmenters` opens them."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

from s2edit_core.errors import ModelUnusable

CARD_CHOICES = ("model", "card", "mediapipe")
"""The segmenters that a model's card may name."""
FETCH = "python -m s2edit_core fetch-segmenter"
"""The command that downloads MediaPipe's segmenter."""


def mediapipe_file() -> Path:
    """Return the path of MediaPipe's file once it is downloaded, in this Python environment."""
    return Path(sys.prefix) / "share" / "s2edit" / "selfie_segmentation.tflite"


def has_litert() -> bool:
    """Return whether LiteRT is installed."""
    return find_spec("ai_edge_litert") is not None


def check_litert(path: Path) -> None:
    """Raise `ModelUnusable` if the file, or the package that runs it, is missing."""
    if not path.is_file():
        raise ModelUnusable(f"there is no segmenter {path}: name a *.tflite file, or download MediaPipe's with `{FETCH}`")
    if not has_litert():
        raise without_litert(path)


def without_litert(path: Path) -> ModelUnusable:
    """Return the error of a missing LiteRT package."""
    return ModelUnusable(f"{path.name} needs LiteRT, which is not installed: install s2edit[segmenter]")


def checked_card_choice(named: str) -> str:
    """Return the segmenter that a card names, empty for none. Raises `ModelUnusable` for another name.

    A card comes with weights from anywhere, so it must not name files, or models that contain code.
    """
    if named not in ("", *CARD_CHOICES):
        raise ModelUnusable(f"the model's card names the segmenter {named!r}: it may name {', '.join(CARD_CHOICES)}")
    return named


def unknown_segmenter(name: str) -> ModelUnusable:
    """Return the error of an unknown name."""
    return ModelUnusable(
        f"there is no segmenter {name!r}: use model, card, mediapipe, the path of a *.tflite file, or transformers:FOLDER"
    )

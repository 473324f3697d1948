"""Checks of the auxiliary models, without loading them: segmenter, captioner and safety model. No torch.

`s2edit doctor`, `s2edit up` and the worker use the same checks, so their messages agree. A failure that only shows on loading is
reported by the worker and then shown by `/readyz` and `s2edit doctor`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.base_model.model_files import HUB_ID, local_path
from s2edit_core.errors import ModelUnusable, S2EditError
from s2edit_core.vision.segmenter_names import (
    CARD_CHOICES,
    check_litert,
    checked_card_choice,
    has_litert,
    mediapipe_file,
    unknown_segmenter,
)
from s2edit_jobs.records.vocabulary import ROOT
from s2edit_jobs.settings import Settings

Part = Literal["segmenter", "captioner", "safety"]
CHECKER = "safety_checker"
"""Name of the safety checker's folder in a diffusers pipeline."""


@contextmanager
def loading(part: Part, setting: str | None) -> Iterator[None]:
    """Convert any exception while loading `part` into `ModelUnusable`, with a message that names the setting, if one is set."""
    called = f"S2EDIT_{part.upper()} can't be used" if setting else f"the model's {part} can't be used"
    try:
        yield
    except S2EditError as error:
        raise ModelUnusable(f"{called}: {error}", part=part) from error
    except Exception as error:  # a library's message may contain paths and host names
        message = f"{called}: loading it failed with {type(error).__name__}: see the worker's log"
        raise ModelUnusable(message, part=part) from error


def check_auxiliary_models(settings: Settings) -> None:
    """Check every auxiliary model without loading it. Raise `ModelUnusable` for the first that cannot be used."""
    for part in CHECKS:
        describe_auxiliary_model(part, settings)


def describe_auxiliary_model(part: Part, settings: Settings) -> str:
    """Check one auxiliary model and return a phrase that describes it. Raise `ModelUnusable`."""
    with loading(part, getattr(settings, part)):
        return CHECKS[part](settings)


def _segmenter(settings: Settings) -> str:
    name, model = settings.segmenter, local_path(settings.model, ROOT)
    chosen = name or (checked_card_choice(ModelCard.read(model).segmenter) if model is not None else "")
    if not chosen:
        usual = "mediapipe" if mediapipe_file().is_file() and has_litert() else "the model itself"
        return usual if model is not None else f"{usual}, unless the model's card says otherwise"
    if chosen == "card" and model is not None:
        _files(model / "segmenter", "find people")
    elif chosen == "mediapipe" or chosen.endswith(".tflite"):
        check_litert(mediapipe_file() if chosen == "mediapipe" else Path(chosen))
    elif folder := chosen.partition("transformers:")[2]:
        return _folder_or_hub(folder, "find people")
    elif chosen not in CARD_CHOICES:
        raise unknown_segmenter(chosen)
    return chosen if name else f"{chosen}, as the model's card says"


def _captioner(settings: Settings) -> str:
    if settings.captioner is None:
        return "none: a photo without source_prompt is “a photo of a <subject>”"
    return _folder_or_hub(settings.captioner, "describe photos")


def _safety(settings: Settings) -> str:
    if settings.safety is None:
        return "none: pictures are not checked"
    folder = Path(settings.safety)
    if (folder / CHECKER).is_dir():
        _files(folder / CHECKER, "judge pictures")
        return f"the safety checker in {folder}"
    said = _folder_or_hub(settings.safety, "judge pictures")
    if folder.is_dir():
        _check_labels(json.loads((folder / "config.json").read_text()), settings.safety_labels)
    return said


def _check_labels(config: Mapping[str, object], wanted: str) -> None:
    """Raise `ModelUnusable` if a classifier with named labels lacks one of the unsafe labels in the settings."""
    labels = config.get("id2label")
    if not isinstance(labels, dict) or "StableDiffusionSafetyChecker" in str(config.get("architectures")):
        return
    known = [str(label).strip().lower() for label in labels.values()]
    if unknown := [label for each in wanted.split(",") if (label := each.strip().lower()) and label not in known]:
        raise ModelUnusable(f"the safety model has no label {unknown[0]!r}: choose among {', '.join(known)}")


def _folder_or_hub(model: str, purpose: str) -> str:
    if Path(model).is_dir():
        _files(Path(model), purpose)
        return model
    if HUB_ID.fullmatch(model) is None:
        raise ModelUnusable(f"{model!r} can't be used to {purpose}: there is no such folder")
    return f"{model}, which is not a local folder: the worker downloads it from the model hub"


def _files(folder: Path, purpose: str) -> None:
    """Raise `ModelUnusable` if the folder has no readable config.json or no weights."""
    try:
        if not isinstance(json.loads((folder / "config.json").read_text(encoding="utf-8")), dict):
            raise ValueError("config.json is not a JSON object")
        if not any(path.suffix in (".safetensors", ".bin") for path in folder.iterdir()):
            raise ValueError("it contains no weights")
    except FileNotFoundError:
        raise ModelUnusable(f"{str(folder)!r} can't be used to {purpose}: it contains no config.json") from None
    except (OSError, ValueError) as error:
        raise ModelUnusable(f"{str(folder)!r} can't be used to {purpose}: {error}") from error


CHECKS: Mapping[Part, Callable[[Settings], str]] = {"segmenter": _segmenter, "captioner": _captioner, "safety": _safety}

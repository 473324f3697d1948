"""The model card: domains with their words, and guidance scales that suit a base model. Loads no torch."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from s2edit_core.errors import ModelUnusable
from s2edit_core.request.domains import DEFAULT_DOMAINS, DEFAULT_SUBJECTS, Domain, Placement, domain_of, subjects_of, word_bank
from s2edit_core.request.presets import PRESETS, PresetName
from s2edit_core.request.spec import PHASES, PLACEHOLDER, Phase

CARD = "s2edit.json"
ENTRIES = ("domains", "guidance_scale", "guidance_by_preset", "phase_seconds", "segmenter", "prediction_type")
"""The last one is read where a single file is loaded (`single_file_layout`)."""
FLAT = ("subjects", "attribute_words")
"""The entries of a domain that cards of 0.1 have at the top level."""
DOMAIN_ENTRIES = (*FLAT, "scene", "placement", "closed_vocabulary")
_EXPECTED = (
    "it must be an object of domains (objects of subjects and attribute_words, which are lists of words, of scene and "
    "closed_vocabulary, true or false, and of placement, an object), guidance_scale (a number), guidance_by_preset and "
    "phase_seconds (objects of numbers) and segmenter (a name), each of which may be left out"
)


@dataclass(frozen=True, slots=True)
class ModelCard:
    """The entries of a model's `s2edit.json`. The defaults suit Stable Diffusion and photos of people.

    `guidance_scale` is the model's usual scale. A preset uses its entry in `guidance_by_preset` if there is one: a scale tuned on
    this model.
    """

    domains: tuple[Domain, ...] = DEFAULT_DOMAINS
    guidance_scale: float = 7.5
    guidance_by_preset: Mapping[PresetName, float] = field(default_factory=dict)
    phase_seconds: Mapping[Phase, float] = field(default_factory=dict)
    """The usual seconds of each phase of a first edit, which a page may show before anything was measured."""
    segmenter: str = ""
    """The segmenter that finds the subject where no mask is given: "model", "card" or "mediapipe" (see `segmenters`); optional."""
    folder: Path | None = field(default=None, compare=False)
    """The folder that holds the card, and its segmenter."""

    @property
    def subjects(self) -> tuple[str, ...]:
        """The subject words of all domains."""
        return subjects_of(self.domains)

    def word_bank(self, subject: str, placeholder: str = PLACEHOLDER) -> tuple[str, ...]:
        """Return the words that the concept `placeholder` of `subject` is held orthogonal to."""
        return word_bank(self.domains, subject, placeholder)

    def changes_scene(self, subject: str) -> bool:
        """Return whether edits of `subject` change the whole scene."""
        domain = domain_of(self.domains, subject)
        return domain is not None and domain.scene

    def placement(self, subject: str) -> Placement:
        """Return where the model's training pictures show `subject`. An unknown one counts as one of the first domain."""
        return (domain_of(self.domains, subject) or self.domains[0]).placement

    def guidance(self, preset: PresetName) -> float:
        """Return the guidance scale for `preset`."""
        return self.guidance_by_preset.get(preset, self.guidance_scale)

    @classmethod
    def read(cls, model: Path) -> ModelCard:
        """Read the card of the model in folder or file `model`; without a card, return the defaults.

        Raises `ModelUnusable` for a card that can't be read.
        """
        path = card_path(model)
        if not path.is_file():
            return cls()
        try:
            return cls(**_checked(json.loads(path.read_text(encoding="utf-8"))), folder=path.parent)
        except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
            raise ModelUnusable(
                f"the model {model.name!r} can't be used: its card {path.name} can't be read: {_EXPECTED} ({error!r})"
            ) from error


def card_path(model: Path) -> Path:
    """Return the path of the card of `model`: in its folder, or beside a single file as NAME.s2edit.json."""
    return model.with_suffix(f".{CARD}") if model.is_file() else model / CARD


def _checked(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the known entries of a card. Raises `TypeError` or `ValueError` for an entry that is not as it should be."""
    if not isinstance(values, dict):
        raise TypeError("not an object")
    _check_names(values, (*ENTRIES, *FLAT))
    found: dict[str, Any] = {}
    if (domains := _domains(values)) is not None:
        found["domains"] = domains
    if "guidance_scale" in values:
        found["guidance_scale"] = _scale(values["guidance_scale"])
    if "guidance_by_preset" in values:
        scales = {name: _scale(scale) for name, scale in values["guidance_by_preset"].items()}
        if unknown := scales.keys() - PRESETS.keys():
            raise ValueError(f"there is no preset {sorted(unknown)[0]!r}")
        found["guidance_by_preset"] = scales
    if "phase_seconds" in values:
        found["phase_seconds"] = _phase_seconds(values["phase_seconds"])
    if "segmenter" in values:
        found["segmenter"] = str(values["segmenter"])
    return found


def _phase_seconds(values: Mapping[str, Any]) -> dict[str, float]:
    if unknown := values.keys() - set(PHASES):
        raise ValueError(f"there is no phase {sorted(unknown)[0]!r}")
    return {phase: _number(seconds, at_least=0) for phase, seconds in values.items()}


def _domains(values: Mapping[str, Any]) -> tuple[Domain, ...] | None:
    """Return the domains of a card. A card of one domain may have its two lists at the top level, as cards of 0.1 have."""
    flat = {name: values[name] for name in FLAT if name in values}
    if "domains" not in values:
        default = {"subjects": list(DEFAULT_SUBJECTS), "attribute_words": list(DEFAULT_DOMAINS[0].attribute_words)}
        return (_domain(default | flat),) if flat else None
    if flat:
        raise ValueError(f"{sorted(flat)[0]} must be inside the domains, because there are domains")
    if not (isinstance(values["domains"], list) and values["domains"]):
        raise TypeError("expected a list of at least one domain")
    return tuple(map(_domain, values["domains"]))


def _domain(values: object) -> Domain:
    if not isinstance(values, dict):
        raise TypeError(f"expected a domain as an object, not {values!r}")
    _check_names(values, DOMAIN_ENTRIES)
    subjects = _words(values["subjects"])
    if not subjects:
        raise ValueError("there are no subjects")
    for name in ("scene", "closed_vocabulary"):
        if not isinstance(values.get(name, False), bool):
            raise TypeError(f"{name} must be true or false, not {values[name]!r}")
    return Domain(
        subjects,
        _words(values.get("attribute_words", [])),
        values.get("scene", False),
        _placement(values.get("placement", {})),
        values.get("closed_vocabulary", False),
    )


def _placement(values: object) -> Placement:
    """Return a domain's placement; what it leaves out has the defaults."""
    numbers = ("context", "widest", "headroom", "share", "fullest", "aside")
    if not isinstance(values, dict) or values.keys() - {*numbers, "square"}:
        raise TypeError(f"placement must be an object of {', '.join(numbers)} and square, not {values!r}")
    if not isinstance(values.get("square", False), bool):
        raise TypeError(f"square must be true or false, not {values['square']!r}")
    found = {name: _number(values[name], at_least=0) for name in numbers if values.get(name) is not None}
    return Placement(**found, square=values.get("square", False))


def _check_names(values: Mapping[str, object], known: Sequence[str]) -> None:
    """Raise `ValueError` for an entry that nothing reads, such as a misspelt one."""
    if unknown := sorted(set(values) - set(known)):
        raise ValueError(f"there is no entry {unknown[0]!r}; known are {', '.join(known)}")


def _words(value: object) -> tuple[str, ...]:
    if not (isinstance(value, list) and all(isinstance(word, str) and word for word in value)):
        raise TypeError(f"expected a list of words, not {value!r}")
    return tuple(value)


def _scale(value: object) -> float:
    return _number(value, at_least=1)


def _number(value: object, *, at_least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value >= at_least):
        raise TypeError(f"expected a number of {at_least:g} or more, not {value!r}")
    return float(value)

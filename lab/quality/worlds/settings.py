"""The settings that the bench compares: how [I] is learned, how strongly the photo holds the edit, and where [I] comes from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any, Literal, get_args

from s2edit_core.request.options import (
    NO_INJECTION,
    AttributeOptions,
    ColumnOptions,
    InjectionOptions,
    InversionOptions,
    LearningOptions,
)
from s2edit_core.request.presets import PRESETS, PresetName

Origin = Literal["none", "same", "other", "three"]
"""The photos that [I] is learned from: none, the edited one, another one of the subject, or three others."""
ORIGINS: tuple[Origin, ...] = get_args(Origin)
Fade = Literal["prompts", "subject"]
"""Where residuals fade and fresh noise enters: where both prompts' predictions differ, or in the whole subject."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How edits are done. Every field but `title` changes the pictures."""

    title: str
    preset: PresetName = "balanced"  # whose guidance the model's card gives
    steps: int = 50
    gain: float = 1.0  # multiplies that guidance
    learning: LearningOptions = field(default_factory=LearningOptions)
    attribute: AttributeOptions = field(default_factory=ColumnOptions)  # of a transfer
    inversion: InversionOptions = field(default_factory=lambda: PRESETS["balanced"].inversion)
    injection: InjectionOptions = NO_INJECTION
    residual: float = 1.0  # share of the residuals that is kept
    fade: Fade = "prompts"
    fresh: float = 0.0  # share of fresh start noise in the subject
    strength: float = 1.0
    identity_guidance: float = 0.0  # weight of ε([I]) − ε(no [I]) beside guidance


def _preset(name: PresetName) -> Setting:
    preset = PRESETS[name]
    return Setting(
        title=name,
        preset=name,
        steps=preset.steps,
        learning=preset.learning,
        attribute=preset.attribute,
        inversion=preset.inversion,
        injection=preset.injection,
    )


BASES: dict[str, Setting] = {name: _preset(name) for name in get_args(PresetName)}


@dataclass(frozen=True)
class Variant:
    """A change to a setting. One that only changes the learning makes no difference without [I]."""

    title: str
    learning: Mapping[str, Any] = field(default_factory=dict)
    injection: Mapping[str, Any] = field(default_factory=dict)
    fields: Mapping[str, Any] = field(default_factory=dict)

    def applied(self, setting: Setting) -> Setting:
        return replace(
            setting,
            title=f"{setting.title}, {self.title}",
            learning=replace(setting.learning, **self.learning),
            injection=replace(setting.injection, **self.injection),
            **self.fields,
        )


def _learned(title: str, **learning: Any) -> Variant:
    return Variant(title, learning=learning)


def _sampled(title: str, **fields: Any) -> Variant:
    return Variant(title, fields=fields)


VARIANTS: dict[str, Variant] = {
    "token": _learned("token only", mode="token"),
    # Full changes of K and V move further per step than low-rank ones, so the rate is lower, as in Custom Diffusion versus LoRA.
    "kv": _learned("full K and V", mode="kv", kv_rate=2e-4),
    "unmasked": _learned("[I] without mask", masked=False),
    "parallel": _learned("without orthogonality", orthogonality=0.0),
    "long": _learned("300 joint steps", joint_steps=300),
    "velocity": _learned("L_ldm of v", weighting="velocity"),
    "fast": _learned("4 × the rate of K and V", kv_rate=2e-3),
    "embedded": _sampled("[A] as a token and low-rank changes", attribute=LearningOptions()),
    "unblended": Variant("without blend", injection={"blend": "none"}),
    "faded": Variant("residual gone where the edit acts", injection={"fade_threshold": 0.3}),
    "half": _sampled("half the residual", residual=0.5),
    "free": _sampled("no residual in the subject", fade="subject"),
    "fresh": _sampled("half fresh noise in the subject", fade="subject", fresh=0.5),
    "new": _sampled("fresh noise in the subject", fade="subject", fresh=1.0),
    "late": _sampled("from 0.7 of the noise", strength=0.7),
    "guided": _sampled("[I] guided by 1", identity_guidance=1.0),
    "guided2": _sampled("[I] guided by 2", identity_guidance=2.0),
    "guided4": _sampled("[I] guided by 4", identity_guidance=4.0),
}


@cache
def setting_of(name: str) -> Setting:
    """Return the setting `name`: a preset with variants, such as "balanced+kv+free". Raises `ValueError` for an unknown part."""
    base, *variants = name.split("+")
    if base not in BASES:
        raise ValueError(f"unknown setting {base!r}; choose from {', '.join(BASES)}")
    setting = BASES[base]
    for variant in variants:
        if variant not in VARIANTS:
            raise ValueError(f"unknown variant {variant!r}; choose from {', '.join(VARIANTS)}")
        setting = VARIANTS[variant].applied(setting)
    return setting


@dataclass(frozen=True)
class Way:
    """A setting and the photos that [I] is learned from."""

    name: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.name}:{self.origin}"

    @property
    def setting(self) -> Setting:
        return setting_of(self.name)

    @property
    def without(self) -> Way:
        """The same way without [I]."""
        base, *variants = self.name.split("+")
        kept = [name for name in variants if VARIANTS[name].injection or set(VARIANTS[name].fields) - {"identity_guidance"}]
        return Way("+".join((base, *kept)), "none")


def parsed(texts: Sequence[str]) -> tuple[Way, ...]:
    """Return the ways that `texts` name, such as "balanced:other"; a setting alone stands for all origins but three photos.

    Raises `ValueError` for an unknown setting or origin.
    """
    found: list[Way] = []
    for text in texts:
        name, _, origin = text.partition(":")
        setting_of(name)
        if origin and origin not in ORIGINS:
            raise ValueError(f"unknown origin {origin!r} of [I]; choose from {', '.join(ORIGINS)}")
        found += [Way(name, each) for each in ORIGINS if each == origin or (not origin and each != "three")]
    return tuple(dict.fromkeys(found))

"""The settings that the bench compares: how [I] is learned, how strongly the photo holds the edit, and where [I] comes from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from s2edit_core.request.options import NO_INJECTION, InjectionOptions, InversionOptions, LearningOptions
from s2edit_core.request.spec import PRESETS, PresetName

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
    inversion: InversionOptions = field(default_factory=lambda: PRESETS["balanced"].inversion)
    injection: InjectionOptions = NO_INJECTION
    residual: float = 1.0  # share of the residuals that is kept
    fade: Fade = "prompts"
    fresh: float = 0.0  # share of fresh start noise in the subject
    strength: float = 1.0
    identity_guidance: float = 0.0  # weight of ε([I]) − ε(no [I]) beside guidance
    without: str = ""  # the setting whose edits without [I] are the ones to compare with; empty: this one


def _preset(name: PresetName, title: str) -> Setting:
    preset = PRESETS[name]
    return Setting(
        title=title,
        preset=name,
        steps=preset.steps,
        learning=preset.learning,
        inversion=preset.inversion,
        injection=preset.injection,
    )


BALANCED = _preset("balanced", "balanced")


def _learned(title: str, **learning: object) -> Setting:
    return replace(BALANCED, title=title, learning=replace(BALANCED.learning, **learning), without="balanced")  # type: ignore[arg-type]


def _faded(threshold: float, blend: float = 0.3) -> InjectionOptions:
    return replace(BALANCED.injection, fade_threshold=threshold, blend_threshold=blend)


SETTINGS: dict[str, Setting] = {
    "balanced": BALANCED,
    "paper": _preset("paper", "paper"),
    "instant": _preset("instant", "instant"),
    "token": _learned("balanced, token only", mode="token"),
    # Full changes of K and V move further per step than low-rank ones, so the rate is lower, as in Custom Diffusion versus LoRA.
    "kv": _learned("balanced, full K and V", mode="kv", kv_rate=2e-4),
    "unmasked": _learned("balanced, [I] without mask", masked=False),
    "parallel": _learned("balanced, without orthogonality", orthogonality=0.0),
    "long": _learned("balanced, 4 × the learning steps", token_steps=100, joint_steps=300),
    "faded": replace(BALANCED, title="residual gone where the edit acts", injection=_faded(0.3)),
    "faded-wide": replace(BALANCED, title="residual gone and no blend where prompts differ at all", injection=_faded(0.15, 0.15)),
    "unblended": replace(BALANCED, title="residual, without blend", injection=NO_INJECTION),
    "half": replace(BALANCED, title="half the residual", residual=0.5),
    "no-residual": replace(BALANCED, title="no residual, blended", residual=0.0),
    "subject-free": replace(BALANCED, title="no residual in the subject", fade="subject"),
    "fresh": replace(BALANCED, title="no residual and half fresh noise in the subject", fade="subject", fresh=0.5),
    "all-fresh": replace(BALANCED, title="no residual and fresh noise in the subject", fade="subject", fresh=1.0),
    "late": replace(BALANCED, title="start at 0.7 of the noise", strength=0.7),
    "guided": replace(BALANCED, title="no residual in the subject, [I] guided", fade="subject", identity_guidance=2.0),
    "guided-fresh": replace(
        BALANCED, title="no residual, half fresh noise, [I] guided", fade="subject", fresh=0.5, identity_guidance=2.0
    ),
}


@dataclass(frozen=True)
class Way:
    """A setting and the photos that [I] is learned from."""

    name: str
    origin: Origin

    def __str__(self) -> str:
        return f"{self.name}:{self.origin}"

    @property
    def setting(self) -> Setting:
        return SETTINGS[self.name]

    @property
    def without(self) -> Way:
        """The same way without [I]."""
        return Way(self.setting.without or self.name, "none")


def parsed(texts: Sequence[str]) -> tuple[Way, ...]:
    """Return the ways that `texts` name, such as "balanced:other"; a setting alone stands for all origins but three photos.

    Raises `ValueError` for an unknown setting or origin.
    """
    found: list[Way] = []
    for text in texts:
        name, _, origin = text.partition(":")
        if name not in SETTINGS:
            raise ValueError(f"unknown setting {name!r}; choose from {', '.join(SETTINGS)}")
        if origin and origin not in ORIGINS:
            raise ValueError(f"unknown origin {origin!r} of [I]; choose from {', '.join(ORIGINS)}")
        found += [Way(name, each) for each in ORIGINS if each == origin or (not origin and each != "three")]
    return tuple(dict.fromkeys(found))

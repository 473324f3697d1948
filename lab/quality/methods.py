"""The methods that the quality bench compares, each a value. To add one, add a line.

One that samples otherwise than by plain guidance brings an `Editing` of its own, with a dataclass's `repr`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.quality.composition import Composed
from lab.quality.method import Guided, Injected, Method, Reference
from lab.training.train import GAINS
from s2edit_core.request.options import InjectionOptions, InversionOptions
from s2edit_core.request.spec import PRESETS


def _s2edit(title: str, preset: str, **learning: Any) -> Method:
    chosen = PRESETS[preset]  # type: ignore[index]
    editing = Injected(chosen.injection) if chosen.injection.acts else Guided()
    learned = replace(chosen.learning, **learning)
    return Method(title, chosen.steps, learned, chosen.inversion, editing, guidance_gain=GAINS.get(preset, 1.0))


NULL_TEXT = PRESETS["paper"].inversion
P2P = Injected(InjectionOptions(cross_share=0.4, self_share=0.6, blend="words"), emphasis=2.0)
"""Refine, local blend and strengths as in the published PIE-Bench runs."""
BALANCED = PRESETS["balanced"]


def _composed(title: str, **how: Any) -> Composed:
    editing, gain = Injected(BALANCED.injection), GAINS["balanced"]
    return Composed(title, BALANCED.steps, BALANCED.learning, BALANCED.inversion, editing, guidance_gain=gain, **how)


METHODS: dict[str, Method | Reference] = {
    "unedited": Reference("source, encoded and decoded", shows_answer=False),
    "autoencoder": Reference("true answer, encoded and decoded", shows_answer=True),
    "ddim": Method("DDIM + target prompt"),
    "ddim-strong": Method("DDIM + target prompt", guidance_gain=GAINS["balanced"]),
    "null-text": Method("null-text, no [I]", inversion=NULL_TEXT),
    "null-text+p2p": Method("null-text + P2P", inversion=NULL_TEXT, editing=P2P),
    "direct+p2p": Method("direct + P2P", inversion=InversionOptions(tier="direct"), editing=P2P),
    "negative-prompt": Method("negative-prompt, no [I]", inversion=InversionOptions(tier="negative_prompt")),
    "residual": replace(_s2edit("residual, no [I]", "balanced"), learning=None, editing=Guided()),
    "residual+difference": replace(_s2edit("residual, no [I], blended", "balanced"), learning=None),
    "balanced-unblended": replace(_s2edit("S²Edit balanced without blend", "balanced"), editing=Guided()),
    "balanced-no-orthogonality": _s2edit("S²Edit balanced without orthogonality", "balanced", orthogonality=0.0),
    "balanced-unmasked": _s2edit("S²Edit balanced without mask", "balanced", masked=False),
    "balanced-token": _s2edit("S²Edit balanced, token only", "balanced", mode="token"),
    # A full change of K and V moves further per step than one of low rank: a lower rate, as in Custom Diffusion against LoRA.
    "balanced-kv": _s2edit("S²Edit balanced, full K/V", "balanced", mode="kv", kv_rate=2e-4),
    "paper": _s2edit("S²Edit paper", "paper"),
    "balanced": _s2edit("S²Edit balanced", "balanced"),
    "balanced+p2p": replace(_s2edit("S²Edit balanced + P2P", "balanced"), editing=P2P),
    "instant": _s2edit("S²Edit instant", "instant"),
    "composed-apart": _composed("S²Edit balanced, [A] learned apart"),
    "composed-together": _composed("S²Edit balanced, [A] learned with [I]", together=True),
}
"""In the order of the table."""


def chosen(names: str, among: Callable[[Method | Reference], bool] = lambda _: True) -> list[str]:
    """The methods of a comma-separated list, or `all` of those that `among` allows. Raises `ValueError` for an unknown one."""
    if names == "all":
        return [name for name, method in METHODS.items() if among(method)]
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in METHODS]:
        raise ValueError(f"unknown method {unknown[0]!r}; known are {', '.join(METHODS)}, or all")
    return wanted

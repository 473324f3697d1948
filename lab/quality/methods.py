"""The methods that the quality bench compares. To add one, add an entry to `METHODS`.

A method with another kind of sampling needs an `Editing` of its own: a dataclass, because its `repr` identifies stored results.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from lab.quality.phases import Guided, Injected, Method, Reference
from lab.quality.published.edit_friendly import EditFriendly
from lab.quality.published.h_edit import HEdit
from lab.quality.published.infedit import InfEdit
from lab.quality.published.ledits import Ledits
from lab.training.train import GAINS
from s2edit_core.request.options import InjectionOptions, InversionOptions, LearningOptions
from s2edit_core.request.presets import PRESETS


def _s2edit(title: str, preset: str, **learning: Any) -> Method:
    options = PRESETS[preset]  # type: ignore[index]
    editing = Injected(options.injection) if options.injection.acts else Guided()
    learned = replace(options.learning, **learning)
    return Method(title, options.steps, learned, options.inversion, editing, guidance_gain=GAINS.get(preset, 1.0))


NULL_TEXT = PRESETS["paper"].inversion
P2P = Injected(InjectionOptions(cross_share=0.4, self_share=0.6, blend="words"), emphasis=2.0)
"""Prompt-to-Prompt with refinement, local blend and strengths as in the published PIE-Bench runs."""
FEWER = {"patience": 5, "joint_steps": 25, "joint_token_rate": 4e-3, "kv_rate": 1e-3}


METHODS: dict[str, Method | Reference] = {
    "unedited": Reference("source, encoded and decoded", shows_answer=False),
    "autoencoder": Reference("true answer, encoded and decoded", shows_answer=True),
    "ddim": Method("DDIM + target prompt"),
    "ddim-strong": Method("DDIM + target prompt", guidance_gain=GAINS["balanced"]),
    "ddim+p2p": Method("DDIM + P2P", editing=P2P),
    "null-text": Method("null-text, no [I]", inversion=NULL_TEXT),
    "null-text+p2p": Method("null-text + P2P", inversion=NULL_TEXT, editing=P2P),
    "direct+p2p": Method("direct + P2P", inversion=InversionOptions(tier="direct"), editing=P2P),
    "negative-prompt": Method("negative-prompt, no [I]", inversion=InversionOptions(tier="negative_prompt")),
    "edit-friendly": EditFriendly("edit-friendly DDPM", skip=0.2, guidance_gain=1.5),
    "ledits++": Ledits("LEDITS++", quantile=0.7, in_context=True, guidance_gain=5 / 7.5),
    "infedit": InfEdit("InfEdit's virtual inversion", control=P2P),
    "h-edit+p2p": HEdit("h-Edit-D + P2P", guidance_gain=10 / 7.5),
    "residual": replace(_s2edit("residual, no [I]", "balanced"), learning=None, editing=Guided()),
    "residual+difference": replace(_s2edit("residual, no [I], blended", "balanced"), learning=None),
    "balanced-unblended": replace(_s2edit("S²Edit balanced without blend", "balanced"), editing=Guided()),
    "balanced-no-orthogonality": _s2edit("S²Edit balanced without orthogonality", "balanced", orthogonality=0.0),
    "balanced-unmasked": _s2edit("S²Edit balanced without mask", "balanced", masked=False),
    "balanced-token": _s2edit("S²Edit balanced, token only", "balanced", mode="token"),
    # Full changes of K and V move further per step than low-rank ones, so the rate is lower, as in Custom Diffusion versus LoRA.
    "balanced-kv": _s2edit("S²Edit balanced, full K/V", "balanced", mode="kv", kv_rate=2e-4),
    "instant-no-identity": replace(_s2edit("S²Edit instant without [I]", "instant"), learning=None),
    # Savings, to be compared by `lab.quality.savings`.
    "balanced-early-stop": _s2edit("S²Edit balanced, early stop", "balanced", patience=5),
    "balanced-fewer-steps": _s2edit("S²Edit balanced, early stop, half the joint steps at twice the rates", "balanced", **FEWER),
    "instant-longer": _s2edit("S²Edit instant, 4 noise levels a step", "instant", batch=4),  # until 26 November 2026
    "null-text+identity": Method("null-text + [I] of this project", learning=LearningOptions(), inversion=NULL_TEXT),
    "paper": _s2edit("S²Edit paper", "paper"),
    "balanced": _s2edit("S²Edit balanced", "balanced"),
    "balanced+p2p": replace(_s2edit("S²Edit balanced + P2P", "balanced"), editing=P2P),
    "instant": _s2edit("S²Edit instant", "instant"),
}
"""All methods, in the order of the tables."""
RIVALS = (
    *("ddim", "ddim+p2p", "null-text", "null-text+p2p", "direct+p2p"),
    *("edit-friendly", "ledits++", "infedit", "h-edit+p2p", "paper"),
)
"""The methods of others that `balanced` is compared with."""
COMPARED = ("balanced", "unedited", "autoencoder", *RIVALS, "residual+difference", "instant")
"""The methods that the bench runs by default, in this order: each one that is done can be compared with `balanced`."""


def select_methods(names: str, usable: Callable[[Method | Reference], bool] = lambda _: True) -> list[str]:
    """Return the names in a comma-separated list. For `all`, return every method that `usable` accepts.

    Raises `ValueError` for an unknown name.
    """
    if names == "all":
        return [name for name, method in METHODS.items() if usable(method)]
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in METHODS]:
        raise ValueError(f"unknown method {unknown[0]!r}; choose from {', '.join(METHODS)}, or all")
    return wanted

"""The presets `paper`, `balanced` and `instant`: sampling steps, guidance scale, and the options of the algorithms. Loads no torch.

Every choice that the paper's abstract and figures leave open is a named option: `LearningOptions`, `InversionOptions` and
`InjectionOptions`. To add a preset, follow "Add a preset" in CONTRIBUTING.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from s2edit_core.request.options import (
    NO_INJECTION,
    AttributeOptions,
    ColumnOptions,
    InjectionOptions,
    InversionOptions,
    LearningOptions,
    check_number,
)

PresetName = Literal["paper", "balanced", "instant"]
MIN_STEPS, MAX_STEPS = 2, 999  # 1000 "leading" steps with offset 1 would begin after the last timestep
MIN_GUIDANCE, MAX_GUIDANCE = 1.0, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How an edit is done. `steps` and `guidance_scale` apply to both inversion and editing."""

    name: PresetName
    steps: int
    guidance_scale: float | None = None  # None: the model card's recommendation for this preset
    learning: LearningOptions
    attribute: AttributeOptions = field(default_factory=ColumnOptions)  # how an attribute is learned by itself
    inversion: InversionOptions
    injection: InjectionOptions = NO_INJECTION

    def __post_init__(self) -> None:
        self.injection.check_tier(self.inversion.tier)
        check_number("steps", self.steps, MIN_STEPS, MAX_STEPS)
        if self.guidance_scale is not None:
            check_number("guidance_scale", self.guidance_scale, MIN_GUIDANCE, MAX_GUIDANCE)

    def guidance(self, recommended: float) -> float:
        """Return the guidance scale; `recommended` is the model card's for this preset."""
        return self.guidance_scale if self.guidance_scale is not None else recommended


_AS_PUBLISHED = LearningOptions(
    mode="kv", start_steps=0, token_steps=0, joint_steps=100, joint_token_rate=1e-2, kv_rate=2e-4, semantic_power=2
)
"""Learning as abstract and figure 2 of S²Edit have it: one phase that learns the token and fine-tunes keys and values, under
L_ldm and the mean of squares of L_semantic. They give no rates and no numbers of steps."""
_WHERE_PROMPTS_DIFFER = InjectionOptions(blend="difference", blend_start=0.0)

PRESETS: Mapping[PresetName, Preset] = {
    "paper": Preset(
        name="paper",
        steps=50,
        learning=_AS_PUBLISHED,
        attribute=_AS_PUBLISHED,
        inversion=InversionOptions(tier="null_text", warm_start=False),
    ),
    "balanced": Preset(
        name="balanced",
        steps=50,
        learning=LearningOptions(),  # its defaults: 50 + 50 steps of 4 rows, so 400 UNet evaluations with gradients
        inversion=InversionOptions(tier="residual"),
        injection=_WHERE_PROMPTS_DIFFER,
    ),
    "instant": Preset(
        name="instant",
        steps=20,
        # 50 evaluations with gradients. Four noise levels a step would cost 150 more and gain 0.06 dB (docs/evidence.md).
        learning=LearningOptions(token_steps=30, joint_steps=20, batch=1),
        attribute=ColumnOptions(person_steps=20, column_steps=40, batch=2),
        inversion=InversionOptions(tier="residual"),
        injection=_WHERE_PROMPTS_DIFFER,
    ),
}
"""`paper`: learning and null-text inversion as published, and nothing of this project. `balanced`: the exact residual, and the
photo's own latents where the prompts agree. `instant`: the same in fewer and smaller steps.

`balanced` and `instant` invert exactly, and what preserves the photo also resists the prompt. On the included model they need a
sixth and a third more guidance than `paper`, which its card provides (`guidance_by_preset`). Without a card, every preset uses 7.5,
the published scale of Stable Diffusion; nothing here was tuned on Stable Diffusion.
"""

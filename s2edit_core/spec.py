"""What is wanted: frozen values, checked once, with defaults that say where they come from. No torch.

An `EditRequest` is what a person asks. A `Preset` is how it is done: `LearningOptions`, `InversionOptions` and
`EditingOptions`. The paper's body is not public in full, so each choice that its abstract and figures leave open is a named option.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from s2edit_core.errors import OptionInvalid, PromptInvalid

LearningMode = Literal["token", "lora_kv", "kv"]
InversionTier = Literal["null_text", "negative_prompt", "residual"]
PresetName = Literal["paper", "balanced", "instant"]
Phase = Literal["preparing", "learning", "inverting", "editing", "finishing"]

PLACEHOLDER = "[I]"
"""How the identity token is written in prompts."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What every generator yields: `step` of `total` done in `phase`."""

    phase: Phase
    step: int
    total: int
    loss: float | None = None


def _check(name: str, value: float, low: float, high: float) -> None:
    """`value` is a number in low..high; a whole one where the limits are whole numbers (`int`)."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    whole = isinstance(low, int) and isinstance(high, int)
    if not (number and low <= value <= high and (isinstance(value, int) or not whole)):
        kind = "a whole number" if whole else "a number"
        raise OptionInvalid(f"{name} must be {kind} between {low:g} and {high:g}, not {value!r}", field=f"options.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningOptions:
    """Learning [I]: first the token alone, then the token and the cross-attention K/V delta."""

    mode: LearningMode = "lora_kv"
    rank: int = 4  # of the K/V delta in mode lora_kv
    token_steps: int = 50
    joint_steps: int = 50
    batch: int = 4  # noise draws per step, all from the one cached latent
    token_rate: float = 2e-2
    joint_token_rate: float = 2e-3
    kv_rate: float = 5e-4
    orthogonality: float = 0.1  # λ of L_ldm + λ·L_semantic
    bank_words: int = 8  # attribute words drawn from the domain's bank per step, besides those of the request
    masked: bool = True  # multiply the [I] column of every cross-attention map by the identity mask

    def __post_init__(self) -> None:
        if self.mode not in get_args(LearningMode):
            raise OptionInvalid(f"mode must be one of {', '.join(get_args(LearningMode))}", field="options.mode")
        _check("rank", self.rank, 1, 128)
        _check("token_steps", self.token_steps, 0, 5000)
        _check("joint_steps", self.joint_steps, 0, 5000)
        _check("batch", self.batch, 1, 64)
        for name in ("token_rate", "joint_token_rate", "kv_rate"):
            _check(name, getattr(self, name), 0.0, 1.0)
        _check("orthogonality", self.orthogonality, 0.0, 100.0)
        _check("bank_words", self.bank_words, 0, 1000)

    @property
    def steps(self) -> int:
        return self.token_steps + (0 if self.mode == "token" else self.joint_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionOptions:
    """From the photo to a start noise, and what makes guided sampling return to the photo (research: null-text, arXiv 2211.09794).

    `null_text` optimises one unconditional embedding per timestep; `negative_prompt` uses the source prompt in its
    place; `residual` adds `ε* − ε_u` to the unconditional prediction, which is exact and needs no optimisation.
    """

    tier: InversionTier = "null_text"
    inner_steps: int = 10  # cap of null-text iterations per timestep
    rate: float = 1e-2  # of Adam; falls as rate·(1 − i/100) over the timesteps i
    tolerance: float = 1e-5  # stop a timestep once its loss is below tolerance + i·2e-5
    warm_start: bool = True  # begin at the source prompt's embedding instead of the empty prompt's

    def __post_init__(self) -> None:
        if self.tier not in get_args(InversionTier):
            raise OptionInvalid(f"tier must be one of {', '.join(get_args(InversionTier))}", field="options.tier")
        _check("inner_steps", self.inner_steps, 1, 1000)
        _check("rate", self.rate, 1e-8, 1.0)
        _check("tolerance", self.tolerance, 0.0, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How an edit is done. `steps` and `guidance_scale` hold for inversion and editing alike."""

    name: PresetName
    steps: int
    guidance_scale: float | None = None  # None: what the model card recommends
    learning: LearningOptions
    inversion: InversionOptions

    def __post_init__(self) -> None:
        _check("steps", self.steps, 2, 999)  # 1000 "leading" steps with offset 1 would begin past the last timestep
        if self.guidance_scale is not None:
            _check("guidance_scale", self.guidance_scale, 1.0, 30.0)


PRESETS: Mapping[PresetName, Preset] = {
    "paper": Preset(
        name="paper",
        steps=50,
        learning=LearningOptions(),
        inversion=InversionOptions(tier="null_text", warm_start=False),
    ),
    "balanced": Preset(
        name="balanced",
        steps=50,
        learning=LearningOptions(),
        inversion=InversionOptions(tier="residual"),
    ),
    "instant": Preset(
        name="instant",
        steps=20,
        learning=LearningOptions(token_steps=30, joint_steps=20),
        inversion=InversionOptions(tier="residual"),
    ),
}
"""`paper`: null-text as published. `balanced`: the exact residual. `instant`: the same in fewer steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """One edit, as asked. Pictures are not here: they travel as bytes beside it.

    `subject` is the word of `source_prompt` that names the person; [I] is put before it. Both may be left out: then the
    model's own subject words are searched for in the prompts, and the source prompt is "a photo of a <subject>".
    """

    prompt: str
    source_prompt: str | None = None
    subject: str | None = None
    identity: str | None = None  # the id of a concept learned before, in place of learning one
    preset: PresetName = "balanced"
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("prompt", "source_prompt"):
            text = getattr(self, name)
            if text is not None and not (isinstance(text, str) and text.strip()):
                raise PromptInvalid(f"the {name} is empty: say what the picture should show", field=name, reason="prompt_empty")
        if self.subject is not None and len(self.subject.split()) != 1:
            raise PromptInvalid("the subject must be one word of the prompt", field="subject", reason="subject_invalid")
        if self.preset not in PRESETS:
            raise OptionInvalid(f"preset must be one of {', '.join(PRESETS)}, not {self.preset!r}", field="preset")
        if not (isinstance(self.seed, int) and 0 <= self.seed < 2**63):
            raise OptionInvalid("seed must lie between 0 and 2^63 − 1", field="seed")
        self.resolve()

    def resolve(self) -> Preset:
        """The preset with this request's own `steps` and `guidance_scale` in place."""
        preset = PRESETS[self.preset]
        return replace(
            preset,
            steps=self.steps if self.steps is not None else preset.steps,
            guidance_scale=self.guidance_scale if self.guidance_scale is not None else preset.guidance_scale,
        )

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EditRequest:
        """Refuses what it does not know, so that a misspelt option is an error and not a default."""
        known = {field.name for field in fields(cls)}
        if unknown := sorted(set(values) - known):
            raise OptionInvalid(
                f"unknown option {unknown[0]!r}; known are {', '.join(sorted(known))}",
                field=unknown[0],
                reason="option_unknown",
            )
        return cls(**values)

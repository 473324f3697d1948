"""Options of the algorithms: learning, inversion and attention injection. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from s2edit_core.errors import OptionInvalid

LearningMode = Literal["token", "lora_kv", "kv"]
Weighting = Literal["prediction", "velocity"]
"""The loss that L_ldm weights equally at all noise levels: of the model's own prediction, or of v (arXiv 2202.00512). Most models
predict ε, and nothing of that loss is left where the noise is strong and the layout, shapes and colours of a person are decided.
"""
InversionTier = Literal["null_text", "negative_prompt", "residual", "direct"]
InjectionMode = Literal["replace", "refine"]
Blend = Literal["none", "words", "edit_mask", "difference"]
"""Where the edit keeps its own latents: everywhere, where words attend, in the edit mask, or where both prompts' predictions
differ.
"""


def check_number(name: str, value: float, low: float, high: float) -> None:
    """Raise `OptionInvalid` unless `value` is a number in low..high; a whole number if both limits are `int`."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    whole = isinstance(low, int) and isinstance(high, int)
    if not (number and low <= value <= high and (isinstance(value, int) or not whole)):
        kind = "a whole number" if whole else "a number"
        limits = f"{low} and {high}" if whole else f"{low:g} and {high:g}"
        raise OptionInvalid(f"{name} must be {kind} between {limits}, not {value!r:.50}", field=f"options.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningOptions:
    """Learning [I]: first the token alone, then the token and the changes of cross-attention keys and values.

    Raises `OptionInvalid` for values out of range.
    """

    mode: LearningMode = "lora_kv"
    rank: int = 4  # of the key and value changes in mode lora_kv
    start_steps: int = 100  # of L-BFGS on L_semantic alone, before the photo is used
    token_steps: int = 50
    joint_steps: int = 50
    batch: int = 4  # noise levels per step
    token_rate: float = 1e-2
    joint_token_rate: float = 2e-3
    kv_rate: float = 5e-4
    orthogonality: float = 0.1  # λ of L_ldm + λ·L_semantic
    masked: bool = True  # multiply the [I] column of every cross-attention map by the identity mask
    patience: int = 0  # early stopping: end a phase once its held-out loss has not fallen for this many steps; 0: never
    weighting: Weighting = "prediction"
    semantic_power: int = 8  # p of L_semantic; 2: the mean of squares. A higher one weighs the nearest words more

    def __post_init__(self) -> None:
        if self.mode not in get_args(LearningMode):
            raise OptionInvalid(f"mode must be one of {', '.join(get_args(LearningMode))}", field="options.mode")
        if self.weighting not in get_args(Weighting):
            raise OptionInvalid(f"weighting must be one of {', '.join(get_args(Weighting))}", field="options.weighting")
        check_number("rank", self.rank, 1, 128)
        check_number("start_steps", self.start_steps, 0, 5000)
        check_number("token_steps", self.token_steps, 0, 5000)
        check_number("joint_steps", self.joint_steps, 0, 5000)
        check_number("batch", self.batch, 1, 64)
        for name in ("token_rate", "joint_token_rate", "kv_rate"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        check_number("orthogonality", self.orthogonality, 0.0, 100.0)
        check_number("patience", self.patience, 0, 5000)
        check_number("semantic_power", self.semantic_power, 2, 64)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, without `LATER` options at their defaults: ids and checkpoints of earlier releases lack them."""
        values = asdict(self)
        return {name: value for name, value in values.items() if LATER.get(name) != value}

    @property
    def steps(self) -> int:
        """The most steps of both phases."""
        return self.token_steps + (0 if self.mode == "token" else self.joint_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnOptions:
    """Learning an attribute [A] as changes of its own columns of keys and values (`method.learning.columns`).

    Raises `OptionInvalid` for values out of range.
    """

    person_steps: int = 20  # what else the reference shows, which is thrown away
    column_steps: int = 70
    batch: int = 4  # noise levels per step
    padding: int = 3  # columns of padding that [A] has beside the one of its word
    views: int = 8  # of the reference: itself, mirrored, then shifted and scaled
    person_rate: float = 0.05  # of Adam, in standard deviations of a layer's keys or values; decays to a tenth
    column_rate: float = 0.1
    guided: float = 0.4  # share of the guidance of `balanced` edits under which [A] is fitted; 0: none

    def __post_init__(self) -> None:
        check_number("person_steps", self.person_steps, 0, 5000)
        check_number("column_steps", self.column_steps, 0, 5000)
        check_number("batch", self.batch, 1, 64)
        check_number("padding", self.padding, 0, 64)
        check_number("views", self.views, 1, 64)
        for name in ("person_rate", "column_rate"):
            check_number(name, getattr(self, name), 0.0, 10.0)
        check_number("guided", self.guided, 0.0, 1.0)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values, with the `mode` that no `LearningOptions` have."""
        return {"mode": "columns", **asdict(self)}

    def scale(self, guidance_scale: float) -> float:
        """Return the guidance scale of learning for edits at `guidance_scale`."""
        return 1 + self.guided * (guidance_scale - 1)

    @property
    def steps(self) -> int:
        """The steps of both phases."""
        return self.person_steps + self.column_steps


AttributeOptions = LearningOptions | ColumnOptions
"""How an attribute is learned: as an identity is, or as changes of its own columns."""


LATER: Mapping[str, Any] = {"weighting": "prediction", "semantic_power": 8}
"""Options of learning that earlier releases do not know, with the values that those learned with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionOptions:
    """From the photo to a start noise, and the correction that lets guided sampling reconstruct the photo.

    `null_text` (arXiv 2211.09794) optimises one unconditional embedding per timestep. `negative_prompt` (arXiv 2305.16807) uses the
    source prompt in its place. `residual` adds the missing part of each step's prediction, which is exact and optimises nothing.
    `direct` (arXiv 2310.01506) corrects only the source branch, which reaches the edit through attention injection, and is refused
    without that. Raises `OptionInvalid` for values out of range.
    """

    tier: InversionTier = "null_text"
    inner_steps: int = 10  # most null-text iterations per timestep
    rate: float = 1e-2  # of Adam; decays as rate·(1 − i/100) over the timesteps i
    tolerance: float = 1e-5  # stop a timestep once its loss is below tolerance + i·2e-5
    warm_start: bool = True  # start from the source prompt's embedding instead of the empty prompt's

    def __post_init__(self) -> None:
        if self.tier not in get_args(InversionTier):
            raise OptionInvalid(f"tier must be one of {', '.join(get_args(InversionTier))}", field="options.tier")
        check_number("inner_steps", self.inner_steps, 1, 1000)
        check_number("rate", self.rate, 1e-8, 1.0)
        check_number("tolerance", self.tolerance, 0.0, 1000.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class InjectionOptions:
    """What an edit takes from the source's attention (Prompt-to-Prompt, arXiv 2208.01626). Off by default.

    Shares are of the sampling steps, starting with the noisiest. The published shares are 0.4 to 0.8 for cross-attention and 0.6
    for self-attention. Raises `OptionInvalid` for values that are out of range or exclude each other.
    """

    mode: InjectionMode = "refine"  # replace: word for word, for prompts with equally many words
    cross_share: float = 0.0  # steps in which cross-attention maps are the source's
    self_share: float = 0.0  # steps in which self-attention in small maps is the source's
    reweight: tuple[tuple[str, float], ...] = ()  # words of the prompt, and factors of their maps in the steps of cross_share
    blend: Blend = "none"  # outside its region, the edit takes the source's latents
    blend_words: tuple[str, ...] = ()  # words of either prompt; empty: the words in which the prompts differ
    blend_start: float = 0.2  # share of the steps before the blend begins
    blend_threshold: float = 0.3  # of the words' attention, or of the difference, relative to its maximum
    fade_threshold: float = 1.0  # of the difference, relative to its maximum: residuals are gone from here on

    def __post_init__(self) -> None:
        for name, value, known in (("mode", self.mode, get_args(InjectionMode)), ("blend", self.blend, get_args(Blend))):
            if value not in known:
                raise OptionInvalid(f"{name} must be one of {', '.join(known)}, not {value!r}", field=f"options.{name}")
        for name in ("cross_share", "self_share", "blend_start", "blend_threshold", "fade_threshold"):
            check_number(name, getattr(self, name), 0.0, 1.0)
        self._check_words()
        if self.reweight and self.cross_share == 0:
            raise OptionInvalid("reweight acts in the steps of cross_share: set that above 0", field="options.reweight")
        if self.blend_words and self.blend != "words":
            raise OptionInvalid("blend_words need the blend 'words': choose that, or leave them out", field="options.blend_words")

    def _check_words(self) -> None:
        words = self.blend_words
        if not (isinstance(words, tuple) and all(isinstance(word, str) and word for word in words)):
            raise OptionInvalid("blend_words must be a tuple of words", field="options.blend_words")
        pairs = self.reweight
        if not (isinstance(pairs, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)):
            raise OptionInvalid("reweight must be a tuple of (word, factor) pairs", field="options.reweight")
        for word, factor in pairs:
            check_number(f"reweight.{word}", factor, -10.0, 10.0)

    @property
    def reads(self) -> bool:
        """Whether the edit reads any of the source's attention."""
        return self.cross_share > 0 or self.self_share > 0

    @property
    def acts(self) -> bool:
        """Whether an edit differs from one without injection."""
        return self.reads or self.blend != "none"

    def check_tier(self, tier: InversionTier) -> None:
        """Raise `OptionInvalid` for an inversion tier that has no effect without attention injection, if there is none."""
        if tier == "direct" and not self.reads:
            raise OptionInvalid(
                "the tier direct corrects only the source branch, which reaches the edit through attention injection: "
                "set cross_share or self_share above 0, or take the tier residual",
                field="options.tier",
                reason="tier_needs_injection",
            )


NO_INJECTION = InjectionOptions()
"""The default: an edit that takes nothing from its source."""

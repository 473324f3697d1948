"""What is wanted: frozen values, checked once, with defaults that say where they come from. No torch.

An `EditRequest` is what a person asks. A `Preset` is how it is done: `LearningOptions`, `InversionOptions` and
`InjectionOptions`. The paper's body is not public in full, so each choice that its abstract and figures leave open is a
named option.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.request.limits import LEAST_MAX_PIXELS, MAX_PIXELS
from s2edit_core.request.words import tidy

LearningMode = Literal["token", "lora_kv", "kv"]
OutputFormat = Literal["png", "jpeg", "webp"]
InversionTier = Literal["null_text", "negative_prompt", "residual", "direct"]
InjectionMode = Literal["replace", "refine"]
Blend = Literal["none", "words", "edit_mask", "difference"]
PresetName = Literal["paper", "balanced", "instant"]
Phase = Literal["preparing", "learning", "inverting", "editing", "finishing"]
ConceptKind = Literal["identity", "attribute"]
Delivery = Literal["difference", "paste"]
"""How an edited frame is brought back to the photo: what it changed, or the whole frame, scaled up."""
MaskMode = Literal["auto", "luminance", "alpha", "inverted_alpha"]
"""How mask files are read: `s2edit_core/pictures/mask_files.py`."""

PLACEHOLDER = "[I]"
"""How the identity token is written in prompts."""
ATTRIBUTE = "[A]"
"""How the token of a learned attribute is written, unless it is given another name."""
CONCEPT_FORMAT = "s2edit-concept-2"
"""What a file of a concept says that it is."""
MAX_VARIANTS = 8
"""Of one edit: each is a whole sampling."""
MAX_SIDE = 2**31
"""No photo is as wide or as high."""
MAX_SUBJECT_WORDS = 4
"""[I] starts from the mean of their embeddings, which says little once there are many."""
QUALITY = 95
"""Of a JPEG or a WebP, where the request names none."""
LOSSLESS = 100
"""The `output_quality` at which a WebP is lossless. A JPEG never is."""
MAX_ATTRIBUTES = 4
"""Of one edit: each is a further pass of the text encoder, and a prompt has few tokens."""


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
        limits = f"{low} and {high}" if whole else f"{low:g} and {high:g}"
        raise OptionInvalid(f"{name} must be {kind} between {limits}, not {value!r}", field=f"options.{name}")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningOptions:
    """Learning [I]: first the token alone, then the token and the cross-attention K/V delta."""

    mode: LearningMode = "lora_kv"
    rank: int = 4  # of the K/V delta in mode lora_kv
    start_steps: int = 100  # of L-BFGS on L_semantic alone, on the text encoder, before the photo is looked at
    token_steps: int = 50
    joint_steps: int = 50
    batch: int = 4  # noise draws per step, all from the one cached latent
    token_rate: float = 1e-2
    joint_token_rate: float = 2e-3
    kv_rate: float = 5e-4
    orthogonality: float = 0.1  # λ of L_ldm + λ·L_semantic
    masked: bool = True  # multiply the [I] column of every cross-attention map by the identity mask
    patience: int = 0  # early stop: end a phase when its loss has been flat for so many steps; 0: never. Steps stay the cap

    def __post_init__(self) -> None:
        if self.mode not in get_args(LearningMode):
            raise OptionInvalid(f"mode must be one of {', '.join(get_args(LearningMode))}", field="options.mode")
        _check("rank", self.rank, 1, 128)
        _check("start_steps", self.start_steps, 0, 5000)
        _check("token_steps", self.token_steps, 0, 5000)
        _check("joint_steps", self.joint_steps, 0, 5000)
        _check("batch", self.batch, 1, 64)
        for name in ("token_rate", "joint_token_rate", "kv_rate"):
            _check(name, getattr(self, name), 0.0, 1.0)
        _check("orthogonality", self.orthogonality, 0.0, 100.0)
        _check("patience", self.patience, 0, 5000)

    @property
    def steps(self) -> int:
        return self.token_steps + (0 if self.mode == "token" else self.joint_steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class InversionOptions:
    """From the photo to a start noise, and what makes guided sampling return to the photo (research: null-text, arXiv 2211.09794).

    `null_text` optimises one unconditional embedding per timestep; `negative_prompt` uses the source prompt in its
    place; `residual` adds what guidance lacks at each step, which is exact and needs no optimisation; `direct` (arXiv 2310.01506)
    repairs the source branch alone, which reaches the edit through attention injection: without that it is refused.
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
class InjectionOptions:
    """What an edit takes over from the source's attention (Prompt-to-Prompt, arXiv 2208.01626). Off unless asked for.

    Shares are of the sampling steps, from the noisiest on. The published strengths are 0.4 to 0.8 across, 0.6 within.
    Raises `OptionInvalid` for values that cannot be, alone or together.
    """

    mode: InjectionMode = "refine"  # replace: word for word, in prompts of equally many words
    cross_share: float = 0.0  # steps in which cross-attention maps are the source's
    self_share: float = 0.0  # steps in which self-attention of small maps is the source's
    reweight: tuple[tuple[str, float], ...] = ()  # words of the prompt, and what their maps are multiplied by in the cross steps
    blend: Blend = "none"  # where the edit may leave the source's latents: where words attend, in the edit mask, or where the
    # predictions of the two prompts differ (DiffEdit)
    blend_words: tuple[str, ...] = ()  # of either prompt; none: those in which the prompts differ
    blend_start: float = 0.2  # share of the steps before the blend begins
    blend_threshold: float = 0.3  # of the words' attention, or of the difference, relative to its maximum

    def __post_init__(self) -> None:
        for name, value, known in (("mode", self.mode, get_args(InjectionMode)), ("blend", self.blend, get_args(Blend))):
            if value not in known:
                raise OptionInvalid(f"{name} must be one of {', '.join(known)}, not {value!r}", field=f"options.{name}")
        for name in ("cross_share", "self_share", "blend_start", "blend_threshold"):
            _check(name, getattr(self, name), 0.0, 1.0)
        self._check_words()
        if self.reweight and self.cross_share == 0:
            raise OptionInvalid("reweight acts in the steps of cross_share: raise that above 0", field="options.reweight")
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
            _check(f"reweight.{word}", factor, -10.0, 10.0)

    @property
    def reads(self) -> bool:
        """Whether anything of the source's attention is read."""
        return self.cross_share > 0 or self.self_share > 0

    @property
    def acts(self) -> bool:
        """Whether an edit differs from one without injection."""
        return self.reads or self.blend != "none"

    def check_tier(self, tier: InversionTier) -> None:
        """Raises `OptionInvalid` for an inversion that does nothing without injection, if there is none."""
        if tier == "direct" and not self.reads:
            raise OptionInvalid(
                "the tier direct repairs only the source, which reaches the edit through attention injection: "
                "set cross_share or self_share above 0, or take the tier residual",
                field="options.tier",
                reason="tier_needs_injection",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """How an edit is done. `steps` and `guidance_scale` hold for inversion and editing alike."""

    name: PresetName
    steps: int
    guidance_scale: float | None = None  # None: what the model's card recommends for this preset
    learning: LearningOptions
    inversion: InversionOptions
    injection: InjectionOptions = InjectionOptions()

    def __post_init__(self) -> None:
        self.injection.check_tier(self.inversion.tier)
        _check("steps", self.steps, 2, 999)  # 1000 "leading" steps with offset 1 would begin past the last timestep
        if self.guidance_scale is not None:
            _check("guidance_scale", self.guidance_scale, 1.0, 30.0)

    def guidance(self, recommended: float) -> float:
        """The guidance scale, where the model's card recommends `recommended` for this preset."""
        return self.guidance_scale if self.guidance_scale is not None else recommended


_WHERE_PROMPTS_DIFFER = InjectionOptions(blend="difference", blend_start=0.0)

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
        injection=_WHERE_PROMPTS_DIFFER,
    ),
    "instant": Preset(
        name="instant",
        steps=20,
        learning=LearningOptions(token_steps=30, joint_steps=20),
        inversion=InversionOptions(tier="residual"),
        injection=_WHERE_PROMPTS_DIFFER,
    ),
}
"""`paper`: null-text as published. `balanced`: the exact residual, and the photo's own latents where the prompts agree.
`instant`: the same in fewer steps. These two invert exactly, and what holds the photo also holds against the prompt. On the shipped
model they do best with a sixth and a third more guidance than `paper`; its card says so (`guidance_by_preset`). Without a card
every preset takes 7.5, the scale that Stable Diffusion is published with: nothing here was tuned on Stable Diffusion."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """One edit, as asked. Pictures are not here: they travel as bytes beside it.

    `subject` are the word or the words of `source_prompt` that name the person; [I] is put before them. Both may be left out: then
    the model's own subject words are searched for in the prompts, and the source prompt is what a captioner says of the photo, or
    "a photo of a <subject>". `at` is for photos that come without a mask: the pixel (x, y) of the person, where there are several.
    """

    prompt: str
    source_prompt: str | None = None
    subject: str | None = None
    identity: str | None = None  # the id of a concept learned before, in place of learning one
    attributes: tuple[str, ...] = ()  # ids of attributes learned before, whose placeholders the prompt holds
    preset: PresetName = "balanced"
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0
    mask_mode: MaskMode = "auto"  # how the file of the mask that comes with the request is read
    variants: int = 1  # pictures of one inversion: the edit itself, then others that start from partly fresh noise
    at: tuple[int, int] | None = None
    negative_prompt: str | None = None  # what the picture shall not show
    strength: float = 1.0  # above 0: how far back towards the noise the edit starts
    output_format: OutputFormat = "png"
    output_quality: int | None = None  # of a JPEG or a WebP; None: `QUALITY`
    keep_alpha: bool | None = None  # whether the result is as transparent as the photo; None: where the format can be
    max_pixels: int | None = None  # a photo of more is scaled down to so many; None: it is refused where it is too large
    edit_mask_mode: MaskMode | None = None  # of the edit mask's file; None: as `mask_mode`

    def __post_init__(self) -> None:
        for name in ("prompt", "source_prompt"):
            _check_prompt(name, getattr(self, name))
        if isinstance(self.negative_prompt, str) and not self.negative_prompt.strip():  # forms send what was left empty
            object.__setattr__(self, "negative_prompt", None)
        _check_prompt("negative_prompt", self.negative_prompt)
        _check("variants", self.variants, 1, MAX_VARIANTS)
        self._check_sampling()
        self._check_output()
        check_max_pixels(self.max_pixels)
        _check_common(self.subject, self.preset, self.seed, self.mask_mode)
        _check_mask_mode("edit_mask_mode", self.edit_mask_mode or "auto")
        _check_at(self.at)
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise OptionInvalid(f"at most {MAX_ATTRIBUTES} attributes fit into one edit", field="attributes")
        if len(set(self.attributes)) < len(self.attributes):
            raise OptionInvalid("an attribute was named twice: name it once", field="attributes", reason="attribute_repeated")
        check_strength(self.strength, self.resolve().steps)

    def _check_sampling(self) -> None:
        if self.strength < 1 and self.variants > 1:
            raise OptionInvalid(
                "variants start from the noise, so they need the strength 1: leave one of the two out",
                field="options.strength",
                reason="strength_with_variants",
            )
        if self.negative_prompt is not None and self.guidance_scale == 1:
            raise OptionInvalid(
                "a negative prompt acts through guidance: choose a guidance_scale above 1, or leave the negative prompt out",
                field="options.guidance_scale",
                reason="negative_without_guidance",
            )

    def _check_output(self) -> None:
        known = get_args(OutputFormat)
        if self.output_format not in known:
            raise OptionInvalid(
                f"output_format must be one of {', '.join(known)}, not {self.output_format!r}", field="options.output_format"
            )
        if self.output_quality is not None:
            _check("output_quality", self.output_quality, 1, 100)
            if self.output_format == "png":
                raise OptionInvalid(
                    "a PNG is lossless and has no quality: leave output_quality out, or choose jpeg or webp",
                    field="options.output_quality",
                    reason="quality_without_loss",
                )
        if self.keep_alpha and self.output_format == "jpeg":
            raise OptionInvalid(
                "a JPEG has no alpha: choose png or webp to keep it, or leave keep_alpha out",
                field="options.keep_alpha",
                reason="alpha_in_jpeg",
            )

    def resolve(self) -> Preset:
        """The preset with this request's own `steps` and `guidance_scale` in place."""
        preset = PRESETS[self.preset]
        return replace(
            preset,
            steps=self.steps if self.steps is not None else preset.steps,
            guidance_scale=self.guidance_scale if self.guidance_scale is not None else preset.guidance_scale,
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON values. Later options are left out where they have their defaults, so that a release without them reads it too."""
        values = {**asdict(self), "attributes": list(self.attributes)}
        return {name: value for name, value in values.items() if name not in LATER_OPTIONS or value != LATER_OPTIONS[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EditRequest:
        """Refuses what it does not know, so that a misspelt option is an error and not a default."""
        _check_known(values, {field.name for field in fields(cls)})
        return cls(**{**values, "attributes": tuple(values.get("attributes", ())), "at": _pixel(values)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRequest:
    """One concept, to be learned ahead of any edit. The photo travels as bytes beside it.

    `prompt` says what the photo shows. That of an identity is an edit's source prompt; that of an attribute holds the attribute's
    placeholder before the word for it ("a woman with [A] makeup"), which is its subject. `name` is for people.
    """

    kind: ConceptKind
    prompt: str
    subject: str | None = None
    name: str | None = None
    preset: PresetName = "balanced"
    seed: int = 0
    mask_mode: MaskMode = "auto"
    at: tuple[int, int] | None = None  # as of an edit
    max_pixels: int | None = None  # as of an edit

    def __post_init__(self) -> None:
        if self.kind not in get_args(ConceptKind):
            raise OptionInvalid(f"kind must be one of {', '.join(get_args(ConceptKind))}", field="kind")
        _check_prompt("prompt", self.prompt)
        check_max_pixels(self.max_pixels)
        _check_common(self.subject, self.preset, self.seed, self.mask_mode)
        _check_at(self.at)

    def resolve(self) -> Preset:
        return PRESETS[self.preset]

    def to_dict(self) -> dict[str, Any]:
        return _without_unset(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearningRequest:
        """Refuses what it does not know, as `EditRequest.from_dict`."""
        _check_known(values, {field.name for field in fields(cls)})
        return cls(**{**values, "at": _pixel(values)})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRequest:
    """The mask of a person, to be found in a photo that travels as bytes beside it.

    `prompt` describes the person, for segmenters that read text. `at` is the pixel (x, y) of the person, where there are several.
    """

    prompt: str | None = None
    at: tuple[int, int] | None = None
    max_pixels: int | None = None  # as of an edit

    def __post_init__(self) -> None:
        _check_prompt("prompt", self.prompt)
        check_max_pixels(self.max_pixels)
        _check_at(self.at)

    def to_dict(self) -> dict[str, Any]:
        return _without_unset(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaskRequest:
        """Refuses what it does not know, as `EditRequest.from_dict`."""
        _check_known(values, {field.name for field in fields(cls)})
        return cls(**{**values, "at": _pixel(values)})


def _pixel(values: Mapping[str, Any]) -> Any:
    """`at` of JSON values, where a pair is a list."""
    at = values.get("at")
    return tuple(at) if isinstance(at, list) else at


def _check_at(at: object) -> None:
    if at is None:
        return
    pair = at if isinstance(at, tuple) and len(at) == 2 else ()
    if not pair or not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < MAX_SIDE for each in pair):
        raise OptionInvalid(
            f"at is a pixel of the photo: x,y in whole numbers from its upper left corner, not {at!r}",
            field="at",
            reason="at_invalid",
        )


def check_at(at: tuple[int, int] | None, size: tuple[int, int]) -> None:
    """Raise `OptionInvalid` for a pixel `at` that a photo of `size` (width, height) does not have."""
    if at is not None and not (at[0] < size[0] and at[1] < size[1]):
        raise OptionInvalid(
            f"at is {at[0]},{at[1]}, outside the photo of {size[0]}×{size[1]} pixels: point at the person",
            field="at",
            reason="at_outside",
        )


LATER_OPTIONS: Mapping[str, Any] = {
    field.name: field.default
    for field in fields(EditRequest)
    if field.name
    in ("negative_prompt", "strength", "output_format", "output_quality", "keep_alpha", "max_pixels", "edit_mask_mode")
}
"""Options of an edit that stored requests of former releases don't have, with their defaults."""


def check_strength(strength: float, steps: int) -> None:
    """Raises `OptionInvalid` unless an edit of `steps` sampling steps runs one step or more, as diffusers' pipelines do."""
    _check("strength", strength, 0.0, 1.0)
    if strength == 0:
        raise OptionInvalid(f"strength must be above 0 and at most 1, not {strength:g}", field="options.strength")
    if strength * steps < 1 - 1e-9:
        raise OptionInvalid(
            f"a strength of {strength:g} runs none of {steps} steps: choose {math.ceil(1e4 / steps) / 1e4:g} or more, "
            "or more steps",
            field="options.strength",
            reason="strength_without_steps",
        )


def check_max_pixels(max_pixels: int | None) -> None:
    """Raises `OptionInvalid` unless photos can be scaled down to so many pixels, or nothing is said of it."""
    if max_pixels is not None:
        _check("max_pixels", max_pixels, LEAST_MAX_PIXELS, MAX_PIXELS)


def _without_unset(values: dict[str, Any]) -> dict[str, Any]:
    """Without an option that former releases do not know, where it says nothing."""
    return {name: value for name, value in values.items() if name != "max_pixels" or value is not None}


def _check_prompt(name: str, text: object) -> None:
    if text is not None and not (isinstance(text, str) and tidy(text)):
        raise PromptInvalid(f"the {name} is empty: say what the picture should show", field=name, reason="prompt_empty")


def _check_common(subject: str | None, preset: str, seed: int, mask_mode: str) -> None:
    words = tidy(subject).split() if subject is not None else ["as the prompts say it"]
    if not 1 <= len(words) <= MAX_SUBJECT_WORDS or any(mark in word for word in words for mark in "[]"):
        raise PromptInvalid(
            f"the subject must be one to {MAX_SUBJECT_WORDS} words of the prompt, such as woman or maine coon",
            field="subject",
            reason="subject_invalid",
        )
    if preset not in PRESETS:
        raise OptionInvalid(f"preset must be one of {', '.join(PRESETS)}, not {preset!r}", field="preset")
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise OptionInvalid("seed must lie between 0 and 2^63 − 1", field="seed")
    _check_mask_mode("mask_mode", mask_mode)


def _check_mask_mode(name: str, mode: str) -> None:
    if mode not in get_args(MaskMode):
        raise OptionInvalid(f"{name} must be one of {', '.join(get_args(MaskMode))}, not {mode!r}", field=name)


def _check_known(values: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(values) - known):
        raise OptionInvalid(
            f"unknown option {unknown[0]!r}; known are {', '.join(sorted(known))}", field=unknown[0], reason="option_unknown"
        )

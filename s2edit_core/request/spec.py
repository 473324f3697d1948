"""The requests for an edit, a learning and a mask, as frozen values that are checked when they are created. Loads no torch.

An `EditRequest` is what a person asks for. How it is done is the preset's affair (`presets`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.request import presets
from s2edit_core.request.options import AttributeOptions, check_number
from s2edit_core.request.picture_limits import MAX_PIXELS, MIN_MAX_PIXELS
from s2edit_core.request.presets import Preset, PresetName
from s2edit_core.request.texts import MAX_NAME_CHARS, MAX_PROMPT_CHARS, check_text
from s2edit_core.request.words import tidy

OutputFormat = Literal["png", "jpeg", "webp"]
Phase = Literal["preparing", "learning", "inverting", "editing", "finishing"]
PHASES: tuple[Phase, ...] = get_args(Phase)
"""The phases in their order."""
ConceptKind = Literal["identity", "attribute"]
Delivery = Literal["difference", "paste"]
"""How an edited frame returns to the photo: as the change that it makes, or as the whole frame, scaled up."""
MaskMode = Literal["auto", "luminance", "alpha", "inverted_alpha"]
"""How mask files are read; see `s2edit_core.pictures.mask_drawings`."""

PLACEHOLDER = "[I]"
"""The identity's placeholder in prompts."""
ATTRIBUTE = "[A]"
"""The default placeholder of an attribute."""
CONCEPT_FORMAT = "s2edit-concept-2"
"""The format entry of concept files."""
MAX_VARIANTS = 8
"""Of one edit: each takes a full sampling."""
MAX_SIDE = 2**31
"""No photo is as wide or as high."""
MAX_SUBJECT_WORDS = 4
"""[I] starts from the mean of their embeddings, which carries little meaning for many words."""
MAX_SEED = 2**63 - 1
QUALITY = 95
"""The default quality of a JPEG or WebP."""
LOSSLESS = 100
"""The `output_quality` at which a WebP is lossless. A JPEG never is."""
MAX_ATTRIBUTES = 4
"""Of one edit: each takes another pass of the text encoder, and prompts have few tokens."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress that every generator yields: `step` of `total` are done in `phase`."""

    phase: Phase
    step: int
    total: int
    loss: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EditRequest:
    """One edit. Pictures are not part of the request: they are passed beside it as bytes.

    `subject` is the word, or the words, of `source_prompt` that name the person; [I] is inserted before them. Both may be left out.
    The subject is then the first of the model's subject words in the prompts, and the source prompt is a captioner's description,
    or "a photo of a <subject>". `at` is a pixel (x, y) of the person, for photos with several people and no mask.

    Raises `OptionInvalid` or `PromptInvalid` for values that can't be used.
    """

    prompt: str
    source_prompt: str | None = None
    subject: str | None = None
    identity: str | None = None  # id of an identity that was learned before; None: learn one
    attributes: tuple[str, ...] = ()  # ids of attributes that were learned before; the prompt holds their placeholders
    preset: PresetName = "balanced"
    steps: int | None = None
    guidance_scale: float | None = None
    seed: int = 0
    mask_mode: MaskMode = "auto"  # how the mask's file is read
    variants: int = 1  # pictures: the edit itself, and further ones that start from partly fresh noise
    at: tuple[int, int] | None = None
    negative_prompt: str | None = None  # what the picture must not show
    strength: float = 1.0  # above 0: how far back towards noise the edit starts
    output_format: OutputFormat = "png"
    output_quality: int | None = None  # of a JPEG or WebP; None: `QUALITY`
    keep_alpha: bool | None = None  # whether the result keeps the photo's transparency; None: if the format can
    max_pixels: int | None = None  # a larger photo is scaled down to this; None: a photo that is too large is refused
    edit_mask_mode: MaskMode | None = None  # how the edit mask's file is read; None: as `mask_mode`

    def __post_init__(self) -> None:
        for name in ("prompt", "source_prompt"):
            _check_prompt(name, getattr(self, name))
        check_text("negative_prompt", self.negative_prompt, MAX_PROMPT_CHARS)
        if isinstance(self.negative_prompt, str) and not self.negative_prompt.strip():  # forms send empty fields
            object.__setattr__(self, "negative_prompt", None)
        _check_prompt("negative_prompt", self.negative_prompt)
        check_number("variants", self.variants, 1, MAX_VARIANTS)
        self._check_sampling()
        self._check_output()
        check_max_pixels(self.max_pixels)
        _check_common(self.subject, self.preset, self.seed, self.mask_mode)
        _check_mask_mode("edit_mask_mode", self.edit_mask_mode or "auto")
        _check_at(self.at)
        if len(self.attributes) > MAX_ATTRIBUTES:
            raise OptionInvalid(f"an edit takes at most {MAX_ATTRIBUTES} attributes", field="attributes")
        if len(set(self.attributes)) < len(self.attributes):
            raise OptionInvalid("an attribute is named twice: name it once", field="attributes", reason="attribute_repeated")
        check_strength(self.strength, self.resolve().steps)

    def _check_sampling(self) -> None:
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
            check_number("output_quality", self.output_quality, 1, 100)
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

    def seed_of(self, picture: int) -> int | None:
        """Return the seed of the fresh start noise of a picture, numbered from 0, or None for the edit itself.

        Of an edit that learns its identity, the first picture is the edit itself, because `seed` has decided how that was learned.
        With a learned identity, `seed` itself has to give another picture, so the edit itself is the first picture of seed 0.
        """
        if picture == 0 and (self.identity is None or self.seed == 0):
            return None
        return (self.seed + picture) % 2**63

    def resolve(self) -> Preset:
        """Return the preset with this request's own `steps` and `guidance_scale`."""
        preset = presets.PRESETS[self.preset]
        return replace(
            preset,
            steps=self.steps if self.steps is not None else preset.steps,
            guidance_scale=self.guidance_scale if self.guidance_scale is not None else preset.guidance_scale,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values.

        Options of `LATER_OPTIONS` are left out at their defaults, so that earlier releases can read the result.
        """
        values = {**asdict(self), "attributes": list(self.attributes)}
        return {name: value for name, value in values.items() if name not in LATER_OPTIONS or value != LATER_OPTIONS[name]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> EditRequest:
        """Read JSON values. Raises `OptionInvalid` for an unknown option, so that a misspelt one is not ignored."""
        _check_known(values, {field.name for field in fields(cls)})
        return cls(**{**values, "attributes": tuple(values.get("attributes", ())), "at": _pixel(values)})


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningRequest:
    """One concept to learn ahead of any edit. The photo is passed beside the request as bytes.

    `prompt` says what the photo shows. For an identity it is the source prompt of later edits. For an attribute it holds the
    attribute's placeholder before its subject word, as in "a woman with [A] makeup". `name` is only for display. Raises
    `OptionInvalid` or `PromptInvalid` for values that can't be used.
    """

    kind: ConceptKind
    prompt: str
    subject: str | None = None
    name: str | None = None
    preset: PresetName = "balanced"
    seed: int = 0
    mask_mode: MaskMode = "auto"
    at: tuple[int, int] | None = None  # see `EditRequest`
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in get_args(ConceptKind):
            raise OptionInvalid(f"kind must be one of {', '.join(get_args(ConceptKind))}", field="kind")
        _check_prompt("prompt", self.prompt)
        check_text("name", self.name, MAX_NAME_CHARS)
        check_max_pixels(self.max_pixels)
        _check_common(self.subject, self.preset, self.seed, self.mask_mode)
        _check_at(self.at)

    def resolve(self) -> Preset:
        """Return the preset."""
        return presets.PRESETS[self.preset]

    @property
    def learning(self) -> AttributeOptions:
        """How the preset learns a concept of this kind."""
        return self.resolve().attribute if self.kind == "attribute" else self.resolve().learning

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return _without_unset(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearningRequest:
        """Read JSON values. Raises as `EditRequest.from_dict`."""
        _check_known(values, {field.name for field in fields(cls)})
        return cls(**{**values, "at": _pixel(values)})


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskRequest:
    """A request to find the mask of a person in a photo. The photo is passed beside the request as bytes.

    `prompt` describes the person, for segmenters that read text. `at` is a pixel (x, y) of the person, for photos with several
    people.
    """

    prompt: str | None = None
    at: tuple[int, int] | None = None
    max_pixels: int | None = None

    def __post_init__(self) -> None:
        _check_prompt("prompt", self.prompt)
        check_max_pixels(self.max_pixels)
        _check_at(self.at)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON values."""
        return _without_unset(asdict(self))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> MaskRequest:
        """Read JSON values. Raises as `EditRequest.from_dict`."""
        _check_known(values, {field.name for field in fields(cls)})
        return cls(**{**values, "at": _pixel(values)})


def _pixel(values: Mapping[str, Any]) -> Any:
    """Return `at` of JSON values, in which a pair is a list."""
    at = values.get("at")
    return tuple(at) if isinstance(at, list) else at


def _check_at(at: object) -> None:
    if at is None:
        return
    pair = at if isinstance(at, tuple) and len(at) == 2 else ()
    if not pair or not all(isinstance(each, int) and not isinstance(each, bool) and 0 <= each < MAX_SIDE for each in pair):
        raise OptionInvalid(
            f"at must be a pixel of the photo: x,y in whole numbers from its upper left corner, not {at!r:.50}",
            field="at",
            reason="at_invalid",
        )


def check_at(at: tuple[int, int] | None, size: tuple[int, int]) -> None:
    """Raise `OptionInvalid` if the pixel `at` lies outside a photo of `size` (width, height)."""
    if at is not None and not (at[0] < size[0] and at[1] < size[1]):
        raise OptionInvalid(
            f"at is {at[0]},{at[1]}, outside the photo of {size[0]}×{size[1]} pixels: choose a pixel of the person",
            field="at",
            reason="at_outside",
        )


LATER_OPTIONS: Mapping[str, Any] = {
    field.name: field.default
    for field in fields(EditRequest)
    if field.name
    in ("negative_prompt", "strength", "output_format", "output_quality", "keep_alpha", "max_pixels", "edit_mask_mode")
}
"""Options of an edit that earlier releases do not know, with their defaults."""


def check_strength(strength: float, steps: int) -> None:
    """Raise `OptionInvalid` unless an edit of `steps` sampling steps runs at least one step, as diffusers' pipelines do."""
    try:
        check_number("strength", strength, math.ulp(0.0), 1.0)  # from the smallest number above 0
    except OptionInvalid as error:
        raise OptionInvalid(f"strength must be above 0 and at most 1, not {strength!r:.50}", field="options.strength") from error
    if strength * steps < 1 - 1e-9:
        raise OptionInvalid(
            f"a strength of {strength:g} runs none of {steps} steps: choose {math.ceil(1e4 / steps) / 1e4:g} or more, "
            "or more steps",
            field="options.strength",
            reason="strength_without_steps",
        )


def check_max_pixels(max_pixels: int | None) -> None:
    """Raise `OptionInvalid` unless `max_pixels` is None or in `MIN_MAX_PIXELS`..`MAX_PIXELS`."""
    if max_pixels is not None:
        check_number("max_pixels", max_pixels, MIN_MAX_PIXELS, MAX_PIXELS)


def _without_unset(values: dict[str, Any]) -> dict[str, Any]:
    """Leave out an unset `max_pixels`, which earlier releases do not know."""
    return {name: value for name, value in values.items() if name != "max_pixels" or value is not None}


def _check_prompt(name: str, text: object) -> None:
    check_text(name, text, MAX_PROMPT_CHARS)
    if text is not None and not (isinstance(text, str) and tidy(text)):
        raise PromptInvalid(f"the {name} is empty: say what the picture should show", field=name, reason="prompt_empty")


def check_subject(subject: str, *, field: str = "subject") -> None:
    """Raise `PromptInvalid` unless `subject`, which `field` names, is one to `MAX_SUBJECT_WORDS` words."""
    if isinstance(subject, str) and len(subject) > MAX_NAME_CHARS:
        raise _subject_invalid(f"{field} has {len(subject):,} characters, but", field)
    check_text(field, subject, MAX_NAME_CHARS)
    words = tidy(subject).split()
    if len(words) > MAX_SUBJECT_WORDS:
        raise _subject_invalid(f"{field} has {len(words)} words, but", field)
    if not words or any(mark in word for word in words for mark in "[]"):
        raise _subject_invalid(field, field)


def _subject_invalid(found: str, field: str) -> PromptInvalid:
    return PromptInvalid(
        f"the {found} must be one to {MAX_SUBJECT_WORDS} words of the prompt, such as woman, maine coon or eye shadow",
        field=field,
        reason="subject_invalid",
    )


def _check_common(subject: str | None, preset: str, seed: int, mask_mode: str) -> None:
    if subject is not None:
        check_subject(subject)
    if preset not in presets.PRESETS:
        raise OptionInvalid(f"preset must be one of {', '.join(presets.PRESETS)}, not {preset!r}", field="preset")
    if not (isinstance(seed, int) and 0 <= seed <= MAX_SEED):
        raise OptionInvalid(f"seed must be a whole number between 0 and 2^63 − 1, not {seed!r:.50}", field="seed")
    _check_mask_mode("mask_mode", mask_mode)


def _check_mask_mode(name: str, mode: str) -> None:
    if mode not in get_args(MaskMode):
        raise OptionInvalid(f"{name} must be one of {', '.join(get_args(MaskMode))}, not {mode!r}", field=name)


def _check_known(values: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(values) - known):
        raise OptionInvalid(
            f"unknown option {unknown[0]!r}: the options are {', '.join(sorted(known))}", field=unknown[0], reason="option_unknown"
        )

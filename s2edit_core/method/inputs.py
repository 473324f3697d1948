"""The arguments of the pipeline besides photo and prompt, and checks of arguments."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from PIL import Image
from torch import Tensor

from s2edit_core.argument_types import check_fields
from s2edit_core.concepts.concept import Concept
from s2edit_core.errors import MaskInvalid, OptionInvalid
from s2edit_core.method.output import OutputType
from s2edit_core.pictures.files import check_mask
from s2edit_core.request.options import check_number
from s2edit_core.request.presets import MAX_GUIDANCE, MAX_STEPS, MIN_GUIDANCE, MIN_STEPS
from s2edit_core.request.prompts import check_attribute_named, check_negative, check_placeholders, with_placeholder
from s2edit_core.request.spec import MAX_SEED, PLACEHOLDER, Delivery, check_strength

VARIATION = 0.5
"""The default share of fresh start noise: variants differ visibly and still resemble the photo."""


@dataclass(frozen=True, eq=False)
class Attribute:
    """A learned attribute in an edit, and the `region` where it acts: an L mask of the photo's size, white inside.

    The edit may change the photo in that region. Without one, the attribute acts where its word does, inside the edit mask; in an
    edit without a blend (`paper`), everywhere inside the edit mask. Raises `OptionInvalid` for fields of other types.
    """

    concept: Concept
    region: Image.Image | None = None

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True)
class Variation:
    """A variant of an edit: the share `amount` (0..1) of its start noise is drawn anew from `seed`, where the photo may change.

    Raises `OptionInvalid` for another amount or seed.
    """

    seed: int
    amount: float = VARIATION

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= 1:
            raise OptionInvalid(f"a variation's amount must lie between 0 and 1, not {self.amount!r}", field="options.variation")
        check_seed(self.seed)


@dataclass(frozen=True, eq=False)
class Reference:
    """A photo to learn a concept from; for the fields see `S2EditPipeline.learn`."""

    image: Image.Image
    mask: Image.Image
    prompt: str
    subject: str | None = None
    placeholder: str = PLACEHOLDER
    person: Image.Image | None = None
    request_words: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_fields(self)


def check_marked(region: Tensor, cell: int) -> None:
    """Raise `MaskInvalid` if the mask of an attribute, `region` of the frame `(H, W)` in 0..1, is smaller than a latent cell.

    `cell` is the side of a latent cell in pixels.
    """
    marked, needed = float(region.sum()), cell * cell
    if marked < needed:
        raise MaskInvalid(
            f"the region that shows the attribute covers {marked:.1f} pixels of the frame that the model sees; it needs {needed} "
            "or more: mark the whole attribute, or send a photo that shows it larger",
            field="mask",
            reason="mask_too_small",
        )


def check_sampling(steps: int, guidance_scale: float) -> None:
    """Raise `OptionInvalid` for a number of steps or a guidance scale that no preset may have either."""
    check_number("num_inference_steps", steps, MIN_STEPS, MAX_STEPS)
    check_number("guidance_scale", guidance_scale, MIN_GUIDANCE, MAX_GUIDANCE)


def check_seed(seed: int) -> None:
    """Raise `OptionInvalid` unless `seed` is an integer in 0..2^63 − 1."""
    if isinstance(seed, bool) or not (isinstance(seed, int) and 0 <= seed <= MAX_SEED):
        raise OptionInvalid(f"a seed must be a whole number between 0 and 2^63 − 1, not {seed!r:.50}", field="seed")


def check_concepts(identity: Concept | None, attributes: Sequence[Attribute] = ()) -> None:
    """Raise `OptionInvalid` for a concept in the place of the other kind, or for two attributes with one placeholder."""
    if not all(isinstance(attribute, Attribute) for attribute in attributes):
        raise OptionInvalid("attributes must hold objects of `Attribute`: wrap each concept in one", field="attributes")
    if identity is not None and identity.kind != "identity":
        raise OptionInvalid(f"{identity.placeholder} is an attribute: pass it as an attribute", field="identity")
    if any(attribute.concept.kind == "identity" for attribute in attributes):
        raise OptionInvalid(f"{PLACEHOLDER} is an identity: pass it as the identity", field="attributes")
    names = [attribute.concept.placeholder for attribute in attributes]
    if len(set(names)) < len(names):
        raise OptionInvalid(
            f"two attributes share a placeholder among {', '.join(names)}: rename one with `renamed`", field="attributes"
        )


def with_identity(prompt: str, identity: Concept | None, field: str) -> str:
    """Return `prompt` with [I] before the identity's subject, unless [I] is already there. Raises as `check_concepts`."""
    check_concepts(identity)
    if identity is None or not identity.subject:
        return prompt
    return with_placeholder(prompt, identity.subject, field=field)


def check_prompt(prompt: str, concepts: Collection[str], attributes: Sequence[Attribute]) -> None:
    """Raise `PromptInvalid` unless `prompt` holds each attribute's placeholder before its word, and only those of `concepts`."""
    check_placeholders(prompt, concepts, field="prompt")
    for concept in (attribute.concept for attribute in attributes):
        check_attribute_named(prompt, concept.placeholder, concept.subject)


def check_delivery(delivery: str) -> None:
    """Raise `OptionInvalid` for an unknown delivery."""
    if delivery not in get_args(Delivery):
        raise OptionInvalid(f"delivery must be one of {', '.join(get_args(Delivery))}", field="options.delivery")


def check_edit_options(
    size: tuple[int, int],
    steps: int,
    *,
    attributes: Sequence[Attribute] = (),
    output_type: str = "pil",
    delivery: str = "difference",
    strength: float = 1.0,
    negative_prompt: str | None = None,
    **_: Any,
) -> None:
    """Raise `OptionInvalid`, `MaskInvalid` or `PromptInvalid` for options of an edit of a photo of `size` that can't be used."""
    if output_type not in get_args(OutputType):
        raise OptionInvalid(f"output_type must be one of {', '.join(get_args(OutputType))}", field="options.output_type")
    check_delivery(delivery)
    check_strength(strength, steps)
    check_negative(negative_prompt or "")
    for attribute in attributes:
        if attribute.region is not None:
            check_mask(attribute.region, size, "region")


def check_references(references: Sequence[Reference]) -> None:
    """Raise `OptionInvalid` for references that are none."""
    if not all(isinstance(reference, Reference) for reference in references):
        raise OptionInvalid("references must hold objects of `Reference`", field="references")


def check_matches_inversion(name: str, wanted: float | None, made: float) -> None:
    """Raise `OptionInvalid` if the option `name` is given and differs from the value that the inversion was made with."""
    if wanted is not None and wanted != made:
        raise OptionInvalid(
            f"{name} is {wanted:g}, but the inversion was made with {made:g}: leave it out, or invert again",
            field=f"options.{name}",
        )

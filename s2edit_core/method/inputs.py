"""What a caller hands to the façade beside photo and prompt, and the checks of what any caller gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from PIL import Image

from s2edit_core.concepts.concept import Concept
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.request.prompts import with_placeholder
from s2edit_core.request.spec import PLACEHOLDER, Delivery

VARIATION = 0.5
"""Of the start noise: enough that two variants differ to the eye, little enough that they stay the photo's."""


@dataclass(frozen=True, eq=False)
class Attribute:
    """A learned attribute in an edit: `region` is an `L` of the photo's size, white where it acts and may change the photo.

    None: anywhere that the edit may change the photo; what it does change is then looked for, as for any edit.
    """

    concept: Concept
    region: Image.Image | None = None


@dataclass(frozen=True, slots=True)
class Variation:
    """Another draw of an edit: `amount` 0..1 of its start noise is drawn anew by `seed`, where the edit may change the photo."""

    seed: int
    amount: float = VARIATION

    def __post_init__(self) -> None:
        if not 0 <= self.amount <= 1:
            raise OptionInvalid(f"a variation's amount lies between 0 and 1, not {self.amount!r}", field="options.variation")
        check_seed(self.seed)


@dataclass(frozen=True, eq=False)
class Reference:
    """A photo to learn a concept from; see `S2EditPipeline.learn`."""

    image: Image.Image
    mask: Image.Image
    prompt: str
    subject: str | None = None
    placeholder: str = PLACEHOLDER
    person: Image.Image | None = None
    request_words: Sequence[str] = ()


def check_seed(seed: int) -> None:
    if not (isinstance(seed, int) and 0 <= seed < 2**63):
        raise OptionInvalid(f"a seed is a whole number between 0 and 2^63 − 1, not {seed!r}", field="seed")


def with_identity(prompt: str, identity: Concept | None, field: str) -> str:
    """`prompt` with [I] before the identity's subject, if it is not there yet."""
    if identity is None or not identity.subject:
        return prompt
    return with_placeholder(prompt, identity.subject, field=field)


def check_placed(prompt: str, attributes: Sequence[Attribute]) -> None:
    for concept in (attribute.concept for attribute in attributes):
        if concept.placeholder not in prompt:
            raise PromptInvalid(
                f"the prompt does not say where the attribute goes: write {concept.placeholder} {concept.subject}",
                field="prompt",
                reason="placeholder_missing",
            )


def check_delivery(delivery: str) -> None:
    if delivery not in get_args(Delivery):
        raise OptionInvalid(f"delivery must be one of {', '.join(get_args(Delivery))}", field="options.delivery")


def check_same(name: str, wanted: float | None, made: float) -> None:
    if wanted is not None and wanted != made:
        raise OptionInvalid(
            f"{name} is {wanted:g}, but the inversion was made with {made:g}: leave it out, or invert again",
            field=f"options.{name}",
        )

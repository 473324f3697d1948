"""What an edit needs, by name: which concept, which inversion. No torch.

A concept or an inversion is named by the digest of everything it depends on. So a second edit of the same identity finds both,
two requests that need the same learning can see that they do, and nothing stale is ever used. Whoever goes by these names learns
without a request's own words: a concept that one edit has learned serves any other.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from s2edit_core.request.prompts import ResolvedReference
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningOptions, LearningRequest, MaskMode

VERSION = 7
"""Of the algorithms: raised when the same inputs lead to another concept or inversion."""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _name(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest(text.encode())[:32]


@dataclass(frozen=True, slots=True)
class EditPlan:
    """The names of what the edit uses; each is made only where it does not exist yet."""

    concept_id: str
    inversion_id: str


def plan_edit(
    request: EditRequest,
    *,
    image: bytes,
    mask: bytes,
    mask_mode: MaskMode = "auto",
    model: str,
    source_prompt: str,
    subject: str,
    crop: tuple[int, int, int, int],
    guidance_scale: float = 1.0,
    attribute_words: Sequence[str] = (),
    scaled_to: tuple[int, int] | None = None,
) -> EditPlan:
    """Name the concept and the inversion of `request`.

    `image` and `mask` are the files' bytes, `mask_mode` says how the mask is read, `model` is the fingerprint of the base model.
    `source_prompt` and `subject` are as resolved, `crop` is the part of the photo (left, top, right, bottom) that is inverted.
    `guidance_scale` and `attribute_words` are what the model's card says: the first, of the request's preset, counts where the
    request names none, the others are what [I] is learned to be orthogonal to.
    `scaled_to` is the size that the photo was scaled down to, None where it was not.
    The target prompt enters neither name: any edit of the photo shares them.
    """
    preset = request.resolve()
    reference = ResolvedReference(source_prompt, subject, PLACEHOLDER)
    concept_id = request.identity or _concept_id(
        reference,
        preset.learning,
        request.seed,
        image=image,
        mask=_mask_name(mask, mask_mode),
        model=model,
        bank=attribute_words,
        scaled_to=scaled_to,
    )
    inversion = {
        "version": VERSION,
        "concept": concept_id,
        "image": digest(image),
        "mask": _mask_name(mask, mask_mode),
        "crop": crop,
        "source_prompt": source_prompt,
        "steps": preset.steps,
        "guidance_scale": preset.guidance(guidance_scale),
        "masked": preset.learning.masked,
        "inversion": asdict(preset.inversion),
        **_seen_as(scaled_to),
    }
    return EditPlan(concept_id=concept_id, inversion_id=f"i_{_name(inversion)}")


def plan_learning(
    request: LearningRequest,
    *,
    image: bytes,
    mask: bytes,
    mask_mode: MaskMode = "auto",
    model: str,
    reference: ResolvedReference,
    attribute_words: Sequence[str] = (),
    subjects: Sequence[str] = (),
    scaled_to: tuple[int, int] | None = None,
) -> str:
    """The id of the concept that `request` asks for; an edit of the same photo finds an identity by that.

    Arguments as in `plan_edit`; `subjects` are the card's words for people, which an attribute is learned to be orthogonal to.
    """
    words = attribute_words if reference.placeholder == PLACEHOLDER else subjects
    learning = request.resolve().learning
    name = _mask_name(mask, mask_mode)
    return _concept_id(reference, learning, request.seed, image=image, mask=name, model=model, bank=words, scaled_to=scaled_to)


def _mask_name(mask: bytes, mode: MaskMode) -> str:
    """Name what is read from the file: another mode may find another region in it."""
    return digest(mask) if mode == "auto" else f"{mode}:{digest(mask)}"


def _concept_id(
    reference: ResolvedReference,
    learning: LearningOptions,
    seed: int,
    *,
    image: bytes,
    mask: str,
    model: str,
    bank: Sequence[str],
    scaled_to: tuple[int, int] | None,
) -> str:
    """`c_` for an identity, `a_` for an attribute. `bank` are the words that it is learned to be orthogonal to."""
    concept = {
        "version": VERSION,
        "image": digest(image),
        "mask": mask,
        "model": model,
        "source_prompt": reference.prompt,
        "subject": reference.subject,
        "placeholder": reference.placeholder,
        "learning": asdict(learning),
        "bank": list(bank),
        "seed": seed,
        **_seen_as(scaled_to),
    }
    return f"{'c' if reference.placeholder == PLACEHOLDER else 'a'}_{_name(concept)}"


def _seen_as(scaled_to: tuple[int, int] | None) -> dict[str, Any]:
    """What a scaled photo adds to a name. Two limits that lead to one size share what is made."""
    return {} if scaled_to is None else {"scaled_to": list(scaled_to)}

"""The plan of an edit: the names of the concept and the inversion that it needs. Loads no torch.

A name is a digest of everything that the concept or inversion depends on. So a second edit of the same identity finds both, two
requests that need the same learning can recognise it, and nothing stale is ever used. A concept that is found by its name is
learned without the words of any one request, because it serves other edits as well.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from s2edit_core.request.options import AttributeOptions
from s2edit_core.request.prompts import ResolvedReference
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskMode

VERSION = 8
"""Version of the algorithms. Raise it when the same inputs lead to another identity or inversion."""
ATTRIBUTE_VERSION = 9
"""The same for attributes."""


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def _name(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return digest(text.encode())[:32]


@dataclass(frozen=True, slots=True)
class EditPlan:
    """The names of what an edit uses. Each is made only if it does not exist yet."""

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
    bank: Sequence[str] = (),
    scaled_to: tuple[int, int] | None = None,
) -> EditPlan:
    """Name the concept and the inversion of `request`.

    `image` and `mask` are the files' bytes, and `mask_mode` is how the mask is read. `model` is the fingerprint of the base model.
    `source_prompt` and `subject` are the resolved ones. `crop` is the part of the photo (left, top, right, bottom) that is
    inverted. `guidance_scale` and `bank` come from the model's card: the scale applies where the request names none, and [I] is
    learned to be orthogonal to the words of the bank. `scaled_to` is the size that the photo was scaled to, None if it was not.

    The target prompt is part of neither name, so all edits of the photo share them.
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
        bank=bank,
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
        **_scale_entry(scaled_to),
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
    bank: Sequence[str] = (),
    scaled_to: tuple[int, int] | None = None,
) -> str:
    """Return the id of the concept that `request` asks for. An edit of the same photo finds an identity by that id.

    Arguments as in `plan_edit`. `bank` is the card's word bank for `reference`.
    """
    name = _mask_name(mask, mask_mode)
    return _concept_id(
        reference, request.learning, request.seed, image=image, mask=name, model=model, bank=bank, scaled_to=scaled_to
    )


def _mask_name(mask: bytes, mode: MaskMode) -> str:
    """Return the name of a mask: the file and the mode, because another mode may find another region in the same file."""
    return digest(mask) if mode == "auto" else f"{mode}:{digest(mask)}"


def _concept_id(
    reference: ResolvedReference,
    learning: AttributeOptions,
    seed: int,
    *,
    image: bytes,
    mask: str,
    model: str,
    bank: Sequence[str],
    scaled_to: tuple[int, int] | None,
) -> str:
    """Return the id of a concept: `c_…` for an identity, `a_…` for an attribute.

    `bank` are the words that the concept is learned to be orthogonal to.
    """
    concept = {
        "version": VERSION if reference.placeholder == PLACEHOLDER else ATTRIBUTE_VERSION,
        "image": digest(image),
        "mask": mask,
        "model": model,
        "source_prompt": reference.prompt,
        "subject": reference.subject,
        "placeholder": reference.placeholder,
        "learning": learning.to_dict(),
        "bank": list(bank),
        "seed": seed,
        **_scale_entry(scaled_to),
    }
    return f"{'c' if reference.placeholder == PLACEHOLDER else 'a'}_{_name(concept)}"


def _scale_entry(scaled_to: tuple[int, int] | None) -> dict[str, Any]:
    """Return the entry for a scaled photo. It holds the size, so that different limits with one resulting size share a name."""
    return {} if scaled_to is None else {"scaled_to": list(scaled_to)}

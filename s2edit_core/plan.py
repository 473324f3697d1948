"""What an edit needs, by name: which concept, which inversion. No torch.

A concept or an inversion is named by the digest of everything it depends on. So a second edit of the same identity finds both,
two requests that need the same learning can see that they do, and nothing stale is ever used.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from s2edit_core.spec import PLACEHOLDER, EditRequest

VERSION = 2
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
    model: str,
    source_prompt: str,
    subject: str,
    crop: tuple[int, int, int, int],
    guidance_scale: float | None = None,
    attribute_words: Sequence[str] = (),
) -> EditPlan:
    """Name the concept and the inversion of `request`.

    `image` and `mask` are the files' bytes, `model` the fingerprint of the base model, `source_prompt` and `subject` as resolved,
    `crop` the part of the photo (left, top, right, bottom) that is inverted. `guidance_scale` and `attribute_words` are what the
    model's card says: the first counts where the request leaves it open, the others are what [I] is learned to be orthogonal to.
    The target prompt enters neither name: any edit of the photo shares them.
    """
    preset = request.resolve()
    concept = {
        "version": VERSION,
        "image": digest(image),
        "mask": digest(mask),
        "model": model,
        "source_prompt": source_prompt,
        "subject": subject,
        "placeholder": PLACEHOLDER,
        "learning": asdict(preset.learning),
        "attribute_words": list(attribute_words),
        "seed": request.seed,
    }
    concept_id = request.identity or f"c_{_name(concept)}"
    inversion = {
        "version": VERSION,
        "concept": concept_id,
        "image": digest(image),
        "mask": digest(mask),
        "crop": crop,
        "source_prompt": source_prompt,
        "steps": preset.steps,
        "guidance_scale": preset.guidance_scale if preset.guidance_scale is not None else guidance_scale,
        "masked": preset.learning.masked,
        "inversion": asdict(preset.inversion),
    }
    return EditPlan(concept_id=concept_id, inversion_id=f"i_{_name(inversion)}")

"""Who shows an attribute: the frame of a reference is cropped around that person, as the model's training pictures are.

In a photo from a phone, the person may be a small part. If the frame held the whole photo, a makeup would be a few latent cells.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from PIL import Image, ImageChops

from s2edit_core.errors import MaskInvalid
from s2edit_core.pictures.files import inside_of
from s2edit_core.request.domains import Domain, domains_in, word_warnings
from s2edit_core.vision.segmenters import FoundMask

FEW = 0.02
"""A region with no more of its pixels on the person, as a share, lies beside the person. Most of a hat's brim does, but not all."""
NOBODY = "nobody was found where the mask is, so the attribute was learned from the photo as a whole: does the mask fit the photo?"
BESIDE = "the mask lies beside the person who was found, so the attribute is of what is there: does the mask fit the photo?"


class Find(Protocol):
    """Finds a person at a pixel; see `Segmenter.find`."""

    def __call__(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None) -> FoundMask: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """Who shows an attribute, and what makes one doubt it.

    `mask` (L) holds the person and the region of the attribute, which may reach beyond the person, as the brim of a hat does. It is
    None, and `person` is empty, if nobody was found. `warnings` are sentences.
    """

    mask: Image.Image | None
    person: Mapping[str, Any]
    warnings: list[str]

    @property
    def facts(self) -> dict[str, Any]:
        """What a report says."""
        said = {"person": self.person, "warnings": self.warnings}
        return {name: value for name, value in said.items() if value}


def shown_by(photo: Image.Image, region: Image.Image, prompt: str, words: str, domains: Sequence[Domain], find: Find) -> Shown:
    """Find who shows an attribute in the `region` (L) of `photo` (RGB).

    `prompt` describes the photo, `words` are those for the attribute, and `domains` is what the model knows. Weather and seasons
    lie beside a church, so where edits change the scene, the place of the region is not judged.
    """
    inside = inside_of(region)
    rows, columns = np.nonzero(inside)
    judged = not any(domain.scene for domain in domains_in(domains, prompt))
    warnings = word_warnings(domains, prompt, only=words)
    try:
        found = find(photo, prompt=prompt, at=(int(columns.mean()), int(rows.mean())))
    except MaskInvalid:
        return Shown(None, {}, warnings + [NOBODY] * judged)
    on_person = float(inside_of(found.mask)[inside].mean())
    mask = ImageChops.lighter(found.mask, Image.fromarray(inside.astype(np.uint8) * 255))
    person = found.facts() | {"region_on_person": round(on_person, 3)}
    return Shown(mask, person, warnings + [BESIDE] * (judged and on_person <= FEW))

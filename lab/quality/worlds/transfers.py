"""Attributes [A] from a reference photo: makeup, hats and collars, each with the true answer on another subject.

No caption tells their colours, so words alone can only guess them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lab.measures.metrics import Region, changed_region
from lab.quality.worlds.edits import FIRST, Photo, shows_well
from lab.world.domain import with_look_of
from lab.world.domains import DOMAINS
from lab.world.person import parts as person_parts
from s2edit_core.request.spec import ATTRIBUTE

REFERENCE_OFFSET = 1_000_000
"""Subject n gets the attribute of a subject from n + `REFERENCE_OFFSET` on."""
DILATION_PX = 5
"""Side of the square that dilates the region of an attribute, as a person paints it."""
PART_LEVELS = 3
"""A pixel belongs to a part of the makeup that changes it by more than so many 8-bit levels."""
Part = Mapping[str, Any]


@dataclass(frozen=True)
class Wearable:
    """What is transferred: an attribute of `domain.looks`, and its parts.

    A part is given by changes to the makeup style that leave it out; `{}` stands for the whole. With `drawn`, it is where the
    picture shows that part of the drawing, not where pictures with and without it differ: a hat also moves hair.
    """

    name: str
    domain: str
    parts: Mapping[str, Part]
    drawn: str = ""


WEARABLES: dict[str, Wearable] = {
    "makeup": Wearable(
        "makeup",
        "person",
        {"lips": {"lipstick_strength": 0.0}, "cheeks": {"blush_strength": 0.0}, "lids": {"shadow_strength": 0.0}},
    ),
    "hat": Wearable("hat", "person", {"hat": {}}, drawn="hat"),
    "collar": Wearable("collar", "cat", {"collar": {}}),
}


@dataclass(frozen=True, eq=False)
class Transfer:
    """One pair of a subject without the attribute and a reference that shows it."""

    wearable: Wearable
    seed: int
    photo: Photo
    reference: Photo

    @property
    def person(self) -> str:
        return f"{self.wearable.domain}-{self.seed}"

    def _with(self, photo: Photo, wanted: bool) -> Photo:
        return Photo(photo.domain, photo.domain.change(photo.subject, **{self.wearable.name: wanted}))

    @cached_property
    def answer(self) -> Photo:
        """The photo with the reference's attribute."""
        return self._answered(self.reference.subject.identity)

    def _answered(self, identity: Any) -> Photo:
        """Return the photo with the attribute as it looks on `identity`."""
        domain, plain = self.photo.domain, self._with(self.photo, True).subject
        return Photo(domain, with_look_of(domain, plain, self.wearable.name, identity))

    @cached_property
    def region(self) -> Image.Image:
        """Where the reference shows the attribute: L, white inside."""
        return _dilated(self._shown(self._with(self.reference, False), self.reference))

    @cached_property
    def target_region(self) -> Image.Image:
        """Where the photo may show it: L, white inside."""
        return _dilated(self._shown(self.photo, self.answer))

    def _shown(self, without: Photo, worn: Photo, levels: int | None = None) -> Region:
        """Return where `worn` shows the attribute, `(h, w)` bool."""
        if not self.wearable.drawn:
            return _changed(without, worn, levels)
        region: Region = person_parts(worn.subject)[self.wearable.drawn] > 0.5
        return region

    def prompt(self, photo: Photo) -> str:
        """Return the caption of `photo`, which shows the attribute, with [A] before its word."""
        return photo.prompt.replace(self.wearable.name, f"{ATTRIBUTE} {self.wearable.name}")

    @cached_property
    def parts(self) -> dict[str, Region]:
        """Where each part of the attribute is visible in the answer, `(h, w)` bool. Parts that are not are left out."""
        found, reference = {}, self.reference.subject.identity
        for name, without in self.wearable.parts.items():
            base = self.photo
            if without:
                base = self._answered(replace(reference, makeup_style=replace(reference.makeup_style, **without)))
            region = self._shown(base, self.answer, PART_LEVELS if without else None)
            if region.sum() >= 8:
                found[name] = region
        return found


def _changed(a: Photo, b: Photo, levels: int | None = None) -> Region:
    first, second = np.asarray(a.picture), np.asarray(b.picture)
    if levels is None:
        return changed_region(first, second)
    difference: NDArray[np.int16] = np.abs(first.astype(np.int16) - second.astype(np.int16)).max(axis=2)
    changed: Region = difference > levels
    return changed


def _dilated(region: Region) -> Image.Image:
    return Image.fromarray((region * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(DILATION_PX))


def transfer_of(name: str, seed: int) -> Transfer | None:
    """Return pair `seed` of the transfer `name`, or None if that subject has the attribute already or can't show it."""
    wearable = WEARABLES[name]
    world = DOMAINS[wearable.domain]
    subject = world.sample(FIRST + seed)
    has = subject.attributes
    covered = wearable.domain == "person" and (has.sunglasses or has.beard)
    if getattr(has, name) or covered or (name == "makeup" and has.gender != "woman"):
        return None
    reference = next(_references(wearable, seed))
    transfer = Transfer(wearable, seed, Photo(world, subject), reference)
    return transfer if len(transfer.parts) == len(wearable.parts) else None


def _references(wearable: Wearable, seed: int) -> Any:
    """Yield photos that show the attribute well."""
    world = DOMAINS[wearable.domain]
    number = FIRST + REFERENCE_OFFSET + 1000 * seed
    while True:
        subject = world.sample(number)
        number += 1
        has = subject.attributes
        if wearable.domain == "person" and (has.gender != "woman" or has.sunglasses or has.pose != "front"):
            continue
        if wearable.domain == "cat" and not shows_well("cat", has):
            continue
        yield Photo(world, world.change(subject, **{wearable.name: True}))

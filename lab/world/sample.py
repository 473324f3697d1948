"""Draw the demo's photos and their masks into `cli/demo/sample`: `python -m lab.world.sample`.

The subjects were chosen by eye among those that training never sees.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from lab.measures.metrics import changed_region
from lab.world.cat import DOMAIN as CATS
from lab.world.church import DOMAIN as CHURCHES
from lab.world.domain import UNSEEN, Domain, Subject, with_look_of
from lab.world.person import DOMAIN as PEOPLE
from lab.world.person.identity import Attributes

SIZE = 512
"""Four times the side of the shipped model's frame, so that the demo shows delivery at the photo's resolution."""
QUALITY = 90
"""Of the WebP files. Film grain would make PNG files ten times as large."""
MARGIN_PX = 21
"""Side of the square that dilates the region of the makeup, as a person paints it."""
FOLDER = Path(__file__).parents[2] / "cli" / "demo" / "sample"

PERSON = replace(PEOPLE.sample(UNSEEN + 18_590), attributes=Attributes(hair_length="long"))
CAT = CATS.sample(UNSEEN + 10_474)
CHURCH = CHURCHES.sample(UNSEEN + 10_331)
MADE_UP = replace(PEOPLE.sample(UNSEEN + 12_945), attributes=Attributes(hair_colour="black", hair_length="long", makeup=True))
"""Another person, whose makeup the demo transfers."""
SUBJECTS: dict[str, tuple[Domain, Subject]] = {
    "person": (PEOPLE, PERSON),
    "cat": (CATS, CAT),
    "church": (CHURCHES, CHURCH),
    "makeup": (PEOPLE, MADE_UP),
}
ANSWERS: tuple[tuple[Domain, Subject], ...] = (
    (PEOPLE, PEOPLE.change(PERSON, hair_colour="red")),
    (CATS, CATS.change(CAT, sleeping=True)),
    (CHURCHES, CHURCHES.change(CHURCH, season="autumn")),
    (PEOPLE, with_look_of(PEOPLE, PEOPLE.change(PERSON, makeup=True), "makeup", MADE_UP.identity)),
    (PEOPLE, PEOPLE.change(PERSON, expression="smiling")),
)
"""The true answers of the demo's edits, in their order."""


def mask_of(name: str) -> Image.Image:
    """Return the mask of the sample `name`, black and white: the subject, or where somebody wears makeup."""
    domain, subject = SUBJECTS[name]
    if name != "makeup":
        return domain.mask(subject, SIZE).point(lambda level: 255 if level >= 128 else 0)
    plain = domain.change(subject, makeup=False)
    region = changed_region(*(np.asarray(domain.render(each, SIZE)) for each in (plain, subject)))
    return Image.fromarray((region * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(MARGIN_PX))


def draw() -> Iterator[tuple[str, Image.Image, Image.Image]]:
    """Yield each sample: its name, its photo and its mask."""
    for name, (domain, subject) in SUBJECTS.items():
        yield name, domain.render(subject, SIZE), mask_of(name)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, photo, mask in draw():
        photo.save(FOLDER / f"{name}.webp", quality=QUALITY, method=6)
        mask.convert("1").save(FOLDER / f"{name}-mask.png", optimize=True)


if __name__ == "__main__":
    main()

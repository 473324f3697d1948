"""Draw the demo's photo and its mask into `cli/demo/sample`: `python -m lab.world.sample`.

The person was chosen by eye among people outside the training set: the shipped model edits this one well.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from lab.world.dataset import HELD_OUT
from lab.world.people import Person, sample_person
from lab.world.portraits import draw, person_mask

PERSON = sample_person(HELD_OUT + 1101)
SIZE = 512
"""Four times the side of the shipped model's frame, so that the demo shows delivery at the photo's resolution."""
SCALE = 16
"""The drawing is four times as wide as the photo; scaled down, its edges are soft."""
FOLDER = Path(__file__).parents[2] / "cli" / "demo" / "sample"


def portrait(person: Person = PERSON) -> Image.Image:
    """Return the portrait of `person`, RGB and `SIZE` pixels square."""
    return draw(person, SCALE)[0].resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def main() -> None:
    FOLDER.mkdir(exist_ok=True)
    portrait().save(FOLDER / "photo.png", optimize=True)
    person_mask(PERSON, SIZE).save(FOLDER / "mask.png", optimize=True)


if __name__ == "__main__":
    main()

"""Draw the studio's samples into `api/studio/static/samples`: `python -m lab.studio_samples`.

Each sample is a portrait with its mask, the sentence that describes it, and what shall be different. The people were chosen by eye
among those outside the training set: the shipped model edits them well.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lab.world.dataset import HELD_OUT
from lab.world.people import Person, caption, replace_attributes, sample_person
from lab.world.portraits import draw, person_mask

FOLDER = Path(__file__).parents[1] / "api" / "studio" / "static" / "samples"
SIZE = 512
SCALE = 16
"""The drawing is four times as wide as the photo; scaled down, its edges are soft."""
QUALITY = 82
SMALL, SMALL_QUALITY = 192, 75
"""Side in pixels and quality of the picture that stands for a sample until it is chosen."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample. `words`: what the user would type, and `changes`: the same as attributes of the portrait world."""

    name: str
    seed: int
    words: str
    changes: dict[str, object]


SAMPLES = (
    Sample("hair", HELD_OUT + 1101, "red hair", {"hair_colour": "red"}),
    Sample("smile", HELD_OUT + 1116, "smiling", {"expression": "smiling"}),
    Sample("glasses", HELD_OUT + 1138, "glasses", {"glasses": True}),
    Sample("beard", HELD_OUT + 1103, "a beard", {"beard": True}),
)


def portrait(person: Person) -> Image.Image:
    """Return the portrait of `person`, RGB and `SIZE` pixels square."""
    return draw(person, SCALE)[0].resize((SIZE, SIZE), Image.Resampling.LANCZOS)


def described(sample: Sample) -> dict[str, str]:
    """Return what the page needs to know of `sample`: its name and the sentences."""
    person = sample_person(sample.seed)
    after = replace_attributes(person, **sample.changes)
    return {
        "name": sample.name,
        "subject": person.attributes.gender,
        "source_prompt": caption(person.attributes),
        "words": sample.words,
        "prompt": caption(after.attributes),
    }


def write(folder: Path = FOLDER) -> None:
    """Write photos, large and small, masks and `samples.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in SAMPLES:
        person = sample_person(sample.seed)
        photo = portrait(person)
        photo.save(folder / f"{sample.name}.webp", quality=QUALITY, method=6)
        small = photo.resize((SMALL, SMALL), Image.Resampling.LANCZOS)
        small.save(folder / f"{sample.name}-small.webp", quality=SMALL_QUALITY, method=6)
        mask = person_mask(person, photo.width)
        mask.point(lambda level: 255 if level >= 128 else 0).convert("1").save(folder / f"{sample.name}-mask.png", optimize=True)
    sentences = json.dumps([described(sample) for sample in SAMPLES], indent=2, ensure_ascii=False)
    (folder / "samples.json").write_text(sentences + "\n", encoding="utf-8")


def main() -> None:
    write()


if __name__ == "__main__":
    main()

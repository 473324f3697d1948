"""Draw the studio's samples into `api/studio/static/samples`: `python -m lab.studio_samples`.

Each sample is a portrait with its mask, the sentence that describes it, and what shall be different. The people were chosen by eye
among those that training never sees.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from PIL import Image

from lab.world.domain import UNSEEN, Subject
from lab.world.person import DOMAIN
from lab.world.person.identity import Attributes

FOLDER = Path(__file__).parents[1] / "api" / "studio" / "static" / "samples"
SIZE = 512
QUALITY = 82
SMALL, SMALL_QUALITY = 192, 65
"""Side in pixels and quality of the picture that stands for a sample until it is chosen."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample. `words`: what the user would type, and `changes`: the same as attributes of the domain of people."""

    name: str
    seed: int
    has: Attributes
    words: str
    changes: dict[str, Any]

    @property
    def person(self) -> Subject:
        return replace(DOMAIN.sample(UNSEEN + self.seed), attributes=self.has)


SAMPLES = (
    Sample("hair", 20_004, Attributes(hair_length="long"), "red hair", {"hair_colour": "red"}),
    Sample("smile", 20_103, Attributes(expression="sad", hair_colour="blond", curly=True), "smiling", {"expression": "smiling"}),
    Sample("glasses", 20_204, Attributes(hair_colour="black", hair_length="long", curly=True), "glasses", {"glasses": True}),
    Sample("beard", 20_300, Attributes(gender="man", hair_colour="gray"), "a beard", {"beard": True}),
)


def described(sample: Sample) -> dict[str, str]:
    """Return what the page needs to know of `sample`: its name and the sentences."""
    after = DOMAIN.change(sample.person, **sample.changes)
    return {
        "name": sample.name,
        "subject": sample.has.gender,
        "source_prompt": DOMAIN.caption(sample.has),
        "words": sample.words,
        "prompt": DOMAIN.caption(after.attributes),
    }


def write(folder: Path = FOLDER) -> None:
    """Write photos, large and small, masks and `samples.json`."""
    folder.mkdir(parents=True, exist_ok=True)
    for sample in SAMPLES:
        photo, mask = DOMAIN.render(sample.person, SIZE), DOMAIN.mask(sample.person, SIZE)
        photo.save(folder / f"{sample.name}.webp", quality=QUALITY, method=6)
        small = photo.resize((SMALL, SMALL), Image.Resampling.LANCZOS)
        small.save(folder / f"{sample.name}-small.webp", quality=SMALL_QUALITY, method=6)
        mask.point(lambda level: 255 if level >= 128 else 0).convert("1").save(folder / f"{sample.name}-mask.png", optimize=True)
    sentences = json.dumps([described(sample) for sample in SAMPLES], indent=2, ensure_ascii=False)
    (folder / "samples.json").write_text(sentences + "\n", encoding="utf-8")


def main() -> None:
    write()


if __name__ == "__main__":
    main()

"""What a name does: the prompts that are compared, and how they are drawn."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch
from PIL import Image

from lab.judges.adherence import drawn
from lab.quality.worlds.names import FIRST_PHOTO, NAMING, WAYS, captions
from lab.world.domains import DOMAINS
from lab.world.names import name_of

PERSON = DOMAINS["person"]


def test_each_way_has_the_same_captions_but_for_the_name() -> None:
    photos = [PERSON.another_photo(NAMING.shown(PERSON, i * NAMING.photos)[0], FIRST_PHOTO + i) for i in range(3)]
    found = captions(PERSON, photos)
    assert tuple(found) == WAYS
    plain, own, other = found.values()
    assert plain == [PERSON.caption(photo.attributes) for photo in photos]
    for i in range(3):
        assert own[i].replace(f"{name_of(i)} ", "") == plain[i] != own[i]
        assert other[i].replace(f"{name_of((i + 1) % 3)} ", "") == plain[i] != other[i]


def test_every_way_starts_from_the_same_noise() -> None:
    """Picture i comes from seed i, in whatever batch it is drawn."""

    def pipeline(prompts: list[str], *, generator: list[torch.Generator], **_how: Any) -> SimpleNamespace:
        seeds = [each.initial_seed() for each in generator]
        assert len(seeds) == len(prompts)
        return SimpleNamespace(images=[Image.new("RGB", (2, 2), (seed, seed, seed)) for seed in seeds])

    made = drawn(pipeline, ["a"] * 5, guidance=3.0, steps=2, batch=2)
    assert made.shape == (5, 3, 2, 2)
    assert [round((float(each.mean()) + 1) * 127.5) for each in made] == [0, 1, 2, 3, 4]

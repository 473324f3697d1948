"""The shipped model edits a photograph that is larger than its frame."""

from __future__ import annotations

import numpy as np
import pytest

from lab.photographs import photograph
from lab.portraits import caption, sample_person
from lab.train import MODEL
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.spec import PRESETS, InversionOptions

PERSON = sample_person(10_006_005)
SHOT = photograph(PERSON, 640, seed=4)
SAID = caption(PERSON.attributes)
STEPS = 8


@pytest.fixture(scope="module")
def pipe() -> S2EditPipeline:
    return S2EditPipeline.from_pretrained(MODEL)


@pytest.mark.parametrize("tier", ["residual", "null_text"])
def test_an_edit_whose_target_is_its_source_returns_the_photo(pipe: S2EditPipeline, tier: str) -> None:
    options = InversionOptions(tier=tier)  # type: ignore[arg-type]
    inversion = pipe.invert(SHOT.picture, SHOT.mask, SAID, options=options, num_inference_steps=STEPS)
    out = pipe(SAID, image=SHOT.picture, mask=SHOT.mask, inversion=inversion)
    moved = np.abs(np.asarray(out.images[0], dtype=int) - np.asarray(SHOT.picture, dtype=int))
    assert moved.max() <= 1
    assert out.reports[0]["delivery"]["left"] > 0.999


def test_recoloured_hair_keeps_its_strands_and_the_old_way_does_not(pipe: S2EditPipeline) -> None:
    balanced = PRESETS["balanced"]
    inversion = pipe.invert(SHOT.picture, SHOT.mask, SAID, options=balanced.inversion, num_inference_steps=STEPS)
    prompt = SAID.replace(PERSON.attributes.hair_colour, "red")
    assert prompt != SAID
    ways = {
        way: pipe(
            prompt,
            image=SHOT.picture,
            mask=SHOT.mask,
            inversion=inversion,
            injection=balanced.injection,
            delivery=way,  # type: ignore[arg-type]
        )
        for way in ("difference", "paste")
    }
    photo = np.asarray(SHOT.picture, dtype=float)
    inside = np.asarray(SHOT.mask) > 0
    kept = {}
    for way, out in ways.items():
        result = np.asarray(out.images[0], dtype=float)
        kept[way] = [np.square(np.diff(each.mean(axis=2), axis=1))[inside[:, 1:]].sum() for each in (result, photo)]
        assert out.reports[0]["delivery"]["way"] == way
        assert out.reports[0]["canvas"] == {"box": [0, 0, 640, 640], "frame": [128, 128], "stretch": 1.0}
    shares = ways["difference"].reports[0]["delivery"]
    assert shares["shifted"] > 0.02
    assert shares["replaced"] + shares["shifted"] + shares["left"] == pytest.approx(1, abs=1e-3)
    assert kept["difference"][0] > 0.5 * kept["difference"][1]  # red hair is darker than blond, and so are its strands
    assert kept["paste"][0] < 0.05 * kept["paste"][1]

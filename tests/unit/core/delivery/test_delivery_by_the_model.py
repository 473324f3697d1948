"""The shipped model edits a photograph that is larger than its frame."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageDraw

from lab.world.domain import UNSEEN
from lab.world.full_size import photograph
from lab.world.person import DOMAIN
from lab.world.person.identity import Attributes
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.errors import OptionInvalid
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions
from s2edit_core.request.presets import PRESETS
from s2edit_jobs.settings import ROOT

PERSON = replace(DOMAIN.sample(UNSEEN + 6005), attributes=Attributes(hair_colour="blond", hair_length="long"))
SHOT = photograph(PERSON, 640, seed=4)
SAID = DOMAIN.caption(PERSON.attributes)
STEPS = 8


@pytest.fixture(scope="module")
def pipe() -> S2EditPipeline:
    return S2EditPipeline.from_pretrained(ROOT / SHIPPED_MODEL)


@pytest.mark.parametrize("tier", ["residual", "null_text"])
def test_an_edit_whose_target_is_its_source_returns_the_photo(pipe: S2EditPipeline, tier: str) -> None:
    options = InversionOptions(tier=tier)  # type: ignore[arg-type]
    inversion = pipe.invert(SHOT.picture, SHOT.mask, SAID, options=options, num_inference_steps=4)
    out = pipe(SAID, image=SHOT.picture, mask=SHOT.mask, inversion=inversion)
    moved = np.abs(np.asarray(out.images[0], dtype=int) - np.asarray(SHOT.picture, dtype=int))
    assert moved.max() <= 1
    assert out.reports[0]["delivery"]["left"] > 0.999


def test_an_unknown_delivery_is_refused_before_anything_is_sampled(pipe: S2EditPipeline) -> None:
    inversion = pipe.invert(SHOT.picture, SHOT.mask, SAID, num_inference_steps=2)
    before = pipe.evaluations
    with pytest.raises(OptionInvalid, match="difference, paste"):
        pipe(SAID, image=SHOT.picture, mask=SHOT.mask, inversion=inversion, delivery="glue")  # type: ignore[arg-type]
    assert pipe.evaluations == before


@pytest.mark.parametrize("name", ["astronaut", "cat"])
def test_a_real_photograph_comes_back_as_it_was_where_nothing_is_asked(pipe: S2EditPipeline, name: str) -> None:
    """Of scikit-image, public domain. The shipped model draws neither well, which must not show."""
    photo = Image.fromarray(getattr(skimage.data, name)())
    mask = Image.new("L", photo.size)
    ImageDraw.Draw(mask).ellipse((photo.width // 4, 0, photo.width * 3 // 4, photo.height * 3 // 4), fill=255)
    inversion = pipe.invert(photo, mask, "a photo of a person", num_inference_steps=4)
    out = pipe("a photo of a person", image=photo, mask=mask, inversion=inversion)
    assert np.array_equal(np.asarray(out.images[0]), np.asarray(photo))
    box = out.reports[0]["canvas"]["box"]
    assert out.reports[0]["canvas"]["stretch"] == 1
    assert (box[2] - box[0]) * out.reports[0]["canvas"]["frame"][1] == (box[3] - box[1]) * out.reports[0]["canvas"]["frame"][0]


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
    truth = photograph(DOMAIN.change(PERSON, hair_colour="red"), 640, seed=4).picture
    inside = np.asarray(SHOT.mask) > 0
    kept = {}
    for way, out in ways.items():
        pictures = (np.asarray(picture, dtype=float).mean(axis=2) for picture in (out.images[0], truth))
        kept[way] = [np.square(np.diff(each, axis=1))[inside[:, 1:]].sum() for each in pictures]
        assert out.reports[0]["delivery"]["way"] == way
        assert out.reports[0]["canvas"] == {"box": [0, 0, 640, 640], "frame": [128, 128], "stretch": 1.0}
    shares = ways["difference"].reports[0]["delivery"]
    assert shares["shifted"] > 0.02
    assert shares["replaced"] + shares["shifted"] + shares["left"] == pytest.approx(1, abs=1e-3)
    assert kept["difference"][0] > 0.5 * kept["difference"][1]
    assert kept["paste"][0] < 0.1 * kept["paste"][1]

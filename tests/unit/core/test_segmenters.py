"""The port that finds people, and the choice among its adapters."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from s2edit_core.backbone import Backbone
from s2edit_core.errors import ImageInvalid, ModelUnusable
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.segmenters import FoundMask, ModelEye, Segmenter, open_segmenter
from tests.tiny import with_card

PHOTO = Image.effect_noise((48, 32), 80).convert("RGB")
PROMPT = "a photo of a woman with glasses"


def test_the_models_own_eye_needs_nothing_else(backbone: Backbone) -> None:
    pipe = S2EditPipeline(backbone)
    segmenter: Segmenter = open_segmenter(None, pipe)
    assert isinstance(segmenter, ModelEye)
    found = segmenter.find(PHOTO, prompt=PROMPT)
    assert isinstance(found, FoundMask)
    assert (found.segmenter, found.mask.mode, found.mask.size) == ("model", "L", PHOTO.size)
    assert 0.5 <= found.confidence <= 1
    assert found.people >= 1
    all_of_it = np.asarray(pipe.find_mask(PHOTO, PROMPT)) > 127
    mine = np.asarray(found.mask) > 127
    assert (mine & all_of_it).sum() >= 0.8 * mine.sum(), "a part of what find_mask marks, with a smoother edge"


def test_another_photo_than_rgb_is_refused(backbone: Backbone) -> None:
    with pytest.raises(ImageInvalid, match="convert it to RGB"):
        S2EditPipeline(backbone).segmenter("model").find(PHOTO.convert("L"), prompt=PROMPT)


def test_the_card_names_the_segmenter_and_the_caller_another(backbone: Backbone) -> None:
    pipe = S2EditPipeline(with_card(backbone, segmenter="seer"))
    with pytest.raises(ModelUnusable, match="no segmenter 'seer'"):
        open_segmenter(None, pipe)
    assert open_segmenter("model", pipe).name == "model"

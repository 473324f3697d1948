"""A pipeline over the tiny model, an identity, an attribute and an inversion."""

from __future__ import annotations

from typing import Any

import pytest

from s2edit_core.concepts.concept import Concept
from s2edit_core.method.inversion import Inversion
from s2edit_core.pipeline import S2EditOutput, S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from tests.unit.core.pipeline.inputs import FACE, OPTIONS, PHOTO, REFERENCE, SOURCE, TARGET, THEIR_LIPS


@pytest.fixture(scope="package")
def pipe(backbone32: Backbone) -> S2EditPipeline:
    return S2EditPipeline(backbone32, name="tiny")


@pytest.fixture(scope="package")
def identity(pipe: S2EditPipeline) -> Concept:
    return pipe.learn(PHOTO, FACE, SOURCE, "woman", options=OPTIONS, seed=4)


@pytest.fixture(scope="package")
def makeup(pipe: S2EditPipeline) -> Concept:
    prompt = "a woman with [A] lipstick"
    return pipe.learn(REFERENCE, THEIR_LIPS, prompt, "lipstick", placeholder="[A]", options=OPTIONS, seed=5)


@pytest.fixture(scope="package")
def inversion(pipe: S2EditPipeline, identity: Concept) -> Inversion:
    return pipe.invert(PHOTO, FACE, SOURCE, identity, num_inference_steps=4, guidance_scale=3.0)


@pytest.fixture
def edit(pipe: S2EditPipeline, identity: Concept, inversion: Inversion) -> Any:
    def call(prompt: str | list[str] = TARGET, **changes: Any) -> S2EditOutput:
        things = {"image": PHOTO, "mask": FACE, "identity": identity, "inversion": inversion} | changes
        return pipe(prompt, **things)

    return call

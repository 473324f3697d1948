"""Arguments that can't be used are refused by name, before any work."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from s2edit_core.concepts.concept import Concept
from s2edit_core.errors import ArtifactMismatch, InvalidInput, OptionInvalid, PromptInvalid
from s2edit_core.method.inversion import Inversion
from s2edit_core.pipeline import Attribute, Reference, S2EditPipeline
from tests.unit.core.pipeline.inputs import FACE, OPTIONS, PHOTO, SOURCE, TARGET


@pytest.mark.parametrize("seed", [-1, 2**63, 2**64 - 1, True, 1.5, "4"])
def test_a_seed_of_learning_is_a_whole_number(pipe: S2EditPipeline, seed: Any) -> None:
    before = pipe.evaluations
    with pytest.raises(OptionInvalid, match="a seed must be") as refused:
        pipe.learn(PHOTO, FACE, SOURCE, "woman", options=OPTIONS, seed=seed)
    assert refused.value.field == "seed"
    assert pipe.evaluations == before


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("num_inference_steps", steps) for steps in (0, 1, -1, 1000, 2.5, "4")),
        *(("guidance_scale", scale) for scale in (0.0, 0.5, 1000, float("nan"), float("inf"), -3.0, "7", np.float32(3))),
    ],
)
def test_an_inversion_has_steps_and_guidance_that_a_preset_may_have(
    pipe: S2EditPipeline, identity: Concept, name: str, value: Any
) -> None:
    before = pipe.evaluations
    with pytest.raises(OptionInvalid, match=f"{name} must be") as refused:
        pipe.invert(PHOTO, FACE, SOURCE, identity, **{name: value})
    assert refused.value.field == f"options.{name}"
    assert pipe.evaluations == before


def test_a_placeholder_that_nothing_stands_for_is_no_word(pipe: S2EditPipeline, identity: Concept) -> None:
    with pytest.raises(PromptInvalid, match=r"holds \[A\]"):
        pipe.learn(PHOTO, FACE, "a photo of a woman with [A] makeup", "woman", options=OPTIONS)
    with pytest.raises(PromptInvalid, match=r"holds \[A\]"):
        pipe.invert(PHOTO, FACE, "a photo of a [I] woman with [A] makeup", identity, num_inference_steps=4)
    with pytest.raises(PromptInvalid, match=r"holds \[I\]"):
        pipe.invert(PHOTO, FACE, SOURCE, None, num_inference_steps=4)


@pytest.mark.parametrize("bad", ["a photo of a man", "a photo of a [I] woman with [A] makeup", "a photo of a woman " * 30])
def test_all_prompts_of_a_batch_are_checked_before_the_first_is_edited(edit: Any, pipe: S2EditPipeline, bad: str) -> None:
    before = pipe.evaluations
    with pytest.raises(PromptInvalid):
        edit([TARGET, bad])
    assert pipe.evaluations == before


def test_files_that_were_changed_are_refused(pipe: S2EditPipeline, identity: Concept, inversion: Inversion) -> None:
    for kind, data in ((Concept, identity.to_bytes()), (Inversion, inversion.to_bytes())):
        kind.from_bytes(data, fingerprint=pipe.backbone.fingerprints)
        changed = bytearray(data)
        changed[-5] ^= 1
        with pytest.raises(ArtifactMismatch, match="changed since"):
            kind.from_bytes(bytes(changed), fingerprint=pipe.backbone.fingerprints)


@pytest.mark.parametrize("device", ["x", "tpu", "cuda:99"])
def test_a_device_that_is_not_there_is_named(device: str) -> None:
    with pytest.raises(OptionInvalid, match=f"the device '{device}' can't be used") as refused:
        S2EditPipeline.from_pretrained("models/world-128", device=device)
    assert refused.value.field == "device"


PATH, ARRAY = Path("photo.png"), np.zeros((60, 80, 3), np.uint8)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        *(("image", value, "Image") for value in (None, "photo.png", PATH, ARRAY, [PHOTO])),
        *(("mask", value, "Image") for value in (None, PATH, ARRAY)),
        *(("edit_mask", value, "Image or None") for value in (PATH, ARRAY)),
        *(("prompt", value, "str or Sequence") for value in (None, 7, PATH)),
        *(("inversion", value, "Inversion") for value in (None, PATH, {})),
        *(("identity", value, "Concept or None") for value in ("woman.safetensors", PATH, {})),
        *(("attributes", value, "Sequence") for value in (None, "makeup", PATH)),
        ("attributes", ["makeup.safetensors"], "hold objects of `Attribute`"),
        ("negative_prompt", ["a hat"], "str or None"),
        ("generator", 7, "Generator or None"),
        ("injection", "difference", "InjectionOptions or None"),
        ("callback_on_step_end", "print", "Callable or None"),
    ],
)
def test_an_argument_of_a_call_of_another_type_is_named(
    edit: Any, pipe: S2EditPipeline, name: str, value: Any, wanted: str
) -> None:
    before = pipe.evaluations
    with pytest.raises(InvalidInput, match=f"^{name} must (be of type )?{re.escape(wanted)}") as refused:
        edit(**{name: value})
    assert refused.value.field == name
    assert pipe.evaluations == before


@pytest.mark.parametrize(
    ("name", "value"),
    [("prompt", ["a woman"]), ("subject", 3), ("placeholder", None), ("request_words", "hair"), ("person", PATH), ("mask", ARRAY)],
)
def test_an_argument_of_learning_of_another_type_is_named(pipe: S2EditPipeline, name: str, value: Any) -> None:
    things: dict[str, Any] = {"image": PHOTO, "mask": FACE, "prompt": SOURCE, "options": OPTIONS} | {name: value}
    with pytest.raises(OptionInvalid, match=f"^{name} must be") as refused:
        pipe.learn(**things)
    assert refused.value.field == name


def test_fields_of_an_attribute_are_checked_where_it_is_made(makeup: Concept) -> None:
    with pytest.raises(OptionInvalid, match=r"^region must be of type Image or None, not PosixPath"):
        Attribute(makeup, PATH)  # type: ignore[arg-type]
    with pytest.raises(OptionInvalid, match=r"^concept must be of type Concept, not str"):
        Attribute("makeup.safetensors")  # type: ignore[arg-type]


def test_sequences_and_missing_options_are_what_they_were(edit: Any, pipe: S2EditPipeline) -> None:
    assert len(edit((TARGET, TARGET), attributes=[], edit_mask=None, generator=None).images) == 2
    assert len(edit({TARGET: 1}.keys(), attributes={}.values()).images) == 1
    with pytest.raises(PromptInvalid, match="must be a text"):
        edit([TARGET, None])
    with pytest.raises(OptionInvalid, match="references must hold objects of `Reference`"):
        pipe.learn_together([(PHOTO, FACE, SOURCE)])  # type: ignore[list-item]


def test_a_missing_argument_is_pythons_own_error(pipe: S2EditPipeline) -> None:
    with pytest.raises(TypeError, match=r"learn\(\) missing"):
        pipe.learn(PHOTO)  # type: ignore[call-arg]


def test_a_users_subclass_may_have_types_that_cannot_be_resolved() -> None:
    @dataclass(frozen=True, eq=False)
    class Named(Reference):
        name: "Nowhere" = ""  # type: ignore[name-defined]  # noqa: F821, UP037

    assert Named(PHOTO, FACE, SOURCE).prompt == SOURCE

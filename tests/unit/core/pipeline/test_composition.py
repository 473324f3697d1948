"""Attributes, and concepts that are learned together, through the pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from PIL import Image

from s2edit_core.concepts.concept import Concept, LowRank
from s2edit_core.errors import ArtifactMismatch, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.learning.learning import Checkpoint
from s2edit_core.pipeline import Attribute, Reference, S2EditPipeline
from s2edit_core.request.spec import Progress
from s2edit_core.unet.rows import finish
from tests.unit.core.pipeline.inputs import BLEND, FACE, LIPS, OPTIONS, PHOTO, REFERENCE, SIZE, SOURCE, THEIR_LIPS, picture, region


def test_an_attribute_of_another_person_is_put_on_this_one(edit: Any, makeup: Concept) -> None:
    out = edit("a photo of a [I] woman with [A] lipstick", attributes=[Attribute(makeup, LIPS)])
    assert out.reports[0]["leakage"] == {"[I]": 0.0, "[A]": 0.0}
    assert out.reports[0]["attributes"] == {"[A]": makeup.facts}
    plain = edit("a photo of a [I] woman with lipstick lipstick")
    assert not torch.equal(out.latents, plain.latents)


def test_an_attribute_without_a_region_acts_where_the_edit_may_change_the_photo(edit: Any, makeup: Concept) -> None:
    """And a blend looks for what it changes, where with a region it leaves that to the edit."""
    prompt, mask = "a photo of a [I] woman with [A] lipstick", region(24, 14, 52, 46)
    free, named = (
        [edit(prompt, edit_mask=mask, attributes=[Attribute(makeup, where)], injection=how).latents for how in (None, BLEND)]
        for where in (None, mask)
    )
    assert torch.equal(free[0], named[0])
    assert not torch.equal(free[1], named[1])


def test_an_attribute_shut_out_of_everywhere_says_nothing(pipe: S2EditPipeline, makeup: Concept) -> None:
    """A region beside the frame shuts its gate: then nothing of what the reference has taught V reaches the picture."""
    wide, face, lips = picture(7, (200, 60)), region(100, 10, 136, 50, size=(200, 60)), region(112, 36, 124, 42, size=(200, 60))
    assert pipe.canvas(wide, face).box[0] > 20
    beside = region(0, 0, 20, 60, size=(200, 60))
    louder = replace(makeup, values=tuple(LowRank(d.down, d.up + 1.0) for d in makeup.values if isinstance(d, LowRank)))
    inverted = pipe.invert(wide, face, "a photo of a woman", num_inference_steps=3, guidance_scale=2.0)
    quiet, loud, heard = (
        pipe(
            "a photo of a woman with [A] lipstick",
            image=wide,
            mask=face,
            inversion=inverted,
            attributes=[Attribute(concept, where)],
        ).latents
        for concept, where in ((makeup, beside), (louder, beside), (louder, lips))
    )
    assert torch.equal(quiet, loud)
    assert not torch.equal(loud, heard)


def test_an_attribute_fits_other_identities(pipe: S2EditPipeline, makeup: Concept) -> None:
    other = pipe.learn(REFERENCE, region(10, 10, 54, 54, size=(64, 64)), "a photo of a man", "man", options=OPTIONS)
    face = region(10, 10, 54, 54, size=(64, 64))
    inverted = pipe.invert(REFERENCE, face, concept=other, num_inference_steps=3)
    out = pipe(
        "a photo of a man with [A] lipstick",
        image=REFERENCE,
        mask=face,
        identity=other,
        inversion=inverted,
        attributes=[Attribute(makeup, THEIR_LIPS)],
    )
    assert out.reports[0]["prompt"] == "a photo of a [I] man with [A] lipstick"


def test_two_attributes_need_two_names(edit: Any, makeup: Concept) -> None:
    twice = [Attribute(makeup, LIPS), Attribute(makeup, LIPS)]
    with pytest.raises(OptionInvalid, match="renamed"):
        edit("a [I] woman with [A] lipstick", attributes=twice)
    other = Attribute(makeup.renamed("[B]"), region(24, 30, 30, 36))
    out = edit("a [I] woman with [A] lipstick and [B] lipstick", attributes=[twice[0], other])
    assert set(out.reports[0]["leakage"]) == {"[I]", "[A]", "[B]"}


def test_attributes_that_cannot_be_are_refused(pipe: S2EditPipeline, edit: Any, identity: Concept, makeup: Concept) -> None:
    with pytest.raises(PromptInvalid, match=r"write \[A\] lipstick"):
        edit(attributes=[Attribute(makeup, LIPS)])
    prompt = "a [I] woman with [A] lipstick"
    with pytest.raises(MaskInvalid, match="the region is empty"):
        edit(prompt, attributes=[Attribute(makeup, Image.new("L", SIZE))])
    with pytest.raises(OptionInvalid, match="pass it as the identity"):
        edit(prompt, attributes=[Attribute(identity, LIPS)])
    with pytest.raises(OptionInvalid, match="pass it as an attribute"):
        edit("a woman with [A] lipstick", identity=makeup)
    with pytest.raises(OptionInvalid, match="pass it as an attribute"):
        pipe.invert(picture(1), LIPS, "a woman", makeup)
    with pytest.raises(ArtifactMismatch, match=r"\[A\] was learned with another model"):
        edit(prompt, attributes=[Attribute(replace(makeup, fingerprint="b" * 32), LIPS)])


def test_learned_together_through_the_facade(pipe: S2EditPipeline, edit: Any) -> None:
    references = [
        Reference(PHOTO, FACE, "a photo of a woman"),
        Reference(REFERENCE, THEIR_LIPS, "a woman with lipstick", "lipstick", "[A]", person=region(8, 8, 56, 56, size=(64, 64))),
    ]
    seen: list[Progress] = []
    who, what = pipe.learn_together(references, options=OPTIONS, on_progress=seen.append)
    assert (who.placeholder, who.facts["prompt"]) == ("[I]", "a photo of a [I] woman")
    assert (what.placeholder, what.facts["prompt"]) == ("[A]", "a woman with [A] lipstick")
    assert who.facts["max_abs_cosine_to_others"] == what.facts["max_abs_cosine_to_others"]
    assert [p.step for p in seen] == [1, 2, 3, 4]
    with pytest.raises(PromptInvalid, match="pass that word as `subject`"):
        pipe.learn(PHOTO, FACE, "a lighthouse", options=OPTIONS)
    with pytest.raises(PromptInvalid, match="an attribute needs a subject"):
        pipe.learn(REFERENCE, THEIR_LIPS, "a woman with lipstick", placeholder="[A]", options=OPTIONS)


def test_learning_through_the_facade_can_be_resumed(pipe: S2EditPipeline, identity: Concept) -> None:
    seen: list[Progress] = []
    canvas = pipe.canvas(PHOTO, FACE)
    whole = finish(pipe.learning(canvas, SOURCE, "woman", OPTIONS, seed=4, every=3), seen.append)
    assert whole.to_bytes() == identity.to_bytes()
    (kept,) = [p for p in seen if isinstance(p, Checkpoint)]
    assert finish(pipe.learning(canvas, SOURCE, "woman", OPTIONS, seed=4, state=kept.state)).to_bytes() == identity.to_bytes()

"""The transfer of makeup between people: its region, the prompts and what is learned."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lab.quality.composition import MAKEUP, REFERENCE_OFFSET, Composed, makeup_transfer, region_of, with_attribute
from lab.quality.method import RECONSTRUCTION, Case, Injected
from lab.quality.parts import name_of
from lab.quality.portraits import case_of
from lab.world.edits import FIRST, Subject, subject_of
from lab.world.people import Attributes, sample_person
from lab.world.portraits import part_masks
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions, LearningOptions
from s2edit_core.request.presets import PRESETS

STEPS = 2
LEARNING = LearningOptions(start_steps=8, token_steps=1, joint_steps=1, batch=2)
APART = Composed("apart", STEPS, LEARNING, InversionOptions(tier="residual"), Injected(PRESETS["balanced"].injection))
TOGETHER = replace(APART, together=True)


@pytest.fixture(scope="module")
def subject() -> Subject:
    """A woman with neither lipstick nor blush."""
    return next(
        s for number in range(FIRST, FIRST + 99) if (s := subject_of(number, (MAKEUP, "hat"))).answers.keys() >= {MAKEUP, "hat"}
    )


@pytest.fixture(scope="module")
def case(pipe: S2EditPipeline, subject: Subject) -> Case:
    return case_of(pipe, subject)


def test_the_region_of_makeup_covers_lips_and_cheeks_only(subject: Subject) -> None:
    region = np.asarray(region_of(subject.person)) > 0
    parts = part_masks(subject.person)
    assert region[parts["mouth"] > 0.9].mean() > 0.9
    assert 0.01 < region.mean() < 0.12
    assert not region[parts["background"] + parts["clothes"] > 0.99].any()
    assert not region[:50].any()


def test_the_makeup_comes_from_another_person(pipe: S2EditPipeline, subject: Subject) -> None:
    transfer = makeup_transfer(pipe, subject)
    reference = sample_person(subject.number + REFERENCE_OFFSET)
    assert reference.identity != subject.person.identity
    assert transfer.prompt.endswith("[A] lipstick")
    assert "blush" not in transfer.prompt + transfer.target
    assert transfer.target == with_attribute(subject.person.attributes)


def test_prompts_have_the_form_of_captions() -> None:
    assert with_attribute(Attributes(lipstick=True, blush=True)) == "a photo of a woman with short brown hair and [A] lipstick"
    both = Attributes(glasses=True, blush=True, earrings=True)
    assert with_attribute(both) == "a photo of a woman with short brown hair, glasses, earrings and [A] lipstick"


def test_only_the_makeup_edit_has_a_transfer(case: Case, pipe: S2EditPipeline) -> None:
    assert set(case.transfers) == {MAKEUP}
    assert not case_of(pipe, subject_of(FIRST, ("hair",))).transfers


@pytest.mark.parametrize("method", [APART, TOGETHER], ids=["apart", "together"])
def test_identity_and_attribute_are_learned_and_used(pipe: S2EditPipeline, case: Case, method: Composed) -> None:
    found = method.run(pipe, [case, replace(case, transfers={})], 3.0)
    assert set(found.latents) == {(i, name) for i in range(2) for name in (*case.targets, RECONSTRUCTION)}
    assert found.costs["learn"].evaluations == (2 + 1) * 2 * 2  # concepts · steps · batch
    assert not found.latents[0, MAKEUP].equal(found.latents[1, MAKEUP])  # with [A], and with words
    assert found.latents[0, RECONSTRUCTION].allclose(found.latents[1, RECONSTRUCTION], atol=1e-4)


def test_the_name_of_a_part_depends_on_the_transfer(case: Case) -> None:
    other = replace(case.transfers[MAKEUP], region=case.transfers[MAKEUP].target_region)
    names = {
        name_of("model", 3.0, APART, [each])
        for each in (case, replace(case, transfers={}), replace(case, transfers={MAKEUP: other}))
    }
    assert len({*names, name_of("model", 3.0, TOGETHER, [case])}) == 4

"""Makeup from one person to another: where it is, what the prompts say, and who learns what."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lab.quality.bench import case_of
from lab.quality.composition import MAKEUP, WEARERS, Composed, makeup_of, region_of, with_attribute
from lab.quality.method import RECONSTRUCTION, Case, Injected
from lab.quality.parts import name_of
from lab.world.edits import FIRST, Subject, subject_of
from lab.world.people import Attributes, sample_person
from lab.world.portraits import part_masks
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions, LearningOptions
from s2edit_core.request.spec import PRESETS

STEPS = 2
LEARNING = LearningOptions(token_steps=1, joint_steps=1, batch=2)
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


def test_makeup_is_on_lips_and_cheeks_and_nowhere_else(subject: Subject) -> None:
    region = np.asarray(region_of(subject.person)) > 0
    parts = part_masks(subject.person)
    assert region[parts["mouth"] > 0.9].mean() > 0.9
    assert 0.01 < region.mean() < 0.12
    assert not region[parts["background"] + parts["clothes"] > 0.99].any()
    assert not region[:50].any()


def test_what_is_worn_is_somebody_elses(pipe: S2EditPipeline, subject: Subject) -> None:
    worn = makeup_of(pipe, subject)
    wearer = sample_person(subject.number + WEARERS)
    assert wearer.identity != subject.person.identity
    assert worn.prompt.endswith("[A] lipstick")
    assert "blush" not in worn.prompt + worn.target
    assert worn.target == with_attribute(subject.person.attributes)


def test_prompts_read_as_captions_do() -> None:
    assert with_attribute(Attributes(lipstick=True, blush=True)) == "a photo of a woman with short brown hair and [A] lipstick"
    both = Attributes(glasses=True, blush=True, earrings=True)
    assert with_attribute(both) == "a photo of a woman with short brown hair, glasses, earrings and [A] lipstick"


def test_only_the_edit_that_takes_something_has_it(case: Case, pipe: S2EditPipeline) -> None:
    assert set(case.worn) == {MAKEUP}
    assert not case_of(pipe, subject_of(FIRST, ("hair",))).worn


@pytest.mark.parametrize("method", [APART, TOGETHER], ids=["apart", "together"])
def test_both_are_learned_and_used(pipe: S2EditPipeline, case: Case, method: Composed) -> None:
    found = method.run(pipe, [case, replace(case, worn={})], 3.0)
    assert set(found.latents) == {(i, name) for i in range(2) for name in (*case.targets, RECONSTRUCTION)}
    assert found.costs["learn"].evaluations == (2 + 1) * 2 * 2  # concepts · steps · batch
    assert not found.latents[0, MAKEUP].equal(found.latents[1, MAKEUP])  # by [A], and by words
    assert found.latents[0, RECONSTRUCTION].allclose(found.latents[1, RECONSTRUCTION], atol=1e-4)


def test_what_is_taken_is_part_of_what_a_result_depends_on(case: Case) -> None:
    other = replace(case.worn[MAKEUP], region=case.worn[MAKEUP].place)
    names = {name_of("model", 3.0, APART, [each]) for each in (case, replace(case, worn={}), replace(case, worn={MAKEUP: other}))}
    assert len({*names, name_of("model", 3.0, TOGETHER, [case])}) == 4

"""The demo's photos and edits are those of the lab's world, where each edit's true answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from cli.demo.samples import EDITS, FIRST_EDITS, SOURCE_PROMPTS, sample
from lab.world.sample import ANSWERS, SUBJECTS, mask_of
from s2edit_core.pictures.files import inside_of

COMPRESSION_LEVELS = 4
"""By so much the shipped photos may differ from the drawn ones, on average: they are compressed, and have film grain."""


@pytest.mark.parametrize("name", SUBJECTS)
def test_each_sample_is_the_photo_that_the_lab_draws_with_its_mask_and_caption(name: str) -> None:
    domain, subject = SUBJECTS[name]
    shipped = sample(name)
    drawn = np.asarray(domain.render(subject, shipped.photo.width), dtype=np.float32)
    assert np.abs(np.asarray(shipped.photo) - drawn).mean() < COMPRESSION_LEVELS
    assert shipped.mask.tobytes() == mask_of(name).tobytes()
    assert shipped.source_prompt.replace("[A] ", "") == domain.caption(subject.attributes)


def test_the_prompts_are_the_captions_of_the_true_answers() -> None:
    for edit, (domain, answer) in zip(EDITS, ANSWERS, strict=True):
        assert edit.prompt.replace("[A] ", "") == domain.caption(answer.attributes)
        assert answer.attributes != SUBJECTS[edit.of][1].attributes


def test_each_subject_has_a_first_edit_and_only_the_transfer_names_an_attribute() -> None:
    assert {edit.of for edit in FIRST_EDITS} | {"makeup"} == set(SOURCE_PROMPTS) == set(SUBJECTS)
    assert {edit.attribute for edit in EDITS if "[A]" in edit.prompt} == {"makeup"}
    assert not any(edit.attribute for edit in EDITS if "[A]" not in edit.prompt)


@pytest.mark.parametrize("name", [edit.of for edit in FIRST_EDITS])
def test_the_true_answers_change_little_outside_the_edit_mask(name: str) -> None:
    """So a result can equal its true answer, although the demo sends an edit mask of the church alone."""
    edit_mask = inside_of(sample(name).edit_mask)
    for edit, (domain, answer) in zip(EDITS, ANSWERS, strict=True):
        if edit.of == name:
            photo = np.asarray(domain.render(SUBJECTS[name][1]), dtype=np.int16)
            changed = np.abs(np.asarray(domain.render(answer), dtype=np.int16) - photo).max(axis=2) > 24
            allowed = edit_mask[::4, ::4]
            assert changed.any()
            assert (changed & ~allowed).sum() <= 0.02 * changed.sum(), edit.prompt

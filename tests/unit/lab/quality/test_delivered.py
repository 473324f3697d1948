"""The figures of a delivered edit, for outputs whose figures are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lab.quality.delivered import DELIVERED, SIZE, Original, deliver, measure_delivered, original_of
from lab.quality.population import Shot
from lab.quality.portraits import case_of
from lab.world.edits import FIRST, Subject, subject_of
from lab.world.photographs import photograph
from s2edit_core.delivery.canvas import to_image
from s2edit_core.pipeline import S2EditPipeline


@pytest.fixture(scope="module")
def subject() -> Subject:
    return subject_of(FIRST, ("hair",))


@pytest.fixture(scope="module")
def original(pipe: S2EditPipeline, subject: Subject) -> Original:
    return original_of(pipe, shot_of(subject), case_of(pipe, subject).canvas)


def shot_of(subject: Subject) -> Shot:
    drawn = photograph(subject.person, SIZE, subject.number)
    return Shot(drawn.picture, drawn.mask)


@pytest.fixture(scope="module")
def answer(subject: Subject) -> Image.Image:
    return photograph(subject.answer(subject.edits[0]), SIZE, subject.number).picture


def test_an_output_equal_to_the_source_delivers_the_photo_itself(
    pipe: S2EditPipeline, answer: Image.Image, original: Original
) -> None:
    raw = to_image(original.before)
    assert original.canvas.photo.size == (SIZE, SIZE)
    assert np.array_equal(np.asarray(deliver(pipe, original, raw)), np.asarray(original.canvas.photo))
    figures = measure_delivered(pipe, original, answer, raw)
    assert tuple(figures) == DELIVERED
    psnr, changed, unchanged, detail = figures.values()
    assert psnr is not None
    assert changed is not None
    assert unchanged is not None
    assert unchanged > 55 > psnr > changed
    assert detail == pytest.approx(1, abs=0.01)


def test_a_perfect_output_comes_nearer_to_the_true_answer_and_keeps_the_detail(
    pipe: S2EditPipeline, subject: Subject, answer: Image.Image, original: Original
) -> None:
    perfect = replace(original, before=original.canvas.source())
    raw = subject.answers["hair"].resize(original.canvas.frame, Image.Resampling.LANCZOS)
    before = measure_delivered(pipe, perfect, answer, to_image(perfect.before))
    after = measure_delivered(pipe, perfect, answer, raw)
    assert after["delivered_psnr_changed"] is not None
    assert before["delivered_psnr_changed"] is not None
    assert after["delivered_psnr_changed"] > before["delivered_psnr_changed"] + 3
    assert after["delivered_detail"] == pytest.approx(1, abs=0.1)


def test_a_portrait_that_shows_another_part_of_the_person_is_refused(pipe: S2EditPipeline, subject: Subject) -> None:
    cut = replace(case_of(pipe, subject).canvas, box=(8, 8, 120, 120))
    with pytest.raises(ValueError, match=r"framed by \(0, 0, 512, 512\), the picture by \(8, 8, 120, 120\)"):
        original_of(pipe, shot_of(subject), cut)

"""The figures of a delivered edit, for outputs whose figures are known."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from lab.quality.delivered import DELIVERED, SIZE, Original, deliver, measure_delivered, original_of
from lab.quality.phases import Case
from lab.quality.population import Population, Subject
from lab.quality.worlds.measures import Judges
from s2edit_core.delivery.canvas import to_image
from s2edit_core.pipeline import S2EditPipeline


@pytest.fixture(scope="module")
def subject(two_cats: list[Subject]) -> Subject:
    return two_cats[1]


@pytest.fixture(scope="module")
def original(pipe: S2EditPipeline, cats: Population, subject: Subject, cases: list[Case]) -> Original:
    return original_of(pipe, cats.photograph(subject, SIZE), cases[1].canvas)


@pytest.fixture(scope="module")
def answer(cats: Population, subject: Subject) -> Image.Image:
    return cats.photographed_answer(subject, "sleeping", SIZE)


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
    raw = subject.answers["sleeping"].resize(original.canvas.frame, Image.Resampling.LANCZOS)
    before = measure_delivered(pipe, perfect, answer, to_image(perfect.before))
    after = measure_delivered(pipe, perfect, answer, raw)
    assert after["delivered_psnr_changed"] is not None
    assert before["delivered_psnr_changed"] is not None
    assert after["delivered_psnr_changed"] > before["delivered_psnr_changed"] + 3
    assert after["delivered_detail"] == pytest.approx(1, abs=0.1)


def test_a_picture_that_shows_another_part_of_the_subject_is_refused(
    pipe: S2EditPipeline, cats: Population, subject: Subject, cases: list[Case]
) -> None:
    cut = replace(cases[1].canvas, box=(8, 8, 120, 120))
    with pytest.raises(ValueError, match=r"framed by \(\d+, .*, the picture by \(8, 8, 120, 120\)"):
        original_of(pipe, cats.photograph(subject, SIZE), cut)


def test_a_person_is_photographed_with_textures_that_edits_keep(pipe: S2EditPipeline, world_judges: Judges) -> None:
    people = Population(pipe, "person", world_judges)
    subject = people.unseen(1, ("hair colour",))[0]
    plain = np.asarray(subject.case.photo.domain.render(subject.case.photo.subject, SIZE), dtype=int)
    shot, answer = people.photograph(subject, SIZE), people.photographed_answer(subject, "hair colour", SIZE)
    before, after = (np.asarray(picture, dtype=int) for picture in (shot.picture, answer))
    assert 1 < np.abs(before - plain).mean() < 12
    kept = np.abs(before - after).max(axis=2) == 0
    assert 0.3 < kept.mean() < 0.98
    assert np.abs(before - plain)[kept].mean() > 1, "what the edit keeps has textures"
    assert shot.mask.size == (SIZE, SIZE)
    assert people.photograph(subject, SIZE) is shot, "drawn once"

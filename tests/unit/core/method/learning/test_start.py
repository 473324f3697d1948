"""The start of learning, which jobs of one model share."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor

from s2edit_core.method.learning import start
from s2edit_core.method.learning.learner import Learner, Preparation, attribute_states, new_learner, orthogonal_words
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.method.learning.start import Starts, orthogonalise_start
from s2edit_core.request.options import LearningOptions
from s2edit_core.unet.backbone import Backbone

OPTIONS: dict[str, Any] = {"start_steps": 4, "token_steps": 1, "joint_steps": 1, "batch": 1}
PROMPT = "a photo of a [I] woman"


@pytest.fixture(autouse=True)
def _none_yet(backbone: Backbone) -> None:
    backbone.once("starts", Starts).kept.clear()


def learner(backbone: Backbone, prompt: str = PROMPT, subject: str = "woman", *, seed: int = 0, **options: Any) -> Learner:
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    lesson = Lesson(latent, torch.ones(32, 32), prompt, subject)
    made = new_learner(backbone, lesson, LearningOptions(**OPTIONS | options), seed)
    made.word_list = tuple(orthogonal_words(backbone, lesson))
    made.words = finished(attribute_states(backbone, made.word_list))
    return made


def finished(preparation: Preparation[Any]) -> Any:
    try:
        while True:
            preparation.send(None)  # type: ignore[arg-type]
    except StopIteration as end:
        return end.value


def started(backbone: Backbone, *about: str, seed: int = 0, **options: Any) -> Tensor:
    """The token after the start."""
    mine = learner(backbone, *about, seed=seed, **options)
    finished(orthogonalise_start(mine, LearningOptions(**OPTIONS | options)))
    return mine.token.detach()


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """The starts that are computed."""
    made: list[int] = []
    compute = start._minimised

    def watching(*arguments: Any) -> Preparation[Tensor]:
        made.append(1)
        return compute(*arguments)

    monkeypatch.setattr(start, "_minimised", watching)
    yield made


def test_a_second_photo_with_the_same_beginning_of_the_prompt_starts_where_the_first_did(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with counted(monkeypatch) as computed:
        first = started(backbone)
        second = started(backbone, "a photo of a [I] woman with a hat", seed=5)
        assert len(computed) == 1
    assert torch.equal(first, second)
    backbone.once("starts", Starts).kept.clear()
    assert torch.equal(first, started(backbone, "a photo of a [I] woman with a hat", seed=5)), "as if it were the first"


@pytest.mark.parametrize(
    ("about", "options"),
    [
        (("a picture of a [I] woman", "woman"), {}),
        ((PROMPT, "person"), {}),
        ((PROMPT, "woman"), {"semantic_power": 2}),
        ((PROMPT, "woman"), {"start_steps": 2}),
    ],
)
def test_what_the_start_depends_on_is_told_apart(
    backbone: Backbone, monkeypatch: pytest.MonkeyPatch, about: tuple[str, str], options: dict[str, Any]
) -> None:
    with counted(monkeypatch) as computed:
        first = started(backbone, PROMPT, "woman", semantic_power=8)
        other = started(backbone, *about, **{"semantic_power": 8} | options)
        assert len(computed) == 2
    assert not torch.equal(first, other)


def test_learning_further_does_not_change_the_start_of_others(backbone: Backbone) -> None:
    mine = learner(backbone)
    finished(orthogonalise_start(mine, LearningOptions(**OPTIONS)))
    kept = mine.token.detach().clone()
    with torch.no_grad():
        mine.token.fill_(float("nan"))
    assert torch.equal(started(backbone), kept)


def test_jobs_of_several_threads_compute_one_start(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    with counted(monkeypatch) as computed, ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda i: started(backbone, seed=i), range(8)))
        assert len(computed) == 1
    assert all(torch.equal(found[0], each) for each in found)


def test_the_job_that_computes_a_start_can_be_canceled_and_the_next_one_takes_over() -> None:
    starts, begun = Starts(), threading.Event()

    def forever() -> Preparation[Tensor]:
        while True:
            begun.set()
            yield ()

    def at_once() -> Preparation[Tensor]:
        yield ()
        return torch.ones(1)

    first = starts.get("a", forever)
    next(first)
    assert begun.is_set()
    second = starts.get("a", at_once)
    assert next(second) == (), "it waits, and can be interrupted"
    other = starts.get("b", at_once)
    assert finished(other) == 1, "others do not wait"
    first.close()
    assert finished(second) == 1
    assert finished(starts.get("a", forever)) == 1


def test_a_start_that_fails_is_tried_again_by_the_next_job() -> None:
    starts = Starts()

    def failing() -> Preparation[Tensor]:
        yield ()
        raise ValueError("on purpose")

    def sound() -> Preparation[Tensor]:
        yield ()
        return torch.ones(1)

    with pytest.raises(ValueError, match="on purpose"):
        finished(starts.get("a", failing))
    assert finished(starts.get("a", sound)) == 1


def test_only_the_starts_used_last_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(start, "MOST_STARTS", 2)
    starts = Starts()

    def value(number: int) -> Preparation[Tensor]:
        yield ()
        return torch.tensor(number)

    for number in (1, 2, 1, 3):
        finished(starts.get(number, lambda number=number: value(number)))
    assert list(starts.kept) == [1, 3]

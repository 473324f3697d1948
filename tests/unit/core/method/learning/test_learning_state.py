"""A learning that is cut anywhere and resumed ends in the same bytes; and ends early where it was told to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from s2edit_core.concepts.concept import Concept, read_safetensors, write_safetensors
from s2edit_core.errors import ArtifactMismatch
from s2edit_core.method.learning import learning
from s2edit_core.method.learning.held_out import COUNT, STEP, has_fallen, held_out_losses
from s2edit_core.method.learning.learner import PAUSE, new_learner, noised_rows, step_generator
from s2edit_core.method.learning.learning import Checkpoint, learn_concepts
from s2edit_core.method.learning.learning_state import FORMAT, LearningState, StepCounter, settings_digest
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.request.options import LearningMode, LearningOptions
from s2edit_core.request.spec import ATTRIBUTE, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive

OPTIONS = LearningOptions(start_steps=8, token_steps=3, joint_steps=3, batch=2, kv_rate=1e-2)


def lesson(seed: int = 40) -> Lesson:
    mask = torch.zeros(32, 32)
    mask[4:28, 8:24] = 1.0
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed))
    return Lesson(latent, mask, "a photo of a [I] woman", "woman", request_words=("red",))


def attribute_lesson() -> Lesson:
    return replace(lesson(41), prompt="a woman with [A] lipstick", subject="lipstick", placeholder=ATTRIBUTE)


def learn(
    backbone: Backbone,
    lessons: Sequence[Lesson] = (),
    options: LearningOptions = OPTIONS,
    *,
    seed: int = 3,
    **further: Any,
) -> tuple[tuple[Concept, ...], list[Progress]]:
    seen: list[Progress] = []
    algorithm = learn_concepts(backbone, lessons or (lesson(),), options, seed=seed, **further)
    return drive(algorithm, backbone.evaluate, seen.append), seen


def states(seen: list[Progress]) -> dict[int, LearningState]:
    return {p.step: p.state for p in seen if isinstance(p, Checkpoint) and p.state is not None}


def to_bytes(concepts: tuple[Concept, ...]) -> list[bytes]:
    return [concept.to_bytes() for concept in concepts]


@pytest.mark.parametrize("mode", ["token", "lora_kv", "kv"])
def test_resumed_after_any_step_it_ends_in_the_same_bytes(backbone32: Backbone, mode: LearningMode) -> None:
    """In float32, through a file; the third step is the last of the first phase, and the sixth the last of all."""
    options = replace(OPTIONS, mode=mode)
    whole, seen = learn(backbone32, options=options, every=1)
    kept = states(seen)
    assert sorted(kept) == list(range(1, options.steps + 1))
    for step, state in kept.items():
        read = LearningState.from_bytes(state.to_bytes(), fingerprint=backbone32.fingerprint)
        resumed, rest = learn(backbone32, options=options, state=read)
        assert to_bytes(resumed) == to_bytes(whole), f"cut after step {step}"
        assert [p.step for p in rest] == list(range(step + 1, options.steps + 1))


def test_two_concepts_learned_together_are_resumed_together(backbone32: Backbone) -> None:
    lessons = (lesson(), attribute_lesson())
    whole, seen = learn(backbone32, lessons, every=2)
    for state in states(seen).values():
        assert to_bytes(learn(backbone32, lessons, state=state)[0]) == to_bytes(whole)


def test_states_come_every_so_many_steps_and_change_nothing(backbone32: Backbone) -> None:
    plain, seen = learn(backbone32)
    assert states(seen) == {}
    kept, seen = learn(backbone32, every=2)
    assert sorted(states(seen)) == [2, 4, 6]
    assert [p.step for p in seen] == [1, 2, 3, 4, 5, 6]
    assert to_bytes(kept) == to_bytes(plain)


def test_a_state_stays_as_it_was_when_the_learning_goes_on(backbone32: Backbone) -> None:
    algorithm = learn_concepts(backbone32, (lesson(),), OPTIONS, every=1)
    first: list[bytes] = []
    state: list[LearningState] = []

    def watch(progress: Progress) -> None:
        assert isinstance(progress, Checkpoint)
        if progress.state is not None and not state:
            state.append(progress.state)
            first.append(progress.state.to_bytes())

    drive(algorithm, backbone32.evaluate, watch)
    assert state[0].to_bytes() == first[0]


def test_a_state_comes_back_from_its_file(backbone32: Backbone, tmp_path: Path) -> None:
    state = states(learn(backbone32, every=4)[1])[4]
    state.save(tmp_path / "state.safetensors")
    read = LearningState.load(tmp_path / "state.safetensors", fingerprint=backbone32.fingerprint)
    assert read.counter == state.counter == StepCounter(1, 1, state.counter.losses, (3,))
    assert read.to_bytes() == state.to_bytes()
    with pytest.raises(ArtifactMismatch, match="another model"):
        LearningState.load(tmp_path / "state.safetensors", fingerprint="b" * 32)
    with pytest.raises(ArtifactMismatch):
        LearningState.from_bytes(state.to_bytes()[:-9], fingerprint=backbone32.fingerprint)


@pytest.mark.parametrize(
    "other",
    [
        {"seed": 4},
        {"options": replace(OPTIONS, kv_rate=2e-2)},
        {"options": replace(OPTIONS, mode="kv")},
        {"lessons": (lesson(42),)},
        {"lessons": (replace(lesson(), mask=torch.ones(32, 32)),)},
        {"lessons": (replace(lesson(), prompt="a [I] woman"),)},
        {"lessons": (replace(lesson(), request_words=()),)},
        {"lessons": (lesson(), attribute_lesson())},
        {"lessons": (replace(lesson(), others=(lesson(42),)),)},
        {"options": replace(OPTIONS, weighting="velocity")},
    ],
    ids=["seed", "rate", "mode", "photo", "mask", "prompt", "words", "one more", "another photo", "weighting"],
)
def test_the_state_of_another_learning_is_refused(backbone32: Backbone, other: dict[str, Any]) -> None:
    state = states(learn(backbone32, every=4)[1])[4]
    with pytest.raises(ArtifactMismatch, match="belongs to another"):
        learn(backbone32, state=state, **other)


@pytest.fixture
def text_passes(backbone32: Backbone) -> Iterator[list[int]]:
    """Grows by one with every pass of the text encoder."""
    seen: list[int] = []
    hook = backbone32.text_encoder.register_forward_pre_hook(lambda *_: seen.append(1))
    yield seen
    hook.remove()


@pytest.mark.parametrize("lessons", [(lesson(),), (lesson(), attribute_lesson())], ids=["one concept", "two"])
def test_it_can_be_interrupted_long_before_its_first_step(
    backbone32: Backbone, lessons: tuple[Lesson, ...], text_passes: list[int]
) -> None:
    """Each pause comes after one word, or after one evaluation of L_semantic, which takes two passes for an attribute."""
    options = replace(OPTIONS, start_steps=40)
    vars(backbone32).pop("_computed", None)  # other tests may have computed the words' states
    algorithm = learn_concepts(backbone32, lessons, options)
    between: list[int] = []
    pause = next(algorithm)
    while pause == PAUSE:
        between.append(len(text_passes))
        text_passes.clear()
        pause = algorithm.send(())
    algorithm.close()
    assert sum(between) > 30
    assert max(between) <= 2


def test_what_comes_before_the_first_step_is_not_repeated_when_it_resumes(backbone32: Backbone, text_passes: list[int]) -> None:
    options = replace(OPTIONS, start_steps=20)
    whole, seen = learn(backbone32, options=options, every=3)
    state = states(seen)[3]
    text_passes.clear()
    resumed, rest = learn(backbone32, options=options, state=state)
    assert to_bytes(resumed) == to_bytes(whole)
    assert len(text_passes) == len(rest) + 1, "each step, and the report's cosines"


def test_a_loss_falls_if_it_falls_by_more_than_the_error_of_its_mean() -> None:
    before = (1.0, 2.0, 3.0, 4.0)
    assert has_fallen(before, (0.9, 1.9, 2.9, 3.9))  # every row by as much: no error
    assert has_fallen(before, (0.9, 1.9, 2.9, 4.0))  # falls 0.075, error 0.025
    assert not has_fallen(before, (0.8, 1.9, 3.1, 4.0))  # falls 0.05, error 0.065
    assert not has_fallen(before, before)
    assert not has_fallen(before, (1.1, 2.1, 3.1, 4.1))


@pytest.mark.parametrize(("before", "now"), [((1.0,), (0.5,)), ((1.0, 2.0), (1.0, 2.0, 3.0))])
def test_measurements_of_other_rows_are_not_compared(before: tuple[float, ...], now: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="of the same rows"):
        has_fallen(before, now)


def test_the_held_out_loss_is_the_loss_of_rows_that_are_learned_from(backbone32: Backbone) -> None:
    """The UNet's own loss of the same rows with their targets, for an attribute with its weights by cell too."""
    for each in (lesson(), attribute_lesson()):
        learner = new_learner(backbone32, each, OPTIONS, 5)
        losses = drive(held_out_losses([learner], "prediction", with_deltas=True), backbone32.evaluate)
        with torch.no_grad():
            prompt = learner.condition(with_deltas=True).prompt
        rows = noised_rows(learner, prompt, step_generator(5, STEP), COUNT, "prediction")
        assert losses == pytest.approx([answer.loss for answer in backbone32.evaluate(rows)], rel=1e-5)


STILL = replace(OPTIONS, token_steps=30, joint_steps=30, token_rate=0.0, joint_token_rate=0.0, kv_rate=0.0, patience=3)
"""Rates of zero: nothing is learned, so that the held-out loss stays where it is."""


def test_a_phase_ends_once_the_held_out_loss_no_longer_falls(backbone32: Backbone) -> None:
    (concept,), seen = learn(backbone32, options=STILL, every=1)
    phase = {"steps": 3, "most": 30, "ended_by": "held_out_loss"}
    assert concept.facts["steps"] == len(seen) == 6
    assert concept.facts["phases"] == {"token": phase, "joint": phase}
    assert {p.total for p in seen} == {60}


def test_a_phase_goes_on_while_the_held_out_loss_falls(backbone32: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[Sequence[float], Sequence[float]]] = []

    def watching(before: Sequence[float], now: Sequence[float]) -> bool:
        compared.append((before, now))
        return len(compared) != 3

    monkeypatch.setattr(learning, "has_fallen", watching)
    (concept,), _ = learn(backbone32, options=replace(OPTIONS, token_steps=5, joint_steps=9, patience=2))
    # Measured before the steps 0, 2 and 4 of the token; then before 0 and 2 of both, where the third comparison ends it.
    assert concept.facts["phases"] == {
        "token": {"steps": 5, "most": 5, "ended_by": "most_steps"},
        "joint": {"steps": 2, "most": 9, "ended_by": "held_out_loss"},
    }
    assert compared[0][1] == compared[1][0]
    assert len({each for pair in compared for each in pair}) == 5


@pytest.mark.parametrize("options", [STILL, replace(OPTIONS, patience=2)])
def test_a_learning_that_may_end_early_resumes_to_the_same_bytes(backbone32: Backbone, options: LearningOptions) -> None:
    whole, seen = learn(backbone32, options=options, every=1)
    for state in states(seen).values():
        restored = LearningState.from_bytes(state.to_bytes(), fingerprint=backbone32.fingerprint)
        assert to_bytes(learn(backbone32, options=options, state=restored)[0]) == to_bytes(whole)


def test_a_state_of_an_earlier_release_knows_the_steps_of_its_first_phase(backbone32: Backbone) -> None:
    _, seen = learn(backbone32, every=1)
    tensors, about = read_safetensors(states(seen)[5].to_bytes(), FORMAT, backbone32.fingerprint)
    del about["clock"]["phase_steps"], about["clock"]["held_out"]
    old = LearningState.from_bytes(write_safetensors(tensors, about), fingerprint=backbone32.fingerprint)
    assert old.counter == states(seen)[5].counter


def test_the_last_bits_of_a_latent_are_not_what_a_state_belongs_to(backbone: Backbone) -> None:
    """They differ with the threads that encoded the photo, of which a worker has more or fewer by the hour."""
    latent, mask = torch.randn(4, 8, 8), torch.ones(32, 32)
    one, other = (Lesson(each, mask, "a photo of a [I] woman", "woman", source="photo") for each in (latent, latent + 1e-6))
    options = LearningOptions()
    assert settings_digest([one], options, 0) == settings_digest([other], options, 0)
    for changed in (replace(one, source="another"), replace(one, source=""), replace(one, mask=mask / 2)):
        assert settings_digest([changed], options, 0) != settings_digest([one], options, 0)
    assert settings_digest([replace(one, source="")], options, 0) != settings_digest([replace(other, source="")], options, 0)

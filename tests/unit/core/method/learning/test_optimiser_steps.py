"""A step of learning: every parameter follows its own gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.request.options import LearningMode, LearningOptions
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Rows, drive

RATE = 1e-3
EPSILON = 1e-8
"""Adam's: its first step is the rate, less for gradients that are not much larger than this."""


def lesson(placeholder: str, subject: str) -> Lesson:
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(40), dtype=torch.float64)
    return Lesson(latent, torch.ones(32, 32), f"a photo of a {placeholder} {subject}", subject, placeholder)


def parameters(concept: Concept) -> list[Tensor]:
    return [concept.token, *(tensor for delta in (*concept.keys, *concept.values) for tensor in vars(delta).values())]


def after_steps(backbone: Backbone, lessons: list[Lesson], mode: LearningMode, steps: int) -> tuple[list[Concept], Answers]:
    """The concepts after so many joint steps, and the answers of the last one."""
    options = LearningOptions(
        mode=mode, start_steps=0, token_steps=0, joint_steps=steps, batch=2, kv_rate=RATE, joint_token_rate=RATE
    )
    seen: list[Answers] = [()]

    def evaluate(rows: Rows) -> Answers:
        seen.append(backbone.evaluate(rows) if rows else ())
        return seen[-1]

    return list(drive(learn_concepts(backbone, lessons, options), evaluate)), seen[-1]


@pytest.mark.parametrize("mode", ["lora_kv", "kv"])
@pytest.mark.parametrize(
    "concepts",
    [[(PLACEHOLDER, "woman")], [(ATTRIBUTE, "hat")], [(PLACEHOLDER, "woman"), (ATTRIBUTE, "hat")]],
    ids=["identity", "attribute", "both"],
)
def test_every_parameter_moves_against_its_own_gradient(
    backbone: Backbone, mode: LearningMode, concepts: list[tuple[str, str]]
) -> None:
    """Gradients of K and V come transposed in memory, and torch's fused AdamW on the CPU reads them as if they did not.

    Then a learned change had little to do with the photo, and no other test saw it: losses still fell, by the token.
    """
    lessons = [lesson(*each) for each in concepts]
    before, _ = after_steps(backbone, lessons, mode, 0)
    after, answers = after_steps(backbone, lessons, mode, 1)
    gradients = [answer.parameter_gradients for answer in answers if answer.parameter_gradients]
    assert len(gradients) == len(concepts)
    for first, last, mine in zip(before, after, gradients, strict=True):
        moved = 0
        clipped = 1 / max(1.0, float(torch.stack([gradient.norm() for gradient in mine]).norm()))
        for old, new, gradient in zip(parameters(first), parameters(last), mine, strict=True):
            expected = old - RATE * clipped * gradient / (clipped * gradient.abs() + EPSILON)
            torch.testing.assert_close(new, expected, rtol=0, atol=1e-3 * RATE, check_dtype=False)
            moved += int((new != old).sum())
        assert moved > 500

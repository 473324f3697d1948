"""The stages of S²Edit as generators of progress, evaluated on one base model.

A service drives these generators, and cancels a stage by closing its generator. `S2EditPipeline` runs them to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import replaced_words, tokenize
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.method.base_model_masks import find_subject_word, person_probability
from s2edit_core.method.composer import Composer, Compute, inversion_inputs
from s2edit_core.method.inputs import Attribute, Reference, check_prompt, check_seed, with_identity
from s2edit_core.method.inversion import Inversion, invert
from s2edit_core.method.learning.columns import learn_columns
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.learning_state import LearningState
from s2edit_core.method.learning.views import further_views
from s2edit_core.request.options import AttributeOptions, ColumnOptions, InversionOptions, LearningOptions
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.row_queue import EvaluateStage, Stage
from s2edit_core.unet.rows import Answers, Evaluate, Rows, drive, evaluating


class StagedPipeline(Composer):
    """The stages over one base model, each a generator that yields `Progress` and returns its result.

    `evaluations` counts the rows that were evaluated so far. With `evaluate`, rows are evaluated by it, such as by a `RowClient`.
    """

    def __init__(self, backbone: Backbone, *, evaluate: EvaluateStage | None = None, compute: Compute | None = None) -> None:
        super().__init__(backbone, compute=compute)
        self.evaluations = 0
        self.before_evaluation: Callable[[], None] | None = None  # called before each pass; an exception ends the stage
        self._evaluate_stage = evaluate or _evaluated_by(backbone)

    def _evaluate(self, stage: Stage) -> Evaluate:
        """Return what evaluates the rows of a stage."""
        return partial(self._evaluate_rows, stage)

    def _evaluate_rows(self, stage: Stage, rows: Rows) -> Answers:
        if self.before_evaluation is not None:
            self.before_evaluation()
        self.evaluations += len(rows)
        return self._evaluate_stage(rows, stage)

    def learning(
        self,
        canvas: Canvas,
        prompt: str,
        subject: str,
        options: LearningOptions,
        *,
        request_words: Sequence[str] = (),
        seed: int = 0,
        state: LearningState | None = None,
        every: int = 0,
    ) -> Generator[Progress, None, Concept]:
        """Learn the identity that the canvas's identity mask marks.

        With `every` = k, each k-th progress is a `Checkpoint`. If its state is passed as `state`, learning resumes after it.
        """
        lesson = self._lesson(canvas, canvas.identity_mask, prompt, subject, PLACEHOLDER, request_words)
        algorithm = learn_concepts(self.backbone, (lesson,), options, seed=seed, state=state, every=every)
        (concept,) = yield from evaluating(algorithm, self._evaluate("learning"))
        return concept

    def learning_together(
        self,
        references: Sequence[Reference],
        options: AttributeOptions,
        *,
        seed: int = 0,
        state: LearningState | None = None,
        every: int = 0,
    ) -> Generator[Progress, None, tuple[Concept, ...]]:
        """Learn the concepts of several references in shared passes, each orthogonal to the others.

        With `ColumnOptions`, a single attribute is learned. For `state` and `every` see `learning`.
        """
        check_seed(seed)
        if isinstance(options, ColumnOptions):
            return ((yield from self._learning_columns(references, options, seed, state, every)),)
        lessons = [self._reference_lesson(each, self._reference_canvas(each)) for each in references]
        algorithm = learn_concepts(self.backbone, lessons, options, seed=seed, state=state, every=every)
        return (yield from evaluating(algorithm, self._evaluate("learning")))

    def _learning_columns(
        self, references: Sequence[Reference], options: ColumnOptions, seed: int, state: LearningState | None, every: int
    ) -> Generator[Progress, None, Concept]:
        if len(references) != 1:
            raise OptionInvalid("an attribute is learned as columns by itself: learn the concepts one by one", field="options.mode")
        canvas = self._reference_canvas(references[0])
        lesson, others = self._reference_lesson(references[0], canvas), []
        for each in further_views(lesson, canvas.source(), options.views, seed, self._encoded):
            yield Progress("learning", 0, options.steps)  # after each slow piece of work: a worker must see that it advances
            others.append(each)
        lesson = replace(lesson, others=tuple(others))
        algorithm = learn_columns(self.backbone, lesson, options, seed=seed, state=state, every=every)
        return (yield from evaluating(algorithm, self._evaluate("learning")))

    def check_prompt(self, prompt: str, concept: Concept | None, attributes: Sequence[Attribute] = ()) -> None:
        """Raise what an edit with `prompt` would raise about it: `PromptInvalid`, or as `_concepts`."""
        concepts = self._concepts(concept, attributes)
        check_prompt(prompt, concepts, attributes)
        tokenize(self.backbone, prompt, replaced_words(concepts))

    def target_prompts(self, prompt: str | Sequence[str], identity: Concept | None, attributes: Sequence[Attribute]) -> list[str]:
        """Return the checked prompts of a call, with [I] in each."""
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not all(isinstance(text, str) for text in prompts):
            raise PromptInvalid("the prompt must be a text, or a list of texts", field="prompt")
        if not prompts or not all(text.strip() for text in prompts):
            raise PromptInvalid("the prompt is empty: say what the picture should show", field="prompt", reason="prompt_empty")
        texts = [with_identity(text, identity, "prompt") for text in prompts]
        for text in texts:
            self.check_prompt(text, identity, attributes)
        return texts

    def finding_mask(self, image: Image.Image, prompt: str, *, seed: int = 0) -> Generator[Progress, None, Image.Image]:
        """Find the region of `image` that `prompt` describes: a mask (L) of the image's size, 255 inside."""
        probability = yield from self.finding_probability(image, prompt, seed=seed)
        return Image.fromarray((probability > 0.5).astype(np.uint8) * 255).resize(image.size, Image.Resampling.NEAREST)

    def finding_probability(
        self, image: Image.Image, prompt: str, *, seed: int = 0
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        """Find how strongly `prompt` affects each part of `image`: `(h, w)` in 0..1 at the model's size."""
        whole = self.canvas(image, Image.new("L", image.size, 255))
        width, height = whole.frame
        latent = self.encoded(whole)
        algorithm = person_probability(self.backbone, latent, prompt, (height, width), seed=seed)
        found: NDArray[np.float32] = (yield from evaluating(algorithm, self._evaluate("editing"))).cpu().numpy()
        return found

    def finding_subject(
        self, image: Image.Image, mask: Image.Image, prompt: str, *, seed: int = 0
    ) -> Generator[Progress, None, str]:
        """Find the word of `prompt` whose attention matches `mask` best."""
        canvas = self.canvas(image, mask)
        latent = self.encoded(canvas)
        algorithm = find_subject_word(self.backbone, latent, prompt, canvas.mask(canvas.identity_mask), seed=seed)
        return (yield from evaluating(algorithm, self._evaluate("editing")))

    def inverting(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        options: InversionOptions,
        *,
        steps: int,
        guidance_scale: float,
        masked: bool = True,
    ) -> Generator[Progress, None, Inversion]:
        """Invert the canvas with its source `prompt`. The inversion's facts hold the prompt and digests of its inputs."""
        latent = self.encoded(canvas)
        source = self.source(canvas, prompt, concept, masked=masked)
        algorithm = invert(self.backbone, latent, source, options, steps=steps, guidance_scale=guidance_scale)
        inverted = yield from evaluating(algorithm, self._evaluate("inverting"))
        return replace(inverted, facts=inverted.facts | {"prompt": prompt} | inversion_inputs(canvas, concept))

    def editing(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, **options: Any
    ) -> Generator[Progress, None, Tensor]:
        """Edit, and return the edited latent `(c, h, w)`. For the options see `Composer.edit_rows`."""
        return (yield from evaluating(self.edit_rows(canvas, prompt, concept, inversion, **options), self._evaluate("editing")))

    def editing_variants(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, **options: Any
    ) -> Generator[Progress, None, list[Tensor]]:
        """Draw variants of an edit in shared passes, and return their latents. For the options see `Composer.variant_rows`."""
        return (yield from evaluating(self.variant_rows(canvas, prompt, concept, inversion, **options), self._evaluate("editing")))

    def leakage(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, **options: Any
    ) -> dict[str, float]:
        """Return the leakage of each placeholder; see `Composer.leakage_rows`. Evaluates one row."""
        return drive(self.leakage_rows(canvas, prompt, concept, inversion, **options), self._evaluate("editing"))


def _evaluated_by(backbone: Backbone) -> EvaluateStage:
    return lambda rows, _: backbone.evaluate(rows)

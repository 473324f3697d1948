"""One edit of `S2EditEngine` in progress, its report, and the checkpoints of its learning."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any, TypeVar

from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery import report
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.delivery.preview import PreviewPainter
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.learning.learning import Checkpoint
from s2edit_core.pictures.files import Original
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.pipeline import Attribute
from s2edit_core.request.plan import EditPlan, digest
from s2edit_core.request.presets import Preset
from s2edit_core.request.prompts import ResolvedPrompts
from s2edit_core.request.spec import EditRequest, Progress
from worker.engines.engine import Artifact, EditInputs
from worker.engines.previews import previewed

Result = TypeVar("Result")
Steps = Generator[Progress | Artifact, None, Result]


@dataclass
class EditRun:
    """The prepared inputs of an edit. `seconds` collects the duration of each phase."""

    request: EditRequest
    preset: Preset
    plan: EditPlan
    prompts: ResolvedPrompts
    original: Original
    canvas: Canvas
    identity_canvas: Canvas  # without the edit mask, on which the identity does not depend
    attributes: tuple[Attribute, ...]
    seconds: dict[str, float]
    scale: InputScale

    def timed(self, phase: str, steps: Steps[Result]) -> Steps[Result]:
        """Yield what `steps` yields, and keep how long it took."""
        started = time.perf_counter()
        result = yield from steps
        self.seconds[phase] = time.perf_counter() - started
        return result

    def facts(self, inputs: EditInputs, learned: Concept, inverted: Inversion, model: Mapping[str, str]) -> dict[str, Any]:
        """Return the part of the report that describes the inputs, the options and the durations."""
        prompts, request = self.prompts, self.request
        files = {name: data for name in ("image", "mask", "edit_mask") if (data := getattr(inputs, name)) is not None}
        seconds = {phase: round(spent, 3) for phase, spent in self.seconds.items()}
        return {
            "concept_id": self.plan.concept_id,
            "inversion_id": self.plan.inversion_id,
            "concept": learned.facts,
            "inversion": inverted.facts | {"tier": inverted.tier, "steps": inverted.steps},
            "source_prompt": prompts.source,
            "source_prompt_origin": prompts.origin,
            "prompt": prompts.target,
            "negative_prompt": request.negative_prompt,
            "strength": request.strength,
            "subject": prompts.subject,
            "preset": self.preset.name,
            "guidance_scale": inverted.guidance_scale,
            "seed": request.seed,
            "seconds": seconds | {"total": round(sum(self.seconds.values()), 3)},
            "attributes": {one.concept.placeholder: one.concept.facts for one in self.attributes},
            "inputs": {name: digest(data) for name, data in files.items()},
            **self.scale.facts,
            "model": dict(model),
            "versions": report.versions(),
        }


def with_checkpoints(learning: Generator[Progress, None, Result], concept_id: str) -> Steps[Result]:
    """Yield what `learning` yields, and an artifact for each checkpoint."""
    with closing(learning):
        while True:
            try:
                progress = next(learning)
            except StopIteration as end:
                learned: Result = end.value
                return learned
            yield progress
            if isinstance(progress, Checkpoint) and progress.state is not None:
                yield Artifact("checkpoint", concept_id, progress.state.to_bytes(), step=progress.step)


def with_previews(editing: Generator[Progress, None, Result], painter: Callable[[], PreviewPainter]) -> Steps[Result]:
    """Yield the progress of `editing`, with previews."""
    with closing(editing):
        while True:
            try:
                progress = next(editing)
            except StopIteration as end:
                edited: Result = end.value
                return edited
            yield previewed(progress, painter)

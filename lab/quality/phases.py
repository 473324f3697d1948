"""A method runs in phases: it learns, inverts and edits. Their cost is counted. `methods` has the methods themselves."""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import torch
from PIL import Image
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import tokenize
from s2edit_core.delivery.canvas import Canvas, to_tensor
from s2edit_core.method.inversion import Inversion, ddim_invert, empty_prompt_states, invert
from s2edit_core.method.leakage import MaskedPlaceholder, leakage
from s2edit_core.method.learning.learning import learn_concept
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InjectionOptions, InversionOptions, LearningOptions
from s2edit_core.request.prompts import changed_words, with_placeholder
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.rows import Algorithm, Answers, Evaluate, Rows, drive, drive_all

RECONSTRUCTION = "reconstruction"
"""Name of the edit that samples the source prompt itself. Its result should equal the photo."""
COSINES = ("mean_abs_cosine_to_bank", "max_abs_cosine_to_bank")
"""Facts of a concept that measure the similarity of [I] to the attribute words."""
LEVELS = 4
"""Number of noise levels at which the leakage of [I] is measured."""
FUNCTION_WORDS = frozenset(("a", "an", "and", "of", "the", "with"))
"""Words without visible content. They take no part in blending and emphasis."""


def _digest(picture: Image.Image) -> str:
    return hashlib.sha256(f"{picture.mode}{picture.size}".encode() + picture.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Case:
    """A picture to edit. By edit name, `targets` are prompts, and `answers` known ground truths."""

    canvas: Canvas
    prompt: str
    subject: str | None  # the word for the learned person or thing, in every prompt
    targets: Mapping[str, str]
    answers: Mapping[str, Image.Image] = field(default_factory=dict)

    def requested(self) -> tuple[str, ...]:
        """Return the words that the edits add to the prompt."""
        words = [word for target in self.targets.values() for word in changed_words(self.prompt, target)]
        return tuple(dict.fromkeys(words))

    def prompts(self) -> dict[str, str]:
        """Return the prompts to sample by edit: the targets, and the source prompt as `RECONSTRUCTION`."""
        return {**self.targets, RECONSTRUCTION: self.prompt}

    def about(self) -> dict[str, Any]:
        """Return JSON values that identify the case, with pictures as digests. Stored results depend on them: keep the keys."""
        return {
            "photo": _digest(self.canvas.photo),
            "mask": _digest(self.canvas.identity_mask),
            "box": self.canvas.box,
            "frame": self.canvas.frame,
            "subject": self.subject,
            "prompts": self.prompts(),
            "answers": {name: _digest(answer) for name, answer in self.answers.items()},
        }


@dataclass
class Cost:
    """The cost of a phase for all cases of a group. `with_gradients` counts the `evaluations` that had a backward pass."""

    evaluations: int = 0
    with_gradients: int = 0
    seconds: float = 0.0


class Meter:
    """An `Evaluate` that adds UNet evaluations and seconds to the cost of the current phase."""

    def __init__(self, evaluate: Evaluate) -> None:
        self.costs: dict[str, Cost] = defaultdict(Cost)
        self._evaluate = evaluate
        self._phase = ""

    def __call__(self, rows: Rows) -> Answers:
        cost = self.costs[self._phase]
        cost.evaluations += len(rows)
        cost.with_gradients += sum(row.target is not None for row in rows)
        return self._evaluate(rows)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        before, self._phase = self._phase, name
        started = time.perf_counter()
        try:
            yield
        finally:
            self.costs[name].seconds += time.perf_counter() - started
            self._phase = before


@dataclass(frozen=True, eq=False)
class Outcome:
    """Edited latents by (case, edit), costs by phase, and per case the figures of its [I] (empty without [I])."""

    latents: dict[tuple[int, str], Tensor]
    costs: dict[str, Cost]
    about: list[dict[str, float]]


class Editing(Protocol):
    """The sampling of one edit; it returns the edited latent. Both prompts contain [I] if there is a concept."""

    def __call__(
        self,
        pipe: S2EditPipeline,
        canvas: Canvas,
        prompt: str,
        source_prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        *,
        masked: bool,
    ) -> Algorithm[Tensor]: ...


@dataclass(frozen=True)
class Guided:
    """DDIM sampling of the target prompt with guidance, without attention injection."""

    def __call__(
        self,
        pipe: S2EditPipeline,
        canvas: Canvas,
        prompt: str,
        source_prompt: str,  # noqa: ARG002 (only injection needs it)
        concept: Concept | None,
        inversion: Inversion,
        *,
        masked: bool,
    ) -> Algorithm[Tensor]:
        return pipe.edit_rows(canvas, prompt, concept, inversion, masked=masked)


@dataclass(frozen=True)
class Injected:
    """Prompt-to-Prompt: sampling with attention maps from the source.

    `emphasis` scales the maps of the words that the edit adds. A blend by words uses the words in which the prompts differ, without
    `FUNCTION_WORDS`.
    """

    options: InjectionOptions
    emphasis: float = 1.0

    def __call__(
        self,
        pipe: S2EditPipeline,
        canvas: Canvas,
        prompt: str,
        source_prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        *,
        masked: bool,
    ) -> Algorithm[Tensor]:
        options = self.options_for(source_prompt, prompt)
        return pipe.edit_rows(canvas, prompt, concept, inversion, masked=masked, injection=options, source_prompt=source_prompt)

    def options_for(self, source_prompt: str, prompt: str) -> InjectionOptions:
        """Return the options for an edit from `source_prompt` to `prompt`."""
        new, gone = (
            tuple(word for word in changed_words(*pair) if word not in FUNCTION_WORDS)
            for pair in ((source_prompt, prompt), (prompt, source_prompt))
        )
        options = replace(self.options, reweight=tuple((word, self.emphasis) for word in new if self.emphasis != 1))
        if options.blend == "words":
            options = replace(options, blend="words" if new or gone else "none", blend_words=(*new, *gone))
        return options


_LEARNED: dict[str, tuple[list[Concept | None], Cost]] = {}


@dataclass(frozen=True)
class Method:
    """An editing method. Without `learning` there is no [I]. Without `inversion` it uses plain DDIM inversion.

    Results files store the `recipe`: renaming a class or a field here makes every stored result stale.
    """

    title: str
    steps: int = 50
    guidance_gain: float = field(default=1.0, kw_only=True)  # multiplies the guidance scale of the bench
    learning: LearningOptions | None = None
    inversion: InversionOptions | None = None
    editing: Editing = field(default_factory=Guided)

    @property
    def needs_subject(self) -> bool:
        return self.learning is not None

    def run(self, pipe: S2EditPipeline, cases: Sequence[Case], guidance: float) -> Outcome:
        """Edit all cases in shared batches. Raises `ValueError` if the method learns [I] and a case has no subject."""
        guidance *= self.guidance_gain
        meter = Meter(pipe.backbone.evaluate)
        latents = [pipe.backbone.encode_image(case.canvas.source()) for case in cases]
        with meter.phase("learn"):
            concepts = self._learn_once(pipe, cases, latents, meter)
        with meter.phase("invert"):
            inversions = self._invert(pipe, cases, latents, concepts, guidance, meter)
        with meter.phase("edit"):
            edited = self._edit(pipe, cases, concepts, inversions, meter, [case.targets for case in cases])
        with meter.phase("check"):
            back = [{RECONSTRUCTION: case.prompt} for case in cases]
            edited |= self._edit(pipe, cases, concepts, inversions, meter, back)
            about = [self._about(pipe, *each) for each in zip(cases, concepts, inversions, strict=True)]
        return Outcome(edited, dict(meter.costs), about)

    @property
    def _masked(self) -> bool:
        return self.learning is None or self.learning.masked

    def _prompt(self, case: Case, prompt: str) -> str:
        if self.learning is None:
            return prompt
        if case.subject is None:
            raise ValueError(f"{self.title!r} learns a subject, but the case {case.prompt!r} has none")
        return with_placeholder(prompt, case.subject, field="prompt")

    def _learn_once(
        self, pipe: S2EditPipeline, cases: Sequence[Case], latents: Sequence[Tensor], meter: Meter
    ) -> list[Concept | None]:
        """Call `_learn`, once per process for all methods with the same learning. Each method is charged the full cost."""
        alike = replace(self, title="", steps=0, guidance_gain=1.0, inversion=None, editing=Guided())
        key = json.dumps([pipe.backbone.fingerprint, repr(alike), [case.about() for case in cases]])
        if key in _LEARNED:
            learned, meter.costs["learn"] = _LEARNED[key][0], replace(_LEARNED[key][1])
            return learned
        started = time.perf_counter()
        learned = self._learn(pipe, cases, latents, meter)
        _LEARNED[key] = learned, replace(meter.costs["learn"], seconds=time.perf_counter() - started)
        return learned

    def _learn(self, pipe: S2EditPipeline, cases: Sequence[Case], latents: Sequence[Tensor], meter: Meter) -> list[Concept | None]:
        """Return [I] of each case, None if the method learns none."""
        if self.learning is None:
            return [None] * len(cases)
        learners = [
            learn_concept(
                pipe.backbone,
                latent,
                case.canvas.mask(case.canvas.identity_mask),
                self._prompt(case, case.prompt),
                case.subject or "",
                self.learning,
                request_words=case.requested(),
            )
            for case, latent in zip(cases, latents, strict=True)
        ]
        return [*drive_all(learners, meter)]

    def _invert(
        self,
        pipe: S2EditPipeline,
        cases: Sequence[Case],
        latents: Sequence[Tensor],
        concepts: Sequence[Concept | None],
        guidance: float,
        meter: Meter,
    ) -> list[Inversion]:
        backbone = pipe.backbone
        sources = [
            pipe.source(case.canvas, self._prompt(case, case.prompt), concept, masked=self._masked)
            for case, concept in zip(cases, concepts, strict=True)
        ]
        pairs = list(zip(latents, sources, strict=True))
        if self.inversion is None:
            paths = drive_all([ddim_invert(backbone, latent, source, self.steps) for latent, source in pairs], meter)
            empty = empty_prompt_states(backbone)[None]
            return [Inversion(path, empty, torch.zeros(0), "negative_prompt", guidance, backbone.fingerprint) for path in paths]
        algorithms = [
            invert(backbone, latent, source, self.inversion, steps=self.steps, guidance_scale=guidance) for latent, source in pairs
        ]
        return drive_all(algorithms, meter)

    def _edit(
        self,
        pipe: S2EditPipeline,
        cases: Sequence[Case],
        concepts: Sequence[Concept | None],
        inversions: Sequence[Inversion],
        meter: Meter,
        targets: Sequence[Mapping[str, str]],
    ) -> dict[tuple[int, str], Tensor]:
        keys, algorithms = [], []
        for i, (case, concept, inversion, wanted) in enumerate(zip(cases, concepts, inversions, targets, strict=True)):
            for name, target in wanted.items():
                keys.append((i, name))
                algorithms.append(self._sampling(pipe, case, target, concept, inversion))
        return dict(zip(keys, drive_all(algorithms, meter), strict=True))

    def _sampling(
        self, pipe: S2EditPipeline, case: Case, target: str, concept: Concept | None, inversion: Inversion
    ) -> Algorithm[Tensor]:
        """Return the sampling of the edit whose prompt is `target`."""
        prompt, source = self._prompt(case, target), self._prompt(case, case.prompt)
        return self.editing(pipe, case.canvas, prompt, source, concept, inversion, masked=self._masked)

    def _about(self, pipe: S2EditPipeline, case: Case, concept: Concept | None, inversion: Inversion) -> dict[str, float]:
        """Return the leakage of [I] out of its mask, averaged over layers and noise levels, and its cosines to attribute words."""
        if concept is None:
            return {}
        prompt = self._prompt(case, case.prompt)
        source = pipe.source(case.canvas, prompt, concept, masked=self._masked)
        positions = tokenize(pipe.backbone, prompt, (PLACEHOLDER,)).positions[PLACEHOLDER]
        watched = {PLACEHOLDER: MaskedPlaceholder(positions, case.canvas.mask(case.canvas.identity_mask))}
        levels = min(LEVELS, inversion.steps)
        measuring = leakage(pipe.backbone, inversion.path, source.prompt, source.gates, watched, levels=levels)
        found = {"leakage": float(drive(measuring, pipe.backbone.evaluate)[PLACEHOLDER].mean())}
        return found | {name: float(concept.facts[name]) for name in COSINES if name in concept.facts}


@dataclass(frozen=True)
class Reference:
    """A baseline without editing: the source, or the ground truth, encoded and decoded. It bounds the figures of every method."""

    title: str
    shows_answer: bool

    needs_subject = False
    guidance_gain = 1.0

    def run(self, pipe: S2EditPipeline, cases: Sequence[Case], guidance: float) -> Outcome:  # noqa: ARG002 (same signature as Method.run)
        latents = {}
        for i, case in enumerate(cases):
            source = latents[i, RECONSTRUCTION] = pipe.backbone.encode_image(case.canvas.source())
            for name in case.targets:
                latents[i, name] = self._answer(pipe, case, name) if self.shows_answer else source
        return Outcome(latents, {}, [{} for _ in cases])

    def _answer(self, pipe: S2EditPipeline, case: Case, name: str) -> Tensor:
        if name not in case.answers:
            raise ValueError(f"{self.title!r} needs the ground truth of {name!r}, but the case {case.prompt!r} has none")
        canvas = case.canvas
        shown = case.answers[name].crop(canvas.box).resize(canvas.frame, Image.Resampling.LANCZOS)
        return pipe.backbone.encode_image(to_tensor(shown))

"""What a method of the quality bench is: what it learns, how it inverts, how it edits, and what all that took."""

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
from s2edit_core.method.learning import learn_concept
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InjectionOptions, InversionOptions, LearningOptions
from s2edit_core.request.prompts import changed_words, with_placeholder
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.rows import Algorithm, Answers, Evaluate, Rows, drive, drive_all

RECONSTRUCTION = "reconstruction"
"""The name, among the edits, of sampling the source prompt itself: what comes out should be the photo."""


COSINES = ("mean_abs_cosine_to_bank", "max_abs_cosine_to_bank")
"""What a concept says of how near [I] is to the attribute words."""
LEVELS = 4
"""At how many noise levels the attention of [I] is looked at."""
CONNECTING = frozenset(("a", "an", "and", "of", "the", "with"))
"""Words that say nothing of what is seen."""


def _digest(picture: Image.Image) -> str:
    return hashlib.sha256(f"{picture.mode}{picture.size}".encode() + picture.tobytes()).hexdigest()


@dataclass(frozen=True, eq=False)
class Worn:
    """What an edit may take from another picture: the attribute [A], where it is seen there and where it goes here."""

    canvas: Canvas  # of the other picture
    region: Image.Image  # L, of its size: where the attribute is seen
    prompt: str  # of the other picture, with [A] before `subject`
    subject: str
    target: str  # of the edit, with [A]
    place: Image.Image  # L, of the edited picture's size: where the attribute goes

    def about(self) -> list[Any]:
        pictures = (self.canvas.photo, self.canvas.identity_mask, self.region, self.place)
        return [self.canvas.box, self.prompt, self.subject, self.target, *(_digest(picture) for picture in pictures)]


@dataclass(frozen=True, eq=False)
class Case:
    """A picture before the editor.

    By edit: `targets` are prompts, `answers` the true pictures where they are known, `worn` what could be taken from elsewhere.
    """

    canvas: Canvas
    prompt: str
    subject: str | None  # the word of every prompt that names who or what is learned
    targets: Mapping[str, str]
    answers: Mapping[str, Image.Image] = field(default_factory=dict)
    worn: Mapping[str, Worn] = field(default_factory=dict)

    def requested(self) -> tuple[str, ...]:
        """The words that the edits bring in."""
        words = [word for target in self.targets.values() for word in changed_words(self.prompt, target)]
        return tuple(dict.fromkeys(words))

    def prompts(self) -> dict[str, str]:
        """What is sampled: the targets, and the source prompt as a reconstruction."""
        return {**self.targets, RECONSTRUCTION: self.prompt}

    def about(self) -> dict[str, Any]:
        """All of it, pictures by their digests: JSON values that name the case."""
        return {
            "photo": _digest(self.canvas.photo),
            "mask": _digest(self.canvas.identity_mask),
            "box": self.canvas.box,
            "frame": self.canvas.frame,
            "subject": self.subject,
            "prompts": self.prompts(),
            "worn": {name: worn.about() for name, worn in self.worn.items()},
            "answers": {name: _digest(answer) for name, answer in self.answers.items()},
        }


@dataclass
class Cost:
    """What a phase took for all the cases of a group together. `with_gradients` of the `evaluations` also ran backward."""

    evaluations: int = 0
    with_gradients: int = 0
    seconds: float = 0.0


class Meter:
    """An `Evaluate` that counts UNet rows, and the time, of the phase it is in."""

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
    """Edited latents by (case, edit), the costs by phase, and per case what was measured of its [I], if it has one."""

    latents: dict[tuple[int, str], Tensor]
    costs: dict[str, Cost]
    about: list[dict[str, float]]


class Editing(Protocol):
    """How one edit is sampled. `prompt` and `source_prompt` hold [I] where there is a concept. Ends with the edited latent."""

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
    """Guided DDIM sampling with the target prompt: no attention injection."""

    def __call__(
        self,
        pipe: S2EditPipeline,
        canvas: Canvas,
        prompt: str,
        source_prompt: str,  # noqa: ARG002 (for those that inject)
        concept: Concept | None,
        inversion: Inversion,
        *,
        masked: bool,
    ) -> Algorithm[Tensor]:
        return pipe.edit_rows(canvas, prompt, concept, inversion, masked=masked)


@dataclass(frozen=True)
class Injected:
    """Prompt-to-Prompt: attention is read from the source.

    The maps of the words that an edit brings in are multiplied by `emphasis`. A blend by words is by those in which the
    prompts differ, but for connecting ones.
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
        options = self._for(source_prompt, prompt)
        return pipe.edit_rows(canvas, prompt, concept, inversion, masked=masked, injection=options, source_prompt=source_prompt)

    def _for(self, source_prompt: str, prompt: str) -> InjectionOptions:
        new, gone = (
            tuple(word for word in changed_words(*pair) if word not in CONNECTING)
            for pair in ((source_prompt, prompt), (prompt, source_prompt))
        )
        options = replace(self.options, reweight=tuple((word, self.emphasis) for word in new if self.emphasis != 1))
        if options.blend == "words":
            options = replace(options, blend="words" if new or gone else "none", blend_words=(*new, *gone))
        return options


@dataclass(frozen=True, eq=False)
class Learned:
    """The concepts of a case: [I], if there is one, and the attributes by edit."""

    identity: Concept | None = None
    attributes: Mapping[str, Concept] = field(default_factory=dict)


_LEARNED: dict[str, tuple[list[Learned], Cost]] = {}


@dataclass(frozen=True)
class Method:
    """`learning` None: no [I]. `inversion` None: DDIM inversion alone, with nothing that repairs guidance."""

    title: str
    steps: int = 50
    guidance_gain: float = field(default=1.0, kw_only=True)  # its guidance, in those of the bench
    learning: LearningOptions | None = None
    inversion: InversionOptions | None = None
    editing: Editing = field(default_factory=Guided)

    @property
    def needs_subject(self) -> bool:
        return self.learning is not None

    def run(self, pipe: S2EditPipeline, cases: Sequence[Case], guidance: float) -> Outcome:
        """Edit every case, side by side in shared passes. A method with `learning` needs a subject in every case."""
        guidance *= self.guidance_gain
        meter = Meter(pipe.backbone.evaluate)
        latents = [pipe.backbone.encode_image(case.canvas.source()) for case in cases]
        with meter.phase("learn"):
            learned = self._learn_once(pipe, cases, latents, meter)
            concepts = [each.identity for each in learned]
        with meter.phase("invert"):
            inversions = self._invert(pipe, cases, latents, concepts, guidance, meter)
        with meter.phase("edit"):
            edited = self._edit(pipe, cases, learned, inversions, meter, [case.targets for case in cases])
        with meter.phase("check"):
            back = [{RECONSTRUCTION: case.prompt} for case in cases]
            edited |= self._edit(pipe, cases, learned, inversions, meter, back)
            about = [self._about(pipe, *each) for each in zip(cases, concepts, inversions, strict=True)]
        return Outcome(edited, dict(meter.costs), about)

    @property
    def _masked(self) -> bool:
        return self.learning is None or self.learning.masked

    def _prompt(self, case: Case, prompt: str) -> str:
        if self.learning is None:
            return prompt
        if case.subject is None:
            raise ValueError(f"{self.title!r} learns a subject, and the case {case.prompt!r} names none")
        return with_placeholder(prompt, case.subject, field="prompt")

    def _learn_once(self, pipe: S2EditPipeline, cases: Sequence[Case], latents: Sequence[Tensor], meter: Meter) -> list[Learned]:
        """`_learn`, but methods that learn alike share what was learned while the process lives; each is told its whole cost."""
        alike = replace(self, title="", steps=0, guidance_gain=1.0, inversion=None, editing=Guided())
        key = json.dumps([pipe.backbone.fingerprint, repr(alike), [case.about() for case in cases]])
        if key in _LEARNED:
            learned, meter.costs["learn"] = _LEARNED[key][0], replace(_LEARNED[key][1])
            return learned
        started = time.perf_counter()
        learned = self._learn(pipe, cases, latents, meter)
        _LEARNED[key] = learned, replace(meter.costs["learn"], seconds=time.perf_counter() - started)
        return learned

    def _learn(self, pipe: S2EditPipeline, cases: Sequence[Case], latents: Sequence[Tensor], meter: Meter) -> list[Learned]:
        if self.learning is None:
            return [Learned() for _ in cases]
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
        return [Learned(concept) for concept in drive_all(learners, meter)]

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
        learned: Sequence[Learned],
        inversions: Sequence[Inversion],
        meter: Meter,
        targets: Sequence[Mapping[str, str]],
    ) -> dict[tuple[int, str], Tensor]:
        keys, algorithms = [], []
        for i, (case, concepts, inversion, wanted) in enumerate(zip(cases, learned, inversions, targets, strict=True)):
            for name, target in wanted.items():
                keys.append((i, name))
                algorithms.append(self._sampling(pipe, case, name, target, concepts, inversion))
        return dict(zip(keys, drive_all(algorithms, meter), strict=True))

    def _sampling(
        self,
        pipe: S2EditPipeline,
        case: Case,
        name: str,  # noqa: ARG002 (for those whose edits differ in kind)
        target: str,
        learned: Learned,
        inversion: Inversion,
    ) -> Algorithm[Tensor]:
        """The sampling of the edit `name`."""
        prompt, source = self._prompt(case, target), self._prompt(case, case.prompt)
        return self.editing(pipe, case.canvas, prompt, source, learned.identity, inversion, masked=self._masked)

    def _about(self, pipe: S2EditPipeline, case: Case, concept: Concept | None, inversion: Inversion) -> dict[str, float]:
        """How far [I] leaks out of its mask (mean over layers and noise levels), and how near it is to the attribute words."""
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
    """No editor but a measuring rod: the source, or its true answer, through the auto-encoder and back."""

    title: str
    shows_answer: bool

    needs_subject = False
    guidance_gain = 1.0

    def run(self, pipe: S2EditPipeline, cases: Sequence[Case], guidance: float) -> Outcome:  # noqa: ARG002 (as a Method's)
        latents = {}
        for i, case in enumerate(cases):
            source = latents[i, RECONSTRUCTION] = pipe.backbone.encode_image(case.canvas.source())
            for name in case.targets:
                latents[i, name] = self._answer(pipe, case, name) if self.shows_answer else source
        return Outcome(latents, {}, [{} for _ in cases])

    def _answer(self, pipe: S2EditPipeline, case: Case, name: str) -> Tensor:
        if name not in case.answers:
            raise ValueError(f"{self.title!r} needs the true answer of {name!r}, and the case {case.prompt!r} has none")
        canvas = case.canvas
        shown = case.answers[name].crop(canvas.box).resize(canvas.frame, Image.Resampling.LANCZOS)
        return pipe.backbone.encode_image(to_tensor(shown))


def recipe(method: Method | Reference) -> str:
    """Everything that a method's results depend on, but for model and guidance, in words."""
    return repr(replace(method, title=""))

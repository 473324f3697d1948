"""Learn, invert and sample the edits of one subject in one of the bench's ways."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from lab.quality.worlds.edits import Case, Photo, Target
from lab.quality.worlds.settings import Setting, Way
from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import prompt_gates, prompt_keys_values, replaced_words
from s2edit_core.delivery.canvas import Canvas, to_image, to_tensor
from s2edit_core.method.editing import edit, vary_noise
from s2edit_core.method.injection import source_guide
from s2edit_core.method.inputs import Attribute
from s2edit_core.method.inversion import Inversion, invert
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.prompts import with_placeholder
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Answer, Answers, Row, Rows, drive_all


class OutOfTime(Exception):
    """The bench's time is over."""


@dataclass(frozen=True, eq=False)
class IdentityGuidance:
    """Guidance by what [I] adds to the prediction: ε grows by `weight` · (ε([I]) − ε(no [I])).

    It takes the place of a `NegativePrompt` in `edit`, whose direction d moves the guided prediction by (1 − w)·d.
    """

    weight: float
    scale: float  # w, the guidance scale
    target: KeysValues
    gates: Gates | None
    plain: KeysValues

    def rows(self, z: Tensor, t: int) -> Rows:
        return Row(z, t, self.target, self.gates), Row(z, t, self.plain)

    def direction(self, answers: Sequence[Answer], unconditional: Tensor) -> Tensor:  # noqa: ARG002 (as NegativePrompt's)
        return self.weight / (1 - self.scale) * (answers[0].eps - answers[1].eps)


@dataclass(frozen=True)
class Cost:
    """Seconds of learning and inversion, which the edits of a subject share, and of one edit."""

    learn: float
    invert: float
    edit: float

    def figures(self) -> dict[str, float]:
        """Return the seconds of the first edit of a photo, and of every further one."""
        return {"seconds": self.learn + self.invert + self.edit, "seconds_next": self.edit}


def whole_canvas(pipe: S2EditPipeline, photo: Photo) -> Canvas:
    """Return the whole photo as a canvas, so that results compare pixel by pixel."""
    side = pipe.backbone.frame_size
    return replace(pipe.canvas(photo.picture, photo.mask), box=(0, 0, *photo.picture.size), frame=(side, side))


def coded(backbone: Backbone, picture: Image.Image) -> Image.Image:
    """Return a picture encoded and decoded, of the frame's size."""
    side = backbone.frame_size
    shown = to_tensor(picture.resize((side, side), Image.Resampling.LANCZOS))
    return to_image(backbone.decode_latent(backbone.encode_image(shown)))


class Editor:
    """Edits the photo of one case. What several ways share is learned and inverted once."""

    def __init__(self, pipe: S2EditPipeline, case: Case, deadline: float = float("inf"), folder: Path | None = None) -> None:
        """With a `folder`, concepts and inversions are kept there for later runs."""
        self.pipe, self.backbone, self.case, self.deadline, self.folder = pipe, pipe.backbone, case, deadline, folder
        self._made: dict[Hashable, tuple[Any, float]] = {}
        self.canvas = whole_canvas(pipe, case.photo)

    def evaluate(self, rows: Rows) -> Answers:
        if time.time() > self.deadline:
            raise OutOfTime
        return self.backbone.evaluate(rows)

    def all_once(self, wanted: Mapping[Hashable, Callable[[], Algorithm[Any]]]) -> None:
        """Run those algorithms that have not run yet, in shared passes, and keep their results by key with the seconds of each."""
        for key in wanted:
            if key not in self._made and (kept := self._read(key)) is not None:
                self._made[key] = kept
        missing = {key: make for key, make in wanted.items() if key not in self._made}
        started = time.perf_counter()
        results = drive_all([make() for make in missing.values()], self.evaluate)
        seconds = (time.perf_counter() - started) / max(1, len(missing))
        for key, result in zip(missing, results, strict=True):
            self._made[key] = result, seconds
            self._keep(key, result, seconds)

    def _path(self, key: Hashable) -> Path | None:
        if self.folder is None:
            return None
        text = repr((self.backbone.fingerprint, self.case.person, key))
        return self.folder / "learned" / hashlib.sha256(text.encode()).hexdigest()[:24]

    def _read(self, key: Hashable) -> tuple[Any, float] | None:
        """Return what an earlier run has kept."""
        path = self._path(key)
        if path is None or not path.exists():
            return None
        seconds = json.loads((path / "seconds.json").read_text())
        options: dict[str, Any] = {"fingerprint": self.backbone.fingerprint, "device": self.backbone.device}
        if (path / "inversion").exists():
            return Inversion.load(path / "inversion", **options), seconds
        return tuple(Concept.load(file, **options) for file in sorted(path.glob("concept-*"))), seconds

    def _keep(self, key: Hashable, result: Any, seconds: float) -> None:
        path = self._path(key)
        if path is None:
            return
        unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        unfinished.mkdir(parents=True)
        (unfinished / "seconds.json").write_text(json.dumps(seconds))
        for i, concept in enumerate(result if isinstance(result, tuple) else ()):
            concept.save(unfinished / f"concept-{i}")
        if isinstance(result, Inversion):
            result.save(unfinished / "inversion")
        if path.exists():  # another process was faster
            shutil.rmtree(unfinished)
        else:
            unfinished.rename(path)

    def once(self, key: Hashable, make: Callable[[], Algorithm[Any]]) -> tuple[Any, float]:
        """Return the result of an algorithm and its seconds, from the first call with `key`."""
        self.all_once({key: make})
        return self._made[key]

    # --- stages ------------------------------------------------------------------------------------------------

    def lesson(self, photo: Photo) -> Lesson:
        canvas = whole_canvas(self.pipe, photo)
        prompt = with_placeholder(photo.prompt, photo.word, field="prompt")
        return Lesson(self.backbone.encode_image(canvas.source()), canvas.mask(photo.mask), prompt, photo.word)

    def _learning_key(self, way: Way) -> Hashable:
        return "learn", way.origin, way.setting.learning

    def _learning(self, way: Way) -> Algorithm[tuple[Concept, ...]]:
        photos = {"same": (self.case.photo,), "other": self.case.others[:1], "three": self.case.others}[way.origin]
        lesson = replace(self.lesson(photos[0]), others=tuple(self.lesson(photo) for photo in photos[1:]))
        return learn_concepts(self.backbone, (lesson,), way.setting.learning)

    def concept(self, way: Way) -> tuple[Concept | None, float]:
        """Return [I] of `way` and the seconds of its learning."""
        if way.origin == "none":
            return None, 0.0
        concepts, seconds = self.once(self._learning_key(way), lambda: self._learning(way))
        return concepts[0], seconds

    def prompt(self, text: str, concept: Concept | None) -> str:
        return text if concept is None else with_placeholder(text, self.case.photo.word, field="prompt")

    def _inversion_key(self, way: Way, concept: Concept | None) -> Hashable:
        setting = way.setting
        guidance = self.pipe.guidance(None, setting.preset) * setting.gain
        return "invert", concept and concept.digest, setting.learning.masked, setting.inversion, setting.steps, guidance

    def _inverting(self, way: Way, concept: Concept | None) -> Algorithm[Inversion]:
        setting = way.setting
        prompt = self.prompt(self.case.photo.prompt, concept)
        source = self.pipe.source(self.canvas, prompt, concept, masked=setting.learning.masked)
        latent = self.backbone.encode_image(self.canvas.source())
        guidance = self.pipe.guidance(None, setting.preset) * setting.gain
        return invert(self.backbone, latent, source, setting.inversion, steps=setting.steps, guidance_scale=guidance)

    def inversion(self, way: Way, concept: Concept | None) -> tuple[Inversion, float]:
        """Return the inversion with `concept` and its seconds."""
        return self.once(self._inversion_key(way, concept), lambda: self._inverting(way, concept))

    def prepare(self, ways: Sequence[Way]) -> None:
        """Learn and invert for all ways in shared passes."""
        learned = {self._learning_key(way): partial(self._learning, way) for way in ways if way.origin != "none"}
        self.all_once(learned)
        pairs = [(way, self.concept(way)[0]) for way in ways]
        self.all_once({self._inversion_key(*pair): partial(self._inverting, *pair) for pair in pairs})

    def edited(self, wanted: Mapping[Way, Sequence[Target]]) -> dict[tuple[Way, Target], tuple[Tensor, Cost]]:
        """Return the edited frame `(3, H, W)` in -1..1 of each way and target, and its cost. All are sampled in shared passes."""
        self.prepare(list(wanted))
        keys = [(way, target) for way, targets in wanted.items() for target in targets]
        started = time.perf_counter()
        latents = drive_all([self._editing(*key) for key in keys], self.evaluate)
        frames = [self.backbone.decode_latent(latent) for latent in latents]
        seconds = (time.perf_counter() - started) / max(1, len(keys))
        return {key: (frame, self._cost(key[0], seconds)) for key, frame in zip(keys, frames, strict=True)}

    def _cost(self, way: Way, seconds: float) -> Cost:
        concept, learn = self.concept(way)
        return Cost(learn, self.inversion(way, concept)[1], seconds)

    def _editing(self, way: Way, target: Target) -> Algorithm[Tensor]:
        concept, _ = self.concept(way)
        inversion, _ = self.inversion(way, concept)
        return self.sampling(way.setting, self.prompt(target.answer.prompt, concept), concept, inversion)

    def sampling(
        self,
        setting: Setting,
        prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        attributes: Sequence[Attribute] = (),
    ) -> Algorithm[Tensor]:
        """Return the sampling of one edit; `prompt` holds all placeholders."""
        concepts = {each.placeholder: each for each in (*([concept] if concept else []), *(a.concept for a in attributes))}
        masks = {a.concept.placeholder: self.canvas.mask(a.region or self.canvas.edit_mask) for a in attributes}
        own = {PLACEHOLDER: self.canvas.mask(self.canvas.identity_mask)} if concept and setting.learning.masked else {}
        size = (inversion.path.shape[-2], inversion.path.shape[-1])
        target = prompt_keys_values(self.backbone, prompt, concepts)
        gates = prompt_gates(self.backbone, prompt, {**own, **masks}, size, concepts=concepts)
        regions = [self._cells(mask, size) for mask in masks.values()]
        where = torch.stack(regions).amax(0) if regions else None
        guide = None
        if setting.injection.acts:
            source_prompt = self.prompt(self.case.photo.prompt, concept)
            source = self.pipe.source(self.canvas, source_prompt, concept, masked=setting.learning.masked)
            names = replaced_words(concepts) or (PLACEHOLDER,)
            guide = source_guide(
                self.backbone, source, source_prompt, prompt, setting.injection, attribute_mask=where, placeholders=names
            )
        return edit(
            self.backbone,
            self._loosened(setting, inversion, size),
            target,
            gates,
            (concept,) if concept else (),
            guide,
            first=inversion.steps - round(setting.strength * inversion.steps),
            start=self._start(setting, inversion, size),
            negative=self._identity_guidance(setting, prompt, concept, inversion, target, gates),  # type: ignore[arg-type]
        )

    # --- what a setting changes --------------------------------------------------------------------------------

    def _cells(self, mask: Tensor, size: tuple[int, int]) -> Tensor:
        return adaptive_avg_pool2d(mask[None], size)[0].to(self.backbone.device)

    def _loosened(self, setting: Setting, inversion: Inversion, size: tuple[int, int]) -> Inversion:
        if not len(inversion.residuals):
            return inversion
        if setting.fade == "subject":
            inversion = inversion.faded(self._cells(self.canvas.mask(self.canvas.edit_mask), size))
        return replace(inversion, residuals=setting.residual * inversion.residuals)

    def _start(self, setting: Setting, inversion: Inversion, size: tuple[int, int]) -> Tensor | None:
        if setting.fresh == 0:
            return None
        digest = hashlib.sha256(self.case.person.encode()).digest()
        cells = self._cells(self.canvas.mask(self.canvas.edit_mask), size)
        return vary_noise(inversion.path[-1], cells, int.from_bytes(digest[:4]), setting.fresh)

    def _identity_guidance(
        self,
        setting: Setting,
        prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        target: KeysValues,
        gates: Gates | None,
    ) -> IdentityGuidance | None:
        if concept is None or setting.identity_guidance == 0:
            return None
        plain = prompt_keys_values(self.backbone, prompt.replace(f"{PLACEHOLDER} ", ""), {})
        return IdentityGuidance(setting.identity_guidance, inversion.guidance_scale, target, gates, plain)

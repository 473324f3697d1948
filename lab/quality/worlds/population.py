"""People, cats and churches as subjects of the quality bench: `python -m lab.quality --domain cat`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.metrics import changed_region, ssim
from lab.quality import method
from lab.quality.population import Box, Population, Shot, digest_of
from lab.quality.worlds.editing import coded, whole_canvas
from lab.quality.worlds.edits import EDITS, Case, Photo, Target, case_of
from lab.quality.worlds.measures import Judges, identity_errors, measure
from s2edit_core.pipeline import S2EditPipeline


@dataclass(frozen=True, eq=False)
class Portrayed:
    """A person, cat or church with its edits and their true answers."""

    case: Case

    @property
    def number(self) -> int:
        return self.case.seed

    @property
    def picture(self) -> Image.Image:
        return self.case.photo.picture

    @cached_property
    def targets(self) -> dict[str, Target]:
        return {target.edit.name: target for target in self.case.targets}

    @cached_property
    def answers(self) -> dict[str, Image.Image]:
        return {name: target.answer.picture for name, target in self.targets.items()}


@cache
def photograph_of(photo: Photo, size: int) -> Image.Image:
    """Return a photo of `size` pixels a side. Drawing one takes up to a second, and every method needs it."""
    return photo.domain.render(photo.subject, size)


@cache
def mask_of(photo: Photo, size: int) -> Image.Image:
    return photo.domain.mask(photo.subject, size)


class World(Population[Portrayed]):
    """The subjects of one domain."""

    figures = (
        *("psnr_changed", "psnr_unchanged", "psnr", "ssim_changed", "ssim_unchanged", "ssim"),
        *("gain", "success", "side_effects", "identity_error", "identity_error_decoded"),
    )

    def __init__(self, pipe: S2EditPipeline, domain: str, judges: Judges) -> None:
        self.pipe, self.domain, self.judges = pipe, domain, judges
        self._coded: dict[Target, Image.Image] = {}
        self.edits = self.known = tuple(edit.name for edit in EDITS[domain])

    def unseen(self, count: int, edits: Sequence[str]) -> list[Portrayed]:
        if unknown := [name for name in edits if name not in self.edits]:
            raise ValueError(f"unknown edit {unknown[0]!r}; choose from {', '.join(self.edits)}")
        found: list[Portrayed] = []
        seed = 0
        while len(found) < count:
            case = case_of(self.domain, seed, edits)
            if case.targets:
                found.append(Portrayed(case))
            seed += 1
        return found

    def case_of(self, subject: Portrayed) -> method.Case:
        photo = subject.case.photo
        prompts = {name: target.answer.prompt for name, target in subject.targets.items()}
        return method.Case(whole_canvas(self.pipe, photo), photo.prompt, photo.word, prompts, subject.answers)

    def measure(self, subject: Portrayed, edit: str, box: Box, raw: Image.Image) -> dict[str, Any]:
        target, photo = subject.targets[edit], subject.case.photo
        got = photo.picture.copy()
        got.paste(raw.resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS), box[:2])
        decoded = self._decoded(target).resize(got.size, Image.Resampling.LANCZOS)
        figures = measure(photo, target.answer, got, decoded, set(target.changes), self.judges)
        source, truth, made = (np.asarray(each) for each in (photo.picture, target.answer.picture, got))
        changed = changed_region(source, truth)
        figures |= {
            "ssim_changed": ssim(made, truth, changed),
            "ssim_unchanged": None if changed.all() else ssim(made, truth, ~changed),
            "ssim": ssim(made, truth),
        }
        return {name: figures[name] for name in self.figures} | {"identity": identity_errors(target.answer, got, self.judges)}

    def _decoded(self, target: Target) -> Image.Image:
        """Return the true answer encoded and decoded. It is kept, because every method is compared with it."""
        if target not in self._coded:
            self._coded[target] = coded(self.pipe.backbone, target.answer.picture)
        return self._coded[target]

    def photograph(self, subject: Portrayed, size: int) -> Shot:
        photo = subject.case.photo
        return Shot(photograph_of(photo, size), mask_of(photo, size))

    def photographed_answer(self, subject: Portrayed, edit: str, size: int) -> Image.Image:
        return photograph_of(subject.targets[edit].answer, size)

    def about(self) -> dict[str, Any]:
        found = self.judges.about()
        return {key: found[key][self.domain] for key in ("judge_accuracy", "identity_regressor")}

    def digest(self) -> str:
        return digest_of(self.judges.attributes.network, self.judges.identities.network)

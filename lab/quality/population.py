"""The subjects of the quality bench: unseen people, cats or churches, their edits, and how a result is measured."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from PIL import Image
from torch import nn

from lab.measures.metrics import changed_region, ssim
from lab.quality import phases
from lab.quality.worlds.editing import coded, whole_canvas
from lab.quality.worlds.edits import EDITS, Case, Photo, Target, cases_of, known_edits
from lab.quality.worlds.measures import Judges, identity_errors, measure
from lab.world import full_size
from s2edit_core.pipeline import S2EditPipeline

Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Subject:
    """A person, cat or church with its edits and their true answers."""

    case: Case

    @property
    def picture(self) -> Image.Image:
        return self.case.photo.picture

    @cached_property
    def targets(self) -> dict[str, Target]:
        """The edits that apply to the subject and are visible, by name."""
        return {target.edit.name: target for target in self.case.targets}

    @cached_property
    def answers(self) -> dict[str, Image.Image]:
        return {name: target.answer.picture for name, target in self.targets.items()}


@dataclass(frozen=True)
class Shot:
    """A subject as a photograph, with its identity mask."""

    picture: Image.Image
    mask: Image.Image


def shot_of(photo: Photo, size: int, seed: int) -> Shot:
    """Draw a photo at full size. People get the textures and the grain of `seed`; the drawings of the other domains have theirs."""
    if photo.domain.name == "person":
        made = full_size.photograph(photo.subject, size, seed)
        return Shot(made.picture, made.mask)
    return Shot(photo.domain.render(photo.subject, size), photo.domain.mask(photo.subject, size))


def digest_of(*networks: nn.Module) -> str:
    """Return a digest of the networks' weights."""
    weights = [value.numpy().tobytes() for network in networks for value in network.state_dict().values()]
    return hashlib.sha256(b"".join(weights)).hexdigest()[:24]


class Population:
    """The subjects of one domain. Neither training nor the evaluation of the judges has seen them."""

    figures = (
        *("psnr_changed", "psnr_unchanged", "psnr", "ssim_changed", "ssim_unchanged", "ssim"),
        *("gain", "success", "side_effects", "identity_error", "identity_error_decoded"),
    )
    """The figures of an edit, without those of `delivered`."""

    def __init__(self, pipe: S2EditPipeline, domain: str, judges: Judges) -> None:
        self.pipe, self.domain, self.judges = pipe, domain, judges
        self.edits = tuple(edit.name for edit in EDITS[domain])
        # What every method needs is drawn and encoded once.
        self._coded: dict[Target, Image.Image] = {}
        self._shots: dict[tuple[Photo, int], Shot] = {}

    def known(self, names: Sequence[str]) -> tuple[str, ...]:
        """Return the edits with these names, or of these groups. Raises `ValueError` for an unknown one."""
        groups = dict.fromkeys(edit.group for edit in EDITS[self.domain])
        if unknown := [name for name in names if name not in self.edits and name not in groups]:
            known = ", ".join((*self.edits, *groups))
            raise ValueError(f"unknown edit {unknown[0]!r} of {self.domain!r}; choose from {known}")
        return tuple(edit.name for edit in known_edits(self.domain, names))

    def unseen(self, count: int, edits: Sequence[str], first: int = 0) -> list[Subject]:
        """Return `count` subjects from number `first` on to whom at least one of `edits` applies."""
        return [Subject(case) for case in islice(cases_of(self.domain, edits, first), count)]

    def case_of(self, subject: Subject) -> phases.Case:
        """Return the subject as the methods get it."""
        photo = subject.case.photo
        prompts = {name: target.answer.prompt for name, target in subject.targets.items()}
        return phases.Case(whole_canvas(self.pipe, photo), photo.prompt, photo.word, prompts, subject.answers)

    def measure(self, subject: Subject, edit: str, box: Box, raw: Image.Image) -> dict[str, Any]:
        """Compare an edit with its true answer. `box` is the part of the picture that the model edited and returned as `raw`.

        The values are those of `figures`, and `identity`: the error of each number of the identity.
        """
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
        """Return the true answer encoded and decoded."""
        if target not in self._coded:
            self._coded[target] = coded(self.pipe.backbone, target.answer.picture)
        return self._coded[target]

    def _drawn(self, subject: Subject, photo: Photo, size: int) -> Shot:
        """Return a photo of the subject, `size` pixels a side. Drawing one takes up to a second."""
        if (photo, size) not in self._shots:
            self._shots[photo, size] = shot_of(photo, size, subject.case.seed)
        return self._shots[photo, size]

    def photograph(self, subject: Subject, size: int) -> Shot:
        """Return the subject in a photograph of `size` pixels a side."""
        return self._drawn(subject, subject.case.photo, size)

    def photographed_answer(self, subject: Subject, edit: str, size: int) -> Image.Image:
        """Return the true answer of an edit of that photograph."""
        return self._drawn(subject, subject.targets[edit].answer, size).picture

    def about(self) -> dict[str, Any]:
        """Return the judges' own accuracy and error on unseen renders, for the results file."""
        found = self.judges.about()
        return {key: found[key][self.domain] for key in ("judge_accuracy", "identity_regressor")}

    def digest(self) -> str:
        """Return a digest of the judges' weights. Figures by different networks must not be mixed."""
        return digest_of(self.judges.attributes.network, self.judges.identities.network)

"""The portraits of the shipped model's world, as subjects of the quality bench."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from lab.judges.judge import NAMES, Judge, load_judge
from lab.judges.regressor import Regressor, load_regressor
from lab.measures.metrics import changed_region, gain, psnr, ssim
from lab.quality.composition import MAKEUP, makeup_transfer
from lab.quality.method import Case
from lab.quality.population import Box, Population, Shot, digest_of
from lab.world.edits import EDITS, KNOWN, Edit, Subject, unseen
from lab.world.people import caption
from lab.world.photographs import photograph
from lab.world.portraits import person_mask
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.pipeline import S2EditPipeline


@dataclass(frozen=True)
class Judges:
    """The networks that score the pictures, trained on rendered portraits only."""

    judge: Judge
    regressor: Regressor

    @classmethod
    def load(cls) -> Judges:
        return cls(load_judge(), load_regressor())

    def about(self) -> dict[str, Any]:
        """Return the networks' own accuracy and error on unseen renders, for the results file."""
        held_out = {name: round(error, 4) for name, error in self.regressor.held_out.items()}
        return {
            "judge_accuracy": self.judge.accuracy,
            "identity_regressor": {"own_error": round(self.regressor.own_error, 4), "held_out": held_out},
        }

    def digest(self) -> str:
        """Return a digest of the weights. Figures by different networks must not be mixed."""
        return digest_of(self.judge.network, self.regressor.network)


def case_of(pipe: S2EditPipeline, subject: Subject) -> Case:
    """Return a person of the bench as a case for the methods."""
    has = subject.person.attributes
    return Case(
        canvas=pipe.canvas(subject.picture, person_mask(subject.person)),
        prompt=caption(has),
        subject=has.gender,
        targets={edit.name: subject.prompt(edit) for edit in subject.edits},
        answers=subject.answers,
        transfers={MAKEUP: makeup_transfer(pipe, subject)} if MAKEUP in subject.answers else {},
    )


def _edit(subject: Subject, name: str) -> Edit:
    return next(edit for edit in subject.edits if edit.name == name)


class Portraits(Population[Subject]):
    known = KNOWN
    edits = EDITS
    figures = (
        *("psnr_changed", "psnr_unchanged", "psnr", "ssim_changed", "ssim_unchanged", "ssim"),
        *("gain", "success", "side_effects", "identity_error"),
    )

    def __init__(self, pipe: S2EditPipeline, judges: Judges) -> None:
        self.pipe, self.judges = pipe, judges

    def unseen(self, count: int, edits: Sequence[str]) -> list[Subject]:
        return unseen(count, edits)

    def case_of(self, subject: Subject) -> Case:
        return case_of(self.pipe, subject)

    def measure(self, subject: Subject, edit: str, box: Box, raw: Image.Image) -> dict[str, Any]:
        asked_for = _edit(subject, edit)
        answer, asked = subject.answer(asked_for), set(asked_for.changes)
        size = (box[2] - box[0], box[3] - box[1])
        source, truth = (np.asarray(picture.crop(box)) for picture in (subject.picture, subject.answers[edit]))
        shown = raw.resize(size, Image.Resampling.LANCZOS)
        got, changed = np.asarray(shown), changed_region(source, truth)
        whole = subject.picture.copy()  # the networks were trained on whole portraits
        whole.paste(shown, box[:2])
        seen = self.judges.judge(to_tensor(whole)[None])[0]
        has = answer.attributes
        hidden = {"eye_shadow"} if has.sunglasses else set()
        errors = self.judges.regressor(to_tensor(whole), answer.identity, has)
        return {
            "psnr_changed": psnr(got, truth, changed),
            "psnr_unchanged": psnr(got, truth, ~changed),
            "psnr": psnr(got, truth),
            "ssim_changed": ssim(got, truth, changed),
            "ssim_unchanged": ssim(got, truth, ~changed),
            "ssim": ssim(got, truth),
            "gain": gain(source, truth, got, changed),
            "success": all(seen[name] == getattr(has, name) for name in asked),
            "side_effects": sum(seen[name] != getattr(has, name) for name in NAMES if name not in asked | hidden),
            "identity_error": statistics.fmean(errors.values()),
            "identity": errors,
        }

    def photograph(self, subject: Subject, size: int) -> Shot:
        shot = photograph(subject.person, size, subject.number)
        return Shot(shot.picture, shot.mask)

    def photographed_answer(self, subject: Subject, edit: str, size: int) -> Image.Image:
        return photograph(subject.answer(_edit(subject, edit)), size, subject.number).picture

    def about(self) -> dict[str, Any]:
        return self.judges.about()

    def digest(self) -> str:
        return self.judges.digest()

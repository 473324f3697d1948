"""`python -m lab.quality`: edits of unseen portraits, held against their true answers.

For every person and edit the right result is known: the same identity rendered with the attribute changed. Each method's
raw output (before paste-back) is compared with it inside the region that the edit truly changes and outside; the judge says
whether the new attribute is there and whether others changed unasked; the regressor says how far the identity is off. Intervals
are of a bootstrap over people.

Resumable: what a method made of a group of people is kept under `--work`, and a method that is in the results with the same
setting stays. `--pie-bench FOLDER` runs the same methods on a PIE-Bench folder instead.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.judges.judge import NAMES, Judge, load_judge
from lab.judges.regressor import Regressor, load_regressor
from lab.measures.bootstrap import intervals
from lab.measures.metrics import changed_region, psnr, ssim
from lab.measures.sheets import Row, contact_sheet
from lab.quality import pie_bench
from lab.quality.composition import MAKEUP, Composed, makeup_of
from lab.quality.method import COSINES, RECONSTRUCTION, Case, recipe
from lab.quality.methods import METHODS, chosen
from lab.quality.parts import Part, made
from lab.quality.runs import costs, fill, rounded
from lab.training.train import MODEL
from lab.world.dataset import WORK
from lab.world.edits import EDITS, KNOWN, Edit, Subject, unseen
from lab.world.people import caption
from lab.world.portraits import person_mask
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone

RESULTS = Path("lab/results")
FIGURES = (
    *("psnr_changed", "psnr_unchanged", "psnr", "ssim_changed", "ssim_unchanged", "ssim"),
    *("success", "side_effects", "identity_error"),
)
OF_A_PERSON = ("reconstruction_db", "leakage", *COSINES)
SHEET_PEOPLE = 6
VERSION = 3
"""Of the measures: raised when the same pictures are measured otherwise."""


@dataclass(frozen=True)
class Jury:
    """Who looks at the pictures, trained on renders alone."""

    judge: Judge
    regressor: Regressor

    def about(self) -> dict[str, Any]:
        """Their own figures on unseen renders."""
        held_out = {name: round(error, 4) for name, error in self.regressor.held_out.items()}
        return {
            "judge_accuracy": self.judge.accuracy,
            "identity_regressor": {"own_error": round(self.regressor.own_error, 4), "held_out": held_out},
        }

    def name(self) -> str:
        """Digest of their weights: measures of different juries don't mix."""
        networks = (self.judge.network, self.regressor.network)
        weights = [value.numpy().tobytes() for network in networks for value in network.state_dict().values()]
        return hashlib.sha256(b"".join(weights)).hexdigest()[:24]


def case_of(pipe: S2EditPipeline, subject: Subject) -> Case:
    """A person of the bench as a case for the methods."""
    has = subject.person.attributes
    return Case(
        canvas=pipe.canvas(subject.picture, person_mask(subject.person)),
        prompt=caption(has),
        subject=has.gender,
        targets={edit.name: subject.prompt(edit) for edit in subject.edits},
        answers=subject.answers,
        worn={MAKEUP: makeup_of(pipe, subject)} if MAKEUP in subject.answers else {},
    )


def measure(subject: Subject, edit: Edit, box: tuple[int, int, int, int], raw: Image.Image, jury: Jury) -> dict[str, Any]:
    """One edit against its true answer, within `box`, the part of the picture that the model saw as `raw`."""
    size = (box[2] - box[0], box[3] - box[1])
    answer = subject.answer(edit)
    source, truth = (np.asarray(picture.crop(box)) for picture in (subject.picture, subject.answers[edit.name]))
    shown = raw.resize(size, Image.Resampling.LANCZOS)
    got, changed = np.asarray(shown), changed_region(source, truth)
    whole = subject.picture.copy()  # the jury knows whole portraits only
    whole.paste(shown, box[:2])
    seen = jury.judge(to_tensor(whole)[None])[0]
    has, asked = answer.attributes, set(edit.changes)
    hidden = {"eye_shadow"} if has.sunglasses else set()
    errors = jury.regressor(to_tensor(whole), answer.identity, has)
    return {
        "edit": edit.name,
        "psnr_changed": psnr(got, truth, changed),
        "psnr_unchanged": psnr(got, truth, ~changed),
        "psnr": psnr(got, truth),
        "ssim_changed": ssim(got, truth, changed),
        "ssim_unchanged": ssim(got, truth, ~changed),
        "ssim": ssim(got, truth),
        "success": all(seen[name] == getattr(has, name) for name in asked),
        "side_effects": sum(seen[name] != getattr(has, name) for name in NAMES if name not in asked | hidden),
        "identity_error": statistics.fmean(errors.values()),
        "identity": errors,
    }


def measure_part(subjects: Sequence[Subject], cases: Sequence[Case], part: Part, first: int, jury: Jury) -> list[dict[str, Any]]:
    """A record per person and edit, and one per person (edit `reconstruction`) with what is measured of the person alone."""
    records = []
    for i, (subject, case) in enumerate(zip(subjects, cases, strict=True)):
        box = case.canvas.box
        records += [
            {"person": first + i, **measure(subject, edit, box, part.pictures[i, edit.name], jury)} for edit in subject.edits
        ]
        back = part.pictures[i, RECONSTRUCTION].resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS)
        reconstruction = psnr(np.asarray(back), np.asarray(subject.picture.crop(box)))
        records.append({"person": first + i, "edit": RECONSTRUCTION, "reconstruction_db": reconstruction, **part.about[i]})
    return records


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Medians of PSNR and SSIM, share of successes, mean number of side effects and identity error; per edit and in all."""

    def of(part: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {
            "cases": len(part),
            **{k: round(statistics.median(r[k] for r in part), 2) for k in ("psnr_changed", "psnr_unchanged", "psnr")},
            **{k: round(statistics.median(r[k] for r in part), 4) for k in ("ssim_changed", "ssim_unchanged", "ssim")},
            "success": round(statistics.fmean(r["success"] for r in part), 3),
            "side_effects": round(statistics.fmean(r["side_effects"] for r in part), 3),
            "identity_error": round(statistics.fmean(r["identity_error"] for r in part), 3),
        }

    names = sorted({record["edit"] for record in records})
    return {"all": of(records), **{name: of([r for r in records if r["edit"] == name]) for name in names}}


def result_of(name: str, parts: Sequence[Part], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What stands in the results under a method's name."""
    edits = [record for record in records if record["edit"] != RECONSTRUCTION]
    people = [record for record in records if record["edit"] == RECONSTRUCTION]
    parameters = sorted({parameter for record in edits for parameter in record["identity"]})
    errors = {p: [record["identity"][p] for record in edits if p in record["identity"]] for p in parameters}
    return {
        "title": METHODS[name].title,
        "recipe": recipe(METHODS[name]),
        "guidance_gain": METHODS[name].guidance_gain,
        "summary": summary(edits),
        "intervals": {
            "all": {**intervals(edits, FIGURES), **intervals(people, OF_A_PERSON)},
            **{e: intervals([r for r in edits if r["edit"] == e], FIGURES) for e in sorted({r["edit"] for r in edits})},
        },
        "identity_by_parameter": {p: round(statistics.fmean(values), 4) for p, values in errors.items()},
        "cost": costs(parts, len(people), len(edits)),
        "seconds": round(sum(cost.seconds for part in parts for cost in part.costs.values()), 1),
        "people": [rounded(record) for record in people],
        "records": [rounded({k: v for k, v in record.items() if k != "identity"}) for record in edits],
    }


def run_method(
    pipe: S2EditPipeline, name: str, subjects: Sequence[Subject], guidance: float, jury: Jury, folder: Path, group: int, sheet: Path
) -> dict[str, Any]:
    """Run a method over the people, group by group, and measure it; the contact sheet shows the first of them."""
    records: list[dict[str, Any]] = []
    parts: list[Part] = []
    rows: list[Row] = []
    for start in range(0, len(subjects), group):
        some = subjects[start : start + group]
        cases = [case_of(pipe, subject) for subject in some]
        part = made(pipe, METHODS[name], cases, guidance, folder)
        records += measure_part(some, cases, part, start, jury)
        parts.append(part)
        rows += [_sheet_row(subject, i, part) for i, subject in enumerate(some) if start + i < SHEET_PEOPLE]
        so_far = summary([record for record in records if record["edit"] != RECONSTRUCTION])["all"]
        print(name, start + len(some), "people", json.dumps(so_far), flush=True)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, [edit for edit in KNOWN if any(edit in row.edits for row in rows)]).save(sheet)
    return result_of(name, parts, records)


def _sheet_row(subject: Subject, i: int, part: Part) -> Row:
    shown = {edit.name: (part.pictures[i, edit.name], subject.answers[edit.name]) for edit in subject.edits}
    return Row(subject.picture, shown)


def run_portraits(pipe: S2EditPipeline, wanted: argparse.Namespace, out: Path) -> None:
    jury = Jury(load_judge(), load_regressor())
    guidance = pipe.guidance(wanted.guidance)
    edits = tuple(wanted.edits.split(","))
    subjects = unseen(wanted.people, edits)
    setting = {
        "people": wanted.people,
        "guidance_scale": guidance,
        "model": pipe.backbone.fingerprint,
        "edits": list(edits),
        "measures": VERSION,
        "jury": jury.name(),
    }

    def run(name: str) -> dict[str, Any]:
        sheet = out.with_name(f"{out.stem}-{name}.png")
        return run_method(pipe, name, subjects, guidance, jury, wanted.work / "quality", wanted.group, sheet)

    names = chosen(wanted.methods, lambda method: MAKEUP in edits or not isinstance(method, Composed))
    fill(out, setting, names, run, jury.about(), wanted.against, FIGURES)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--edits", default=",".join(EDITS), help="each tried on the people to whom it is news")
    parser.add_argument("--methods", default="ddim,paper,balanced,instant", help=f"`all`, or of {', '.join(METHODS)}")
    parser.add_argument("--against", default="balanced", help="the method that the others are subtracted from")
    parser.add_argument("--guidance", type=float, default=None, help="default: the model card's")
    parser.add_argument("--group", type=int, default=4, help="people side by side in one pass")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=None, help=f"default: {RESULTS / 'quality.json'}")
    pie_bench.add_arguments(parser)
    wanted = parser.parse_args()
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model, device=wanted.device))
    if wanted.pie_bench is None:
        run_portraits(pipe, wanted, wanted.out or RESULTS / "quality.json")
    else:
        pie_bench.run(pipe, wanted, wanted.out or RESULTS / "pie-bench.json")


if __name__ == "__main__":
    main()

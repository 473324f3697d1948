"""Edit unseen portraits with every method and compare the results with the ground truth: `python -m lab.quality`.

The ground truth of an edit is the same identity rendered with the attribute changed. The bench compares each method's raw output
with it: inside the region that the edit should change, and outside. The judge checks whether the new attribute is there and whether
others changed. The regressor measures the identity error. `delivered` measures the edit again as the service delivers it, in a
larger photograph. Intervals come from a bootstrap over people.

A run resumes: the outputs of each group of people are kept under `--work`, and methods that the results file already has with the
same setting are not run again. `--pie-bench FOLDER` or `--ffhq-edit FOLDER` runs the same methods on photographs instead.
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
from lab.measures.metrics import changed_region, gain, psnr, ssim
from lab.measures.sheets import Row, contact_sheet
from lab.quality import pie_bench
from lab.quality.composition import MAKEUP, Composed, makeup_transfer
from lab.quality.delivered import DELIVERED, measure_delivered, original_of
from lab.quality.method import COSINES, RECONSTRUCTION, Case
from lab.quality.methods import METHODS, select_methods
from lab.quality.parts import Part, load_or_run
from lab.quality.recipes import recipe
from lab.quality.runs import costs, rounded, update_results
from lab.training.train import MODEL
from lab.world.dataset import WORK
from lab.world.edits import EDITS, KNOWN, Edit, Subject, unseen
from lab.world.people import caption
from lab.world.portraits import person_mask
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.precision import DTYPES

RESULTS = Path("lab/results")
FIGURES = (
    *("psnr_changed", "psnr_unchanged", "psnr", "ssim_changed", "ssim_unchanged", "ssim"),
    *("gain", "success", "side_effects", "identity_error"),
    *DELIVERED,
)
PERSON_FIGURES = ("reconstruction_db", "leakage", *COSINES)
SHEET_PEOPLE = 6
VERSION = 3
"""Version of the measures. Raise it when the same pictures get other figures."""


@dataclass(frozen=True)
class Judges:
    """The networks that score the pictures, trained on rendered portraits only."""

    judge: Judge
    regressor: Regressor

    def about(self) -> dict[str, Any]:
        """Return the networks' own accuracy and error on unseen renders, for the results file."""
        held_out = {name: round(error, 4) for name, error in self.regressor.held_out.items()}
        return {
            "judge_accuracy": self.judge.accuracy,
            "identity_regressor": {"own_error": round(self.regressor.own_error, 4), "held_out": held_out},
        }

    def digest(self) -> str:
        """Return a digest of the weights. Figures by different networks must not be mixed."""
        networks = (self.judge.network, self.regressor.network)
        weights = [value.numpy().tobytes() for network in networks for value in network.state_dict().values()]
        return hashlib.sha256(b"".join(weights)).hexdigest()[:24]


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


def measure(subject: Subject, edit: Edit, box: tuple[int, int, int, int], raw: Image.Image, judges: Judges) -> dict[str, Any]:
    """Compare one edit with its ground truth, inside `box`: the part of the picture that the model edited and returned as `raw`."""
    size = (box[2] - box[0], box[3] - box[1])
    answer = subject.answer(edit)
    source, truth = (np.asarray(picture.crop(box)) for picture in (subject.picture, subject.answers[edit.name]))
    shown = raw.resize(size, Image.Resampling.LANCZOS)
    got, changed = np.asarray(shown), changed_region(source, truth)
    whole = subject.picture.copy()  # the networks were trained on whole portraits
    whole.paste(shown, box[:2])
    seen = judges.judge(to_tensor(whole)[None])[0]
    has, asked = answer.attributes, set(edit.changes)
    hidden = {"eye_shadow"} if has.sunglasses else set()
    errors = judges.regressor(to_tensor(whole), answer.identity, has)
    return {
        "edit": edit.name,
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


def measure_part(
    pipe: S2EditPipeline, subjects: Sequence[Subject], cases: Sequence[Case], part: Part, first: int, judges: Judges
) -> list[dict[str, Any]]:
    """Return a record per person and edit, and one per person (edit `reconstruction`) with the figures that no edit influences."""
    records = []
    for i, (subject, case) in enumerate(zip(subjects, cases, strict=True)):
        box, original = case.canvas.box, original_of(pipe, subject, case.canvas)
        for edit in subject.edits:
            raw = part.pictures[i, edit.name]
            figures = measure(subject, edit, box, raw, judges) | measure_delivered(pipe, original, edit, raw)
            records.append({"person": first + i, **figures})
        back = part.pictures[i, RECONSTRUCTION].resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS)
        reconstruction = psnr(np.asarray(back), np.asarray(subject.picture.crop(box)))
        records.append({"person": first + i, "edit": RECONSTRUCTION, "reconstruction_db": reconstruction, **part.about[i]})
    return records


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return medians of PSNR, SSIM and delivered figures, success rate and means of the other figures, per edit and overall."""

    def of(part: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        return {
            "cases": len(part),
            **{k: round(statistics.median(r[k] for r in part), 2) for k in ("psnr_changed", "psnr_unchanged", "psnr")},
            **{k: round(statistics.median(r[k] for r in part), 4) for k in ("ssim_changed", "ssim_unchanged", "ssim")},
            "gain": round(statistics.fmean(r["gain"] for r in part), 3),
            "success": round(statistics.fmean(r["success"] for r in part), 3),
            "side_effects": round(statistics.fmean(r["side_effects"] for r in part), 3),
            "identity_error": round(statistics.fmean(r["identity_error"] for r in part), 3),
            **{k: round(statistics.median(known), 2) for k in DELIVERED if (known := [r[k] for r in part if r[k] is not None])},
        }

    names = sorted({record["edit"] for record in records})
    return {"all": of(records), **{name: of([r for r in records if r["edit"] == name]) for name in names}}


def result_of(name: str, parts: Sequence[Part], records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the entry of a method in the results file."""
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
            "all": {**intervals(edits, FIGURES), **intervals(people, PERSON_FIGURES)},
            **{e: intervals([r for r in edits if r["edit"] == e], FIGURES) for e in sorted({r["edit"] for r in edits})},
        },
        "identity_by_parameter": {p: round(statistics.fmean(values), 4) for p, values in errors.items()},
        "cost": costs(parts, len(people), len(edits)),
        "seconds": round(sum(cost.seconds for part in parts for cost in part.costs.values()), 1),
        "people": [rounded(record) for record in people],
        "records": [rounded({k: v for k, v in record.items() if k != "identity"}) for record in edits],
    }


def run_method(
    pipe: S2EditPipeline,
    name: str,
    subjects: Sequence[Subject],
    guidance: float,
    judges: Judges,
    folder: Path,
    group: int,
    sheet: Path,
) -> dict[str, Any]:
    """Run a method on the people, group by group, and measure the results. The contact sheet shows the first `SHEET_PEOPLE`."""
    records: list[dict[str, Any]] = []
    parts: list[Part] = []
    rows: list[Row] = []
    for start in range(0, len(subjects), group):
        some = subjects[start : start + group]
        cases = [case_of(pipe, subject) for subject in some]
        part = load_or_run(pipe, METHODS[name], cases, guidance, folder)
        records += measure_part(pipe, some, cases, part, start, judges)
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
    judges = Judges(load_judge(), load_regressor())
    guidance = pipe.guidance(wanted.guidance)
    edits = tuple(wanted.edits.split(","))
    subjects = unseen(wanted.people, edits)[: wanted.first]
    setting = {
        "people": wanted.people,
        "guidance_scale": guidance,
        "model": pipe.backbone.fingerprint,
        "edits": list(edits),
        "measures": VERSION,
        "jury": judges.digest(),
    }
    exact = wanted.precision == "fp32"  # whose results, and the folder of whose pictures, name no precision
    setting |= {} if exact else {"precision": wanted.precision}
    folder = wanted.work / ("quality" if exact else f"quality-{wanted.precision}")

    def run(name: str) -> dict[str, Any]:
        sheet = out.with_name(f"{out.stem}-{name}.png")
        return run_method(pipe, name, subjects, guidance, judges, folder, wanted.group, sheet)

    names = select_methods(wanted.methods, lambda method: MAKEUP in edits or not isinstance(method, Composed))
    update_results(out, setting, names, run, judges.about(), wanted.against, FIGURES, len(subjects))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the UNet")
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--first", type=int, default=None, help="run the methods on so many of the people; the table says so")
    parser.add_argument(
        "--edits", default=",".join(EDITS), help="edits, separated by commas; each is tried on the people that it applies to"
    )
    parser.add_argument("--methods", default="ddim,paper,balanced,instant", help=f"`all`, or some of {', '.join(METHODS)}")
    parser.add_argument("--against", default="balanced", help="method to compare with all others")
    parser.add_argument("--guidance", type=float, default=None, help="default: the model card's")
    parser.add_argument("--group", type=int, default=4, help="number of people in one batch")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=None, help=f"default: {RESULTS / 'quality.json'}")
    pie_bench.add_arguments(parser)
    wanted = parser.parse_args()
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model, device=wanted.device, dtype=DTYPES[wanted.precision]))
    if wanted.pie_bench is None and wanted.ffhq_edit is None:
        run_portraits(pipe, wanted, wanted.out or RESULTS / "quality.json")
    else:
        default = "pie-bench.json" if wanted.ffhq_edit is None else "ffhq-edit.json"
        pie_bench.run(pipe, wanted, wanted.out or RESULTS / default)


if __name__ == "__main__":
    main()

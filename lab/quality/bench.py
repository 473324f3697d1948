"""Edit unseen subjects with every method and compare the results with the ground truth: `python -m lab.quality`.

The ground truth of an edit is the same identity rendered with the attribute changed. The bench compares each method's raw output
with it: inside the region that the edit should change, and outside. The judge checks whether the new attribute is there and whether
others changed. The regressor measures the identity error. `delivered` measures the edit again as the service delivers it, in a
larger photograph. Intervals come from a bootstrap over subjects. The subjects are portraits, or the people, cats or churches of
`--domain`.

A run resumes: the outputs of each group of people are kept under `--work`, and methods that the results file already has with the
same setting are not run again. `--pie-bench FOLDER` or `--ffhq-edit FOLDER` runs the same methods on photographs instead.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.bootstrap import intervals
from lab.measures.metrics import psnr
from lab.measures.sheets import Row, contact_sheet
from lab.quality import delivered, portraits
from lab.quality.benchmarks import pie_bench
from lab.quality.composition import MAKEUP, Composed
from lab.quality.delivered import DELIVERED, measure_delivered, original_of
from lab.quality.method import COSINES, RECONSTRUCTION, Case
from lab.quality.methods import METHODS, select_methods
from lab.quality.parts import Part, load_or_run
from lab.quality.population import Population, S, Subject
from lab.quality.portraits import Portraits
from lab.quality.recipes import recipe
from lab.quality.runs import costs, rounded, update_results
from lab.quality.worlds import measures
from lab.quality.worlds.population import World
from lab.training.train import MODEL
from lab.world.dataset import WORK
from lab.world.domains import DOMAINS
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.precision import DTYPES

RESULTS = Path("lab/results")
JUDGES = Path("lab/judges")
PORTRAITS = "portraits"
FIGURES = (*World.figures, *DELIVERED)
"""Of an edit. Portraits have no `identity_error_decoded`."""
MEDIANS = {
    **dict.fromkeys(("psnr_changed", "psnr_unchanged", "psnr"), 2),
    **dict.fromkeys(("ssim_changed", "ssim_unchanged", "ssim"), 4),
    **dict.fromkeys(DELIVERED, 2),
}
"""The figures that a summary gives as medians, and their decimals."""
MEANS = ("gain", "success", "side_effects", "identity_error", "identity_error_decoded")
PERSON_FIGURES = ("reconstruction_db", "leakage", *COSINES)
SHEET_PEOPLE = 6
VERSION = 3
"""Version of the measures. Raise it when the same pictures get other figures."""


def measure_part(
    population: Population[S], subjects: Sequence[S], cases: Sequence[Case], part: Part, first: int
) -> list[dict[str, Any]]:
    """Return a record per person and edit, and one per person (edit `reconstruction`) with the figures that no edit influences."""
    records = []
    for i, (subject, case) in enumerate(zip(subjects, cases, strict=True)):
        box = case.canvas.box
        original = original_of(population.pipe, population.photograph(subject, delivered.SIZE), case.canvas)
        for edit in subject.answers:
            raw = part.pictures[i, edit]
            answer = population.photographed_answer(subject, edit, delivered.SIZE)
            figures = population.measure(subject, edit, box, raw) | measure_delivered(population.pipe, original, answer, raw)
            records.append({"person": first + i, "edit": edit, **figures})
        back = part.pictures[i, RECONSTRUCTION].resize((box[2] - box[0], box[3] - box[1]), Image.Resampling.LANCZOS)
        reconstruction = psnr(np.asarray(back), np.asarray(subject.picture.crop(box)))
        records.append({"person": first + i, "edit": RECONSTRUCTION, "reconstruction_db": reconstruction, **part.about[i]})
    return records


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return medians of PSNR, SSIM and delivered figures, success rate and means of the other figures, per edit and overall."""

    def of(part: Sequence[Mapping[str, Any]]) -> dict[str, float]:
        known = {name: [r[name] for r in part if r.get(name) is not None] for name in (*MEDIANS, *MEANS)}
        return {
            "cases": len(part),
            **{name: round(statistics.median(known[name]), places) for name, places in MEDIANS.items() if known[name]},
            **{name: round(statistics.fmean(known[name]), 3) for name in MEANS if known[name]},
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
    population: Population[S], name: str, subjects: Sequence[S], guidance: float, folder: Path, group: int, sheet: Path
) -> dict[str, Any]:
    """Run a method on the people, group by group, and measure the results. The contact sheet shows the first `SHEET_PEOPLE`."""
    records: list[dict[str, Any]] = []
    parts: list[Part] = []
    rows: list[Row] = []
    for start in range(0, len(subjects), group):
        some = subjects[start : start + group]
        cases = [population.case_of(subject) for subject in some]
        part = load_or_run(population.pipe, METHODS[name], cases, guidance, folder)
        records += measure_part(population, some, cases, part, start)
        parts.append(part)
        rows += [_sheet_row(subject, i, part) for i, subject in enumerate(some) if start + i < SHEET_PEOPLE]
        so_far = summary([record for record in records if record["edit"] != RECONSTRUCTION])["all"]
        print(name, start + len(some), "people", json.dumps(so_far), flush=True)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, [edit for edit in population.known if any(edit in row.edits for row in rows)]).save(sheet)
    return result_of(name, parts, records)


def _sheet_row(subject: Subject, i: int, part: Part) -> Row:
    return Row(subject.picture, {edit: (part.pictures[i, edit], answer) for edit, answer in subject.answers.items()})


def run_population(population: Population[S], wanted: argparse.Namespace, out: Path) -> None:
    pipe = population.pipe
    guidance = pipe.guidance(wanted.guidance)
    edits = tuple(wanted.edits.split(",")) if wanted.edits else population.edits
    subjects = population.unseen(wanted.people, edits)[: wanted.first]
    setting = {
        "people": wanted.people,
        "guidance_scale": guidance,
        "model": pipe.backbone.fingerprint,
        "edits": list(edits),
        "measures": VERSION,
        "jury": population.digest(),
    }
    setting |= {} if wanted.domain == PORTRAITS else {"domain": wanted.domain}  # the results of portraits name no domain
    exact = wanted.precision == "fp32"  # whose results, and the folder of whose pictures, name no precision
    setting |= {} if exact else {"precision": wanted.precision}
    folder = wanted.work / ("quality" if exact else f"quality-{wanted.precision}")

    def run(name: str) -> dict[str, Any]:
        sheet = out.with_name(f"{out.stem}-{name}.png")
        return run_method(population, name, subjects, guidance, folder, wanted.group, sheet)

    transfers = wanted.domain == PORTRAITS and MAKEUP in edits
    names = select_methods(wanted.methods, lambda method: transfers or not isinstance(method, Composed))
    update_results(out, setting, names, run, population.about(), wanted.against, FIGURES, len(subjects))


def population_of(pipe: S2EditPipeline, domain: str) -> Population[Any]:
    if domain == PORTRAITS:
        return Portraits(pipe, portraits.Judges.load())
    return World(pipe, domain, measures.Judges.load(JUDGES))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the UNet")
    parser.add_argument("--domain", choices=(PORTRAITS, *DOMAINS), default=PORTRAITS)
    parser.add_argument("--people", type=int, default=50, help="number of subjects")
    parser.add_argument("--first", type=int, default=None, help="run the methods on so many of the people; the table says so")
    parser.add_argument("--edits", default="", help="edits, separated by commas; each is tried on those that it applies to")
    parser.add_argument("--methods", default="ddim,paper,balanced,instant", help=f"`all`, or some of {', '.join(METHODS)}")
    parser.add_argument("--against", default="balanced", help="method to compare with all others")
    parser.add_argument("--guidance", type=float, default=None, help="default: the model card's")
    parser.add_argument("--group", type=int, default=4, help="number of people in one batch")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=None, help=f"default: {RESULTS / 'quality.json'} or quality-DOMAIN.json")
    pie_bench.add_arguments(parser)
    wanted = parser.parse_args()
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model, device=wanted.device, dtype=DTYPES[wanted.precision]))
    if wanted.pie_bench is None and wanted.ffhq_edit is None:
        default = "quality.json" if wanted.domain == PORTRAITS else f"quality-{wanted.domain}.json"
        run_population(population_of(pipe, wanted.domain), wanted, wanted.out or RESULTS / default)
    else:
        default = "pie-bench.json" if wanted.ffhq_edit is None else "ffhq-edit.json"
        pie_bench.run(pipe, wanted, wanted.out or RESULTS / default)


if __name__ == "__main__":
    main()

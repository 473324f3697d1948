"""Edit unseen subjects with every method and compare the results with the ground truth: `python -m lab.quality`.

The ground truth of an edit is the same subject rendered with the attribute changed. The bench compares each method's raw output
with it: inside the region that the edit should change, and outside. The judge checks whether the new attribute is there and whether
others changed. The regressor measures the identity error. `delivered` measures the edit again as the service delivers it, in a
larger photograph. Intervals come from a bootstrap over subjects. The results file has a section for each domain: people, cats and
churches.

A run resumes: the outputs of each group of subjects are kept under `--work`, and methods that the results file already has with the
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
from lab.quality import delivered
from lab.quality.benchmarks import pie_bench
from lab.quality.delivered import DELIVERED, measure_delivered, original_of
from lab.quality.methods import COMPARED, METHODS, select_methods
from lab.quality.parts import Part, load_or_run
from lab.quality.phases import COSINES, RECONSTRUCTION, Case
from lab.quality.population import Population, Subject
from lab.quality.recipes import recipe
from lab.quality.runs import costs, rounded, update_results
from lab.quality.worlds.measures import Judges
from lab.training.dataset import WORK
from lab.training.train import MODEL
from lab.world.domains import DOMAINS
from s2edit_core.delivery.asked import asked_for
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.precision import DTYPES

RESULTS = Path("lab/results")
JUDGES = Path("lab/judges")
SUBJECTS = {"person": 24, "cat": 16, "church": 16}
"""Subjects of each domain by default: about 270 edits of people, 110 of cats and 100 of churches."""
FIGURES = (*Population.figures, *DELIVERED)
"""The figures of an edit."""
MEDIANS = {
    **dict.fromkeys(("psnr_changed", "psnr_unchanged", "psnr"), 2),
    **dict.fromkeys(("ssim_changed", "ssim_unchanged", "ssim"), 4),
    **dict.fromkeys(DELIVERED, 2),
}
"""The figures that a summary gives as medians, and their decimals."""
MEANS = ("gain", "success", "side_effects", "identity_error", "identity_error_decoded")
SUBJECT_FIGURES = ("reconstruction_db", "leakage", *COSINES)
SHEET_SUBJECTS, SHEET_EDITS = 6, 8
VERSION = 8
"""Version of the measures. Raise it when the same pictures get other figures."""


def measure_part(
    population: Population, subjects: Sequence[Subject], cases: Sequence[Case], part: Part, first: int
) -> list[dict[str, Any]]:
    """Return a record per subject and edit, and one per subject (edit `reconstruction`) with the figures that no edit changes."""
    records = []
    for i, (subject, case) in enumerate(zip(subjects, cases, strict=True)):
        box = case.canvas.box
        original = original_of(population.pipe, population.photograph(subject, delivered.SIZE), case.canvas, case.subject or "")
        for edit in subject.answers:
            raw = part.pictures[i, edit]
            answer = population.photographed_answer(subject, edit, delivered.SIZE)
            asked = asked_for(case.prompt, case.targets[edit])
            figures = population.measure(subject, edit, box, raw)
            figures |= measure_delivered(population.pipe, original, answer, raw, asked)
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
    subjects = [record for record in records if record["edit"] == RECONSTRUCTION]
    parameters = sorted({parameter for record in edits for parameter in record["identity"]})
    errors = {p: [record["identity"][p] for record in edits if p in record["identity"]] for p in parameters}
    return {
        "title": METHODS[name].title,
        "recipe": recipe(METHODS[name]),
        "guidance_gain": METHODS[name].guidance_gain,
        "summary": summary(edits),
        "intervals": {
            "all": {**intervals(edits, FIGURES), **intervals(subjects, SUBJECT_FIGURES)},
            **{e: intervals([r for r in edits if r["edit"] == e], FIGURES) for e in sorted({r["edit"] for r in edits})},
        },
        "identity_by_parameter": {p: round(statistics.fmean(values), 4) for p, values in errors.items()},
        "cost": costs(parts, len(subjects), len(edits)),
        "seconds": round(sum(cost.seconds for part in parts for cost in part.costs.values()), 1),
        "subjects": [rounded(record) for record in subjects],
        "records": [rounded({k: v for k, v in record.items() if k != "identity"}) for record in edits],
    }


def run_method(
    population: Population, name: str, subjects: Sequence[Subject], guidance: float, folder: Path, group: int, sheet: Path
) -> dict[str, Any]:
    """Run a method on the subjects, group by group, and measure the results. The contact sheet shows some of them."""
    records: list[dict[str, Any]] = []
    parts: list[Part] = []
    rows: list[Row] = []
    for start in range(0, len(subjects), group):
        some = subjects[start : start + group]
        cases = [population.case_of(subject) for subject in some]
        part = load_or_run(population.pipe, METHODS[name], cases, guidance, folder)
        records += measure_part(population, some, cases, part, start)
        parts.append(part)
        rows += [_sheet_row(subject, i, part) for i, subject in enumerate(some) if start + i < SHEET_SUBJECTS]
        so_far = summary([record for record in records if record["edit"] != RECONSTRUCTION])["all"]
        print(population.domain, name, start + len(some), "subjects", json.dumps(so_far), flush=True)
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, shown_edits(population.edits, rows)).save(sheet)
    return result_of(name, parts, records)


def shown_edits(edits: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Return the `SHEET_EDITS` edits that most rows have, in the order of `edits`."""
    count = {edit: sum(edit in row.edits for row in rows) for edit in edits}
    commonest = sorted(edits, key=lambda edit: count[edit], reverse=True)[:SHEET_EDITS]
    return [edit for edit in edits if edit in commonest and count[edit]]


def _sheet_row(subject: Subject, i: int, part: Part) -> Row:
    return Row(subject.picture, {edit: (part.pictures[i, edit], answer) for edit, answer in subject.answers.items()})


def run_population(population: Population, wanted: argparse.Namespace, out: Path) -> None:
    """Run the methods on the subjects of one domain, and write its section of the results file."""
    pipe, domain = population.pipe, population.domain
    guidance = pipe.guidance(wanted.guidance)
    edits = population.known(wanted.edits.split(",")) if wanted.edits else population.edits
    count = wanted.subjects or SUBJECTS[domain]
    subjects = population.unseen(count, edits)[: wanted.first]
    setting = {
        "domain": domain,
        "subjects": count,
        "guidance_scale": guidance,
        "model": pipe.backbone.fingerprint,
        "edits": list(edits),
        "measures": VERSION,
        "jury": population.digest(),
        "precision": wanted.precision,
    }
    folder = wanted.work / ("quality" if wanted.precision == "fp32" else f"quality-{wanted.precision}")

    def run(name: str) -> dict[str, Any]:
        sheet = out.with_name(f"{out.stem}-{domain}-{name}.png")
        return run_method(population, name, subjects, guidance, folder, wanted.group, sheet)

    names = select_methods(wanted.methods)
    update_results(out, setting, names, run, population.about(), wanted.against, FIGURES, len(subjects), domain)


def domains_of(names: str) -> list[str]:
    """Return the domains in a comma-separated list. Raises `ValueError` for an unknown one."""
    wanted = [name.strip() for name in names.split(",")]
    if unknown := [name for name in wanted if name not in DOMAINS]:
        raise ValueError(f"unknown domain {unknown[0]!r}; choose from {', '.join(DOMAINS)}")
    return wanted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32", help="of the UNet")
    parser.add_argument("--domain", default=",".join(DOMAINS), help="some of %(default)s, which is the default")
    usual = ", ".join(f"{count} of {domain}" for domain, count in SUBJECTS.items())
    parser.add_argument("--subjects", type=int, default=None, help=f"number of subjects of each domain; default: {usual}")
    parser.add_argument("--first", type=int, default=None, help="run the methods on so many of the subjects; the table says so")
    parser.add_argument("--edits", default="", help="names or groups of edits; each is tried on those that it applies to")
    parser.add_argument("--methods", default=",".join(COMPARED), help=f"`all`, or some of {', '.join(METHODS)}")
    parser.add_argument("--against", default="balanced", help="method to compare with all others")
    parser.add_argument("--guidance", type=float, default=None, help="default: the model card's")
    parser.add_argument("--group", type=int, default=4, help="number of subjects in one batch")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=None, help=f"default: {RESULTS / 'quality.json'}")
    pie_bench.add_arguments(parser)
    wanted = parser.parse_args()
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model, device=wanted.device, dtype=DTYPES[wanted.precision]))
    if wanted.pie_bench is None and wanted.ffhq_edit is None:
        judges = Judges.load(JUDGES)
        for domain in domains_of(wanted.domain):
            run_population(Population(pipe, domain, judges), wanted, wanted.out or RESULTS / "quality.json")
    else:
        default = "pie-bench.json" if wanted.ffhq_edit is None else "ffhq-edit.json"
        pie_bench.run(pipe, wanted, wanted.out or RESULTS / default)


if __name__ == "__main__":
    main()

"""`python -m lab.quality`: edits of unseen portraits, held against their true answers.

For every person and edit the right result is known: the same identity rendered with the attribute changed. Each method's
raw output (before paste-back) is compared with it inside the region that the edit truly changes and outside; the judge says
whether the new attribute is there and whether others changed unasked. Resumable: a method that is in the results stays.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lab.dataset import HELD_OUT, portraits
from lab.judge import NAMES, Judge, train_judge
from lab.portraits import Person, caption, person_mask, render, replace_attributes, sample_person
from lab.train import MODEL, WORK
from s2edit_core.backbone import Backbone
from s2edit_core.canvas import Canvas, to_image, to_tensor
from s2edit_core.concept import Concept
from s2edit_core.inversion import Inversion, ddim_invert, invert, null_states
from s2edit_core.learning import learn_concept
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.prompts import changed_words, with_placeholder
from s2edit_core.rows import drive_all
from s2edit_core.spec import PRESETS, Preset

RESULTS = Path("lab/results")
VISIBLE = 8
"""A pixel belongs to the changed region if the truth differs from the source by more than this many 8-bit levels."""


@dataclass(frozen=True)
class Edit:
    name: str
    changes: dict[str, Any]


def edits_of(person: Person) -> list[Edit]:
    colour = "black" if person.attributes.hair_colour == "red" else "red"
    return [Edit("hair", {"hair_colour": colour}), Edit("smile", {"expression": "smiling"}), Edit("glasses", {"glasses": True})]


def unseen_people(count: int) -> list[Person]:
    """People that no training has drawn, to whom all of the edits are news: not smiling, nothing on their eyes."""
    found: list[Person] = []
    seed = HELD_OUT + 5000
    while len(found) < count:
        person = sample_person(seed)
        has = person.attributes
        if has.expression != "smiling" and not has.glasses and not has.sunglasses:
            found.append(person)
        seed += 1
    return found


@dataclass(frozen=True)
class Case:
    """A person before the editor."""

    person: Person
    canvas: Canvas
    latent: Tensor
    prompt: str
    subject: str


def cases_of(pipe: S2EditPipeline, people: list[Person]) -> list[Case]:
    made = []
    for person in people:
        canvas = pipe.canvas(render(person), person_mask(person))
        latent = pipe.backbone.encode_image(canvas.source())
        made.append(Case(person, canvas, latent, caption(person.attributes), person.attributes.gender))
    return made


Edited = dict[tuple[int, str], Tensor]  # (case, edit) → edited latent


def run_ddim(pipe: S2EditPipeline, cases: list[Case], guidance: float, steps: int = 50) -> Edited:
    """Plain DDIM inversion and the target prompt: no concept, no repair."""
    backbone = pipe.backbone
    sources = [pipe.source(case.canvas, case.prompt, None) for case in cases]
    paths = drive_all([ddim_invert(backbone, c.latent, s, steps) for c, s in zip(cases, sources, strict=True)], backbone.evaluate)
    empty = null_states(backbone)[None]
    inversions = [Inversion(path, empty, torch.zeros(0), "negative_prompt", guidance, backbone.fingerprint) for path in paths]
    return _edit_all(pipe, cases, [None] * len(cases), inversions)


def run_s2edit(preset: Preset, pipe: S2EditPipeline, cases: list[Case], guidance: float) -> Edited:
    backbone = pipe.backbone
    prompts = [with_placeholder(case.prompt, case.subject, field="source_prompt") for case in cases]
    concepts = drive_all(
        [
            learn_concept(
                backbone,
                case.latent,
                case.canvas.mask(case.canvas.identity_mask),
                prompt,
                case.subject,
                preset.learning,
                request_words=_requested(case),
            )
            for case, prompt in zip(cases, prompts, strict=True)
        ],
        backbone.evaluate,
    )
    masked = preset.learning.masked
    inversions = drive_all(
        [
            invert(
                backbone,
                case.latent,
                pipe.source(case.canvas, prompt, concept, masked=masked),
                preset.inversion,
                steps=preset.steps,
                guidance_scale=guidance,
            )
            for case, prompt, concept in zip(cases, prompts, concepts, strict=True)
        ],
        backbone.evaluate,
    )
    return _edit_all(pipe, cases, concepts, inversions, masked=masked)


def _requested(case: Case) -> tuple[str, ...]:
    """The words that the edits of this person bring in."""
    words = [
        changed_words(case.prompt, caption(replace_attributes(case.person, **wanted.changes).attributes))
        for wanted in edits_of(case.person)
    ]
    return tuple(dict.fromkeys(word for each in words for word in each))


def _edit_all(
    pipe: S2EditPipeline,
    cases: list[Case],
    concepts: Sequence[Concept | None],
    inversions: list[Inversion],
    *,
    masked: bool = True,
) -> Edited:
    keys, algorithms = [], []
    for i, (case, concept, inversion) in enumerate(zip(cases, concepts, inversions, strict=True)):
        for wanted in edits_of(case.person):
            prompt = caption(replace_attributes(case.person, **wanted.changes).attributes)
            if concept is not None:
                prompt = with_placeholder(prompt, case.subject, field="prompt")
            keys.append((i, wanted.name))
            algorithms.append(pipe.edit_rows(case.canvas, prompt, concept, inversion, masked=masked))
    return dict(zip(keys, drive_all(algorithms, pipe.backbone.evaluate), strict=True))


def _balanced(**learning: Any) -> Preset:
    return replace(PRESETS["balanced"], learning=replace(PRESETS["balanced"].learning, **learning))


METHODS: dict[str, Callable[[S2EditPipeline, list[Case], float], Edited]] = {
    "ddim": run_ddim,
    **{name: partial(run_s2edit, preset) for name, preset in PRESETS.items()},
    "balanced-unmasked": partial(run_s2edit, _balanced(masked=False)),
    "balanced-no-orthogonality": partial(run_s2edit, _balanced(orthogonality=0.0)),
}


def _psnr(a: NDArray[np.uint8], b: NDArray[np.uint8], where: NDArray[np.bool_]) -> float:
    mse = float(np.square(a[where].astype(np.float64) - b[where].astype(np.float64)).mean())
    return 10 * float(np.log10(255**2 / max(mse, 1e-3)))


def measure(case: Case, wanted: Edit, raw: Image.Image, judge: Judge) -> dict[str, Any]:
    """One edit against its true answer."""
    answer = replace_attributes(case.person, **wanted.changes)
    source, truth = np.asarray(render(case.person)), np.asarray(render(answer))
    got = np.asarray(raw)
    changed = np.abs(source.astype(int) - truth.astype(int)).max(axis=2) > VISIBLE
    seen = judge(to_tensor(raw)[None])[0]
    has = {name: getattr(answer.attributes, name) for name in NAMES}
    asked = set(wanted.changes)
    return {
        "edit": wanted.name,
        "psnr_changed": _psnr(got, truth, changed),
        "psnr_unchanged": _psnr(got, truth, ~changed),
        "psnr": _psnr(got, truth, np.ones_like(changed)),
        "success": all(seen[name] == has[name] for name in asked),
        "side_effects": sum(seen[name] != has[name] for name in NAMES if name not in asked),
    }


def run_method(
    pipe: S2EditPipeline, name: str, people: list[Person], guidance: float, judge: Judge, sheet: Path, group: int
) -> dict[str, Any]:
    records: list[dict[str, Any]] = []
    pictures: list[list[Image.Image]] = []
    started = time.perf_counter()
    for start in range(0, len(people), group):
        cases = cases_of(pipe, people[start : start + group])
        edited = METHODS[name](pipe, cases, guidance)
        for i, case in enumerate(cases):
            row = [render(case.person)]
            for wanted in edits_of(case.person):
                raw = to_image(pipe.backbone.decode_latent(edited[i, wanted.name]))
                records.append({"person": start + i, **measure(case, wanted, raw, judge)})
                row += [raw, render(replace_attributes(case.person, **wanted.changes))]
            pictures.append(row)
        print(name, start + len(cases), summary(records), f"{time.perf_counter() - started:.0f} s", flush=True)
    contact_sheet(pictures[:12]).save(sheet)
    return {"summary": summary(records), "seconds": round(time.perf_counter() - started, 1), "records": records}


def summary(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians of the PSNRs, share of successes, mean number of side effects; per edit and in all."""

    def of(part: list[dict[str, Any]]) -> dict[str, float]:
        return {
            **{k: round(statistics.median(r[k] for r in part), 2) for k in ("psnr_changed", "psnr_unchanged", "psnr")},
            "success": round(sum(r["success"] for r in part) / len(part), 3),
            "side_effects": round(sum(r["side_effects"] for r in part) / len(part), 3),
        }

    names = sorted({record["edit"] for record in records})
    return {"all": of(records), **{name: of([r for r in records if r["edit"] == name]) for name in names}}


def contact_sheet(rows: list[list[Image.Image]]) -> Image.Image:
    """A row per person: the source, then for each edit the raw output and the true answer."""
    width, height = rows[0][0].size
    sheet = Image.new("RGB", (width * len(rows[0]), height * len(rows)))
    for y, row in enumerate(rows):
        for x, picture in enumerate(row):
            sheet.paste(picture, (x * width, y * height))
    return sheet


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--methods", default="ddim,paper,balanced,instant")
    parser.add_argument("--guidance", type=float, default=None, help="default: the model card's")
    parser.add_argument("--group", type=int, default=4, help="people side by side in one pass")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=RESULTS / "quality.json")
    wanted = parser.parse_args()
    judge = train_judge(portraits(wanted.work, 12_000), wanted.work)
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model))
    guidance = pipe.guidance(wanted.guidance)
    people = unseen_people(wanted.people)
    saved: dict[str, Any] = json.loads(wanted.out.read_text()) if wanted.out.exists() else {}
    setting = {"people": wanted.people, "guidance_scale": guidance, "model": pipe.backbone.fingerprint}
    if saved.get("setting") != setting:
        saved = {"setting": setting, "methods": {}}
    saved["judge_accuracy"] = judge.accuracy
    saved["machine"] = {"processor": platform.machine(), "torch": torch.__version__, "python": platform.python_version()}
    for name in wanted.methods.split(","):
        if name not in saved["methods"]:
            sheet = wanted.out.with_name(f"{wanted.out.stem}-{name}.png")
            saved["methods"][name] = run_method(pipe, name, people, guidance, judge, sheet, wanted.group)
            wanted.out.write_text(json.dumps(saved, indent=1) + "\n")


if __name__ == "__main__":
    main()

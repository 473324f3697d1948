"""Try settings of the published methods outside the bench: `python -m lab.quality.published.tuning --methods h-edit+p2p`.

What the descriptions leave open, such as the guidance of another model than Stable Diffusion, is chosen by these figures. The
subjects are as unseen as those of the quality bench, and none of them is in it.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab.measures.results import dumped, machine
from lab.quality.bench import JUDGES, domains_of
from lab.quality.methods import METHODS
from lab.quality.parts import load_or_run
from lab.quality.population import Population
from lab.quality.published.h_edit import P2P
from lab.quality.published.infedit import CONTROL
from lab.quality.published.method import Published
from lab.quality.recipes import recipe
from lab.quality.worlds.measures import Judges
from lab.training.dataset import WORK
from lab.training.train import MODEL
from lab.world.domains import DOMAINS
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.backbone import Backbone

FIRST_SUBJECT = 5_000
"""Number of the first subject. The bench starts with number 0."""
SHOWN = ("psnr", "psnr_changed", "psnr_unchanged", "gain", "success", "side_effects", "identity_error")
SETTINGS: Mapping[str, tuple[Mapping[str, Any], ...]] = {
    "edit-friendly": (
        *({"guidance_gain": 2.0, "skip": 0.36}, {"guidance_gain": 1.5, "skip": 0.36}),
        *({"guidance_gain": 2.0, "skip": 0.2}, {"guidance_gain": 1.5, "skip": 0.2}),
    ),
    "ledits++": (
        *({"quantile": 0.9, "in_context": False, "guidance_gain": 5 / 7.5}, {"in_context": False, "guidance_gain": 5 / 7.5}),
        *({"in_context": False, "guidance_gain": 1.5}, {"guidance_gain": 5 / 7.5}, {"guidance_gain": 1.0}, {"guidance_gain": 1.5}),
    ),
    "infedit": (
        *({"guidance_gain": 1.0, "control": CONTROL}, {"guidance_gain": 1.5, "control": CONTROL}),
        *({"skip": 0.3, "control": CONTROL}, {"guidance_gain": 1.0, "control": P2P}, {"guidance_gain": 1.5, "control": P2P}),
    ),
    "h-edit+p2p": ({"guidance_gain": 10 / 7.5}, {"guidance_gain": 1.0}, {"guidance_gain": 1.7}),
}
"""Per method, what is changed of the entry in `METHODS`, first to what the paper says."""


def tried(population: Population, method: Published, subjects: int, edits: Sequence[str], work: Path) -> dict[str, float]:
    """Return the mean figures of a method over the edits of `subjects` subjects."""
    pipe = population.pipe
    guidance, records = pipe.guidance(None), []
    for subject in population.unseen(subjects, edits, FIRST_SUBJECT):
        case = population.case_of(subject)
        part = load_or_run(pipe, method, [case], guidance, work)
        records += [population.measure(subject, edit, case.canvas.box, part.pictures[0, edit]) for edit in subject.answers]
    known = {name: [record[name] for record in records if record[name] is not None] for name in SHOWN}
    return {"edits": len(records), **{name: round(statistics.fmean(values), 3) for name, values in known.items()}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--methods", default=",".join(SETTINGS))
    parser.add_argument("--domain", default=",".join(DOMAINS))
    parser.add_argument("--subjects", type=int, default=2, help="number of subjects of each domain")
    parser.add_argument("--edits", default="", help="names or groups of edits that every chosen domain has; default: all")
    parser.add_argument("--work", type=Path, default=WORK)
    parser.add_argument("--out", type=Path, default=None)
    wanted = parser.parse_args()
    pipe = S2EditPipeline(Backbone.from_pretrained(wanted.model, device="cpu"))
    judges = Judges.load(JUDGES)
    found: list[dict[str, Any]] = []
    for domain in domains_of(wanted.domain):
        population = Population(pipe, domain, judges)
        edits = population.known(wanted.edits.split(",")) if wanted.edits else population.edits
        for name in wanted.methods.split(","):
            for changes in SETTINGS[name]:
                method = METHODS[name]
                assert isinstance(method, Published)
                setting = replace(method, **changes)
                figures = tried(population, setting, wanted.subjects, edits, wanted.work / "quality")
                found.append({"domain": domain, "method": name, "recipe": recipe(setting), **figures})
                print(domain, name, dict(changes), figures, flush=True)
    if wanted.out is not None:
        wanted.out.write_text(dumped({"model": pipe.backbone.fingerprint, "machine": machine(), "tried": found}))


if __name__ == "__main__":
    main()

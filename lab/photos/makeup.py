"""`python -m lab.photos.makeup`: makeup, by its word and from a reference, delivered colour by colour, beside the true answer.

Each woman is unseen, and none of those on whom the windows' length was chosen. She is drawn at 768 pixels and edited with
`balanced`: once "with makeup", in colours that the model chooses, and once with a reference's makeup, learned as [A], whose region
is found. One frame is delivered in every way: pasted; place by place, as if the words asked for anything; and colour by colour, as
they are read. PSNR is of the parts of the edit mask that makeup changes by more than a level, of the others, and of the eyes.
A part of a makeup is found as in `lab.quality.worlds`. Figures are means, and intervals those of a bootstrap over women.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import count, islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.measures.bootstrap import interval
from lab.measures.metrics import psnr_of
from lab.measures.zones import squared_error, zones_of
from lab.photos.ways import BY_PLACE, SIZE, Delivered, deliveries, means, run_bench
from lab.quality.population import shot_of
from lab.quality.worlds.edits import Photo, case_of
from lab.quality.worlds.measures import colours
from lab.quality.worlds.transfers import Transfer, transfer_of
from lab.world.person import parts
from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery.asked import Asked
from s2edit_core.pipeline import Attribute, S2EditOutput, S2EditPipeline

WORD, LEARNED = "the word", "from a reference"
BY_COLOUR = "colour by colour"
WAYS: Mapping[str, Asked] = {BY_PLACE: "anything", BY_COLOUR: "makeup"}
FIGURES = ("changed", "same", "eyes")
COLOUR_FIGURES = ("colour_error", "parts_found", "all_parts")


def women() -> Iterator[Transfer]:
    """Yield unseen women, each with a reference for her. The eight on whom the windows were chosen begin with number 41."""
    for seed in count():
        transfer = transfer_of("makeup", seed)
        if transfer is not None and case_of("person", seed, ("makeup",)).targets:
            yield transfer


def learned(pipe: S2EditPipeline, transfer: Transfer) -> Concept:
    """Learn the reference's makeup as the service does."""
    reference, prompt = transfer.reference, transfer.prompt(transfer.reference)
    return pipe.learn(reference.picture, transfer.region, prompt, "makeup", placeholder="[A]", person=reference.mask)


def edits(pipe: S2EditPipeline, transfer: Transfer) -> Iterator[tuple[str, Photo, S2EditOutput]]:
    """Edit a woman with the word and with the reference's makeup: yield the kind, the true answer and what the pipeline returns."""
    shot, source = shot_of(transfer.photo, SIZE, transfer.seed), transfer.photo.prompt
    identity = pipe.learn(shot.picture, shot.mask, source, transfer.photo.word)
    (target,) = case_of("person", transfer.seed, ("makeup",)).targets
    options: dict[str, Any] = {"identity": identity}
    yield WORD, target.answer, pipe.edit(shot.picture, shot.mask, source, target.answer.prompt, **options)
    options["attributes"] = [Attribute(learned(pipe, transfer))]
    yield LEARNED, transfer.answer, pipe.edit(shot.picture, shot.mask, source, transfer.prompt(transfer.answer), **options)


def delivered(pipe: S2EditPipeline, transfer: Transfer) -> Delivered:
    """Yield a record and the pictures of each edit of a woman: photo, ways, true answer."""
    shot = shot_of(transfer.photo, SIZE, transfer.seed)
    canvas = pipe.canvas(shot.picture, shot.mask, subject=transfer.photo.word)
    before = pipe.decoded(pipe.backbone.encode_image(canvas.source()))
    eyes = parts(transfer.photo.subject, SIZE)["eyes"] > 0.5
    for kind, answer, out in edits(pipe, transfer):
        truth, drawn = shot_of(answer, SIZE, transfer.seed).picture, pipe.decoded(out.latents[0])
        made = deliveries(pipe, canvas, before, drawn, WAYS)
        photo, true = (np.asarray(each, dtype=np.float32) for each in (shot.picture, truth))
        zones = zones_of(photo, true, canvas, pipe.backbone.latent_scale)
        found: dict[str, dict[str, Any]] = {}
        for way, picture in made.items():
            error = squared_error(np.asarray(picture, dtype=np.float32), true)
            where = zip(FIGURES, (zones.changed, zones.same, eyes), strict=True)
            found[way] = {name: round(psnr_of(float(error[zone].mean(dtype=np.float64))), 3) for name, zone in where}
            if kind == LEARNED:
                before_it, answered, got = (_small(each, transfer) for each in (shot.picture, truth, picture))
                about = colours(before_it, answered, got, transfer.parts)
                found[way] |= {name: round(float(about[name]), 3) for name in COLOUR_FIGURES}
        yield {"woman": transfer.seed, "kind": kind, "ways": found}, [shot.picture, *made.values(), truth]


def _small(picture: Image.Image, transfer: Transfer) -> Any:
    return np.asarray(picture.resize(transfer.photo.picture.size, Image.Resampling.LANCZOS))


def summary(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Means of each way by kind; `gain_db` is by how much `colour by colour` is nearer than `place by place`."""
    found: dict[str, Any] = {}
    for kind in (WORD, LEARNED):
        group = [record for record in records if record["kind"] == kind]
        if not group:
            continue
        names = group[0]["ways"][BY_PLACE]
        gains = {
            name: interval(
                [each["ways"][BY_COLOUR][name] - each["ways"][BY_PLACE][name] for each in group], [each["woman"] for each in group]
            ).rounded()
            for name in FIGURES
        }
        found[kind] = {"women": len(group), **means(group, names), "gain_db": gains}
    return found


def of_women(pipe: S2EditPipeline, number: int) -> Delivered:
    """Edit so many women."""
    for transfer in islice(women(), number):
        yield from delivered(pipe, transfer)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--women", type=int, default=12)
    parser.add_argument("--sheet", type=Path, help="file for a contact sheet")
    parser.add_argument("--out", type=Path, default=Path("lab/results/makeup-delivered.json"))
    wanted = parser.parse_args()
    edits = partial(of_women, number=wanted.women)
    run_bench(wanted.out, wanted.sheet, edits, summary, women=wanted.women)


if __name__ == "__main__":
    main()

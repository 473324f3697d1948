"""`python -m lab.photos.masks`: how well each segmenter finds unseen people, beside their true masks.

Intersection over union of what a segmenter marks with the true mask, of people whom no training has drawn: as portraits of 128
pixels; as photographs of 1024 and 3000 pixels with texture, blur and grain; as square and 4:3 close-ups cut from such a photograph;
small and off the middle of a picture; and the smaller of two people, pointed at. The model's own eye reads a prompt: once the whole
caption, once no more than "a photo of a woman". MediaPipe's file was made for photographs of people, and marks their bodies too:
here are drawn ones, of whom the head counts.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from lab.measures.results import dumped, machine
from lab.photos import layouts
from lab.photos.people import PEOPLE, sampled
from lab.segmentation.scenes import backdrops
from lab.training.store import Dice
from lab.training.train import MODEL
from lab.world.domain import Subject
from lab.world.full_size import photograph
from s2edit_core.delivery.canvas import to_image, to_tensor
from s2edit_core.errors import MaskInvalid
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.vision.segmenters import Segmenter

SCENE = (1200, 800)
OTHERS = 5000
"""Number of the first person who stands beside one of the bench."""
Point = tuple[int, int]


@dataclass(frozen=True, eq=False)
class View:
    """A picture in which somebody is to be found, the true mask, and the pixel to point at, if any."""

    picture: Image.Image
    mask: Image.Image
    at: Point | None = None


def portrait(subject: Subject, _number: int) -> View:
    return View(PEOPLE.render(subject), PEOPLE.mask(subject))


def photographed(size: int) -> Callable[[Subject, int], View]:
    def view(subject: Subject, number: int) -> View:
        taken = photograph(subject, size, number)
        return View(taken.picture, taken.mask)

    return view


def close_up(layout: str) -> Callable[[Subject, int], View]:
    def view(subject: Subject, number: int) -> View:
        taken = photograph(subject, 1024, number)
        box = layouts.close_up(taken.mask, layout)
        return View(taken.picture.crop(box), taken.mask.crop(box))

    return view


def small(subject: Subject, number: int) -> View:
    """A third as high as the photograph, anywhere in it."""
    rng = random.Random(f"small-{number}")
    side = SCENE[1] // 3
    where = (rng.randrange(SCENE[0] - side), rng.randrange(SCENE[1] - side))
    picture, (mask,) = _together(number, [(subject, side, where)])
    return View(picture, mask)


def beside(subject: Subject, number: int) -> View:
    """Beside somebody larger: pointed at."""
    picture, (_, mask) = _together(number, [(sampled(OTHERS + number), 700, (20, 100)), (subject, 420, (740, 380))])
    return View(picture, mask, (740 + 210, 380 + 210))


VIEWS: dict[str, Callable[[Subject, int], View]] = {
    "portrait_128": portrait,
    "photograph_1024": photographed(1024),
    "photograph_3000": photographed(3000),
    "close_up": close_up("close-up"),
    "tall_close_up": close_up("tall close-up"),
    "small": small,
    "beside": beside,
}


def _together(number: int, people: Sequence[tuple[Subject, int, Point]]) -> tuple[Image.Image, list[Image.Image]]:
    """People of a size at a place before one backdrop, and the mask of each."""
    shots = [photograph(subject, side, number) for subject, side, _ in people]
    blurred = shots[0].picture.resize((8, 8), Image.Resampling.BOX)  # a backdrop that shows a person would want a mask there too
    wide = to_tensor(blurred.resize((SCENE[0], SCENE[0]), Image.Resampling.BICUBIC))
    picture = to_image(backdrops(Dice(torch.device("cpu"), number), wide[None])[0]).crop((0, 0, *SCENE))
    masks = []
    for shot, (_, _, where) in zip(shots, people, strict=True):
        picture.paste(shot.picture, where, shot.person)
        mask = Image.new("L", SCENE)
        mask.paste(shot.mask, where)
        masks.append(mask)
    return picture, masks


def overlap(found: Image.Image, true: Image.Image) -> float:
    """Intersection over union of two masks, white inside; 0..1."""
    a, b = (np.asarray(mask) > 127 for mask in (found, true))
    return float((a & b).sum() / max(1, (a | b).sum()))


@dataclass
class Tally:
    """What one segmenter found in one kind of view."""

    overlaps: list[float] = field(default_factory=list)
    sure: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def add(self, segmenter: Segmenter, view: View, prompt: str) -> None:
        """An overlap of 0 where nobody is found."""
        began = time.perf_counter()
        try:
            found = segmenter.find(view.picture, prompt=prompt, at=view.at)
        except MaskInvalid:
            self.overlaps.append(0.0)
            return
        self.seconds.append(time.perf_counter() - began)
        self.overlaps.append(overlap(found.mask, view.mask))
        self.sure.append(found.confidence)

    def figures(self) -> dict[str, Any]:
        """Overlaps; how sure the segmenter was and how long it took, by mean."""
        return {
            "mean": round(statistics.fmean(self.overlaps), 3),
            "worst": round(min(self.overlaps), 3),
            "confidence": round(statistics.fmean(self.sure), 3) if self.sure else None,
            "seconds": round(statistics.fmean(self.seconds), 3) if self.seconds else None,
            "each": [round(value, 3) for value in self.overlaps],
        }


def measure(pipe: S2EditPipeline, view_name: str, subjects: Sequence[Subject], names: Sequence[str]) -> dict[str, Any]:
    """Every segmenter on every subject in one kind of view; on portraits the model's own eye too. One view is held at a time."""
    segmenters = {name: pipe.segmenter(name) for name in names}
    eye = pipe.segmenter("model") if VIEWS[view_name] is portrait else None
    tallies = {name: Tally() for name in [*names, *(("model, caption", "model, short") if eye else ())]}
    for number, subject in enumerate(subjects):
        view, described = VIEWS[view_name](subject, number), PEOPLE.caption(subject.attributes)
        for name, segmenter in segmenters.items():
            tallies[name].add(segmenter, view, described)
        if eye:
            tallies["model, caption"].add(eye, view, described)
            tallies["model, short"].add(eye, view, f"a photo of a {subject.attributes.gender}")
    return {name: tally.figures() for name, tally in tallies.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=str(MODEL))
    parser.add_argument("--people", type=int, default=50)
    parser.add_argument("--views", default=",".join(VIEWS), help=f"of {', '.join(VIEWS)}")
    parser.add_argument("--segmenters", default="card,mediapipe", help="as `open_segmenter` names them, beside the model's own eye")
    parser.add_argument("--out", type=Path, default=Path("lab/results/masks.json"))
    wanted = parser.parse_args()
    pipe = S2EditPipeline.from_pretrained(wanted.model)
    subjects = [sampled(number) for number in range(wanted.people)]
    figures: dict[str, Any] = {}
    for name in wanted.views.split(","):
        figures[name] = measure(pipe, name, subjects, wanted.segmenters.split(","))
        print(name, {each: (figure["mean"], figure["worst"]) for each, figure in figures[name].items()}, flush=True)
    results = {"people": wanted.people, "intersection_over_union": figures, "seed": 0, "machine": machine()}
    wanted.out.write_text(dumped(results))


if __name__ == "__main__":
    main()

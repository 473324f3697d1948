"""What a job costs the reference way, phase by phase. Where only a part of a phase is run, the rest is extrapolated."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch

from lab.speed.phases.jobs import psnr_to_answer
from lab.speed.phases.reference import INNER_STEPS, ReferenceWay
from lab.speed.record import Result
from lab.speed.subjects import Person
from lab.speed.timing import digits, peak_memory, seconds_of
from s2edit_core.delivery.canvas import to_image
from s2edit_core.request.presets import PRESETS
from s2edit_core.unet.backbone import Backbone

STEPS = PRESETS["paper"].steps
OUR_STEPS, OUR_BATCH = PRESETS["paper"].learning.steps, PRESETS["paper"].learning.batch
SINGLE_STEPS = 500
"""Of learning with one noise level each, as Custom Diffusion on one GPU. Abstract and figures of the paper give no number."""


@dataclass(frozen=True)
class Part:
    """How many steps of each phase are run. Null-text timesteps run all their inner steps if `stop_early` is off."""

    learning: int = OUR_STEPS
    single: int = 50
    inverting: int = STEPS
    null_text: int = STEPS
    editing: int = STEPS
    stop_early: bool = True


@contextmanager
def torch_defaults() -> Iterator[None]:
    """Run with torch's own precision settings: float32 products, and TF32 in cuDNN's convolutions."""
    products, convolutions = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = False, True
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = products, convolutions


def _entry(seconds: float, run: int, of: int, unit: str) -> Result:
    return {"seconds": digits(seconds * of / run), "measured_s": digits(seconds), "measured": f"{run} of {of} {unit}"}


def measure(backbone: Backbone, person: Person, part: Part, *, seed: int = 0) -> Result:
    """Run one job the reference way, in the order of its phases, and return its costs.

    `cold_s` is the sum for the same learning as this project's preset `paper`; `cold_single_s` for 500 steps of one noise level.
    """
    device = backbone.device
    with torch_defaults(), peak_memory(device) as memory:
        made: list[ReferenceWay] = []
        encoding = seconds_of(lambda: made.append(ReferenceWay(backbone, person, guidance=backbone.card.guidance("paper"))), device)
        way = made[0]
        _warm_up(way)

        def timed(work: Callable[[], object]) -> float:
            return seconds_of(work, device)

        words = way.attribute_words()
        phases = {"preparing": _entry(timed(way.attribute_words), 1, 1, "times")}
        single = _entry(timed(lambda: way.learn(part.single, words, batch=1, seed=seed)), part.single, SINGLE_STEPS, "steps")
        learned = timed(lambda: way.learn(part.learning, words, batch=OUR_BATCH, seed=seed))
        phases["learning"] = _entry(learned, part.learning, OUR_STEPS, f"steps of {OUR_BATCH} noise levels")
        phases |= (found := _sampling(way, part, timed))["phases"]
    cold = sum(each["seconds"] for each in phases.values())
    return {
        "cold_s": digits(cold),
        "cold_single_s": digits(cold - phases["learning"]["seconds"] + single["seconds"]),
        "warm_s": digits(phases["editing"]["seconds"] + phases["decoding"]["seconds"]),
        "phases": phases,
        "learning_single": single,
        "building_s": digits(encoding),
        "inner_steps": found["inner_steps"],
        "psnr_to_answer": found["psnr_to_answer"] if part == Part() else None,
        **memory,
    }


def _warm_up(way: ReferenceWay) -> None:
    """Run each kind of pass once, untimed: libraries choose their kernels at the first call of a shape."""
    words = way.attribute_words()
    before = way.token
    state = {name: value.clone() for name, value in way.unet.state_dict().items() if ".attn2.to_" in name}
    for batch in (1, OUR_BATCH):
        way.learn(1, words, batch=batch)
    way.unet.load_state_dict(state, strict=False)
    way.token = before
    path = way.invert(STEPS, first=1)
    nulls, _ = way.optimise_null(path, STEPS, first=1)
    way.draw(way.edit(path[-1], nulls, STEPS, first=1))


def _sampling(way: ReferenceWay, part: Part, timed: Callable[[Callable[[], object]], float]) -> Result:
    """Invert, edit and decode; return the phases, the inner steps of null-text, and the PSNR to the true answer."""
    kept: list[torch.Tensor] = []
    inverted = timed(lambda: kept.append(way.invert(STEPS, first=part.inverting)))
    phases = {"inverting": _entry(inverted, part.inverting, STEPS, "steps")}
    optimised: list[tuple[torch.Tensor, int]] = []
    seconds = timed(lambda: optimised.append(way.optimise_null(kept[0], STEPS, first=part.null_text, stop_early=part.stop_early)))
    nulls, inner = optimised[0]
    how = "stopped early as published" if part.stop_early else f"all {INNER_STEPS} inner steps each"
    phases["null-text"] = _entry(seconds, part.null_text, STEPS, f"timesteps, {how}")
    edited: list[torch.Tensor] = []
    seconds = timed(lambda: edited.append(way.edit(kept[0][-1], nulls, STEPS, first=part.editing)))
    phases["editing"] = _entry(seconds, part.editing, STEPS, "steps")
    drawn: list[torch.Tensor] = []
    phases["decoding"] = _entry(timed(lambda: drawn.append(way.draw(edited[0]))), 1, 1, "times")
    return {"phases": phases, "inner_steps": inner, "psnr_to_answer": psnr_to_answer(way.person, to_image(drawn[0]))}

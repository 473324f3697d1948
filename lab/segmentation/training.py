"""Train the shipped model's segmenter, the small network that finds the subject: `python -m lab.segmentation.training`.

It learns from scenes composed of rendered pictures and their identity masks (`lab/segmentation/scenes.py`), which
`python -m lab.training.render --masked` draws before.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.measures.results import machine
from lab.segmentation.scenes import scenes
from lab.training.dataset import SIZE, MaskedPlan
from lab.training.export import replace_folder, stage_options
from lab.training.optimisers import adam
from lab.training.store import Dice, Store, joined, normalised, read_fields, wait_for_pictures
from lab.training.trainer import Meter, MovingAverage, Run, compiled, mixed_precision, rate_at, use_fast_kernels
from s2edit_core.vision.person_network import PersonNetwork, load_network, save_network

WIDTHS = (16, 24, 40, 64, 96)
INPUT_SIDES = (128, 256)
"""Input sizes in pixels that the segmenter averages over. Of six sets from 128 to 256, on 10 people, they were the best for two
people, within 0.02 of the best for small ones, and within 0.004 of the best for portraits."""
SEED = 41


def loss_of(logits: Tensor, masks: Tensor) -> Tensor:
    """Return cross-entropy per pixel plus 1 − IoU per picture. The second term gives small people the weight of large ones."""
    probable = logits.sigmoid()
    both = (probable * masks).sum(dim=(1, 2))
    either = (probable + masks - probable * masks).sum(dim=(1, 2))
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - (both + 8) / (either + 8)).mean()


class Stage:
    """The training of the segmenter within its budget."""

    def __init__(self, plan: MaskedPlan, options: argparse.Namespace) -> None:
        self.plan, self.options = plan, options
        self.device = torch.device(options.device)
        torch.manual_seed(SEED)
        network = load_network(options.start)[0] if options.start else PersonNetwork(tuple(options.widths))
        self.network = network.train().to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters = list(self.network.parameters())
        recipe = f"{plan.recipe} batch={options.batch} peak={options.peak} seed={SEED} widths={self.network.widths}"
        folder, average = plan.work / "checkpoints", MovingAverage(parameters, 0.998)
        optimiser = adam(parameters, peak=options.peak, betas=(0.9, 0.99), decay=0.01)
        self.run = Run(folder, "segmenter", recipe, parameters, optimiser, average, options.seconds, options.save_every)
        read = read_fields("pixels", "masks")
        self.store, self.unseen = (Store(plan, self.device, read, unseen=unseen) for unseen in (False, True))

    def train(self) -> None:
        """Train to the end of the budget, from the last checkpoint if there is one."""
        run = self.run
        run.resume()
        wait_for_pictures(self.store, self.unseen)
        dice = Dice(self.device, SEED + run.step)

        def inputs() -> tuple[Tensor, Tensor]:
            batch = self.store.batch(self.options.batch, dice)
            masks = joined(batch, "masks")[:, None].float() / 255
            x, marked = scenes(dice, normalised(joined(batch, "pixels")), masks)
            return x.contiguous(memory_format=torch.channels_last), marked[:, 0]

        def measured(x: Tensor, masks: Tensor) -> Tensor:
            with mixed_precision(self.device):
                logits = self.network(x)
            return loss_of(logits.float(), masks)

        given = inputs()
        loss_function = compiled(measured, lambda f: f(*given), run.parameters, wanted=self.options.compile)
        run.begin()
        meter = Meter(self.options.log_every)
        while run.share < 1:
            loss = loss_function(*inputs())
            run.descend(loss, rate_at(run.share, run.step, peak=self.options.peak))
            meter.add(self.options.batch, loss=loss)
            if meter.due:
                run.log(**meter.read())
                self.store.grow(limit=16)
            run.save_if_due()
        run.save()
        run.average.copy_to(run.parameters)

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Return the mean IoU on whole unseen pictures and on scenes of them, by domain."""
        found = {}
        dice = Dice(self.device, SEED - 1)
        for name in self.plan.domains:
            fields = self.unseen.first(name, 100)
            x, masks = normalised(fields["pixels"]), fields["masks"][:, None].float() / 255
            whole = F.interpolate(x, size=SIZE, mode="area"), F.interpolate(masks, size=SIZE, mode="area")
            for kind, (pictures, truth) in {"whole": whole, "scenes": scenes(dice, x, masks)}.items():
                hits, wanted = self.network(pictures) > 0, truth[:, 0] > 0.5
                either = (hits | wanted).sum((1, 2))
                iou = torch.where(either > 0, (hits & wanted).sum((1, 2)) / either.clamp_min(1), 1.0)
                found[f"{name} {kind}"] = round(float(iou.mean()), 4)
        return found

    def export(self) -> None:
        trained = {"pictures": sum(self.store.counts.values()), "steps": self.run.step, "batch": self.options.batch, "seed": SEED}
        self.network.half().float().eval()  # the weights are stored in half precision: measure them as stored
        about = {"sides": INPUT_SIDES, "trained": trained, "iou": self.measure(), "machine": machine()}
        print(f"segmenter {about['iou']}", flush=True)
        folder = self.plan.work / "result" / "world-128" / "segmenter"
        replace_folder(folder, lambda fresh: save_network(self.network.cpu(), fresh, about))


def main() -> None:
    parser = stage_options(__doc__, seconds=75, batch=128, peak=3e-3)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--start", type=Path, help="folder of a segmenter to train on")
    options = parser.parse_args()
    use_fast_kernels()
    stage = Stage(MaskedPlan.of(options), options)
    stage.train()
    stage.export()


if __name__ == "__main__":
    main()

"""Train the world's judge or its identity regressor: `python -m lab.judges.training attributes`, `… identity`.

Both learn from rendered pictures with random blur, noise, shifts and colour changes, so that flaws of samples and edits don't
mislead them. Every result that uses them also reports their own accuracy, measured on unseen pictures.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, Literal

import torch
from torch import Tensor

from lab.judges import attributes, identities
from lab.training.dataset import Plan
from lab.training.export import stage_options
from lab.training.optimisers import adam
from lab.training.scorer import Scorer, augmented, predicted, save_scorer
from lab.training.store import Dice, Store, Tensors, normalised, read_fields, wait_for_pictures
from lab.training.trainer import Meter, MovingAverage, Run, compiled, mixed_precision, rate_at, use_fast_kernels

Kind = Literal["attributes", "identity"]
FIELDS: dict[Kind, str] = {"attributes": "labels", "identity": "identity"}
FILES: dict[Kind, str] = {"attributes": "attributes.safetensors", "identity": "identities.safetensors"}
SEED = 131
"""Another than that of `lab/training/teachers`."""


class Stage:
    """The training of one of the two networks within its budget."""

    def __init__(self, kind: Kind, plan: Plan, options: argparse.Namespace) -> None:
        self.kind, self.plan, self.options = kind, plan, options
        self.device = torch.device(options.device)
        torch.manual_seed(options.seed)
        self.network = Scorer({name: self._outputs(name) for name in plan.domains}).to(self.device)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        parameters = list(self.network.parameters())
        optimiser = adam(parameters, peak=options.peak, betas=(0.9, 0.99), decay=0.02)
        recipe = f"{plan.recipe} {kind} batch={options.batch} peak={options.peak} seed={options.seed} {self.network}"
        folder = plan.work / "checkpoints"
        average = MovingAverage(parameters, 0.998)
        self.run = Run(folder, kind, recipe, parameters, optimiser, average, options.seconds, options.save_every)
        fields = read_fields("pixels", FIELDS[kind])
        self.store, self.unseen = (Store(plan, self.device, fields, unseen=unseen) for unseen in (False, True))

    def _outputs(self, name: str) -> int:
        domain = self.plan.domains[name]
        if self.kind == "identity":
            return len(domain.identity_names)
        return sum(len(classes) for classes in domain.labels.values())

    def _loss(self, batch: dict[str, Tensors], x: Tensor) -> Tensor:
        """Return the mean of the domains' losses, each weighted as its pictures are. `x` are the batch's pictures in order."""
        with mixed_precision(self.device):
            features = self.network.trunk(x)
            parts = features.split([len(fields["pixels"]) for fields in batch.values()])
            outputs = {name: self.network.heads[name](part) for name, part in zip(batch, parts, strict=True)}
        total = torch.zeros((), device=self.device)
        for name, fields in batch.items():
            truth = fields[FIELDS[self.kind]]
            if self.kind == "identity":
                loss = identities.loss_of(outputs[name], truth)
            else:
                loss = attributes.loss_of(outputs[name], truth.long(), self.plan.domains[name].labels)
            total = total + loss * len(truth) / len(x)
        return total

    def train(self) -> None:
        """Train to the end of the budget, from the last checkpoint if there is one."""
        run = self.run
        run.resume()
        wait_for_pictures(self.store, self.unseen)
        dice = Dice(self.device, self.options.seed + run.step)

        def inputs() -> tuple[dict[str, Tensors], Tensor]:
            batch = self.store.batch(self.options.batch, dice)
            x = torch.cat([normalised(fields["pixels"]) for fields in batch.values()])
            return batch, augmented(x, dice).contiguous(memory_format=torch.channels_last)

        given = inputs()
        loss_of = compiled(self._loss, lambda f: f(*given), run.parameters, wanted=self.options.compile)
        run.begin()
        meter = Meter(self.options.log_every)
        while run.share < 1:
            loss = loss_of(*inputs())
            run.descend(loss, rate_at(run.share, run.step, peak=self.options.peak))
            meter.add(self.options.batch, loss=loss)
            if meter.due:
                run.log(**meter.read(), pictures=sum(self.store.counts.values()))
                self.store.grow(limit=16)
            if run.save_if_due():
                with run.average.applied(run.parameters):
                    self.export()
        run.save()
        run.average.copy_to(run.parameters)

    def export(self) -> None:
        """Write the weights with their own accuracy on unseen pictures."""
        found: dict[str, Any] = {}
        for name, domain in self.plan.domains.items():
            fields = self.unseen.first(name, 1000)
            output, truth = predicted(self.network, normalised(fields["pixels"]), name), fields[FIELDS[self.kind]]
            if self.kind == "identity":
                found[name] = identities.errors(output, truth, domain.identity_names)
            else:
                found[name] = attributes.accuracies(output, truth.long(), domain.labels)
        domains = self.plan.domains.items()
        about: dict[str, Any] = {"step": self.run.step, "unseen_pictures": dict(self.unseen.counts)}
        if self.kind == "identity":
            about |= {"unseen": found, "names": {name: domain.identity_names for name, domain in domains}}
        else:
            about |= {"accuracy": found, "labels": {name: dict(domain.labels) for name, domain in domains}}
        save_scorer(self.network, self.plan.work / "result" / "judges" / FILES[self.kind], about)
        print(f"{self.kind} {json.dumps(summary(found))}", flush=True)


def summary(found: dict[str, Any]) -> dict[str, float]:
    """Return the mean figure of each domain: accuracy, or mean absolute error as a share of guessing the mean."""
    figures = {
        domain: [each["absolute"] if isinstance(each, dict) else each for each in by.values()] for domain, by in found.items()
    }
    return {domain: round(sum(values) / max(1, len(values)), 4) for domain, values in figures.items()}


def main() -> None:
    parser = stage_options(__doc__, seconds=90, batch=192, peak=2e-3)
    parser.add_argument("kind", choices=list(FIELDS))
    parser.add_argument("--seed", type=int, default=SEED)
    options = parser.parse_args()
    use_fast_kernels()
    stage = Stage(options.kind, Plan.of(options), options)
    stage.train()
    stage.network.half().float().eval()  # the weights are stored in half precision: measure them as stored
    stage.export()


if __name__ == "__main__":
    main()

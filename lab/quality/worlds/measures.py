"""The figures of one edit: closeness to the true answer, success, identity error, gain, and the colours of a transfer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lab.judges.attributes import AttributeJudge, load_judge
from lab.judges.identities import IdentityRegressor, load_regressor
from lab.measures.metrics import Picture, Region, changed_region, gain, psnr
from lab.quality.worlds.edits import Photo
from lab.world.domain import UNSEEN
from s2edit_core.delivery.canvas import to_tensor

FIGURES = (
    *("psnr", "psnr_changed", "psnr_unchanged", "gain", "success", "side_effects"),
    *("identity_error", "identity_error_decoded", "identity_error_to_truth", "seconds"),
)
TRANSFER_FIGURES = ("colour_error", "parts_found", "all_parts")
LEAST_EXPLAINED = 0.3
"""A number of the identity counts if the regressor explains at least this share of its variance."""
FOUND = 0.5
"""A part of a makeup is found if its mean colour has moved at least this share of the way to the answer's."""


@dataclass(frozen=True)
class Judges:
    """The networks that score the pictures. They were trained on rendered pictures only."""

    attributes: AttributeJudge
    identities: IdentityRegressor

    @classmethod
    def load(cls, folder: Path) -> Judges:
        """Load the files that `lab.judges.training` has written into `folder`."""
        return cls(load_judge(folder / "attributes.safetensors"), load_regressor(folder / "identities.safetensors"))

    def weights(self, domain: str) -> Tensor:
        """Return the weight of each number of the identity, `(numbers,)`, which add up to 1."""
        unseen = self.identities.unseen[domain]
        explained = torch.tensor([unseen[name].explained for name in self.identities.names[domain]])
        kept = (
            torch.where(explained >= LEAST_EXPLAINED, explained, 0)
            if bool((explained >= LEAST_EXPLAINED).any())
            else explained.abs()
        )
        weights: Tensor = kept / kept.sum()
        return weights

    def about(self) -> dict[str, Any]:
        """Return the networks' own accuracy on unseen renders."""
        unseen = {domain: {name: vars(each) for name, each in by.items()} for domain, by in self.identities.unseen.items()}
        return {"judge_accuracy": self.attributes.accuracy, "identity_regressor": unseen, "first_unseen_seed": UNSEEN}


def measure(photo: Photo, answer: Photo, got: Image.Image, decoded: Image.Image, asked: set[str], judges: Judges) -> dict[str, Any]:
    """Compare the result `got` with the true answer. `asked` are the attributes that the edit changes.

    The identity error is the distance of the regressor's reading of the result from its reading of the true answer. It contains
    what the auto-encoder loses. `identity_error_decoded` does not: there the true answer has been encoded and `decoded` too.
    """
    domain = photo.domain.name
    source, truth, made = (np.asarray(picture) for picture in (photo.picture, answer.picture, got))
    changed = changed_region(source, truth)
    pictures = torch.stack([to_tensor(got), to_tensor(answer.picture), to_tensor(decoded)])
    seen = judges.attributes.classes(pictures[:1], domain)
    wanted = photo.domain.label(answer.subject.attributes)
    right = {name: int(found[0]) == wanted[name] for name, found in seen.items() if wanted[name] >= 0}
    readings, weights = judges.identities(pictures, domain), judges.weights(domain)
    vector = torch.from_numpy(photo.domain.identity_vector(answer.subject.identity))

    def distance(to: Tensor) -> float:
        return float(((readings[0] - to).abs() * weights).sum())

    return {
        "psnr": psnr(made, truth),
        "psnr_changed": psnr(made, truth, changed),
        "psnr_unchanged": psnr(made, truth, ~changed) if not changed.all() else None,
        "changed_share": float(changed.mean()),
        "gain": gain(source, truth, made, changed),
        "success": all(right[name] for name in asked),
        "side_effects": sum(not each for name, each in right.items() if name not in asked),
        "identity_error": distance(readings[1]),
        "identity_error_decoded": distance(readings[2]),
        "identity_error_to_truth": distance(vector),
    }


def identity_errors(answer: Photo, got: Image.Image, judges: Judges) -> dict[str, float]:
    """Return how far the regressor's readings of the result and of the true answer are apart, for each number of the identity."""
    domain = answer.domain.name
    made, true = judges.identities(torch.stack([to_tensor(got), to_tensor(answer.picture)]), domain)
    return dict(zip(judges.identities.names[domain], (made - true).abs().tolist(), strict=True))


def colours(source: Picture, answer: Picture, got: Picture, parts: Mapping[str, Region]) -> dict[str, Any]:
    """Return how near each part's mean colour came to the answer's.

    `colour_error` is the distance in 8-bit RGB levels, averaged over the parts, `parts_found` the share of parts that are found.
    """
    errors, shares = {}, {}
    for name, where in parts.items():
        before, wanted, made = (_mean(picture, where) for picture in (source, answer, got))
        true = wanted - before
        errors[name] = float(np.linalg.norm(made - wanted))
        shares[name] = float(np.dot(made - before, true)) / max(float(np.dot(true, true)), 1e-9)
    found = [share >= FOUND for share in shares.values()]
    return {
        "colour_error": float(np.mean(list(errors.values()))),
        "colour_error_by_part": errors,
        "colour_gain_by_part": shares,
        "parts_found": float(np.mean(found)),
        "all_parts": all(found),
    }


def _mean(picture: Picture, where: Region) -> NDArray[np.float64]:
    mean: NDArray[np.float64] = picture[where].astype(np.float64).mean(axis=0)
    return mean

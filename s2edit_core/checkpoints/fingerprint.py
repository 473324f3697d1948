"""Fingerprints: the name of a base model in every concept, inversion and learning state that was made with it.

The fingerprint digests what the weights are, not how they are stored: every tensor is rounded to float16, and the digests of a
part's tensors are sorted. So it is the same for float32 and float16 files of one model (`.half()` rounds likewise), for
safetensors, `.bin` and single files, for any precision of the UNet, and under tensor names of any library version.
Files in bfloat16 have lost digits that float16 keeps: they are another model.

Up to version 6 of the plans a fingerprint digested tensor names and bytes. Artifacts from then are still recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from s2edit_core.checkpoints.schedule import Schedule


class Fingerprints:
    """The fingerprints that artifacts of one model may carry: `in` tells whether one is among them.

    Both are computed when first needed: seconds for a model of Stable Diffusion's size.
    """

    def __init__(self, parts: Sequence[nn.Module], schedule: Schedule) -> None:
        self._parts = tuple(parts)
        self._schedule = schedule

    @cached_property
    def current(self) -> str:
        """What new artifacts carry."""
        digest = hashlib.sha256()
        for part in self._parts:
            for each in sorted(_content(tensor) for tensor in part.parameters()):
                digest.update(each)
            digest.update(b"end of a part")
        digest.update(self._schedule.described().encode())
        return digest.hexdigest()[:32]

    @cached_property
    def legacy(self) -> str | None:
        """What artifacts of earlier releases carry; None for a schedule that those releases did not follow."""
        s = self._schedule
        if not s.known_to_earlier_releases:
            return None
        digest = hashlib.sha256()
        for part in self._parts:
            for name, tensor in sorted(part.state_dict().items()):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        digest.update(repr((s.alphas_cumprod.tolist(), s.steps_offset, s.set_alpha_to_one, s.prediction)).encode())
        return digest.hexdigest()[:32]

    def compute(self) -> None:
        """Compute both now, from the weights as they are: before they are rounded to another precision, say."""
        _ = self.current, self.legacy

    def __contains__(self, fingerprint: object) -> bool:
        """Whether an artifact with `fingerprint` was made with this model."""
        return fingerprint == self.current or (isinstance(fingerprint, str) and fingerprint == self.legacy)


def _content(tensor: Tensor) -> bytes:
    """Digest of shape and values. Sides of length 1 don't count: a 1×1 convolution is a linear layer in other versions."""
    values = tensor.detach().to("cpu", torch.float16).contiguous()
    digest = hashlib.sha256(repr([side for side in values.shape if side != 1]).encode())
    digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.digest()

"""Fingerprints of base models. Every concept, inversion and learning state carries the fingerprint of the model that made it.

A fingerprint is a digest of the weights' values and not of their storage. Every tensor is rounded to float16, and the digests of a
part's tensors are sorted. So float32 and float16 files of one model (`.half()` rounds in the same way) have one fingerprint; so do
safetensors, `.bin` and single files, any precision of the UNet, and the tensor names of any library version. Files in bfloat16 have
lost digits that float16 keeps, so they count as another model.

Up to version 6 of the plans, a fingerprint was a digest of tensor names and bytes. Artifacts from that time are still recognised.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor, nn

from s2edit_core.base_model.ddim import Schedule


class Fingerprints:
    """The fingerprints that artifacts of one model may carry. `fingerprint in fingerprints` tests for one.

    Each is computed on first use, which takes seconds for a model of Stable Diffusion's size.
    """

    def __init__(self, parts: Sequence[nn.Module], schedule: Schedule) -> None:
        self._parts = tuple(parts)
        self._schedule = schedule

    @cached_property
    def current(self) -> str:
        """The fingerprint of new artifacts."""
        digest = hashlib.sha256()
        for part in self._parts:
            for each in sorted(_content(tensor) for tensor in part.parameters()):
                digest.update(each)
            digest.update(b"end of a part")
        digest.update(self._schedule.fingerprint_text().encode())
        return digest.hexdigest()[:32]

    @cached_property
    def legacy(self) -> str | None:
        """The fingerprint of artifacts from earlier releases; None for a schedule that those releases did not support."""
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
        """Compute both fingerprints now, for example before the weights are rounded to another precision."""
        _ = self.current, self.legacy

    def __contains__(self, fingerprint: object) -> bool:
        """Return whether an artifact with `fingerprint` was made with this model."""
        return fingerprint == self.current or (isinstance(fingerprint, str) and fingerprint == self.legacy)


def _content(tensor: Tensor) -> bytes:
    """Return a digest of shape and values.

    Sides of length 1 are ignored, since some versions store a 1 × 1 convolution as a linear layer.
    """
    values = tensor.detach().to("cpu", torch.float16).contiguous()
    digest = hashlib.sha256(repr([side for side in values.shape if side != 1]).encode())
    digest.update(values.view(-1).view(torch.uint8).numpy().data)
    return digest.digest()

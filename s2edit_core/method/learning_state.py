"""A learning under way as a value: kept every few steps, it lets another process go on where this one was lost.

Bytes in, the same bytes out: parameters, the optimiser's moments, where in the two phases it stands and the losses so far. The
randomness is not in it, since each step draws from its seed and number alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from s2edit_core.checkpoints.fingerprint import Fingerprints
from s2edit_core.concepts.concept import read_safetensors, refusing_damage, write_safetensors
from s2edit_core.errors import ArtifactMismatch
from s2edit_core.method.lesson import Lesson
from s2edit_core.request.spec import LearningOptions

FORMAT = "s2edit-learning-1"
FLAT = 0.99
"""A loss that has not come below this share of what it was counts as flat."""


@dataclass(frozen=True)
class Clock:
    """Where a learning stands: `in_phase` steps done of phase number `phase`, and the loss of every step so far."""

    phase: int = 0
    in_phase: int = 0
    losses: tuple[float, ...] = ()

    @property
    def step(self) -> int:
        return len(self.losses)

    def after(self, loss: float) -> Clock:
        return replace(self, in_phase=self.in_phase + 1, losses=(*self.losses, loss))

    def next_phase(self) -> Clock:
        return replace(self, phase=self.phase + 1, in_phase=0)

    def flat(self, patience: int) -> bool:
        """Early stop: the mean loss of this phase's last `patience` steps is not 1 % below that of the `patience` before them.

        Means, since the loss of one step depends on its noise more than on what was learned. Never for a patience of 0.
        """
        if patience == 0 or self.in_phase < 2 * patience:
            return False
        before, last = self.losses[-2 * patience : -patience], self.losses[-patience:]
        return sum(last) > FLAT * sum(before)


@dataclass(frozen=True, eq=False)
class LearningState:
    """`tensors` by name: each learner's parameters and the two moments of each. `settings` names what is learned, and how."""

    tensors: Mapping[str, Tensor]
    clock: Clock
    settings: str
    fingerprint: str

    @classmethod
    def of(
        cls,
        clock: Clock,
        settings: str,
        fingerprint: str,
        parameters: Sequence[Sequence[Tensor]],
        optimisers: Sequence[torch.optim.Optimizer],
    ) -> LearningState:
        """A copy of what is there now; the learning goes on without changing it."""
        tensors = {}
        for i, (mine, optimiser) in enumerate(zip(parameters, optimisers, strict=True)):
            for j, parameter in enumerate(mine):
                tensors[f"{i}.{j}"] = parameter.detach().clone()
                for name, value in optimiser.state.get(parameter, {}).items():
                    tensors[f"{i}.{j}.{name}"] = value.detach().clone()
        return cls(tensors, clock, settings, fingerprint)

    @torch.no_grad()
    def restore(
        self,
        settings: str,
        fingerprints: Fingerprints,
        parameters: Sequence[Sequence[Tensor]],
        optimisers: Sequence[torch.optim.Optimizer],
    ) -> None:
        """Put everything back in place. Raises `ArtifactMismatch` if this is the state of another learning."""
        if settings != self.settings or self.fingerprint not in fingerprints:
            raise ArtifactMismatch("the state of another learning: other photo, prompt, settings or model; begin anew")
        for i, (mine, optimiser) in enumerate(zip(parameters, optimisers, strict=True)):
            for j, parameter in enumerate(mine):
                parameter.copy_(self.tensors[f"{i}.{j}"])
                prefix = f"{i}.{j}."
                moments = {name.removeprefix(prefix): value for name, value in self.tensors.items() if name.startswith(prefix)}
                if moments:
                    optimiser.state[parameter] = {
                        name: value.clone() if name == "step" else value.to(parameter, copy=True) for name, value in moments.items()
                    }

    def to_bytes(self) -> bytes:
        """As a safetensors file."""
        about = {"format": FORMAT, "fingerprint": self.fingerprint, "settings": self.settings, "clock": asdict(self.clock)}
        return write_safetensors(self.tensors, about)

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str | Fingerprints) -> LearningState:
        """Read back; raises `ArtifactMismatch` for a damaged file or one that was made with another model."""
        with refusing_damage(FORMAT):
            tensors, about = read_safetensors(data, FORMAT, fingerprint)
            clock = about["clock"]
            losses = tuple(float(loss) for loss in clock["losses"])
            return cls(tensors, Clock(int(clock["phase"]), int(clock["in_phase"]), losses), about["settings"], about["fingerprint"])

    def save(self, path: str | Path) -> None:
        Path(path).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | Fingerprints) -> LearningState:
        """Read a file of `save`. Raises as `from_bytes`, and `OSError` where there is none."""
        return cls.from_bytes(Path(path).read_bytes(), fingerprint=fingerprint)


def settings_digest(lessons: Sequence[Lesson], options: LearningOptions, seed: int) -> str:
    """Names everything that a learning depends on, but for the model."""
    digest = hashlib.sha256(json.dumps([asdict(options), seed], sort_keys=True).encode())
    for lesson in lessons:
        words = [lesson.prompt, lesson.subject, lesson.placeholder, list(lesson.request_words)]
        digest.update(json.dumps(words).encode())
        for tensor in (lesson.latent, lesson.mask):
            digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]

"""The state of an unfinished learning as a value. A stored state lets another process resume where this one stopped.

The state holds the parameters, the optimisers' moments, the step counter and the losses. It round-trips byte for byte. It holds no
random state, because each step draws from its seed and step number alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from s2edit_core.base_model.fingerprint import Fingerprints
from s2edit_core.concepts.concept import raising_mismatch, read_safetensors, write_safetensors
from s2edit_core.errors import ArtifactMismatch
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.request.options import AttributeOptions
from s2edit_core.whole_files import write_whole

FORMAT = "s2edit-learning-1"


@dataclass(frozen=True)
class StepCounter:
    """Position in a learning: `steps_in_phase` steps of phase number `phase` are done.

    `losses` holds the loss of every step, `phase_steps` the number of steps of every earlier phase, and `held_out` the held-out
    rows' losses when they were last measured in this phase.
    """

    phase: int = 0
    steps_in_phase: int = 0
    losses: tuple[float, ...] = ()
    phase_steps: tuple[int, ...] = ()
    held_out: tuple[float, ...] = ()

    @property
    def step(self) -> int:
        """The number of steps done in all phases."""
        return len(self.losses)

    def after(self, loss: float) -> StepCounter:
        """Return the counter after one more step."""
        return replace(self, steps_in_phase=self.steps_in_phase + 1, losses=(*self.losses, loss))

    def is_measured_now(self, patience: int) -> bool:
        """Return whether the held-out loss is measured before the next step: every `patience` steps of a phase; never for 0."""
        return patience > 0 and self.steps_in_phase % patience == 0

    def measured(self, held_out: tuple[float, ...]) -> StepCounter:
        """Return the counter with these losses as those last measured."""
        return replace(self, held_out=held_out)

    def next_phase(self) -> StepCounter:
        """Return the counter at the start of the next phase."""
        return StepCounter(self.phase + 1, 0, self.losses, (*self.phase_steps, self.steps_in_phase))


@dataclass(frozen=True, eq=False)
class LearningState:
    """A learning's parameters and optimiser moments, `tensors` by name, its step `counter`, and a digest of its `settings`."""

    tensors: Mapping[str, Tensor]
    counter: StepCounter
    settings: str
    fingerprint: str

    @classmethod
    def of(
        cls,
        counter: StepCounter,
        settings: str,
        fingerprint: str,
        parameters: Sequence[Sequence[Tensor]],
        optimisers: Sequence[torch.optim.Optimizer],
    ) -> LearningState:
        """Return a copy of the current state."""
        tensors = {}
        for i, (mine, optimiser) in enumerate(zip(parameters, optimisers, strict=True)):
            for j, parameter in enumerate(mine):
                tensors[f"{i}.{j}"] = parameter.detach().clone()
                for name, value in optimiser.state.get(parameter, {}).items():
                    tensors[f"{i}.{j}.{name}"] = value.detach().clone()
        return cls(tensors, counter, settings, fingerprint)

    @torch.no_grad()
    def restore(
        self,
        settings: str,
        fingerprints: Fingerprints,
        parameters: Sequence[Sequence[Tensor]],
        optimisers: Sequence[torch.optim.Optimizer],
    ) -> None:
        """Write this state back into `parameters` and `optimisers`. Raises `ArtifactMismatch` for the state of another learning."""
        if settings != self.settings or self.fingerprint not in fingerprints:
            raise ArtifactMismatch("this state belongs to another photo, prompt, setting or model: start the learning again")
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
        """Serialise to safetensors."""
        at = self.counter
        counter = {
            "phase": at.phase,
            "in_phase": at.steps_in_phase,
            "losses": at.losses,
            "phase_steps": at.phase_steps,
            "held_out": at.held_out,
        }
        about = {"format": FORMAT, "fingerprint": self.fingerprint, "settings": self.settings, "clock": counter}
        return write_safetensors(self.tensors, about)

    @classmethod
    def from_bytes(cls, data: bytes, *, fingerprint: str | Fingerprints) -> LearningState:
        """Read a state that `to_bytes` wrote.

        Raises `ArtifactMismatch` for a damaged file, or for one made with another model.
        """
        with raising_mismatch(FORMAT):
            tensors, about = read_safetensors(data, FORMAT, fingerprint)
            counter = about["clock"]
            phase, in_phase = int(counter["phase"]), int(counter["in_phase"])
            losses, held_out = (tuple(map(float, counter.get(name, ()))) for name in ("losses", "held_out"))
            # Earlier releases kept no `phase_steps`. They had two phases, so an earlier phase took all other steps.
            earlier = counter.get("phase_steps", [len(losses) - in_phase] * phase)
            counted = StepCounter(phase, in_phase, losses, tuple(map(int, earlier)), held_out)
            return cls(tensors, counted, about["settings"], about["fingerprint"])

    def save(self, path: str | Path) -> None:
        """Write the state to a file."""
        write_whole(path, self.to_bytes())

    @classmethod
    def load(cls, path: str | Path, *, fingerprint: str | Fingerprints) -> LearningState:
        """Read a file that `save` wrote. Raises as `from_bytes`, and `OSError` if there is no such file."""
        return cls.from_bytes(Path(path).read_bytes(), fingerprint=fingerprint)


def settings_digest(lessons: Sequence[Lesson], options: AttributeOptions, seed: int) -> str:
    """Return a digest of everything that a learning depends on except the model."""
    digest = hashlib.sha256(json.dumps([options.to_dict(), seed], sort_keys=True).encode())
    for lesson in (photo for each in lessons for photo in (each, *each.others)):
        words = [lesson.prompt, lesson.subject, lesson.placeholder, list(lesson.request_words)]
        digest.update(json.dumps(words).encode())
        digest.update(lesson.source.encode())
        for tensor in (lesson.mask,) if lesson.source else (lesson.latent, lesson.mask):
            digest.update(repr((tuple(tensor.shape), tensor.dtype)).encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:32]

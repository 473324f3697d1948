"""What the published methods share: an inversion and a sampling of their own, and attention control at a given source latent."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lab.quality.phases import Case, Injected, Meter, Method
from s2edit_core.base_model.ddim import Schedule
from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import keys_values, prompt_keys_values
from s2edit_core.method.injection import SourceBranch, source_guide
from s2edit_core.method.inversion import Inversion, Source, empty_prompt_states
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Answers, Row, Rows, drive_all


@dataclass(frozen=True, eq=False)
class Prompts:
    """The prompts of an edit, as text and as the UNet takes them."""

    source_text: str
    target_text: str
    source: KeysValues
    target: KeysValues
    empty: KeysValues

    @classmethod
    def of(cls, backbone: Backbone, source: str, target: str) -> Prompts:
        with torch.no_grad():
            empty = keys_values(backbone, empty_prompt_states(backbone))
        return cls(source, target, prompt_keys_values(backbone, source, {}), prompt_keys_values(backbone, target, {}), empty)


@dataclass(frozen=True)
class Published(Method):
    """A published method. The `residuals` of its inversion are what each sampling step adds to its mean, the noisiest first.

    `draw` is seeded by the photo alone, so the noise depends neither on the other people of a group nor on the edit.
    """

    def inverting(
        self, backbone: Backbone, latent: Tensor, prompts: Prompts, guidance: float, draw: torch.Generator
    ) -> Algorithm[Inversion]:
        """Return the inversion of `latent` `(c, h, w)` as an algorithm. Target and source of `prompts` are the same here."""
        raise NotImplementedError

    def sampling(self, backbone: Backbone, inversion: Inversion, prompts: Prompts, draw: torch.Generator) -> Algorithm[Tensor]:
        """Return the sampling of one edit as an algorithm that ends with the edited latent `(c, h, w)`."""
        raise NotImplementedError

    def _invert(
        self,
        pipe: S2EditPipeline,
        cases: Sequence[Case],
        latents: Sequence[Tensor],
        concepts: Sequence[Concept | None],  # noqa: ARG002 (none of these methods learns [I])
        guidance: float,
        meter: Meter,
    ) -> list[Inversion]:
        backbone = pipe.backbone
        algorithms = [
            self.inverting(backbone, latent, Prompts.of(backbone, case.prompt, case.prompt), guidance, draw_of(case))
            for case, latent in zip(cases, latents, strict=True)
        ]
        return drive_all(algorithms, meter)

    def _sampling(
        self,
        pipe: S2EditPipeline,
        case: Case,
        target: str,
        concept: Concept | None,  # noqa: ARG002 (none of these methods learns [I])
        inversion: Inversion,
    ) -> Algorithm[Tensor]:
        return self.sampling(pipe.backbone, inversion, Prompts.of(pipe.backbone, case.prompt, target), draw_of(case))


@dataclass(frozen=True)
class Skipping(Published):
    """A published method that leaves out the share `skip` of the noisiest steps."""

    skip: float = 0.0

    @property
    def first(self) -> int:
        """The number of the first step that is sampled."""
        return round(self.skip * self.steps)

    def sampled(self, schedule: Schedule) -> list[tuple[int, int]]:
        """Return number and timestep of each step that is sampled."""
        return list(enumerate(schedule.timesteps(self.steps)))[self.first :]


def draw_of(case: Case) -> torch.Generator:
    """Return a new random generator for a case."""
    return torch.Generator().manual_seed(zlib.crc32(case.canvas.photo.tobytes()))


def noise_like(latent: Tensor, draw: torch.Generator) -> Tensor:
    """Return standard normal noise of the shape of `latent`."""
    return torch.randn(latent.shape, generator=draw, dtype=latent.dtype).to(latent)


class Reader(SourceBranch):
    """Prompt-to-Prompt's attention control where the method itself says at which source latent the target reads."""

    def __init__(self, backbone: Backbone, inversion: Inversion, prompts: Prompts, control: Injected) -> None:
        options = control.options_for(prompts.source_text, prompts.target_text)
        empty = empty_prompt_states(backbone)
        source = Source(prompts.source, None, empty, ())
        guide = source_guide(backbone, source, prompts.source_text, prompts.target_text, options)
        path = Inversion(inversion.path, empty[None], torch.zeros(0), "direct", inversion.guidance_scale)
        super().__init__(backbone, path, guide, first=0)
        self._prompts = prompts

    def rows_at(self, i: int, source: Tensor, z: Tensor, t: int) -> Rows:
        """Return the rows of step `i`: the target's conditional and unconditional one at `z`, and the source's at `source`."""
        self.z = source
        rows = self.rows(i, z, t, self._prompts.target, None, self._prompts.empty)
        return rows if len(rows) == 3 else (*rows, Row(source, t, self._prompts.source))

    def blended(self, i: int, source: Tensor, z: Tensor, answers: Answers) -> Tensor:
        """Return `z`, with `source` outside the region that the blend words attend to. `answers` are those to `rows_at`."""
        if self.guide.blend_words is not None:
            self._accumulate_attention(answers)
        if self.guide.options.blend == "none" or self._is_early(i, self.guide.options.blend_start):
            return z
        return source + self._blend_mask().to(z) * (z - source)

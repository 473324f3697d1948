"""Negative prompts: guidance away from a prompt, without disturbing the reconstruction of the photo.

Composable Diffusion (Liu et al., arXiv 2206.01714, section 4.3) negates a concept n by one more term of the guided prediction,

    ε = ε_u + w·(ε_c − ε_u) − w_n·(ε_n − ε_∅),

where ε_∅ is the prediction for the empty prompt. Here w_n = w − 1. If ε_u = ε_∅, the result equals diffusers' `negative_prompt`,
ε_n + w·(ε_c − ε_n). One guidance scale then controls both prompts, and a negative prompt has its familiar strength.

The implementation adds (ε_n − ε_∅) to ε_u rather than replacing ε_u by ε_n. Here ε_u is more than the empty prompt: null-text
inversion has optimised it, or a residual is added, so that the source prompt reconstructs the photo. Replacing it would undo that.
The difference preserves it, and is zero for an empty negative prompt.

Only the target branch is affected. The source branch, the inversion and the concept do not depend on the negative prompt, so edits
with different negative prompts share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import keys_values, prompt_keys_values
from s2edit_core.errors import OptionInvalid
from s2edit_core.method.inversion import Inversion, empty_prompt_states
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answer, Row, Rows


@dataclass(frozen=True, eq=False)
class NegativePrompt:
    """A negative prompt, and the empty prompt where the edit's unconditional row is not the empty prompt itself."""

    prompt: KeysValues
    empty: KeysValues | None = None

    def rows(self, z: Tensor, t: int) -> Rows:
        """Return the rows that a step evaluates beside its conditional and unconditional row."""
        return tuple(Row(z, t, each) for each in (self.prompt, self.empty) if each is not None)

    def direction(self, answers: Sequence[Answer], unconditional: Tensor) -> Tensor:
        """Return ε_n − ε_∅ `(c, h, w)` from the answers to `rows`. `unconditional` is ε_∅ where no row is evaluated for it."""
        return answers[0].eps - (answers[1].eps if self.empty is not None else unconditional)


def negative_prompt_guidance(
    backbone: Backbone, inversion: Inversion, prompt: str, concepts: Mapping[str, Concept]
) -> NegativePrompt:
    """Prepare the negative `prompt` for an edit from `inversion`.

    Raises `PromptInvalid` for a prompt that is too long, and `OptionInvalid` for a guidance scale of 1 or less, at which a negative
    prompt has no effect.
    """
    if inversion.guidance_scale <= 1:
        raise OptionInvalid(
            "a negative prompt acts through guidance: choose a guidance_scale above 1, or leave the negative prompt out",
            field="options.negative_prompt",
            reason="negative_without_guidance",
        )
    empty = empty_prompt_states(backbone)
    unconditional_is_empty = len(inversion.null_states) == 1 and torch.equal(inversion.null_states[0], empty)
    with torch.no_grad():
        empty_prompt = None if unconditional_is_empty else keys_values(backbone, empty, tuple(concepts.values()))
    return NegativePrompt(prompt_keys_values(backbone, prompt, concepts, field="negative_prompt"), empty_prompt)

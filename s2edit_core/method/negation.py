"""What an edit shall not show: a negative prompt, as guidance away from it that leaves the reconstruction intact.

Composable Diffusion (Liu et al., arXiv 2206.01714, section 4.3) negates a concept n by a further term of the guided prediction,

    ε = ε_u + w·(ε_c − ε_u) − w_n·(ε_n − ε_∅),

where ε_∅ is the prediction of the empty prompt. The weight here is w_n = w − 1. With it, and with ε_u = ε_∅, this is what
diffusers' `negative_prompt` computes, ε_n + w·(ε_c − ε_n). So one guidance scale steers both, and a negative prompt is as strong as
people know it.

The formula is kept in the form of the difference ε_n − ε_∅, which is added to ε_u, because here ε_u is more than the empty prompt:
null-text inversion has optimised it, or a residual is added, so that the source prompt returns to the photo. To put the negative
prompt in its place would undo that. The difference keeps it, and is zero for an empty negative prompt.

Only the target's own steps are moved. The source branch, the inversion and the concept know nothing of a negative prompt, so edits
with different ones share them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import keys_values, prompt_keys_values
from s2edit_core.errors import OptionInvalid
from s2edit_core.method.inversion import Inversion, null_states
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answer, Row, Rows


@dataclass(frozen=True, eq=False)
class Negative:
    """A negative prompt. `empty` is the empty prompt, where the unconditional row of the edit has another one."""

    prompt: KeysValues
    empty: KeysValues | None = None

    def rows(self, z: Tensor, t: int) -> Rows:
        """What is evaluated beside the conditional and the unconditional row of a step."""
        return tuple(Row(z, t, each) for each in (self.prompt, self.empty) if each is not None)

    def direction(self, answers: Sequence[Answer], unconditional: Tensor) -> Tensor:
        """ε_n − ε_∅ `(c, h, w)`, of the answers to `rows`. `unconditional` is ε_∅ where there is no row for it."""
        return answers[0].eps - (answers[1].eps if self.empty is not None else unconditional)


def negative_of(backbone: Backbone, inversion: Inversion, prompt: str, concepts: Mapping[str, Concept]) -> Negative:
    """What an edit from `inversion` needs to lead away from `prompt`.

    Raises `PromptInvalid` for a prompt that is too long, `OptionInvalid` where guidance is 1 or less: then nothing leads away.
    """
    if inversion.guidance_scale <= 1:
        raise OptionInvalid(
            "a negative prompt acts through guidance: choose a guidance_scale above 1, or leave the negative prompt out",
            field="options.negative_prompt",
            reason="negative_without_guidance",
        )
    empty = null_states(backbone)
    unconditional_is_empty = len(inversion.null_states) == 1 and torch.equal(inversion.null_states[0], empty)
    with torch.no_grad():
        nothing = None if unconditional_is_empty else keys_values(backbone, empty, tuple(concepts.values()))
    return Negative(prompt_keys_values(backbone, prompt, concepts, field="negative_prompt"), nothing)

"""The input of a learning: one photo, its mask and its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from s2edit_core.request.spec import PLACEHOLDER


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a concept is learned from: `latent` `(c, h, w)` of the photo, and `mask` `(H, W)` in 0..1, where it is seen there.

    `prompt` holds `placeholder` before `subject`: "a photo of a [I] woman", "a woman with [A] makeup". `request_words` are those
    that a coming edit is known to bring in.
    """

    latent: Tensor
    mask: Tensor
    prompt: str
    subject: str
    placeholder: str = PLACEHOLDER
    request_words: Sequence[str] = ()

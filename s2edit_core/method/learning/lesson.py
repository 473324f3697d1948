"""The input of learning a concept: one photo, its mask and its prompt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from s2edit_core.request.spec import PLACEHOLDER


@dataclass(frozen=True, eq=False)
class Lesson:
    """What a concept is learned from: `latent` `(c, h, w)` of the photo, and `mask` `(H, W)` in 0..1 that marks it.

    `prompt` holds `placeholder` before `subject`, as in "a photo of a [I] woman" or "a woman with [A] makeup". `request_words` are
    words that the edit is known to introduce; the concept is learned to be orthogonal to them as well. `others` are further photos
    of the same subject, with the same placeholder: learning takes the photos in turn, one per step. `source` names the picture
    behind the latent, whose last bits differ with the number of threads that encoded it; without it, the latent names itself.
    """

    latent: Tensor
    mask: Tensor
    prompt: str
    subject: str
    placeholder: str = PLACEHOLDER
    request_words: Sequence[str] = ()
    others: tuple[Lesson, ...] = ()
    source: str = ""

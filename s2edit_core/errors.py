"""Everything that can go wrong, as one tree.

    S2EditError                 base: has a stable `code`, says whether trying again can help (`retryable`)
    ├── InvalidInput            what was asked cannot be done; `field` names the input to change
    │   ├── ImageInvalid        not an image of an accepted format, damaged, or too large
    │   ├── MaskInvalid         empty, full, unclear, or of another shape than its image
    │   ├── PromptInvalid       empty, past the token limit, an instruction, or without the subject word
    │   ├── OptionInvalid       an unknown option, or a value out of its range
    │   └── PolicyRefused       what the service does not do for anybody
    ├── ArtifactMismatch        a concept or inversion made by another model, schedule or settings
    ├── ModelUnusable           the model folder lacks a part or is of an unsupported kind
    └── NumbersNotFinite        a computation left the numbers: half precision or a rate too high

Messages are sentences for the person who made the request: what was wrong, and what would be right.
"""

from __future__ import annotations

from typing import ClassVar


class S2EditError(Exception):
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class InvalidInput(S2EditError):
    """What was asked cannot be done, whoever tries."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str, reason: str | None = None) -> None:
        super().__init__(message)
        self.field = field
        """The input to change: `image`, `mask`, `edit_mask`, `prompt`, `source_prompt`, `subject`, `options`…"""
        self.reason = reason or self.code
        """A stable word for programs, finer than `code`: `mask_empty`, `prompt_too_long`…"""


class ImageInvalid(InvalidInput):
    code = "image_invalid"


class MaskInvalid(InvalidInput):
    code = "mask_invalid"


class PromptInvalid(InvalidInput):
    code = "prompt_invalid"


class OptionInvalid(InvalidInput):
    code = "option_invalid"


class PolicyRefused(InvalidInput):
    code = "policy_refused"


class ArtifactMismatch(S2EditError):
    code = "artifact_mismatch"


class ModelUnusable(S2EditError):
    """`part` is "model", or the name of another model that cannot be used: "segmenter", "captioner" or "safety"."""

    code = "model_unusable"

    def __init__(self, message: str, *, part: str = "model") -> None:
        super().__init__(message)
        self.part = part


class NumbersNotFinite(S2EditError):
    code = "numbers_not_finite"

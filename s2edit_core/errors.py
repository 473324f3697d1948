"""All errors of the package, as one tree.

    S2EditError                 base class, with a stable `code`; `retryable` tells whether a retry can help
    ├── InvalidInput            the request can't be fulfilled as it is; `field` names the input to change
    │   ├── ImageInvalid        not an image of an accepted format, damaged, or too large
    │   ├── MaskInvalid         empty, full, ambiguous, or of another shape than its image
    │   ├── PromptInvalid       empty, too long, an instruction, or without the subject word
    │   ├── OptionInvalid       an unknown option, or a value out of its range
    │   └── PolicyRefused       a request that the service refuses to everybody
    ├── ArtifactMismatch        a concept or inversion made with another model, schedule or settings
    ├── ModelUnusable           the model lacks a part or is of an unsupported kind
    ├── NumbersNotFinite        a computation produced NaN or infinity: half precision, or a learning rate too high
    └── DeviceFault             the device has failed; the request may be fine
        └── DeviceOutOfMemory   the device or the host has too little memory even for the smallest pass

Messages address the person who made the request: they say what was wrong and what would be right.
"""

from __future__ import annotations

from typing import ClassVar


class S2EditError(Exception):
    """Base class of all errors of this package."""

    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False


class InvalidInput(S2EditError):
    """A request that can't be fulfilled as it is, by anybody."""

    code = "invalid_input"

    def __init__(self, message: str, *, field: str, reason: str | None = None) -> None:
        """`field` names the input to change; `reason` is a stable identifier, finer than `code`, which is its default."""
        super().__init__(message)
        self.field = field
        """The input to change: `image`, `mask`, `edit_mask`, `prompt`, `source_prompt`, `subject`, `options.steps`…"""
        self.reason = reason or self.code
        """A stable identifier for programs: `mask_empty`, `prompt_too_long`…"""


class ImageInvalid(InvalidInput):
    """An image of an unsupported format, damaged, or of an unsupported size."""

    code = "image_invalid"


class MaskInvalid(InvalidInput):
    """A mask that is empty, full, ambiguous or of another shape than its image, or a person that was not found."""

    code = "mask_invalid"


class PromptInvalid(InvalidInput):
    """A prompt or subject that can't be used."""

    code = "prompt_invalid"


class OptionInvalid(InvalidInput):
    """An unknown option, a value out of its range, or options that exclude each other."""

    code = "option_invalid"


class PolicyRefused(InvalidInput):
    """A request that the service refuses to everybody."""

    code = "policy_refused"


class ArtifactMismatch(S2EditError):
    """A concept, inversion or learning state of another model or other settings, or a damaged file."""

    code = "artifact_mismatch"


class ModelUnusable(S2EditError):
    """A model that can't be loaded.

    `part` is "model", or names another model that can't be used: "segmenter", "captioner" or "safety".
    """

    code = "model_unusable"

    def __init__(self, message: str, *, part: str = "model") -> None:
        super().__init__(message)
        self.part = part


class NumbersNotFinite(S2EditError):
    """A computation that produced NaN or infinity."""

    code = "numbers_not_finite"


class DeviceFault(S2EditError):
    """The device has failed, whatever was asked of it. Its cause is the library's error.

    After a `sticky` fault, every further computation of the process fails. `code` is that of a job whose attempts all end so.
    """

    code = "parked"
    retryable = True
    sticky: ClassVar[bool] = True


class DeviceOutOfMemory(DeviceFault):
    """The device, or the host, has too little memory even for the smallest pass. The process can go on with other work."""

    code = "out_of_memory"
    sticky = False

"""Files that come with a request, whichever way they have come.

A request is recognised by its bytes as sent (`Content-Digest`, the announced digest, the Idempotency-Key). What is made of it is
named by the bytes as kept, without metadata (concept ids, the digests in specs and reports). So the same photo with other metadata
is the same person.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from s2edit_core.errors import OptionInvalid
from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskMode, MaskRequest

EXTENSIONS: Mapping[str, str] = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/avif": ".avif",
    "image/heic": ".heic",
}

MASKS = ("mask", "edit_mask")


def media_type_of(key: str) -> str:
    """Of a picture that is kept under `key`, by the key's extension. Raises `KeyError` where it is no picture's."""
    return _MEDIA_TYPES[PurePosixPath(key).suffix]


_MEDIA_TYPES: Mapping[str, str] = {extension: kind for kind, extension in EXTENSIONS.items()}


@dataclass(frozen=True)
class Upload:
    """A file that came with a request, or that stands in for one.

    `sent_sha256` is the digest of what the app has sent, where `data` is that without its metadata. `own`: from what this service
    has made or taken on before, so there is nothing to take off. `mask_mode`: how a mask of an earlier request is read; None for
    one that comes with this request, which says it. `told`: what reports say of a mask that another edit used.
    """

    data: bytes
    media_type: str
    sent_sha256: str | None = None
    own: bool = False
    mask_mode: MaskMode | None = None
    told: Mapping[str, Any] | None = None

    @cached_property
    def sha256(self) -> str:
        return digest(self.data)

    @property
    def as_sent(self) -> str:
        """What tells two requests apart."""
        return self.sent_sha256 or self.sha256

    def without_metadata(self, orientation: int, field: str) -> Upload:
        """As it may be kept; itself where it has none. Raises `ImageInvalid`."""
        bare = self.data if self.own else without_metadata(self.data, orientation, field)
        return self if bare is self.data else Upload(bare, self.media_type, self.as_sent)


def modes_of(files: Mapping[str, Upload], request: EditRequest | LearningRequest | MaskRequest) -> dict[str, MaskMode]:
    """How each mask among `files` is read, as `request` says or an earlier one has said."""
    mode: MaskMode = getattr(request, "mask_mode", "auto")
    asked = {"mask": mode, "edit_mask": getattr(request, "edit_mask_mode", None) or mode}
    return {name: upload.mask_mode or asked[name] for name, upload in files.items() if name in MASKS}


def check_modes(files: Collection[str], request: EditRequest | LearningRequest | MaskRequest) -> None:
    """Raise `OptionInvalid` for a way to read masks where no mask comes among `files` that it could be meant for."""
    of_edit_mask: MaskMode | None = getattr(request, "edit_mask_mode", None)
    if of_edit_mask is not None and "edit_mask" not in files:
        raise _nothing_to_read("edit_mask_mode", "edit_mask", "the mask is read by mask_mode")
    by_mask_mode = {"mask"} if of_edit_mask is not None else {*MASKS}
    if getattr(request, "mask_mode", "auto") != "auto" and not by_mask_mode & {*files}:
        raise _nothing_to_read("mask_mode", "mask", "one that is kept from an earlier request is read as it was then")


def _nothing_to_read(field: str, mask: str, why: str) -> OptionInvalid:
    return OptionInvalid(
        f"{field} says how to read a mask, and none comes with the request: send the {mask} too, or leave {field} out ({why})",
        field=field,
        reason="mask_mode_without_mask",
    )

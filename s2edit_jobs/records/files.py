"""The files of a request, however they were sent.

Two digests matter. Requests are compared by the bytes as sent: `Content-Digest`, the announced digest, the Idempotency-Key. Results
are named by the bytes as stored, without metadata: concept ids, the digests in specs and reports. So the same photo with other
metadata leads to the same identity.
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
    """Return the media type of a stored picture, by the extension of its key. A newer release may know other extensions."""
    return _MEDIA_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")


_MEDIA_TYPES: Mapping[str, str] = {extension: kind for kind, extension in EXTENSIONS.items()}


@dataclass(frozen=True)
class Upload:
    """A file that came with a request, or one of an earlier edit in its place.

    `sent_sha256` is the digest of the file as sent if `data` is that file without its metadata. `own` marks a file that this
    service made or stored before; its metadata is already removed. `mask_mode` is set for a mask of an earlier edit; other masks
    use the request's mode. `mask_report` is the report's section on a mask of an earlier edit.
    """

    data: bytes
    media_type: str
    sent_sha256: str | None = None
    own: bool = False
    mask_mode: MaskMode | None = None
    mask_report: Mapping[str, Any] | None = None

    @cached_property
    def sha256(self) -> str:
        return digest(self.data)

    @property
    def as_sent(self) -> str:
        """The digest of the file as sent, by which requests are compared."""
        return self.sent_sha256 or self.sha256

    def without_metadata(self, orientation: int, field: str) -> Upload:
        """Return the file without metadata, or this one if there is none. Raise `ImageInvalid`."""
        bare = self.data if self.own else without_metadata(self.data, orientation, field)
        return self if bare is self.data else Upload(bare, self.media_type, self.as_sent)


def mask_modes(files: Mapping[str, Upload], request: EditRequest | LearningRequest | MaskRequest) -> dict[str, MaskMode]:
    """Return the mode of each mask among `files`, as given by `request` or by the earlier edit that the mask comes from."""
    mode: MaskMode = getattr(request, "mask_mode", "auto")
    asked = {"mask": mode, "edit_mask": getattr(request, "edit_mask_mode", None) or mode}
    return {name: upload.mask_mode or asked[name] for name, upload in files.items() if name in MASKS}


def check_modes(files: Collection[str], request: EditRequest | LearningRequest | MaskRequest) -> None:
    """Raise `OptionInvalid` if a mask mode is given but no mask that it could apply to is among `files`."""
    of_edit_mask: MaskMode | None = getattr(request, "edit_mask_mode", None)
    if of_edit_mask is not None and "edit_mask" not in files:
        raise _mode_without_mask("edit_mask_mode", "edit_mask", "the mask is read by mask_mode")
    by_mask_mode = {"mask"} if of_edit_mask is not None else {*MASKS}
    if getattr(request, "mask_mode", "auto") != "auto" and not by_mask_mode & {*files}:
        raise _mode_without_mask("mask_mode", "mask", "a stored mask keeps its mode")


def _mode_without_mask(field: str, mask: str, why: str) -> OptionInvalid:
    return OptionInvalid(
        f"{field} is set, but no mask that it applies to was sent: send the {mask} too, or leave out {field} ({why})",
        field=field,
        reason="mask_mode_without_mask",
    )

"""Files that come with a request, whichever way they have come.

A request is recognised by its bytes as sent (`Content-Digest`, the announced digest, the Idempotency-Key). What is made of it is
named by the bytes as kept, without metadata (concept ids, the digests in specs and reports). So the same photo with other metadata
is the same person.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import MaskMode

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
    one that comes with this request, which says it.
    """

    data: bytes
    media_type: str
    sent_sha256: str | None = None
    own: bool = False
    mask_mode: MaskMode | None = None

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


def modes_of(files: Mapping[str, Upload], mask_mode: MaskMode) -> dict[str, MaskMode]:
    """How each mask among `files` is read; `mask_mode` is what the request says."""
    return {name: upload.mask_mode or mask_mode for name, upload in files.items() if name in MASKS}

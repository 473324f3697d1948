"""Files that apps send straight to the object store: announced first, then sent by a presigned request, then named in edits.

What was announced lies as `upload.json` beside the bytes. The bytes are not trusted for having been signed: whoever uses them
takes them from here, once, held against what was announced.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import asdict, dataclass

from s2edit_jobs.artifacts import ArtifactStore, SignedForm, SignedPut, upload_key
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.errors import ArtifactMissing, BeingErased, UploadMismatch, UploadNotFound, UploadUnfinished
from s2edit_jobs.jobs import EXTENSIONS, JSON, Upload, check_not_erasing
from s2edit_jobs.record import Owner

_UPLOAD_ID = re.compile(r"u_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Announced:
    """A file as its sender described it before sending it."""

    id: str
    media_type: str
    size_bytes: int
    sha256: str | None
    created_at: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Ways:
    """How the bytes may be sent, until `expires_at` (seconds since the epoch)."""

    put: SignedPut
    form: SignedForm | None
    expires_at: float


class Uploads:
    """Every call may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._artifacts: ArtifactStore = services.artifacts
        self._life_s = services.settings.upload_url_s

    def announce(self, owner: Owner, *, media_type: str, size_bytes: int, sha256: str | None) -> Announced:
        """A new upload, without its bytes. Raises `BeingErased`."""
        announced = Announced(f"u_{secrets.token_hex(16)}", media_type, size_bytes, sha256, time.time())
        note = json.dumps(asdict(announced), sort_keys=True).encode()
        self._artifacts.put(upload_key(owner, announced.id, "upload.json"), note, media_type=JSON, only_if_absent=True)
        try:
            check_not_erasing(self._artifacts, owner)
        except BeingErased:
            self._artifacts.delete_prefix(upload_key(owner, announced.id, ""))
            raise
        return announced

    def get(self, owner: Owner, upload_id: str) -> Announced:
        """`UploadNotFound` if this owner has none of that id."""
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise UploadNotFound(upload_id)
        try:
            return Announced(**json.loads(self._artifacts.get(upload_key(owner, upload_id, "upload.json"))))
        except ArtifactMissing:
            raise UploadNotFound(upload_id) from None

    def arrived(self, owner: Owner, announced: Announced) -> bool:
        """Whether bytes have come; they are looked at when they are used."""
        return self._artifacts.exists(_place(owner, announced))

    def ways(self, owner: Owner, announced: Announced) -> Ways:
        """Fresh ones at every call."""
        key, expires_at = _place(owner, announced), time.time() // 1 + self._life_s
        size, kind = announced.size_bytes, announced.media_type
        put = self._artifacts.presigned_put(key, expires_s=self._life_s, media_type=kind, size_bytes=size)
        form = self._artifacts.presigned_post(key, expires_s=self._life_s, media_type=kind, min_bytes=size, max_bytes=size)
        return Ways(put, form, expires_at)

    def take(self, owner: Owner, upload_id: str) -> Upload:
        """The bytes, if they are what was announced.

        Raises `UploadNotFound`, `UploadUnfinished` or `UploadMismatch`. A form may be sent again: use what this returns, and
        don't read the object a second time.
        """
        announced = self.get(owner, upload_id)
        key = _place(owner, announced)
        try:
            if (size := self._artifacts.size_bytes(key)) != announced.size_bytes:
                raise UploadMismatch(f"it has {size} bytes and was announced with {announced.size_bytes}")
            data = self._artifacts.get(key)
        except ArtifactMissing:
            raise UploadUnfinished("its bytes have not come yet") from None
        if len(data) != announced.size_bytes:  # replaced since
            raise UploadMismatch(f"it has {len(data)} bytes and was announced with {announced.size_bytes}")
        upload = Upload(data, announced.media_type)
        if announced.sha256 is not None and upload.sha256 != announced.sha256:
            raise UploadMismatch("its bytes have another SHA-256 digest than announced")
        return upload


def sweep_orphans(artifacts: ArtifactStore) -> int:
    """Remove bytes that came by a link whose upload was erased before; how many. Raises `ArtifactsUnavailable`."""
    folders: dict[str, set[str]] = {}
    for key in artifacts.list("t/"):
        folder, _, name = key.rpartition("/")
        if "/uploads/" in folder:
            folders.setdefault(folder, set()).add(name)
    orphans = [folder for folder, names in folders.items() if "upload.json" not in names]
    return sum(artifacts.delete_prefix(f"{folder}/") for folder in orphans if not artifacts.exists(f"{folder}/upload.json"))


def _place(owner: Owner, announced: Announced) -> str:
    return upload_key(owner, announced.id, "file" + EXTENSIONS[announced.media_type])

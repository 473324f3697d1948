"""Files that apps send straight to the object store: announced first, then sent by a presigned request, then named in edits.

An upload ends `upload_ttl_s` after it was announced. An edit that has used it has a copy of its own; only where the same request
may come again with its idempotency key, a note `kept.json` lets the upload live as long as that is promised.

What was announced lies as `upload.json` beside the bytes. The bytes are not trusted for having been signed: whoever uses them
takes them from here, once, held against what was announced.

Nobody looks at the bytes on their way, so they lie in the store as they were sent until an edit names them: then what they are
without metadata takes their place. First `bare.*` is written, then `bare.json`, from where on it is what the upload holds, and
then `file.*` is removed; whoever dies in between leaves an upload that can be used.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import asdict, dataclass

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactMissing, BeingErased, UploadMismatch, UploadNotFound, UploadUnfinished
from s2edit_jobs.records.files import EXTENSIONS, Upload
from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore, SignedForm, SignedPut, upload_key
from s2edit_jobs.stores.markers import check_not_erasing

SWEEP_AFTER_S = 3600.0
"""How long after its end an upload is removed: whoever took it before has its bytes by then, also if clocks differ."""
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
        self._link_s = services.settings.upload_url_ttl_s
        self._ttl_s = services.settings.upload_ttl_s
        self._keep_s = services.settings.idempotency_ttl_s

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
        folder = upload_key(owner, upload_id, "")
        try:
            announced = Announced(**json.loads(self._artifacts.get(f"{folder}upload.json")))
        except ArtifactMissing:
            raise UploadNotFound(upload_id) from None
        if _is_over(self._artifacts, folder, announced.created_at + self._ttl_s, time.time()):
            raise UploadNotFound(upload_id)
        return announced

    def arrived(self, owner: Owner, announced: Announced) -> bool:
        """Whether bytes have come; they are looked at when they are used."""
        return self._artifacts.exists(_place(owner, announced)) or self._artifacts.exists(_bare_note(owner, announced.id))

    def ways(self, owner: Owner, announced: Announced) -> Ways:
        """Fresh ones at every call."""
        key, expires_at = _place(owner, announced), time.time() // 1 + self._link_s
        size, kind = announced.size_bytes, announced.media_type
        put = self._artifacts.presigned_put(key, expires_s=self._link_s, media_type=kind, size_bytes=size)
        form = self._artifacts.presigned_post(key, expires_s=self._link_s, media_type=kind, min_bytes=size, max_bytes=size)
        return Ways(put, form, expires_at)

    def take(self, owner: Owner, upload_id: str, *, again: bool = False) -> Upload:
        """The bytes, if they are what was announced; `again`: the same may be asked for as long as idempotency keys count.

        Raises `UploadNotFound`, `UploadUnfinished` or `UploadMismatch`. A form may be sent again: use what this returns, and
        don't read the object a second time.
        """
        announced = self.get(owner, upload_id)
        if again:
            self._keep(owner, upload_id)
        if (bare := self._bare(owner, announced)) is not None:
            return bare
        key = _place(owner, announced)
        try:
            if (size := self._artifacts.size_bytes(key)) != announced.size_bytes:
                raise UploadMismatch(f"it has {size} bytes and was announced with {announced.size_bytes}")
            data = self._artifacts.get(key)
        except ArtifactMissing:
            self.get(owner, upload_id)  # unless it was removed meanwhile
            if (bare := self._bare(owner, announced)) is not None:  # another edit has taken it just now
                return bare
            raise UploadUnfinished("its bytes have not come yet") from None
        if len(data) != announced.size_bytes:  # replaced since
            raise UploadMismatch(f"it has {len(data)} bytes and was announced with {announced.size_bytes}")
        upload = Upload(data, announced.media_type)
        if announced.sha256 is not None and upload.sha256 != announced.sha256:
            raise UploadMismatch("its bytes have another SHA-256 digest than announced")
        return upload

    def settle(self, owner: Owner, upload_id: str, kept: Upload) -> None:
        """Have `kept`, which is what was taken without its metadata, in place of what was sent. Raises `UploadNotFound`."""
        if kept.sent_sha256 is None:  # it has none
            return
        announced = self.get(owner, upload_id)
        if not self._artifacts.exists(_bare_note(owner, upload_id)):
            self._artifacts.put(_place(owner, announced, "bare"), kept.data, media_type=kept.media_type)
            note = json.dumps({"sent_sha256": kept.sent_sha256, "sha256": kept.sha256}).encode()
            self._artifacts.put(_bare_note(owner, upload_id), note, media_type=JSON)
        self._artifacts.delete_prefix(_place(owner, announced))
        if not self._artifacts.exists(upload_key(owner, upload_id, "upload.json")):  # erased meanwhile
            self._artifacts.delete_prefix(upload_key(owner, upload_id, ""))
            raise UploadNotFound(upload_id)

    def _bare(self, owner: Owner, announced: Announced) -> Upload | None:
        """What has taken the place of the bytes that were sent. Raises `UploadMismatch`."""
        try:
            note = json.loads(self._artifacts.get(_bare_note(owner, announced.id)))
            bare = Upload(self._artifacts.get(_place(owner, announced, "bare")), announced.media_type, note["sent_sha256"])
        except ArtifactMissing:
            return None
        if bare.sha256 != note["sha256"]:
            raise UploadMismatch("its bytes have changed since they were first used")
        return bare

    def _keep(self, owner: Owner, upload_id: str) -> None:
        """Raises `UploadNotFound` if it was erased meanwhile."""
        folder = upload_key(owner, upload_id, "")
        self._artifacts.put(f"{folder}kept.json", json.dumps(time.time() + self._keep_s + SWEEP_AFTER_S).encode(), media_type=JSON)
        if not self._artifacts.exists(f"{folder}upload.json"):
            self._artifacts.delete_prefix(f"{folder}kept.json")
            raise UploadNotFound(upload_id)


def sweep_uploads(artifacts: ArtifactStore, *, ttl_s: float) -> int:
    """Remove the uploads that ended a while ago, bytes and all, and unreadable ones; how many objects.

    Raises `ArtifactsUnavailable`.
    """
    gone, now = 0, time.time() - SWEEP_AFTER_S
    for key in artifacts.list("t/"):
        folder, _, name = key.rpartition("/")
        if "/uploads/" not in folder or name != "upload.json":
            continue
        try:
            created_at = float(json.loads(artifacts.get(key))["created_at"])
        except ArtifactMissing:  # erased meanwhile
            continue
        except (ValueError, TypeError, KeyError):  # nobody can read it
            created_at = 0.0
        if _is_over(artifacts, f"{folder}/", created_at + ttl_s, now):
            gone += artifacts.delete_prefix(key)  # first: nobody takes what is half gone
            gone += artifacts.delete_prefix(f"{folder}/")
    return gone


def _is_over(artifacts: ArtifactStore, folder: str, ends_at: float, now: float) -> bool:
    """Whether an upload has ended, though it may have been used again."""
    if now < ends_at:
        return False
    try:
        return now >= float(json.loads(artifacts.get(f"{folder}kept.json")))
    except ArtifactMissing:
        return True


def sweep_orphans(artifacts: ArtifactStore) -> int:
    """Remove bytes that came by a link whose upload was erased before; how many. Raises `ArtifactsUnavailable`."""
    folders: dict[str, set[str]] = {}
    for key in artifacts.list("t/"):
        folder, _, name = key.rpartition("/")
        if "/uploads/" in folder:
            folders.setdefault(folder, set()).add(name)
    orphans = [folder for folder, names in folders.items() if "upload.json" not in names]
    return sum(artifacts.delete_prefix(f"{folder}/") for folder in orphans if not artifacts.exists(f"{folder}/upload.json"))


def _place(owner: Owner, announced: Announced, name: str = "file") -> str:
    return upload_key(owner, announced.id, name + EXTENSIONS[announced.media_type])


def _bare_note(owner: Owner, upload_id: str) -> str:
    return upload_key(owner, upload_id, "bare.json")

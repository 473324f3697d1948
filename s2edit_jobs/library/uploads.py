"""Uploads: files that apps send directly to the object store.

An app announces a file, sends it by a presigned request, then names it in requests for edits and other jobs. `upload.json` holds
what was announced. The service does not see the bytes on their way, so it checks size and digest when a request reads them.

An upload expires `upload_ttl_s` seconds after its announcement. Jobs keep their own copy. If a job's request has an
Idempotency-Key, the marker `kept.json` keeps the upload for as long as that request may be repeated.

The first job that uses an upload replaces its file by one without metadata. It writes `bare.*`, then `bare.json`, which makes the
new file the upload's content, and then empties `file.*`. The upload stays usable if the process dies in between. The empty `file.*`
remains, because the link that wrote it works only while there is no such object, and would otherwise bring the metadata back.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from dataclasses import asdict, dataclass

from s2edit_core.request.texts import counted
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import (
    ArtifactMissing,
    BeingErased,
    RecordDamaged,
    RecordNewer,
    UploadMismatch,
    UploadNotFound,
    UploadUnfinished,
)
from s2edit_jobs.records.files import EXTENSIONS, Upload
from s2edit_jobs.records.record import Owner, Timestamp
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import read_number, read_record
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore, SignedForm, SignedPut, upload_key
from s2edit_jobs.stores.markers import check_not_erasing
from s2edit_jobs.stores.stored_bytes import Booking, check_stored
from s2edit_jobs.stores.user_folders import UserFolder

SWEEP_AFTER_S = 3600.0
"""Seconds between the expiry of an upload and its removal. It covers requests that are still reading it, and clock differences."""
_UPLOAD_ID = re.compile(r"u_[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class AnnouncedUpload:
    """An announced file. Its bytes may not have arrived yet."""

    id: str
    media_type: str
    size_bytes: int
    sha256: str | None
    created_at: Timestamp


@dataclass(frozen=True, slots=True)
class Bare:
    """The content of `bare.json`."""

    sent_sha256: str
    sha256: str


@dataclass(frozen=True, slots=True)
class UploadLinks:
    """The presigned requests that send the bytes. They expire at `expires_at` (seconds since the epoch)."""

    put: SignedPut
    form: SignedForm | None
    expires_at: float


class Uploads:
    """The uploads by owner. Every method may raise `ServiceUnavailable`."""

    def __init__(self, services: Services) -> None:
        self._artifacts: ArtifactStore = services.artifacts
        self._audit = services.audit
        self._url_ttl_s = services.settings.upload_url_ttl_s
        self._ttl_s = services.settings.upload_ttl_s
        self._usage = services.store.usage
        self._bound = services.settings.max_stored_bytes_per_tenant
        self._keep_s = services.settings.idempotency_ttl_s

    def announce(self, owner: Owner, *, media_type: str, size_bytes: int, sha256: str | None) -> AnnouncedUpload:
        """Create an upload whose bytes will follow. Raise `BeingErased` or `StorageFull`."""
        check_stored(self._usage, owner.tenant, bound=self._bound, more=size_bytes)
        announced = AnnouncedUpload(f"u_{secrets.token_hex(16)}", media_type, size_bytes, sha256, time.time())
        content = json.dumps(asdict(announced), sort_keys=True).encode()
        self._artifacts.put(upload_key(owner, announced.id, "upload.json"), content, media_type=JSON, only_if_absent=True)
        try:
            check_not_erasing(self._artifacts, owner)
        except BeingErased:
            self._artifacts.delete_prefix(upload_key(owner, announced.id, ""))
            raise
        if self._bound:
            Booking(self._usage).book(owner.tenant, size_bytes)
        return announced

    def get(self, owner: Owner, upload_id: str) -> AnnouncedUpload:
        """Return what was announced. Raise `UploadNotFound` if this owner has no such upload, it has expired or it is damaged.

        Raise `RecordNewer` if a newer release has announced it.
        """
        if not _UPLOAD_ID.fullmatch(upload_id):
            raise UploadNotFound(upload_id)
        folder = upload_key(owner, upload_id, "")
        try:
            announced = read_record("upload", AnnouncedUpload, self._artifacts.get(f"{folder}upload.json"))
        except ArtifactMissing:
            raise UploadNotFound(upload_id) from None
        except RecordDamaged as error:
            count_aside("upload", f"{folder}upload.json", error)
            raise UploadNotFound(upload_id) from None
        if announced.media_type not in EXTENSIONS:
            raise RecordNewer("the stored upload has a media type that this release does not know")
        if _has_expired(self._artifacts, folder, announced.created_at + self._ttl_s, time.time()):
            raise UploadNotFound(upload_id)
        return announced

    def arrived(self, owner: Owner, announced: AnnouncedUpload) -> bool:
        """Whether the bytes have arrived. They are checked when a request reads them."""
        return self._artifacts.exists(_file_key(owner, announced)) or self._artifacts.exists(_bare_marker_key(owner, announced.id))

    def expires_at(self, owner: Owner, announced: AnnouncedUpload) -> float:
        """Return when the upload expires, in seconds since the epoch."""
        return max(announced.created_at + self._ttl_s, _kept_until(self._artifacts, upload_key(owner, announced.id, "")))

    def links(self, owner: Owner, announced: AnnouncedUpload) -> UploadLinks:
        """Return new presigned requests for the bytes."""
        key, expires_at = _file_key(owner, announced), time.time() // 1 + self._url_ttl_s
        size, kind = announced.size_bytes, announced.media_type
        put = self._artifacts.presigned_put(key, expires_s=self._url_ttl_s, media_type=kind, size_bytes=size)
        form = self._artifacts.presigned_post(key, expires_s=self._url_ttl_s, media_type=kind, min_bytes=size, max_bytes=size)
        return UploadLinks(put, form, expires_at)

    def take(self, owner: Owner, upload_id: str, *, again: bool = False) -> Upload:
        """Return the bytes if they match the announcement. With `again`, the same request may follow: extend the upload's life.

        Raise `UploadNotFound`, `UploadUnfinished` or `UploadMismatch`. Use the returned bytes and do not read the object again: a
        presigned form can be sent twice, so the object may change.
        """
        announced = self.get(owner, upload_id)
        if again:
            self._keep(owner, upload_id)
        if (bare := self._bare(owner, announced)) is not None:
            return bare
        key = _file_key(owner, announced)
        try:
            if (size := self._artifacts.size_bytes(key)) != announced.size_bytes:
                if (bare := self._bare(owner, announced)) is not None:  # another job has just emptied the file
                    return bare
                raise UploadMismatch(_other_size(size, announced))
            data = self._artifacts.get(key)
        except ArtifactMissing:
            self.get(owner, upload_id)  # raises if the upload was removed meanwhile
            if (bare := self._bare(owner, announced)) is not None:  # another job has just replaced the file
                return bare
            raise UploadUnfinished("its bytes have not arrived yet") from None
        if len(data) != announced.size_bytes:  # sent again, or emptied, between the two reads
            if (bare := self._bare(owner, announced)) is not None:
                return bare
            raise UploadMismatch(_other_size(len(data), announced))
        upload = Upload(data, announced.media_type)
        if announced.sha256 is not None and upload.sha256 != announced.sha256:
            raise UploadMismatch("its SHA-256 digest differs from the announced one")
        return upload

    def replace(self, owner: Owner, upload_id: str, kept: Upload) -> None:
        """Replace the sent file by `kept`, the same picture without metadata. Raise `UploadNotFound`."""
        if kept.sent_sha256 is None:  # the file had no metadata
            return
        announced = self.get(owner, upload_id)
        if not self._artifacts.exists(_bare_marker_key(owner, upload_id)):
            self._artifacts.put(_file_key(owner, announced, "bare"), kept.data, media_type=kept.media_type)
            marker = json.dumps({"sent_sha256": kept.sent_sha256, "sha256": kept.sha256}).encode()
            self._artifacts.put(_bare_marker_key(owner, upload_id), marker, media_type=JSON)
        sent = _file_key(owner, announced)
        self._artifacts.delete_prefix(sent)  # with all versions that a bucket keeps
        self._artifacts.put(sent, b"", media_type=announced.media_type)
        if not self._artifacts.exists(upload_key(owner, upload_id, "upload.json")):  # erased meanwhile
            self._artifacts.delete_prefix(upload_key(owner, upload_id, ""))
            raise UploadNotFound(upload_id)

    def erase(self, owner: Owner, upload_id: str) -> int:
        """Erase an upload, also an expired one. Return the number of objects. Raise `UploadNotFound`.

        An interrupted call can be repeated. In a bucket, a link that is still valid can send the bytes again: the sweeper removes
        them, because they belong to no upload.
        """
        folder = upload_key(owner, upload_id, "")
        if not _UPLOAD_ID.fullmatch(upload_id) or not any(True for _ in self._artifacts.list(folder, expected=1)):
            raise UploadNotFound(upload_id)
        gone = self._artifacts.delete_prefix(f"{folder}upload.json")  # first, so that a job that writes here notices
        gone += self._artifacts.delete_prefix(folder)
        self._audit.record("upload.erase", owner, upload_id, "erased")
        return gone

    def _bare(self, owner: Owner, announced: AnnouncedUpload) -> Upload | None:
        """Return the file without metadata, or None if no job has used the upload yet. Raise `UploadMismatch`."""
        try:
            marker = read_record("bare upload", Bare, self._artifacts.get(_bare_marker_key(owner, announced.id)))
            bare = Upload(self._artifacts.get(_file_key(owner, announced, "bare")), announced.media_type, marker.sent_sha256)
        except ArtifactMissing:
            return None
        except RecordDamaged:
            raise UploadMismatch("its bytes cannot be checked any more") from None
        if bare.sha256 != marker.sha256:
            raise UploadMismatch("its bytes have changed since they were first used")
        return bare

    def _keep(self, owner: Owner, upload_id: str) -> None:
        """Extend the upload's life. Raise `UploadNotFound` if it was erased meanwhile."""
        folder = upload_key(owner, upload_id, "")
        self._artifacts.put(f"{folder}kept.json", json.dumps(time.time() + self._keep_s + SWEEP_AFTER_S).encode(), media_type=JSON)
        if not self._artifacts.exists(f"{folder}upload.json"):
            self._artifacts.delete_prefix(f"{folder}kept.json")
            raise UploadNotFound(upload_id)


def sweep_upload(artifacts: ArtifactStore, folder: UserFolder, *, ttl_s: float, now: float) -> int:
    """Remove an upload that expired over `SWEEP_AFTER_S` seconds ago or is unreadable. Return the number of objects.

    A folder without `upload.json` holds a file that was sent by a presigned request after its upload was erased. Raise
    `ArtifactsUnavailable`.
    """
    key, now = folder.key("upload.json"), now - SWEEP_AFTER_S
    if not _UPLOAD_ID.fullmatch(folder.id):
        return 0
    if "upload.json" not in folder.names:
        return 0 if artifacts.exists(key) else artifacts.delete_prefix(f"{folder.path}/")
    try:
        created_at = read_record("upload", AnnouncedUpload, artifacts.get(key)).created_at
    except ArtifactMissing:  # erased meanwhile
        return 0
    except RecordDamaged as error:  # nobody can use it
        count_aside("upload", key, error)
        created_at = 0.0
    if not _has_expired(artifacts, f"{folder.path}/", created_at + ttl_s, now):
        return 0
    gone = artifacts.delete_prefix(key)  # first, so that no job reads a half-deleted upload
    return gone + artifacts.delete_prefix(f"{folder.path}/")


def _has_expired(artifacts: ArtifactStore, folder: str, ends_at: float, now: float) -> bool:
    """Whether an upload has expired, counting the extension in `kept.json`."""
    return now >= ends_at and now >= _kept_until(artifacts, folder)


def _kept_until(artifacts: ArtifactStore, folder: str) -> float:
    try:
        return read_number(artifacts.get(f"{folder}kept.json"), "extension of an upload")
    except (ArtifactMissing, RecordDamaged):
        return 0.0


def _other_size(size: int, announced: AnnouncedUpload) -> str:
    return f"it has {counted(size, 'byte')}, and not the {announced.size_bytes} that were announced"


def _file_key(owner: Owner, announced: AnnouncedUpload, name: str = "file") -> str:
    return upload_key(owner, announced.id, name + EXTENSIONS[announced.media_type])


def _bare_marker_key(owner: Owner, upload_id: str) -> str:
    return upload_key(owner, upload_id, "bare.json")

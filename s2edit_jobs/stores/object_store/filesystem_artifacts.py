"""The object store in a folder, for a single machine: one file per object. The API serves its presigned URLs.

The media type of an object follows from the extension of its key.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from urllib.parse import quote, urlencode

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, ArtifactsUnavailable, DeletionRefused, RecordDamaged
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.stores.artifacts import SignedPut, check_folder, check_key, is_key, put_headers
from s2edit_jobs.stores.object_store.presence import ProvenStore, StoreMemory
from s2edit_jobs.stores.object_store.url_signatures import UrlSignatures

MAX_SYNCED = 10_000
"""Number of folders that a process remembers as already synced. Skipping their `fsync` makes requests faster."""
TEMPORARY = ".writing"
"""Folder of files that are being written. It cannot collide with a key, because no key begins with a dot."""
ABANDONED_S = 20.0
"""Age in seconds from which a temporary file is assumed to belong to a dead writer. `list` looks for such files this often."""
OWN_FAULTS = frozenset({errno.EACCES, errno.EPERM, errno.ELOOP, errno.EIO})
"""Errors on reading that can concern a single file: its rights, a loop of links, a bad sector."""
TRIES = 3
"""Tries of a writer whose temporary file was removed although it was alive, because the disk was slow or the machine suspended."""

LINK_BASE: ContextVar[str | None] = ContextVar("link_base", default=None)
"""Where the current request reached the service, such as `http://192.168.1.7:8000`: presigned URLs begin with it. If it is None,
they begin with the `base_url` of the store."""


class FilesystemArtifactStore(ProvenStore):
    """Objects in the folder `root`, with presigned URLs under `base_url`/files/. The folder of a new store has mode 0700.

    Several processes may share the folder. Objects appear atomically and are on disk when `put` returns. `signing_key` is as in
    `UrlSignatures`.
    """

    def __init__(
        self,
        root: Path,
        base_url: str,
        signing_key: str | Callable[[], str],
        *,
        memory: StoreMemory | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(memory)
        self.root = Path(root).absolute()
        self._base_url = base_url.rstrip("/")
        self._signatures = UrlSignatures(signing_key, clock)
        self._clock = clock
        self._cleaned_at = float("-inf")  # when abandoned temporary files were last removed
        self._synced: set[tuple[Path, int]] = set()  # folders, with their inodes, whose names this process has synced to disk

    def _create(self) -> None:
        with _translated():
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)

    def _put(self, key: str, data: bytes, media_type: str, only_if_absent: bool) -> None:  # noqa: ARG002  by extension
        target = self._path(key)
        with _translated():
            for _ in range(TRIES):
                with self._written(data) as source:
                    if self._placed(source, target, only_if_absent=only_if_absent):
                        return
        raise ArtifactsUnavailable(f"the data folder is too slow: writing a file took over {ABANDONED_S:.0f} s, {TRIES} times")

    def _delete_older_versions(self, prefix: str, *, exactly: bool) -> None:
        """Do nothing: a folder keeps no older versions."""

    def _placed(self, source: Path, target: Path, *, only_if_absent: bool) -> bool:
        """Move a complete file to its name, atomically. Return False if `source` was removed as abandoned.

        A hard link fails if the name exists, a rename replaces it.
        """
        place = os.link if only_if_absent else os.replace
        while True:
            try:
                place(source, target)
            except FileExistsError:
                if not _is_same_file(source, target):
                    raise ArtifactExists(target.relative_to(self.root).as_posix()) from None
            except FileNotFoundError:
                if not source.exists():
                    return False
                target.parent.mkdir(parents=True, exist_ok=True)  # the folder is new, or `_remove_empty` has removed it
                continue
            try:
                self._sync_folders(target.parent)
            except OSError:
                if only_if_absent:  # otherwise a repetition would find its own object and take it for somebody else's
                    target.unlink(missing_ok=True)
                raise
            return True

    def _get(self, key: str) -> bytes:
        with _translated(key):
            return self._path(key).read_bytes()

    def _size_bytes(self, key: str) -> int:
        with _translated(key):
            path = self._path(key)
            if not path.is_file():
                raise ArtifactMissing(key)
            return path.stat().st_size

    def _total_bytes(self, prefix: str) -> int:
        size = 0
        for key in self._keys(prefix, ""):
            with contextlib.suppress(FileNotFoundError):  # deleted meanwhile
                size += (self.root / key).stat().st_size
        return size

    def _keys(self, prefix: str, after: str, expected: int | None = None) -> Iterator[str]:  # noqa: ARG002  it is lazy anyway
        """Yield the keys that begin with `prefix` and sort after `after`, sorted. The prefix may end within a name."""
        with _translated():
            if self._clock() - self._cleaned_at > ABANDONED_S:
                self._drop_abandoned()
            folder = _folder_of(prefix)
            yield from self._keys_in(folder, self._names(folder), prefix, after)

    def _folders(self, prefix: str) -> Iterator[str]:
        with _translated():
            return iter([name.rstrip("/") for name in self._names(prefix) if name.endswith("/")])

    def _delete_prefix(self, prefix: str) -> int:
        """Delete the objects, then everything else in the folder: an editor's copy of a photo is as private as the photo."""
        with _translated():
            self._drop_abandoned()
            folder = _folder_of(prefix)
            deleted = sum(self._delete_file(key) for key in list(self._keys_in(folder, self._names(folder), prefix, "")))
            if prefix == folder:
                self._delete_foreign_files(folder)
                self._remove_empty(self.root / folder)
            return deleted

    def _delete(self, keys: Iterable[str]) -> None:
        with _translated():
            for key in keys:
                self._delete_file(key)

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        expires = str(int(self._clock()) + expires_s)
        name = {"name": filename} if filename is not None else {}
        query = {"expires": expires, **name, "signature": self._signatures.of(check_key(key), expires, filename)}
        return f"{self._link_base()}/files/{quote(key)}?{urlencode(query)}"

    def prepare_signing(self) -> None:
        """Read or make the signing key now, so that no request fails for it later. Raise what reading it raises."""
        self._signatures.of()

    def verify(self, key: str, *, expires: str, name: str | None, signature: str) -> Path:
        """Return the file that a presigned URL names. `name` is the signed file name for Content-Disposition.

        Raise `PermissionError` if the URL is forged or expired, `ArtifactMissing` if the file does not exist.
        """
        self._signatures.check(signature, expires, key, expires, name)
        self.size_bytes(key)
        return self._path(key)

    def presigned_put(self, key: str, *, expires_s: int, media_type: str, size_bytes: int) -> SignedPut:
        expires, headers = str(int(self._clock()) + expires_s), put_headers(media_type, size_bytes)
        query = {"expires": expires, "signature": self._signatures.of("PUT", check_key(key), expires, *headers.values())}
        return SignedPut(f"{self._link_base()}/files/{quote(key)}?{urlencode(query)}", headers)

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> None:  # noqa: ARG002
        """Return None: this store has no presigned forms."""
        check_key(key)

    def verify_put(self, key: str, *, expires: str, signature: str, headers: Mapping[str, str]) -> None:
        """Raise `PermissionError` unless key, expiry and the headers of `put_headers` are exactly those that were signed."""
        sent = [headers.get(name, "") for name in put_headers("", 0)]
        self._signatures.check(signature, expires, "PUT", key, expires, *sent)

    def _link_base(self) -> str:
        return LINK_BASE.get() or self._base_url

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _keys_in(self, folder: str, names: Sequence[str], prefix: str, after: str) -> Iterator[str]:
        """Yield the matching keys among `names` in `folder`, which is empty or ends with a slash, and in the folders among them.

        Folders are read only when it is their turn. One that cannot be read is set aside.
        """
        for name in names:
            key = folder + name
            if not (key.startswith(prefix) or prefix.startswith(key)) or not is_key(key.removesuffix("/")):
                continue
            if not key.endswith("/"):
                if key > after and key.startswith(prefix):
                    yield key
            elif key > after or after.startswith(key):
                inside: Sequence[str] = ()
                with set_aside("folder", key):
                    inside = self._names(key)
                yield from self._keys_in(key, inside, prefix, after)

    def _names(self, folder: str) -> Sequence[str]:
        """Return the names in `folder` in the order of keys, those of folders with a slash. A missing folder is empty.

        A folder inside a list can only be missing because it was deleted meanwhile, or because the whole store is away.
        """
        names = _sorted_names(self.root / folder)
        if names is None and self._proven is not None:
            self.prove()
            names = _sorted_names(self.root / folder)
        return names or ()

    @contextlib.contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """Write a temporary file and sync it to disk. It uses few system calls, because requests wait for them."""
        path = self.root / TEMPORARY / uuid.uuid4().hex
        descriptor = self._new_file(path)
        try:
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[os.write(descriptor, rest) :]
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _new_file(self, path: Path) -> int:
        flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:  # the store is new, or it is away: then nothing must be written in its place
            if self._proven is not None:
                self.prove()
            path.parent.mkdir(exist_ok=True)
            return os.open(path, flags, 0o600)

    def _sync_folders(self, folder: Path) -> None:
        """Sync `folder` and those of its parents whose names may not be on disk yet.

        If a folder was deleted meanwhile, the object in it was deleted too, so nothing is left to sync.
        """
        with contextlib.suppress(FileNotFoundError):
            _sync_folder(folder)
            while folder != self.root and (name := (folder, folder.stat().st_ino)) not in self._synced:
                _sync_folder(folder.parent)
                folder = folder.parent
                if len(self._synced) >= MAX_SYNCED:
                    self._synced.clear()
                self._synced.add(name)

    def _delete_file(self, key: str) -> bool:
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self.prove()
            return False
        except PermissionError as error:
            if path.is_dir():  # what macOS answers then
                return False
            raise _refused(error) from error
        self._remove_empty(path.parent)
        return True

    def _delete_foreign_files(self, folder: str) -> None:
        """Delete every file in `folder` that is no object, and every empty folder. Raise `DeletionRefused`.

        Files that NFS keeps for a reader go by themselves.
        """
        for path, folders, files in os.walk(self.root / folder, topdown=False, onerror=_raise_unless_missing):
            inside = Path(path)
            for name in files + [name for name in folders if (inside / name).is_symlink()]:
                key = (inside / name).relative_to(self.root).as_posix()
                is_object = is_key(key) and (inside / name).is_file()
                if not is_object and not name.startswith(".nfs"):
                    _delete_foreign_file(inside / name)
            for name in folders:
                with contextlib.suppress(OSError):
                    (inside / name).rmdir()

    def _drop_abandoned(self) -> None:
        """Remove the temporary files of killed processes. They may contain user data, so an erasure must not leave them.

        A folder among them is another program's, such as a file server's `@eaDir`.
        """
        self._cleaned_at = self._clock()
        for path in (self.root / TEMPORARY).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if path.is_file() and self._clock() - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()

    def _remove_empty(self, folder: Path) -> None:
        """Remove `folder` and its parents up to the first that is not empty."""
        with contextlib.suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent


def _folder_of(prefix: str) -> str:
    """Return the part of `prefix` up to its last slash."""
    folder = prefix[: prefix.rfind("/") + 1]
    return check_folder(folder) if folder else ""


def _sorted_names(folder: Path) -> list[str] | None:
    """Return the names in `folder` in the order of keys, those of folders with a slash. Return None if there is no such folder."""
    try:
        with os.scandir(folder) as entries:
            return sorted(name for entry in entries if (name := _name_of(entry)) is not None)
    except (FileNotFoundError, NotADirectoryError):
        return None


def _name_of(entry: os.DirEntry[str]) -> str | None:
    """Return the entry's name, with a slash for a folder. Return None for what is neither a file nor a folder, such as a pipe.

    Symbolic links are followed, because an operator may keep a part of the store on another disk, but not into their own folder.
    """
    try:
        if entry.is_dir():
            is_loop = entry.is_symlink() and Path(entry.path).parent.resolve().is_relative_to(Path(entry.path).resolve())
            return None if is_loop else f"{entry.name}/"
        return entry.name if entry.is_file() else None
    except OSError:  # a link to nowhere, or to itself
        return None


def _is_same_file(source: Path, target: Path) -> bool:
    """Whether an earlier try has linked `source` to `target`: a file server may do so although its answer is an error."""
    try:
        return os.path.samefile(source, target)
    except OSError:
        return False


def _delete_foreign_file(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except PermissionError as error:
        raise _refused(error) from error


def _raise_unless_missing(error: OSError) -> None:
    """Raise `DeletionRefused` for a folder that cannot be read."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise _refused(error) from error


def _refused(error: OSError) -> DeletionRefused:
    return DeletionRefused(f"{error.filename} can't be deleted: {error.strerror}")


def _sync_folder(folder: Path) -> None:
    """Sync a folder, so that the new names in it are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    """Convert the operating system's errors into those of the port.

    With `key`, an error that can be this one file's own is `RecordDamaged`: it must not stop what handles the others.
    """
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        if key is None:
            raise ArtifactsUnavailable(f"the data folder cannot be used: {error.strerror}") from error
        raise ArtifactMissing(key) from None
    except OSError as error:
        if key is not None and error.errno in OWN_FAULTS:
            raise RecordDamaged(f"{key} cannot be read: {error.strerror}") from error
        raise ArtifactsUnavailable(f"the data folder cannot be used: {error.strerror}") from error

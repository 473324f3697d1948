"""The object store in a folder: one file per object, for a single machine. The API serves its signed URLs.

A file's media type is told by its key's extension.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

from itsdangerous import Signer

from s2edit_jobs.artifacts import check_key
from s2edit_jobs.errors import ArtifactExists, ArtifactMissing, ArtifactsUnavailable

TEMPORARY = ".writing"
"""Folder of half-written files; no key begins with a dot."""
ABANDONED_S = 20.0
"""Nothing takes as long as this to write: the file's writer is dead. So often it is looked for such files, by whoever lists."""


class FilesystemArtifactStore:
    """Objects under `root` (made if missing, readable by its owner only), URLs under `base_url`/files/.

    Several processes may use one folder. Whole objects appear at once, and are on the disk when `put` returns.
    """

    def __init__(self, root: Path, base_url: str, signing_key: str, *, clock: Callable[[], float] = time.time) -> None:
        self.root = Path(root).absolute()
        self._base_url = base_url.rstrip("/")
        self._signer = Signer(signing_key, salt="s2edit.files", key_derivation="hmac", digest_method=hashlib.sha256)
        self._clock = clock
        self._looked_at = float("-inf")  # for what the dead have left

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:  # noqa: ARG002  by extension
        target = self._path(key)
        with _translated(), self._written(data) as source:
            while True:
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    _place(source, target, only_if_absent=only_if_absent)
                except FileExistsError:
                    raise ArtifactExists(key) from None
                except FileNotFoundError:  # `delete_prefix` removed the emptied folder in between
                    continue
                break
            self._sync_folders(target.parent)

    def get(self, key: str) -> bytes:
        with _translated(key):
            return self._path(key).read_bytes()

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def list(self, prefix: str) -> Iterator[str]:
        with _translated():
            if self._clock() - self._looked_at > ABANDONED_S:
                self._drop_abandoned()
            return iter(sorted(self._keys(prefix)))

    def delete_prefix(self, prefix: str) -> int:
        if not prefix:
            raise ValueError("an empty prefix would delete everything")
        with _translated():
            self._drop_abandoned()
            return sum(self._delete(key) for key in sorted(self._keys(prefix)))

    def delete(self, keys: Iterable[str]) -> None:
        with _translated():
            for key in keys:
                self._delete(key)

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        expires = str(int(self._clock()) + expires_s)
        name = {"name": filename} if filename is not None else {}
        query = {"expires": expires, **name, "signature": self._sign(check_key(key), expires, filename)}
        return f"{self._base_url}/files/{quote(key)}?{urlencode(query)}"

    def verify(self, key: str, *, expires: str, name: str | None, signature: str) -> Path:
        """The file that a presigned URL names. `PermissionError` if it is forged or expired, `ArtifactMissing` if the file is gone.

        `name` is signed too: it is what the answer's Content-Disposition says.
        """
        # The text is compared, in constant time: several texts decode to the same signature, and only one was given out.
        if not hmac.compare_digest(self._sign(key, expires, name).encode(), signature.encode("utf-8", "surrogatepass")):
            raise PermissionError("this URL was not signed by us, or was changed")
        if int(expires) <= self._clock():
            raise PermissionError("this URL has expired: ask for the edit again to get a new one")
        path = self._path(key)
        if not path.is_file():
            raise ArtifactMissing(key)
        return path

    def _sign(self, key: str, expires: str, name: str | None) -> str:
        return self._signer.get_signature(_signed(key, expires, name)).decode("ascii")

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _keys(self, prefix: str) -> Iterator[str]:
        """In no order. A prefix need not end at a folder."""
        folder = prefix.rpartition("/")[0]
        start = self.root / check_key(folder) if folder else self.root
        for path, folders, names in os.walk(start):
            folders[:] = [name for name in folders if not name.startswith(".")]
            for name in names:
                key = (Path(path) / name).relative_to(self.root).as_posix()
                if key.startswith(prefix):
                    yield key

    @contextlib.contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """A complete file on the disk, not yet in its place."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder = self.root / TEMPORARY
        folder.mkdir(exist_ok=True)
        descriptor, name = tempfile.mkstemp(dir=folder)
        path = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            yield path
        finally:
            path.unlink(missing_ok=True)

    def _sync_folders(self, folder: Path) -> None:
        """Up to the root: any of them may be new. One that was deleted meanwhile took the object with it."""
        with contextlib.suppress(FileNotFoundError):
            while folder != self.root.parent:
                _sync_folder(folder)
                folder = folder.parent

    def _delete(self, key: str) -> bool:
        path = self._path(key)
        try:
            path.unlink()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return False
        self._remove_empty(path.parent)
        return True

    def _drop_abandoned(self) -> None:
        """Half-written files of processes that were killed: nobody else would remove them, and nobody knows whose they were."""
        self._looked_at = self._clock()
        for path in (self.root / TEMPORARY).glob("*"):
            with contextlib.suppress(FileNotFoundError):
                if self._clock() - path.stat().st_mtime > ABANDONED_S:
                    path.unlink()

    def _remove_empty(self, folder: Path) -> None:
        """Remove `folder` and its parents as far as they are empty."""
        with contextlib.suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent


def _signed(key: str, expires: str, name: str | None) -> str:
    """What a signature covers, without two readings."""
    return json.dumps([key, expires, name])


def _place(source: Path, target: Path, *, only_if_absent: bool) -> None:
    """Both are atomic: a link fails where the name is taken, a rename replaces it."""
    if only_if_absent:
        os.link(source, target)
    else:
        os.replace(source, target)


def _sync_folder(folder: Path) -> None:
    """A new name is on the disk once its folder is."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    """The one place where the operating system's errors become ours."""
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError) as error:
        if key is None:
            raise ArtifactsUnavailable(f"the data folder cannot be used: {error.strerror}") from error
        raise ArtifactMissing(key) from None
    except OSError as error:
        raise ArtifactsUnavailable(f"the data folder cannot be used: {error.strerror}") from error

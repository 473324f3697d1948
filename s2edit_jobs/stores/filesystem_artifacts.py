"""The object store in a folder: one file per object, for a single machine. The API serves its signed URLs.

A file's media type is told by its key's extension.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from itsdangerous import Signer

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, ArtifactsUnavailable
from s2edit_jobs.stores.artifacts import SignedPut, check_folder, check_key, put_headers

REMEMBERED = 10_000
"""Folders; each sync that is left out is a wait for the disk that a request does not have."""
TEMPORARY = ".writing"
"""Folder of half-written files; no key begins with a dot."""
ABANDONED_S = 20.0
"""What takes longer to write is taken for a dead writer's. So often it is looked for such files, by whoever lists."""
TRIES = 3
"""Of a writer that lives, and whose file was removed as a dead one's: the disk was slow, or the machine asleep."""


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
        self._named: set[tuple[Path, int]] = set()  # folders, with their inodes, whose names this process has put on the disk

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:  # noqa: ARG002  by extension
        target = self._path(key)
        with _translated():
            for _ in range(TRIES):
                with self._written(data) as source:
                    if self._placed(source, target, only_if_absent=only_if_absent):
                        return
        raise ArtifactsUnavailable(f"the data folder cannot be used: it took {TRIES} times more than {ABANDONED_S:.0f} s to write")

    def _placed(self, source: Path, target: Path, *, only_if_absent: bool) -> bool:
        """Both ways are atomic: a link fails where the name is taken, a rename replaces it. False if `source` was swept up."""
        place = os.link if only_if_absent else os.replace
        while True:
            try:
                place(source, target)
            except FileExistsError:
                raise ArtifactExists(target.relative_to(self.root).as_posix()) from None
            except FileNotFoundError:
                if not source.exists():
                    return False
                target.parent.mkdir(parents=True, exist_ok=True)  # a new folder, or `delete_prefix` has removed the emptied one
                continue
            self._sync_folders(target.parent)
            return True

    def get(self, key: str) -> bytes:
        with _translated(key):
            return self._path(key).read_bytes()

    def exists(self, key: str) -> bool:
        return self._path(key).is_file()

    def size_bytes(self, key: str) -> int:
        with _translated(key):
            path = self._path(key)
            if not path.is_file():
                raise ArtifactMissing(key)
            return path.stat().st_size

    def list(self, prefix: str) -> Iterator[str]:
        with _translated():
            if self._clock() - self._looked_at > ABANDONED_S:
                self._drop_abandoned()
            return iter(sorted(self._keys(prefix)))

    def folders(self, prefix: str) -> Iterator[str]:
        with _translated():
            try:
                inside = list(os.scandir(self.root / check_folder(prefix)))
            except FileNotFoundError:
                return iter(())
            return iter(sorted(entry.name for entry in inside if entry.is_dir()))

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
        self._check(self._sign(key, expires, name), signature, expires)
        path = self._path(key)
        if not path.is_file():
            raise ArtifactMissing(key)
        return path

    def presigned_put(self, key: str, *, expires_s: int, media_type: str, size_bytes: int) -> SignedPut:
        expires, headers = str(int(self._clock()) + expires_s), put_headers(media_type, size_bytes)
        query = {"expires": expires, "signature": self._sign("PUT", check_key(key), expires, *headers.values())}
        return SignedPut(f"{self._base_url}/files/{quote(key)}?{urlencode(query)}", headers)

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> None:  # noqa: ARG002
        """There are no such forms here."""
        check_key(key)

    def verify_put(self, key: str, *, expires: str, signature: str, headers: Mapping[str, str]) -> None:
        """`PermissionError` unless the request is just the one that was signed: its key, its life and what `put_headers` names."""
        sent = [headers.get(name, "") for name in put_headers("", 0)]
        self._check(self._sign("PUT", key, expires, *sent), signature, expires)

    def _check(self, own: str, signature: str, expires: str) -> None:
        # The text is compared, in constant time: several texts decode to the same signature, and only one was given out.
        if not hmac.compare_digest(own.encode(), signature.encode("utf-8", "surrogatepass")):
            raise PermissionError("this URL was not signed by us, or was changed")
        if int(expires) <= self._clock():
            raise PermissionError("this URL has expired: ask for the edit again to get a new one")

    def _sign(self, *parts: str | None) -> str:
        return self._signer.get_signature(json.dumps(parts)).decode("ascii")  # JSON: no two lists of parts read the same

    def _path(self, key: str) -> Path:
        return self.root / check_key(key)

    def _keys(self, prefix: str) -> Iterator[str]:
        """In no order. A prefix need not end at a folder."""
        folder = prefix.rpartition("/")[0]
        start = self.root / check_key(folder) if folder else self.root
        for path, folders, names in os.walk(start):
            folders[:] = [name for name in folders if not name.startswith(".")]
            inside = os.path.relpath(path, self.root).replace(os.sep, "/").removeprefix(".")
            for name in names:
                key = f"{inside}/{name}".removeprefix("/")
                if key.startswith(prefix):
                    yield key

    @contextlib.contextmanager
    def _written(self, data: bytes) -> Iterator[Path]:
        """A complete file on the disk, not yet in its place. By the fewest calls: uploads wait for them."""
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
        except FileNotFoundError:
            self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
            path.parent.mkdir(exist_ok=True)
            return os.open(path, flags, 0o600)

    def _sync_folders(self, folder: Path) -> None:
        """`folder`, and those above it as far as their names may be new. One that was deleted meanwhile took the object with it."""
        with contextlib.suppress(FileNotFoundError):
            _sync_folder(folder)
            while folder != self.root and (name := (folder, folder.stat().st_ino)) not in self._named:
                _sync_folder(folder.parent)
                folder = folder.parent
                if len(self._named) >= REMEMBERED:
                    self._named.clear()
                self._named.add(name)

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

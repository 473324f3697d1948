"""Read the pictures that a tool is given: by path, by a link of the service, or as a data URL."""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from cli.client import EditClient
from s2edit_core.pictures.data_urls import body_of, decoded, is_data_url

MAX_BYTES = 50_000_000
"""The largest picture, as the default of `S2EDIT_MAX_UPLOAD_BYTES`."""
MAX_GIVEN = 1000
"""Links that are remembered as given by the service."""
LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class PictureRefused(Exception):
    """A picture that can't be read, or must not be. The message is meant for the model."""


class PhotoReader:
    """Reads pictures. `folders` are those that paths may lead into; None where paths are not accepted at all."""

    def __init__(self, service_url: str, folders: Sequence[Path] | None) -> None:
        self._origin = _origin(service_url)
        self._service_url = service_url
        self._folders = None if folders is None else [folder.resolve(strict=True) for folder in folders]
        self._given: OrderedDict[str, None] = OrderedDict()

    def remember(self, url: str) -> None:
        """Let `read` accept this link, which the service gave. It may lead to a bucket, or to the public address of the service."""
        self._given[url] = None
        self._given.move_to_end(url)
        if len(self._given) > MAX_GIVEN:
            self._given.popitem(last=False)

    def read(self, text: str, client: EditClient) -> bytes:
        """Return the bytes of a picture. Raises `PictureRefused`, and `ServiceError` for a link that does not answer."""
        text = text.strip()
        if is_data_url(text):
            return _decoded(text)
        if text[:8].lower().startswith(("http://", "https://")):
            return self._downloaded(text, client)
        return self._from_folder(text)

    def _downloaded(self, url: str, client: EditClient) -> bytes:
        """Return what a link of the service leads to. Other hosts are not asked: a model could be led to spy on the network."""
        if _origin(url) != self._origin and url not in self._given:
            raise PictureRefused(
                f"only links that the service at {self._service_url} gave are read, not {url[:200]}: to go on from an earlier "
                "edit pass its id as `parent`, else send the picture itself"
            )
        return client.download(url)

    def _from_folder(self, text: str) -> bytes:
        if self._folders is None:
            raise PictureRefused(
                "this server reads no files, because it may run on another machine: send a data URL "
                "(data:image/png;base64,…) or a link of the service"
            )
        path = _path_of(text)
        if not path.is_absolute():
            raise PictureRefused(f"{text[:200]!r} is no absolute path, link or data URL: send base64 as data:image/png;base64,…")
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError, ValueError):
            real = None
        for folder in self._folders:
            if real is not None and real.is_relative_to(folder):
                return _opened(folder, real)
        if real is None and any(Path(os.path.normpath(path)).is_relative_to(folder) for folder in self._folders):
            raise PictureRefused(f"there is no file {path}")
        allowed = ", ".join(map(str, self._folders)) or "none: start the server with --allow-folder"
        raise PictureRefused(f"{path} is not in a folder that the operator allows ({allowed})")


def _path_of(text: str) -> Path:
    """Return the path that a text or a file URL names. A URL of another host names no file of this machine (RFC 8089)."""
    if text[:7].lower() != "file://":
        return Path(text).expanduser()
    try:
        parts = urlsplit(text)
    except ValueError:
        raise PictureRefused(f"{text[:200]!r} is no URL: write file:// and an absolute path") from None
    if parts.netloc.lower() not in ("", "localhost"):
        raise PictureRefused(f"{text[:200]!r} names the host {parts.netloc!r}: write file:// and an absolute path")
    return Path(unquote(parts.path)).expanduser()


def _opened(folder: Path, real: Path) -> bytes:
    """Read a file below `folder`, component by component, so that no link that appears meanwhile leads out of it."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
    *parents, name = real.relative_to(folder).parts or (".",)
    try:
        here = os.open(folder, flags | os.O_DIRECTORY)
        try:
            for part in parents:
                below = os.open(part, flags | os.O_DIRECTORY, dir_fd=here)
                os.close(here)
                here = below
            handle = os.open(name, flags, dir_fd=here)
        finally:
            os.close(here)
    except OSError as error:
        raise PictureRefused(f"{real} can't be read: {error.strerror}") from error
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_size > MAX_BYTES:
        os.close(handle)
        is_file = stat.S_ISREG(facts.st_mode)
        raise PictureRefused(f"{real} has {facts.st_size:,} bytes: send at most {MAX_BYTES:,}" if is_file else f"{real} is no file")
    with os.fdopen(handle, "rb") as file:
        return file.read(MAX_BYTES)


def _decoded(text: str) -> bytes:
    if (body := body_of(text)) is None:
        raise PictureRefused("the data URL is not base64: write data:image/png;base64,…")
    if len(body) * 3 // 4 > MAX_BYTES:
        raise PictureRefused(f"the picture has more than {MAX_BYTES:,} bytes: send a smaller one")
    try:
        return decoded(body)
    except ValueError as error:
        raise PictureRefused(f"the data URL is cut or no base64 ({error}): send it again, whole") from error


def _origin(url: str) -> tuple[str, str, int | None]:
    """Return scheme, host and port. The names of this machine count as one."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").lower()
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return "", "", None
    return parts.scheme, "localhost" if host in LOOPBACK else host, port

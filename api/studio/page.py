"""The studio: a page to edit photos by hand. Its content security policy lets it load nothing from other servers.

Its files lie in `static/` and are served without a build step; only their comments are left out, which saves an eighth of what a
first visit transfers. All URLs in them are relative, so the page works behind any path prefix.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter, HTTPException, Request, Response

from api.deps import ServicesDep
from s2edit_jobs.stores.artifacts import ArtifactStore

router = APIRouter(include_in_schema=False)
FOLDER = Path(__file__).with_name("static")
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".webp": "image/webp",
}
"""The media types of the static files. The machine's own table may lack some, and a module of another type does not run."""
COMMENTS = re.compile(rb"^[ \t]*(?:/\*.*?\*/|//[^\n]*)[ \t]*\n", re.DOTALL | re.MULTILINE)
"""Comments that have their lines for themselves, in scripts and style sheets. Such a line is never part of a string there."""


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file without comments and, if that is smaller, compressed by gzip. Each form has an ETag of its own."""

    content: bytes
    gzipped: bytes | None
    media_type: str
    etag: str


@cache
def static_files() -> Mapping[str, StaticFile]:
    """Return the files by their path below `static/`."""
    paths = [path for path in sorted(FOLDER.rglob("*")) if path.suffix in MEDIA_TYPES]
    return {path.relative_to(FOLDER).as_posix(): _read(path) for path in paths}


def _read(path: Path) -> StaticFile:
    content = COMMENTS.sub(b"", path.read_bytes()) if path.suffix in (".css", ".js") else path.read_bytes()
    gzipped = gzip.compress(content, mtime=0)
    smaller = gzipped if len(gzipped) < 0.9 * len(content) else None
    return StaticFile(content, smaller, MEDIA_TYPES[path.suffix], hashlib.sha256(content).hexdigest()[:20])


def result_origin(artifacts: ArtifactStore) -> str:
    """Return the origin of signed URLs as a CSP source; empty if browsers can't open them. Signing needs no request."""
    url = urlsplit(artifacts.presigned_get("studio", expires_s=60))
    return f"{url.scheme}://{url.netloc}" if url.scheme in ("http", "https") else ""


def hash_of(element: str, page: str) -> str:
    """Return the CSP source for the only inline `element` of a page."""
    inner = re.search(rf"<{element}>(.*?)</{element}>", page, flags=re.DOTALL)
    assert inner is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()}'"


@lru_cache(maxsize=64)  # the origin may be that of a `Host` header
def headers(origin: str) -> Mapping[str, str]:
    """Return the headers of the studio: files of this service, and pictures also from memory and from `origin`."""
    sources = {
        "script-src": "'self'",
        "style-src": "'self'",
        "connect-src": f"'self' {origin}".rstrip(),
        "img-src": f"'self' blob: data: {origin}".rstrip(),
    }
    return page_headers(sources)


def page_headers(sources: Mapping[str, str]) -> Mapping[str, str]:
    """Return the headers of a page that loads only from `sources` and can't be framed."""
    nothing = dict.fromkeys(("base-uri", "form-action", "frame-ancestors"), "'none'")
    policy = {"default-src": "'none'", **sources, **nothing}
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }


@router.get("/")
async def get_studio(request: Request, services: ServicesDep) -> Response:
    return _answer(request, static_files()["index.html"], headers(result_origin(services.artifacts)))


@router.get("/studio/{path:path}")
async def get_static_file(path: str, request: Request) -> Response:
    """Serve a file of the page. Browsers ask each time whether it has changed, so a new release shows at once."""
    file = static_files().get(path)
    if file is None:
        raise HTTPException(404)
    return _answer(request, file, {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"})


def _answer(request: Request, file: StaticFile, sent: Mapping[str, str]) -> Response:
    content, etag, sent = file.content, f'"{file.etag}"', {**sent, "Vary": "Accept-Encoding"}
    if file.gzipped is not None and re.search(r"\bgzip\b(?!\s*;\s*q=0)", request.headers.get("accept-encoding", "")):
        content, etag, sent = file.gzipped, f'"{file.etag}-gzip"', {**sent, "Content-Encoding": "gzip"}
    sent["ETag"] = etag
    if etag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=sent)
    return Response(content, media_type=file.media_type, headers=sent)

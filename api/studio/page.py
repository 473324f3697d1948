"""The studio: one static page to try edits by hand. Its content security policy lets it load nothing from other servers."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from api.deps import ServicesDep
from s2edit_jobs.stores.artifacts import ArtifactStore

router = APIRouter(include_in_schema=False)


@cache
def page() -> str:
    return Path(__file__).with_name("studio.html").read_text(encoding="utf-8")


def result_origin(artifacts: ArtifactStore) -> str:
    """Return the origin of signed URLs as a CSP source; empty if browsers can't open them. Signing needs no request."""
    url = urlsplit(artifacts.presigned_get("studio", expires_s=60))
    return f"{url.scheme}://{url.netloc}" if url.scheme in ("http", "https") else ""


def hash_of(element: str, page: str) -> str:
    """Return the CSP source for the only inline `element` of a page."""
    inner = re.search(rf"<{element}>(.*?)</{element}>", page, flags=re.DOTALL)
    assert inner is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()}'"


@cache
def headers(origin: str) -> Mapping[str, str]:
    """Return the headers of the studio: its own script and style, and pictures from this service, memory and `origin`.

    The script also fetches masks from `origin`.
    """
    sources = {
        "script-src": hash_of("script", page()),
        "style-src": hash_of("style", page()),
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
def get_studio(services: ServicesDep) -> HTMLResponse:
    return HTMLResponse(page(), headers=headers(result_origin(services.artifacts)))

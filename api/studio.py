"""The studio: one static page to try an edit by hand. It loads nothing from elsewhere, and its policy says so."""

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
from s2edit_jobs.artifacts import ArtifactStore

router = APIRouter(include_in_schema=False)


@cache
def page() -> str:
    return Path(__file__).with_name("studio.html").read_text(encoding="utf-8")


def result_origin(artifacts: ArtifactStore) -> str:
    """Where the links of results lead, as a source expression; empty where no browser can follow them. Signing asks nobody."""
    url = urlsplit(artifacts.presigned_get("studio", expires_s=60))
    return f"{url.scheme}://{url.netloc}" if url.scheme in ("http", "https") else ""


def _hash_of(element: str) -> str:
    """The source expression for the page's one inline `element`."""
    inner = re.search(rf"<{element}>(.*?)</{element}>", page(), flags=re.DOTALL)
    assert inner is not None
    return f"'sha256-{base64.b64encode(hashlib.sha256(inner[1].encode()).digest()).decode()}'"


@cache
def headers(origin: str) -> Mapping[str, str]:
    """Only the page's own script and style run; pictures come from here, from memory, and from where results lie."""
    policy = {
        "default-src": "'none'",
        "script-src": _hash_of("script"),
        "style-src": _hash_of("style"),
        "connect-src": "'self'",
        "img-src": f"'self' blob: data: {origin}".rstrip(),
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    return {
        "Content-Security-Policy": "; ".join(f"{name} {value}" for name, value in policy.items()),
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-cache",
    }


@router.get("/")
def get_studio(services: ServicesDep) -> HTMLResponse:
    return HTMLResponse(page(), headers=headers(result_origin(services.artifacts)))

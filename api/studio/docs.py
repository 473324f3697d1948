"""`/docs`: the API reference in Swagger UI. The package `fastapi-offline` contains its files, so nothing comes from a CDN."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from api.deps import ServicesDep
from api.studio.page import hash_of, page_headers, result_origin

ASSETS = "docs/assets"
router = APIRouter(include_in_schema=False)


@cache
def page() -> str:
    """Return the page. Its URLs are relative, so that it works behind a path prefix."""
    made = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="S²Edit API reference",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    return bytes(made.body).decode()


@router.get("/docs")
def get_docs(services: ServicesDep) -> HTMLResponse:
    """Serve the page with a policy that runs only its own script and Swagger UI, whose images have inline styles."""
    sources = {
        "script-src": f"'self' {hash_of('script', page())}",
        "style-src": "'self' 'unsafe-inline'",
        "connect-src": f"'self' {result_origin(services.artifacts)}".rstrip(),  # "Try it out" reaches uploads and results
        "img-src": "'self' data: blob:",
        "font-src": "data:",
    }
    return HTMLResponse(page(), headers=page_headers(sources))


def serve_assets(to: APIRouter) -> None:
    to.mount(f"/{ASSETS}", StaticFiles(packages=[("fastapi_offline", "static")]))

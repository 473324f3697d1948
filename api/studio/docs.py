"""`/docs`: the API's description in Swagger UI, whose files the package `fastapi-offline` brings: nothing comes from elsewhere."""

from __future__ import annotations

from functools import cache

from fastapi import APIRouter, FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse
from starlette.staticfiles import StaticFiles

from api.deps import ServicesDep
from api.studio.page import hash_of, page_headers, result_origin

ASSETS = "docs/assets"
router = APIRouter(include_in_schema=False)


@cache
def page() -> str:
    """Its addresses are relative, so that it works behind a prefix too."""
    made = get_swagger_ui_html(
        openapi_url="openapi.json",
        title="S²Edit: the API",
        swagger_js_url=f"{ASSETS}/swagger-ui-bundle.js",
        swagger_css_url=f"{ASSETS}/swagger-ui.css",
        swagger_favicon_url="data:,",
    )
    return bytes(made.body).decode()


@router.get("/docs")
def get_docs(services: ServicesDep) -> HTMLResponse:
    """Only the page's own script and Swagger UI's run. Styles may be inline: Swagger UI's pictures have some."""
    sources = {
        "script-src": f"'self' {hash_of('script', page())}",
        "style-src": "'self' 'unsafe-inline'",
        "connect-src": f"'self' {result_origin(services.artifacts)}".rstrip(),  # uploads and results may be tried out too
        "img-src": "'self' data: blob:",
        "font-src": "data:",
    }
    return HTMLResponse(page(), headers=page_headers(sources))


def serve_assets(app: FastAPI) -> None:
    app.mount(f"/{ASSETS}", StaticFiles(packages=[("fastapi_offline", "static")]))

"""The app for servers: `uvicorn --factory api.serve:create_app`. It is that of `api.app`, loaded without searching for garbage."""

from __future__ import annotations

from s2edit_jobs.start import without_collection

with without_collection():
    from api.app import create_app

__all__ = ["create_app"]

"""The signed URLs of the filesystem store. With an S3 store there are none of these: the store serves its own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query
from fastapi.responses import FileResponse

from api.deps import ServicesDep
from api.problems import responses
from s2edit_jobs.filesystem_artifacts import FilesystemArtifactStore

router = APIRouter(tags=["files"])
MEDIA_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".webp": "image/webp", ".json": "application/json"}
HEADERS = {
    "Cache-Control": "private",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}


@router.get(
    "/files/{key:path}",
    operation_id="getFile",
    summary="Fetch a file by a signed URL",
    response_class=FileResponse,
    responses=responses(403, 404),
)
def get_file(
    key: str,
    services: ServicesDep,
    expires: Annotated[str, Query()] = "",
    signature: Annotated[str, Query()] = "",
    name: Annotated[str | None, Query(description="Served as an attachment of this name")] = None,
) -> FileResponse:
    """Only the very URL that was signed is served, and only until it expires."""
    store = services.artifacts
    if not isinstance(store, FilesystemArtifactStore):
        raise HTTPException(404)
    try:
        path = store.verify(key, expires=expires, name=name, signature=signature)
    except PermissionError as error:
        raise HTTPException(403, "the link was changed or has run out: ask for the edit again to get a fresh one") from error
    media_type = MEDIA_TYPES.get(PurePosixPath(key).suffix, "application/octet-stream")
    return FileResponse(path, media_type=media_type, filename=name, headers=HEADERS)

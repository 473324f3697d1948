"""The signed URLs of the filesystem store. With an S3 store there are none of these: the store serves its own."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers
from starlette.types import Message, Receive, Scope, Send

from api.deps import ServicesDep
from api.wire import problems
from api.wire.problems import responses
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactExists
from s2edit_jobs.records.files import EXTENSIONS
from s2edit_jobs.stores.filesystem_artifacts import FilesystemArtifactStore

router = APIRouter(tags=["files"])
JSON, OTHER = "application/json", "application/octet-stream"
UPLOADED = tuple(EXTENSIONS)
MEDIA_TYPES = {extension: kind for kind, extension in EXTENSIONS.items()} | {".json": JSON}
BINARY = {"schema": {"type": "string", "format": "binary"}}
HEADERS = {
    "Cache-Control": "private",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
}

FILE_CONTENT = {**dict.fromkeys((*UPLOADED, OTHER), BINARY), JSON: {"schema": {}}}
PARTS_CONTENT = {**FILE_CONTENT, "multipart/byteranges": {"schema": {"type": "string"}}}
FILE_HEADERS = {
    name: {"description": description, "schema": {"type": "string"}}
    for name, description in {
        "Accept-Ranges": "`bytes`: parts may be asked for by `Range`",
        "Content-Disposition": "`attachment`, where a name was signed",
        "Content-Security-Policy": "What is opened in a browser can do nothing there",
        "ETag": "Of these very bytes",
        "Last-Modified": "When it was kept",
    }.items()
}

RANGE_HEADER = {"Content-Range": {"description": "Which bytes of how many", "schema": {"type": "string"}}}


class Served(FileResponse):
    """A file, or a part of it; parts that there are not are refused by a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal: Message | None = None

        async def send_unless_refused(message: Message) -> None:
            nonlocal refusal
            if message["type"] == "http.response.start" and message["status"] >= 400:
                refusal = message
            elif refusal is None:
                await send(message)

        await super().__call__(scope, receive, send_unless_refused)
        if refusal is not None:
            size = Headers(raw=refusal["headers"]).get("content-range")
            error = HTTPException(refusal["status"], "the header Range names no part of this file")
            answer = problems.response(problems.problem_of_http(error), {"Content-Range": size} if size else {})
            await answer(scope, receive, send)


@router.get(
    "/files/{key:path}",
    operation_id="getFile",
    summary="Fetch a file by a signed URL",
    response_class=FileResponse,
    responses={
        200: {"description": "The file", "content": FILE_CONTENT, "headers": FILE_HEADERS},
        206: {"description": "The part that `Range` names", "content": PARTS_CONTENT, "headers": {**FILE_HEADERS, **RANGE_HEADER}},
        **responses(400, 403, 404),
        416: {**responses(416)[416], "headers": RANGE_HEADER},
    },
    openapi_extra={
        "parameters": [
            {
                "name": "Range",
                "in": "header",
                "description": "Which part of the file is wanted (RFC 9110)",
                "schema": {"type": "string"},
                "example": "bytes=0-99",
            }
        ]
    },
)
def get_file(
    key: str,
    request: Request,
    services: ServicesDep,
    expires: Annotated[str, Query()] = "",
    signature: Annotated[str, Query()] = "",
    name: Annotated[str | None, Query(description="Served as an attachment of this name")] = None,
) -> FileResponse:
    """Only the very URL that was signed is served, and only until it expires."""
    store = _own_store(services)
    try:
        _only(request, "expires", "name", "signature")
        path = store.verify(key, expires=expires, name=name, signature=signature)
    except PermissionError as error:
        raise HTTPException(403, "the link was changed or has run out: ask for the edit again to get a fresh one") from error
    media_type = MEDIA_TYPES.get(PurePosixPath(key).suffix, OTHER)
    return Served(path, media_type=media_type, filename=name, headers=HEADERS)


@router.put(
    "/files/{key:path}",
    operation_id="putFile",
    summary="Send an upload's bytes by its signed URL",
    response_class=Response,
    responses={
        200: {"description": "It is kept"},
        **responses(400, 403, 404, 412, 413),
    },
    openapi_extra={
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "required": True,
                "description": "`*`: only where nothing was sent yet; part of what was signed",
                "schema": {"type": "string", "pattern": r"^\*$"},
            }
        ],
        "requestBody": {"required": True, "content": dict.fromkeys(UPLOADED, BINARY)},
    },
)
async def put_file(
    key: str,
    request: Request,
    services: ServicesDep,
    expires: Annotated[str, Query()] = "",
    signature: Annotated[str, Query()] = "",
) -> Response:
    """The signature covers the key, the life, `Content-Type`, `Content-Length` and `If-None-Match: *`; it works once."""
    store = _own_store(services)
    try:
        _only(request, "expires", "signature")
        store.verify_put(key, expires=expires, signature=signature, headers=request.headers)
    except PermissionError as error:
        raise HTTPException(403, "the link or a header was changed, or it has run out: ask for the upload again") from error
    data = await request.body()
    if len(data) != int(request.headers["content-length"]):  # the length that was signed
        raise HTTPException(400, "the body is not as long as its Content-Length")
    try:
        await run_in_threadpool(_keep, store, key, data, request.headers["content-type"])
    except ArtifactExists as error:
        raise HTTPException(412, "the upload was sent before: go on with it, or ask for a new one") from error
    return Response()


def _keep(store: FilesystemArtifactStore, key: str, data: bytes, media_type: str) -> None:
    """The bytes of an upload, unless that was erased meanwhile. Raises `ArtifactExists`, or `HTTPException` 404."""
    store.put(key, data, media_type=media_type, only_if_absent=True)
    if not store.exists(f"{key.rpartition('/')[0]}/upload.json"):
        store.delete_prefix(key)
        raise HTTPException(404, "the upload was erased: ask for a new one")


def _own_store(services: Services) -> FilesystemArtifactStore:
    """The store whose URLs these are. Raises `HTTPException` 404 where another one serves its own."""
    if not isinstance(services.artifacts, FilesystemArtifactStore):
        raise HTTPException(404)
    return services.artifacts


def _only(request: Request, *names: str) -> None:
    """Raises `PermissionError` if the query has anything else, or anything twice."""
    asked = [name for name, _ in request.query_params.multi_items()]
    if len(asked) != len(set(asked)) or not set(asked) <= set(names):
        raise PermissionError("this URL was changed")

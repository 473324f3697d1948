"""Serve the presigned URLs of the object store in a folder (`filesystem_artifacts`). An S3 store serves its own."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from pathlib import PurePosixPath
from tempfile import SpooledTemporaryFile
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import FileResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, UploadFile
from starlette.staticfiles import NotModifiedResponse
from starlette.types import Message, Receive, Scope, Send

from api.deps import ServicesDep
from api.guard.whole_body import IN_MEMORY_BYTES
from api.wire import problems
from api.wire.problems import responses
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing
from s2edit_jobs.records.files import EXTENSIONS
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore

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
        "Accept-Ranges": "`bytes`: `Range` is supported.",
        "Content-Disposition": "`attachment`, if the URL has a name.",
        "Content-Security-Policy": "Keeps a file that is opened in a browser from running anything.",
        "ETag": "Identifies these bytes.",
        "Last-Modified": "When the file was stored.",
    }.items()
}

RANGE_HEADER = {"Content-Range": {"description": "The served bytes and the size of the file.", "schema": {"type": "string"}}}


_RANGES = re.compile(r"bytes *= *(([0-9]{1,15} *- *[0-9]{0,15}|- *[0-9]{1,15})( *, *|$))+", re.IGNORECASE)


def _without_unreadable_range(scope: Scope) -> Scope:
    """Return the request without a `Range` of another unit or form, which RFC 9110 §14.2 has a server ignore."""
    sent = Headers(scope=scope).get("range")
    if sent is None or (_RANGES.fullmatch(sent.strip()) and all(_rises(one) for one in sent.partition("=")[2].split(","))):
        return scope
    return {**scope, "headers": [(name, value) for name, value in scope["headers"] if name != b"range"]}


def _rises(one: str) -> bool:
    first, _, last = (part.strip() for part in one.partition("-"))
    return not (first and last) or int(first) <= int(last)


class RangedFile(FileResponse):
    """A file or a range of it. Turns the plain-text error for a range outside the file into a problem."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope = _without_unreadable_range(scope)
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
            error = HTTPException(refusal["status"], "the range is outside the file")
            answer = problems.response(problems.problem_of_http(error), {"Content-Range": size} if size else {})
            await answer(scope, receive, send)


@router.get(
    "/files/{key:path}",
    operation_id="getFile",
    summary="Download a file by its signed URL",
    response_class=FileResponse,
    responses={
        200: {"description": "The file.", "content": FILE_CONTENT, "headers": FILE_HEADERS},
        206: {"description": "The range of the file.", "content": PARTS_CONTENT, "headers": {**FILE_HEADERS, **RANGE_HEADER}},
        304: {"description": "The client has these bytes: `If-None-Match` names their `ETag`, or `If-Modified-Since` their time."},
        **responses(403, 404),
        416: {**responses(416)[416], "headers": RANGE_HEADER},
    },
    openapi_extra={
        "parameters": [
            {
                "name": "Range",
                "in": "header",
                "description": "The bytes to download (RFC 9110). Default: all, also for a range that can't be read.",
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
    name: Annotated[str | None, Query(description="The file name of the attachment; part of the signed URL.")] = None,
) -> Response:
    """Download a file by the exact URL that the service signed, until it expires."""
    store = _own_store(services)
    try:
        _check_query(request, "expires", "name", "signature")
        path = store.verify(key, expires=expires, name=name, signature=signature)
    except PermissionError as error:
        raise HTTPException(403, "the link was changed or has expired: get the edit again for a fresh one") from error
    media_type = MEDIA_TYPES.get(PurePosixPath(key).suffix, OTHER)
    try:
        file = RangedFile(path, media_type=media_type, filename=name, headers=HEADERS, stat_result=path.stat())
    except FileNotFoundError:  # erased just now
        raise ArtifactMissing(key) from None
    return NotModifiedResponse(file.headers) if _is_unchanged(file, request) else file


def _is_unchanged(file: FileResponse, request: Request) -> bool:
    """Whether the client has this file, by RFC 9110 §13.2.2. A tag decides over a date."""
    if (tags := request.headers.get("if-none-match")) is not None:
        return tags.strip() == "*" or file.headers["etag"] in re.findall(r'"[^"]*"', tags)
    try:
        since = parsedate_to_datetime(request.headers["if-modified-since"])
        return since >= parsedate_to_datetime(file.headers["last-modified"])
    except (KeyError, ValueError, TypeError):  # TypeError: a date without a zone
        return False


@router.put(
    "/files/{key:path}",
    operation_id="putFile",
    summary="Upload the bytes of a file by its signed URL",
    response_class=Response,
    responses={
        200: {"description": "The file is stored."},
        **responses(400, 403, 404, 412, 413),
    },
    openapi_extra={
        "parameters": [
            {
                "name": "If-None-Match",
                "in": "header",
                "required": True,
                "description": "`*`, which makes the URL work only once. The signature covers it.",
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
    """Upload the bytes of an announced file, once.

    The signature covers the key, the expiry, `Content-Type`, `Content-Length` and `If-None-Match`.
    """
    store = _own_store(services)
    try:
        _check_query(request, "expires", "signature")
        store.verify_put(key, expires=expires, signature=signature, headers=request.headers)
    except PermissionError as error:
        raise HTTPException(
            403, "the link or a signed header was changed, or the link has expired: get the upload again"
        ) from error
    with SpooledTemporaryFile(max_size=IN_MEMORY_BYTES) as spool:
        body = UploadFile(spool, size=0)  # type: ignore[arg-type]
        async for piece in request.stream():
            await body.write(piece)
        if body.size != int(request.headers["content-length"]):  # the signature covers only the header
            raise HTTPException(400, "the body is shorter or longer than its Content-Length")
        try:
            await run_in_threadpool(_store, store, key, spool, request.headers["content-type"])
        except ArtifactExists as error:
            raise HTTPException(412, "the upload was sent before: use it, or announce a new one") from error
    return Response()


def _store(store: FilesystemArtifactStore, key: str, body: SpooledTemporaryFile[bytes], media_type: str) -> None:
    """Store the bytes of an upload, unless it was erased meanwhile. Raises `ArtifactExists`, or `HTTPException` 404.

    The whole body is in memory only here, so as many are as there are threads.
    """
    body.seek(0)
    store.put(key, body.read(), media_type=media_type, only_if_absent=True)
    if not store.exists(f"{key.rpartition('/')[0]}/upload.json"):
        store.delete_prefix(key)
        raise HTTPException(404, "the upload was erased: announce a new one")


def _own_store(services: Services) -> FilesystemArtifactStore:
    """Return the filesystem store. Raises `HTTPException` 404 if the service uses another store."""
    if not isinstance(services.artifacts, FilesystemArtifactStore):
        raise HTTPException(404)
    return services.artifacts


def _check_query(request: Request, *names: str) -> None:
    """Raise `PermissionError` if the query has other parameters than `names`, or one twice."""
    sent = [name for name, _ in request.query_params.multi_items()]
    if len(sent) != len(set(sent)) or not set(sent) <= set(names):
        raise PermissionError("this URL was changed")

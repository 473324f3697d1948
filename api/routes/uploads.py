"""Announce a file, send it straight to the object store, name it in an edit: large pictures need not pass through this service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.deps import Caller, ServicesDep
from api.wire.problems import responses
from api.wire.schemas import moment
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.uploads import Announced, Uploads
from s2edit_jobs.records.record import Owner

router = APIRouter(tags=["uploads"], responses=responses(422, 503))

MediaType = Literal["image/png", "image/jpeg", "image/webp", "image/avif", "image/heic"]


class UploadRequest(BaseModel):
    """A file that shall be sent."""

    model_config = ConfigDict(extra="forbid")

    media_type: Annotated[MediaType, Field(description="What it is; its first bytes must agree")]
    size_bytes: Annotated[int, Field(ge=1, strict=True, description="Its exact length", examples=[1_834_221])]
    sha256: Annotated[
        str | None,
        Field(
            pattern=r"^[0-9a-f]{64}$",
            description="Its SHA-256 digest in hexadecimal. If given, other bytes are refused where the upload is used",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ] = None


class PutRequest(BaseModel):
    """`PUT` the bytes to `url` with just these headers. It works once; a second time is 412."""

    url: str
    headers: Annotated[dict[str, str], Field(description="Browsers and HTTP libraries set `Content-Length` by themselves")]


class PostForm(BaseModel):
    """`POST` a `multipart/form-data` form to `url`: these fields, then the bytes as the part `file`."""

    url: str
    fields: dict[str, str]


class UploadView(BaseModel):
    """An upload. `put` and `form` are two ways to send its bytes, null once these have come."""

    id: str
    state: Annotated[Literal["waiting", "arrived"], Field(description="Whether the bytes have come")]
    media_type: str
    size_bytes: int
    sha256: str | None
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(description="When `put` and `form` run out; ask again for fresh ones")]
    put: PutRequest | None
    form: Annotated[PostForm | None, Field(description="Null where the store does not hold senders of forms to their limits")]


@router.post(
    "/uploads",
    operation_id="createUpload",
    summary="Announce a file",
    status_code=201,
    responses={
        201: {"headers": {"Location": {"description": "Where to ask for the upload", "schema": {"type": "string"}}}},
        **responses(400, 409, 413),
    },
)
def create_upload(asked: UploadRequest, response: Response, owner: Caller, services: ServicesDep) -> UploadView:
    """Send the bytes as the answer says, then name the upload's id in a `POST /edits` of JSON.

    An upload is removed after a time, by default a day. Edits that have named it keep a copy of their own.
    """
    most = services.settings.max_upload_bytes
    if asked.size_bytes > most:
        raise OptionInvalid(f"at most {most} bytes are accepted", field="size_bytes", reason="upload_too_large")
    announced = Uploads(services).announce(owner, **asked.model_dump())
    response.headers["Location"] = f"/uploads/{announced.id}"
    return _present(services, owner, announced, response, arrived=False)


@router.get("/uploads/{upload_id}", operation_id="getUpload", summary="See whether a file has come", responses=responses(404))
def get_upload(upload_id: str, response: Response, owner: Caller, services: ServicesDep) -> UploadView:
    """While its bytes are missing, the ways to send them are fresh each time."""
    uploads = Uploads(services)
    announced = uploads.get(owner, upload_id)
    return _present(services, owner, announced, response, arrived=uploads.arrived(owner, announced))


def _present(services: Services, owner: Owner, announced: Announced, response: Response, *, arrived: bool) -> UploadView:
    response.headers["Cache-Control"] = "no-store"  # it holds links
    ways = None if arrived else Uploads(services).ways(owner, announced)
    return UploadView(
        id=announced.id,
        state="arrived" if arrived else "waiting",
        media_type=announced.media_type,
        size_bytes=announced.size_bytes,
        sha256=announced.sha256,
        created_at=moment(announced.created_at),
        expires_at=moment(ways.expires_at) if ways else None,
        put=PutRequest(url=ways.put.url, headers=dict(ways.put.headers)) if ways else None,
        form=PostForm(url=ways.form.url, fields=dict(ways.form.fields)) if ways and ways.form else None,
    )

"""Uploads: announce a file, send it directly to the object store, and name it in a request. Large pictures bypass this service."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.deps import Caller, ServicesDep
from api.wire.bodies.strict_json import StrictRoute
from api.wire.fields import WHOLE, HexDigest
from api.wire.problems import responses
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.uploads import AnnouncedUpload, Uploads
from s2edit_jobs.records.record import Owner, to_datetime

router = APIRouter(route_class=StrictRoute, tags=["uploads"], responses=responses(422, 503))

MediaType = Literal["image/png", "image/jpeg", "image/webp", "image/avif", "image/heic"]


class UploadRequest(BaseModel):
    """The announcement of a file."""

    model_config = ConfigDict(extra="forbid")

    media_type: Annotated[MediaType, Field(description="The media type. The first bytes of the file must match it.")]
    size_bytes: Annotated[int, Field(ge=1, strict=True, description="The exact size of the file.", examples=[1_834_221]), WHOLE]
    sha256: Annotated[
        HexDigest | None,
        Field(
            description="The SHA-256 digest of the file, in hexadecimal. If present, a request that uses other bytes is rejected.",
            examples=["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"],
        ),
    ] = None


class PutRequest(BaseModel):
    """How to send the bytes by `PUT`. It works once; a second attempt is a 412."""

    url: Annotated[str, Field(description="The signed URL to `PUT` the bytes to.")]
    headers: Annotated[
        dict[str, str],
        Field(description="The exact headers to send. Browsers and HTTP libraries set `Content-Length` by themselves."),
    ]


class PostForm(BaseModel):
    """How to send the bytes by `POST`, as `multipart/form-data`."""

    url: Annotated[str, Field(description="The URL to `POST` the form to.")]
    fields: Annotated[
        dict[str, str], Field(description="The parts of the form that come before the bytes, which are the part `file`.")
    ]


class UploadView(BaseModel):
    """An upload. `put` and `form` are two ways to send its bytes."""

    id: Annotated[str, Field(description="The id that JSON requests name.")]
    state: Annotated[Literal["waiting", "arrived"], Field(description="Whether the bytes have arrived.")]
    media_type: Annotated[str, Field(description="The announced media type.")]
    size_bytes: Annotated[int, Field(description="The announced size.")]
    sha256: Annotated[str | None, Field(description="The announced SHA-256 digest, in hexadecimal.")]
    created_at: Annotated[datetime, Field(description="When the upload was announced.")]
    upload_expires_at: Annotated[
        datetime, Field(description="When the upload expires. Until then a request can name it. Naming it may put this off.")
    ]
    expires_at: Annotated[datetime | None, Field(description="When `put` and `form` expire. Get the upload again for fresh ones.")]
    put: Annotated[PutRequest | None, Field(description="How to send the bytes by `PUT`; null once they have arrived.")]
    form: Annotated[
        PostForm | None,
        Field(
            description="How to send the bytes by a form; null once they have arrived, or if the store does not enforce the limits "
            "of forms."
        ),
    ]


@router.post(
    "/uploads",
    operation_id="createUpload",
    summary="Announce an upload",
    status_code=201,
    responses={
        201: {"headers": {"Location": {"description": "The path of the upload.", "schema": {"type": "string"}}}},
        **responses(400, 409, 413),
    },
)
def create_upload(body: UploadRequest, response: Response, owner: Caller, services: ServicesDep) -> UploadView:
    """Announce a file, send its bytes by `put` or `form`, then name the upload's id in a JSON request.

    `POST /edits`, `/identities`, `/attributes` and `/masks` take JSON. The service deletes an upload after a day, unless its
    operator chose another time. Jobs keep their own copy.
    """
    limit = services.settings.max_upload_bytes
    if body.size_bytes > limit:
        raise OptionInvalid(f"the file is too large: send at most {limit} bytes", field="size_bytes", reason="upload_too_large")
    announced = Uploads(services).announce(owner, **body.model_dump())
    response.headers["Location"] = f"/uploads/{announced.id}"
    return _present(services, owner, announced, response, arrived=False)


@router.get("/uploads/{upload_id}", operation_id="getUpload", summary="Get an upload", responses=responses(404))
def get_upload(upload_id: str, response: Response, owner: Caller, services: ServicesDep) -> UploadView:
    """Get the state of an upload and, until its bytes have arrived, fresh URLs to send them."""
    uploads = Uploads(services)
    announced = uploads.get(owner, upload_id)
    return _present(services, owner, announced, response, arrived=uploads.arrived(owner, announced))


def _present(services: Services, owner: Owner, announced: AnnouncedUpload, response: Response, *, arrived: bool) -> UploadView:
    response.headers["Cache-Control"] = "no-store"  # it contains signed URLs
    ways = None if arrived else Uploads(services).links(owner, announced)
    return UploadView(
        id=announced.id,
        state="arrived" if arrived else "waiting",
        media_type=announced.media_type,
        size_bytes=announced.size_bytes,
        sha256=announced.sha256,
        created_at=to_datetime(announced.created_at),
        upload_expires_at=to_datetime(Uploads(services).expires_at(owner, announced)),
        expires_at=to_datetime(ways.expires_at) if ways else None,
        put=PutRequest(url=ways.put.url, headers=dict(ways.put.headers)) if ways else None,
        form=PostForm(url=ways.form.url, fields=dict(ways.form.fields)) if ways and ways.form else None,
    )

"""`GET /edits/{id}/preview`: a small picture of a running edit, which changes about once a second."""

from __future__ import annotations

import re
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Response

from api.deps import Caller, JobsDep
from api.wire.fields import WHOLE
from api.wire.problems import responses

MEDIA_TYPE = "image/webp"
TAG = {"ETag": {"description": "The number of the preview, as the edit's `preview` shows it.", "schema": {"type": "string"}}}
router = APIRouter(tags=["edits"], responses=responses(422, 503))


class PreviewFile(Response):
    media_type = MEDIA_TYPE


@router.get(
    "/edits/{edit_id}/preview",
    operation_id="getPreview",
    summary="Get the preview of a running edit",
    response_class=PreviewFile,
    responses={
        200: {
            "description": "The latest preview, at most 8 KB: the whole photo, small, with the change so far.",
            "headers": TAG,
            "content": {MEDIA_TYPE: {"schema": {"type": "string", "format": "binary"}}},
        },
        304: {"description": "The preview has not changed.", "headers": TAG},
        **responses(404),
    },
)
def get_preview(
    edit_id: str,
    owner: Caller,
    jobs: JobsDep,
    if_none_match: Annotated[
        str | None, Header(description="An earlier `ETag`: the response is 304 while the preview has not changed.")
    ] = None,
    v: Annotated[  # noqa: ARG001
        int | None,
        Query(description="Ignored. A page that puts the edit's `preview` here makes its `img` load each new one."),
        WHOLE,
    ] = None,
) -> Response:
    """Load it whenever the edit's `preview` has grown, for example with each event of the stream.

    There is none before the first steps of the phase `editing`, while an identity is learned, and where the service checks results
    with a safety model. After the edit's end the last preview stays for up to a minute, so that a page can show it until the result
    has loaded.
    """
    preview = jobs.preview(owner, edit_id)
    tag = f'"{preview.number}"'
    headers: dict[str, Any] = {"ETag": tag, "Cache-Control": "private, no-cache", "X-Content-Type-Options": "nosniff"}
    if if_none_match is not None and (if_none_match.strip() == "*" or tag in re.findall(r'"[^"]*"', if_none_match)):
        return Response(status_code=304, headers=headers)
    return PreviewFile(preview.picture, headers=headers)

"""`POST /edits` as JSON, with uploads in the place of files. The form's route, in `api/routes/edits.py`, describes both."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from api.deps import PrincipalDep
from api.routes.edits import PREFER, Asking, IdempotencyKey, answer
from api.wire.forms import FILES, check_complete
from api.wire.schemas import Edit, EditDocument
from s2edit_core.errors import ImageInvalid, InvalidInput, MaskInvalid
from s2edit_core.pictures.files import media_type
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.uploads import Uploads
from s2edit_jobs.records.errors import UploadMismatch, UploadNotFound, UploadUnfinished
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import Owner


class JsonRoute(APIRoute):
    """A route for bodies of JSON alone; what else is sent there goes on to the next route."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        sent_as = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        return super().matches(scope) if sent_as == "application/json" else (Match.NONE, {})


router = APIRouter(tags=["edits"], route_class=JsonRoute, include_in_schema=False)


@router.post("/edits", operation_id="createEditOfUploads", status_code=202, response_model=Edit)
async def create_edit(
    document: Annotated[EditDocument, Body()],
    request: Request,
    response: Response,
    principal: PrincipalDep,
    idempotency_key: IdempotencyKey = None,
    prefer: Annotated[str | None, PREFER] = None,
) -> Edit | Response:
    """The same as by form, except for where the pictures come from."""
    services: Services = request.app.state.services

    def take() -> dict[str, Upload]:
        return take_uploads(services, principal.owner, document, again=idempotency_key is not None)

    def settle(kept: Mapping[str, Upload]) -> None:
        settle_uploads(services, principal.owner, document, kept)

    asking = Asking.of(request, principal, document, take, settle)
    return await answer(asking, response, request.app.state.changes, idempotency_key, prefer)


def take_uploads(services: Services, owner: Owner, document: EditDocument, *, again: bool) -> dict[str, Upload]:
    """The pictures by name, each held against what was announced; call it in a thread. Raises `ImageInvalid` or `MaskInvalid`.

    `again`: the same request may come again.
    """
    ids: dict[str, str] = {name: value for name in FILES if (value := getattr(document, name)) is not None}
    check_complete(ids, document.identity, document.parent)
    return {name: _taken(services, owner, name, upload_id, again=again) for name, upload_id in ids.items()}


def settle_uploads(services: Services, owner: Owner, document: EditDocument, kept: Mapping[str, Upload]) -> None:
    """Take the metadata off the uploads themselves. Raises `ImageInvalid` or `MaskInvalid` for one that is gone by now."""
    for name in FILES:
        if (upload_id := getattr(document, name)) is not None:
            try:
                Uploads(services).settle(owner, upload_id, kept[name])
            except UploadNotFound as error:
                raise _refused(name, f"there is no upload {upload_id[:80]!r}: announce a new one", "upload_unknown") from error


def _taken(services: Services, owner: Owner, name: str, upload_id: str, *, again: bool) -> Upload:
    try:
        upload = Uploads(services).take(owner, upload_id, again=again)
    except UploadNotFound as error:
        raise _refused(name, f"there is no upload {upload_id[:80]!r}: announce a new one", "upload_unknown") from error
    except UploadUnfinished as error:
        raise _refused(name, f"the upload {upload_id} is not finished: send its bytes first", "upload_unfinished") from error
    except UploadMismatch as error:
        raise _refused(name, f"the upload {upload_id} can't be used: {error}", "upload_mismatch") from error
    if (found := media_type(upload.data)) != upload.media_type:
        message = f"the upload {upload_id} was announced as {upload.media_type} and its bytes are {found}"
        raise _refused(name, message, "upload_mismatch")
    return upload


def _refused(name: str, message: str, reason: str) -> InvalidInput:
    kind = ImageInvalid if name == "image" else MaskInvalid
    return kind(message, field=name, reason=reason)

"""`POST /edits` as JSON, with uploads instead of files. The form's route in `api/routes/edits.py` describes both in OpenAPI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Body, Request, Response
from starlette.datastructures import Headers
from starlette.routing import Match
from starlette.types import Scope

from api.deps import PrincipalDep
from api.following.long_polls import PREFER
from api.routes.edit_submissions import EditSubmission
from api.routes.edits import create
from api.routes.submissions import IdempotencyKey
from api.wire.bodies.strict_json import StrictRoute
from api.wire.edit_answers import Edit
from api.wire.edit_requests import EditDocument
from api.wire.forms import FILES, check_has_photo
from s2edit_core.errors import ImageInvalid, InvalidInput, MaskInvalid
from s2edit_core.pictures.files import media_type
from s2edit_jobs.library.uploads import Uploads
from s2edit_jobs.records.errors import UploadMismatch, UploadNotFound, UploadUnfinished
from s2edit_jobs.records.files import Upload


class JsonRoute(StrictRoute):
    """A route that matches only JSON bodies. Others fall through to the next route of the same path."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        content_type = Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
        return super().matches(scope) if content_type == "application/json" else (Match.NONE, {})


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
    """Create an edit of uploaded pictures."""
    return await create(UploadsEdit(request, principal, document, idempotency_key), response, prefer)


class UploadsEdit(EditSubmission[EditDocument]):
    """An edit whose pictures are uploads."""

    def _files(self) -> dict[str, Upload]:
        ids = self._ids()
        check_has_photo(ids, self.form.identity, self.form.parent)
        return {name: self._take(name, upload_id) for name, upload_id in ids.items()}

    def _ids(self) -> dict[str, str]:
        """Return the ids of the uploads by picture."""
        return {name: upload_id for name in FILES if (upload_id := getattr(self.form, name)) is not None}

    def _take(self, name: str, upload_id: str) -> Upload:
        """Return an upload, checked against its announcement. Raises `ImageInvalid` or `MaskInvalid`."""
        try:
            upload = Uploads(self.services).take(self.owner, upload_id, again=self._once is not None)
        except UploadNotFound as error:
            raise _unknown(name, upload_id) from error
        except UploadUnfinished as error:
            raise _invalid(name, f"the upload {upload_id} is not finished: send its bytes first", "upload_unfinished") from error
        except UploadMismatch as error:
            raise _invalid(name, f"the upload {upload_id} can't be used: {error}", "upload_mismatch") from error
        if (found := media_type(upload.data)) != upload.media_type:
            message = f"the upload {upload_id} was announced as {upload.media_type}, but its bytes are {found}"
            raise _invalid(name, message, "upload_mismatch")
        return upload

    def _settle(self, kept: Mapping[str, Upload]) -> None:
        """Remove the metadata from the uploads themselves. Raises `ImageInvalid` or `MaskInvalid` if one has expired by now."""
        for name, upload_id in self._ids().items():
            try:
                Uploads(self.services).replace(self.owner, upload_id, kept[name])
            except UploadNotFound as error:
                raise _unknown(name, upload_id) from error


def _unknown(name: str, upload_id: str) -> InvalidInput:
    return _invalid(name, f"there is no upload {upload_id[:80]!r}: announce a new one", "upload_unknown")


def _invalid(name: str, message: str, reason: str) -> InvalidInput:
    kind = ImageInvalid if name == "image" else MaskInvalid
    return kind(message, field=name, reason=reason)

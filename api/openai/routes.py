"""The route of `POST /v1/images/edits`."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Request
from fastapi.responses import Response
from fastapi.security import HTTPAuthorizationCredentials
from starlette.concurrency import run_in_threadpool

from api.deps import BEARER, admit, count
from api.following.connections import Connections
from api.guard.auth import Authenticator, Principal, Sender
from api.openai.answers import ImagesView
from api.openai.body import Body, read_body
from api.openai.models import check_model
from api.openai.schemas import STREAM, UNBUFFERED
from api.openai.streaming import stream
from api.openai.submission import ImageEdit
from api.openai.translation import Asked, named_user, translate
from api.openai.waiting import Waiting, answer
from api.routes.submissions import IdempotencyKey, as_erased
from api.wire.bodies.strict_forms import FormRoute
from api.wire.fields import ID_PATTERN
from api.wire.openai_errors import OpenAIError
from api.wire.query import check_query
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.records.errors import UserForeign

PATH = "/v1/images/edits"
router = APIRouter(route_class=FormRoute, tags=["openai"])

FAILURES: dict[int | str, dict[str, Any]] = {
    status: {"model": OpenAIError, "description": description}
    for status, description in {
        400: "A parameter is wrong or can't be honoured.",
        404: "The pictures of this edit have expired, or it was erased.",
        409: "The edit was canceled, or the same request is being accepted.",
        413: "The request is too large.",
        500: "The edit has failed.",
        503: "The edit has failed and may succeed later, or a part of the service does not answer.",
        504: "The edit is not done yet.",
    }.items()
}


@dataclass(frozen=True)
class Sent:
    """A request whose caller is known: by its key or token, and by the user in its body."""

    principal: Principal
    body: Body


async def get_sent(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    s2edit_user: Annotated[
        str | None,
        Header(alias="S2Edit-User", pattern=ID_PATTERN, description="The user, as `user` in the body; both must be equal."),
    ] = None,
) -> Sent:
    """Identify the caller, read the body, and let the caller in as the user that the body names.

    Raises `AccessDenied` and `RateExceeded`, and as `read_body`, `named_user` and `check_query`.
    """
    auth: Authenticator = request.app.state.auth
    sender = Sender.with_credentials(request, credentials.credentials if credentials else None, s2edit_user)
    principal = await run_in_threadpool(auth.identify, sender)
    try:
        body = await read_body(request)
        principal = _acting_for(principal, *named_user(body), s2edit_user)
    except Exception:
        await run_in_threadpool(count, request, principal)  # a wrong request counts, too
        raise
    await run_in_threadpool(admit, request, principal, PATH)
    await check_query(request)
    return Sent(principal, body)


def _acting_for(principal: Principal, name: str, user: str | None, header: str | None) -> Principal:
    """Return the caller as `user`, whom the parameter `name` names.

    Raises `OptionInvalid` or `UserForeign` if it can't be that user.
    """
    if user is None or user == principal.owner.user:
        return principal if user is None else replace(principal, names_user=True)
    if header is not None:
        raise OptionInvalid(f"`{name}` and S2Edit-User name two users: send one of them", field=name, reason="user_unclear")
    if principal.token is not None:
        raise UserForeign("the token belongs to another user")
    return replace(principal, owner=replace(principal.owner, user=user), names_user=True)


async def _release(request: Request, sent: Sent, asked: Asked) -> None:
    """Free the pictures of an accepted request, which may wait for long."""
    sent.body.pictures.clear()
    asked.files.clear()
    await request.close()


@router.post(
    PATH,
    operation_id="createImageEdit",
    summary="Edit a photo as OpenAI's SDKs ask for it",
    response_model=ImagesView,
    response_model_exclude_unset=True,
    responses={200: {"content": {"text/event-stream": STREAM}, "headers": UNBUFFERED}, **FAILURES},
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": {"$ref": "#/components/schemas/ImageEditForm"}},
                "application/json": {"schema": {"$ref": "#/components/schemas/ImageEditDocument"}},
            },
        }
    },
)
async def create_image_edit(
    request: Request, sent: Annotated[Sent, Depends(get_sent)], idempotency_key: IdempotencyKey = None
) -> Response:
    """The answer comes when the edit is done. Behind it is a job as of `POST /edits`: a client that goes away cancels nothing.

    Send the same request with the same `Idempotency-Key` again to get the result of a lost connection. Every parameter is honoured,
    or the request is a 400 that says why. With `stream`, the answer is a stream of server-sent events.
    """
    asked = await run_in_threadpool(translate, sent.body)
    submission = ImageEdit(request, sent.principal, asked, idempotency_key)
    check_model(submission.services.settings, asked.options.model)
    connections: Connections = submission.connections
    with ExitStack() as held:
        held.enter_context(connections.held(submission.owner))  # before anything is accepted
        record = await run_in_threadpool(submission.accept)
        await _release(request, sent, asked)
        waiting = Waiting(request, sent.principal, submission, asked)
        if asked.options.stream:
            return stream(waiting, record, held)
        with as_erased():
            return await answer(waiting, record, held)

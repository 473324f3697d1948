"""Issue device tokens to holders of an API key."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from api.deps import AuthDep, PrincipalDep, ServicesDep
from api.guard.device_tokens import DEVICE_SCOPES, MAX_BUDGET
from api.wire.bodies.strict_json import StrictRoute
from api.wire.fields import WHOLE
from api.wire.problems import responses
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.records.record import to_datetime

router = APIRouter(route_class=StrictRoute, tags=["tokens"], responses=responses(422, 503))


class TokenRequest(BaseModel):
    """What a device token should permit."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expires_in_s: Annotated[
        int,
        Field(
            ge=1,
            le=86_400,
            description="Seconds until the token expires. A longer time than "
            "the service allows is cut to its maximum; `expires_at` says when it ends.",
        ),
        WHOLE,
    ] = 600
    edits: Annotated[
        int, Field(ge=0, le=MAX_BUDGET, description="The number of edits and other jobs that it may create."), WHOLE
    ] = 1
    uploads: Annotated[int, Field(ge=0, le=MAX_BUDGET, description="The number of uploads that it may announce."), WHOLE] = 3
    scopes: Annotated[
        list[Literal["edits:read", "edits:write", "identities"]] | None,
        Field(min_length=1, max_length=16, description="The scopes of the token. Default: all of these that the key has."),
    ] = None


class Token(BaseModel):
    """A device token. The device sends it as `Authorization: Bearer <token>`, without `S2Edit-User`."""

    token: Annotated[str, Field(description="The token itself. The service does not store it.")]
    token_type: Annotated[Literal["Bearer"], Field(description="Always `Bearer`.")] = "Bearer"  # noqa: S105  not a secret
    user: Annotated[str, Field(description="The user that the token acts for.")]
    scopes: Annotated[list[str], Field(description="The scopes of the token.")]
    edits: Annotated[int, Field(description="The number of edits and other jobs that it may create.")]
    uploads: Annotated[int, Field(description="The number of uploads that it may announce.")]
    expires_at: Annotated[datetime, Field(description="When the token expires.")]


@router.post("/tokens", operation_id="createToken", summary="Create a device token", status_code=201)
def create_token(body: TokenRequest, response: Response, principal: PrincipalDep, auth: AuthDep, services: ServicesDep) -> Token:
    """Create a token for the user that `S2Edit-User` names. It ends when it expires, its budget is used up or its key ends."""
    scopes = frozenset(body.scopes) if body.scopes is not None else DEVICE_SCOPES & principal.scopes
    if not scopes or not scopes <= principal.scopes:
        raise OptionInvalid(
            "the API key lacks a scope of the token: leave that scope out, or use another key",
            field="scopes",
            reason="scopes_too_wide",
        )
    expires_in_s = min(body.expires_in_s, services.settings.token_max_ttl_s)
    if principal.ends_at is not None:
        expires_in_s = max(1, min(expires_in_s, int(principal.ends_at - time.time())))
    token, text = auth.tokens.issue(
        principal.owner, scopes=scopes, expires_in_s=expires_in_s, edits=body.edits, uploads=body.uploads, key_id=principal.key_id
    )
    response.headers["Cache-Control"] = "no-store"
    return Token(
        token=text,
        user=token.owner.user,
        scopes=sorted(token.scopes),
        edits=token.edits,
        uploads=token.uploads,
        expires_at=to_datetime(token.expires_at),
    )

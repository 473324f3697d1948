"""A token for one device of one user, issued to whoever has an API key."""

from __future__ import annotations

import time

from fastapi import APIRouter, Response

from api.deps import AuthDep, PrincipalDep, ServicesDep
from api.guard.device_tokens import DEVICE_SCOPES
from api.wire.problems import responses
from api.wire.schemas import Token, TokenRequest, moment
from s2edit_core.errors import OptionInvalid

router = APIRouter(tags=["tokens"], responses=responses(422, 503))


@router.post("/tokens", operation_id="createToken", summary="Get a token for a device", status_code=201)
def create_token(wish: TokenRequest, response: Response, principal: PrincipalDep, auth: AuthDep, services: ServicesDep) -> Token:
    """For the user of `S2Edit-User`, whom the token can't change. It ends with its time, its budget, or the key that got it."""
    scopes = frozenset(wish.scopes) if wish.scopes is not None else DEVICE_SCOPES & principal.scopes
    if not scopes or not scopes <= principal.scopes:
        raise OptionInvalid("the key itself is not for what the token shall be for", field="scopes", reason="scopes_too_wide")
    expires_in_s = min(wish.expires_in_s, services.settings.token_max_ttl_s)
    if principal.ends_at is not None:
        expires_in_s = max(1, min(expires_in_s, int(principal.ends_at - time.time())))
    token, text = auth.tokens.issue(
        principal.owner, scopes=scopes, expires_in_s=expires_in_s, edits=wish.edits, uploads=wish.uploads, key_id=principal.key_id
    )
    response.headers["Cache-Control"] = "no-store"
    return Token(
        token=text,
        user=token.owner.user,
        scopes=sorted(token.scopes),
        edits=token.edits,
        uploads=token.uploads,
        expires_at=moment(token.expires_at),
    )

"""What the routes are given: the services, the model's words, and whose request it is."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from api.changes import Changes
from api.guard.allowance import Allowance
from api.guard.auth import USER, Asked, Authenticator, Principal
from api.guard.rates import LOOKS, STATE
from api.guard.testmode import STATE as TEST
from api.wire.schemas import ID_PATTERN
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.library.library import Library
from s2edit_jobs.records.record import Owner
from s2edit_jobs.records.vocabulary import Vocabulary

BEARER = HTTPBearer(auto_error=False, description="An API key of your tenant, or a device token of `POST /tokens`")

# These are coroutines so that FastAPI calls them on the event loop: a plain function would cost a change of threads each. They take
# what they need from the app, for every dependency of a dependency costs a request some 30 µs.


async def get_services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


async def get_vocabulary(request: Request) -> Vocabulary | None:
    """None where the model is not a local folder: then only the worker checks prompts."""
    return cast(Vocabulary | None, request.app.state.vocabulary)


async def get_jobs(request: Request) -> Jobs:
    return Jobs(request.app.state.services)


async def get_library(request: Request) -> Library:
    return Library(request.app.state.services)


async def get_changes(request: Request) -> Changes:
    return cast(Changes, request.app.state.changes)


async def get_auth(request: Request) -> Authenticator:
    return cast(Authenticator, request.app.state.auth)


async def get_principal(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    s2edit_user: Annotated[
        str, Header(alias="S2Edit-User", pattern=ID_PATTERN, description="Whose edits and identities these are")
    ] = USER,
) -> Principal:
    """Who is asking, by key or token. Raises `AccessDenied` if that is nobody, or somebody who may not, and `RateExceeded`."""
    named = s2edit_user if "s2edit-user" in request.headers else None
    asked = Asked.by(request, credentials.credentials if credentials else None, named)
    auth: Authenticator = request.app.state.auth
    principal = auth.known(asked)
    if principal is not None and (not principal.key_id or request.method in LOOKS):  # nothing to look up: no change of threads
        return counted(request, principal, request.scope["route"].path)
    return await run_in_threadpool(_looked_up, request, asked)


def _looked_up(request: Request, asked: Asked) -> Principal:
    auth: Authenticator = request.app.state.auth
    return counted(request, auth.identify(asked), request.scope["route"].path)


def counted(request: Request, principal: Principal, path: str) -> Principal:
    """`principal`, who may ask this, and not too often. `path` is the route's. Raises `AccessDenied` and `RateExceeded`."""
    setattr(request.state, TEST, principal.owner.test)
    if principal.key_id:
        request.app.state.rates.take(principal.owner, request.method, getattr(request.state, STATE))
    auth: Authenticator = request.app.state.auth
    auth.admit(principal, request.method, path)
    return principal


async def get_owner(principal: Annotated[Principal, Depends(get_principal)]) -> Owner:
    """The one place that says whose request it is. Another owner's things are answered as if they did not exist."""
    return principal.owner


async def get_allowance(request: Request, principal: Annotated[Principal, Depends(get_principal)]) -> Allowance:
    return Allowance(request.app.state.auth, principal, request.app.state.services)


ServicesDep = Annotated[Services, Depends(get_services)]
VocabularyDep = Annotated[Vocabulary | None, Depends(get_vocabulary)]
ChangesDep = Annotated[Changes, Depends(get_changes)]
JobsDep = Annotated[Jobs, Depends(get_jobs)]
LibraryDep = Annotated[Library, Depends(get_library)]
AuthDep = Annotated[Authenticator, Depends(get_auth)]
AllowanceDep = Annotated[Allowance, Depends(get_allowance)]
PrincipalDep = Annotated[Principal, Depends(get_principal)]
Caller = Annotated[Owner, Depends(get_owner)]

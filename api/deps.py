"""Dependencies of the routes: the services, and the caller of a request."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.concurrency import run_in_threadpool

from api.changes import Changes
from api.guard.auth import USER, Authenticator, Principal, Sender
from api.guard.caller_headers import STATE as OWNER
from api.guard.rates import COUNTED, READ_METHODS, STATE
from api.slow_calls import SlowCalls
from api.wire.fields import ID_PATTERN
from api.wire.query import check_query
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import Owner

BEARER = HTTPBearer(auto_error=False, description="An API key of your tenant, or a device token from `POST /tokens`.")

# These are coroutines, so that FastAPI calls them on the event loop instead of in a thread. They read the app's state themselves,
# because every dependency of a dependency costs a request about 30 µs.


async def get_services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


async def get_jobs(request: Request) -> Jobs:
    return Jobs(request.app.state.services)


async def get_library(request: Request) -> Library:
    return Library(request.app.state.services)


async def get_changes(request: Request) -> Changes:
    return cast(Changes, request.app.state.changes)


async def get_slow_calls(request: Request) -> SlowCalls:
    return cast(SlowCalls, request.app.state.slow_calls)


async def get_auth(request: Request) -> Authenticator:
    return cast(Authenticator, request.app.state.auth)


async def get_principal(
    request: Request,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Depends(BEARER)],
    s2edit_user: Annotated[
        str, Header(alias="S2Edit-User", pattern=ID_PATTERN, description="The user that the request acts for.")
    ] = USER,
) -> Principal:
    """Return the caller, identified by its key or token. Raises `AccessDenied`, `RateExceeded`, and as `check_query`."""
    user = s2edit_user if "s2edit-user" in request.headers else None
    sender = Sender.with_credentials(request, credentials.credentials if credentials else None, user)
    auth: Authenticator = request.app.state.auth
    principal = auth.identify_cached(sender)
    has_credentials = principal is not None and (principal.key_id or principal.token is not None)
    if principal is not None and (not has_credentials or request.method in READ_METHODS):  # no I/O, so no thread
        admit(request, principal, request.scope["route"].path)
    else:
        principal = await run_in_threadpool(_identify, request, sender)
    await check_query(request)
    return principal


def _identify(request: Request, sender: Sender) -> Principal:
    auth: Authenticator = request.app.state.auth
    return admit(request, auth.identify(sender, reads=request.method in READ_METHODS), request.scope["route"].path)


def admit(request: Request, principal: Principal, path: str) -> Principal:
    """Count the request and check its scope. Return `principal`. `path` is the path template of the route.

    Raises `AccessDenied` and `RateExceeded`.
    """
    setattr(request.state, OWNER, principal.owner)
    count(request, principal)
    auth: Authenticator = request.app.state.auth
    auth.admit(principal, request.method, path)
    return principal


def count(request: Request, principal: Principal) -> None:
    """Count the request, unless it is counted already. Raises `RateExceeded`."""
    if principal.key_id and not getattr(request.state, COUNTED, False):
        request.app.state.rates.take(principal.owner, request.method, getattr(request.state, STATE))


async def get_owner(principal: Annotated[Principal, Depends(get_principal)]) -> Owner:
    """Return the owner of everything that the request may see. Others' things are answered as if they did not exist."""
    return principal.owner


ServicesDep = Annotated[Services, Depends(get_services)]
ChangesDep = Annotated[Changes, Depends(get_changes)]
JobsDep = Annotated[Jobs, Depends(get_jobs)]
SlowCallsDep = Annotated[SlowCalls, Depends(get_slow_calls)]
LibraryDep = Annotated[Library, Depends(get_library)]
AuthDep = Annotated[Authenticator, Depends(get_auth)]
PrincipalDep = Annotated[Principal, Depends(get_principal)]
Caller = Annotated[Owner, Depends(get_owner)]

"""What the routes are given: the services, the model's words, and whose request it is."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Header, Request

from api.changes import Changes
from api.schemas import ID_PATTERN
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.jobs import Jobs
from s2edit_jobs.library import Library
from s2edit_jobs.record import Owner
from s2edit_jobs.vocabulary import Vocabulary

TENANT = "default"
"""Until keys tell tenants apart."""

# These are coroutines so that FastAPI calls them on the event loop: a plain function would cost a change of threads each.


async def get_services(request: Request) -> Services:
    return cast(Services, request.app.state.services)


async def get_vocabulary(request: Request) -> Vocabulary | None:
    """None where the model is not a local folder: then only the worker checks prompts."""
    return cast(Vocabulary | None, request.app.state.vocabulary)


async def get_jobs(services: Annotated[Services, Depends(get_services)]) -> Jobs:
    return Jobs(services)


async def get_library(services: Annotated[Services, Depends(get_services)]) -> Library:
    return Library(services)


async def get_changes(request: Request) -> Changes:
    return cast(Changes, request.app.state.changes)


async def get_owner(
    s2edit_user: Annotated[
        str, Header(alias="S2Edit-User", pattern=ID_PATTERN, description="Whose edits and identities these are")
    ] = "default",
) -> Owner:
    """The one place that says whose request it is. Another owner's things are answered as if they did not exist."""
    return Owner(tenant=TENANT, user=s2edit_user)


ServicesDep = Annotated[Services, Depends(get_services)]
VocabularyDep = Annotated[Vocabulary | None, Depends(get_vocabulary)]
ChangesDep = Annotated[Changes, Depends(get_changes)]
JobsDep = Annotated[Jobs, Depends(get_jobs)]
LibraryDep = Annotated[Library, Depends(get_library)]
Caller = Annotated[Owner, Depends(get_owner)]

"""The HTTP side of the service. Serve it with `uvicorn api.app:create_app --factory`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from api.changes import Changes
from api.description.openapi import describe
from api.description.webhooks import describe_webhooks
from api.following import events
from api.following.polls import Polls
from api.guard.auth import Authenticator
from api.guard.browsers import let_pages_call
from api.guard.limits import BodyLimit
from api.guard.rates import RateHeaders, Rates
from api.guard.request_log import RequestLog
from api.guard.testmode import TestHeader
from api.guard.upload_guard import Gate
from api.guard.whole_body import WholeBody
from api.routes import attributes, edits, edits_json, erasure, files, health, identities, masks, metrics, tokens, uploads
from api.routes.metrics import Metrics
from api.studio import docs
from api.studio import page as studio
from api.wire import problems
from api.wire.digests import ContentDigest
from api.wire.receipts import Receipts
from api.wire.schemas import Problem
from s2edit_core.errors import ModelUnusable
from s2edit_jobs.bootstrap import Services, build_services
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.records.vocabulary import Vocabulary, load_vocabulary

DESCRIPTION = """
Send a photo and a sentence; get the photo back with that one thing changed and the same person in it. Without a mask the person is
found; `POST /masks` shows beforehand where.
`POST /edits` takes the edit on, `GET /edits/{id}` and `GET /edits/{id}/events` follow it, and the result is fetched by the link in
their answers. What was learned of a person is an identity, which later edits name; an attribute is what any of them may wear.
Both can be learned ahead, by the same kind of job.
Errors are RFC 9457 problems with a stable `code`.
"""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Nothing is connected here: a part that is down shows in `/readyz`, and works again without a restart."""
    services: Services = app.state.services
    log.info("the API is up", action="api_started", model=services.settings.model, checks_prompts=app.state.vocabulary is not None)
    yield
    app.state.changes.stop()
    log.info("the API has stopped", action="api_stopped")


def _vocabulary(model: str) -> Vocabulary | None:
    """None where only the worker can check prompts. A model that can't be used shows in `/readyz`, as everything that is down."""
    try:
        return load_vocabulary(model)
    except ModelUnusable as error:
        log.warning("the model's words can't be read", action="vocabulary_unreadable", error=str(error))
        return None


def create_app(services: Services | None = None) -> FastAPI:
    """The app over `services`; without them, over what the environment's settings say."""
    if services is None:  # the process's entry point
        configure_logs()
        services = build_services()
    app = FastAPI(
        title="S²Edit",
        version="0.1.0",
        description=DESCRIPTION,
        docs_url=None,  # `api.studio.docs` serves it without anybody else's server
        redoc_url=None,
        lifespan=lifespan,
        responses={"default": {"model": Problem, "description": "Any other error"}},
    )
    app.state.services = services
    app.state.auth = Authenticator(services)
    app.state.auth.check_start()
    app.state.metrics = Metrics(services)
    app.state.rates = Rates(services.settings)
    app.state.changes = Changes(services.store)
    if services.settings.receipt_key is not None:  # one that can't sign shows now, and not when somebody is to be erased
        app.state.receipts = Receipts.from_settings(services.settings)
    app.state.vocabulary = _vocabulary(services.settings.model)
    app.add_middleware(WholeBody)
    app.add_middleware(ContentDigest)
    app.add_middleware(Gate, auth=app.state.auth, max_bytes=services.settings.max_upload_bytes)
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_upload_bytes)
    app.add_middleware(Polls, auth=app.state.auth, changes=app.state.changes)
    app.add_middleware(RateHeaders)
    app.add_middleware(TestHeader)
    app.add_middleware(RequestLog)  # the last one added is the outermost
    let_pages_call(app, services.settings)
    problems.install(app)
    describe(app)
    describe_webhooks(app)
    for module in (
        edits_json,
        edits,
        events,
        identities,
        attributes,
        masks,
        erasure,
        uploads,
        files,
        health,
        metrics,
        studio,
        docs,
        tokens,
    ):
        app.include_router(module.router)
    docs.serve_assets(app)
    return app

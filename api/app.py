"""Build the FastAPI app from routes, guards and error handlers. Serve it with `uvicorn api.serve:create_app --factory`."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache

import structlog
from fastapi import APIRouter, FastAPI
from starlette.routing import BaseRoute

from api.changes import Changes
from api.description import webhooks
from api.description.openapi import describe
from api.following import events, previews
from api.following.connections import Connections
from api.following.feeds import Feeds
from api.following.polls import Polls
from api.guard.auth import Authenticator, Principal
from api.guard.body_size import BodyLimit
from api.guard.browsers import add_cors
from api.guard.caller_headers import CallerHeaders
from api.guard.head import HeadAsGet
from api.guard.public_address import PublicAddress
from api.guard.rates import RateHeaders, Rates
from api.guard.request_log import RequestLog
from api.guard.slow_bodies import SlowBodies
from api.guard.upload_guard import UploadGuard
from api.guard.whole_body import WholeBody
from api.openai import models as openai_models
from api.openai import routes as openai_routes
from api.openai import schemas as openai_schemas
from api.routes import attributes, edits, erasure, files, health, identities, json_bodies, masks, metrics, model, tokens, uploads
from api.routes.metrics import Metrics
from api.shutdown import ShutdownAnswers
from api.slow_calls import SharedCalls, SlowCalls
from api.studio import docs, suggestions
from api.studio import page as studio
from api.wire import problems
from api.wire.digests import ContentDigest
from api.wire.receipts import Receipts
from s2edit_core.errors import ModelUnusable
from s2edit_jobs.bootstrap import NotConfigured, Services, build_services, check_redis
from s2edit_jobs.logs import configure_logs
from s2edit_jobs.records.errors import ServiceUnavailable
from s2edit_jobs.records.vocabulary import Vocabulary, load_vocabulary
from s2edit_jobs.settings import Settings, settings_of_process
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore

DESCRIPTION = """
Send a photo of a person and a description of the picture that you want. The service changes what the description asks for and
keeps the person recognisable.

`POST /edits` creates an edit. Follow it with `GET /edits/{edit_id}` or `GET /edits/{edit_id}/events`, and download the result by
the link in the response. Without a mask the service finds the person; `POST /masks` shows the mask beforehand.

An edit learns the person as an identity, which later edits can name. An attribute, such as a makeup or a hat, can be learned from
one photo and applied to any identity. `POST /identities` and `POST /attributes` learn them before any edit.

Errors are RFC 9457 problems with a stable `code`.
"""

log = structlog.get_logger(__name__)


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Log start and stop. Connections are made on first use, so a part that is down needs no restart of the API."""
    services: Services = app.state.services
    log.info("the API is up", action="api_started", model=services.settings.model, checks_prompts=app.state.vocabulary is not None)
    app.state.auth.warn_if_open()
    yield
    app.state.changes.stop()
    log.info("the API has stopped", action="api_stopped")


def _vocabulary(model: str) -> Vocabulary | None:
    """Return the vocabulary of the model; None if only the worker can check prompts. `/readyz` reports an unusable model."""
    try:
        return load_vocabulary(model)
    except ModelUnusable as error:
        log.warning("the vocabulary of the model can't be read", action="vocabulary_unreadable", error=str(error))
        return None


def _services_of_process() -> Services:
    """Return the services that the environment describes. Raise `NotConfigured` if the API cannot run with them."""
    services = build_services(settings_of_process())
    check_redis(services.settings)
    if isinstance(services.artifacts, FilesystemArtifactStore):
        services.artifacts.prepare_signing()
    return services


def create_app(services: Services | None = None) -> FastAPI:
    """Return the app over `services`. By default they are built from the settings in the environment."""
    if services is not None:
        return _build_app(services)
    configure_logs()  # this is the entry point of a process
    try:
        app = _build_app(_services_of_process())
    except (NotConfigured, ServiceUnavailable) as error:  # the latter: a key that can't be made
        raise SystemExit(f"the API can't start: {error}") from error
    gc.collect()
    gc.freeze()  # what stays for ever is searched for garbage no more: each search would stop all requests for 80 ms
    return app


@cache
def _routes() -> list[BaseRoute]:
    """Return the routes. The apps of a process share them, because FastAPI takes long to resolve their parameters."""
    router = APIRouter(responses={"default": {"model": problems.Problem, "description": "Any other error."}})
    for module in (
        json_bodies,  # first: the routes of the forms refuse JSON
        edits,
        events,
        previews,
        identities,
        attributes,
        masks,
        model,
        erasure,
        uploads,
        files,
        health,
        metrics,
        studio,
        suggestions,
        docs,
        tokens,
        openai_routes,
        openai_models,
    ):
        router.include_router(module.router)
    docs.serve_assets(router)
    return router.routes


def described_app(public_url: str = Settings.model_fields["public_url"].default) -> FastAPI:
    """Return an app that only describes itself: it has no services and answers no request."""
    app = FastAPI(
        title="S²Edit",
        version="0.1.0",
        description=DESCRIPTION,
        docs_url=None,  # `api.studio.docs` serves it without a CDN
        redoc_url=None,
        lifespan=lifespan,
        routes=_routes(),
        webhooks=webhooks.router,
    )
    describe(app, public_url, openai_schemas.BODIES)
    return app


def _build_app(services: Services) -> FastAPI:
    app = described_app(services.settings.public_url)
    app.state.services = services
    app.state.auth = Authenticator(services)
    app.state.auth.check_configuration()
    app.state.metrics = Metrics(services)
    app.state.rates = Rates(services.settings)
    app.state.changes = Changes(services.store.events)
    app.state.feeds = Feeds(services, app.state.changes)
    app.state.credential_checks = SharedCalls[Principal](app.state.changes.threads)
    app.state.connections = Connections(services.settings)
    app.state.slow_calls = SlowCalls()
    # The key is read or made now: if it is missing or unusable, the start fails and no erasure does.
    with suppress(ServiceUnavailable):  # the data folder is away or full: an erasure tries again
        app.state.receipts = Receipts.from_settings(services.settings)
    app.state.vocabulary = _vocabulary(services.settings.model)
    app.add_middleware(WholeBody)
    app.add_middleware(ContentDigest)
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_upload_bytes)
    app.add_middleware(UploadGuard, auth=app.state.auth, rates=app.state.rates, max_bytes=services.settings.max_upload_bytes)
    app.add_middleware(SlowBodies, min_bytes_per_s=services.settings.min_upload_bytes_per_s)
    app.add_middleware(Polls, auth=app.state.auth, changes=app.state.changes)
    app.add_middleware(RateHeaders)
    app.add_middleware(CallerHeaders)
    app.add_middleware(PublicAddress, public_url=services.settings.public_url)
    app.add_middleware(HeadAsGet)
    app.add_middleware(ShutdownAnswers)
    app.add_middleware(RequestLog)  # the last one added is the outermost
    add_cors(app, services.settings)
    problems.install(app)
    return app

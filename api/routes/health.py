"""Is the process alive, and can it work?"""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from api.deps import ServicesDep
from api.guard.auth import TENANT
from api.wire import problems
from api.wire.schemas import Health, Problem
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import JobNotFound, ServiceUnavailable
from s2edit_jobs.records.record import Owner

router = APIRouter(tags=["health"])


@router.get("/healthz", operation_id="getLiveness", summary="Does the process answer?")
async def get_liveness() -> Health:
    """Says nothing of Redis or the object store: restarting this process would not mend them."""
    return Health()


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Can edits be taken?",
    response_model=Health,
    responses={503: {"model": Problem, "content": {"application/problem+json": {}}}},
)
def get_readiness(services: ServicesDep) -> Health | JSONResponse:
    """503 names the parts that do not answer, or says why no worker can load the model."""
    parts = {"job store": _store_answers, "object store": _artifacts_answer}
    silent = [name for name, answers in parts.items() if not answers(services)]
    trouble = None if "object store" in silent else _trouble(services)
    return problems.response(problems.not_ready(silent, trouble)) if silent or trouble else Health()


def _trouble(services: Services) -> str | None:
    try:
        return services.watch.trouble(services.artifacts, services.settings.model)
    except ServiceUnavailable:
        return None


def _store_answers(services: Services) -> bool:
    try:
        services.store.get(Owner(TENANT, "readyz"), "readyz")
    except JobNotFound:
        return True
    except ServiceUnavailable:
        return False
    return True


def _artifacts_answer(services: Services) -> bool:
    try:
        services.artifacts.exists("readyz")
    except ServiceUnavailable:
        return False
    return True

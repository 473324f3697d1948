"""Liveness and readiness checks."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from api.deps import ServicesDep
from api.wire import problems
from api.wire.problems import Problem, responses
from api.wire.query import check_query
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ServiceUnavailable, StoreUnproven

router = APIRouter(tags=["health"], dependencies=[Depends(check_query)], responses=responses(422))


class Health(BaseModel):
    """The response of a check that passed."""

    status: Annotated[str, Field(description="Always `ok`; a failed check is a problem.")] = "ok"


@router.get("/healthz", operation_id="getLiveness", summary="Check that the process answers")
async def get_liveness() -> Health:
    """This check ignores Redis and the object store: restarting the process would not repair them."""
    return Health()


@router.get(
    "/readyz",
    operation_id="getReadiness",
    summary="Check that the service can accept edits",
    response_model=Health,
    responses={503: {"model": Problem, "content": {"application/problem+json": {}}}},
)
def get_readiness(services: ServicesDep) -> Health | JSONResponse:
    """A 503 names the parts that do not answer, or says why no worker can load the model."""
    redis_answers = _store_answers(services)
    answers = {"job store": redis_answers, "object store": _artifacts_answer(services, redis_answers)}
    silent = [name for name, answered in answers.items() if not answered]
    failure = None if "object store" in silent else _model_failure(services)
    return problems.response(problems.not_ready(silent, failure)) if silent or failure else Health()


def _model_failure(services: Services) -> str | None:
    try:
        return services.watch.problem(services.artifacts, services.settings.model)
    except ServiceUnavailable:
        return None


def _store_answers(services: Services) -> bool:
    """Write, because a full Redis or a replica still answers reads. The value expires by itself."""
    try:
        services.store.tasks.take_task("readyz", every_s=0)
    except ServiceUnavailable:
        return False
    return True


def _artifacts_answer(services: Services, redis_answers: bool) -> bool:
    """Return whether the object store answers a read now, and took the last write of the probe.

    One that lacks Redis alone answers: the missing part is Redis.
    """
    try:
        services.artifacts.exists("readyz")
    except StoreUnproven:
        return not redis_answers
    except ServiceUnavailable:
        return False
    return services.write_probe.succeeds(services.artifacts)

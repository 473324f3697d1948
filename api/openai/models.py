"""`GET /v1/models`: the served model, under its own name and the aliases that the operator has set."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter, HTTPException

from api.deps import Caller, ServicesDep
from api.openai.answers import ModelList, ModelObject
from api.wire.openai_errors import OpenAIError
from s2edit_core.base_model.model_files import HUB_ID, local_path
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.settings import ROOT, Settings

router = APIRouter(
    tags=["openai"], responses={400: {"model": OpenAIError, "description": "A header or a query parameter is wrong."}}
)


@router.get("/v1/models", operation_id="listModels", summary="List the models in OpenAI's shape", response_model=ModelList)
def list_models(services: ServicesDep, owner: Caller) -> ModelList:  # noqa: ARG001 - the route is for callers only
    """The service serves one model. Its aliases are names that it answers to as well."""
    settings = services.settings
    return ModelList(data=[_view(settings, name) for name in model_names(settings)])


@router.get(
    "/v1/models/{model:path}",
    operation_id="retrieveModel",
    summary="Get a model in OpenAI's shape",
    response_model=ModelObject,
    responses={404: {"model": OpenAIError, "description": "The service has no such model."}},
)
def retrieve_model(model: str, services: ServicesDep, owner: Caller) -> ModelObject:  # noqa: ARG001
    """The served model, by its name or an alias."""
    if model not in model_names(services.settings):
        raise ModelNotFound(_unknown(services.settings, model))
    return _view(services.settings, model)


class ModelNotFound(HTTPException):
    code = "model_not_found"

    def __init__(self, message: str) -> None:
        super().__init__(404, message)


def model_names(settings: Settings) -> tuple[str, ...]:
    """Return the name of the served model, and its aliases."""
    from_hub = HUB_ID.fullmatch(settings.model) and local_path(settings.model, ROOT) is None
    return (settings.model if from_hub else Path(settings.model).stem, *settings.served_aliases)


def check_model(settings: Settings, model: str | None) -> None:
    """Raise `OptionInvalid` for a model that is not served."""
    if model is not None and model not in model_names(settings):
        raise OptionInvalid(_unknown(settings, model), field="model", reason="model_not_found")


def _unknown(settings: Settings, model: str) -> str:
    return f"the service has no model {model[:80]!r}: send {' or '.join(map(repr, model_names(settings)))}, or leave model out"


def _view(settings: Settings, name: str) -> ModelObject:
    path = local_path(settings.model, ROOT)
    return ModelObject(id=name, created=int(path.stat().st_mtime) if path is not None else 0)

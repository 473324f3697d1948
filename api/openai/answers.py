"""The answers of `/v1` in OpenAI's shapes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from api.openai.parameters import QUALITIES, OpenAIOptions, Quality
from s2edit_core.pictures.containers import read_header
from s2edit_core.request.spec import EditRequest, OutputFormat
from s2edit_jobs.records.record import JobRecord

Background = Literal["transparent", "opaque", "auto"]


class ImageView(BaseModel):
    """One picture: `b64_json` or `url`, as asked for."""

    b64_json: Annotated[str | None, Field(description="The picture's file in base64; absent with `response_format=url`.")] = None
    url: Annotated[str | None, Field(description="A signed link to the picture; absent unless `response_format=url`.")] = None


class ImagesView(BaseModel):
    """The edited pictures. `id`, `identity` and `warnings` are this service's own."""

    created: Annotated[int, Field(description="When the edit was done, in seconds since the epoch.")]
    data: Annotated[list[ImageView], Field(description="The pictures: the edit itself, then its variants.")]
    output_format: Annotated[OutputFormat, Field(description="The format of the pictures.")]
    quality: Annotated[Quality, Field(description="`low` for the preset `instant`, else `high`.")]
    size: Annotated[str | None, Field(description="Width and height, the photo's own.", examples=["1024x768"])]
    background: Annotated[Background, Field(description="`transparent` if the pictures have transparency, else `opaque`.")]
    id: Annotated[str, Field(description="The id of the edit, for `GET /edits/{edit_id}` and as `parent` of another.")]
    identity: Annotated[str | None, Field(description="The id of the identity that was learned or used. Later edits can name it.")]
    warnings: Annotated[
        list[str] | None, Field(description="What probably is not as you wanted it; absent if there is nothing.")
    ] = None
    safety_identifier: Annotated[str | None, Field(description="The user, if the request named one; else absent.")] = None


class ModelObject(BaseModel):
    """A model that `model` may name."""

    id: Annotated[str, Field(description="The name to send as `model`.")]
    object: Annotated[Literal["model"], Field(description="Always `model`.")] = "model"
    created: Annotated[int, Field(description="When the model's files were made, in seconds since the epoch; 0 while unknown.")]
    owned_by: Annotated[str, Field(description="Always `s2edit`.")] = "s2edit"


class ModelList(BaseModel):
    """The served model, under its own name and its aliases."""

    object: Annotated[Literal["list"], Field(description="Always `list`.")] = "list"
    data: Annotated[list[ModelObject], Field(description="The served model first.")]


def facts_of(
    record: JobRecord, request: EditRequest, report: Mapping[str, Any], first: bytes, options: OpenAIOptions
) -> dict[str, Any]:
    """Return what is the same for all pictures of a finished edit. `first` is the file of the first."""
    output = report.get("output", {})
    user = options.safety_identifier or options.user
    return {
        "created": int(record.updated_at),
        "output_format": request.output_format,
        "quality": QUALITIES[request.preset],
        "size": size_of(first),
        "background": "transparent" if output.get("alpha") == "kept" else "opaque",
        "id": record.id,
        "identity": record.identity,
        **({"warnings": report["warnings"]} if report.get("warnings") else {}),
        **({"safety_identifier": user} if user else {}),
    }


def size_of(picture: bytes) -> str | None:
    """Return width and height of a picture, by its header."""
    header = read_header(picture)
    return None if header is None else f"{header.size[0]}x{header.size[1]}"

"""The studio's question whether what its user typed is an instruction. The rules are those of every prompt; no job starts."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from api.deps import PrincipalDep
from s2edit_core.request.domains import DEFAULT_SUBJECTS
from s2edit_core.request.wording.instructions import rephrased
from s2edit_jobs.records.vocabulary import Vocabulary

router = APIRouter(include_in_schema=False)
MAX_TEXT = 300
"""The most characters of a text. `form.js` sends no longer one."""


class Typed(BaseModel):
    """What a user typed, and the word for who is in the photo, if the page knows it."""

    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(max_length=MAX_TEXT)]
    subject: Annotated[str | None, Field(max_length=100)] = None


class Described(BaseModel):
    """The descriptions to type instead. `is_example`: they only show what one looks like."""

    prompt: str
    source_prompt: str | None
    is_example: bool


@router.post("/studio/suggestion")
def suggest(typed: Typed, request: Request, _: PrincipalDep) -> Described | None:
    """Return how to describe what an instruction asks for; null for a text that is none."""
    vocabulary = cast(Vocabulary | None, request.app.state.vocabulary)
    said = rephrased(typed.text, typed.subject, vocabulary.subjects if vocabulary is not None else DEFAULT_SUBJECTS)
    return None if said is None else Described(prompt=said.prompt, source_prompt=said.source_prompt, is_example=said.is_example)

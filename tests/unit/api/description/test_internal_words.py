"""Messages to users hold no internal words: what the guide calls an identity, an attribute or a request is called so everywhere."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from api.wire.problem_kinds import HTTP_DETAILS, KINDS
from s2edit_core.request.prompt_syntax import NOTATIONS
from s2edit_core.request.texts import counted
from s2edit_jobs.records.stored import damaged
from s2edit_jobs.settings import ROOT

INTERNAL = re.compile(
    r"\b(concepts?|artifacts?|specs?|markers?|fenc(e|ing)|leases?|rows?|latents?|directives?|outcomes?|enum|regex)\b"
)
PLACES = ("api", "s2edit_jobs", "s2edit_core/request", "s2edit_core/pictures", "worker/attempts", "cli/mcp_server")
ERRORS = re.compile(
    r"\w*(Invalid|Refused|Mismatch|HTTPException|ToolError|KeyReused|Erased|InFlight|refused|unknown|invalid|outcome)$"
)
"""The names of what makes a message that reaches a user."""


def text_of(node: ast.expr) -> str:
    """Return the text of a literal, without its values."""
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in node.values)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def messages() -> Iterator[tuple[str, str]]:
    for path in sorted(path for place in PLACES for path in (ROOT / place).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ERRORS.fullmatch(ast.unparse(node.func)):
                for argument in node.args:
                    if " " in (text := text_of(argument)):
                        yield f"{path.relative_to(ROOT)}:{node.lineno}", text


def test_there_are_many_messages() -> None:
    assert len(list(messages())) > 100


@pytest.mark.parametrize(("place", "text"), list(messages()))
def test_no_message_holds_an_internal_word(place: str, text: str) -> None:
    assert not INTERNAL.search(text), (place, text)


def test_nor_does_a_problem_or_the_refusal_of_a_notation() -> None:
    texts = [text for kind in KINDS.values() for text in (kind.title, kind.detail or "")]
    for text in (*texts, *HTTP_DETAILS.values(), *(words for _, words in NOTATIONS)):
        assert not INTERNAL.search(text), text


@pytest.mark.parametrize("kind", ["spec", "outcome", "concept", "found mask", "image", "mask"])
def test_nor_does_the_failure_of_a_damaged_record(kind: str) -> None:
    assert not INTERNAL.search(str(damaged(kind, "it is not JSON")))


@pytest.mark.parametrize(("number", "words"), [(0, "0 pixels"), (1, "1 pixel"), (2, "2 pixels")])
def test_a_number_stands_before_the_right_form(number: int, words: str) -> None:
    assert counted(number, "pixel") == words

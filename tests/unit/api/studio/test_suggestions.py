"""What the studio asks about the words that its user types."""

from __future__ import annotations

import pytest

from api.guard.auth import scope_of
from api.studio.page import FOLDER
from api.studio.suggestions import MAX_TEXT
from s2edit_jobs.access.keys import KeyRing
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import bearer, with_auth
from tests.unit.api.wire.test_bad_input import assert_problem

HAT_OFF = {"prompt": "a photo of a woman", "source_prompt": "a photo of a woman with a hat", "is_example": False}


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ({"text": "take off her hat"}, HAT_OFF),
        ({"text": "make her smile please"}, {"prompt": "a photo of a smiling woman", "source_prompt": None, "is_example": False}),
        (
            {"text": "make it snow", "subject": "church"},
            {"prompt": "a photo of a church in snow", "source_prompt": None, "is_example": False},
        ),
        (
            {"text": "blur the background"},
            {"prompt": "a photo of a woman with red hair", "source_prompt": None, "is_example": True},
        ),
        ({"text": "red hair, smiling"}, None),
        ({"text": ""}, None),
    ],
)
def test_an_instruction_is_answered_with_a_description(api: Api, typed: dict[str, str], said: dict[str, object] | None) -> None:
    answer = api.client.post("/studio/suggestion", json=typed)
    assert (answer.status_code, answer.json()) == (200, said)
    assert not api.store.leases.orphans()


def test_its_text_is_short(api: Api) -> None:
    assert api.client.post("/studio/suggestion", json={"text": "a" * MAX_TEXT}).json() is None
    assert_problem(api.client.post("/studio/suggestion", json={"text": "a" * (MAX_TEXT + 1)}), 422, "option_invalid", "text")


def test_it_needs_the_scope_of_an_edit(api: Api, ring: KeyRing) -> None:
    assert scope_of("POST", "/studio/suggestion") == scope_of("POST", "/edits")
    _, reader = ring.create("acme", ["edits:read"])
    with_auth(api, "keys")
    assert_problem(api.client.post("/studio/suggestion", json={"text": ""}, headers=bearer(reader)), 403, "scope_missing")


def test_the_page_sends_no_longer_text() -> None:
    assert f"const MAX_TEXT = {MAX_TEXT};" in (FOLDER / "form.js").read_text(encoding="utf-8")

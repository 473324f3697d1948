"""The names under which durations are measured, and their parts."""

from __future__ import annotations

import pytest

from s2edit_core.request.presets import PRESETS
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest, PresetName
from s2edit_jobs.records.estimate_keys import estimate_key, parts_of

EDIT = "a photo of a woman"


@pytest.mark.parametrize("test", [False, True])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_key_without_the_numbers_of_its_request_is_that_of_a_request_without_them(preset: PresetName, test: bool) -> None:
    plain = EditRequest(prompt=EDIT, preset=preset)
    for request in (plain, *(EditRequest(prompt=EDIT, preset=preset, variants=2, steps=steps) for steps in (None, 7))):
        parts = parts_of(estimate_key(request, test=test))
        assert parts is not None
        assert "".join(parts) == estimate_key(plain, test=test)
        assert (parts.learning, parts.preset) == ("", preset)


@pytest.mark.parametrize("test", [False, True])
def test_the_keys_of_other_jobs_have_no_numbers(test: bool) -> None:
    for request, learning in (
        (MaskRequest(), ""),
        (LearningRequest(kind="identity", prompt=EDIT), "identity:"),
        (LearningRequest(kind="attribute", prompt="a woman with [A] hat"), "attribute:"),
    ):
        parts = parts_of(key := estimate_key(request, test=test))
        assert parts is not None
        assert ("".join(parts), parts.learning) == (key, learning)


@pytest.mark.parametrize("key", ["", ":x2", "balanced:q2", "balanced:x", "test:", "a:b:c"])
def test_what_no_release_makes_has_no_parts(key: str) -> None:
    assert parts_of(key) is None

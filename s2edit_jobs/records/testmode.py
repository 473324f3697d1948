"""Test mode: directives such as `[test:slow 5]` in a prompt let an app's tests choose how a job ends. Only test keys have it.

A test key gives access to its tenant's test tenant (`record.tenant_of_test_mode`), so test data and live data are as separate as
those of two tenants. Test jobs take the same path as all jobs, except that the worker uses an engine without a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from s2edit_core.errors import (
    ArtifactMismatch,
    DeviceOutOfMemory,
    MaskInvalid,
    ModelUnusable,
    NumbersNotFinite,
    OptionInvalid,
    PromptInvalid,
)
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.records.record import Owner

MAX_SLOW_S = 60.0
OPENING = "[test:"
OVERDUE = "deadline_exceeded"
MASK_NOT_FOUND = "mask_not_found"
_WORD = re.compile(r"\[test:([^\[\]]*)\]")


class AttemptLost(Exception):
    """Simulates an unexpected exception in a worker's attempt."""


FAILURES: Mapping[str, Callable[[str], Exception]] = {
    "parked": AttemptLost,
    OVERDUE: AttemptLost,  # the job's deadline passes first
    "out_of_memory": DeviceOutOfMemory,
    "numbers_not_finite": NumbersNotFinite,
    "artifact_mismatch": ArtifactMismatch,
    "model_unusable": ModelUnusable,
    "identity_unknown": lambda message: OptionInvalid(message, field="identity", reason="identity_unknown"),
    "attribute_unknown": lambda message: OptionInvalid(message, field="attributes", reason="attribute_unknown"),
    MASK_NOT_FOUND: lambda message: MaskInvalid(message, field="mask", reason=MASK_NOT_FOUND),
    "prompt_too_long": lambda message: PromptInvalid(message, field="prompt", reason="prompt_too_long"),
    "subject_unknown": lambda message: PromptInvalid(message, field="prompt", reason="subject_unknown"),
    "subject_not_in_prompt": lambda message: PromptInvalid(message, field="prompt", reason="subject_not_in_prompt"),
}
"""The exception that the worker's attempt raises, by the error code of the job."""


@dataclass(frozen=True, slots=True)
class Directives:
    """What a test job's prompt asks for. Without directives, the job succeeds at once."""

    slow_s: float = 0.0
    fails: str | None = None  # a code of `FAILURES`
    refused: bool = False
    webhook_twice: bool = False

    @property
    def duration_s(self) -> float:
        """How long the attempt lasts. A job that shall miss its deadline lasts `MAX_SLOW_S`."""
        return MAX_SLOW_S if self.fails == OVERDUE else self.slow_s

    def raise_failure(self) -> None:
        """Raise the requested failure, if any."""
        if self.fails is not None:
            raise FAILURES[self.fails]("test mode: the prompt asked for this failure")


def parse_directives(prompt: str) -> Directives:
    """Parse the directives `[test:…]` in `prompt`. Raise `PromptInvalid` for one that is unknown, repeated or not closed."""
    words = _WORD.findall(prompt)
    if len(words) < prompt.count(OPENING):
        raise _refused(f"a test word that begins with {OPENING} has no closing bracket: write it like [test:slow 5]")
    directives: dict[str, float | str | bool] = {}
    for word in words:
        name, value = _parse_directive(word)
        if name in directives:
            raise _refused(f"the test word [test:{name} …] occurs twice: write it once")
        directives[name] = value
    slow_s, fails = directives.get("slow", 0.0), directives.get("failed")
    assert isinstance(slow_s, float)
    assert fails is None or isinstance(fails, str)
    return Directives(slow_s, fails, "refused" in directives, "webhook_twice" in directives)


Request = TypeVar("Request", EditRequest, LearningRequest, MaskRequest)


def without_directives(owner: Owner, request: Request) -> Request:
    """Return `request` without test directives, so that they do not count towards the prompt's length.

    Requests of live tenants are returned unchanged. Raise `PromptInvalid` if a required prompt contains nothing else.
    """
    if not owner.test:
        return request
    prompts: dict[str, Any] = {
        name: _WORD.sub("", text) for name in ("prompt", "source_prompt") if (text := getattr(request, name, None))
    }
    if isinstance(request, MaskRequest) and not prompts.get("prompt", "").strip():
        prompts = {"prompt": None}
    return replace(request, **prompts)


def _parse_directive(word: str) -> tuple[str, float | str | bool]:
    name, _, argument = word.partition(" ")
    if name in ("refused", "webhook_twice") and not argument:
        return name, True
    if name == "slow" and re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", argument) and float(argument) <= MAX_SLOW_S:
        return name, float(argument)
    if name == "failed" and argument in FAILURES:
        return name, argument
    raise _refused(
        f"{OPENING}{word[:80]}] is no test word: there are [test:slow N] with seconds up to {MAX_SLOW_S:g}, [test:refused], "
        f"[test:webhook_twice], and [test:failed CODE] with {', '.join(FAILURES)}"
    )


def _refused(words: str) -> PromptInvalid:
    return PromptInvalid(words, field="prompt", reason="test_word_unknown")

"""Test mode: what an app's own tests may ask for by words in a prompt. Only prompts of test keys are searched for them.

A test key acts for its tenant's twin (`record.twin`), so what it makes is apart from live data as one tenant's is from another's.
Its jobs go the way of all jobs, up to the worker, which answers them without a model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from s2edit_core.errors import ArtifactMismatch, MaskInvalid, ModelUnusable, NumbersNotFinite, OptionInvalid, PromptInvalid
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.records.record import Owner

MAX_SLOW_S = 60.0
OPENING = "[test:"
OVERDUE = "deadline_exceeded"
MASK_NOT_FOUND = "mask_not_found"
_WORD = re.compile(r"\[test:([^\[\]]*)\]")


class AttemptLost(Exception):
    """Stands for whatever ends a worker's attempt and says nothing of the job."""


FAILURES: Mapping[str, Callable[[str], Exception]] = {
    "parked": AttemptLost,
    OVERDUE: AttemptLost,  # the job's deadline passes first
    "numbers_not_finite": NumbersNotFinite,
    "artifact_mismatch": ArtifactMismatch,
    "model_unusable": ModelUnusable,
    "identity_unknown": lambda message: OptionInvalid(message, field="identity", reason="identity_unknown"),
    "attribute_unknown": lambda message: OptionInvalid(message, field="attributes", reason="attribute_unknown"),
    MASK_NOT_FOUND: lambda message: MaskInvalid(message, field="mask", reason=MASK_NOT_FOUND),
    "prompt_too_long": lambda message: PromptInvalid(message, field="prompt", reason="prompt_too_long"),
    "subject_unknown": lambda message: PromptInvalid(message, field="subject", reason="subject_unknown"),
    "subject_not_in_prompt": lambda message: PromptInvalid(message, field="prompt", reason="subject_not_in_prompt"),
}
"""What is raised in the worker's attempt, by the code that the job fails with."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a job of test mode shall go; without any it succeeds at once."""

    slow_s: float = 0.0
    fails: str | None = None  # a code of `FAILURES`
    refused: bool = False
    webhook_twice: bool = False

    @property
    def lasts_s(self) -> float:
        """How long the worker is to be at it: past its deadline, if that is what the job shall fail by."""
        return MAX_SLOW_S if self.fails == OVERDUE else self.slow_s

    def check_fate(self) -> None:
        """Raises what the job shall fail with, if it shall."""
        if self.fails is not None:
            raise FAILURES[self.fails]("the prompt has asked for this failure, in test mode")


def wishes_in(prompt: str) -> Wishes:
    """What the words `[test:…]` of `prompt` ask for. Raises `PromptInvalid` for one that means nothing, or comes twice."""
    words = _WORD.findall(prompt)
    if len(words) < prompt.count(OPENING):
        raise _refused(f"a word that begins with {OPENING} is not closed: write it as in [test:slow 5]")
    wishes: dict[str, float | str | bool] = {}
    for word in words:
        name, value = _wish(word)
        if name in wishes:
            raise _refused(f"the words [test:{name} …] come twice: write one")
        wishes[name] = value
    slow_s, fails = wishes.get("slow", 0.0), wishes.get("failed")
    assert isinstance(slow_s, float)
    assert fails is None or isinstance(fails, str)
    return Wishes(slow_s, fails, "refused" in wishes, "webhook_twice" in wishes)


Request = TypeVar("Request", EditRequest, LearningRequest, MaskRequest)


def spoken(owner: Owner, request: Request) -> Request:
    """`request` as a model would hear it: in test mode without the words, which shall not make its prompts too long.

    Raises `PromptInvalid` where nothing else is left, though there must be a prompt.
    """
    if not owner.test:
        return request
    prompts: dict[str, Any] = {
        name: _WORD.sub("", text) for name in ("prompt", "source_prompt") if (text := getattr(request, name, None))
    }
    if isinstance(request, MaskRequest) and not prompts.get("prompt", "").strip():
        prompts = {"prompt": None}
    return replace(request, **prompts)


def _wish(word: str) -> tuple[str, float | str | bool]:
    name, _, argument = word.partition(" ")
    if name in ("refused", "webhook_twice") and not argument:
        return name, True
    if name == "slow" and re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", argument) and float(argument) <= MAX_SLOW_S:
        return name, float(argument)
    if name == "failed" and argument in FAILURES:
        return name, argument
    raise _refused(
        f"{OPENING}{word[:80]}] means nothing: there are [test:slow N] with seconds up to {MAX_SLOW_S:g}, [test:refused], "
        f"[test:webhook_twice], and [test:failed CODE] with {', '.join(FAILURES)}"
    )


def _refused(words: str) -> PromptInvalid:
    return PromptInvalid(words, field="prompt", reason="test_word_unknown")

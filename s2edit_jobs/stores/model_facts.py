"""The workers' reports about the served model, stored in the object store, and the API's view of them.

The API never loads torch. From the reports it knows which artifacts fit the model and whether the model can be loaded.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar

from s2edit_core.base_model.model_files import Model, find_model, local_path
from s2edit_core.errors import ModelUnusable
from s2edit_core.request.domains import DEFAULT_DOMAINS, Domain, attribute_words_of, subjects_of, word_bank
from s2edit_core.request.plan import digest
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_jobs.records.errors import ArtifactMissing, ModelFailed, ModelUnknown, RecordUnusable
from s2edit_jobs.records.record import Timestamp
from s2edit_jobs.records.set_aside import count_aside
from s2edit_jobs.records.stored import Kind, read_record
from s2edit_jobs.records.vocabulary import ROOT, load_vocabulary
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore

Report = TypeVar("Report")
REPORT_S = 20.0
"""Seconds between two reports of a worker that has loaded the model."""
ALIVE_S = 60.0
"""Seconds after its last report for which a worker is assumed to have the model."""
ASSUMED_WIDTH = 768
"""Width of Stable Diffusion 1.x, for test mode with a model that is not on this machine and that no worker has reported."""
CACHE_S = 2.0
"""Seconds for which a process caches the answer of `problem_with`."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """What the API needs to know of the model.

    `width` is the length of a token embedding. `layers` holds (out, in) of the key projection of each cross-attention layer.
    `domains` come from the model's card. `subjects` and `attribute_words` are those of all domains, without duplicates: earlier
    releases read and write only these.
    """

    fingerprint: str
    width: int
    layers: tuple[tuple[int, int], ...]
    subjects: tuple[str, ...]
    attribute_words: tuple[str, ...] = ()
    legacy_fingerprint: str | None = None  # carried by artifacts of earlier releases
    domains: tuple[Domain, ...] = ()

    def recognises(self, fingerprint: object) -> bool:
        """Whether an artifact with `fingerprint` was made with this model."""
        return isinstance(fingerprint, str) and fingerprint in (self.fingerprint, self.legacy_fingerprint)

    def word_bank(self, subject: str, placeholder: str = PLACEHOLDER) -> tuple[str, ...]:
        """Return the words that the concept `placeholder` of `subject` is held orthogonal to."""
        return word_bank(self.domains or (Domain(self.subjects, self.attribute_words),), subject, placeholder)


REPORTS = "models/"
"""Key prefix of the reports."""
TEST_FINGERPRINT = "test"
"""Fingerprint of test mode, which has no model. So no artifact of test mode fits a live model, and vice versa."""


def of_test_mode(facts: ModelFacts) -> ModelFacts:
    """Return the facts that test mode uses: those of the live model, with the fingerprint of test mode."""
    return replace(facts, fingerprint=TEST_FINGERPRINT, legacy_fingerprint=None)


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why a worker could not load a model, in words for the operator, and when (`at`, seconds since the epoch).

    `part` is "model", or the name of the auxiliary model (`adapters.Part`).
    """

    message: str
    at: Timestamp
    part: str = "model"


@dataclass(frozen=True, slots=True)
class ReportedFacts(ModelFacts):
    """The facts as they are stored."""

    reported_at: Timestamp = 0.0


def report_loaded(artifacts: ArtifactStore, model: str, facts: ModelFacts) -> None:
    """Report that a worker has loaded `model`."""
    _put_report(artifacts, model, ReportedFacts(**{**_values_of(facts), "reported_at": time.time()}))


def _values_of(facts: ModelFacts) -> dict[str, Any]:
    return {field.name: getattr(facts, field.name) for field in fields(facts)}


def _put_report(artifacts: ArtifactStore, model: str, report: ReportedFacts) -> None:
    artifacts.put(_key(model), json.dumps(asdict(report)).encode(), media_type=JSON)


def report_failure(artifacts: ArtifactStore, model: str, message: str, part: str = "model") -> None:
    """Report that a worker could not load `model`, or the auxiliary model `part`."""
    artifacts.put(_failure_key(model), json.dumps(asdict(LoadFailure(message, time.time(), part))).encode(), media_type=JSON)


def report_stopped(artifacts: ArtifactStore, model: str) -> None:
    """Report that a worker has stopped, so that its last report no longer counts as alive. `s2edit up` calls this.

    If other workers have the model, their next reports show it.
    """
    if (loaded := _read_report(artifacts, model)) is not None:
        failed = load_failure(artifacts, model)
        if failed is not None and failed.at <= loaded.reported_at:
            clear_failure(artifacts, model)  # a worker has loaded the model since: the older failure must not count again
        _put_report(artifacts, model, replace(loaded, reported_at=min(loaded.reported_at, time.time() - ALIVE_S)))


def clear_failure(artifacts: ArtifactStore, model: str) -> None:
    """Remove the last start's failure report. `s2edit up` calls this when it starts."""
    artifacts.delete_prefix(_failure_key(model))


def facts_of(artifacts: ArtifactStore, model: str, *, test: bool = False) -> ModelFacts:
    """Return what the latest worker reported. Raise `ModelUnknown` if there is no report.

    With `test`, return the facts that test mode uses. They need no worker: without a report, `assumed_test_facts` takes its place.
    """
    report = _read_report(artifacts, model)
    if report is None:
        if test:
            return assumed_test_facts(model)
        raise ModelUnknown("no worker has reported its model yet: wait until a worker has started")
    facts = ModelFacts(**{field.name: getattr(report, field.name) for field in fields(ModelFacts)})
    return of_test_mode(facts) if test else facts


def assumed_test_facts(model: str) -> ModelFacts:
    """Return facts for test mode from the model's files on this machine, as far as there are any. Loads no weights."""
    domains, width = DEFAULT_DOMAINS, ASSUMED_WIDTH
    with suppress(ModelUnusable, OSError, ValueError, KeyError, TypeError):
        if (vocabulary := load_vocabulary(model, ROOT)) is not None:
            domains = vocabulary.domains
        if (path := local_path(model, ROOT)) is not None and path.is_dir():
            width = int(json.loads((path / "text_encoder" / "config.json").read_text(encoding="utf-8"))["hidden_size"])
    return ModelFacts(TEST_FINGERPRINT, width, (), subjects_of(domains), attribute_words_of(domains), domains=domains)


def reported_since(artifacts: ArtifactStore, model: str, since: float) -> bool:
    """Return whether a worker has reported the loaded model at or after `since`, in seconds since the epoch."""
    loaded = _read_report(artifacts, model)
    return loaded is not None and loaded.reported_at >= since


def load_failure(artifacts: ArtifactStore, model: str) -> LoadFailure | None:
    """Return the last reported failure to load `model`, whether or not a worker has loaded it since."""
    return _read("model failure", LoadFailure, artifacts, _failure_key(model))


def failure_of(artifacts: ArtifactStore, model: str) -> LoadFailure | None:
    """Return why the last worker that tried could not load `model`, or None if a worker has it or has loaded it since."""
    failed, loaded = load_failure(artifacts, model), _read_report(artifacts, model)
    reported_at = loaded.reported_at if loaded else 0.0
    return None if failed is None or failed.at <= reported_at or time.time() - reported_at < ALIVE_S else failed


def problem_with(artifacts: ArtifactStore, model: str) -> str | None:
    """Return why no worker can use `model`, or None if no reason is known.

    A worker that has the model decides first, then a worker's failure report, then the model's files on this machine. The files
    decide last, because the API may run on another machine than the workers or have only the model's tokenizer.
    """
    if (failure := failure_of(artifacts, model)) is not None:
        return failure.message
    loaded = _read_report(artifacts, model)
    if loaded and time.time() - loaded.reported_at < ALIVE_S:
        return None
    if local_path(model, ROOT) is None:  # a hub id, or a path on the workers' machine
        return None
    try:
        inspect_model(model, weights=False)
    except ModelUnusable as error:
        return str(error)
    return None


def inspect_model(model: str, *, weights: bool = True) -> Model:
    """Return what `model` names (see `find_model`), after checking its files without loading them. Raise `ModelUnusable`."""
    found = find_model(model, ROOT, weights=weights)
    load_vocabulary(model, ROOT)
    return found


class ModelWatch:
    """A cache of `problem_with` for one process. Entries live `CACHE_S` seconds."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[str, float, str | None] | None = None

    def problem(self, artifacts: ArtifactStore, model: str) -> str | None:
        """Return what `problem_with` returns. Raise `ArtifactsUnavailable`."""
        with self._lock:
            if self._known is not None and self._known[0] == model and self._clock() < self._known[1]:
                return self._known[2]
        found = problem_with(artifacts, model)
        with self._lock:
            self._known = (model, self._clock() + CACHE_S, found)
        return found

    def check(self, artifacts: ArtifactStore, model: str) -> None:
        """Raise `ModelFailed` if no worker can use the model, so that an edit would wait in vain."""
        if (found := self.problem(artifacts, model)) is not None:
            raise ModelFailed(found)


def _read_report(artifacts: ArtifactStore, model: str) -> ReportedFacts | None:
    return _read("model report", ReportedFacts, artifacts, _key(model))


def _read(kind: Kind, shape: type[Report], artifacts: ArtifactStore, key: str) -> Report | None:
    """Return a report, or None if there is none or it can't be read: the workers write a new one within `REPORT_S` seconds."""
    try:
        return read_record(kind, shape, artifacts.get(key))
    except ArtifactMissing:
        return None
    except RecordUnusable as error:
        count_aside(kind, key, error)
        return None


def _key(model: str) -> str:
    return f"{REPORTS}{digest(model.encode())[:32]}.json"


def _failure_key(model: str) -> str:
    return f"{REPORTS}{digest(model.encode())[:32]}.failure.json"

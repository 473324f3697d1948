"""What the workers report of the model that they serve, as marker objects in the object store, and what follows for the service.

The API never loads torch. So the workers' reports tell it which artifacts the model recognises, and whether it can be loaded.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from s2edit_core.checkpoints.model_files import Model, find_model, local_path
from s2edit_core.errors import ModelUnusable
from s2edit_core.request.plan import digest
from s2edit_jobs.records.errors import ArtifactMissing, ModelFailed, ModelUnknown
from s2edit_jobs.records.vocabulary import ROOT, load_vocabulary
from s2edit_jobs.stores.artifacts import JSON, ArtifactStore

REPORT_S = 20.0
"""Seconds between two reports of a worker that has loaded the model."""
ALIVE_S = 60.0
"""Seconds after its last report for which a worker is believed to have the model."""
BELIEVED_S = 2.0
"""Seconds for which a process believes what it has read."""


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """`width` is the length of a token's embedding; `layers` are (out, in) of the key projection of each cross-attention layer.

    `subjects` and `attribute_words` are those of the model's card.
    """

    fingerprint: str
    width: int
    layers: tuple[tuple[int, int], ...]
    subjects: tuple[str, ...]
    attribute_words: tuple[str, ...] = ()
    legacy_fingerprint: str | None = None  # carried by artifacts of earlier releases

    def recognises(self, fingerprint: object) -> bool:
        """Whether an artifact with `fingerprint` was made with this model."""
        return isinstance(fingerprint, str) and fingerprint in (self.fingerprint, self.legacy_fingerprint)


TEST_FINGERPRINT = "test"
"""Stands for the model where none draws, so that nothing of test mode fits a live service, nor the reverse."""


def of_test_mode(facts: ModelFacts) -> ModelFacts:
    """What test mode takes for the model: the words of the real one, and nothing of its weights."""
    return replace(facts, fingerprint=TEST_FINGERPRINT, legacy_fingerprint=None)


@dataclass(frozen=True, slots=True)
class LoadFailure:
    """Why a worker could not load the model, in words for who runs the service, and when (seconds since the epoch).

    `part` is "model", or which of the models beside it (`adapters`) it was.
    """

    message: str
    at: float
    part: str = "model"


def tell(artifacts: ArtifactStore, model: str, facts: ModelFacts) -> None:
    """A worker reports that it serves `facts` under the name `model`, now."""
    artifacts.put(_key(model), json.dumps(asdict(facts) | {"reported_at": time.time()}).encode(), media_type=JSON)


def tell_failure(artifacts: ArtifactStore, model: str, message: str, part: str = "model") -> None:
    """A worker reports that it could not load `model`, or the `part` beside it."""
    artifacts.put(_failure_key(model), json.dumps(asdict(LoadFailure(message, time.time(), part))).encode(), media_type=JSON)


def tell_end(artifacts: ArtifactStore, model: str) -> None:
    """Whoever has started a worker reports that it has ended: its last report says no more that there is one.

    Where others work with the model, their next reports say so.
    """
    if (loaded := _read(artifacts, _key(model))) is not None:
        loaded["reported_at"] = min(float(loaded.get("reported_at", 0.0)), time.time() - ALIVE_S)
        artifacts.put(_key(model), json.dumps(loaded).encode(), media_type=JSON)


def forget_failure(artifacts: ArtifactStore, model: str) -> None:
    """Whoever starts the service anew begins without the last start's failure."""
    artifacts.delete_prefix(_failure_key(model))


def facts_of(artifacts: ArtifactStore, model: str, *, test: bool = False) -> ModelFacts:
    """What the latest worker has reported, as it counts live or in test mode. Raises `ModelUnknown` if there was none yet."""
    values = _read(artifacts, _key(model))
    if values is None:
        raise ModelUnknown("no worker has said yet which model it serves")
    layers = tuple((int(layer[0]), int(layer[1])) for layer in values["layers"])
    words = {name: tuple(map(str, values[name])) for name in ("subjects", "attribute_words")}
    legacy = values.get("legacy_fingerprint")  # workers of earlier releases report none
    facts = ModelFacts(values["fingerprint"], int(values["width"]), layers, **words, legacy_fingerprint=legacy)
    return of_test_mode(facts) if test else facts


def failure_of(artifacts: ArtifactStore, model: str) -> LoadFailure | None:
    """Why the last worker that tried could not load `model`; None if one has loaded it since, or still has it."""
    failed, loaded = _read(artifacts, _failure_key(model)), _read(artifacts, _key(model))
    reported_at = float(loaded.get("reported_at", 0.0)) if loaded else 0.0
    if failed is None or failed["at"] <= reported_at or time.time() - reported_at < ALIVE_S:
        return None
    return LoadFailure(str(failed["message"]), float(failed["at"]), str(failed.get("part", "model")))


def trouble_with(artifacts: ArtifactStore, model: str) -> str | None:
    """Why no edit can be done with `model`, as far as is known; None if nothing is known against it.

    A worker that has the model counts most, then what a worker could not load, then what the files here show: an API may lie on
    another machine than the workers, or have the model's words alone.
    """
    if (failure := failure_of(artifacts, model)) is not None:
        return failure.message
    loaded = _read(artifacts, _key(model))
    if loaded and time.time() - float(loaded.get("reported_at", 0.0)) < ALIVE_S:
        return None
    if local_path(model, ROOT) is None:  # a hub id, or a path of the workers' machine
        return None
    try:
        look_at(model, weights=False)
    except ModelUnusable as error:
        return str(error)
    return None


def look_at(model: str, *, weights: bool = True) -> Model:
    """What `model` names, as far as it can be used without loading it; see `find_model`. Raises `ModelUnusable` with the reason."""
    found = find_model(model, ROOT, weights=weights)
    load_vocabulary(model, ROOT)
    return found


class ModelWatch:
    """`trouble_with`, looked up once in `BELIEVED_S` and process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._known: tuple[str, float, str | None] | None = None

    def trouble(self, artifacts: ArtifactStore, model: str) -> str | None:
        """Raises `ArtifactsUnavailable`."""
        with self._lock:
            if self._known is not None and self._known[0] == model and self._clock() < self._known[1]:
                return self._known[2]
        found = trouble_with(artifacts, model)
        with self._lock:
            self._known = (model, self._clock() + BELIEVED_S, found)
        return found

    def check(self, artifacts: ArtifactStore, model: str) -> None:
        """Raises `ModelFailed` while an edit would wait for a worker that can't come."""
        if (found := self.trouble(artifacts, model)) is not None:
            raise ModelFailed(found)


def _read(artifacts: ArtifactStore, key: str) -> dict[str, Any] | None:
    try:
        values: dict[str, Any] = json.loads(artifacts.get(key))
    except ArtifactMissing:
        return None
    return values


def _key(model: str) -> str:
    return f"models/{digest(model.encode())[:32]}.json"


def _failure_key(model: str) -> str:
    return f"models/{digest(model.encode())[:32]}.failure.json"

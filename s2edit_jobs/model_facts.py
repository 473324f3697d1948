"""What the API must know of the model that the workers serve: they tell it by a note in the object store.

Without it the API could not tell whether a concept was made by the same model: the fingerprint is that of the weights.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

from s2edit_core.plan import digest
from s2edit_jobs.artifacts import ArtifactStore
from s2edit_jobs.errors import ArtifactMissing, ModelUnknown


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


TEST_FINGERPRINT = "test"
"""Stands for the model where none draws, so that nothing of test mode fits a live service, nor the reverse."""


def of_test_mode(facts: ModelFacts) -> ModelFacts:
    """What test mode takes for the model: the words of the real one, and nothing of its weights."""
    return replace(facts, fingerprint=TEST_FINGERPRINT)


def tell(artifacts: ArtifactStore, model: str, facts: ModelFacts) -> None:
    """A worker says what it serves under the name `model`."""
    artifacts.put(_key(model), json.dumps(asdict(facts)).encode(), media_type="application/json")


def facts_of(artifacts: ArtifactStore, model: str, *, test: bool = False) -> ModelFacts:
    """What the latest worker has told, as it counts live or in test mode. Raises `ModelUnknown` if there was none yet."""
    try:
        values = json.loads(artifacts.get(_key(model)))
    except ArtifactMissing:
        raise ModelUnknown("no worker has said yet which model it serves") from None
    layers = tuple((int(layer[0]), int(layer[1])) for layer in values["layers"])
    words = {name: tuple(map(str, values[name])) for name in ("subjects", "attribute_words")}
    facts = ModelFacts(values["fingerprint"], int(values["width"]), layers, **words)
    return of_test_mode(facts) if test else facts


def _key(model: str) -> str:
    return f"models/{digest(model.encode())[:32]}.json"

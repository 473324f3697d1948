"""A name or consent that comes with a person or attribute who is learned already is stored where there was none."""

from __future__ import annotations

import pytest

from s2edit_core.request.spec import LearningRequest
from s2edit_jobs.library.concepts import CONCEPT, METADATA, Library
from s2edit_jobs.library.erasure import Erasure
from s2edit_jobs.records.errors import AttributeNotFound, IdentityNotFound
from s2edit_jobs.records.record import JobState
from s2edit_jobs.stores.artifacts import concept_key
from tests.unit.worker.conftest import ANN, InProcessService
from tests.unit.worker.erasing.test_erased_concepts import learned, stored

PROMPTS = {"identity": "a photo of a woman", "attribute": "a photo of a woman with a [A] hat"}


def learn(service: InProcessService, kind: str, name: str | None = None, consent: str | None = None) -> str:
    request = LearningRequest(kind=kind, prompt=PROMPTS[kind], name=name)  # type: ignore[arg-type]
    job_id = service.accept(request, consent=consent)  # type: ignore[arg-type]
    service.work()
    return learned(service, job_id)


def name_of(service: InProcessService, concept_id: str) -> str | None:
    library = Library(service.services)
    return (library.attribute if concept_id.startswith("a_") else library.identity)(ANN, concept_id).name


@pytest.mark.parametrize("kind", PROMPTS)
def test_a_name_is_added_and_then_stays(service: InProcessService, kind: str) -> None:
    concept = learn(service, kind)
    assert name_of(service, concept) is None
    for name, after in ((None, None), ("Ada", "Ada"), ("Bea", "Ada"), (None, "Ada")):
        assert learn(service, kind, name) == concept
        assert name_of(service, concept) == after
    assert service.engine.learned == 1


def test_consent_is_added_with_its_time_and_then_stays(service: InProcessService) -> None:
    identity = learn(service, "identity", "Ada")
    learn(service, "identity", consent="Ada agreed")
    first = Library(service.services).identity(ANN, identity)
    assert first.consent is not None
    assert (first.name, first.consent.statement) == ("Ada", "Ada agreed")
    assert first.consent.given_at > first.created_at
    learn(service, "identity", consent="another")
    assert Library(service.services).identity(ANN, identity) == first


@pytest.mark.parametrize("kind", PROMPTS)
def test_what_is_erased_meanwhile_does_not_come_back(service: InProcessService, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    concept = learn(service, kind)
    card = concept_key(ANN, concept, METADATA[concept[:2]])
    again = service.accept(LearningRequest(kind=kind, prompt=PROMPTS[kind], name="Ada"))  # type: ignore[arg-type]
    put, erasing = service.artifacts.put, Erasure(service.services)

    def erase_first(key: str, data: bytes, **options: object) -> None:
        if key == card:
            monkeypatch.setattr(service.artifacts, "put", put)
            (erasing.attribute if kind == "attribute" else erasing.identity)(ANN, concept)
        put(key, data, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(service.artifacts, "put", erase_first)
    service.work()
    assert stored(service) == []
    assert service.get(again).state is JobState.FAILED
    with pytest.raises((AttributeNotFound, IdentityNotFound)):
        name_of(service, concept)


def test_a_damaged_record_costs_the_name_alone(service: InProcessService) -> None:
    identity = learn(service, "identity")
    service.artifacts.put(concept_key(ANN, identity, METADATA["c_"]), b"{", media_type="application/json")
    assert learn(service, "identity", "Ada") == identity
    assert service.artifacts.exists(concept_key(ANN, identity, CONCEPT))

"""Whether the model can be used, by what workers have reported and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s2edit_jobs.records.errors import ModelFailed
from s2edit_jobs.stores import model_facts
from s2edit_jobs.stores.model_facts import (
    ALIVE_S,
    BELIEVED_S,
    ModelFacts,
    ModelWatch,
    facts_of,
    failure_of,
    forget_failure,
    of_test_mode,
    tell,
    tell_end,
    tell_failure,
    trouble_with,
)
from tests.stores import MemoryArtifactStore

MODEL = "owner/name"
FACTS = ModelFacts("f" * 32, 4, ((8, 4),), ("woman",), ("red",), legacy_fingerprint="0" * 32)


class Moment:
    """The time, as this module sees it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def moment(monkeypatch: pytest.MonkeyPatch) -> Moment:
    moment = Moment()
    monkeypatch.setattr(model_facts, "time", moment)
    return moment


@pytest.fixture
def artifacts() -> MemoryArtifactStore:
    return MemoryArtifactStore()


def test_nothing_is_held_against_a_model_of_which_nothing_is_known(artifacts: MemoryArtifactStore) -> None:
    assert failure_of(artifacts, MODEL) is None
    assert trouble_with(artifacts, MODEL) is None


def test_a_failure_counts_until_a_worker_has_the_model(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    tell_failure(artifacts, MODEL, "no weights")
    assert trouble_with(artifacts, MODEL) == "no weights"
    assert trouble_with(artifacts, "owner/other") is None
    moment.now += 1
    tell(artifacts, MODEL, FACTS)
    assert trouble_with(artifacts, MODEL) is None
    moment.now += 10 * ALIVE_S
    assert trouble_with(artifacts, MODEL) is None


def test_one_worker_that_fails_beside_one_that_works_stops_nothing(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    tell(artifacts, MODEL, FACTS)
    moment.now += ALIVE_S / 2
    tell_failure(artifacts, MODEL, "no memory left")
    assert trouble_with(artifacts, MODEL) is None
    moment.now += ALIVE_S  # the one that worked has ended
    assert trouble_with(artifacts, MODEL) == "no memory left"


def test_a_worker_that_has_ended_hides_no_failure_and_brings_none_back(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    tell_failure(artifacts, MODEL, "long ago")
    moment.now += 2 * ALIVE_S
    tell(artifacts, MODEL, FACTS)
    moment.now += 1
    tell_end(artifacts, MODEL)
    assert trouble_with(artifacts, MODEL) is None
    moment.now += 1
    tell_failure(artifacts, MODEL, "no weights")
    assert trouble_with(artifacts, MODEL) == "no weights"
    assert facts_of(artifacts, MODEL) == FACTS
    tell_end(artifacts, "owner/other")


def test_who_starts_the_service_anew_begins_without_it(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    tell(artifacts, MODEL, FACTS)
    moment.now += 2 * ALIVE_S
    tell_failure(artifacts, MODEL, "no weights")
    forget_failure(artifacts, MODEL)
    assert trouble_with(artifacts, MODEL) is None
    assert facts_of(artifacts, MODEL) == FACTS


def test_it_is_believed_for_a_moment(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    watch = ModelWatch(clock=moment.monotonic)
    watch.check(artifacts, MODEL)
    tell_failure(artifacts, MODEL, "no weights")
    watch.check(artifacts, MODEL)
    with pytest.raises(ModelFailed):
        ModelWatch().check(artifacts, MODEL)
    moment.now += BELIEVED_S
    with pytest.raises(ModelFailed, match="no weights"):
        watch.check(artifacts, MODEL)
    watch.check(artifacts, "owner/other")


def test_a_worker_of_an_earlier_release_is_understood(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    tell(artifacts, MODEL, FACTS)
    (key,) = artifacts.objects
    values: dict[str, Any] = json.loads(artifacts.get(key))
    for name in ("legacy_fingerprint", "reported_at"):
        del values[name]
    artifacts.put(key, json.dumps(values).encode(), media_type="application/json")
    facts = facts_of(artifacts, MODEL)
    assert (facts.fingerprint, facts.legacy_fingerprint) == (FACTS.fingerprint, None)
    assert trouble_with(artifacts, MODEL) is None


def test_facts_recognise_both_fingerprints_and_test_mode_its_own_alone() -> None:
    assert FACTS.recognises("f" * 32)
    assert FACTS.recognises("0" * 32)
    assert not any(FACTS.recognises(other) for other in ("", None, "1" * 32))
    assert not ModelFacts("f", 4, (), ()).recognises(None)
    assert not any(of_test_mode(FACTS).recognises(other) for other in ("f" * 32, "0" * 32, None))


def test_a_model_that_lies_on_the_workers_machine_alone_is_left_to_them(artifacts: MemoryArtifactStore, tmp_path: Path) -> None:
    assert trouble_with(artifacts, str(tmp_path / "nowhere")) is None
    (tmp_path / "sd.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert "git lfs pull" in (trouble_with(artifacts, str(tmp_path / "sd.safetensors")) or "")

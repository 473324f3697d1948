"""The workers' reports about the model, and what the API concludes from them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from s2edit_core.request.domains import DEFAULT_SUBJECTS, Domain
from s2edit_jobs.records.errors import ModelFailed, ModelUnknown
from s2edit_jobs.records.vocabulary import load_vocabulary
from s2edit_jobs.stores import model_facts
from s2edit_jobs.stores.model_facts import (
    ALIVE_S,
    ASSUMED_WIDTH,
    CACHE_S,
    TEST_FINGERPRINT,
    ModelFacts,
    ModelWatch,
    clear_failure,
    facts_of,
    failure_of,
    load_failure,
    of_test_mode,
    problem_with,
    report_failure,
    report_loaded,
    report_stopped,
    reported_since,
)
from tests.stores import MemoryArtifactStore
from tests.unit.api.model_folder import write_model_folder

MODEL = "owner/name"
DOMAINS = (Domain(("woman", "man"), ("red", "hat")), Domain(("cat",), ("fluffy", "hat")))
FACTS = ModelFacts(
    "f" * 32, 4, ((8, 4),), ("woman", "man", "cat"), ("red", "hat", "fluffy"), legacy_fingerprint="0" * 32, domains=DOMAINS
)


class Moment:
    """A replacement for `time` with a settable clock."""

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
    assert problem_with(artifacts, MODEL) is None


def test_a_failure_counts_until_a_worker_has_the_model(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    report_failure(artifacts, MODEL, "no weights")
    assert problem_with(artifacts, MODEL) == "no weights"
    assert problem_with(artifacts, "owner/other") is None
    moment.now += 1
    report_loaded(artifacts, MODEL, FACTS)
    assert problem_with(artifacts, MODEL) is None
    moment.now += 10 * ALIVE_S
    assert problem_with(artifacts, MODEL) is None


def test_one_worker_that_fails_beside_one_that_works_stops_nothing(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    report_loaded(artifacts, MODEL, FACTS)
    moment.now += ALIVE_S / 2
    report_failure(artifacts, MODEL, "no memory left")
    assert problem_with(artifacts, MODEL) is None
    moment.now += ALIVE_S  # the worker that had the model has stopped
    assert problem_with(artifacts, MODEL) == "no memory left"


def test_a_worker_that_has_ended_hides_no_failure_and_brings_none_back(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    report_failure(artifacts, MODEL, "long ago")
    moment.now += 2 * ALIVE_S
    report_loaded(artifacts, MODEL, FACTS)
    moment.now += 1
    report_stopped(artifacts, MODEL)
    assert problem_with(artifacts, MODEL) is None
    moment.now += 1
    report_failure(artifacts, MODEL, "no weights")
    assert problem_with(artifacts, MODEL) == "no weights"
    assert facts_of(artifacts, MODEL) == FACTS
    report_stopped(artifacts, "owner/other")


def test_who_starts_the_service_anew_begins_without_it(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    report_loaded(artifacts, MODEL, FACTS)
    moment.now += 2 * ALIVE_S
    report_failure(artifacts, MODEL, "no weights")
    clear_failure(artifacts, MODEL)
    assert problem_with(artifacts, MODEL) is None
    assert facts_of(artifacts, MODEL) == FACTS


def test_it_is_believed_for_a_moment(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    watch = ModelWatch(clock=moment.monotonic)
    watch.check(artifacts, MODEL)
    report_failure(artifacts, MODEL, "no weights")
    watch.check(artifacts, MODEL)
    with pytest.raises(ModelFailed):
        ModelWatch().check(artifacts, MODEL)
    moment.now += CACHE_S
    with pytest.raises(ModelFailed, match="no weights"):
        watch.check(artifacts, MODEL)
    watch.check(artifacts, "owner/other")


def test_a_worker_of_an_earlier_release_is_understood(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    report_loaded(artifacts, MODEL, FACTS)
    (key,) = artifacts.objects
    values: dict[str, Any] = json.loads(artifacts.get(key))
    for name in ("legacy_fingerprint", "reported_at"):
        del values[name]
    artifacts.put(key, json.dumps(values).encode(), media_type="application/json")
    facts = facts_of(artifacts, MODEL)
    assert (facts.fingerprint, facts.legacy_fingerprint) == (FACTS.fingerprint, None)
    assert problem_with(artifacts, MODEL) is None


def test_an_older_failure_does_not_count_again_when_a_worker_stops(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    report_failure(artifacts, MODEL, "no weights")
    moment.now += 1
    report_loaded(artifacts, MODEL, FACTS)
    moment.now += 1
    report_stopped(artifacts, MODEL)
    assert failure_of(artifacts, MODEL) is None
    assert load_failure(artifacts, MODEL) is None
    report_failure(artifacts, MODEL, "no weights again")
    report_stopped(artifacts, MODEL)
    failure = failure_of(artifacts, MODEL)
    assert failure is not None
    assert failure.message == "no weights again"


def test_it_knows_whether_a_worker_has_the_model_since_a_moment(artifacts: MemoryArtifactStore, moment: Moment) -> None:
    assert not reported_since(artifacts, MODEL, 0.0)
    report_loaded(artifacts, MODEL, FACTS)
    assert reported_since(artifacts, MODEL, moment.now)
    assert not reported_since(artifacts, MODEL, moment.now + 0.1)


def words_of(folder: Path, config: str | None) -> Path:
    """Make a model folder with a card and a tokenizer; `config` is that of the text encoder."""
    write_model_folder(folder)
    if config is not None:
        (folder / "text_encoder").mkdir(exist_ok=True)
        (folder / "text_encoder" / "config.json").write_text(config)
    return folder


@pytest.mark.parametrize(
    ("config", "width"),
    [(None, ASSUMED_WIDTH), ('{"hidden_size": 128}', 128), ("{}", ASSUMED_WIDTH), ("{", ASSUMED_WIDTH), ("[]", ASSUMED_WIDTH)],
)
def test_without_a_report_test_mode_takes_the_model_s_files(
    artifacts: MemoryArtifactStore, tmp_path: Path, config: str | None, width: int
) -> None:
    folder = words_of(tmp_path / "model", config)
    facts = facts_of(artifacts, str(folder), test=True)
    vocabulary = load_vocabulary(str(folder))
    assert vocabulary is not None
    assert (facts.subjects, facts.domains) == (vocabulary.subjects, vocabulary.domains)
    assert (facts.fingerprint, facts.width) == (TEST_FINGERPRINT, width)
    with pytest.raises(ModelUnknown):
        facts_of(artifacts, str(folder))


@pytest.mark.parametrize("model", ["owner/name", "nowhere.safetensors", "damaged"])
def test_without_a_report_and_without_files_test_mode_takes_the_usual_words(
    artifacts: MemoryArtifactStore, tmp_path: Path, model: str
) -> None:
    if model == "damaged":
        (tmp_path / model / "tokenizer").mkdir(parents=True)
        (tmp_path / model / "tokenizer" / "tokenizer.json").write_text("{")
        model = str(tmp_path / model)
    facts = facts_of(artifacts, model, test=True)
    assert (facts.subjects, facts.width) == (DEFAULT_SUBJECTS, ASSUMED_WIDTH)
    report_loaded(artifacts, model, FACTS)
    assert facts_of(artifacts, model, test=True) == of_test_mode(FACTS)


def test_a_report_keeps_the_words_of_each_domain(artifacts: MemoryArtifactStore) -> None:
    report_loaded(artifacts, MODEL, FACTS)
    facts = facts_of(artifacts, MODEL)
    assert [facts.word_bank(subject) for subject in ("woman", "cat")] == [("red", "hat"), ("fluffy", "hat")]
    assert facts.word_bank("makeup", "[A]") == ("woman", "man", "cat")


def test_a_report_of_an_earlier_release_has_one_domain(artifacts: MemoryArtifactStore) -> None:
    report_loaded(artifacts, MODEL, FACTS)
    (key,) = artifacts.list("models/")
    values = json.loads(artifacts.get(key))
    del values["domains"]
    artifacts.put(key, json.dumps(values).encode(), media_type="application/json")
    assert facts_of(artifacts, MODEL).word_bank("cat") == ("red", "hat", "fluffy")


def test_facts_recognise_both_fingerprints_and_test_mode_its_own_alone() -> None:
    assert FACTS.recognises("f" * 32)
    assert FACTS.recognises("0" * 32)
    assert not any(FACTS.recognises(other) for other in ("", None, "1" * 32))
    assert not ModelFacts("f", 4, (), ()).recognises(None)
    assert not any(of_test_mode(FACTS).recognises(other) for other in ("f" * 32, "0" * 32, None))


def test_a_model_that_lies_on_the_workers_machine_alone_is_left_to_them(artifacts: MemoryArtifactStore, tmp_path: Path) -> None:
    assert problem_with(artifacts, str(tmp_path / "nowhere")) is None
    (tmp_path / "sd.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1")
    assert "git lfs pull" in (problem_with(artifacts, str(tmp_path / "sd.safetensors")) or "")

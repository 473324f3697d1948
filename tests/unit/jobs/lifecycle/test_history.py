"""The index of finished jobs: a page shows what a look at every job would, in a bounded number of requests."""

from __future__ import annotations

import base64
import itertools
import json
import random
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from api.wire.edit_answers import Edit
from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.lifecycle import history
from s2edit_jobs.lifecycle.history import ENDS, MAX_READS, Filter, encoded, entry_keys, entry_of, place_of
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.lifecycle.survey import Survey
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import KINDS, Failure, JobRecord, JobState, Outcome, Owner, new_job_id
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import MAX_KEY_LENGTH, ArtifactStore, edit_key, is_key
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue

ANN, BOB = Owner("app", "ann"), Owner("app", "bob")
FILES = {"image": Upload(b"photo", "image/png")}
IDENTITIES = tuple(f"c_{letter * 32}" for letter in "ab")
REQUESTS: dict[str, Any] = {
    "edit": EditRequest(prompt="a photo of a woman smiling"),
    "mask": MaskRequest(),
    "identity": LearningRequest(kind="identity", prompt="a photo of a woman"),
    "attribute": LearningRequest(kind="attribute", prompt="a woman with [A] hat"),
}


class Counted:
    """Counts the calls of an object store."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self._artifacts = artifacts
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._artifacts, name)
        if not callable(method):
            return method

        def call(*values: Any, **options: Any) -> Any:
            self.calls[name] += 1
            return method(*values, **options)

        return call


class History:
    """A service in which jobs end as told."""

    def __init__(self, artifacts: ArtifactStore) -> None:
        self.artifacts = Counted(artifacts)
        self.database = Database()
        store = self.database.store()
        self.services = Services(self.artifacts, store, MemoryJobQueue(), Settings(data_dir=Path("/dev/null/nowhere")))  # type: ignore[arg-type]
        self.services.layout.begin(artifacts)
        self.jobs, self.library = Jobs(self.services), Library(self.services)

    def accept(self, kind: str = "edit", owner: Owner = ANN, age_s: float = 0.0) -> str:
        spec = draft(self.services, owner, REQUESTS[kind], FILES, job_id=new_job_id(time.time() - age_s))
        return self.jobs.accept(spec, FILES).id

    def end(
        self, job_id: str, state: JobState, *, identity: str | None = None, message: str = "no person", owner: Owner = ANN
    ) -> None:
        files = {"result": edit_key(owner, job_id, "result-1764147600123.png")} if state is JobState.SUCCEEDED else {}
        failure = Failure("mask_not_found", message, retryable=True, field="image") if state is JobState.FAILED else None
        if state is JobState.CANCELED:
            self.services.store.records.request_cancel(owner, job_id)
        self.jobs.finish(owner, job_id, Outcome(state, 1, time.time(), files, identity, failure))

    def pages(self, wanted: Filter, *, limit: int, owner: Owner = ANN) -> Iterator[list[JobRecord]]:
        after = None
        while True:
            self.artifacts.calls.clear()
            page = self.library.edits(owner, after=after, limit=limit, wanted=wanted)
            assert self.artifacts.calls.total() <= 20, self.artifacts.calls
            yield list(page.items)
            if (after := page.last) is None:
                return

    def listed(self, wanted: Filter = history.ANY, *, limit: int = 20, owner: Owner = ANN) -> list[JobRecord]:
        return [record for page in self.pages(wanted, limit=limit, owner=owner) for record in page]


@pytest.fixture(params=["memory", "folder"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> History:
    return History(MemoryArtifactStore() if request.param == "memory" else FilesystemArtifactStore(tmp_path, "http://x", "key"))


@pytest.mark.parametrize("forgotten", [False, True], ids=["Redis knows them", "Redis has forgotten them"])
def test_every_filter_finds_what_a_look_at_every_job_finds(kept: History, forgotten: bool) -> None:
    chosen, expected = random.Random(4), []
    for number in range(60):
        kind = chosen.choice(KINDS)
        job_id = kept.accept(kind, age_s=(60 - number) * 3600.0)
        identity = chosen.choice([None, *IDENTITIES])
        if state := chosen.choice([*ENDS, None]):
            kept.end(job_id, state, identity=identity)
        expected.append(kept.jobs.get(ANN, job_id))
    kept.accept(owner=BOB)
    if forgotten:
        for record in expected:
            if record.state.over:
                kept.database.client.delete(f"s2edit:job:{record.id}")
    expected.sort(key=lambda record: record.id, reverse=True)
    for state, filter_kind, identity in itertools.product([None, *JobState], [None, *KINDS], [None, *IDENTITIES, "c_x", "../x"]):
        wanted = Filter(state, filter_kind, identity)
        right = [record for record in expected if wanted.accepts(record)]
        for limit in (3, 20):
            found = kept.listed(wanted, limit=limit)
            assert [record.id for record in found] == [record.id for record in right], wanted
            assert [shown(record) for record in found] == [shown(record) for record in right], wanted


def shown(record: JobRecord) -> JobRecord:
    """The record without what lists do not show, and without what Redis counts for itself: its changes, their time, the claims."""
    if not record.state.over:
        return record
    return replace(record, sequence=0, attempt=0, updated_at=0.0, preset="", webhook=False)


def test_the_index_says_what_the_single_job_says_once_redis_has_forgotten_it(kept: History) -> None:
    for state in ENDS:
        job_id = kept.accept()
        kept.end(job_id, state, identity=IDENTITIES[0], message="“ü” isn't a person")
        kept.database.client.delete(f"s2edit:job:{job_id}")
        (found,) = kept.listed(Filter(state=state))
        single = kept.jobs.get(ANN, job_id)
        assert replace(found, preset="", webhook=False) == replace(single, preset="", webhook=False)


def test_a_page_of_failures_reads_each_reason_once_and_ends_early_rather_than_read_many(kept: History) -> None:
    for number in range(30):
        job_id = kept.accept()
        kept.end(job_id, JobState.FAILED, message=f"reason {number % 3 if number < 15 else number}")
    kept.database.empty()
    found = list(kept.pages(Filter(state=JobState.FAILED), limit=20))
    assert [len(page) for page in found][:2] == [MAX_READS, MAX_READS]
    assert len(found[-1]) > MAX_READS, "few reasons"
    assert [record.failure.message for page in found for record in page if record.failure][-15:] == [
        f"reason {number % 3}" for number in reversed(range(15))
    ]


ODD_VIEWS: dict[str, dict[str, Any]] = {
    "a time that is none": {"created": "yesterday"},
    "the end of all times": {"ended": 1e99},
    "a text for a number": {"attempt": "2"},
    "a list of files": {"files": ["result.png"]},
    "a file without a name": {"files": {"result": 5}},
    "a file of somebody else": {"files": {"result": f"/{edit_key(BOB, new_job_id(), 'result.png')}"}},
    "a parent that is none": {"parent": 7},
    "a failure that is none": {"failure": {"code": 1}},
    "a newer version": {"version": 2},
}


@pytest.mark.parametrize("odd", ODD_VIEWS)
def test_an_entry_that_cannot_be_read_shows_the_job_itself(odd: str, kept: History) -> None:
    job_id = kept.accept()
    kept.end(job_id, JobState.SUCCEEDED)
    kept.database.empty()
    (key,) = kept.artifacts.list(f"{ANN.prefix}index/all/")
    entry = entry_of(key)
    assert entry is not None
    values = json.loads(zlib.decompress(base64.urlsafe_b64decode(entry.view + "=" * (-len(entry.view) % 4))))
    view = base64.urlsafe_b64encode(zlib.compress(json.dumps(values | ODD_VIEWS[odd]).encode())).decode().rstrip("=")
    kept.artifacts.delete_prefix(key)
    odd_key = history._entry_key(f"{ANN.prefix}index/all/edit-succeeded/{place_of(job_id)}", view)
    kept.artifacts.put(odd_key, b"{}", media_type="application/json")
    (found,) = kept.listed()
    assert found == kept.jobs.get(ANN, job_id)
    Edit.of(found).model_dump_json()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b'{"code": 5, "message": {}}', b'{"code": "a", "message": "", "version": 2}']
)
def test_an_entry_whose_failure_cannot_be_read_shows_that_of_the_job(content: bytes, kept: History) -> None:
    job_id = kept.accept()
    kept.end(job_id, JobState.FAILED, message="no person")
    kept.database.empty()
    (key,) = kept.artifacts.list(f"{ANN.prefix}index/all/")
    kept.artifacts.put(key, content, media_type="application/json")
    (found,) = kept.listed()
    assert found.failure is not None
    assert (found.failure.code, found.failure.message) == ("mask_not_found", "no person")


def test_no_key_holds_what_a_person_wrote(kept: History) -> None:
    canary = "canary in a message"
    kept.end(kept.accept(), JobState.FAILED, message=canary)
    for key in kept.artifacts.list(f"{ANN.prefix}index/"):
        entry = entry_of(key)
        assert entry is not None
        assert "canary" not in str(history._decoded(entry.view))


def test_a_job_that_is_ending_is_in_the_list_all_the_time(kept: History, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id, seen = kept.accept(), []
    for port, name in ((kept.services.store.records, "finish"), (kept.jobs.history, "add")):
        method = getattr(port, name)

        def around(*values: Any, method: Any = method) -> Any:
            seen.append([record.id for record in kept.listed()])
            result = method(*values)
            seen.append([record.id for record in kept.listed()])
            return result

        monkeypatch.setattr(port, name, around)
    kept.end(job_id, JobState.SUCCEEDED)
    assert seen == [[job_id]] * 4


def test_erased_edits_and_users_leave_the_list(kept: History) -> None:
    jobs = [kept.accept() for _ in range(3)]
    for job_id in jobs:
        kept.end(job_id, JobState.SUCCEEDED, identity=IDENTITIES[0])
    kept.jobs.drop(ANN, jobs[1])
    assert [record.id for record in kept.listed()] == [jobs[2], jobs[0]]
    assert [record.id for record in kept.listed(Filter(identity=IDENTITIES[0]))] == [jobs[2], jobs[0]]


@pytest.mark.parametrize("name", ["spec.json", "outcome.json"])
@pytest.mark.parametrize("data", [b"", b"{", b"[]"])
def test_a_damaged_record_is_listed_as_before_and_can_be_erased(kept: History, name: str, data: bytes) -> None:
    job_id = kept.accept()
    kept.end(job_id, JobState.SUCCEEDED, identity=IDENTITIES[0])
    kept.database.empty()
    kept.artifacts.put(edit_key(ANN, job_id, name), data, media_type="x/y")
    assert [record.state for record in kept.listed()] == [JobState.SUCCEEDED]
    kept.jobs.drop(ANN, job_id)
    assert kept.listed() == []
    assert list(kept.artifacts.list(ANN.prefix)) == []


@pytest.mark.parametrize("name", ["spec.json", "outcome.json"])
def test_a_job_damaged_before_its_survey_is_listed_as_failed(kept: History, name: str) -> None:
    job_id = kept.accept()
    kept.end(job_id, JobState.SUCCEEDED)
    kept.database.empty()
    kept.artifacts.delete_prefix(f"{ANN.prefix}index/")
    kept.artifacts.put(edit_key(ANN, job_id, name), b"{", media_type="x/y")
    Survey(kept.services).complete()
    (found,) = kept.listed()
    assert found.state is (JobState.FAILED if name == "outcome.json" else JobState.SUCCEEDED)


def test_entries_that_another_release_or_a_person_wrote_stop_nothing(kept: History) -> None:
    good, newer = kept.accept(), kept.accept()
    for job_id in (good, newer):
        kept.end(job_id, JobState.SUCCEEDED)
    kept.database.empty()
    folder = f"{ANN.prefix}index/all/edit-succeeded/"
    kept.artifacts.delete_prefix(folder + place_of(newer))
    kept.artifacts.put(f"{folder}{place_of(newer)}.an-unknown-encoding", b"", media_type="x/y")
    for name in ("README", "01/02", "03/04/05", f"{place_of(good)[:7]}/x.y", "z/z/z.z"):
        kept.artifacts.put(folder + name, b"", media_type="x/y")
    kept.artifacts.put(f"{ANN.prefix}index/all/poem-written/{place_of(good)}.x", b"", media_type="x/y")
    assert [record.id for record in kept.listed()] == [newer, good]


def record(**values: Any) -> JobRecord:
    first = JobRecord(new_job_id(), ANN, JobState.SUCCEEDED, sequence=5, created_at=1.5, updated_at=2.25, identity=IDENTITIES[0])
    return replace(first, **values)


@pytest.mark.parametrize("variants", [0, 1, 8, 200])
def test_every_key_is_one_that_all_stores_take(variants: int) -> None:
    owner = Owner("test." + "t" * 64, "u" * 64)
    job_id = new_job_id()
    files = {f"result_{i}": edit_key(owner, job_id, f"result_{i}-17641476{i:05}.png") for i in range(variants)}
    keys = entry_keys(record(id=job_id, owner=owner, artifacts=files, parent=new_job_id(), deadline_at=time.time()))
    assert len(keys) == 2
    for key in keys:
        assert is_key(key), key
        assert len(key) <= MAX_KEY_LENGTH
        entry = entry_of(key)
        assert entry is not None
        assert (entry.id, entry.kind, entry.state) == (job_id, "edit", JobState.SUCCEEDED)
        assert (history._decoded(entry.view) is None) == (variants == 200), "too long a key holds no view"


def test_newer_jobs_come_first() -> None:
    ids = [new_job_id(1_764_147_600 + seconds) for seconds in (0, 0.001, 1, 70, 4000, 10**6, 10**8)]
    assert sorted(ids, key=place_of) == ids[::-1]


def test_the_same_record_has_the_same_key() -> None:
    one = record()
    assert encoded(one) == encoded(replace(one))

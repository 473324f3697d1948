"""The index of finished jobs on every object store, and what a page costs on S3."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from s2edit_jobs.bootstrap import Services
from s2edit_jobs.library.concepts import Library
from s2edit_jobs.lifecycle.history import ANY, ENDS, Filter, History, place_of
from s2edit_jobs.records.record import KINDS, Failure, JobRecord, JobState, Owner, new_job_id
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import ArtifactStore, edit_key
from s2edit_jobs.stores.object_store.layout import LayoutWatch
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore, make_client
from tests.stores import Database, MemoryJobQueue

ANN = Owner("app", "ann")
IDENTITIES = tuple(f"c_{letter * 32}" for letter in "ab")
JOBS = 90


def fill(artifacts: ArtifactStore, jobs: int = JOBS) -> list[JobRecord]:
    """Enter finished jobs, and return them newest first."""
    chosen, records, history = random.Random(3), [], History(artifacts)
    LayoutWatch().begin(artifacts)
    for number in range(jobs):
        created_at = 1_764_147_600.0 + number * chosen.choice([0.01, 5.0, 3000.0])
        job_id = new_job_id(created_at)
        state = chosen.choice(ENDS)
        record = JobRecord(
            job_id,
            ANN,
            state,
            sequence=1,
            created_at=created_at,
            updated_at=created_at + 1,
            kind=chosen.choice(KINDS),
            identity=chosen.choice([None, *IDENTITIES]),
            failure=Failure("parked", "too often") if state is JobState.FAILED else None,
        )
        artifacts.put(edit_key(ANN, job_id, "spec.json"), b"{}", media_type="application/json")
        history.add(record)
        records.append(record)
    return sorted(records, key=lambda record: record.id, reverse=True)


def library_of(artifacts: ArtifactStore) -> Library:
    return Library(Services(artifacts, Database().store(), MemoryJobQueue(), Settings(data_dir=Path("/dev/null/nowhere"))))


def test_pages_are_the_same_on_every_store(artifacts: ArtifactStore) -> None:
    records, library = fill(artifacts), library_of(artifacts)
    for wanted in (
        ANY,
        Filter(state=JobState.FAILED),
        Filter(kind="edit"),
        Filter(JobState.CANCELED, "mask"),
        Filter(None, None, IDENTITIES[0]),
    ):
        found, after = [], None
        while True:
            page = library.edits(ANN, after=after, limit=7, wanted=wanted)
            found += [(item.id, item.state, item.kind, item.identity, item.failure) for item in page.items]
            if (after := page.last) is None:
                break
        right = [(one.id, one.state, one.kind, one.identity, one.failure) for one in records if wanted.accepts(one)]
        assert found == right, wanted


def test_an_entry_is_removed_by_its_place_alone(artifacts: ArtifactStore) -> None:
    records = fill(artifacts, 12)
    history = History(artifacts)
    assert history.remove(history.possible_places(ANN, records[0].id)) in (1, 2)
    assert not [key for key in artifacts.list(f"{ANN.prefix}index/") if place_of(records[0].id) in key]
    assert history.holds(ANN, records[1].id)


@pytest.fixture(scope="module")
def filled(moto: Settings) -> tuple[Any, S3ArtifactStore]:
    """A client of S3, and its store with finished jobs."""
    client = make_client(moto, moto.s3_endpoint_url)
    bucket = f"pages-{new_job_id()[2:]}"
    client.create_bucket(Bucket=bucket)
    artifacts = S3ArtifactStore(client, bucket)
    fill(artifacts)
    return client, artifacts


@pytest.mark.parametrize(
    "wanted",
    [ANY, Filter(state=JobState.FAILED), Filter(kind="edit"), Filter(identity=IDENTITIES[0])],
    ids=lambda wanted: str(wanted),
)
def test_a_page_costs_at_most_twenty_requests_to_s3(filled: tuple[Any, S3ArtifactStore], wanted: Filter) -> None:
    client, artifacts = filled
    library, after = library_of(artifacts), None
    sent: list[str] = []
    library.edits(
        ANN, after=None, limit=20
    )  # a process looks once for the layout, and proves once a second that the store is there
    client.meta.events.register("before-send.s3", lambda request, **_: sent.append(request.url))
    while True:
        sent.clear()
        page = library.edits(ANN, after=after, limit=20, wanted=wanted)
        assert 0 < len(sent) <= 20, sent
        if (after := page.last) is None:
            return


def test_a_listing_asks_s3_for_no_more_than_is_expected(moto: Settings) -> None:
    client = make_client(moto, moto.s3_endpoint_url)
    bucket = f"hint-{new_job_id()[2:]}"
    client.create_bucket(Bucket=bucket)
    artifacts = S3ArtifactStore(client, bucket)
    for number in range(30):
        artifacts.put(f"a/{number:02}", b"", media_type="text/plain")
    asked: list[Any] = []
    client.meta.events.register("provide-client-params.s3.ListObjectsV2", lambda params, **_: asked.append(params.get("MaxKeys")))
    assert len(list(artifacts.list("a/", expected=12))) == 30, "it is a hint"
    assert set(asked) == {12}

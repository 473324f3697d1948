from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import Mock

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.records.errors import ArtifactsUnavailable, StoreUnavailable, StoreUnproven
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.model_facts import report_failure, report_loaded
from tests.doubles import FakeEngine
from tests.stores import Database, MemoryArtifactStore, MemoryJobQueue
from tests.unit.api.conftest import Api
from tests.unit.api.model_folder import write_model_folder
from tests.unit.api.wire.test_bad_input import assert_problem


def test_a_live_process_says_so(api: Api) -> None:
    assert api.client.get("/healthz").json() == {"status": "ok"}


def test_it_is_ready_when_both_stores_answer(api: Api) -> None:
    answer = api.client.get("/readyz")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@pytest.mark.parametrize("silent", [{"job store"}, {"object store"}, {"job store", "object store"}])
def test_it_says_which_store_does_not_answer(api: Api, monkeypatch: pytest.MonkeyPatch, silent: set[str]) -> None:
    def fail(error: Exception) -> None:
        raise error

    if "job store" in silent:
        monkeypatch.setattr(api.store.tasks, "take_task", lambda *_, **__: fail(StoreUnavailable("redis://:secret@h")))
    if "object store" in silent:
        monkeypatch.setattr(api.artifacts, "exists", lambda *_: fail(ArtifactsUnavailable("http://s3")))
    problem = assert_problem(api.client.get("/readyz"), 503, "not_ready")
    assert {error["detail"] for error in problem["errors"]} == {f"the {name} does not answer" for name in silent}
    assert api.client.get("/healthz").status_code == 200


def test_a_store_that_only_redis_can_tell_from_a_new_one_is_not_to_blame(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    redis_error, store_error = StoreUnavailable("it refuses connections"), StoreUnproven("Redis does not answer")
    monkeypatch.setattr(api.store.tasks, "take_task", Mock(side_effect=redis_error))
    monkeypatch.setattr(api.artifacts, "exists", Mock(side_effect=store_error))
    assert assert_problem(api.client.get("/readyz"), 503, "not_ready")["detail"] == "the job store does not answer"
    monkeypatch.setattr(api.store.tasks, "take_task", Mock())  # it is back between the two questions
    assert api.client.get("/readyz").status_code == 503


def fresh(api: Api) -> None:
    """No earlier result is cached."""
    api.limit()


def test_it_is_not_ready_where_no_worker_can_load_the_model(api: Api) -> None:
    model = api.services.settings.model
    report_failure(api.artifacts, model, "the model 'm' can't be loaded: no weights in unet/")
    fresh(api)
    problem = assert_problem(api.client.get("/readyz"), 503, "not_ready")
    assert problem["errors"] == [{"code": "model_unusable", "detail": "the model 'm' can't be loaded: no weights in unet/"}]
    before = api.kept()
    for answer in (api.edit(), api.identity(), api.attribute(), api.edit(dry_run="true")):
        problem = assert_problem(answer, 503, "model_unusable")
        assert problem["retryable"]
        assert "/readyz" in problem["detail"]
        assert "unet" not in str(problem)
    assert api.kept() == before
    report_loaded(api.artifacts, model, FakeEngine.facts)
    fresh(api)
    assert api.client.get("/readyz").status_code == 200
    assert api.edit().status_code == 202


def test_what_the_files_show_counts_while_no_worker_has_the_model(api: Api, tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "model")
    api.limit(model=str(folder))
    assert api.client.get("/readyz").status_code == 200  # the words alone, as an API may have them
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps({"prediction_type": "sample"}))
    fresh(api)
    assert_problem(api.client.get("/readyz"), 503, "not_ready")
    assert_problem(api.edit(), 503, "model_unusable")
    report_loaded(api.artifacts, str(folder), FakeEngine.facts)  # on another machine, say
    fresh(api)
    assert api.client.get("/readyz").status_code == 200
    assert api.edit().status_code == 202


def test_an_api_starts_with_words_that_cannot_be_read_and_says_so(tmp_path: Path) -> None:
    folder = write_model_folder(tmp_path / "model")
    (folder / "tokenizer" / "merges.txt").write_text("one two three\n")
    services = Services(MemoryArtifactStore(), Database().store(), MemoryJobQueue(), Settings(data_dir=tmp_path, model=str(folder)))
    with TestClient(create_app(services), base_url="http://127.0.0.1") as client:
        problem = assert_problem(client.get("/readyz"), 503, "not_ready")
    assert "tokenizer of the model" in problem["detail"]

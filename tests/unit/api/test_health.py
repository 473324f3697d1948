from __future__ import annotations

import pytest

from s2edit_jobs.errors import ArtifactsUnavailable, StoreUnavailable
from tests.unit.api.conftest import Api
from tests.unit.api.test_bad_input import assert_problem


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
        monkeypatch.setattr(api.store, "get", lambda *_: fail(StoreUnavailable("redis://:secret@h")))
    if "object store" in silent:
        monkeypatch.setattr(api.artifacts, "exists", lambda *_: fail(ArtifactsUnavailable("http://s3")))
    problem = assert_problem(api.client.get("/readyz"), 503, "not_ready")
    assert {error["detail"] for error in problem["errors"]} == {f"the {name} does not answer" for name in silent}
    assert api.client.get("/healthz").status_code == 200

"""Metrics for Prometheus, and who may read them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.records.errors import StoreUnavailable
from s2edit_jobs.records.set_aside import set_aside
from s2edit_jobs.stores.job_store import HOUSEKEEPER
from tests.admin import METRICS, METRICS_TOKEN
from tests.unit.api.conftest import Api
from tests.unit.api.wire.test_bad_input import assert_problem

CANARY = "canary-user-77"


def told(answer: Any) -> dict[tuple[str, ...], float]:
    """Return the values by name and labels."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    families = text_string_to_metric_families(answer.text)
    return {(sample.name, *sample.labels.values()): sample.value for family in families for sample in family.samples}


def test_it_counts_requests_by_route_and_status_and_names_nobody(api: Api) -> None:
    for _ in range(2):
        api.edit(user=CANARY)
    api.client.get(f"/edits/e_{CANARY}", headers={"S2Edit-User": CANARY})
    api.client.get(f"/{CANARY}")
    api.client.request(CANARY, "/edits")
    answer = api.client.get("/metrics", headers=METRICS)
    found = told(answer)
    count = "s2edit_http_request_duration_seconds_count"
    assert found[count, "POST", "/edits", "202"] == 2
    assert found[count, "GET", "/edits/{edit_id}", "404"] == 1
    assert found[count, "GET", "none", "404"] == 1
    assert sum(value for key, value in found.items() if key[:2] == (count, "other")) == 1
    assert CANARY not in answer.text
    assert (found["s2edit_jobs_unfinished",], found["s2edit_jobs_running",], found["s2edit_job_store_up",]) == (2, 0, 1)
    api.work()
    assert told(api.client.get("/metrics", headers=METRICS))["s2edit_jobs_unfinished",] == 0


def test_asking_takes_no_place_in_the_queue(api: Api) -> None:
    before = api.kept()
    for _ in range(3):
        told(api.client.get("/metrics", headers=METRICS))
    assert api.kept() == before
    assert told(api.client.get("/metrics", headers=METRICS))["s2edit_jobs_unfinished",] == 0


def test_it_says_that_the_job_store_is_down(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def down(*_: Any, **__: Any) -> None:
        raise StoreUnavailable("down")

    monkeypatch.setattr(api.store.admission, "take_slot", down)
    found = told(api.client.get("/metrics", headers=METRICS))
    assert found["s2edit_job_store_up",] == 0
    assert ("s2edit_jobs_unfinished",) not in found


def test_it_shows_how_long_ago_a_housekeeper_worked(api: Api) -> None:
    age = ("s2edit_housekeeper_age_seconds",)
    assert told(api.client.get("/metrics", headers=METRICS))[age] == math.inf
    api.store.tasks.report_alive(HOUSEKEEPER)
    assert 0 <= told(api.client.get("/metrics", headers=METRICS))[age] < 60


def test_it_counts_what_this_process_has_set_aside(api: Api) -> None:
    series = ("s2edit_set_aside_total", "a kind of this test")
    assert series not in told(api.client.get("/metrics", headers=METRICS))
    for key in ("one", CANARY):
        with set_aside(series[1], key):
            raise ValueError(CANARY)
    answer = api.client.get("/metrics", headers=METRICS)
    assert told(answer)[series] == 2
    assert CANARY not in answer.text


def test_without_a_token_it_is_for_nobody(api: Api) -> None:
    """A proxy makes anybody look like a program on this machine."""
    api.limit(metrics_token=None)
    for client in ("192.0.2.7", "127.0.0.1", "::1"):
        for headers in ({}, METRICS, {"Authorization": "Bearer "}, {"Authorization": "Bearer None"}):
            answer = TestClient(api.client.app, base_url="http://127.0.0.1:8000", client=(client, 1)).get(
                "/metrics", headers=headers
            )
            assert "S2EDIT_METRICS_TOKEN" in assert_problem(answer, 404, "not_found")["detail"]


def test_it_is_for_whoever_shows_the_token_and_a_tenant_s_key_opens_nothing(api: Api) -> None:
    key = KeyRing(api.artifacts).create("acme", ["admin"])[1]
    far = TestClient(api.client.app, client=("192.0.2.7", 1))
    for shown in ({}, {"Authorization": "Bearer let"}, {"Authorization": f"Bearer {key}"}, {"Authorization": METRICS_TOKEN}):
        assert_problem(far.get("/metrics", headers=shown), 404, "not_found")
        assert_problem(api.client.get("/metrics", headers=shown), 404, "not_found")
    assert told(far.get("/metrics", headers=METRICS))["s2edit_job_store_up",] == 1

"""Rate limits and daily budgets."""

from __future__ import annotations

import re
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from api.guard.rates import REDIS_RETRY_S, TIMEOUT_S, Rates, Standing
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.records.errors import RateExceeded, StoreUnavailable
from s2edit_jobs.records.record import DailyUsage, Owner
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.model_facts import report_loaded
from tests.doubles import FakeEngine
from tests.unit.api import pictures
from tests.unit.api.conftest import MAX_BODY, Api
from tests.unit.api.guard.test_auth import NOBODYS, bearer, with_auth
from tests.unit.api.routes.test_tokens import issue
from tests.unit.api.wire.test_bad_input import assert_problem

ANN, BOB = Owner("acme", "ann"), Owner("acme", "bob")
NOWHERE = "redis://127.0.0.1:1/0"


def standings(rates: Rates, owner: Owner = ANN, method: str = "POST") -> list[Standing]:
    told: list[Standing] = []
    rates.take(owner, method, told)
    return told


def settings(redis_url: str | None = None, **limits: int) -> Settings:
    none = {f"{who}_{what}_per_minute": 0 for who in ("user", "tenant") for what in ("reads", "writes")}
    return Settings(redis_url=redis_url, **{**none, **limits})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["here", "redis"])
def redis_url(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str | None:
    if request.param == "here":
        return None
    server: EmbeddedRedis = request.getfixturevalue("redis")
    with Redis.from_url(server.url) as client:
        client.flushall()
    monkeypatch.setattr("api.guard.rates.TIMEOUT_S", 5.0)  # a busy machine may pause it
    return server.url


def test_one_too_many_is_refused_and_told_when_to_come_again(redis_url: str | None) -> None:
    rates = Rates(settings(redis_url, user_writes_per_minute=3))
    assert [standings(rates)[0].left for _ in range(3)] == [2, 1, 0]
    told: list[Standing] = []
    with pytest.raises(RateExceeded) as refused:
        rates.take(ANN, "POST", told)
    assert 1 <= refused.value.retry_after_s <= 60
    assert [(one.policy, one.limit, one.window_s, one.left) for one in told] == [("user-writes", 3, 60, 0)]
    standings(rates, BOB)
    standings(rates, Owner("umbrella", "ann"))
    assert standings(rates, method="GET") == []


def test_a_tenant_s_users_share_its_limit_and_one_flood_leaves_the_others_theirs(redis_url: str | None) -> None:
    rates = Rates(settings(redis_url, user_writes_per_minute=2, tenant_writes_per_minute=4))
    for number in range(20):  # two get through
        if number < 2:
            standings(rates)
        else:
            with pytest.raises(RateExceeded, match="user-writes"):
                standings(rates)
    assert [one.left for one in standings(rates, BOB)] == [1, 1]
    standings(rates, Owner("acme", "eve"))
    with pytest.raises(RateExceeded, match="tenant-writes"):
        standings(rates, Owner("acme", "joe"))
    standings(rates, Owner("umbrella", "joe"))


def test_processes_count_writes_together_and_reads_apart(redis: EmbeddedRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.guard.rates.TIMEOUT_S", 5.0)
    with Redis.from_url(redis.url) as client:
        client.flushall()
        one, other = (Rates(settings(redis.url, user_writes_per_minute=2, user_reads_per_minute=1)) for _ in range(2))
        standings(one, method="GET")
        standings(other, method="GET")
        assert not client.keys("*")  # a poll asked no Redis
        standings(one)
        standings(other)
        for rates in (one, other):
            with pytest.raises(RateExceeded):
                standings(rates)
        counts = client.keys("*")
        assert all(key.startswith(b"s2edit:rates") for key in counts)
        assert all(0 < client.ttl(key) <= 120 for key in counts)


def test_without_redis_each_process_counts_alone_and_seldom_asks_again(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    rates = Rates(settings(NOWHERE, user_writes_per_minute=3), clock=lambda: now[0])
    asked: list[float] = []
    assert rates._shared is not None
    hit = rates._shared.hit
    monkeypatch.setattr(rates._shared, "hit", lambda *values: asked.append(now[0]) or hit(*values))  # type: ignore[func-returns-value]
    for _ in range(3):
        standings(rates)
    with pytest.raises(RateExceeded):
        standings(rates)
    assert asked == [0.0]
    now[0] = REDIS_RETRY_S
    with pytest.raises(RateExceeded):
        standings(rates)
    assert asked == [0.0, REDIS_RETRY_S]


def test_a_redis_that_hangs_holds_nobody_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"redis://127.0.0.1:{deaf.getsockname()[1]}/0"
        rates = Rates(settings(url, user_writes_per_minute=100), clock=lambda: 0.0)
        assert rates._shared is not None
        hit, waits = rates._shared.hit, []
        monkeypatch.setattr(rates._shared, "hit", lambda *values: waits.append(values) or hit(*values))  # type: ignore[func-returns-value]
        began = time.monotonic()
        for _ in range(20):
            standings(rates)
        assert len(waits) == 1, "the others ask no Redis that hangs"
        assert time.monotonic() - began < 100 * TIMEOUT_S


def test_every_answer_tells_how_the_limits_stand(api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    api.limit(user_reads_per_minute=2, tenant_reads_per_minute=50)
    with_auth(api, "keys")
    answer = api.client.get(NOBODYS, headers=bearer(text))
    assert answer.status_code == 404
    assert answer.headers["ratelimit-policy"] == '"user-reads";q=2;w=60, "tenant-reads";q=50;w=60'
    assert re.fullmatch(r'"user-reads";r=1;t=\d+, "tenant-reads";r=49;t=\d+', answer.headers["ratelimit"])
    api.client.get(NOBODYS, headers=bearer(text))
    refused = api.client.get(NOBODYS, headers=bearer(text))
    assert assert_problem(refused, 429, "rate_exceeded")["retryable"] is True
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["ratelimit"].startswith('"user-reads";r=0;')
    assert api.client.get("/healthz").headers.get("ratelimit") is None
    assert api.edit(headers=bearer(text)).headers["ratelimit"].startswith('"user-writes";')


def test_what_is_unchanged_tells_the_limits_too(api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    with_auth(api, "keys")
    posted = api.edit(headers=bearer(text))
    same = api.client.get(posted.headers["location"], headers={**bearer(text), "If-None-Match": posted.headers["etag"]})
    assert same.status_code == 304
    assert "ratelimit" in same.headers


def test_an_open_service_counts_nothing(api: Api) -> None:
    api.limit(user_reads_per_minute=1, user_writes_per_minute=1)
    with_auth(api, "open")
    for _ in range(3):
        assert api.client.get(NOBODYS).status_code == 404
        assert "ratelimit" not in api.edit().headers


@pytest.mark.parametrize(
    ("budget", "spent"),
    [({"tenant_learnings_per_day": 3}, DailyUsage(learnings=3)), ({"tenant_gpu_s_per_day": 60}, DailyUsage(worker_s=60.5))],
)
def test_a_tenant_whose_day_is_spent_waits_for_the_next(api: Api, budget: dict[str, int], spent: DailyUsage) -> None:
    know_the_model(api)
    api.limit(**budget)
    api.store.usage.book("default", DailyUsage(spent.learnings - 1 if spent.learnings else 0, spent.worker_s / 2))
    assert api.edit().status_code == 202
    api.store.usage.book("default", spent)
    kept = api.kept()
    refused = api.edit()
    assert assert_problem(refused, 429, "quota_spent")["retryable"] is True
    assert 1 <= int(refused.headers["retry-after"]) <= 86_400
    assert api.kept() == kept


@pytest.mark.parametrize(("form", "status"), [({}, 202), ({"dry_run": "true"}, 200)], ids=["edit", "dry run"])
def test_both_budgets_are_checked_with_one_read(
    api: Api, monkeypatch: pytest.MonkeyPatch, form: dict[str, str], status: int
) -> None:
    read: list[str] = []

    def counted(tenant: str) -> DailyUsage:
        read.append(tenant)
        return DailyUsage()

    monkeypatch.setattr(api.store.usage, "spent", counted)
    assert api.edit(**form).status_code == status
    assert read == [], "without a budget, none is read"
    api.limit(tenant_learnings_per_day=3, tenant_gpu_s_per_day=60)
    assert api.edit(**form).status_code == status
    assert read == ["default"]


def test_who_has_learned_enough_may_still_edit_whom_it_knows(api: Api) -> None:
    know_the_model(api)
    api.limit(tenant_learnings_per_day=1)
    api.store.usage.book("default", DailyUsage(learnings=1))
    assert_problem(api.edit(), 429, "quota_spent")
    assert api.edit(image=None, mask=None, identity=api.learned_identity()).status_code == 202


def know_the_model(api: Api) -> None:
    report_loaded(api.artifacts, api.services.settings.model, FakeEngine.facts)


SAME: dict[str, dict[str, Any]] = {
    "/edits": {"prompt": "a photo of a woman with red hair", "source_prompt": "a photo of a woman"},
    "/identities": {"prompt": "a photo of a woman"},
    "/attributes": {"prompt": "a photo of a woman with a [A] hat"},
}


@pytest.mark.parametrize("without", [("mask",), ()], ids=["mask found", "mask sent"])
@pytest.mark.parametrize("path", SAME)
def test_what_was_learned_costs_no_more_learning(api: Api, path: str, without: tuple[str, ...]) -> None:
    """The same photo, mask and source prompt again learn nothing. A mask that is not sent is the same too."""
    if path == "/attributes" and without:
        without = ()
    know_the_model(api)
    parts = {"image": pictures.photo(), "mask": pictures.mask()} | dict.fromkeys(without) | SAME[path]
    first = api.learned(api.post(path, **parts))
    api.limit(tenant_learnings_per_day=1)
    assert api.store.usage.spent("default").learnings == 1
    assert api.learned(api.post(path, **parts)) == first


@pytest.mark.parametrize("path", SAME)
def test_new_people_and_attributes_are_refused_by_a_message_of_their_own(api: Api, path: str) -> None:
    know_the_model(api)
    api.limit(tenant_learnings_per_day=1)
    api.store.usage.book("default", DailyUsage(learnings=1))
    refused = api.post(path, image=pictures.photo(), mask=pictures.mask(), **SAME[path])
    problem = assert_problem(refused, 429, "quota_spent")
    assert "people and attributes" in problem["detail"]
    assert "compute" not in problem["detail"]
    assert 1 <= int(refused.headers["retry-after"]) <= 86_400


@pytest.mark.parametrize("path", ["/edits", "/identities"])
def test_a_new_person_without_a_mask_is_refused_by_the_worker(api: Api, path: str) -> None:
    know_the_model(api)
    api.limit(tenant_learnings_per_day=1)
    api.store.usage.book("default", DailyUsage(learnings=1))
    accepted = api.post(path, image=pictures.photo(), **SAME[path])
    assert accepted.status_code == 202
    api.work()
    job = api.get(accepted.headers["location"]).json()
    assert (job["state"], job["error"]["code"], job["error"]["retryable"]) == ("failed", "quota_spent", True)
    assert api.store.usage.spent("default").learnings == 1


def test_finding_a_mask_learns_nothing(api: Api) -> None:
    api.limit(tenant_learnings_per_day=1)
    api.store.usage.book("default", DailyUsage(learnings=1))
    assert api.post("/masks", image=pictures.photo()).status_code == 202


def test_another_tenant_s_use_is_its_own(api: Api) -> None:
    api.limit(tenant_gpu_s_per_day=1)
    api.store.usage.book("umbrella", DailyUsage(worker_s=100))
    assert api.edit().status_code == 202


def test_while_the_job_store_is_down_no_budget_refuses(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def silent(*_: object, **__: object) -> None:
        raise StoreUnavailable("no answer")

    api.limit(tenant_gpu_s_per_day=1)
    for role, name in ((api.store.usage, "spent"), (api.store.admission, "take_slot"), (api.store.records, "add")):
        monkeypatch.setattr(role, name, silent)
    assert api.edit().status_code == 202


def test_a_refusal_for_the_day_costs_a_token_nothing(api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    api.limit(tenant_gpu_s_per_day=1)
    with_auth(api, "keys")
    device = bearer(issue(api, text, edits=1)["token"])
    api.store.usage.book("acme", DailyUsage(worker_s=2))
    assert_problem(api.edit(headers=device), 429, "quota_spent")
    api.database.empty()
    assert api.edit(headers=device).status_code == 202


def test_limits_are_kept_in_the_service_s_own_redis(tmp_path: Path) -> None:
    """The Redis URL may be that of a socket."""
    with EmbeddedRedis(tmp_path) as server:
        assert standings(Rates(settings(server.url, user_writes_per_minute=5)))[0].left == 4
        with Redis.from_url(server.url) as client:
            assert client.keys("s2edit:rates*")


MANY = b"x" * 2 * MAX_BODY
JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("path", "headers", "body", "status"),
    [
        ("/edits", JSON, b"{", 422),
        ("/edits", JSON, b'{"prompt": "' + b"x" * 70_000 + b'"}', 413),
        ("/edits", {"Content-Type": "multipart/form-data"}, b"x", 400),
        ("/edits", {"Content-Type": "multipart/form-data; boundary=b"}, b"--b\r\nnonsense", 400),
        ("/edits", {"Content-Type": "text/plain"}, b"x", 415),
        ("/edits", JSON, MANY, 413),
        ("/uploads", JSON, b"[]", 422),
        ("/tokens", JSON, b'{"edits": "many"}', 422),
        ("/edits", {**JSON, "Content-Digest": "sha-256=:AAAA:"}, b"{}", 400),
        ("/nowhere", JSON, b"{}", 404),
    ],
)
def test_a_refused_body_counts_once(path: str, headers: dict[str, str], body: bytes, status: int, api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    api.limit(user_writes_per_minute=3)
    with_auth(api, "keys")
    answers = [api.client.post(path, content=body, headers={**headers, **bearer(text, "ann")}) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [status] * 3 + [429]
    assert_problem(answers[-1], 429, "rate_exceeded")
    assert int(answers[-1].headers["retry-after"]) > 0
    assert "r=0" in answers[-1].headers["ratelimit"]
    assert api.client.post("/uploads", json={}, headers=bearer(text, "bob")).status_code == 422


def test_an_accepted_body_counts_once_too(api: Api) -> None:
    _, text = KeyRing(api.artifacts).create("acme")
    api.limit(user_writes_per_minute=2)
    with_auth(api, "keys")
    assert [api.edit(headers=bearer(text, "ann")).status_code for _ in range(3)] == [202, 202, 429]

"""Every route × method × foreign id is a 404. The routes are read from the app, so new ones are covered too."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.routing import iter_route_contexts
from fastapi.testclient import TestClient

from api.app import create_app
from api.deps import get_principal
from api.guard.device_tokens import DEVICE_SCOPES
from api.openai.routes import get_sent
from s2edit_core.request.spec import Progress
from s2edit_jobs.access.keys import SCOPES, KeyRing
from s2edit_jobs.lifecycle.jobs import Jobs
from s2edit_jobs.records.record import JobState, Outcome, Owner, tenant_of_test_mode
from s2edit_jobs.stores.artifacts import edit_key
from tests.unit.api.conftest import Api
from tests.unit.api.guard.test_auth import bearer

OWNER = Owner("acme", "ann")
OPEN_TO_ALL = {
    "/healthz",
    "/readyz",
    "/",
    "/files/{key:path}",
    "/docs",
    "/openapi.json",
    "/metrics",
    "/receipts/keys",
    "/studio/{path:path}",
}
"""Routes without user data. The URLs of files are signed."""
NAMES = {"user", "model"}
"""Path parameters that are no ids: users, whose names the caller chooses, and the served model."""
BODIES: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("PATCH", "/identities/{identity_id}"): {"json": {"name": "Ada"}},
    ("PATCH", "/attributes/{attribute_id}"): {"json": {"name": "Ada"}},
}
"""Client arguments for routes that need a body."""


def asks_for_the_caller(dependant: Dependant) -> bool:
    return dependant.call in (get_principal, get_sent) or any(map(asks_for_the_caller, dependant.dependencies))


def routes(app: FastAPI) -> Iterator[tuple[str, str, Dependant | None]]:
    """Yield method, path and dependencies of every route."""
    for route in iter_route_contexts(app.routes):
        for method in sorted(route.methods or ()):
            yield method, str(route.path), getattr(route, "dependant", None)


@dataclass
class World:
    """Ann of acme owns something of every kind. The strangers try to reach it."""

    api: Api
    client: TestClient
    owners: dict[str, dict[str, str]]  # headers of those whose things they are
    strangers: dict[str, dict[str, str]]
    ids: list[str]

    def ask(self, method: str, path: str, an_id: str, headers: dict[str, str]) -> Any:
        filled = re.sub(r"\{[^}]+\}", an_id, path)
        return self.client.request(method, filled, headers=headers, **BODIES.get((method, path), {}))


@pytest.fixture
def world(api: Api) -> World:
    ring = KeyRing(api.artifacts)
    acme, umbrella = ring.create("acme", SCOPES)[1], ring.create("umbrella", SCOPES)[1]
    test = ring.create("acme", SCOPES, test=True)[1]
    api.limit(auth="keys", user_writes_per_minute=0)  # more requests than a user may send
    app = create_app(api.services)
    client = api.client = TestClient(app)

    def token(owner: Owner, key: str) -> dict[str, str]:
        key_id = key.split("_")[1]
        return bearer(
            app.state.auth.tokens.issue(owner, scopes=DEVICE_SCOPES, expires_in_s=600, edits=99, uploads=99, key_id=key_id)[1]
        )

    mine = bearer(acme, "ann")
    edits = [api.edit(headers=mine).json()["id"] for _ in range(4)]
    leases = [api.store.leases.claim(edits[number], lease_s=600) for number in (1, 2)]
    for lease in leases:
        assert lease is not None
        api.store.events.progress(lease, Progress("editing", 1, 2), b"a preview")
    result = edit_key(OWNER, edits[2], "result.png")
    api.artifacts.put(result, b"picture", media_type="image/png")
    outcome = Outcome(state=JobState.SUCCEEDED, attempt=1, finished_at=time.time(), artifacts={"result": result})
    Jobs(api.services).finish(OWNER, edits[2], outcome)
    assert client.post(f"/edits/{edits[3]}/cancel", headers=mine).status_code == 202
    return World(
        api=api,
        client=client,
        owners={"the user, by a key": mine, "the user, by a token": token(OWNER, acme)},
        strangers={
            "another user of the tenant, by a key": bearer(acme, "bob"),
            "nobody in particular of the tenant": bearer(acme),
            "another user of the tenant, by a token": token(Owner("acme", "bob"), acme),
            "a user of the same name elsewhere, by a key": bearer(umbrella, "ann"),
            "a user of the same name elsewhere, by a token": token(Owner("umbrella", "ann"), umbrella),
            "the user in test mode, by a key": bearer(test, "ann"),
            "the user in test mode, by a token": token(Owner(tenant_of_test_mode("acme"), "ann"), test),
        },
        ids=[*edits, api.learned_identity(owner=OWNER)],
    )


def personal(app: FastAPI) -> list[tuple[str, str]]:
    """Return method and path of the routes with an id in their path."""
    return [
        (method, path)
        for method, path, dependant in routes(app)
        if dependant is not None and asks_for_the_caller(dependant) and set(re.findall(r"\{(\w+)", path)) - NAMES
    ]


def test_every_route_asks_who_calls_or_is_known_to_be_for_all(world: World) -> None:
    app: FastAPI = world.client.app  # type: ignore[assignment]
    unguarded = {path for _, path, dependant in routes(app) if dependant is None or not asks_for_the_caller(dependant)}
    assert unguarded <= OPEN_TO_ALL
    assert ("GET", "/edits/{edit_id}") in personal(app)
    assert ("POST", "/edits/{edit_id}/cancel") in personal(app)
    assert ("GET", "/identities/{identity_id}") in personal(app)


def test_every_guarded_route_refuses_who_shows_nothing(world: World) -> None:
    app: FastAPI = world.client.app  # type: ignore[assignment]
    for method, path, dependant in routes(app):
        if dependant is not None and asks_for_the_caller(dependant):
            answer = world.ask(method, path, "x", {})
            assert answer.status_code == 401, f"{method} {path} looks at something before it asks who calls: {answer.text}"


def test_every_foreign_id_is_unknown_everywhere(world: World) -> None:
    kept = world.api.kept()
    asked = 0
    for (method, path), an_id in itertools.product(personal(world.client.app), world.ids):  # type: ignore[arg-type]
        for who, headers in world.strangers.items():
            foreign = world.ask(method, path, an_id, headers)
            nowhere = world.ask(method, path, an_id[:2] + "0" * 32, headers)
            assert foreign.status_code == 404, f"{method} {path} with {an_id} as {who}: {foreign.status_code} {foreign.text}"
            # An answer that differs would tell that there is something.
            assert (foreign.json(), _told(foreign)) == (nowhere.json(), _told(nowhere)), (method, path, who)
            asked += 1
    assert asked >= 5 * 7 * 4
    assert world.api.kept() == kept


def _told(answer: Any) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if not name.startswith(("ratelimit", "date", "x-request-id"))}


def test_no_list_shows_what_is_another_s(world: World) -> None:
    """Routes without an id in their path never show anything of Ann's to strangers."""
    app: FastAPI = world.client.app  # type: ignore[assignment]
    for method, path, dependant in routes(app):
        if method == "GET" and dependant is not None and asks_for_the_caller(dependant) and "{" not in path:
            for who, headers in world.strangers.items():
                shown = world.client.get(path, headers=headers).text
                assert not [an_id for an_id in world.ids if an_id in shown], (path, who)


def test_the_same_ids_are_there_for_their_user(world: World) -> None:
    """Otherwise the matrix would also pass for ids that do not exist."""
    for headers in world.owners.values():
        for an_id in world.ids:
            kind = "edits" if an_id.startswith("e_") else "identities"
            assert world.client.get(f"/{kind}/{an_id}", headers=headers).status_code == 200


def test_a_foreign_identity_in_a_form_is_unknown_too(world: World) -> None:
    identity = world.ids[-1]
    for headers in world.strangers.values():
        foreign = world.api.edit(headers=headers, identity=identity)
        nowhere = world.api.edit(headers=headers, identity=f"c_{'0' * 32}")
        assert foreign.status_code == nowhere.status_code == 422
        assert foreign.json()["code"] == nowhere.json()["code"] == "identity_unknown"
        assert foreign.text.replace(identity, "") == nowhere.text.replace(f"c_{'0' * 32}", "")


def test_a_foreign_idempotency_key_tells_nothing(world: World) -> None:
    """Idempotency keys of different users are independent."""
    mine = world.api.edit(headers={**world.owners["the user, by a key"], "Idempotency-Key": "k"})
    for headers in world.strangers.values():
        other = world.api.edit(headers={**headers, "Idempotency-Key": "k"}, prompt="a photo of a woman with red hair")
        assert other.status_code == 202
        assert other.json()["id"] != mine.json()["id"]

"""`s2edit up` behind reverse proxies in processes of their own: what is for administrators stays closed to strangers."""

from __future__ import annotations

import http.server
import multiprocessing
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.guard.auth import scope_of
from cli.supervision.service import answers, free_port
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.settings import Settings
from tests.admin import admin_headers
from tests.integration.test_cli_up import START_S, Up, pictures, start
from tests.waiting import until

__all__ = ["pictures", "start"]  # fixtures

PREFIX = "/photos"
PROXIES = {"bare": {}, "forwarding": {"X-Forwarded-For": "192.0.2.7"}, "prefix": {}}
"""Reverse proxies, by kind: the headers that each adds. `prefix` serves the service below `PREFIX`, which it removes."""


class Proxy(http.server.BaseHTTPRequestHandler):
    """A reverse proxy, which names the service by its address as a bare `proxy_pass` does."""

    client: httpx.Client
    upstream = ""
    kind = ""

    def _forward(self) -> None:
        dropped = {"host", "connection", "content-length"}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in dropped} | PROXIES[self.kind]
        path = self.path.removeprefix(PREFIX) if self.kind == "prefix" else self.path
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = self.client.request(self.command, self.upstream + path, headers=headers, content=body)
        self.send_response(answer.status_code)
        for name, value in answer.headers.items():
            if name not in {"connection", "transfer-encoding", "date"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.content)

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_PATCH = _forward  # noqa: N815  http.server looks for these names

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing."""


def serve_proxy(port: int, upstream: str, kind: str) -> None:
    Proxy.client, Proxy.upstream, Proxy.kind = httpx.Client(timeout=30.0), upstream, kind
    http.server.ThreadingHTTPServer(("127.0.0.1", port), Proxy).serve_forever()


@pytest.fixture
def proxied() -> Iterator[Callable[[str, str], str]]:
    """Start a proxy of some kind, in a process of its own, before the service at a URL. Return its URL."""
    started: list[multiprocessing.Process] = []

    def run(upstream: str, kind: str) -> str:
        port = free_port()
        process = multiprocessing.get_context("spawn").Process(target=serve_proxy, args=(port, upstream, kind), daemon=True)
        started.append(process)  # type: ignore[arg-type]
        process.start()
        url = f"http://127.0.0.1:{port}{PREFIX if kind == 'prefix' else ''}"
        until(lambda: httpx_answers(url), START_S)
        return url

    yield run
    for process in started:
        process.kill()
        process.join()


def httpx_answers(url: str) -> bool:
    with httpx.Client(timeout=2.0) as client:
        return answers(client, f"{url}/healthz")


def only_for_administrators(described: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the operations of the scope `admin`, and other methods and paths near them that somebody may guess."""
    operations = [(verb.upper(), path, one) for path, verbs in described.items() for verb, one in verbs.items() if one["security"]]
    admin = [(verb, path) for verb, path, one in operations if one["x-scope"] == "admin"]
    assert admin == [(verb, path) for verb, path, _ in operations if scope_of(verb, path) == "admin"] != []
    named = [(verb, path.replace("{user}", "ann")) for verb, path in admin]
    return [*named, ("DELETE", "/users/default"), ("DELETE", "/users/%61nn"), ("DELETE", "/./users/ann"), ("DELETE", "//users/ann")]


NEVER_SERVED = ("/metrics", "/metrics?x=1", "/%6detrics", "/keys", "/usage", "/audit", "/users", "/users/ann")
"""What shows all tenants, and names under which other services show it."""
DISGUISES: tuple[dict[str, str], ...] = (
    {},
    {"S2Edit-User": "ann"},
    {"Authorization": "Bearer none"},
    {"Authorization": "Bearer s2e_x"},
    {"Host": "localhost"},
    {"X-Forwarded-For": "127.0.0.1"},
    {"Forwarded": "for=127.0.0.1"},
    {"X-HTTP-Method-Override": "DELETE"},
    {"X-Original-URL": "/users/ann"},
)


def test_behind_a_proxy_nobody_is_an_administrator_without_a_key(
    start: Callable[..., Up], proxied: Callable[[str, str], str], pictures: dict[str, Path], tmp_path: Path
) -> None:
    up = start()
    assert "access open" in " ".join(up.printed().split())
    urls = {kind: proxied(up.url, kind) for kind in PROXIES}
    for kind in ("bare", "prefix"):  # their requests count as those of a program on this machine
        answer = httpx.post(f"{urls[kind]}/edits", files={"image": pictures["image"].read_bytes(), "prompt": (None, "a woman")})
        assert answer.status_code == 202, answer.text
    for url in (up.url, *urls.values()):
        with httpx.Client(timeout=30.0) as guest:
            for verb, path in only_for_administrators(guest.get(f"{url}/openapi.json").json()["paths"]):
                for headers in DISGUISES:
                    status = guest.request(verb, url + path, headers=headers).status_code
                    assert status in ((401,) if "//" not in path else (401, 404)), (url, verb, path, headers)
            for path in NEVER_SERVED:
                for headers in DISGUISES:
                    assert guest.get(url + path, headers=headers).status_code in (404, 405), (url, path, headers)
    assert len(httpx.get(f"{up.url}/edits").json()["items"]) == 2, "nobody has erased anything"
    key = admin_headers(build_artifacts(Settings(data_dir=tmp_path / "data")))
    for url in urls.values():
        assert httpx.delete(f"{url}/users/default", headers=key, timeout=30.0).status_code == 200

"""`/livez` and `/metrics` of workers and housekeepers."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest
from prometheus_client import CollectorRegistry, Counter
from pydantic import SecretStr

from s2edit_jobs.bootstrap import NotConfigured
from s2edit_jobs.health import problem_at
from s2edit_jobs.settings import ROOT
from worker.health_server import HealthServer

SETTING = "S2EDIT_WORKER_METRICS_PORT"


@pytest.fixture
def problems() -> list[str]:
    return []


@pytest.fixture
def registry() -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("s2edit_things", "Things", registry=registry).inc()
    return registry


@pytest.fixture
def server(problems: list[str], registry: CollectorRegistry) -> Iterator[HealthServer]:
    server = HealthServer(0, lambda: problems, registry, token=None, setting=SETTING)
    yield server
    server.stop()


def url(server: HealthServer, path: str) -> str:
    return f"http://127.0.0.1:{server.port}{path}"


def test_it_lives_until_there_is_a_problem(server: HealthServer, problems: list[str]) -> None:
    assert httpx.get(url(server, "/livez")).status_code == 200
    assert problem_at(url(server, "/livez")) is None
    problems += ["the reaper has ended", "the device hangs"]
    answer = httpx.get(url(server, "/livez"))
    assert (answer.status_code, answer.text) == (503, "the reaper has ended; the device hangs\n")
    assert problem_at(url(server, "/livez")) == "503 the reaper has ended; the device hangs"
    assert httpx.get(url(server, "/metrics")).status_code == 200
    assert httpx.get(url(server, "/")).status_code == 404


def test_a_connection_that_sends_nothing_holds_nobody_up(server: HealthServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port)):
        assert httpx.get(url(server, "/livez"), timeout=3).status_code == 200


@pytest.mark.parametrize("header", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "Origin"])
def test_without_a_token_metrics_are_for_this_machine_s_programs(server: HealthServer, header: str) -> None:
    assert "s2edit_things_total 1.0" in httpx.get(url(server, "/metrics")).text
    assert httpx.get(url(server, "/metrics"), headers={header: "192.0.2.7"}).status_code == 404
    assert httpx.get(url(server, "/livez"), headers={header: "192.0.2.7"}).status_code == 200


@pytest.mark.parametrize(("host", "status"), [("localhost", 200), ("[::1]:9101", 200), ("rebound.example:9101", 404), ("", 404)])
def test_a_rebound_page_reads_no_metrics(server: HealthServer, host: str, status: int) -> None:
    assert httpx.get(url(server, "/metrics"), headers={"Host": host}).status_code == status


def test_with_a_token_metrics_are_for_whoever_shows_it(registry: CollectorRegistry) -> None:
    server = HealthServer(0, list, registry, token=SecretStr("let prometheus in"), setting=SETTING)
    try:
        for shown in ({}, {"Authorization": "Bearer let"}, {"Authorization": "let prometheus in"}):
            assert httpx.get(url(server, "/metrics"), headers=shown).status_code == 404
        answer = httpx.get(url(server, "/metrics"), headers={"Authorization": "Bearer let prometheus in"})
        assert "s2edit_things_total 1.0" in answer.text
    finally:
        server.stop()


def test_a_taken_port_is_named_with_its_setting(server: HealthServer, registry: CollectorRegistry) -> None:
    with pytest.raises(NotConfigured, match=rf"port {server.port} \(Address already in use\): give {SETTING} a free port"):
        HealthServer(server.port, list, registry, token=None, setting=SETTING)


def test_the_command_of_the_images_exits_with_the_answer(server: HealthServer, problems: list[str]) -> None:
    def check(path: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "s2edit_jobs.health", url(server, path)]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)

    assert check("/livez").returncode == 0
    problems.append("the device hangs")
    done = check("/livez")
    assert (done.returncode, done.stderr) == (1, "503 the device hangs\n")


def test_what_does_not_listen_is_a_problem() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert str(problem_at(f"http://127.0.0.1:{unused.getsockname()[1]}/livez")).startswith("no answer: ")

"""What can be known of docker-compose.yml without an engine: that it names nothing which does not exist."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cli.env_example import text as env_example
from s2edit_jobs.bootstrap import SHARED_KEYS
from s2edit_jobs.settings import Settings
from tests.unit.deploy.files import COMPOSE, DOCKERFILES, ROOT, SERVICES, instructions

OWN = ("api", "housekeeper", "worker", "worker-cpu")


def environment(service: str) -> dict[str, str]:
    values: dict[str, str] = SERVICES[service].get("environment", {})
    return values


def strings(value: Any) -> list[str]:
    """Every string in a tree of YAML."""
    if isinstance(value, dict):
        return [text for child in value.values() for text in strings(child)]
    if isinstance(value, list):
        return [text for child in value for text in strings(child)]
    return [value] if isinstance(value, str) else []


def test_the_parts_are_there() -> None:
    assert set(SERVICES) == {"redis", "store", *OWN}


@pytest.mark.parametrize("service", OWN)
def test_what_a_service_is_told_are_settings(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    names = environment(service)
    assert {name.removeprefix("S2EDIT_").lower() for name in names} <= set(Settings.model_fields)
    for name, value in names.items():
        monkeypatch.setenv(name, re.sub(r"\$\{\w+:[-?](.*?)\}", r"\1", value))
    settings = Settings()
    assert settings.redis_url
    assert settings.s3_bucket
    assert settings.s3_endpoint_url != settings.s3_public_endpoint_url


@pytest.mark.parametrize("service", OWN)
@pytest.mark.parametrize("key", SHARED_KEYS.values())
def test_keys_that_all_parts_share_are_required(service: str, key: str) -> None:
    assert environment(service)[key].startswith(f"${{{key}:?")
    assert key in env_example().partition("--- docker compose only ---")[2]


def test_the_api_asks_for_keys_unless_env_says_otherwise() -> None:
    assert "S2EDIT_AUTH" not in environment("api")
    assert Settings.model_fields["auth"].default == "keys"


@pytest.mark.parametrize("service", OWN)
def test_a_service_reaches_what_it_waits_for(service: str) -> None:
    hosts = re.findall(r"//([a-z-]+):(\d+)", " ".join(environment(service).values()))
    assert {host for host, _ in hosts} == set(SERVICES[service]["depends_on"]) == {"redis", "store"}
    assert dict(hosts) == {"redis": "6379", "store": "8333"}


@pytest.mark.parametrize("service", OWN)
def test_images_are_built_from_files_that_exist(service: str) -> None:
    build = SERVICES[service]["build"]
    assert (ROOT / build["context"]).resolve() == ROOT
    assert build["dockerfile"] in DOCKERFILES
    assert (ROOT / build["dockerfile"]).is_file()


@pytest.mark.parametrize("service", ["worker", "worker-cpu"])
def test_build_arguments_are_known_to_the_dockerfile(service: str) -> None:
    dockerfile = (ROOT / SERVICES[service]["build"]["dockerfile"]).read_text(encoding="utf-8")
    for name in SERVICES[service]["build"]["args"]:
        assert f"ARG {name}=" in dockerfile


def test_one_profile_has_the_gpu_worker_and_the_other_the_cpu_worker() -> None:
    assert SERVICES["worker"]["profiles"] == ["gpu"]
    assert SERVICES["worker"]["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
    assert SERVICES["worker-cpu"]["profiles"] == ["cpu"]
    assert "deploy" not in SERVICES["worker-cpu"]
    assert environment("worker-cpu")["S2EDIT_DEVICE"] == "cpu"


def test_a_housekeeper_always_runs_from_the_image_without_torch() -> None:
    housekeeper = SERVICES["housekeeper"]
    assert "profiles" not in housekeeper
    assert housekeeper["build"]["dockerfile"] == "deploy/Dockerfile.api"
    assert housekeeper["command"] == ["python", "-m", "worker.housekeeper"]


def test_redis_keeps_its_data_and_never_evicts() -> None:
    command = " ".join(SERVICES["redis"]["command"])
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "redis:/data" in SERVICES["redis"]["volumes"]


@pytest.mark.parametrize(
    ("service", "variable", "path"),
    [
        ("api", None, "/healthz"),
        ("housekeeper", "S2EDIT_HOUSEKEEPER_METRICS_PORT", "/livez"),
        ("worker", "S2EDIT_WORKER_METRICS_PORT", "/livez"),
        ("worker-cpu", "S2EDIT_WORKER_METRICS_PORT", "/livez"),
    ],
)
def test_the_health_of_a_service_is_checked_where_it_answers(service: str, variable: str | None, path: str) -> None:
    """The check is the compose file's or else the image's."""
    steps = instructions(SERVICES[service]["build"]["dockerfile"])
    of_image = next(argument for name, argument in steps if name == "HEALTHCHECK")
    check = SERVICES[service].get("healthcheck", {}).get("test") or json.loads(of_image.partition("CMD ")[2])
    set_by_image = dict(re.findall(r"(S2EDIT_\w+)=(\S+)", " ".join(argument for name, argument in steps if name == "ENV")))
    port = set_by_image[variable] if variable else "8000"
    assert variable is None or environment(service)[variable] == port, "a value in .env must not move it"
    assert [word for word in check if word != "CMD"] == ["python", "-m", "s2edit_jobs.health", f"http://127.0.0.1:{port}{path}"]


@pytest.mark.parametrize("service", ["redis", "store"])
def test_what_others_wait_for_has_a_healthcheck(service: str) -> None:
    assert SERVICES[service]["healthcheck"]["test"]


def test_the_bucket_of_the_services_is_the_one_that_the_store_makes_and_checks() -> None:
    store = SERVICES["store"]
    assert store["environment"]["S3_BUCKET"] == environment("api")["S2EDIT_S3_BUCKET"]
    assert "$$S3_BUCKET" in " ".join(store["healthcheck"]["test"])


def test_nothing_listens_beyond_this_machine() -> None:
    """There are no keys yet."""
    ports = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert len(ports) == 2
    assert all(port.startswith("127.0.0.1:") for port in ports)


@pytest.mark.parametrize("service", SERVICES)
def test_no_service_runs_with_more_rights_than_it_needs(service: str) -> None:
    assert "no-new-privileges:true" in SERVICES[service]["security_opt"]
    assert SERVICES[service]["cap_drop"] == ["ALL"]
    assert service in OWN or SERVICES[service]["user"] not in ("", "root", "0")


@pytest.mark.parametrize("service", [*OWN, "redis"])
def test_images_are_not_written_to(service: str) -> None:
    assert SERVICES[service]["read_only"] is True


def test_images_are_pinned() -> None:
    images = [service["image"] for service in SERVICES.values() if "image" in service]
    assert len(images) == 2
    assert all(re.fullmatch(r"[\w./-]+:\d+\.\d+[\w.-]*", image) for image in images)


def test_every_volume_is_declared() -> None:
    used = {volume.split(":")[0] for service in SERVICES.values() for volume in service.get("volumes", [])}
    assert used == set(COMPOSE["volumes"])


def test_variables_are_documented_and_secrets_have_no_default() -> None:
    example = env_example()
    variables = re.findall(r"(?<!\$)\$\{(\w+)(:[-?][^}]*)?\}", " ".join(strings(COMPOSE)))
    assert len(variables) >= 4
    for name, default in variables:
        assert re.search(rf"^#?{name}=", example, re.MULTILINE), name
        if "KEY" in name:
            assert default.startswith(":?"), name

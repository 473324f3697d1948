from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from redis import Redis
from typer.testing import CliRunner

from cli.main import app
from cli.service import Service, free_port
from s2edit_core.spec import EditRequest
from s2edit_jobs.bootstrap import build_services
from s2edit_jobs.drafts import draft
from s2edit_jobs.embedded_redis import EmbeddedRedis
from s2edit_jobs.files import Upload
from s2edit_jobs.jobs import Jobs
from s2edit_jobs.record import Owner
from s2edit_jobs.settings import Settings

runner = CliRunner()


def test_the_service_refuses_to_be_reached_from_other_machines() -> None:
    result = runner.invoke(app, ["up", "--host", "0.0.0.0"])
    assert result.exit_code == 1
    assert "--allow-unauthenticated" in result.output
    assert "s2edit keys create" in result.output


@pytest.mark.parametrize(
    ("arguments", "environment", "auth"),
    [
        ([], {}, "auto"),
        (["--host", "0.0.0.0"], {}, "keys"),
        (["--host", "0.0.0.0", "--allow-unauthenticated"], {}, "open"),
        (["--host", "0.0.0.0"], {"S2EDIT_AUTH": "open"}, "open"),
        ([], {"S2EDIT_AUTH": "keys"}, "keys"),
    ],
)
def test_beyond_this_machine_the_service_asks_for_keys(
    arguments: list[str], environment: dict[str, str], auth: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Service] = []
    monkeypatch.setattr(Service, "run", lambda self, **_: started.append(self))
    for name, value in {"S2EDIT_DATA_DIR": str(tmp_path), **environment}.items():
        monkeypatch.setenv(name, value)
    runner.invoke(app, ["keys", "create"])
    result = runner.invoke(app, ["up", *arguments])
    assert result.exit_code == 0, result.output
    (service,) = started
    assert service.environment("redis://x")["S2EDIT_AUTH"] == auth


def test_a_setting_that_makes_no_sense_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_LEASE_S", "soon")
    result = runner.invoke(app, ["up"])
    assert result.exit_code == 1
    assert "S2EDIT_LEASE_S" in result.output


def test_an_incomplete_model_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MODEL", str(tmp_path))
    result = runner.invoke(app, ["up", "--data-dir", str(tmp_path / "data")])
    assert result.exit_code == 1
    assert "no weights in unet/" in result.output.replace("\n", " ")
    assert not (tmp_path / "data").exists()


def test_an_edit_without_a_service_says_how_to_start_one(tmp_path: Path) -> None:
    photo = tmp_path / "photo.png"
    Image.new("RGB", (64, 64)).save(photo)
    url = f"http://127.0.0.1:{free_port()}"
    result = runner.invoke(
        app, ["edit", str(photo), "--mask", str(photo), "--prompt", "x", "--url", url, "-o", str(tmp_path / "o")]
    )
    assert result.exit_code == 1
    assert "s2edit up" in result.output
    assert not (tmp_path / "o").exists()


def test_doctor_ends_with_one_when_something_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MODEL", str(tmp_path))
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "broken" in result.output


def test_a_rebuild_enters_what_redis_has_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EmbeddedRedis(tmp_path / "redis") as server:
        monkeypatch.setenv("S2EDIT_REDIS_URL", server.url)
        monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
        services = build_services(Settings())
        jobs = Jobs(services)
        files = {"image": Upload(b"photo", "image/png"), "mask": Upload(b"mask", "image/png")}
        accepted = jobs.accept(draft(services, Owner("app", "ann"), EditRequest(prompt="a woman"), files), files)
        Redis.from_url(server.url).flushall()
        result = runner.invoke(app, ["rebuild"])
        assert (result.exit_code, result.output) == (0, "1 unfinished edits are in the job store\n")
        assert services.store.orphans() == [accepted.id]


def test_a_rebuild_without_a_redis_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    result = runner.invoke(app, ["rebuild"])
    assert result.exit_code == 1
    assert "S2EDIT_REDIS_URL" in result.output

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from s2edit_jobs.access.keys import USUAL_SCOPES, KeyRing, checked
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.records.errors import CredentialsInvalid
from s2edit_jobs.settings import Settings

runner = CliRunner()


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    return KeyRing(build_artifacts(Settings()))


def keys(*arguments: str) -> Result:
    return runner.invoke(app, ["keys", *arguments])


def test_a_new_key_alone_is_on_standard_output(ring: KeyRing) -> None:
    made = keys("create", "--tenant", "acme", "--note", "backend")
    assert made.exit_code == 0, made.output
    key = checked(ring, made.stdout.rstrip("\n"))
    assert (key.tenant, key.note, key.scopes) == ("acme", "backend", USUAL_SCOPES)
    assert key.id in made.stderr


def test_a_key_is_for_the_scopes_that_were_named(ring: KeyRing) -> None:
    made = keys("create", "--scope", "edits:read", "--scope", "admin")
    key = checked(ring, made.stdout.strip())
    assert (key.tenant, key.scopes) == ("default", {"edits:read", "admin"})


@pytest.mark.parametrize("wrong", [["--tenant", "a/b"], ["--scope", "everything"]])
def test_what_no_key_can_be_is_told(ring: KeyRing, wrong: list[str]) -> None:
    refused = keys("create", *wrong)
    assert refused.exit_code == 1
    assert refused.stdout == ""
    assert not ring.exist()


def test_the_list_shows_no_secret(ring: KeyRing) -> None:
    text = keys("create", "--tenant", "acme").stdout.strip()
    _, key_id, secret = text.split("_", 2)
    shown = keys("list").stdout
    assert key_id in shown
    assert "acme" in shown
    assert secret not in shown
    assert "counts" in shown


def test_a_revoked_key_counts_no_more(ring: KeyRing) -> None:
    text = keys("create").stdout.strip()
    assert keys("revoke", text.split("_")[1]).exit_code == 0
    with pytest.raises(CredentialsInvalid):
        checked(ring, text)
    assert "ended" in keys("list").stdout


def test_a_rotated_key_goes_on_for_the_grace_and_once(ring: KeyRing) -> None:
    old = keys("create", "--tenant", "acme").stdout.strip()
    new = keys("rotate", old.split("_")[1], "--grace-s", "60").stdout.strip()
    assert checked(ring, old).tenant == checked(ring, new).tenant == "acme"
    assert "until" in keys("list").stdout
    again = keys("rotate", old.split("_")[1])
    assert (again.exit_code, again.stdout) == (1, "")


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_a_key_that_is_not_there_is_told(ring: KeyRing, command: str) -> None:
    refused = keys(command, "0" * 16)
    assert refused.exit_code == 1
    assert "keys list" in refused.stderr


def test_a_key_of_test_mode_begins_with_test(ring: KeyRing) -> None:
    made = keys("create", "--tenant", "acme", "--test")
    assert made.stdout.startswith("test_")
    assert "in test mode" in made.stderr
    assert checked(ring, made.stdout.strip()).test
    assert "acme (test)" in keys("list").stdout

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.display import console
from cli.main import app
from s2edit_jobs.access.keys import USUAL_SCOPES, KeyRing, authenticate
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.records.errors import CredentialsInvalid
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis

runner = CliRunner()


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> KeyRing:
    monkeypatch.setenv("S2EDIT_DATA_DIR", str(tmp_path))
    return KeyRing(build_artifacts(Settings()))


@pytest.fixture
def wide_console(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a row of a table fit one line."""
    monkeypatch.setattr(console, "_width", 300)


def keys(*arguments: str) -> Result:
    return runner.invoke(app, ["keys", *arguments])


def test_only_the_new_key_goes_to_standard_output(ring: KeyRing) -> None:
    made = keys("create", "--tenant", "acme", "--note", "backend")
    assert made.exit_code == 0, made.output
    key = authenticate(ring, made.stdout.rstrip("\n"))
    assert (key.tenant, key.note, key.scopes) == ("acme", "backend", USUAL_SCOPES)
    assert key.id in made.stderr


def test_a_key_has_the_requested_scopes(ring: KeyRing) -> None:
    made = keys("create", "--scope", "edits:read", "--scope", "admin")
    key = authenticate(ring, made.stdout.strip())
    assert (key.tenant, key.scopes) == ("default", {"edits:read", "admin"})


@pytest.mark.parametrize("arguments", [["--tenant", "a/b"], ["--scope", "everything"]])
def test_an_invalid_tenant_or_scope_is_rejected(ring: KeyRing, arguments: list[str]) -> None:
    rejected = keys("create", *arguments)
    assert rejected.exit_code == 1
    assert rejected.stdout == ""
    assert not ring.exist()


def test_the_list_shows_no_secret(ring: KeyRing) -> None:
    text = keys("create", "--tenant", "acme").stdout.strip()
    _, key_id, secret = text.split("_", 2)
    listed = keys("list").stdout
    assert key_id in listed
    assert "acme" in listed
    assert secret not in listed
    assert "active" in listed


def test_a_revoked_key_is_rejected(ring: KeyRing) -> None:
    text = keys("create").stdout.strip()
    assert keys("revoke", text.split("_")[1]).exit_code == 0
    with pytest.raises(CredentialsInvalid):
        authenticate(ring, text)
    assert "ended" in keys("list").stdout


def test_a_rotated_key_works_for_the_grace_period_and_rotates_only_once(ring: KeyRing) -> None:
    old = keys("create", "--tenant", "acme").stdout.strip()
    new = keys("rotate", old.split("_")[1], "--grace-s", "60").stdout.strip()
    assert authenticate(ring, old).tenant == authenticate(ring, new).tenant == "acme"
    assert "until" in keys("list").stdout
    again = keys("rotate", old.split("_")[1])
    assert (again.exit_code, again.stdout) == (1, "")


@pytest.mark.parametrize("grace_s", ["999999999999", "9" * 20, "3153600001", "-1"])
def test_a_grace_period_that_cannot_be_is_rejected_before_anything_changes(ring: KeyRing, grace_s: str) -> None:
    old = keys("create").stdout.strip()
    rejected = keys("rotate", old.split("_")[1], "--grace-s", grace_s)
    assert (rejected.exit_code, rejected.stdout) == (2, "")
    assert [key.ends_at for key in ring.list()] == [None]


def test_a_key_may_work_for_a_hundred_years_after_its_rotation(ring: KeyRing) -> None:
    old = keys("create").stdout.strip()
    rotated = keys("rotate", old.split("_")[1], "--grace-s", "3153600000")
    assert rotated.exit_code == 0, rotated.output
    authenticate(ring, old)


@pytest.mark.usefixtures("wide_console")
def test_keys_with_ends_that_no_calendar_has_are_listed_and_so_are_the_others(ring: KeyRing) -> None:
    artifacts = build_artifacts(Settings())
    listed = {}
    for end in (b"1e12", b"1e20", b"-1e12", b"not a number"):
        key, _ = ring.create("acme")
        artifacts.put(f"keys/{key.id}/ended.json", end, media_type="application/json")
        listed[key.id] = end
    good, _ = ring.create("acme")
    shown = keys("list")
    assert shown.exit_code == 0, shown.output
    states = {line.split()[0]: line.partition("+00:00")[2].strip() for line in shown.stdout.splitlines()[1:]}
    assert states.pop(good.id) == "active"
    assert {listed[key_id]: state for key_id, state in states.items()} == {
        b"1e12": "until 9999-12-31T23:59:59+00:00",
        b"1e20": "ended, damaged time",
        b"-1e12": "ended 1970-01-01T00:00:00+00:00",
        b"not a number": "ended, damaged time",
    }


def test_a_narrow_terminal_cuts_nothing(ring: KeyRing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 80)
    key, _ = ring.create("a-tenant-with-a-long-name", note="the-laptop-of-the-second-office")
    listed = keys("list").stdout
    assert key.id in listed
    assert f"{datetime.fromtimestamp(key.created_at, UTC).isoformat(timespec='seconds')} " in listed
    assert "the-laptop-of-the-second-office" in listed
    assert len(listed.splitlines()) == 2


@pytest.mark.parametrize("note", ["\udcff", "\x1b[31m"])
def test_a_note_that_cannot_be_stored_or_shown_creates_no_key(ring: KeyRing, note: str) -> None:
    rejected = keys("create", "--note", note)
    assert (rejected.exit_code, "the note contains" in rejected.stderr) == (1, True)
    assert not ring.exist()


@pytest.mark.usefixtures("wide_console")
def test_a_note_in_square_brackets_is_listed_as_it_is(ring: KeyRing) -> None:
    assert keys("create", "--note", "[/staging] [red]").exit_code == 0
    assert "[/staging] [red]" in keys("list").stdout


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_unknown_key_is_rejected(ring: KeyRing, command: str) -> None:
    rejected = keys(command, "0" * 16)
    assert rejected.exit_code == 1
    assert "keys list" in rejected.stderr


def test_a_test_mode_key_starts_with_test(ring: KeyRing) -> None:
    made = keys("create", "--tenant", "acme", "--test")
    assert made.stdout.startswith("test_")
    assert "in test mode" in made.stderr
    assert authenticate(ring, made.stdout.strip()).test
    assert "acme (test)" in keys("list").stdout


def test_a_key_that_cannot_be_read_is_listed_so_and_changed_by_no_command(ring: KeyRing) -> None:
    artifacts = build_artifacts(Settings())
    for key_id, content in (("0" * 16, b"{"), ("1" * 16, b'{"version": 9}')):
        artifacts.put(f"keys/{key_id}/key.json", content, media_type="application/json")
    good, _ = ring.create("acme")
    lines = [" ".join(line.split()) for line in keys("list").output.splitlines()]
    assert f"{'0' * 16} damaged" in lines
    assert f"{'1' * 16} newer release" in lines
    assert any(line.startswith(good.id) for line in lines)
    for words in (("revoke", "0" * 16), ("rotate", "1" * 16)):
        failed = keys(*words)
        assert failed.exit_code == 1
        assert "the stored key" in failed.stderr


def test_no_key_is_created_or_missed_in_a_folder_that_is_not_mounted(ring: KeyRing, tmp_path: Path) -> None:
    with EmbeddedRedis(Settings().redis_dir):
        assert keys("create").exit_code == 0
    folder = Settings().artifacts_dir
    folder.rename(tmp_path / "elsewhere")
    folder.mkdir()
    for command in ("create", "list"):
        refused = keys(command)
        assert (refused.exit_code, "s2edit-store.json is missing" in refused.stderr) == (1, True)
    assert list(folder.iterdir()) == []

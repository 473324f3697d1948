"""What `s2edit edit` says when the service refuses its credentials."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from api.wire.problem_kinds import KINDS
from cli.main import app
from cli.terminal import REFUSED
from s2edit_jobs.records.errors import AccessDenied

OF_CREDENTIALS = {kind.code: kind for error, kind in KINDS.items() if issubclass(error, AccessDenied)}
HEADERS = ("Authorization", "S2Edit-User", "WWW-Authenticate")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("credentials_missing", ["--api-key", "S2EDIT_API_KEY", "s2edit keys create"]),
        ("credentials_invalid", ["--api-key", "S2EDIT_API_KEY"]),
        ("scope_missing", ["--api-key", "S2EDIT_API_KEY", "edits:write"]),
        ("user_missing", ["--user"]),
        ("user_foreign", ["--user"]),
    ],
)
def test_it_names_the_options_to_set(code: str, expected: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kind = OF_CREDENTIALS[code]
    answer = httpx.Response(kind.status, json={"code": kind.code, "detail": kind.detail})
    monkeypatch.setattr("cli.client.new_http", lambda: httpx.Client(transport=httpx.MockTransport(lambda _: answer)))
    result = CliRunner().invoke(app, ["edit", "--prompt", "x", "-o", str(tmp_path / "out.png")])
    assert result.exit_code == 1
    for word in expected:
        assert word in result.stderr
    assert not [header for header in HEADERS if header in result.stderr]


def test_every_refusal_that_speaks_of_a_header_is_translated() -> None:
    spoken = {code for code, kind in OF_CREDENTIALS.items() if any(header in kind.detail for header in HEADERS)}
    assert spoken <= set(REFUSED)

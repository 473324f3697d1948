"""The TypeScript client: its types are those of the schema, it type-checks, and it works against a running service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.clients.conftest import TYPESCRIPT, Live, node
from tests.clients.test_generated import TELLS

TSC = "node_modules/typescript/bin/tsc"


@pytest.mark.usefixtures("node_modules")
def test_the_types_are_what_the_schema_gives(tmp_path: Path) -> None:
    node("generate.ts", tmp_path / "schema.ts", cwd=TYPESCRIPT)
    assert (TYPESCRIPT / "src" / "schema.ts").read_text() == (tmp_path / "schema.ts").read_text(), TELLS


@pytest.mark.usefixtures("node_modules")
def test_it_edits_and_waits_against_a_running_service(live: Live) -> None:
    """The script that does it is held to the same strict types."""
    node(TSC, "--project", "tsconfig.build.json", "--noCheck", cwd=TYPESCRIPT)  # the next line checks the same files
    node(TSC, "--noEmit", cwd=TYPESCRIPT)
    env = {"S2EDIT_URL": live.url, "S2EDIT_PHOTO": str(live.photo), "S2EDIT_MASK": str(live.mask)}
    said = node("--test", "--test-reporter=tap", "test/live.test.ts", cwd=TYPESCRIPT, env=env)
    assert "# fail 0" in said
    assert "# skipped 0" in said


def test_the_lock_pins_bytes_and_names_no_registry() -> None:
    lock = (TYPESCRIPT / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert '"resolved"' not in lock

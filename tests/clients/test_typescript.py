"""The TypeScript client builds from the schema, type-checks and works against a running service."""

from __future__ import annotations

import pytest

from tests.clients.conftest import TYPESCRIPT, Live, node

TSC = "node_modules/typescript/bin/tsc"


@pytest.mark.usefixtures("typescript")
def test_the_client_edits_against_a_running_service(live: Live) -> None:
    """Type-check the client with its test script, then run the script."""
    node(TSC, "--noEmit", cwd=TYPESCRIPT)
    env = {"S2EDIT_URL": live.url, "S2EDIT_PHOTO": str(live.photo), "S2EDIT_MASK": str(live.mask)}
    output = node("--test", "--test-reporter=tap", "test/live.test.ts", cwd=TYPESCRIPT, env=env)
    assert "# fail 0" in output
    assert "# skipped 0" in output


def test_the_lock_file_pins_hashes_and_names_no_registry() -> None:
    lock = (TYPESCRIPT / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert '"resolved"' not in lock

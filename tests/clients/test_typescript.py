"""The TypeScript client: it builds from the schema, type-checks, and works against a running service."""

from __future__ import annotations

import pytest

from tests.clients.conftest import TYPESCRIPT, Live, node

TSC = "node_modules/typescript/bin/tsc"


@pytest.mark.usefixtures("typescript")
def test_it_edits_and_waits_against_a_running_service(live: Live) -> None:
    """The test script is type-checked too."""
    node(TSC, "--noEmit", cwd=TYPESCRIPT)
    env = {"S2EDIT_URL": live.url, "S2EDIT_PHOTO": str(live.photo), "S2EDIT_MASK": str(live.mask)}
    said = node("--test", "--test-reporter=tap", "test/live.test.ts", cwd=TYPESCRIPT, env=env)
    assert "# fail 0" in said
    assert "# skipped 0" in said


@pytest.mark.usefixtures("typescript")
def test_it_bears_lost_and_late_answers() -> None:
    said = node("--test", "--test-reporter=tap", "test/lost.test.ts", cwd=TYPESCRIPT)
    assert "# fail 0" in said
    assert "# pass 8" in said


def test_the_lock_pins_bytes_and_names_no_registry() -> None:
    lock = (TYPESCRIPT / "package-lock.json").read_text()
    assert '"integrity": "sha512-' in lock
    assert '"resolved"' not in lock

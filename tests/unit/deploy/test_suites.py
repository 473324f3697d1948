"""`make test`: a test that fails beside others and passes alone is named and fails nothing; every other failure does."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.suites import AGAIN, run_suites

STEADY = "def test_steady(): pass"
FAILS = "def test_fails(): assert False"
UNSTEADY = """
from pathlib import Path

def test_unsteady():
    seen = Path("seen")
    before = seen.exists()
    seen.touch()
    assert before
"""
MANY = f"""
import pytest
from pathlib import Path

@pytest.mark.parametrize("number", range({AGAIN + 1}))
def test_unsteady(number):
    seen = Path(f"seen-{{number}}")
    before = seen.exists()
    seen.touch()
    assert before
"""


@pytest.mark.parametrize(
    ("suites", "status"),
    [
        ((STEADY, STEADY), 0),
        ((STEADY, UNSTEADY), 0),
        ((UNSTEADY, STEADY), 0),
        ((STEADY, FAILS), 1),
        ((UNSTEADY, FAILS), 1),
        ((UNSTEADY, "import nothing_of_this_name"), 1),
        ((UNSTEADY, "import os\nos._exit(0)"), 1),
        ((UNSTEADY, ""), 1),
        ((STEADY, MANY), 1),
    ],
    ids=[
        "all pass",
        "unsteady",
        "unsteady, first lane",
        "one fails",
        "both",
        "no import",
        "dies",
        "no test",
        "many",
    ],
)
def test_the_status_of_a_run(
    suites: tuple[str, str], status: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.chdir(tmp_path)
    Path("pytest.ini").write_text("[pytest]", encoding="utf-8")
    for number, text in enumerate(suites):
        Path(f"suite_{number}").mkdir()
        Path(f"suite_{number}/test_{number}.py").write_text(text, encoding="utf-8")
    assert run_suites([(("suite_0",),), (("suite_1",),)]) == status
    printed = capfd.readouterr().out
    assert ("unsteady, since" in printed) == (UNSTEADY in suites and status == 0)
    if FAILS in suites:
        assert "assert False" in printed

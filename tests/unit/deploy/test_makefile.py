from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.unit.deploy.files import ROOT


def make(*arguments: str) -> str:
    return subprocess.run(["make", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_help_lists_every_target_with_what_it_does() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    listed = dict(re.findall(r"^  make ([a-z-]+) +(\S.*)", make("help"), re.MULTILINE))
    assert {"demo", "test", "check", "test-slow", "up", "help", "constraints"} <= set(listed)
    assert sorted(listed) == sorted(phony.split())


def test_a_commit_runs_what_continuous_integration_checks() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    (hook,) = [hook for repository in config["repos"] for hook in repository["hooks"]]
    assert hook["entry"].split()[0] == "make"
    assert hook["entry"].split()[-1] == "check"
    assert not hook["pass_filenames"]
    assert {repository["repo"] for repository in config["repos"]} == {"local"}


@pytest.mark.parametrize(("target", "runs"), [("demo", "s2edit demo"), ("up", "s2edit up"), ("test", "-m tests.suites")])
def test_a_target_sets_up_what_it_needs_first(target: str, runs: str) -> None:
    """As in a fresh clone: without a stamp, torch comes first and alone, then the rest."""
    steps = make("--dry-run", "--always-make", target)
    torch, rest, run = (steps.index(text) for text in ("^torch==", "--editable", runs))
    assert torch < rest < run


@pytest.mark.parametrize(("target", "runs"), [("check", "mypy"), ("test", "-m tests.suites"), ("test-slow", "-m pytest")])
def test_the_client_is_generated_before_anything_reads_it(target: str, runs: str) -> None:
    steps = make("--dry-run", "--always-make", target)
    assert steps.index("--editable") < steps.index("clients/python/hatch_build.py") < steps.index(runs)


@pytest.mark.parametrize("target", ["demo", "test", "segmenter"])
def test_set_up_fetches_the_segmenter(target: str) -> None:
    steps = make("--dry-run", "--always-make", target)
    assert steps.index("--editable") < steps.index("-m s2edit_core fetch-segmenter")


def test_another_index_for_torch_is_for_torch_alone() -> None:
    steps = make("--dry-run", "--always-make", "demo", "TORCH_INDEX_URL=https://index.test/cpu")
    lines = [line for line in steps.splitlines() if "index.test" in line]
    assert len(lines) == 1
    assert "--no-deps" in lines[0]


def test_constraints_pin_torch_and_everything_else_exactly() -> None:
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!]+", line) for line in lines)
    assert sum(line.startswith("torch==") for line in lines) == 1


def test_every_direct_dependency_is_pinned() -> None:
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [line for lines in (project["dependencies"], *project["optional-dependencies"].values()) for line in lines]
    names = {re.split(r"[\[<>=;~ ]", line)[0].lower() for line in wanted} - {"s2edit"}
    pinned = {line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line}
    normal = {name.replace("_", "-") for name in pinned}
    assert not {name.replace("_", "-") for name in names} - normal


def test_continuous_integration_runs_checks_and_tests_and_fails_with_either(tmp_path: Path) -> None:
    """The script itself, with a `make` that fails as told."""
    for failing, expected in (("none", 0), ("check", 1), ("test", 1)):
        asked = tmp_path / f"asked-{failing}"
        fake = tmp_path / failing / "make"
        fake.parent.mkdir()
        fake.write_text(f'#!/bin/sh\nfor last; do :; done\necho "$last" >> {asked}\ntest "$last" != {failing}\n')
        fake.chmod(0o755)
        done = subprocess.run(
            [ROOT / ".ci" / "run"], env={"PATH": f"{fake.parent}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
        assert asked.read_text().split() == ["check", "test"]
        assert (done.returncode != 0) == bool(expected), done.stdout


@pytest.mark.parametrize(
    ("programs", "asked", "said"),
    [
        ({"chromium-browser": "true"}, "", ""),
        ({"id": "echo 0", "apt-get": 'echo "apt-get $@" >> "$ASKED"'}, "apt-get -qq update\napt-get -qq install", "by apt-get"),
        ({"id": "echo 0", "apt-get": "false"}, "", "install one, for example by"),
        ({"id": "echo 1000", "apt-get": "false"}, "playwright install chromium", "by playwright"),
    ],
    ids=["there", "root", "apt-get fails", "not root"],
)
def test_a_browser_is_installed_where_there_is_none(programs: dict[str, str], asked: str, said: str, tmp_path: Path) -> None:
    log = tmp_path / "asked"
    log.touch()
    for name, text in {
        "bin/python": f'exec {sys.executable} "$@"',
        "bin/playwright": 'echo "playwright $@" >> "$ASKED"',
        **{f"path/{name}": text for name, text in programs.items()},
    }.items():
        program = tmp_path / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{text}\n")
        program.chmod(0o755)
    environment = {"PATH": str(tmp_path / "path"), "ASKED": str(log), "PLAYWRIGHT_BROWSERS_PATH": str(tmp_path / "none")}
    command = [str(shutil.which("make")), f"VENV={tmp_path}", f"--old-file={tmp_path}/.dev", "browser"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    assert log.read_text().startswith(asked)
    assert bool(log.read_text()) == bool(asked)
    assert said in done.stdout
    assert bool(done.stdout) == bool(said)

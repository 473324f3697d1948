"""What is generated and committed is what the generators write now."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cli.openapi import text
from s2edit_jobs.settings import ROOT

CLIENTS = ROOT / "clients"
TELLS = "run `make clients` and commit what it writes"


def files(folder: Path) -> dict[str, str]:
    """Their text, by path."""
    return {
        str(path.relative_to(folder)): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.suffix != ".pyc" and path.is_file()
    }


def test_the_schema_is_what_the_app_says() -> None:
    assert (CLIENTS / "openapi.json").read_text(encoding="utf-8") == text(), TELLS


def test_the_python_client_is_what_the_schema_gives(tmp_path: Path) -> None:
    python = CLIENTS / "python"
    command = [f"{sys.prefix}/bin/openapi-python-client", "generate", "--meta", "none", "--fail-on-warning"]
    command += ["--path", str(CLIENTS / "openapi.json"), "--config", str(python / "generator.yaml")]
    env = {**os.environ, "PATH": f"{sys.prefix}/bin{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run([*command, "--output-path", str(tmp_path / "rest")], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert files(python / "s2edit_client" / "rest") == files(tmp_path / "rest"), TELLS

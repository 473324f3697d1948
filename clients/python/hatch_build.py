"""Generate `s2edit_client/rest`, the client's REST layer, from the service's OpenAPI description.

Hatchling calls the hook for every wheel and editable install. In a checkout `make` runs this file as a script.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from shutil import rmtree
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from ruff import find_ruff_bin

PROJECT = Path(__file__).resolve().parent
REST = PROJECT / "s2edit_client" / "rest"


class RestHook(BuildHookInterface):  # type: ignore[type-arg]
    """Put the generated folder into wheels, and the description that it is generated from into sdists."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Run before hatchling collects the files of one target."""
        if self.target_name == "sdist":
            build_data["force_include"][str(description())] = "openapi.json"
        else:
            generate()
            build_data["artifacts"].append("/s2edit_client/rest/")


def description() -> Path:
    """Return the path of `openapi.json`: beside this file in an sdist, one folder up in the repository."""
    for folder in (PROJECT, PROJECT.parent):
        if (found := folder / "openapi.json").is_file():
            return found
    raise FileNotFoundError(f"no openapi.json in {PROJECT} or {PROJECT.parent}: build from the repository or from an sdist")


def generate() -> None:
    """Generate `REST` with openapi-python-client. If that fails, the old folder stays."""
    with tempfile.TemporaryDirectory(prefix=".rest-", dir=PROJECT) as folder:
        new = Path(folder, "rest")
        command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none", "--fail-on-warning"]
        command += ["--custom-template-path", str(PROJECT / "templates")]
        command += ["--path", str(description()), "--config", str(PROJECT / "generator.yaml"), "--output-path", str(new)]
        # The generator formats its output with the `ruff` on PATH, which an environment that is not activated does not extend.
        path = os.pathsep.join([str(Path(find_ruff_bin()).parent), os.environ.get("PATH", os.defpath)])
        done = subprocess.run(command, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            raise RuntimeError(f"openapi-python-client failed:\n{done.stdout}{done.stderr}")
        rmtree(REST, ignore_errors=True)
        new.rename(REST)


if __name__ == "__main__":
    generate()

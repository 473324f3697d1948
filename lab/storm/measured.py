"""What a results file says of where it was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from typing import Any

from s2edit_jobs.settings import ROOT

PACKAGES = ("celery", "kombu", "redis")


def measured_with() -> dict[str, Any]:
    """Return the commit of the code, the machine and the versions. The commit has a `+` if the code differs from it.

    It is empty in a copy of the code without its history.
    """
    return {
        "commit": _git("rev-parse", "HEAD") + "+" * bool(_git("status", "--porcelain", "--", "*.py")),
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count(),
            "cores_used": len(os.sched_getaffinity(0)),
            "python": platform.python_version(),
            **{name: version(name) for name in PACKAGES},
        },
    }


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, check=False, capture_output=True, text=True).stdout.strip()  # noqa: S603, S607

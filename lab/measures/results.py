"""The format of results files, and the description of the machine in them."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from typing import Any

import torch


def machine() -> dict[str, str]:
    """Describe this machine for a results file."""
    return {"processor": platform.machine(), "torch": torch.__version__, "python": platform.python_version()}


def dumped(results: Mapping[str, Any]) -> str:
    """Return JSON with every innermost object or list on one line, so that each record takes one line."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    return re.sub(r"\{[^{}\[\]]*\}|\[[^{}\[\]]*\]", lambda leaf: re.sub(r"\n\s*", " ", leaf[0]), text) + "\n"

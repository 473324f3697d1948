"""What every file of results says of its machine, and how it is written."""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from typing import Any

import torch


def machine() -> dict[str, str]:
    """What a result says of where it was found."""
    return {"processor": platform.machine(), "torch": torch.__version__, "python": platform.python_version()}


def dumped(results: Mapping[str, Any]) -> str:
    """JSON with every innermost object or list on one line: a record a line."""
    text = json.dumps(results, indent=1, ensure_ascii=False)
    return re.sub(r"\{[^{}\[\]]*\}|\[[^{}\[\]]*\]", lambda leaf: re.sub(r"\n\s*", " ", leaf[0]), text) + "\n"

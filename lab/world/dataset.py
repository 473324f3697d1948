"""Where renders and checkpoints are kept, and the seeds of the portraits that are never trained on."""

from __future__ import annotations

import os
from pathlib import Path

WORK = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "s2edit" / "train"
"""Default folder of renders and checkpoints; `--work` overrides it."""
HELD_OUT = 10_000_000
"""First seed that is never trained on. Evaluation takes its people from here on."""

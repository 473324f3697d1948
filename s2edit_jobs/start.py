"""How processes start: they import many modules, which live as long as the process."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collection() -> Iterator[None]:
    """Load without searching for garbage, and don't search what was loaded ever after: that was a fifth of the start's CPU time.

    The libraries make up to a million objects that live as long as the process.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()

"""The shipped housekeeper, but with long waits, so that what waits is seen: `python -m` runs it.

It looks at the test queue only when Redis reports a change, and gives a receiver of webhooks five minutes to answer.
"""

from __future__ import annotations

from functools import partial

from worker import housekeeper
from worker.housekeeping import outgoing
from worker.testmode_runner import ModelessRunner

housekeeper.ModelessRunner = partial(ModelessRunner, poll_s=3600.0)  # type: ignore[misc,assignment]
outgoing.post = partial(outgoing.post, timeout_s=300.0)
housekeeper.main()

"""Follow a job, and tell the client how far it is."""

from __future__ import annotations

import math
import time
from functools import partial

import anyio
from anyio import to_thread
from mcp.server.mcpserver import Context

from cli.client import TERMINAL, EditClient, ServiceError, View

TICK_S = 2
"""Seconds after which the client hears again of a job that has not changed, so that it does not give up."""
TEMPORARY = (0, 429, 500, 502, 503, 504)
"""Statuses that may not last, 0 for a connection that was lost. A job outlives them."""


async def followed(client: EditClient, job: View, wait_s: float, context: Context) -> View:
    """Return the job once it is over, or as it is after `wait_s` seconds. Raises `ServiceError`.

    Leaving early cancels nothing: the job goes on.
    """
    began = time.monotonic()
    while job["state"] not in TERMINAL and (left_s := wait_s - (time.monotonic() - began)) > 0:
        await _report(context, job, time.monotonic() - began)
        seconds = min(TICK_S, math.ceil(left_s))
        try:
            changed = await to_thread.run_sync(partial(client.wait, job, seconds), abandon_on_cancel=True)
            job = changed or job
        except ServiceError as error:
            if error.status not in TEMPORARY:
                raise
            await anyio.sleep(min(1.0, left_s))
    return job


async def _report(context: Context, job: View, waited_s: float) -> None:
    """Report seconds rather than steps: they grow through all phases, as the protocol asks."""
    eta_s = job.get("eta_s")
    total = None if eta_s is None else waited_s + eta_s
    await context.report_progress(waited_s, total, standing(job))


def standing(job: View) -> str:
    """Return in words how far a job is that is not over."""
    progress, eta_s = job.get("progress"), job.get("eta_s")
    words = (
        job["state"] if progress is None else f"{job['state']}: {progress['phase']}, step {progress['step']} of {progress['total']}"
    )
    return words if eta_s is None else f"{words}, about {eta_s:.0f} s left"

"""The ratios that a results file is for. Each is a ratio of two figures of the same run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lab.speed.record import DONE, Result
from lab.speed.timing import digits


def summary(phases: Mapping[str, Result]) -> Result:
    """Return the ratios whose phases are done, by name."""
    done = {name: entry["result"] for name, entry in phases.items() if entry["state"] == DONE}
    found: Result = {}
    for name, result in done.items():
        _, _, rest = name.partition("/")
        dtype, _, which = rest.partition("/")
        if name.startswith("job/"):
            found |= _of_job(dtype, which, result, done.get("reference"))
        elif name.startswith("users/"):
            found |= _of_users(dtype, result, done)
        elif name.startswith("scheduled/"):
            found |= _of_scheduled(dtype, which, result, done)
        elif name.startswith("scheduler/"):
            found[f"{dtype}: the scheduler over a pass of {which} rows"] = result["share"]
        elif name.startswith("passes/") and result.get("best_over_1"):
            found[f"{dtype}: {which}, rows/s of the best bucket over one row"] = result["best_over_1"]
            shares = [each["share"] for each in result["buckets"].values() if "share" in each]
            if shares:
                found[f"{dtype}: {which}, best share of the matrix rate"] = max(shares)
        elif name.startswith("identities/"):
            found |= {f"{dtype}: {count} users over {count} rows of one": each["ratio"] for count, each in result.items()}
    return found


def _of_job(dtype: str, preset: str, job: Result, reference: Result | None) -> Result:
    found: Result = {f"{dtype}: warm {preset} edit over the bare UNet": job["warm"]["over_bare"]}
    if job["share_of_steps"] == 1:
        found |= {f"{dtype}: cold {preset} job, s": job["seconds"], f"{dtype}: warm {preset} edit, s": job["warm"]["seconds"]}
        if reference:
            found[f"{dtype}: reference over a cold {preset} job"] = digits(reference["cold_s"] / job["seconds"], 3)
            found[f"{dtype}: reference over a warm {preset} edit"] = digits(reference["warm_s"] / job["warm"]["seconds"], 3)
    return found


def _of_users(dtype: str, result: Result, done: Mapping[str, Any]) -> Result:
    """Return how much sooner jobs together are done than one at a time, this project's way and the reference's."""
    count, preset, each = result["users"], result["preset"], per_user(result)
    one = done.get(f"job/{dtype}/{preset}")
    if count == 1 or each is None or one is None:
        return {}
    cold, warm = f"{dtype}: {count} cold {preset} jobs", f"{dtype}: {count} warm {preset} edits"
    found: Result = {
        f"{cold}, throughput over one at a time": digits(one["seconds"] / each["cold_s_per_user"], 3),
        f"{warm}, throughput over one at a time": digits(one["warm"]["seconds"] / each["warm_s_per_user"], 3),
    }
    if "reference" in done:
        found[f"{cold}, throughput over the reference"] = digits(done["reference"]["cold_s"] / each["cold_s_per_user"], 3)
    return found


def _of_scheduled(dtype: str, which: str, result: Result, done: Mapping[str, Any]) -> Result:
    """Return how long jobs through the scheduler take beside those in lockstep, and how much sooner they are done than in turn."""
    count, _, preset = which.partition("/")
    name = f"{dtype}: {count} {preset or 'balanced'} jobs through the scheduler"
    found: Result = {f"{name}, time over lockstep": result["over_lockstep"]} if result["over_lockstep"] else {}
    one = done.get(f"scheduled/{dtype}/1/{preset}")
    if one is not None and result["users"] > 1:
        found[f"{name}, throughput over one at a time"] = digits(one["seconds"] * result["users"] / result["seconds"], 3)
    return found


def per_user(result: Result) -> Result | None:
    """Return what whole jobs of many users cost each of them: measured, or else extrapolated; None if neither was possible."""
    found: Result | None = result.get("measured") or result.get("extrapolated")
    return found

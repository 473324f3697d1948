"""Plant bugs in a copy of the service, one at a time, and see who notices: `python -m lab.mutants --out lab/results/mutants.json`.

Each bug breaks one guarantee of ARCHITECTURE.md: the fence, publishing once, rebuilding, learning once, order, ownership,
idempotency or webhooks. A short storm and the tests of those parts run on the copy. The first row has no bug and must be clean.
Finished rows are kept, so the command can be interrupted and repeated; `--budget` ends it early, with the exit status 75. Each row
names the commit at which it was measured.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lab.storm.measured import measured_with

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "lab/results/mutants.json"
LINKED = ("models", ".venv")
"""Folders that the copies share with the project."""
STORM = ("--jobs", "72", "--kills", "18", "--workers", "3", "--lease", "1.0", "--patience", "18", "--limit", "120")
TIMEOUT_S = 600
"""Seconds that a storm, or the tests, may take on a busy machine."""
UNFINISHED = 75
"""Exit status if rows are missing (EX_TEMPFAIL)."""

Kind = Literal["fence", "publish once", "rebuild", "learn once", "order", "owner", "idempotency", "delivery"]

TESTS = (
    "tests/unit/jobs/lifecycle",
    "tests/unit/jobs/records",
    "tests/unit/worker/attempts",
    "tests/unit/worker/housekeeping",
    "tests/unit/api/wire/test_idempotency.py",
    "tests/unit/api/guard/test_foreign_ids.py",
    "tests/contract/job_store/test_*.py",
)
"""The tests of the broken parts."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug: `old`, which occurs once in `file`, becomes `new`."""

    name: str
    kind: Kind
    file: str
    old: str
    new: str

    def planted(self, text: str) -> str:
        """Return the text of the file with the bug. Raise `ValueError` if the mutant is stale."""
        if text.count(self.old) != 1:
            raise ValueError(f"mutant {self.name!r} is stale: its text occurs {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)


REDIS = "s2edit_jobs/stores/redis_store/"
MUTANTS = (
    Mutant(
        "the store does not check the fence",
        "fence",
        f"{REDIS}lua.py",
        "value(id, 'state') == 'running' and value(id, 'fence') == fence end",
        "value(id, 'state') == 'running' end",
    ),
    Mutant(
        "keys of results lack the fence",
        "fence",
        "worker/attempts/publishing.py",
        'self._key(f"{name}-{self._lease.fence}{EXTENSIONS[media_type]}")',
        'self._key(f"{name}{EXTENSIONS[media_type]}")',
    ),
    Mutant(
        "jobs of dead workers are not queued again",
        "fence",
        f"{REDIS}lua.py",
        "local ids = redis.call('ZRANGEBYSCORE', due, '(0', now_ms, 'LIMIT', 0, PAGE)",
        "local ids = {{}}",  # inside an f-string
    ),
    Mutant(
        "an outcome can be overwritten",
        "publish once",
        "s2edit_jobs/lifecycle/jobs.py",
        "outcome.to_json(), media_type=JSON, only_if_absent=True)",
        "outcome.to_json(), media_type=JSON)",
    ),
    Mutant(
        "jobs that Redis has lost are not entered again",
        "rebuild",
        "s2edit_jobs/lifecycle/unfinished.py",
        "record = self._jobs.load(place.owner, place.id, marked=True)",
        "return False",
    ),
    Mutant(
        "accepted jobs get no marker",
        "rebuild",
        "s2edit_jobs/lifecycle/jobs.py",
        'self.artifacts.put(marker, edit_key(spec.owner, spec.id, "spec.json").encode(), media_type="text/plain")',
        "pass",
    ),
    Mutant(
        "jobs accepted without Redis are forgotten until it restarts",
        "rebuild",
        "worker/housekeeping/reaper.py",
        "if pending and (entered := reconcile_if_due(",
        "if False and (entered := reconcile_if_due(",
    ),
    Mutant(
        "rebuild announces no webhooks",
        "delivery",
        "s2edit_jobs/lifecycle/unfinished.py",
        "self._store.outbox.announce(marker.removeprefix(OUTBOX), place.owner.tenant)",
        "pass",
    ),
    Mutant(
        "several jobs learn one concept",
        "learn once",
        f"{REDIS}reservations.py",
        "if other ~= '' and other ~= id then",
        "if false then",
    ),
    Mutant(
        "a worker learns without a reservation",
        "learn once",
        "worker/attempts/engine_run.py",
        "if not self._reservations.reserve(self._control.lease, key):",
        "if False:",
    ),
    Mutant(
        "learning does not resume at checkpoints",
        "learn once",
        "worker/attempts/engine_run.py",
        "return self._read(keys[-1]) if keys else None",
        "return None",
    ),
    Mutant(
        "a recovered job's sequence starts at 1",
        "order",
        "s2edit_jobs/records/record.py",
        "return replace(first, sequence=int(now * 1000), updated_at=now)",
        "return replace(first, updated_at=now)",
    ),
    Mutant(
        "a finished job's sequence is below earlier ones",
        "order",
        "s2edit_jobs/records/record.py",
        "sequence=int((outcome.finished_at + SETTLED_S) * 1000),",
        "sequence=1,",
    ),
    Mutant(
        "a stream declares no gap",
        "order",
        f"{REDIS}events.py",
        "return records, not records or records[0].sequence == after + 1",
        "return records, True",
    ),
    Mutant(
        "anybody can read any job",
        "owner",
        f"{REDIS}hashes.py",
        "if record.owner != owner:",
        "if False:",
    ),
    Mutant(
        "simultaneous requests overwrite the marker of their key",
        "idempotency",
        "s2edit_jobs/lifecycle/request_markers.py",
        "marker.to_json(), media_type=JSON, only_if_absent=True)",
        "marker.to_json(), media_type=JSON)",
    ),
    Mutant(
        "a repeated request forgets the first one's job",
        "idempotency",
        "s2edit_jobs/lifecycle/idempotency.py",
        "return found or marker",
        "return marker",
    ),
    Mutant(
        "a webhook counts as delivered whatever the answer",
        "delivery",
        "worker/housekeeping/messenger.py",
        "arrived = isinstance(answer, int) and 200 <= answer < 300",
        "arrived = isinstance(answer, int)",
    ),
    Mutant(
        "the end of a job enters no webhook",
        "delivery",
        f"{REDIS}records.py",
        "if value(id, 'webhook') == '1' then redis.call('ZADD', P .. 'outbox', 'NX', now_ms, id) end",
        "",
    ),
    Mutant(
        "each try of a webhook has another id",
        "delivery",
        "s2edit_jobs/records/webhooks.py",
        'return f"msg_{job_id}"',
        'return f"msg_{job_id}_{random.random()}"',
    ),
)
NO_BUG = "no bug"


@contextmanager
def copied(mutant: Mutant | None) -> Iterator[Path]:
    """Yield a copy of the project with the bug planted."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    with tempfile.TemporaryDirectory(prefix="mutant-") as name:
        tree = Path(name)
        for path in listed:
            if path.startswith(("models/", "lab/results/")) or not (ROOT / path).is_file():
                continue
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / path, tree / path)
        for folder in LINKED:
            if (ROOT / folder).exists() and not (tree / folder).exists():
                (tree / folder).symlink_to((ROOT / folder).resolve())
        (tree / "lab/results").symlink_to(RESULTS.parent)
        if mutant is not None:
            (tree / mutant.file).write_text(mutant.planted((tree / mutant.file).read_text()))
        yield tree


def _run(tree: Path, command: Sequence[str], timeout_s: float) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": f"{tree}:{tree}/clients/python", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", *command], cwd=tree, env=environment, capture_output=True, text=True, timeout=timeout_s
    )


def run_storm(tree: Path, seed: int) -> dict[str, Any]:
    """Run a short storm on the copy. A storm that can't even end counts as having noticed."""
    began, out = time.monotonic(), tree / "storm.json"
    run = _run(tree, ["lab.storm", *STORM, "--seed", str(seed), "--out", str(out)], TIMEOUT_S)
    took_s = round(time.monotonic() - began, 1)
    if not out.exists():
        raise RuntimeError(f"the storm did not run: {run.stderr[-2000:]}")
    findings = json.loads(out.read_text())["findings"]
    counts = {name: len(found) for name, found in findings.items() if found}
    first = next((_without_ids(found[0]) for found in findings.values() if found), None)
    return {"caught": bool(counts), "findings": counts, "first": first, "seconds": took_s}


def run_tests(tree: Path) -> dict[str, Any]:
    """Run the tests up to the first failure."""
    began, tests = time.monotonic(), [str(path) for pattern in TESTS for path in sorted(tree.glob(pattern))]
    run = _run(tree, ["pytest", "-x", "-q", "-p", "no:cacheprovider", "--no-header", *tests], TIMEOUT_S)
    if run.returncode not in (0, 1):
        raise RuntimeError(f"the tests did not run: {run.stdout[-2000:]} {run.stderr[-2000:]}")
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", run.stdout, re.MULTILINE)
    return {"caught": run.returncode == 1, "first": failed[0] if failed else None, "seconds": round(time.monotonic() - began, 1)}


def _without_ids(finding: str) -> str:
    return re.sub(r"[0-9a-f]{32}", "…", re.sub(r"\d{12,}", "…", finding))


def row(mutant: Mutant | None, seed: int) -> dict[str, Any]:
    """Return the row of a mutant, or of the service as it is."""
    with copied(mutant) as tree:
        storm = run_storm(tree, seed)
        tests = run_tests(tree)
    about = {"kind": mutant.kind, "file": mutant.file} if mutant else {}
    return {**about, "commit": measured_with()["commit"], "storm": storm, "tests": tests}


def summary(rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the figures of the finished rows, and whether the bars are reached."""
    planted = {name: one for name, one in rows.items() if name != NO_BUG}
    storm = sum(one["storm"]["caught"] for one in planted.values())
    either = sum(one["storm"]["caught"] or one["tests"]["caught"] for one in planted.values())
    clean = NO_BUG in rows and not (rows[NO_BUG]["storm"]["caught"] or rows[NO_BUG]["tests"]["caught"])
    return {
        "planted": len(planted),
        "storm": storm,
        "tests": sum(one["tests"]["caught"] for one in planted.values()),
        "either": either,
        "clean_without_bug": clean,
        "reached": clean and len(planted) == len(MUTANTS) and storm * 12 >= len(planted) * 10 and either == len(planted),
    }


def measure(wanted: Mapping[str, Mutant | None], kept: dict[str, Any], given: argparse.Namespace) -> dict[str, Any]:
    """Return the rows that are `kept` and, as far as the budget allows, those that are missing. Write them after each one."""
    began, lock = time.monotonic(), threading.Lock()
    rows = {name: kept[name] for name in wanted if name in kept}
    missing = [name for name in wanted if (given.only in name if given.only else name not in rows)]

    def measure_one(name: str) -> None:
        if time.monotonic() - began > given.budget:
            return
        found = row(wanted[name], given.seed)
        with lock:
            rows[name] = found
            ordered = {one: rows[one] for one in wanted if one in rows}
            about = {"machine": measured_with()["machine"], "seed": given.seed, "storm": " ".join(STORM)}
            report = {**about, "summary": summary(ordered), "rows": ordered}
            given.out.write_text(json.dumps(report, indent=1) + "\n")
            print(name, json.dumps(found), flush=True)

    with ThreadPoolExecutor(given.parallel) as pool:
        list(pool.map(measure_one, missing))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m lab.mutants", description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=1, help="seed of the storms")
    parser.add_argument("--only", help="part of the names of the mutants to run, also if their rows are finished")
    parser.add_argument("--budget", type=float, default=float("inf"), help="seconds after which no further row is begun")
    parser.add_argument("--parallel", type=int, default=1, help="rows at a time; a storm mostly waits")
    parser.add_argument("--fresh", action="store_true", help="drop finished rows")
    parser.add_argument("--out", type=Path, default=RESULTS, help="results file; finished rows in it are kept")
    given = parser.parse_args(arguments)
    kept: dict[str, Any] = json.loads(given.out.read_text())["rows"] if given.out.exists() and not given.fresh else {}
    wanted: dict[str, Mutant | None] = {NO_BUG: None, **{mutant.name: mutant for mutant in MUTANTS}}
    rows = measure(wanted, kept, given)
    if len(rows) < len(wanted):
        return UNFINISHED
    return 0 if summary(rows)["reached"] else 1


if __name__ == "__main__":
    sys.exit(main())

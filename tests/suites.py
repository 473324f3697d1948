"""Run the whole suite in lanes that go side by side: `python -m tests.suites`, which `make test` calls.

Unit tests compute, in as many processes as there are cores, file by file. Those of the packages that need torch most have half of
the processes, since each process imports and collects all tests that it may run. Beside them run those that start servers and
mostly wait for them. Playwright's event loop excludes those of other tests, so the studio has a process of its own.

A few failed tests run once more, alone: on a busy machine, a test that waits for a server may fail beside others. The run passes if
they pass then, and names them as unsteady. When more than a few fail, nothing runs again.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory

AGAIN = 5
"""The failed tests that may run once more; when more fail, none does."""

FAILED = 1
"""The exit status of a pytest that ran its tests to the end; others mean that it was interrupted or ran none."""

DIED = 70
"""The status of a suite whose process ended before its session did, for example because a test called `os._exit(0)`."""

Suite = tuple[str, ...]
"""The folders of tests that one pytest runs, and its options."""

HALF = (os.cpu_count() or 2) // 2
IN_HALF = ("-n", str(HALF), "--dist", "loadfile") if HALF > 1 else ()
"""A process for each of half of the cores. For one process, pytest-xdist would be a second one that passes on every report."""

WITH_TORCH = ("tests/unit/core", "tests/unit/lab", "tests/unit/worker")
"""Half of the unit tests, by their time."""

LANES: tuple[tuple[Suite, ...], ...] = (
    (("tests/unit", *(f"--ignore={folder}" for folder in WITH_TORCH), *IN_HALF),),
    ((*WITH_TORCH, *IN_HALF),),
    (("tests/integration", "-n", "2", "--dist", "loadfile"),),
    (("tests/contract",), ("tests/studio", "-n", "2", "--dist", "loadfile")),
    (("tests/acceptance", "tests/clients", "tests/sdks"),),
)
"""The suites of a lane run one after the other. The first lane prints as it goes, the others at the end."""


def run_pytest(arguments: Sequence[str], cache: Path, log: Path | None = None) -> int:
    """Return the exit status of pytest. One thread: torch with more threads than idle cores is many times slower."""
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    if log is None:
        return subprocess.run(command, env=environment, check=False).returncode
    with log.open("ab") as file:
        return subprocess.run(command, env=environment, check=False, stdout=file, stderr=file).returncode


def run_suite(suite: Suite, cache: Path, log: Path | None) -> int:
    """Return the exit status of a suite. Say how long it took."""
    began = time.monotonic()
    status = run_pytest(suite, cache, log)
    print(f"make: {' '.join(suite)} ended after {time.monotonic() - began:.0f} s", flush=True)
    return status if (cache / "v/cache/nodeids").exists() else status or DIED


def failed_tests(cache: Path) -> list[str]:
    """Return the ids of the tests that failed, as pytest's cache has them."""
    path = cache / "v/cache/lastfailed"
    return list(json.loads(path.read_text())) if path.exists() else []


def run_lanes(folder: Path, lanes: Sequence[Sequence[Suite]]) -> tuple[set[int], list[str]]:
    """Return the exit statuses of all suites, and the ids of the failed tests. Print what each suite printed."""
    logs = [None, *(folder / f"lane-{lane}" for lane in range(1, len(lanes)))]

    def run_lane(lane: int) -> list[tuple[int, list[str]]]:
        ends = []
        for number, suite in enumerate(lanes[lane]):
            cache = folder / f"cache-{lane}-{number}"
            ends.append((run_suite(suite, cache, logs[lane]), failed_tests(cache)))
        return ends

    with ThreadPoolExecutor(len(lanes)) as pool:
        ends = [end for lane in pool.map(run_lane, range(len(lanes))) for end in lane]
    for log in filter(None, logs):
        print(log.read_text(errors="replace"), flush=True)
    return {status for status, _ in ends}, [test for _, tests in ends for test in tests]


def run_suites(lanes: Sequence[Sequence[Suite]] = LANES) -> int:
    """Return the exit status of the whole run."""
    with TemporaryDirectory(prefix="s2edit-tests-") as name:
        folder = Path(name)
        statuses, tests = run_lanes(folder, lanes)
        if not statuses - {0}:
            return 0
        if statuses - {0, FAILED} or not 0 < len(tests) <= AGAIN:
            return FAILED
        print(f"make: {len(tests)} failed; once more, alone", flush=True)
        if run_pytest(tests, folder / "cache-again") != 0:
            return FAILED
        print("make: unsteady, since they failed beside others and passed alone:", *tests, sep="\n  ", flush=True)
        return 0


if __name__ == "__main__":
    sys.exit(run_suites())

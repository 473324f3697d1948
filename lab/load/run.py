"""The command line of `python -m lab.load`."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from cli.supervision.own_service import own_service
from cli.supervision.service import WORKER_APP
from lab.load import figures
from lab.load.scenario import PRESET, Observed, Scenario, Subject
from lab.speed.record import DONE, Record, Result
from lab.storm.measured import measured_with
from lab.world.domain import UNSEEN
from lab.world.person import DOMAIN
from s2edit_jobs.settings import ROOT

OUT = Path("lab/results/load.json")
FAKE_WORKER = "lab.load.fake_worker"
PEOPLE = 24
FIRST_PERSON = UNSEEN + 3000
PHOTO_SIZE = 512
ESTIMATE_S = 120.0
"""Of a phase. On a busy machine, it may take three times as long."""
LIMIT_S = 150.0
"""The longest time of each load. What is not over then is canceled and not counted."""
GRACE_S = 60.0
"""How long Locust's process may live beyond the time of its scenario."""


@dataclass(frozen=True, slots=True)
class Loads:
    """How many users there are, and how many edits each makes: those of the crowd, and the single user, alone and in the flood."""

    crowd: int
    edits_each: int
    single_edits: int
    flood: int = 32


FAKE, MODEL = Loads(8, 8, 10), Loads(4, 2, 3)
PHASES = {"fake/1": FAKE, "fake/16": FAKE, "model/1": MODEL, "model/16": MODEL}
"""By engine and number of edits that a worker runs at a time."""


def draw_people(folder: Path, count: int, *, seed: int = 1) -> list[Subject]:
    """Draw portraits of people outside the training set into `folder`."""
    subjects = []
    for number in range(count):
        person = DOMAIN.sample(FIRST_PERSON + 1000 * seed + number)
        path = folder / f"person-{number}.png"
        DOMAIN.render(person, PHOTO_SIZE).save(path)
        subjects.append(Subject(str(path), person.attributes.gender))
    return subjects


def served(data_dir: Path, *, jobs: int, fake: bool) -> AbstractContextManager[str]:
    """Run the service with `jobs` edits at a time in its worker. The context is its URL. Raises `StartFailed`."""
    return own_service(data_dir, "--worker-app", FAKE_WORKER if fake else WORKER_APP, settings={"S2EDIT_WORKER_JOBS": str(jobs)})


def observe(scenario: Scenario, folder: Path) -> Observed:
    """Run the scenario in a process of its own: Locust changes the process that imports it."""
    wanted, found = folder / "scenario.json", folder / "observed.json"
    scenario.write(wanted)
    command = [sys.executable, "-m", "lab.load.users", str(wanted), str(found)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))}
    subprocess.run(command, check=True, env=env, timeout=scenario.seconds + GRACE_S)  # noqa: S603  our own command
    return Observed.read(found)


def measure(name: str, loads: Loads, subjects: Sequence[Subject], *, seed: int) -> Result:
    """Start a service and load it: with one user, with a crowd, with a flood beside the one user."""
    engine, _, jobs = name.partition("/")
    before = os.getloadavg()
    with tempfile.TemporaryDirectory(prefix="load-") as made:
        folder = Path(made)
        with served(folder / "data", jobs=int(jobs), fake=engine == "fake") as url:
            base = Scenario(url, subjects, LIMIT_S, seed=seed)
            began = time.monotonic()
            first = observe(replace(base, single=True, edits=1), folder)
            if not first.edits or first.edits[0].state != "succeeded":
                raise RuntimeError(f"the first edit of the single user did not succeed: {first}")
            known = replace(base, identity=first.edits[0].identity)
            ready_s = time.monotonic() - began
            alone = observe(replace(known, single=True, edits=loads.single_edits), folder)
            crowd = observe(replace(base, crowd=loads.crowd, edits=loads.edits_each), folder)
            flooded = observe(replace(known, single=True, flood=loads.flood, edits=loads.single_edits), folder)
    return {
        "loads": asdict(loads),
        "load_average": {"before": round(before[0], 2), "after": round(os.getloadavg()[0], 2)},
        "first_edit_s": round(ready_s, 2),
        "crowd": figures.crowd(crowd),
        "fairness": figures.fairness(alone, flooded),
    }


def about(seed: int) -> dict[str, Any]:
    """Return what identifies a results file: the machine, versions, the seed."""
    found = measured_with()
    threads = os.environ.get("OMP_NUM_THREADS") or "the service's choice"
    machine = found["machine"] | {each: version(each) for each in ("torch", "locust")}
    return {"machine": machine, "threads": threads, "preset": PRESET, "seed": seed}


def summary(record: Record) -> Result:
    """Return the ratios between 16 edits and one edit at a time of the same engine."""
    found: Result = {}
    for engine in ("fake", "model"):
        one, many = (record.result(f"{engine}/{jobs}") for jobs in (1, 16))
        if one and many and one["crowd"]["edits_per_minute"] and many["crowd"]["edits_per_minute"]:
            ratio = many["crowd"]["edits_per_minute"] / one["crowd"]["edits_per_minute"]
            found[f"{engine}: edits a minute, 16 at a time over one at a time"] = round(ratio, 2)
        for jobs, each in (("1", one), ("16", many)):
            if each:
                found[f"{engine}/{jobs}: single user's edit beside a flood over alone"] = each["fairness"][
                    "median_beside_over_alone"
                ]
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m lab.load", description="Measure the running service under load.")
    parser.add_argument("--only", action="append", choices=PHASES, help="a phase; repeat it for several")
    parser.add_argument("--budget", type=float, default=None, metavar="SECONDS", help="skip phases that no longer fit")
    parser.add_argument("--quick", action="store_true", help="loads of some seconds, which say little")
    parser.add_argument("--seed", type=int, default=1, help="which people are drawn, and the seeds of their edits")
    parser.add_argument("--out", type=Path, default=OUT, help="results file; finished phases in it are kept")
    given = parser.parse_args(arguments)
    began = time.monotonic()
    try:
        record = Record(given.out, about(given.seed))
    except ValueError as error:
        sys.exit(str(error))
    with tempfile.TemporaryDirectory(prefix="people-") as folder:
        subjects: list[Subject] = []
        for name in (each for each in given.only or PHASES if not record.is_done(each)):
            loads = Loads(2, 2, 2, flood=6) if given.quick else PHASES[name]
            if given.budget is not None and time.monotonic() - began + ESTIMATE_S > given.budget:
                record.skip(name, f"an estimate of {ESTIMATE_S:.0f} s did not fit into the rest of the budget")
                continue
            subjects = subjects or draw_people(Path(folder), PEOPLE, seed=given.seed)
            record.run(name, partial(measure, name, loads, subjects, seed=given.seed))
            entry = record.phases[name]
            print(f"{name}: {entry['state']}, {entry['took_s']:.0f} s {entry.get('error', '')}", flush=True)
    record.put_summary(summary(record))
    print(json.dumps(record.summary, indent=1))
    sys.exit(0 if all(record.phases[name]["state"] == DONE for name in given.only or PHASES) else 1)

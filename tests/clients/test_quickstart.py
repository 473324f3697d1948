"""The README's quickstart and the example for `fetch`, as printed, against a running service.

Only the port differs if the printed one is taken.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import httpx
import pytest

from s2edit_jobs.settings import ROOT
from tests.clients.conftest import PRINTED_PORT, Live, node

FETCH = ROOT / "docs" / "api.md"
SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Quickstart\n")[2].partition("\n##")[0]


def printed(language: str, live: Live, text: str = SECTION) -> list[str]:
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    found = [code.replace(f"http://127.0.0.1:{PRINTED_PORT}", live.url) for tag, code in blocks if tag == language]
    assert found
    return found


def said(*command: str, live: Live) -> str:
    env = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "S2EDIT_AUTH")}
    done = subprocess.run(command, cwd=live.folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_service_is_started_first(live: Live) -> None:
    assert printed("", live)[0] == ".venv/bin/s2edit up\n"


def test_by_curl(live: Live) -> None:
    """Run the blocks one after another in one shell."""
    pictures = [live.folder / name for name in ("red-hair.png", "smiling.png")]
    script = "\n".join([*printed("", live)[1:], 'echo "$edit"'])
    further = json.loads(said("bash", "-euo", "pipefail", "-c", script, live=live))
    assert further["state"] == "succeeded"
    assert further["report"]["values"]["learning_steps"] == 0
    assert pictures[1].read_bytes() == httpx.get(further["result"]["url"]).content
    edits = httpx.get(f"{live.url}/edits", params={"identity": further["identity"]}).json()["items"]
    assert pictures[0].read_bytes() in [httpx.get(edit["result"]["url"]).content for edit in edits[1:]]
    for picture in pictures:
        picture.unlink()


@pytest.mark.timeout(600)  # building the package asks a package index for its build backend
def test_by_python(live: Live) -> None:
    (install,) = re.findall(r"`(\.venv/bin/pip install [^`]*)`", SECTION)
    said("bash", "-c", install, live=live)
    (code,) = printed("python", live)
    identity = said(".venv/bin/python", "-c", f"{code}\nprint(done.edit.identity)", live=live).strip()
    by_curl = json.loads(said("bash", "-euo", "pipefail", "-c", f'{printed("", live)[1]}\necho "$edit"', live=live))
    assert by_curl["identity"] == identity
    assert by_curl["report"]["values"]["learning_steps"] == 0
    picture = live.folder / "red-hair.png"
    assert picture.read_bytes()
    picture.unlink()


def test_by_fetch(live: Live) -> None:
    """Run in Node, which has the fetch, FormData and File of browsers. `page.mjs` provides the rest of a page."""
    (code,) = printed("js", live, FETCH.read_text(encoding="utf-8"))
    url = node("--import", Path(__file__).with_name("page.mjs"), "--input-type=module", "--eval", code, cwd=live.folder).strip()
    assert url.startswith(live.url)
    answer = httpx.get(url)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"

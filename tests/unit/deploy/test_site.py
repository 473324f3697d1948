"""The documentation builds, and its pages load nothing from other servers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import DOCS, ROOT

BUILD = [sys.executable, "-m", "mkdocs", "build", "--strict"]


def build(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "true"}
    command = [*BUILD, "--site-dir", str(folder), *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    assert {Path(page).stem for page in DOCS} <= {path.stem for path in site.glob("*.html")}


def test_nothing_is_loaded_from_other_servers(site: Path) -> None:
    """Links may lead away; what a browser fetches by itself may not. Mermaid would come from elsewhere."""
    pages = list(site.rglob("*.html"))
    assert len(pages) > len(DOCS)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(r"<(?:script|img|iframe|source)[^>]*\ssrc=[\"']?([^\"'\s>]+)", text)
        fetched += re.findall(r"<link[^>]*rel=[\"']?(?:stylesheet|preconnect|icon|preload)[^>]*", text)
        assert fetched
        assert not [each for each in fetched if re.search(r"(?:^|href=[\"']?)(?:https?:)?//", each)], page
        assert 'class="mermaid"' not in text


def test_linked_files_of_the_repository_come_along(site: Path) -> None:
    for path in (
        "deploy/env.example",
        "clients/openapi.json",
        "lab/results/photos.jpg",
        "lab/results/quality-person-direct+p2p.png",
    ):
        assert (site / "repository" / path).read_bytes() == (ROOT / path).read_bytes()
    assert (site / "repository" / "CONTRIBUTING.html").is_file()


BROKEN = {"[x](gone.md)": "gone.md", "[x](api.md#nowhere)": "#nowhere", "[x](../missing.json)": "missing.json"}
"""Links to a page, to an anchor and to a file that don't exist, and what the build says of each."""


def test_each_broken_link_fails_the_build(tmp_path: Path) -> None:
    """Strictly built, one warning is enough."""
    docs = tmp_path / "docs"
    docs.mkdir()
    for path in (ROOT / "docs").iterdir():
        if path.is_file():
            (docs / path.name).write_bytes(path.read_bytes())
    with (docs / "index.md").open("a") as page:
        page.write("".join(f"\n{link}\n" for link in BROKEN))
    for path in ROOT.iterdir():  # what pages link to
        if path.name not in ("docs", "mkdocs.yml", "site", ".git", ".venv"):
            (tmp_path / path.name).symlink_to(path)
    (tmp_path / "mkdocs.yml").write_bytes((ROOT / "mkdocs.yml").read_bytes())
    done = build(tmp_path / "site", "--config-file", str(tmp_path / "mkdocs.yml"))
    assert done.returncode != 0
    warnings = [line for line in done.stderr.splitlines() if line.startswith("WARNING")]
    for said in BROKEN.values():
        assert any(said in line for line in warnings), (said, done.stderr)

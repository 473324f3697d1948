"""Let pages link to files of the repository that lie outside `docs/`: the site gets a copy of each.

On the code host such a link leads to the file itself. A file that does not exist fails the build, as any broken link does.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)#\s]+)(?=[)#])")
DOCS, COPIES = "docs/", "repository/"


def on_files(files: Files, *, config: MkDocsConfig) -> Files:
    pages = list(files.documentation_pages())
    while pages:
        page = pages.pop()
        for path in _linked(page):
            uri = _uri(path)
            if (ROOT / path).is_file() and uri not in files.src_uris:
                copy = File.generated(config, uri, abs_src_path=str(ROOT / path))
                files.append(copy)
                pages += [copy] if copy.is_documentation_page() else []
    return files


def on_page_markdown(markdown: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:  # noqa: ARG001 - mkdocs names them
    here = page.file.src_uri
    return LINK.sub(lambda link: posixpath.relpath(_uri(_target(here, link[1])), posixpath.dirname(here) or "."), markdown)


def _linked(page: File) -> Iterator[str]:
    """Yield the files of the repository that `page` links to, from the repository's root."""
    return (_target(page.src_uri, link) for link in LINK.findall(page.content_string))


def _target(page: str, link: str) -> str:
    """Return where `link` leads, from the repository's root; `page` is a page's place in the site."""
    home = page.removeprefix(COPIES) if page.startswith(COPIES) else DOCS + page
    return os.path.normpath(posixpath.join(posixpath.dirname(home), link))


def _uri(path: str) -> str:
    """Return the place in the site of a file of the repository."""
    return path.removeprefix(DOCS) if path.startswith(DOCS) else COPIES + path

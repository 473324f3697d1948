"""How the files of the studio are served: their types, their compression, and what browsers keep of them."""

from __future__ import annotations

import pytest

from api.studio.page import FOLDER, MEDIA_TYPES, static_files
from tests.unit.api.conftest import Api


def url_of(name: str) -> str:
    return "/" if name == "index.html" else f"/studio/{name}"


def test_every_file_is_served_as_what_it_is(api: Api) -> None:
    assert {path.suffix for path in FOLDER.rglob("*") if path.is_file()} <= set(MEDIA_TYPES)
    for name, file in static_files().items():
        for coding in ("identity", "gzip, br"):
            answer = api.client.get(url_of(name), headers={"Accept-Encoding": coding})
            assert (answer.status_code, answer.headers["content-type"]) == (200, file.media_type), name
            assert answer.content == file.content, name
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "content-encoding" not in answer.headers or coding != "identity"


def test_only_comments_are_left_out() -> None:
    """What is served and the file itself have the same lines but for comments."""
    for name, file in static_files().items():
        source = (FOLDER / name).read_bytes()
        if name.endswith((".js", ".css")):
            left_out = [line.strip() for line in source.splitlines() if line not in file.content.splitlines()]
            assert all(line.startswith((b"/*", b"*", b"//")) for line in left_out), name
            assert b"/**" not in file.content
            source = b"".join(line for line in source.splitlines(keepends=True) if line.strip() not in left_out)
        assert file.content == source, name


def test_a_browser_asks_whether_a_file_has_changed_and_keeps_it_otherwise(api: Api) -> None:
    for name in ("index.html", "main.js", "studio.css"):
        tags = set()
        for coding in ("identity", "gzip"):
            first = api.client.get(url_of(name), headers={"Accept-Encoding": coding})
            assert (first.headers["cache-control"], first.headers["vary"]) == ("no-cache", "Accept-Encoding")
            tags.add(first.headers["etag"])
            again = api.client.get(url_of(name), headers={"Accept-Encoding": coding, "If-None-Match": first.headers["etag"]})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == first.headers["etag"]
            assert api.client.get(url_of(name), headers={"If-None-Match": '"other"'}).status_code == 200
        assert len(tags) == 2 or name == "studio.css"


@pytest.mark.parametrize(
    "name",
    ["", "nothing.js", "page.py", "../page.py", "%2e%2e/page.py", "..%2Fpage.py", "%2Fetc/passwd", "static/main.js", "main.js/"],
)
def test_nothing_but_these_files_is_served(api: Api, name: str) -> None:
    assert api.client.get(f"/studio/{name}").status_code == 404

"""Every loop over stored items × one bad item among them: the others are handled, the bad one is counted, nothing raises."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from s2edit_jobs.records.set_aside import set_aside_counts
from tests.admin import METRICS_TOKEN
from tests.unit.odd_records.loops import LOOPS, jobs_lost, rebuild
from tests.unit.odd_records.world import World

CONTENTS: Mapping[str, bytes] = {
    "cut short": b'{"id": "e_01',
    "empty": b"",
    "zeros": b"\0" * 512,
    "a list": b"[1, 2]",
    "a word": b'"t/nobody"',
    "an empty object": b"{}",
    "values of wrong types": b'{"id": 5, "owner": [], "created_at": "yesterday", "tenant": {}, "state": 3}',
    "bytes": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a newer version": b'{"version": 99, "id": "x", "created_at": 1.0}',
    "a key that points nowhere": b"t/default/u/nobody/edits/e_00000000000000000000000000000000/spec.json",
}
NAMES = (
    ".DS_Store",
    "._spec.json",
    "spec.json~",
    ".nfs00000001",
    "Thumbs.db",
    "notes.txt",
    "copy of spec.json",
    "#key.json#",
    "é.json",
)


EACH = pytest.mark.parametrize("name", LOOPS)


@EACH
@pytest.mark.parametrize("content", CONTENTS)
def test_one_bad_item_stops_none_of_the_others(name: str, content: str, world: World) -> None:
    loop = LOOPS[name]
    key, good = loop.prepare(world)
    world.put(key, CONTENTS[content])
    before = sum(set_aside_counts().values())
    loop.run(world, good)
    names_nothing = content in ("a newer version", "a key that points nowhere")  # left alone; a marker of something erased
    if loop.is_counted and not names_nothing:
        assert sum(set_aside_counts().values()) > before


@EACH
def test_foreign_files_are_left_alone(name: str, world: World) -> None:
    loop = LOOPS[name]
    key, good = loop.prepare(world)
    folder = world.root / Path(key).parent
    folder.mkdir(parents=True, exist_ok=True)
    for level in (folder, folder.parent):
        for foreign in NAMES:
            (level / foreign).write_bytes(b"{")
        (level / "link to nowhere").symlink_to(folder / "nothing")
        (level / "an empty folder").mkdir()
        os.mkfifo(level / "pipe")
    if name not in ("end_overdue", "ends of keys"):  # there, a missing record means something else
        (world.root / key).unlink(missing_ok=True)
    if not (world.root / key).exists() and name != "model reports":  # which are written anew
        (world.root / key / "inside").mkdir(parents=True)
    before = set_aside_counts()
    loop.run(world, good)
    assert set_aside_counts() == before, "foreign files are no bad items"


def test_what_is_set_aside_is_a_metric(world: World) -> None:
    key, good = jobs_lost(world)
    world.put(key, b"")
    rebuild(world, good)
    shown = world.client.get("/metrics", headers={"Authorization": f"Bearer {METRICS_TOKEN}"}).text
    assert 's2edit_set_aside_total{kind="spec"}' in shown

"""The contact sheet of a run: source, every way, true answer."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image, ImageDraw

from lab.quality.worlds.edits import case_of
from lab.quality.worlds.plan import UNEDITED, Stage
from lab.quality.worlds.records import Record
from lab.quality.worlds.transfers import transfer_of
from lab.quality.worlds.units import Bench

SIDE, TEXT = 128, 14
MAX_BYTES = 15 * 2**20


def _pictures(stage: Stage, seed: int, edit: str) -> tuple[Image.Image, Image.Image]:
    """Return source and true answer."""
    if stage.transfer:
        transfer = transfer_of(stage.transfer, seed)
        assert transfer is not None
        return transfer.photo.picture, transfer.answer.picture
    case = case_of(stage.domain, seed, (edit,))
    return case.photo.picture, case.targets[0].answer.picture


def section(bench: Bench, stage: Stage, found: Sequence[Record], rows: int) -> Image.Image | None:
    """Return a row per edit of one stage. Edits are taken in turn over the subjects, so that many of each are seen."""
    ways = list(dict.fromkeys(record["way"] for record in found if not record["way"].startswith((UNEDITED, "autoencoder"))))
    by_edit: dict[tuple[str, str], dict[str, Record]] = {}
    for record in found:
        by_edit.setdefault((record["person"], record["edit"]), {})[record["way"]] = record
    whole = [key for key, each in by_edit.items() if all(way in each for way in ways)]
    people = list(dict.fromkeys(person for person, _ in whole))
    turns = [[edit for who, edit in whole if who == person] for person in people]
    rounds = range(max(map(len, turns), default=0))
    chosen = [(person, edits[i]) for i in rounds for person, edits in zip(people, turns, strict=True) if i < len(edits)][:rows]
    if not chosen:
        return None
    page = Image.new("RGB", (SIDE * (len(ways) + 2), TEXT + (SIDE + TEXT) * len(chosen)), "white")
    pencil = ImageDraw.Draw(page)
    for i, title in enumerate(["source", *ways, "true answer"]):
        pencil.text((SIDE * i + 2, 1), title[:22], fill="black")
    for j, (person, edit) in enumerate(chosen):
        source, answer = _pictures(stage, int(person.rpartition("-")[2]), edit)
        tiles = [source, *(Image.open(bench.picture_path(by_edit[person, edit][way])) for way in ways), answer]
        top = TEXT + (SIDE + TEXT) * j
        for i, tile in enumerate(tiles):
            page.paste(tile.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (SIDE * i, top))
        pencil.text((2, top + SIDE), f"{person} {edit}", fill="black")
    return page


def write(bench: Bench, stages: Sequence[Stage], found: Mapping[Stage, Sequence[Record]], out: Path, rows: int) -> None:
    """Write the sheet as a PNG of at most `MAX_BYTES`; with more, every section gets fewer rows."""
    while rows:
        sections = [part for stage in stages if (part := section(bench, stage, found[stage], rows)) is not None]
        if not sections:
            return
        page = Image.new("RGB", (max(part.width for part in sections), sum(part.height for part in sections)), "white")
        top = 0
        for part in sections:
            page.paste(part, (0, top))
            top += part.height
        buffer = io.BytesIO()
        page.save(buffer, "png", optimize=True)
        if buffer.tell() <= MAX_BYTES:
            out.write_bytes(buffer.getvalue())
            return
        rows = rows * 2 // 3

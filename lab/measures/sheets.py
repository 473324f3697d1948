"""Contact sheets: what a method made, beside what it should have made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

NOTHING = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Row:
    """A source, and by edit the raw output and the true answer."""

    source: Image.Image
    edits: Mapping[str, tuple[Image.Image, Image.Image]]


def contact_sheet(rows: Sequence[Row], edits: Sequence[str]) -> Image.Image:
    """A row per person: the source, then for each of `edits` the output and the true answer; white where it was not tried."""
    width, height = rows[0].source.size
    sheet = Image.new("RGB", (width * (1 + 2 * len(edits)), height * len(rows)), NOTHING)
    for y, row in enumerate(rows):
        sheet.paste(row.source, (0, y * height))
        for x, name in enumerate(edits):
            for k, picture in enumerate(row.edits.get(name, ())):
                sheet.paste(picture.resize((width, height)), ((1 + 2 * x + k) * width, y * height))
    return sheet

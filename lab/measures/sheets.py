"""Contact sheets: the results of a method beside the ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from PIL import Image

BACKGROUND = (255, 255, 255)


@dataclass(frozen=True, eq=False)
class Row:
    """A source picture, and by edit the raw output and the ground truth."""

    source: Image.Image
    edits: Mapping[str, tuple[Image.Image, Image.Image]]


def contact_sheet(rows: Sequence[Row], edits: Sequence[str]) -> Image.Image:
    """Draw a row per person: the source, then output and ground truth of each of `edits`. Edits that were not tried stay white."""
    width, height = rows[0].source.size
    sheet = Image.new("RGB", (width * (1 + 2 * len(edits)), height * len(rows)), BACKGROUND)
    for y, row in enumerate(rows):
        sheet.paste(row.source, (0, y * height))
        for x, name in enumerate(edits):
            for k, picture in enumerate(row.edits.get(name, ())):
                sheet.paste(picture.resize((width, height)), ((1 + 2 * x + k) * width, y * height))
    return sheet

"""What the benches of deliveries share: one frame brought back to the photo in several ways, and their files.

A record of an edit has the figures of each way under "ways". Its pictures are the photo, one per way, and the true answer.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from lab.measures.results import dumped, machine
from lab.training.train import MODEL
from s2edit_core.delivery.asked import Asked
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.pipeline import S2EditPipeline

SIZE, PANEL = 768, 384
"""Side of the photographs, and of a picture on a contact sheet, in pixels."""
PASTED, BY_PLACE = "pasted", "place by place"
Record = dict[str, Any]
Delivered = Iterator[tuple[Record, list[Image.Image]]]


def deliveries(
    pipe: S2EditPipeline, canvas: Canvas, before: Tensor, drawn: Tensor, ways: Mapping[str, Asked]
) -> dict[str, Image.Image]:
    """Return the photo with the frame `drawn` pasted, and delivered as if each of `ways` had been asked for, by name."""
    made = {way: pipe.deliver(canvas, before, drawn, asked=asked)[0] for way, asked in ways.items()}
    return {PASTED: canvas.paste(drawn)} | made


def means(records: Sequence[Mapping[str, Any]], names: Iterable[str]) -> dict[str, dict[str, float]]:
    """Return the mean of each figure in `names` by way."""
    return {
        way: {name: round(statistics.mean(each["ways"][way][name] for each in records), 2) for name in names}
        for way in records[0]["ways"]
    }


def sheet(rows: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """A row of pictures per edit."""
    whole = Image.new("RGB", (PANEL * len(rows[0]), PANEL * len(rows)))
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            whole.paste(picture.resize((PANEL, PANEL), Image.Resampling.LANCZOS), (PANEL * across, PANEL * down))
    return whole


def run_bench(
    out: Path,
    sheet_file: Path | None,
    delivered: Callable[[S2EditPipeline], Delivered],
    summary: Callable[[Sequence[Record]], dict[str, Any]],
    **setting: Any,
) -> None:
    """Run `delivered` with the shipped model, and write the results file `out` and, if asked, a sheet.

    `setting` enters the results file.
    """
    pipe = S2EditPipeline.from_pretrained(MODEL)
    records: list[Record] = []
    rows: list[list[Image.Image]] = []
    for record, row in delivered(pipe):
        records.append(record)
        rows.append(row)
        print(json.dumps(record), flush=True)
    if sheet_file is not None:
        sheet(rows).save(sheet_file, quality=88)
    facts = {**setting, "size": SIZE, "preset": "balanced", "model": pipe.backbone.fingerprint}
    found = {"setting": facts, "machine": machine(), "summary": summary(records), "records": records}
    out.write_text(dumped(found))
    print(json.dumps(found["summary"], indent=1))

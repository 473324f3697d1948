"""Compute what graphics cards can do with Stable Diffusion: `python -m lab.service.cards --into docs/models.md`.

Nothing is measured: the figures follow from `lab/results/full_size.json`. For a card of C bytes, of which `SPARE` stay free,

    rows of learning in a pass = ((1 − SPARE)·C − weights) / (bytes that autograd keeps per row)

The UNet's weights and what autograd keeps have the UNet's precision; text encoder and auto-encoder are in float32. Temporary
buffers and the auto-encoder's activations are not counted, so the rows are an upper bound. A worker measures the rest at its start.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from s2edit_core.request.options import LearningOptions
from worker.engines.loaded_model import SPARE

CARDS_GB = (8, 12, 16, 24, 48, 80)
BYTES = {"fp32": 4, "bf16": 2}
BEGIN, END = "<!-- cards -->", "<!-- /cards -->"


def learning_rows(model: dict[str, Any], card_gb: float, precision: str) -> int:
    """Return how many rows with gradients fit into one pass beside the weights; below 0 if the weights don't fit."""
    parts = dict(model["parameters"])
    weights = (parts.pop("unet") * BYTES[precision] + sum(parts.values()) * BYTES["fp32"]) / 1e9
    row = model["kept_for_gradients_gb"] / LearningOptions().batch * BYTES[precision] / BYTES["fp32"]
    room = (1 - SPARE) * card_gb * 2**30 / 1e9 - weights
    return int(room // row) if room >= 0 else -1


def meaning(rows: int) -> str:
    if rows < 0:
        return "too small for the weights"
    batch = LearningOptions().batch
    if rows == 0:
        return "edits; learning only with activations computed twice"
    return f"{rows} rows" if rows >= batch else f"{rows} rows: a learning step takes {-(-batch // rows)} passes"


def table(models: dict[str, Any]) -> str:
    """Return the table in Markdown."""
    columns = [(name, precision) for name in models for precision in BYTES]
    lines = ["| computed: rows of learning in a pass | " + " | ".join(f"{name}, {precision}" for name, precision in columns) + " |"]
    lines.append("| --- |" + " --- |" * len(columns))
    for card in CARDS_GB:
        cells = [meaning(learning_rows(models[name], card, precision)) for name, precision in columns]
        lines.append(f"| {card} GiB | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", type=Path, default=Path("lab/results/full_size.json"), help="results of lab.service.full_size")
    parser.add_argument("--into", type=Path, help="document whose table to replace; by default the table is printed")
    wanted = parser.parse_args()
    made = table(json.loads(wanted.shapes.read_text())["models"])
    if wanted.into is None:
        print(made)
        return
    before, _, rest = wanted.into.read_text().partition(BEGIN)
    wanted.into.write_text(f"{before}{BEGIN}\n\n{made}\n\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()

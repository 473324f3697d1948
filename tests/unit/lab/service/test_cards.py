"""The table of cards in the documentation follows from the committed shapes."""

from __future__ import annotations

import json

from lab.service.cards import BEGIN, END, learning_rows, meaning, table
from s2edit_jobs.settings import ROOT

MODELS = json.loads((ROOT / "lab" / "results" / "full_size.json").read_text())["models"]


def test_the_documented_table_is_up_to_date() -> None:
    text = (ROOT / "docs" / "models.md").read_text()
    assert text.partition(BEGIN)[2].partition(END)[0].strip() == table(MODELS)


def test_rows_are_what_weights_leave() -> None:
    model = {"parameters": {"unet": 10**9, "vae": 10**8}, "kept_for_gradients_gb": 4.0}
    # 0.9 · 8 GiB = 7.73 GB; fp32: 4.4 GB of weights leave 3.33 GB for rows of 1 GB; bf16: 2.4 GB leave 5.33 GB for rows of 0.5 GB
    assert (learning_rows(model, 8, "fp32"), learning_rows(model, 8, "bf16"), learning_rows(model, 4, "fp32")) == (3, 10, -1)
    assert [meaning(rows) for rows in (-1, 3, 4)] == [
        "too small for the weights",
        "3 rows: a learning step takes 2 passes",
        "4 rows",
    ]

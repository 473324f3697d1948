"""Figures of delivered makeup."""

from __future__ import annotations

from itertools import islice

import pytest

from lab.photos.makeup import BY_COLOUR, LEARNED, WORD, summary, women
from lab.photos.ways import BY_PLACE, PASTED
from s2edit_core.delivery.asked import asked_for


def record(woman: int, kind: str, place: float, colour: float) -> dict[str, object]:
    ways = {PASTED: place - 2, BY_PLACE: place, BY_COLOUR: colour}
    about = {way: {"changed": psnr, "same": psnr + 5, "eyes": psnr - 5} for way, psnr in ways.items()}
    if kind == LEARNED:
        about = {way: figures | {"colour_error": 10.0, "parts_found": 0.5, "all_parts": 0.0} for way, figures in about.items()}
    return {"woman": woman, "kind": kind, "ways": about}


def test_both_edits_of_a_woman_ask_for_makeup() -> None:
    for transfer in islice(women(), 3):
        assert asked_for(transfer.photo.prompt, transfer.prompt(transfer.answer)) == "makeup"
        assert asked_for(transfer.photo.prompt, transfer.answer.prompt) == "makeup"
        assert transfer.seed < 41, "the windows were chosen on those from 41 on"


def test_the_summary_is_by_kind_and_by_way() -> None:
    found = summary([record(1, WORD, 20, 22), record(1, LEARNED, 18, 21), record(2, WORD, 22, 26)])
    assert found[WORD]["women"] == 2
    assert found[WORD][BY_COLOUR] == {"changed": 24, "same": 29, "eyes": 19}
    assert found[LEARNED][PASTED]["parts_found"] == 0.5
    mean, low, high = found[WORD]["gain_db"]["eyes"]
    assert low <= mean <= high
    assert mean == pytest.approx(3)

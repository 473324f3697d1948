"""Figures of churches in another light."""

from __future__ import annotations

import pytest
from PIL import Image, ImageFilter

from lab.photos.scenes import BY_TONES, EDITS, figures, summary
from lab.photos.ways import BY_PLACE, PASTED, sheet
from lab.quality.worlds.edits import known_edits
from lab.world.domains import DOMAINS
from s2edit_core.delivery.asked import asked_for


def record(church: int, edit: str, place: float, tones: float) -> dict[str, object]:
    ways = {PASTED: place - 2, BY_PLACE: place, BY_TONES: tones}
    return {"church": church, "edit": edit, "ways": {way: {"psnr": psnr, "detail": 50.0} for way, psnr in ways.items()}}


def test_the_edits_are_known_and_ask_for_other_tones_by_day() -> None:
    assert {edit.name for edit in known_edits("church", EDITS)} == set(EDITS)
    church = DOMAINS["church"]
    bare = next(each for each in map(church.sample, range(1000)) if church.caption(each.attributes) == "a photo of a church")
    for changes in ({"time": "night"}, {"time": "sunset"}, {"season": "autumn"}):
        wanted = church.caption(church.change(bare, **changes).attributes)
        assert asked_for("a photo of a church", wanted) == "tones"


def test_a_blurred_picture_has_less_detail_and_the_answer_itself_all() -> None:
    truth = Image.effect_noise((64, 64), 40).convert("RGB")
    blurred = truth.filter(ImageFilter.GaussianBlur(2))
    assert figures(truth, truth)["detail"] == 100
    assert figures(blurred, truth)["detail"] < 20
    assert figures(blurred, truth)["psnr"] < figures(truth, truth)["psnr"]


def test_the_summary_counts_churches_not_edits() -> None:
    found = summary([record(7, "night", 18, 20), record(7, "autumn", 21, 23), record(8, "autumn", 20, 24)])
    assert list(found) == ["night", "autumn", "all"]
    assert found["all"]["edits"] == 3
    assert found["all"][BY_TONES] == {"psnr": pytest.approx(22.33), "detail": 50}
    mean, low, high = found["all"]["gain_db"]
    assert low <= mean <= high
    assert mean == pytest.approx(8 / 3, abs=0.01)
    assert found["night"]["gain_db"] == [2, 2, 2]


def test_the_sheet_has_a_row_per_edit() -> None:
    row = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 50, 100, 150, 200)]
    whole = sheet([row, row])
    assert whole.width / whole.height == 5 / 2
    assert whole.getpixel((whole.width - 1, whole.height - 1)) == (200, 0, 0)

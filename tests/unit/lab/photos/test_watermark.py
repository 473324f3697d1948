"""The watermark bench measures every treatment."""

from __future__ import annotations

from lab.photos.watermark import TREATMENTS, measure


def test_every_treatment_is_measured() -> None:
    figures = measure(people=2, unmarked=2, size=256)
    assert figures["found"].keys() == TREATMENTS.keys()
    assert figures["found"]["png"] == figures["found"]["jpeg_85"] == 1
    assert figures["found"]["cropped_all_around"] == 0, "216×216 is too small for the watermark"
    assert figures["unmarked"]["found"] == 0
    assert figures["costs"]["psnr_db"] > 38
    assert 0 < figures["costs"]["max_level_difference"] < 12

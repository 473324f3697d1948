"""The comparison of inversions in both precisions, and what the documentation says of its results."""

from __future__ import annotations

import json
from typing import get_args

import pytest

from lab.service.inversions import SHAPES, TOKENS, file_bytes
from s2edit_core.request.options import InversionTier
from s2edit_core.request.presets import PRESETS
from s2edit_jobs.settings import ROOT

RESULTS = json.loads((ROOT / "lab" / "results" / "inversions.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("tier", get_args(InversionTier))
def test_sizes_are_those_of_files_with_these_shapes(tier: InversionTier) -> None:
    steps, side, width = 5, 16, 32
    numbers = (steps + 1) * 4 * side**2 + (steps if tier == "null_text" else 1) * TOKENS * width
    numbers += steps * 4 * side**2 if tier == "residual" else 0
    sizes = file_bytes(tier, steps, side, width)
    for precision, number_bytes in (("half", 2), ("single", 4)):
        assert 0 < sizes[precision] - number_bytes * numbers < 600  # the header


def test_the_results_are_what_the_documentation_says() -> None:
    assert RESULTS["presets"].keys() == PRESETS.keys()
    for name, preset in RESULTS["presets"].items():
        assert preset["bytes"]["half"] / preset["bytes"]["single"] == pytest.approx(0.5, abs=0.01)
        assert preset["largest_level"] <= (2 if name == "paper" else 1)
        assert preset["truth_db"]["half"] == pytest.approx(preset["truth_db"]["single"], abs=0.01)
    sizes = [file["half"] / 1e6 for file in RESULTS["stable_diffusion_bytes"]["Stable Diffusion 1.x, 512 pixels"].values()]
    assert f"one takes {min(sizes):.1f} to {max(sizes):.1f} MB" in (ROOT / "docs" / "self-hosting.md").read_text(encoding="utf-8")
    assert RESULTS["stable_diffusion_bytes"].keys() == SHAPES.keys()

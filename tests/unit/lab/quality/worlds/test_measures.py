"""The figures of an edit."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lab.quality.worlds.measures import colours

SOURCE = np.full((8, 8, 3), 100, dtype=np.uint8)
ANSWER = SOURCE.copy()
ANSWER[2:6, 2:6, 0] = 200
WHERE: NDArray[np.bool_] = (ANSWER != SOURCE).any(axis=2)


def test_colours_find_a_part_that_came_most_of_the_way() -> None:
    red, green = WHERE, np.zeros_like(WHERE)
    green[0, :] = True
    answer = ANSWER.copy()
    answer[0, :, 1] = 180
    made = SOURCE.copy()
    made[2:6, 2:6, 0] = 190
    found = colours(SOURCE, answer, made, {"red": red, "green": green})
    assert found["colour_error_by_part"] == pytest.approx({"red": 10, "green": 80})
    assert found["colour_error"] == pytest.approx(45)
    assert found["colour_gain_by_part"] == pytest.approx({"red": 0.9, "green": 0})
    assert found["parts_found"] == 0.5
    assert not found["all_parts"]
    assert colours(SOURCE, answer, answer, {"red": red, "green": green})["all_parts"]

"""The tables of a small results file, word for word."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from cli.markdown import marks, put_between
from lab.quality.table import MARK, in_order, render


def method(
    title: str, psnr: list[float], *, cost: dict[str, Any] | None = None, leakage: list[float] | None = None, gain: float = 1.0
) -> dict[str, Any]:
    common = {"psnr_changed": psnr, "success": [0.5, 0.4, 0.6], "identity_error": [0.25, 0.2, 0.3]}
    of_all = common | ({"leakage": leakage} if leakage else {})
    return {
        "title": title,
        "guidance_gain": gain,
        "intervals": {"all": of_all, "hat": common},
        "summary": {"all": {"cases": 3}, "hat": {"cases": 3}},
        "cost": cost or {},
        "records": [{}] * 3,
    }


def phase(evaluations: float, seconds: float) -> dict[str, float]:
    return {"evaluations": evaluations, "with_gradients": 0, "seconds": seconds}


RESULTS: dict[str, Any] = {
    "setting": {"people": 2, "guidance_scale": 3.0, "edits": ["hat"]},
    "judge_accuracy": {"hat": 0.98, "beard": 1.0},
    "identity_regressor": {"own_error": 0.123},
    "methods": {
        "balanced": method(
            "S²Edit balanced",
            [21.26, 20.04, 22.0],
            cost={"learn": phase(400, 9.0), "invert": phase(150, 1.5), "edit": phase(100, 0.75)},
            leakage=[0.0, 0.0, 0.0],
            gain=1.5,
        ),
        "magic": method("magic", [19.0, 19.0, 19.0]),
        "ddim": method("DDIM", [18.0, 17.0, 19.5], cost={"learn": phase(0, 0), "invert": phase(50, 0.5), "edit": phase(100, 0.75)}),
    },
    "differences": {
        "of": "balanced",
        "minus": {
            "ddim": {"psnr_changed": [3.26, 2.5, 4.0], "success": [0.0, -0.051, 0.049]},
            "magic": {"psnr_changed": [2.26, -0.5, 4.0], "success": [-0.1, -0.2, -0.012]},
        },
    },
}

EXPECTED = """\
3 edits of 2 unseen portraits, at guidance 3 unless noted, with mean and 95 % interval (bootstrap over people). *Changed* is where \
the true answer differs from the source. *Identity error*: 0 is exact, 1 is what guessing the average person (or \
the commonest class) gives; the regressor's own error on unseen \
renders is 0.12. *Others changed*: attributes per edit that the judge classifies differently from the true answer. Its accuracy on \
unseen renders is 98.0 % for its worst attribute and 99.0 % on average. A further edit of the same person needs no learning and no \
inversion.

| method | PSNR changed, dB | attribute there, % | identity error | leakage of [I] | UNet evaluations, first / next edit \
| seconds, first / next edit |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| DDIM | 18.0 [17.0, 19.5] | 50 [40, 60] | 0.250 [0.200, 0.300] | – | 150 / 100 | 1.2 / 0.8 |
| S²Edit balanced, guidance 4.5 | 21.3 [20.0, 22.0] | 50 [40, 60] | 0.250 [0.200, 0.300] | 0.000 | 650 / 100 | 11.2 / 0.8 |
| magic | 19.0 | 50 [40, 60] | 0.250 [0.200, 0.300] | – | – | – |

Differences, paired by edit; bold if the interval excludes zero:

| S²Edit balanced, guidance 4.5 minus | PSNR changed, dB | attribute there, % |
| --- | ---: | ---: |
| DDIM | **+3.3 [+2.5, +4.0]** | 0 [−5, +5] |
| magic | +2.3 [−0.5, +4.0] | **−10 [−20, −1]** |

By edit (number of cases):

| attribute there, % · PSNR changed, dB | hat (3) |
| --- | ---: |
| DDIM | 50 · 18.0 |
| S²Edit balanced, guidance 4.5 | 50 · 21.3 |
| magic | 50 · 19.0 |
"""


def test_the_tables_word_for_word() -> None:
    assert render(RESULTS) == EXPECTED


def test_the_order_of_the_file_makes_no_difference() -> None:
    turned = copy.deepcopy(RESULTS)
    turned["methods"] = dict(reversed(RESULTS["methods"].items()))
    turned["differences"]["minus"] = dict(reversed(RESULTS["differences"]["minus"].items()))
    assert render(turned) == EXPECTED


def test_unknown_methods_come_last() -> None:
    assert in_order(["zeta", "balanced", "alpha", "unedited", "ddim"]) == ["unedited", "ddim", "balanced", "alpha", "zeta"]


def test_without_differences_their_table_is_missing() -> None:
    assert "minus" not in render({**RESULTS, "differences": {}})


def test_a_gain_gets_a_column_and_an_explanation() -> None:
    results = copy.deepcopy(RESULTS)
    results["methods"]["ddim"]["intervals"]["all"]["gain"] = [0.857, 0.8, 1.01]
    text = render(results)
    assert "*Changed* is where the true answer differs from the source. *Gain* is the share of the true change" in text
    assert "| method | PSNR changed, dB | gain, % | attribute there, % |" in text
    assert "| DDIM | 18.0 [17.0, 19.5] | 86 [80, 101] |" in text
    assert "| magic | 19.0 | – |" in text, "a row from before the column"


def test_delivered_figures_get_columns_and_an_explanation() -> None:
    results = copy.deepcopy(RESULTS)
    results["methods"]["balanced"]["intervals"]["all"] |= {
        "delivered_psnr": [30.0, 29.0, 31.0],
        "delivered_detail": [0.98, 0.97, 1],
    }
    text = render(results)
    assert "*Delivered* figures are of the edit as the service returns it, in a photo of 512 px" in text
    assert "| identity error | delivered PSNR, dB | delivered detail, % | leakage of [I] |" in text
    assert "| 30.0 [29.0, 31.0] | 98 [97, 100] |" in text
    assert "| magic | 19.0 | 50 [40, 60] | 0.250 [0.200, 0.300] | – | – |" in text, "a row from before the columns"


def test_pie_bench_has_its_own_columns() -> None:
    found = {"psnr_background": [27.034, 26.5, 27.5], "mse_background": [0.0035, 0.003, 0.004]}
    results = {
        "setting": {"bench": "PIE-Bench", "items": 700, "guidance_scale": 7.5},
        "methods": {"ddim": {"title": "DDIM", "intervals": {"all": found}, "cost": {}}},
        "differences": {},
    }
    assert render(results).splitlines() == [
        "PIE-Bench, 700 records, guidance 7.5; 95 % intervals over them.",
        "",
        "| method | background PSNR, dB | background MSE ×10⁴ | UNet evaluations, first / next edit | seconds, first / next edit |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| DDIM | 27.03 [26.50, 27.50] | 35.00 [30.00, 40.00] | – | – |",
    ]


def test_tables_go_between_the_marks_again_and_again() -> None:
    begin, end = marks(MARK)
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    once = put_between(text, "new\n", MARK)
    assert once == f"before\n{begin}\nnew\n{end}\nafter\n"
    assert put_between(once, "new\n", MARK) == once
    for broken in ("nothing", f"{end}{begin}", f"{begin}{begin}{end}"):
        with pytest.raises(ValueError, match="needs one"):
            put_between(broken, "new\n", MARK)


def test_the_text_of_a_domain_says_what_its_identity_error_is() -> None:
    setting = RESULTS["setting"] | {"domain": "church"}
    text = render(RESULTS | {"setting": setting, "identity_regressor": {"towers": {"absolute": 0.2, "explained": 0.8}}})
    assert text.startswith("3 edits of 2 unseen churches, at guidance 3")
    assert "in standard deviations" in text
    assert "own error" not in text
    assert "A further edit of the same church" in text

"""The tables of a small results file, word for word."""

from __future__ import annotations

import copy
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from cli.markdown import marks, put_between
from lab.quality import table
from lab.quality.table import MARK, in_order, render


def method(
    title: str, psnr: list[float], *, cost: dict[str, Any] | None = None, leakage: list[float] | None = None, gain: float = 1.0
) -> dict[str, Any]:
    common = {"psnr": psnr, "gain": [0.857, 0.8, 1.01], "success": [0.5, 0.4, 0.6], "identity_error": [0.25, 0.2, 0.3]}
    of_all = common | ({"leakage": leakage} if leakage else {})
    of_edit = {"psnr_changed": [17.0, 16.0, 18.0], "success": [0.5, 0.4, 0.6]}
    return {
        "title": title,
        "guidance_gain": gain,
        "intervals": {"all": of_all, "ivy": of_edit},
        "summary": {"all": {"cases": 3}, "ivy": {"cases": 3}},
        "cost": cost or {},
        "records": [{}] * 3,
        "subjects": [{}] * 2,
    }


def phase(evaluations: float, seconds: float) -> dict[str, float]:
    return {"evaluations": evaluations, "with_gradients": 0, "seconds": seconds}


CHURCHES: dict[str, Any] = {
    "setting": {"domain": "church", "subjects": 2, "guidance_scale": 3.0, "edits": ["ivy"]},
    "judge_accuracy": {"ivy": 0.98, "season": 1.0},
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
            "ddim": {"psnr": [3.26, 2.5, 4.0], "success": [0.0, -0.051, 0.049], "identity_error": [-0.1, -0.2, -0.05]},
            "magic": {"psnr": [2.26, -0.5, 4.0], "success": [-0.1, -0.2, -0.012]},
        },
    },
}
CATS = {**CHURCHES, "setting": CHURCHES["setting"] | {"domain": "cat", "subjects": 3}}
RESULTS = {"domains": {"church": CHURCHES}}

EXPECTED = """\
How to read the tables. Two small networks look at each picture; both were trained on other pictures of the same programs. The \
*judge* says which attributes a picture shows. The *regressor* reads numbers that describe the identity, such as a person's skin, \
face shape and eye colour. A cell holds the mean and its 95 % interval, by bootstrap over subjects.

| column | meaning |
| --- | --- |
| *changed, unchanged* | where the true answer differs from the source, and where it does not |
| *gain* | the share of the true change that was made, as the projection of the change made on the true one: doing nothing has \
0 %, the true answer 100 %, an exaggeration more |
| *attribute there* | the share of edits in which the judge sees what the prompt asks for |
| *others changed* | how many other attributes per edit the judge classifies differently from the true answer |
| *identity error* | how far the regressor's readings of the result and of the true answer are apart, in standard deviations, \
over the numbers that it can read |
| *identity error beyond the auto-encoder's* | the same, compared with the true answer encoded and decoded |
| *reconstruction* | PSNR of the inverted photo, sampled again with its own prompt |
| *next edit* | a further edit of the same subject, which needs no learning and no inversion |

3 edits of churches: differences, paired by edit; bold if the interval excludes zero.

| S²Edit balanced, guidance 4.5 minus | churches: PSNR, dB | churches: attribute there, % \
| churches: identity error (less is better) |
| --- | ---: | ---: | ---: |
| DDIM | **+3.3 [+2.5, +4.0]** | 0 [−5, +5] | **−0.100 [−0.200, −0.050]** |
| magic | +2.3 [−0.5, +4.0] | **−10 [−20, −1]** | – |

### Churches

3 edits of 2 unseen churches, at guidance 3 unless noted. The judge's accuracy on unseen renders is 98.0 % for its worst \
attribute and 99.0 % on average.

| method | PSNR, dB | gain, % | attribute there, % | identity error | leakage of [I] | UNet evaluations, first / next edit \
| seconds, first / next edit |
| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |
| DDIM | 18.0 [17.0, 19.5] | 86 [80, 101] | 50 [40, 60] | 0.250 [0.200, 0.300] | – | 150 / 100 | 1.2 / 0.8 |
| S²Edit balanced, guidance 4.5 | 21.3 [20.0, 22.0] | 86 [80, 101] | 50 [40, 60] | 0.250 [0.200, 0.300] | 0.000 | 650 / 100 \
| 11.2 / 0.8 |
| magic | 19.0 | 86 [80, 101] | 50 [40, 60] | 0.250 [0.200, 0.300] | – | – | – |

Differences, paired by edit; bold if the interval excludes zero:

| S²Edit balanced, guidance 4.5 minus | PSNR, dB | attribute there, % | identity error (less is better) |
| --- | ---: | ---: | ---: |
| DDIM | **+3.3 [+2.5, +4.0]** | 0 [−5, +5] | **−0.100 [−0.200, −0.050]** |
| magic | +2.3 [−0.5, +4.0] | **−10 [−20, −1]** | – |

By edit (number of cases):

| attribute there, % · PSNR changed, dB | ivy (3) |
| --- | ---: |
| DDIM | 50 · 17.0 |
| S²Edit balanced, guidance 4.5 | 50 · 17.0 |
| magic | 50 · 17.0 |
"""


def test_the_tables_word_for_word() -> None:
    assert render(RESULTS) == EXPECTED


def test_the_order_of_the_file_makes_no_difference() -> None:
    turned = copy.deepcopy(CHURCHES)
    turned["methods"] = dict(reversed(CHURCHES["methods"].items()))
    turned["differences"]["minus"] = dict(reversed(CHURCHES["differences"]["minus"].items()))
    assert render({"domains": {"church": turned}}) == EXPECTED
    both = {"church": CHURCHES, "cat": CATS}
    assert render({"domains": both}) == render({"domains": dict(reversed(both.items()))})


def test_the_first_table_has_every_domain() -> None:
    text = render({"domains": {"church": CHURCHES, "cat": CATS}})
    head, _, ddim, magic = text.split("\n\n")[3].splitlines()
    three = "{0}: PSNR, dB | {0}: attribute there, % | {0}: identity error (less is better)"
    assert head == f"| S²Edit balanced, guidance 4.5 minus | {three.format('cats')} | {three.format('churches')} |"
    one = "**+3.3 [+2.5, +4.0]** | 0 [−5, +5] | **−0.100 [−0.200, −0.050]**"
    assert ddim == f"| DDIM | {one} | {one} |"
    assert magic.count("–") == 2
    assert text.split("\n\n")[2].startswith("3 edits of cats, 3 edits of churches: differences")
    assert "| magic, 2 cats |" in text
    assert text.count("A row with fewer subjects") == 1


def test_the_small_table_has_the_domains_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "SMALL_ROWS", ("ddim", "balanced"))
    figures = {"psnr": [20.04, 19, 21], "success": [0.91, 0, 1], "identity_error": [0.3, 0, 1], "side_effects": [0.25, 0, 1]}
    sections = {}
    for i, domain in enumerate(("church", "person", "cat")):
        section = copy.deepcopy(CHURCHES)
        for found in section["methods"].values():
            found["intervals"]["all"] = {name: [value + i, *rest] for name, (value, *rest) in figures.items()}
        sections[domain] = section
    head, _, *rows = table.small_table({"domains": sections}).splitlines()
    assert head.startswith("| method | PSNR to the true answer, dB ↑ | asked attribute there, % ↑ |")
    cells = "21.0 · 22.0 · 20.0 | 191 · 291 · 91 | 1.300 · 2.300 · 0.300 | 1.25 · 2.25 · 0.25"
    assert rows == [f"| DDIM | {cells} |", f"| S²Edit balanced, guidance 4.5 | {cells} |"]


def test_a_difference_of_one_subject_is_not_bold() -> None:
    results = copy.deepcopy(RESULTS)
    results["domains"]["church"]["differences"]["minus"]["ddim"]["psnr"] = [3.26, 3.26, 3.26]
    assert "| DDIM | **+3.3 [+3.3, +3.3]** |" in render(results), "equal for both subjects"
    results["domains"]["church"]["setting"]["subjects"] = 1
    assert "| DDIM | +3.3 [+3.3, +3.3] |" in render(results)


def test_unknown_methods_come_last() -> None:
    assert in_order(["zeta", "balanced", "alpha", "unedited", "ddim"]) == ["unedited", "ddim", "balanced", "alpha", "zeta"]


def test_without_differences_their_tables_are_missing() -> None:
    text = render({"domains": {"church": {**CHURCHES, "differences": {}}}})
    assert "minus" not in text
    assert text.startswith("How to read")


def test_delivered_figures_get_columns_and_an_explanation() -> None:
    results = copy.deepcopy(RESULTS)
    results["domains"]["church"]["methods"]["balanced"]["intervals"]["all"] |= {
        "delivered_psnr": [30.0, 29.0, 31.0],
        "delivered_detail": [0.98, 0.97, 1],
    }
    text = render(results)
    assert "| *delivered* | of the edit as the service returns it, in a photo of 512 px" in text
    assert "*delivered" not in render(RESULTS)
    assert "| identity error | delivered PSNR, dB | delivered detail, % | leakage of [I] |" in text
    assert "| 30.0 [29.0, 31.0] | 98 [97, 100] |" in text


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


def test_a_file_of_the_former_bench_is_refused_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    former = tmp_path / "quality.json"
    former.write_text(json.dumps({"setting": {"people": 36, "edits": ["hair"]}, "methods": {}, "differences": {}}))
    monkeypatch.setattr(sys, "argv", ["table", f"--results={former}"])
    with pytest.raises(SystemExit, match=r"quality\.json: it has no domains.*measure it anew with python -m lab\.quality"):
        table.main()


def test_tables_go_between_the_marks_again_and_again() -> None:
    begin, end = marks(MARK)
    text = f"before\n{begin}\nold\n{end}\nafter\n"
    once = put_between(text, "new\n", MARK)
    assert once == f"before\n{begin}\nnew\n{end}\nafter\n"
    assert put_between(once, "new\n", MARK) == once
    for broken in ("nothing", f"{end}{begin}", f"{begin}{begin}{end}"):
        with pytest.raises(ValueError, match="needs one"):
            put_between(broken, "new\n", MARK)

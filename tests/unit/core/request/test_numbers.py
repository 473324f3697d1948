"""Numbers written as text are read as JSON reads them."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from s2edit_core.request.numbers import MAX_DIGITS, number, whole_number


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(1e-05)
@example(-0.0)
@example(1e16)
def test_what_json_writes_is_read(value: float) -> None:
    for text in (json.dumps(value), f"{value:e}", f"{value:E}", f" {value!r}\n"):
        assert number(text) == json.loads(text)


@given(st.integers(-(10**40), 10**40), st.integers(0, 50))
def test_a_whole_number_is_read_exactly_however_it_is_written(value: int, zeros: int) -> None:
    for text in (str(value), f"{value}.{'0' * (zeros + 1)}", f"{value}e{zeros}", f"{value}{'0' * zeros}E-{zeros}"):
        assert whole_number(text) == value * 10 ** (zeros if "e" in text else 0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".",
        "e1",
        "1e",
        "1e+",
        "1e1.0",
        "1_0",
        "1e1_0",
        "+1",
        "0x1p3",
        "nan",
        "sNaN",
        "inf",
        "-Infinity",
        "1 e1",
        "1e\u0661",
        "020",
        "-020",
        "00",
        "00.5",
        "\u00a020",
        "\x1c20",
    ],
)
def test_what_is_no_number_is_refused(text: str) -> None:
    for read in (number, whole_number):
        with pytest.raises(ValueError, match="in digits from 0 to 9"):
            read(text)


@pytest.mark.parametrize("text", ["0.5", "5e-1", "1e-400", "1e-999999999"])
def test_a_fraction_is_no_whole_number(text: str) -> None:
    with pytest.raises(ValueError, match="whole number"):
        whole_number(text)


@pytest.mark.parametrize("text", [f"1e{MAX_DIGITS}", "1e999999999", "1" * (MAX_DIGITS + 1), f"0.1e{10**11}"])
def test_a_number_that_would_fill_memory_is_refused(text: str) -> None:
    for read in (number, whole_number):
        with pytest.raises(ValueError, match="in digits from 0 to 9"):
            read(text)


@given(st.from_regex(r"[ \t]?-?[0-9]{1,3}(\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?\n?", fullmatch=True))
def test_what_json_refuses_is_refused(text: str) -> None:
    """Only `.5` is read beside what JSON reads."""
    try:
        expected = json.loads(text)
    except ValueError:
        with pytest.raises(ValueError, match="in digits from 0 to 9"):
            number(text)
    else:
        assert number(text) == expected

"""What a value must be, in words: the rule of each kind of field, and what was sent instead."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from s2edit_jobs.value_rules import fault, field_schema, type_schema

Choice = Literal["one", "two", "three"]
WORDS = {r"^[a-z]$": "a small letter"}


class Form(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)

    whole: Annotated[int | None, Field(ge=2, le=999, examples=[50])] = None
    large: Annotated[int | None, Field(ge=0, le=2**63 - 1)] = None
    least: Annotated[int, Field(ge=1)] = 7
    fraction: Annotated[float | None, Field(gt=0, le=1)] = None
    ranged: Annotated[float | None, Field(ge=0.001, le=604_800, examples=[600])] = None
    free: float | None = None
    choice: Choice | None = None
    const: Literal["high"] | None = None
    flag: bool | None = None
    text: Annotated[str | None, Field(max_length=3)] = None
    named: Annotated[str | None, Field(min_length=1, max_length=3, examples=["Ada"])] = None
    letter: Annotated[str | None, Field(pattern=r"^[a-z]$")] = None
    unknown: Annotated[str | None, Field(pattern=r"^z$")] = None
    some: Annotated[list[str] | None, Field(max_length=2)] = None
    pair: Annotated[list[Annotated[int, Field(ge=0, le=9)]] | None, Field(min_length=2, max_length=2, examples=[[1, 2]])] = None
    choices: Annotated[list[Choice] | None, Field(min_length=1, max_length=4)] = None
    numbers: list[float] | None = None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("whole", 1, "must be a whole number between 2 and 999, such as 50, not 1"),
        ("whole", "50", "must be a whole number between 2 and 999, such as 50, not '50'"),
        ("whole", 2.5, "must be a whole number between 2 and 999, such as 50, not 2.5"),
        ("whole", True, "must be a whole number between 2 and 999, such as 50, not true"),
        ("whole", [1], "must be a whole number between 2 and 999, such as 50, not a list"),
        ("whole", {}, "must be a whole number between 2 and 999, such as 50, not an object"),
        ("large", 2**63, "must be a whole number between 0 and 2^63 − 1, not 9223372036854775808"),
        ("large", 10**99, f"must be a whole number between 0 and 2^63 − 1, not 1{'0' * 49}…"),
        ("least", 0, "must be a whole number of at least 1, such as 7, not 0"),
        ("least", None, "must be a whole number of at least 1, such as 7, not null"),
        ("fraction", 0.0, "must be a number above 0 and at most 1, not 0.0"),
        ("ranged", 1e-300, "must be a number between 0.001 and 604800, such as 600, not 1e-300"),
        ("free", "x", "must be a number, not 'x'"),
        ("choice", "four", "must be 'one', 'two' or 'three', not 'four'"),
        ("const", "low", "must be 'high', not 'low'"),
        ("flag", "yes", "must be true or false, not 'yes'"),
        ("text", "four", "must be a text of at most 3 characters, not of 4"),
        ("text", 4, "must be a text of at most 3 characters, not 4"),
        ("named", "", "must be a text of 1 to 3 characters, such as 'Ada', not of 0"),
        ("letter", "A", "must be a small letter, not 'A'"),
        ("unknown", "A", "must be of the form ^z$, not 'A'"),
        ("some", ["a", "b", "c"], "must be a list of at most 2 texts, not of 3"),
        ("some", "a", "must be a list of at most 2 texts, not 'a'"),
        ("pair", [1], "must be a list of 2 whole numbers between 0 and 9, such as [1, 2], not of 1"),
        ("pair", [1, 10], "must be a list of 2 whole numbers between 0 and 9, such as [1, 2], not a list with 10"),
        ("choices", ["four"], "must be a list of 1 to 4 values, each 'one', 'two' or 'three', not a list with 'four'"),
        ("numbers", ["x"], "must be a list of numbers, not a list with 'x'"),
        ("text", "x" * 80, "must be a text of at most 3 characters, not of 80"),
        ("letter", "x" * 80, f"must be a small letter, not '{'x' * 50}…'"),
    ],
)
def test_the_rule_and_what_was_sent(name: str, value: Any, words: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Form.model_validate({name: value})
    (error,) = raised.value.errors()
    assert fault(field_schema(Form, name), error, WORDS) == words


def test_a_number_of_a_form_is_repeated_as_it_was_sent() -> None:
    error = {"type": "greater_than_equal", "loc": ("body", "steps"), "input": "0", "msg": ""}
    assert fault(type_schema(Annotated[int, Field(ge=2)]), error, {}) == "must be a whole number of at least 2, not 0"


def test_a_secret_is_not_repeated() -> None:
    error = {"type": "int_parsing", "loc": ("key",), "input": "secret", "msg": ""}
    assert fault(type_schema(int), error, {}, shows=False) == "must be a whole number"


def test_without_a_schema_the_message_stays() -> None:
    error = {"type": "int_parsing", "loc": ("key",), "input": "x", "msg": "some words"}
    assert fault(field_schema(Form, "none"), error, {}) == "is invalid: some words"

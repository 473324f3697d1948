"""The recipe of a method: a text of everything that its results depend on, except model and guidance. Results files store it."""

from __future__ import annotations

from dataclasses import replace

from lab.quality.phases import Method, Reference

LATER = (", weighting='prediction'", ", semantic_power=8", ", fade_threshold=1.0")
"""Options that came after results had been stored, at the values that those results were made with."""


def recipe(method: Method | Reference) -> str:
    """Return a text of everything that a method's results depend on, except model and guidance."""
    return without_later(repr(replace(method, title="")))


def without_later(text: str) -> str:
    """Return a recipe without `LATER`, so that results from before these options stay valid."""
    for option in LATER:
        text = text.replace(option, "")
    return text

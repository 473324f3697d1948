"""A wrong type of argument is named at once: `checked` for functions, `check_fields` for dataclasses.

Without it, a path in place of a photo, or a list in place of a prompt, would fail somewhere inside, after minutes of computing.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from inspect import signature
from typing import Any, ParamSpec, TypeVar

from s2edit_core.errors import OptionInvalid

P = ParamSpec("P")
R = TypeVar("R")
NUMBERS = (int, float, bool)
"""What is checked together with its range instead."""


def checked(function: Callable[P, R]) -> Callable[P, R]:
    """Make `function` raise `OptionInvalid` if an argument is not of the annotated type; `field` is the parameter's name.

    Classes, their unions and the outer type of a generic are checked. Numbers, literals and what a sequence holds are not.
    """
    parameters = signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        _check(_classes_of(function), parameters.bind(*args, **kwargs).arguments)
        return function(*args, **kwargs)

    return call


def check_fields(instance: Any) -> None:
    """Raise `OptionInvalid` if a field of a dataclass is not of its annotated type; see `checked`."""
    classes = _classes_of(instance.__class__)
    _check(classes, {name: getattr(instance, name) for name in classes})


def _check(classes: Mapping[str, tuple[type, ...]], values: Mapping[str, Any]) -> None:
    for name, wanted in classes.items():
        value = values.get(name)
        text = isinstance(value, str) and str not in wanted
        if name in values and (text or not isinstance(value, wanted)):
            raise OptionInvalid(f"{name} must be {_named(wanted)}, not {_named((type(value),))}", field=name)


@cache
def _classes_of(annotated: Any) -> dict[str, tuple[type, ...]]:
    """Return the accepted classes of each parameter or field; those that can't be checked are left out."""
    found = {name: _classes(hint) for name, hint in typing.get_type_hints(annotated).items() if name != "return"}
    return {name: classes for name, classes in found.items() if classes and not set(classes) & set(NUMBERS)}


def _classes(hint: Any) -> tuple[type, ...]:
    """Return the classes of a type hint, or nothing if one of its members can't be checked."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [_classes(each) for each in typing.get_args(hint)]
        return tuple(each for member in members for each in member) if all(members) else ()
    hint = typing.get_origin(hint) or hint
    return (hint,) if isinstance(hint, type) and hint is not Any else ()


def _named(classes: Sequence[type]) -> str:
    names = ["None" if each is type(None) else each.__name__ for each in classes]
    return " or ".join(name if name == "None" else f"{'an' if name[0] in 'AEIOUaeiou' else 'a'} {name}" for name in names)

"""A wrong type of argument is named at once: `checked` for functions, `check_fields` for dataclasses.

Without it, a path in place of a photo, or a list in place of a prompt, would fail somewhere inside, after minutes of computing.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
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

    Classes, their unions and the outer type of a generic are checked; for a sequence, anything but a text that can be iterated will
    do. Numbers, literals and what a sequence holds are not checked.
    """
    parameters = signature(function)

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            given = parameters.bind(*args, **kwargs).arguments
        except TypeError:
            return function(*args, **kwargs)  # whose own error names the function
        check_arguments(function, given)
        return function(*args, **kwargs)

    return call


def check_arguments(annotated: Callable[..., Any], values: Mapping[str, Any]) -> None:
    """Raise `OptionInvalid` if one of the `values` is not of the type that the parameter of its name has; see `checked`."""
    for name, wanted in _classes_of(annotated).items():
        value = values.get(name)
        text = isinstance(value, str | bytes) and not {str, bytes} & set(wanted)
        if name in values and (text or not isinstance(value, wanted)):
            raise OptionInvalid(f"{name} must be of type {_named(wanted)}, not {_named((type(value),))}", field=name)


def check_fields(instance: Any) -> None:
    """Raise `OptionInvalid` if a field of a dataclass is not of its annotated type; see `checked`."""
    check_arguments(instance.__class__, vars(instance))


@cache
def _classes_of(annotated: Any) -> dict[str, tuple[type, ...]]:
    """Return the accepted classes of each parameter or field; those that can't be checked are left out."""
    try:
        hints = typing.get_type_hints(annotated)
    except NameError:  # a user's subclass may import types for its type checker only
        return {}
    found = {name: _classes(hint) for name, hint in hints.items() if name != "return"}
    return {name: classes for name, classes in found.items() if classes and not set(classes) & set(NUMBERS)}


def _classes(hint: Any) -> tuple[type, ...]:
    """Return the classes of a type hint, or nothing if one of its members can't be checked."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        members = [_classes(each) for each in typing.get_args(hint)]
        return tuple(each for member in members for each in member) if all(members) else ()
    hint = typing.get_origin(hint) or hint
    if hint is Sequence:
        return (Iterable,)
    return (hint,) if isinstance(hint, type) and hint is not Any else ()


def _named(classes: Sequence[type]) -> str:
    names = {types.NoneType: "None", Iterable: "Sequence"}
    return " or ".join(names.get(each, each.__name__) for each in classes)

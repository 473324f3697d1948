"""Helpers of all commands: exit with a message, and read the settings."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

import typer
from pydantic import ValidationError

from cli.client import ServiceError
from cli.display import errors
from s2edit_core.request.numbers import number, whole_number
from s2edit_jobs.settings import Settings, faults

REFUSED: Mapping[str, str] = {
    "credentials_missing": "the service asks for an API key: pass --api-key or set S2EDIT_API_KEY; the operator of the service "
    "creates keys with `s2edit keys create`",
    "credentials_invalid": "the API key is unknown, expired or revoked: pass another one by --api-key or S2EDIT_API_KEY",
    "scope_missing": "the API key may not be used for edits: pass one with the scopes edits:write and edits:read by --api-key or "
    "S2EDIT_API_KEY",
    "user_missing": "the service wants to know for which user the edit is: pass --user",
    "user_foreign": "the token of --api-key or S2EDIT_API_KEY belongs to another user: pass that user as --user, or leave it out",
}
"""What to do about a refusal, by the problem's code. The service itself speaks of HTTP headers, which this command has not."""


def print_any_text() -> None:
    """Let standard output show every text: names of files and variables may hold bytes that are no UTF-8."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def fail(message: str) -> NoReturn:
    errors.print(f"s2edit: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def in_options(error: ServiceError) -> str:
    """Return the message of a refusal in terms of the command's options."""
    return REFUSED.get(error.code, str(error))


def whole(least: int | None = None, most: int | None = None, **option: Any) -> Any:
    """Return an option for a whole number. typer's own would take `1_0` and digits of other scripts."""
    return typer.Option(parser=_within(whole_number, least, most), metavar="INTEGER", **option)


def decimal(least: float | None = None, most: float | None = None, **option: Any) -> Any:
    """Return an option for a number with a fraction."""
    return typer.Option(parser=_within(number, least, most), metavar="FLOAT", **option)


def _within(read: Callable[[str], float], least: float | None, most: float | None) -> Callable[[Any], float]:
    def parse(given: Any) -> float:
        try:
            value = read(str(given))  # a default comes as a number
        except ValueError as error:
            raise typer.BadParameter(f"{given!r}: {error}") from None
        if (least is not None and value < least) or (most is not None and value > most):
            bounds = f"from {least} to {most}" if most is not None else f"of {least} or more"
            raise typer.BadParameter(f"{value} is not in range: write a number {bounds}")
        return value

    return parse


def settings_with(**given: object) -> Settings:
    """Return the settings from the environment, overridden by the command-line options that are given."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        fail(faults(error))

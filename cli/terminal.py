"""Helpers of all commands: exit with a message, and read the settings."""

from __future__ import annotations

from typing import NoReturn

import typer
from pydantic import ValidationError

from cli.display import errors
from s2edit_jobs.settings import Settings, faults


def fail(message: str) -> NoReturn:
    errors.print(f"s2edit: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def settings_with(**given: object) -> Settings:
    """Return the settings from the environment, overridden by the command-line options that are given."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        fail(faults(error))

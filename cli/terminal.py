"""What the commands share: ending with a message, and reading the settings."""

from __future__ import annotations

from typing import NoReturn

import typer
from pydantic import ValidationError

from cli.display import errors
from s2edit_jobs.settings import Settings


def fail(message: str) -> NoReturn:
    errors.print(f"s2edit: {message}", markup=False, soft_wrap=True)
    raise typer.Exit(1)


def settings_with(**given: object) -> Settings:
    """From the environment; what is given on the command line goes first."""
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        fail("; ".join(f"S2EDIT_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors()))

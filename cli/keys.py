"""`s2edit keys`: who may call the service. Works on the object store, so the service need not run, and notices within seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.table import Table

from cli.display import console, errors
from cli.terminal import fail, settings_with
from s2edit_jobs.access.keys import USUAL_SCOPES, ApiKey, KeyEnded, KeyNotFound, KeyRing, Scope
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.records.errors import ServiceUnavailable

app = typer.Typer(help="Make, show, replace and revoke API keys.", no_args_is_help=True)
DataDir = Annotated[Path | None, typer.Option(help="The service's data folder. [S2EDIT_DATA_DIR]")]
KeyId = Annotated[str, typer.Argument(help="The visible part of the key, as `list` shows it.", metavar="ID")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Whose key it is; what is kept of one tenant no other ever sees.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it is for: edits:read, edits:write, identities, tokens or admin; may be repeated. [all but admin]"),
    ] = None,
    note: Annotated[str, typer.Option(help="For yourself: who has it.")] = "",
    test: Annotated[bool, typer.Option("--test", help="For test mode: no model draws, and live data is out of reach.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key. It is shown this once."""
    scopes: frozenset[Scope] = frozenset(cast(list[Scope], scope)) if scope else USUAL_SCOPES
    with _ring(data_dir) as ring:
        _show_once(*ring.create(tenant, scopes, note=note, test=test))


@app.command("list")
def show(data_dir: DataDir = None) -> None:
    """Show all keys, without their secrets."""
    table = Table("id", "tenant", "scopes", "made", "state", "note", box=None, padding=(0, 2, 0, 0))
    with _ring(data_dir) as ring:
        for key in sorted(ring.list(), key=lambda key: key.created_at):
            tenant, scopes = f"{key.tenant} (test)" if key.test else key.tenant, " ".join(sorted(key.scopes))
            table.add_row(key.id, tenant, scopes, _moment(key.created_at), _state(key), key.note)
    console.print(table, soft_wrap=True)


@app.command()
def revoke(key_id: KeyId, data_dir: DataDir = None) -> None:
    """End a key, and every token that was issued to it, within seconds."""
    with _ring(data_dir) as ring:
        ring.revoke(key_id)
    console.print(f"{key_id} counts no more")


@app.command()
def rotate(
    key_id: KeyId,
    grace_s: Annotated[float, typer.Option(min=0, help="Seconds for which the old key counts beside the new one.")] = 86_400,
    data_dir: DataDir = None,
) -> None:
    """Make another key for the same tenant and scopes, and end the old one later."""
    with _ring(data_dir) as ring:
        _show_once(*ring.rotate(key_id, grace_s=grace_s))
    errors.print(f"{key_id} counts until {_moment(time.time() + grace_s)}", markup=False, soft_wrap=True)


@contextmanager
def _ring(data_dir: Path | None) -> Iterator[KeyRing]:
    try:
        yield KeyRing(build_artifacts(settings_with(data_dir=data_dir)))
    except KeyNotFound as error:
        fail(f"there is no key {error.args[0]!r}: see `s2edit keys list`")
    except KeyEnded as error:
        fail(f"the key {error.args[0]} was rotated or revoked before")
    except (ValueError, ServiceUnavailable) as error:
        fail(str(error))


def _show_once(key: ApiKey, text: str) -> None:
    """The key alone on standard output, so that a script can take it from there."""
    mode = "in test mode" if key.test else "live"
    words = f"{key.id}, for tenant {key.tenant}, {mode}: {' '.join(sorted(key.scopes))}. It is shown this once"
    errors.print(words, markup=False, soft_wrap=True)
    typer.echo(text)


def _state(key: ApiKey) -> str:
    if key.ends_at is None:
        return "counts"
    return f"until {_moment(key.ends_at)}" if key.counts_at(time.time()) else f"ended {_moment(key.ends_at)}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")

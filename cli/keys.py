"""`s2edit keys`: manage API keys. The commands write to the object store; a running service notices within seconds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, cast

import typer
from rich.markup import escape
from rich.table import Table

from cli.display import console, errors
from cli.terminal import decimal, fail, settings_with
from s2edit_core.request.texts import unfit_character
from s2edit_jobs.access.keys import UNREADABLE_END, USUAL_SCOPES, ApiKey, KeyEnded, KeyNotFound, KeyRing, Scope
from s2edit_jobs.bootstrap import NotConfigured, build_artifacts
from s2edit_jobs.records.errors import RecordNewer, RecordUnusable, ServiceUnavailable
from s2edit_jobs.records.record import to_datetime
from s2edit_jobs.setting_rules import LONGEST_S

LONGEST_ROW = 10_000
app = typer.Typer(help="Create, list, rotate and revoke API keys.", no_args_is_help=True)
DataDir = Annotated[Path | None, typer.Option(help="The service's data folder. [S2EDIT_DATA_DIR]")]
KeyId = Annotated[str, typer.Argument(help="The key's id, as `list` shows it.", metavar="ID")]


@app.command()
def create(
    tenant: Annotated[str, typer.Option(help="Tenant that the key belongs to. Tenants never see each other's data.")] = "default",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Scope: edits:read, edits:write, identities, tokens or admin. Repeatable. [all but admin]"),
    ] = None,
    note: Annotated[str, typer.Option(help="A reminder for you, such as who holds the key.")] = "",
    test: Annotated[bool, typer.Option("--test", help="Test mode: no model runs, and live data is out of reach.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Create a key. It is shown only once."""
    if (found := unfit_character(note)) is not None:
        fail(f"the note contains {found}: remove it")
    scopes: frozenset[Scope] = frozenset(cast(list[Scope], scope)) if scope else USUAL_SCOPES
    with _ring(data_dir) as ring:
        _show_once(*ring.create(tenant, scopes, note=note, test=test))


@app.command("list")
def show(data_dir: DataDir = None) -> None:
    """List all keys, without their secrets. A key whose record can't be read is rejected everywhere; create a new one."""
    table = Table("id", "tenant", "scopes", "created", "state", "note", box=None, padding=(0, 2, 0, 0))
    with _ring(data_dir) as ring:
        keys, unreadable = [], {}
        for key_id in ring.ids():
            try:
                keys += [found] if (found := ring.read(key_id)) is not None else []
            except RecordUnusable as error:
                unreadable[key_id] = "newer release" if isinstance(error, RecordNewer) else "damaged"
        for key in sorted(keys, key=lambda key: key.created_at):
            tenant, scopes = f"{key.tenant} (test)" if key.test else key.tenant, " ".join(sorted(key.scopes))
            table.add_row(key.id, tenant, scopes, _timestamp(key.created_at), _state(key), escape(key.note))
        for key_id, state in unreadable.items():
            table.add_row(key_id, "", "", "", state, "")
    table.width = console.measure(table, options=console.options.update(width=LONGEST_ROW)).maximum  # one line a row, nothing cut
    console.print(table, soft_wrap=True)


@app.command()
def revoke(key_id: KeyId, data_dir: DataDir = None) -> None:
    """Revoke a key and every token issued with it. Takes effect within seconds."""
    with _ring(data_dir) as ring:
        ring.revoke(key_id)
    console.print(f"{key_id} is revoked")


@app.command()
def rotate(
    key_id: KeyId,
    grace_s: Annotated[float, decimal(0, LONGEST_S, help="Seconds for which the old key still works.")] = 86_400,
    data_dir: DataDir = None,
) -> None:
    """Create a new key for the same tenant and scopes, and expire the old one after a grace period."""
    with _ring(data_dir) as ring:
        _show_once(*ring.rotate(key_id, grace_s=grace_s))
    errors.print(f"{key_id} works until {_timestamp(time.time() + grace_s)}", markup=False, soft_wrap=True)


@contextmanager
def _ring(data_dir: Path | None) -> Iterator[KeyRing]:
    try:
        yield KeyRing(build_artifacts(settings_with(data_dir=data_dir)))
    except KeyNotFound as error:
        fail(f"there is no key {error.args[0]!r}; `s2edit keys list` shows the ids")
    except KeyEnded as error:
        fail(f"the key {error.args[0]} has already been rotated or revoked")
    except (ValueError, RecordUnusable, ServiceUnavailable, NotConfigured) as error:
        fail(str(error))


def _show_once(key: ApiKey, text: str) -> None:
    """Print the key alone on standard output, so that a script can read it, and everything else on standard error."""
    mode = "in test mode" if key.test else "live"
    words = f"{key.id}, for tenant {key.tenant}, {mode}: {' '.join(sorted(key.scopes))}. The key is shown only once"
    errors.print(words, markup=False, soft_wrap=True)
    typer.echo(text)


def _state(key: ApiKey) -> str:
    if key.ends_at is None:
        return "active"
    if key.ends_at == UNREADABLE_END:
        return "ended, damaged time"
    return f"until {_timestamp(key.ends_at)}" if key.is_active(time.time()) else f"ended {_timestamp(key.ends_at)}"


def _timestamp(seconds: float) -> str:
    return to_datetime(seconds).isoformat(timespec="seconds")

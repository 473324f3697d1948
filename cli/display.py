"""Progress of edits on the console: a progress bar for each in a terminal, otherwise one line per phase."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cli.client import EditClient, ServiceError, View, result_of
from s2edit_core.whole_files import write_whole

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def progress_bars() -> Progress:
    """Return the bars of one or several edits; enter it to show them. A bar disappears when its edit ends."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def follow(client: EditClient, location: str, label: str, bars: Progress) -> View:
    """Show the edit's progress until it ends, and return its last view. Raises `EditFailed` or `ServiceError`.

    Threads may share `client` and `bars`.
    """
    bar = bars.add_task(f"{label}: queued", total=None)
    shown = "queued"
    view: View = {}
    try:
        for view in client.follow(location):
            phase = str(view.get("phase") or view["state"])
            if phase != shown and not console.is_terminal:
                console.print(f"{label}: {phase}")
            shown = phase
            _advance(bars, bar, f"{label}: {phase}", view)
    finally:
        bars.remove_task(bar)
    return result_of(view)


def _advance(bars: Progress, bar: TaskID, description: str, view: View) -> None:
    progress = view.get("progress") or {}
    bars.update(bar, description=description, completed=progress.get("step", 0), total=progress.get("total") or None)


def save(client: EditClient, view: View, path: Path, what: str = "result") -> None:
    """Download the result, or what `what` names, from its presigned URL to `path`.

    Raises `ServiceError`, which says where the finished edit is: its work must not be lost with the file.
    """
    try:
        write_whole(path, client.download(view[what]["url"]))
    except (ServiceError, OSError) as error:
        reason = f"{path} can't be written: {error.strerror or error}" if isinstance(error, OSError) else error
        identity = f" Its identity is {view['identity']}." if view.get("identity") else ""
        raise ServiceError(
            f"the edit has succeeded, but its {what} is not saved: {reason}. The service keeps it: "
            f"{client.url}/edits/{view['id']} links to it.{identity}"
        ) from error

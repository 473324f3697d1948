"""The checks of settings that need more than the value: files, modules, keys and devices.

`s2edit up` and `s2edit doctor` make them. They call what the processes of the service call at their start, so the messages agree.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator

from cli.checks.findings import Finding
from s2edit_jobs.bootstrap import NotConfigured, check_audit_log, check_kept_keys, open_policy
from s2edit_jobs.setting_rules import missing_gpu, unknown_variables
from s2edit_jobs.settings import Settings


def broken_settings(settings: Settings) -> Iterator[str]:
    """Yield a line per setting or kept key that a process of the service can't start with. Nothing is written."""
    checks: tuple[Callable[[Settings], object], ...] = (open_policy, check_audit_log, check_kept_keys, _receipts, _credentials)
    for check in checks:
        try:
            check(settings)
        except NotConfigured as error:
            yield str(error)


def ignored_variables() -> list[str]:
    """Return a line per variable of the environment that looks like a setting and is none."""
    return unknown_variables(os.environ, Settings.model_fields)


def examine_settings(settings: Settings) -> Iterator[Finding]:
    """Judge the settings. Every broken one and every unknown variable is a finding."""
    found = [Finding("settings", "broken", text) for text in broken_settings(settings)]
    found += [Finding("settings", "note", text) for text in ignored_variables()]
    yield from found or [Finding("settings", "ok", "their values, files and keys can be used")]


def check_device(settings: Settings) -> None:
    """Raise `NotConfigured` if the GPU in the settings is missing. A process of its own loads torch, which takes seconds."""
    if not settings.device.startswith("cuda"):
        return
    code = "import torch; print(torch.cuda.device_count() if torch.cuda.is_available() else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)  # noqa: S603
    count = done.stdout.strip()
    if count.isdigit() and (problem := missing_gpu(settings.device, int(count))):
        raise NotConfigured(problem)


def _receipts(settings: Settings) -> None:
    if settings.receipt_key is not None or os.path.lexists(settings.data_dir / "receipt.key"):  # otherwise the API makes one
        from api.wire.receipts import Receipts  # it takes long to load

        Receipts.from_settings(settings)


def _credentials(settings: Settings) -> None:
    generated = settings.data_dir / "provenance-development.pem"
    if settings.provenance and (settings.provenance_certificate is not None or os.path.lexists(generated)):
        from worker.engines.provenance import Credentials

        Credentials.from_settings(settings)

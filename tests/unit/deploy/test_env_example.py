from __future__ import annotations

import re

import pytest

from cli.env_example import text
from s2edit_jobs.settings import Settings
from tests.unit.deploy.files import ROOT

EXAMPLE = (ROOT / "deploy" / "env.example").read_text(encoding="utf-8")
SETTING = re.compile(r"^#?S2EDIT_([A-Z0-9_]+)=(.*)$", re.MULTILINE)


def test_the_example_is_what_the_settings_say() -> None:
    assert text() == EXAMPLE, "run `python -m cli.env_example > deploy/env.example`"


def test_every_setting_is_in_the_example_once_and_nothing_else_is() -> None:
    named = [name.lower() for name, _ in SETTING.findall(EXAMPLE)]
    assert named == list(Settings.model_fields)


def test_an_untouched_example_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Uncommented as it stands, every line gives what leaving it out gives."""
    monkeypatch.delenv("S2EDIT_AUTH")
    before = Settings()
    for name, value in SETTING.findall(EXAMPLE):
        monkeypatch.setenv(f"S2EDIT_{name}", value)
    assert Settings() == before


def test_no_secret_has_a_value() -> None:
    values = dict(SETTING.findall(EXAMPLE))
    secrets = [name for name in values if any(word in name for word in ("SECRET", "KEY", "PASSWORD"))]
    assert len(secrets) >= 3
    assert {name: values[name] for name in secrets} == dict.fromkeys(secrets, "")

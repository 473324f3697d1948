from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
from pydantic import SecretStr, ValidationError

from s2edit_jobs.bootstrap import NotConfigured, build_artifacts, build_services
from s2edit_jobs.settings import Settings, faults
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"S2EDIT_{name.upper()}", raising=False)


def test_without_settings_everything_is_embedded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    settings = Settings()
    assert settings.redis_url is None
    assert settings.data_dir == tmp_path / "s2edit"
    assert isinstance(build_artifacts(settings), FilesystemArtifactStore)


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.setenv(f"S2EDIT_{name.upper()}", "")
    monkeypatch.setenv("S2EDIT_LEASE_S", "30")
    settings = Settings()
    assert settings.lease_s == 30
    assert settings.s3_bucket is None


def test_a_bucket_replaces_the_folder() -> None:
    assert isinstance(build_artifacts(Settings(s3_bucket="b", s3_endpoint_url="http://127.0.0.1:9/")), S3ArtifactStore)


def test_services_without_a_redis_say_what_to_set(tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match="S2EDIT_REDIS_URL"):
        build_services(Settings(data_dir=tmp_path))


WEBHOOK_KEY = "whsec_" + "A" * 32


def test_webhook_keys_are_told_apart_by_spaces() -> None:
    assert Settings().webhook_keys == []
    keys = Settings(webhook_secrets=SecretStr(f" {WEBHOOK_KEY}  {WEBHOOK_KEY[:-1]}B ")).webhook_keys
    assert keys == [WEBHOOK_KEY, f"{WEBHOOK_KEY[:-1]}B"]


@pytest.mark.parametrize(
    "values",
    [
        {"lease_s": 6, "heartbeat_interval_s": 3},
        {"s3_endpoint_url": "http://x"},
        {"max_attempts": 0},
        {"lease_s": 0},
        {"unknown": 1},
        {"webhook_secrets": "secret"},
        {"webhook_secrets": "whsec_c2hvcnQ="},
        {"webhook_secrets": f"{WEBHOOK_KEY} whsec_!!"},
    ],
)
def test_settings_that_contradict_themselves_are_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings.model_validate(values)


NUMBERS = [name for name, field in Settings.model_fields.items() if {field.annotation, *get_args(field.annotation)} & {int, float}]


@pytest.mark.parametrize("value", ["1_0", "+10", "\uff11\uff10", "\u0661", "\u00b2", "0x10", "1 0", "ten", "nan", "inf"])
def test_numbers_are_written_in_decimal_digits(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"max_upload_bytes", "lease_s", "tenant_gpu_s_per_day", "worker_metrics_port"} <= {*NUMBERS}
    for name in NUMBERS:
        monkeypatch.setenv(f"S2EDIT_{name.upper()}", value)
        with pytest.raises(ValidationError, match="in digits from 0 to 9"):
            Settings()
        monkeypatch.delenv(f"S2EDIT_{name.upper()}")


def test_a_number_may_have_spaces_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MAX_UPLOAD_BYTES", " 1000 ")
    monkeypatch.setenv("S2EDIT_REAP_INTERVAL_S", "0.5")
    assert (Settings().max_upload_bytes, Settings().reap_interval_s) == (1000, 0.5)


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError):
        Settings().lease_s = 3  # type: ignore[misc]


def test_no_secret_is_ever_printed() -> None:
    secret = "hunter2-canary"
    settings = Settings(
        redis_url=f"redis://user:{secret}@redis:6379/0",
        s3_bucket="b",
        s3_secret_access_key=SecretStr(secret),
        signing_key=SecretStr(secret),
    )
    shown = settings.masked()
    assert secret not in f"{settings!r} {settings} {shown}"
    assert shown["redis_url"] == "redis://user:**********@redis:6379/0"
    assert shown["s3_bucket"] == "b"


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WORKER_JOBS", "many", "S2EDIT_WORKER_JOBS must be a whole number between 1 and 64 in decimal digits, such as 1"),
        ("WORKER_JOBS", "0", "S2EDIT_WORKER_JOBS must be a whole number between 1 and 64, such as 1"),
        ("LEASE_S", "1e1", "S2EDIT_LEASE_S must be a number above 0 and at most 3600 in decimal digits, such as 6.0"),
        ("AUTH", "closed", "S2EDIT_AUTH must be 'auto', 'keys' or 'open'"),
        ("PROVENANCE", "maybe", "S2EDIT_PROVENANCE must be true or false"),
        ("TOKEN_KEYS", "secret", "S2EDIT_TOKEN_KEYS is invalid: every key must have at least 32 characters"),
    ],
)
def test_a_wrong_setting_is_told_its_rule_and_never_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"S2EDIT_{name}", value)
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert faults(raised.value) == words

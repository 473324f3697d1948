from __future__ import annotations

import re
from math import inf
from pathlib import Path
from typing import Any, get_args

import pytest
from annotated_types import Le
from pydantic import SecretStr, ValidationError

from s2edit_core.errors import PolicyRefused
from s2edit_jobs.bootstrap import NotConfigured, build_artifacts, build_services, check_audit_log, open_policy
from s2edit_jobs.setting_rules import LARGEST, LONGEST_S, RULES, missing_gpu, unknown_variables
from s2edit_jobs.settings import Settings, faults, settings_of_process
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


@pytest.mark.parametrize(("size", "interval"), [(" 1000 ", "0.5"), ("1e3", "5e-1")])
def test_a_number_may_have_spaces_around_it_or_an_exponent(size: str, interval: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S2EDIT_MAX_UPLOAD_BYTES", size)
    monkeypatch.setenv("S2EDIT_REAP_INTERVAL_S", interval)
    assert (Settings().max_upload_bytes, Settings().reap_interval_s) == (1000, 0.5)


def test_settings_cannot_change() -> None:
    with pytest.raises(ValidationError):
        Settings().lease_s = 3  # type: ignore[misc]


def test_no_secret_is_ever_printed() -> None:
    secret = "hunter2-canary-of-at-least-32-characters"
    settings = Settings(
        redis_url=f"redis://user:{secret}@redis:6379/0",
        s3_bucket="b",
        s3_access_key_id="id",
        s3_secret_access_key=SecretStr(secret),
        signing_key=SecretStr(secret),
    )
    shown = settings.masked()
    assert secret not in f"{settings!r} {settings} {shown}"
    assert shown["redis_url"] == "redis://user:**********@redis:6379/0"
    assert shown["s3_bucket"] == "b"


INVALID = {
    "S2EDIT_PUBLIC_URL": [
        "example.com",
        "ftp://x",
        "https://",
        "https://a b",
        "http://x:99999",
        "http://x:0",
        "https://x/?a=b",
        "http://u@x",
    ],
    "S2EDIT_S3_PUBLIC_ENDPOINT_URL": ["store:8333"],
    "S2EDIT_PROVENANCE_TIMESTAMP_URL": ["timestamp.example.com"],
    "S2EDIT_REDIS_URL": ["http://x", "redis:6379", "127.0.0.1:6379", "redis://a:1,b:2", "redis://a:port"],
    "S2EDIT_DEVICE": ["tpu", "CUDA", "cuda:", "cuda:one", "cuda:-1"],
    "S2EDIT_POLICY_CHECKER": ["foo", "foo:", ":bar", "foo bar:baz"],
    "S2EDIT_SIGNING_KEY": ["zqz", "x" * 31],
    "S2EDIT_AUDIT_KEY": ["zqz"],
    "S2EDIT_TOKEN_KEYS": ["x" * 32 + " x"],
    "S2EDIT_METRICS_TOKEN": ["zqz", "x" * 15, " " + "x" * 16, "x" * 16 + "\n", "é" * 16],
    "S2EDIT_WEBHOOK_SECRETS": ["whsec_short"],
    "S2EDIT_CORS_ORIGINS": ["https://app.example.com/path"],
    "S2EDIT_PROVENANCE": ["maybe"],
    "S2EDIT_PRECISION": ["fp8"],
    "S2EDIT_MAX_ATTEMPTS": ["0"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in INVALID.items() for value in values])
def test_one_line_names_the_variable_and_says_what_to_write(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        settings_of_process()
    line = str(ended.value)
    assert re.fullmatch(rf"s2edit: {name}: (it|a key|every key|every origin) must [^\n]+", line)
    assert "Value error" not in line
    assert not (name.endswith(("KEY", "KEYS", "SECRETS", "TOKEN", "REDIS_URL")) and value in line), "the value may be secret"


def test_every_rule_is_of_a_setting_that_some_test_gets_wrong() -> None:
    assert {f"S2EDIT_{name.upper()}" for name in RULES} - INVALID.keys() == {"S2EDIT_S3_ENDPOINT_URL"}


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({"LEASE_S": "1"}, ("S2EDIT_HEARTBEAT_INTERVAL_S", "S2EDIT_LEASE_S")),
        ({"UPLOAD_TTL_S": "3600", "UPLOAD_URL_TTL_S": "7200"}, ("S2EDIT_UPLOAD_TTL_S", "S2EDIT_UPLOAD_URL_TTL_S")),
        *(
            ({name: "http://x"}, (f"S2EDIT_{name}", "S2EDIT_S3_BUCKET"))
            for name in ("S3_ENDPOINT_URL", "S3_PUBLIC_ENDPOINT_URL", "S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
        ),
        *(
            ({"S3_BUCKET": "b", name: "x"}, ("S2EDIT_S3_ACCESS_KEY_ID", "S2EDIT_S3_SECRET_ACCESS_KEY"))
            for name in ("S3_ACCESS_KEY_ID", "S3_SECRET_ACCESS_KEY")
        ),
        ({"PROVENANCE_CERTIFICATE": "/x"}, ("S2EDIT_PROVENANCE_CERTIFICATE", "S2EDIT_PROVENANCE_PRIVATE_KEY")),
    ],
)
def test_settings_that_contradict_each_other_are_both_named(
    values: dict[str, str], names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in values.items():
        monkeypatch.setenv(f"S2EDIT_{name}", value)
    with pytest.raises(ValidationError) as refused:
        Settings()
    line = faults(refused.value)
    assert all(re.search(rf"\b{name}\b", line) for name in names)
    assert "S2EDIT_:" not in line
    assert "Value error" not in line


def test_a_variable_that_is_no_setting_is_named_with_the_nearest_one() -> None:
    names = ["S2EDIT_WORKER_JOB", "S2EDIT_XYZZY", "S2EDIT_API_KEY", "S2EDIT_MODEL", "s2edit_model", "HOME"]
    assert unknown_variables(names, Settings.model_fields) == [
        "S2EDIT_WORKER_JOB is no setting, so it is ignored: did you mean S2EDIT_WORKER_JOBS?",
        "S2EDIT_XYZZY is no setting, so it is ignored; docs/self-hosting.md lists all settings",
    ]


@pytest.mark.parametrize(
    ("device", "count", "missing"),
    [("auto", 0, False), ("cpu", 0, False), ("cuda", 0, True), ("cuda", 1, False), ("cuda:1", 2, False), ("cuda:2", 2, True)],
)
def test_a_gpu_that_is_not_there_is_named(device: str, count: int, missing: bool) -> None:
    problem = missing_gpu(device, count)
    assert (problem is not None) is missing
    assert f"S2EDIT_DEVICE is {device}" in (problem or f"S2EDIT_DEVICE is {device}")


def test_an_audit_log_outside_the_data_folder_needs_a_folder(tmp_path: Path) -> None:
    def check(log: Path) -> None:
        check_audit_log(Settings(data_dir=tmp_path / "data", audit_log=str(log)))

    for log, text in ((tmp_path / "nope" / "a.log", "does not exist"), (tmp_path, "is a folder")):
        with pytest.raises(NotConfigured, match=f"S2EDIT_AUDIT_LOG: .*{text}"):
            check(log)
    check(tmp_path / "a.log")
    check(tmp_path / "data" / "logs" / "a.log")
    assert list(tmp_path.iterdir()) == []


def test_a_policy_that_cannot_be_used_names_its_setting(tmp_path: Path) -> None:
    (tmp_path / "terms").write_bytes(b"\xff")
    for path, text in ((tmp_path / "nope", "No such file"), (tmp_path, "directory"), (tmp_path / "terms", "UTF-8")):
        with pytest.raises(NotConfigured, match=rf"S2EDIT_POLICY_BLOCK_LIST: {path} can't be read \(.*{text}"):
            open_policy(Settings(policy_block_list=path))
    for checker, text in (
        ("no_such_module:check", "No module"),
        ("json:no_such_name", "no_such_name"),
        ("json:loads", "TypeError"),
    ):
        with pytest.raises(NotConfigured, match=f"S2EDIT_POLICY_CHECKER: {checker} can't be used .*{text}"):
            open_policy(Settings(policy_checker=checker))


def test_the_block_list_that_is_checked_is_the_one_that_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it was read again, it could be another one by then."""
    (tmp_path / "terms").write_text("clown")
    read: list[Path] = []
    original = Path.read_text

    def counted(path: Path, *args: Any, **options: Any) -> str:
        read.append(path)
        return original(path, *args, **options)

    monkeypatch.setattr(Path, "read_text", counted)
    with pytest.raises(PolicyRefused):
        open_policy(Settings(policy_block_list=tmp_path / "terms")).check_prompt("a clown", field="prompt")
    assert read == [tmp_path / "terms"]


def test_every_setting_is_described() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_every_number_has_an_upper_bound() -> None:
    """A time beyond the year 9999 and an integer that is no float break requests later."""
    numbers = {
        name: field
        for name, field in Settings.model_fields.items()
        if {float, int} & {field.annotation, *get_args(field.annotation)}
    }
    highest = {name: next((rule.le for rule in field.metadata if isinstance(rule, Le)), inf) for name, field in numbers.items()}
    assert "upload_ttl_s" in highest
    assert [name for name, bound in highest.items() if bound > LARGEST] == []
    assert [name for name in highest if name.endswith("ttl_s") and highest[name] > LONGEST_S] == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WORKER_JOBS", "many", "S2EDIT_WORKER_JOBS: it must be a whole number between 1 and 64 in decimal digits, such as 1"),
        ("WORKER_JOBS", "0", "S2EDIT_WORKER_JOBS: it must be a whole number between 1 and 64, such as 1"),
        ("LEASE_S", "1_0", "S2EDIT_LEASE_S: it must be a number above 0 and at most 3600 in decimal digits, such as 6.0"),
        ("UPLOAD_TTL_S", "999999999999", "S2EDIT_UPLOAD_TTL_S: it must be a number between 3600 and 3153600000, such as 86400.0"),
        ("IDENTITY_TTL_S", "3153600001", "S2EDIT_IDENTITY_TTL_S: it must be a number above 0 and at most 3153600000"),
        ("AUTH", "closed", "S2EDIT_AUTH: it must be 'auto', 'keys' or 'open'"),
        ("PROVENANCE", "maybe", "S2EDIT_PROVENANCE: it must be true or false"),
        (
            "TOKEN_KEYS",
            "secret",
            "S2EDIT_TOKEN_KEYS: a key must have at least 32 characters, for example from `openssl rand -base64 32`",
        ),
    ],
)
def test_a_wrong_setting_is_told_its_rule_and_never_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str
) -> None:
    monkeypatch.setenv(f"S2EDIT_{name}", value)
    with pytest.raises(ValidationError) as raised:
        Settings()
    assert faults(raised.value) == words

from __future__ import annotations

import errno
import os
import shutil
import time
from pathlib import Path

import pytest
from pydantic import SecretStr

from cli.checks import doctor
from cli.checks.doctor import adopt, examine, examine_model
from cli.checks.findings import Finding
from cli.checks.setting_checks import broken_settings, examine_settings
from cli.supervision.service import free_port
from s2edit_jobs.access.keys import KeyRing
from s2edit_jobs.bootstrap import build_artifacts
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.embedded_redis import EmbeddedRedis
from s2edit_jobs.stores.job_store import HOUSEKEEPER
from s2edit_jobs.stores.model_facts import report_failure
from tests.stores import Database
from tests.tiny import save_tiny
from tests.waiting import until


@pytest.fixture(scope="session")
def complete_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny(tmp_path_factory.mktemp("models") / "complete_model")


@pytest.fixture
def model(complete_model: Path, tmp_path: Path) -> Path:
    """Return a copy of a complete model folder, which the test may damage."""
    return Path(shutil.copytree(complete_model, tmp_path / "model"))


def findings_of(settings: Settings) -> dict[str, Finding]:
    return {finding.part: finding for finding in examine(settings)}


def test_a_working_installation_has_nothing_broken(tmp_path: Path, model: Path) -> None:
    findings = findings_of(Settings(data_dir=tmp_path / "data", model=str(model)))
    assert findings.pop("access").verdict == "note", "nobody has made a key yet"
    assert {part: finding.verdict for part, finding in findings.items()} == dict.fromkeys(
        ("versions", "settings", "torch", "redis", "store", "model", "segmenter", "captioner", "safety"), "ok"
    )
    assert "embedded" in findings["redis"].text
    assert not (tmp_path / "data").exists()


def test_a_redis_that_does_not_answer_is_broken_and_its_password_stays_hidden(tmp_path: Path, model: Path) -> None:
    url = f"redis://:hush@127.0.0.1:{free_port()}/0"
    findings = findings_of(Settings(data_dir=tmp_path, model=str(model), redis_url=url))
    assert findings["redis"].verdict == "broken"
    assert findings["model"].verdict == "ok"
    assert "hush" not in str(findings)


def test_a_store_that_does_not_answer_is_broken(tmp_path: Path, model: Path) -> None:
    settings = Settings(
        data_dir=tmp_path,
        model=str(model),
        s3_endpoint_url=f"http://127.0.0.1:{free_port()}",
        s3_bucket="s2edit",
        s3_access_key_id="id",
        s3_secret_access_key=SecretStr("hush"),
    )
    findings = findings_of(settings)
    assert findings["store"].verdict == "broken"
    assert "hush" not in str(findings)


def test_a_data_folder_that_cannot_be_created_is_broken(tmp_path: Path, model: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    findings = findings_of(Settings(data_dir=tmp_path / "file" / "data", model=str(model)))
    assert findings["store"].verdict == "broken"


def test_a_missing_device_is_broken(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    findings = findings_of(Settings(data_dir=tmp_path, model=str(model), device="cuda"))
    assert findings["torch"].verdict == "broken"
    assert "S2EDIT_DEVICE is cuda" in findings["torch"].text


def test_settings_that_a_process_cannot_start_with_are_broken_and_unknown_variables_are_noted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("S2EDIT_TYPO", "1")
    broken = {
        "policy_block_list": tmp_path / "nope",
        "policy_checker": "no_such_module:check",
        "audit_log": str(tmp_path / "nope" / "audit.jsonl"),
        "receipt_key": SecretStr("x"),
        "provenance_certificate": tmp_path / "nope",
        "provenance_private_key": tmp_path / "nope",
    }
    found = list(examine_settings(Settings(data_dir=tmp_path / "data", **broken)))  # type: ignore[arg-type]
    assert [finding.verdict for finding in found] == ["broken"] * 4 + ["note"], "the first fault of the policy, and the others"
    for name in ("POLICY_BLOCK_LIST", "AUDIT_LOG", "RECEIPT_KEY", "PROVENANCE_CERTIFICATE", "TYPO"):
        assert [f"S2EDIT_{name}" in finding.text for finding in found].count(True) == 1
    (checker,) = broken_settings(Settings(data_dir=tmp_path / "data", policy_checker="no_such_module:check"))
    assert "S2EDIT_POLICY_CHECKER" in checker
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("path", ["vae/config.json", "scheduler/scheduler_config.json", "text_encoder/model.safetensors"])
def test_an_incomplete_model_is_broken_and_the_missing_file_is_named(model: Path, path: str) -> None:
    part, name = path.split("/")
    (model / path).unlink()
    finding = examine_model(Settings(model=str(model)))
    assert finding.verdict == "broken"
    assert f"no {'weights' if name.endswith('safetensors') else name} in {part}/" in finding.text


def test_a_damaged_tokenizer_is_broken(model: Path) -> None:
    (model / "tokenizer" / "tokenizer.json").write_text("{}")
    finding = examine_model(Settings(model=str(model)))
    assert (finding.verdict, "tokenizer of the model" in finding.text) == ("broken", True)


def test_a_folder_without_a_model_is_broken(tmp_path: Path) -> None:
    assert examine_model(Settings(model=str(tmp_path))).verdict == "broken"
    assert examine_model(Settings(model=str(tmp_path / "nowhere"))).verdict == "broken"


def test_a_hub_id_is_left_to_the_worker() -> None:
    finding = examine_model(Settings(model="CompVis/stable-diffusion-v1-4"))
    assert (finding.verdict, "to pin one" in finding.text) == ("note", True)
    finding = examine_model(Settings(model="CompVis/stable-diffusion-v1-4@fp16"))
    assert (finding.verdict, "revision fp16" in finding.text) == ("note", True)


def test_a_model_that_the_last_worker_could_not_load_is_broken_until_its_files_change(model: Path, tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path / "data", model=str(model))
    assert examine_model(settings).verdict == "ok"
    report_failure(build_artifacts(settings), settings.model, "the UNet has another shape")
    finding = examine_model(settings)
    assert (finding.verdict, "the UNet has another shape" in finding.text) == ("broken", True)
    later = time.time() + 5
    os.utime(model / "unet" / "config.json", (later, later))
    finding = examine_model(settings)
    assert (finding.verdict, "have changed since" in finding.text) == ("note", True)


def test_it_says_when_a_housekeeper_last_worked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database()
    settings = Settings(data_dir=tmp_path, redis_url=database.url)
    found = doctor._housekeeper(settings)
    assert (found.verdict, found.text.partition(":")[0]) == ("note", "none has worked yet")
    assert "`s2edit housekeeper`" in found.text
    tasks = database.store().tasks
    tasks.report_alive(HOUSEKEEPER)
    assert doctor._housekeeper(settings) == Finding("housekeeper", "ok", "one worked 0 s ago")
    monkeypatch.setattr(doctor, "HOUSEKEEPER_LATE_S", 0.1)
    until(lambda: doctor._housekeeper(settings).verdict == "note")
    assert "the last one worked 0 s ago" in doctor._housekeeper(settings).text


@pytest.mark.parametrize(
    ("ahead_s", "verdict", "words"),
    [
        (0.0, "ok", "within 5 s"),
        (4.0, "ok", "within 5 s"),
        (-4.0, "ok", "within 5 s"),
        (60.0, "note", "60 s ahead of"),
        (-60.0, "note", "60 s behind"),
    ],
)
def test_it_compares_this_machine_s_clock_with_that_of_redis(
    ahead_s: float, verdict: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, clock = Settings(data_dir=tmp_path, redis_url=Database().url), time.time
    monkeypatch.setattr(doctor.time, "time", lambda: clock() + ahead_s)
    found = doctor._clock(settings)
    assert found.verdict == verdict
    assert words in found.text


def test_an_external_redis_that_is_down_leaves_clock_and_housekeeper_unknown(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    for check in (doctor._clock, doctor._housekeeper):
        assert "Redis does not answer" in check(settings).text


class TestWhereTheStoreIs:
    def test_a_folder_that_is_away_is_named_and_nothing_is_written(self, tmp_path: Path, model: Path) -> None:
        database = Database()
        settings = Settings(data_dir=tmp_path / "data", model=str(model), redis_url=database.url)
        build_artifacts(settings).prove()
        assert findings_of(settings)["store"].verdict == "ok"
        settings.artifacts_dir.rename(tmp_path / "elsewhere")
        settings.artifacts_dir.mkdir()
        finding = findings_of(settings)["store"]
        assert (finding.verdict, "doctor --adopt" in finding.text) == ("broken", True)
        assert list(settings.artifacts_dir.iterdir()) == []

    @pytest.mark.parametrize("is_running", [True, False])
    def test_an_embedded_redis_knows_it_too(self, tmp_path: Path, model: Path, is_running: bool) -> None:
        settings = Settings(data_dir=tmp_path / "data", model=str(model))
        with EmbeddedRedis(settings.redis_dir) as redis:
            build_artifacts(settings.model_copy(update={"redis_url": redis.url})).prove()
            assert findings_of(settings)["store"].verdict == "ok"
            if not is_running:
                redis.stop()
                assert findings_of(settings)["store"].verdict == "ok"
            settings.artifacts_dir.rename(tmp_path / "elsewhere")
            assert findings_of(settings)["store"].verdict == "broken"
            settings.artifacts_dir.mkdir()
            finding = findings_of(settings)["store"]
            assert (finding.verdict, "doctor --adopt" in finding.text) == ("broken", True)
            assert list(settings.artifacts_dir.iterdir()) == []

    def test_a_new_store_is_left_as_it_was(self, tmp_path: Path, model: Path) -> None:
        settings = Settings(data_dir=tmp_path / "data", model=str(model))
        settings.artifacts_dir.mkdir(parents=True)
        assert findings_of(settings)["store"].verdict == "ok"
        assert list(settings.artifacts_dir.iterdir()) == []

    def test_an_operator_may_adopt_another_one(self, tmp_path: Path, model: Path) -> None:
        settings = Settings(data_dir=tmp_path / "data", model=str(model), redis_url=Database().url)
        build_artifacts(settings).prove()
        settings.artifacts_dir.rename(tmp_path / "elsewhere")
        settings.artifacts_dir.mkdir()
        assert adopt(settings) == build_artifacts(settings).inspect()
        assert findings_of(settings)["store"].verdict == "ok"

    def test_the_embedded_redis_forgets_it_too(self, tmp_path: Path, model: Path) -> None:
        settings = Settings(data_dir=tmp_path / "data", model=str(model))
        with EmbeddedRedis(settings.redis_dir) as redis:
            build_artifacts(settings.model_copy(update={"redis_url": redis.url})).prove()
        shutil.rmtree(settings.artifacts_dir)
        adopted = adopt(settings)
        with EmbeddedRedis(settings.redis_dir) as redis:
            assert build_artifacts(settings.model_copy(update={"redis_url": redis.url})).inspect() == adopted

    def test_a_disk_that_is_nearly_full_is_a_note(self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("cli.checks.doctor.LOW_DISK", 1 << 60)
        finding = findings_of(Settings(data_dir=tmp_path, model=str(model)))["store"]
        assert (finding.verdict, "are free" in finding.text) == ("note", True)

    def test_a_full_disk_is_to_be_freed(self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def full(*_: object) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "write", full)
        findings = findings_of(Settings(data_dir=tmp_path, model=str(model)))
        found = {part: finding for part, finding in findings.items() if part.startswith("store: ")}
        assert {finding.verdict for finding in found.values()} == {"broken"}
        assert all("space" in finding.text for finding in found.values())
        assert not any("s3:" in finding.text or "If-None-Match" in finding.text for finding in found.values())

    def test_a_disk_without_hard_links_is_broken(self, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def unsupported(*_: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr(os, "link", unsupported)
        finding = findings_of(Settings(data_dir=tmp_path, model=str(model)))["store: write once"]
        assert (finding.verdict, "hard links" in finding.text) == ("broken", True)


def test_what_is_unsafe_in_a_redis_is_a_note(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.checks.doctor.server_problems", lambda _: ["maxmemory-policy is allkeys-lru"])
    finding = findings_of(Settings(data_dir=tmp_path, model=str(model), redis_url=Database().url))["redis"]
    assert (finding.verdict, "allkeys-lru" in finding.text) == ("note", True)


@pytest.mark.parametrize(
    ("auth", "has_key", "verdict", "words"),
    [
        ("open", True, "note", "S2EDIT_AUTH=open is open to everybody who reaches the port"),
        ("auto", False, "note", "S2EDIT_AUTH=auto is open to every program on this machine"),
        ("auto", True, "ok", "only callers with a key"),
        ("keys", False, "broken", "s2edit keys create"),
        ("keys", True, "ok", "only callers with a key"),
        (None, False, "note", "`s2edit up` is then open to every program on this machine"),
        (None, True, "ok", "only callers with a key"),
    ],
)
def test_it_says_who_may_call(
    auth: str | None, has_key: bool, verdict: str, words: str, tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("S2EDIT_AUTH")
    settings = Settings(data_dir=tmp_path / "data", model=str(model), **({"auth": auth} if auth else {}))  # type: ignore[arg-type]
    if has_key:
        KeyRing(build_artifacts(settings)).create("acme")
    finding = findings_of(settings)["access"]
    assert (finding.verdict, words in finding.text) == (verdict, True), finding.text
    assert has_key or not settings.data_dir.exists(), "the check creates nothing"

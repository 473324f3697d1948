"""The data folder is closed to others, and refused where it would merge users."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cli.supervision.processes import StartFailed
from cli.supervision.service import Address, Service, free_port
from s2edit_jobs import data_folder
from s2edit_jobs.bootstrap import NotConfigured, build_services
from s2edit_jobs.data_folder import ignores_case, make_private
from s2edit_jobs.settings import Settings
from tests.logged import logging_to_memory
from tests.stores import Database, MemoryJobQueue


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "data"
    made.mkdir()
    return made


def start(folder: Path) -> None:
    build_services(Settings(data_dir=folder, audit_log="off"), store=Database().store(), queue=MemoryJobQueue())


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize(("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o701, 0o700), (0o770, 0o770), (0o700, 0o700)])
def test_a_folder_that_existed_is_closed_to_others(folder: Path, before: int, after: int) -> None:
    for name in ("artifacts", "redis", "logs"):
        (folder / name).mkdir()
    for name in ("up.lock", "audit.key", "audit.jsonl", "provenance-development.pem"):
        (folder / name).touch()
    folder.chmod(before)
    start(folder)
    assert mode_of(folder) == after


def test_a_folder_with_other_things_keeps_its_mode_and_is_named(folder: Path) -> None:
    """Somebody may have chosen /tmp."""
    (folder / "somebody's").mkdir()
    folder.chmod(0o755)
    with logging_to_memory() as logged:
        start(folder)
    assert mode_of(folder) == 0o755
    assert [line["action"] for line in logged.lines] == ["folder_open"]


def test_a_missing_folder_is_not_made(tmp_path: Path) -> None:
    """It may be a disk that is not mounted."""
    make_private(tmp_path / "data")
    assert not (tmp_path / "data").exists()


class TestCase:
    @pytest.fixture
    def ignoring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """A file system that finds each name in any case, as that of macOS does by default."""

        def same(one: Path, other: Path) -> bool:
            return str(one).lower() == str(other).lower()

        monkeypatch.setattr(data_folder, "is_same", same)

    def starting_up(self, folder: Path) -> None:
        service = Service(Settings(data_dir=folder), Address("127.0.0.1", free_port()))
        with pytest.raises(StartFailed, match="does not tell capitals from small letters"):
            service.run(stop=None, report=print, ready=print)  # type: ignore[arg-type]

    def building(self, folder: Path) -> None:
        with pytest.raises(NotConfigured, match="S2EDIT_DATA_DIR"):
            start(folder)

    @pytest.mark.usefixtures("ignoring")
    @pytest.mark.parametrize("call", [starting_up, building])
    @pytest.mark.parametrize("has_artifacts", [False, True])
    def test_the_service_refuses_to_start(self, folder: Path, call: Callable[..., None], has_artifacts: bool) -> None:
        if has_artifacts:
            (folder / "artifacts").mkdir()
        call(self, folder)

    @pytest.mark.usefixtures("ignoring")
    def test_a_bucket_is_not_concerned(self, folder: Path) -> None:
        settings = Settings(data_dir=folder, audit_log="off", s3_bucket="s2edit", redis_url="redis://127.0.0.1:1")
        build_services(settings, store=Database().store(), queue=MemoryJobQueue())

    def test_this_file_system_tells_them_apart(self, folder: Path) -> None:
        (folder / "artifacts").mkdir()
        assert not ignores_case(folder)
        (folder / "ARTIFACTS").symlink_to(folder / "artifacts")
        assert not ignores_case(folder), "a second name is listed, so it is a name of its own"
        assert not ignores_case(folder / "missing" / "123")

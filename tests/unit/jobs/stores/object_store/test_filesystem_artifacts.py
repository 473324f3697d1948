"""The filesystem store: presigned URLs, temporary files and syncing to disk."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2edit_jobs.bootstrap import kept_key
from s2edit_jobs.records.errors import ArtifactMissing, ArtifactsUnavailable
from s2edit_jobs.stores.object_store import filesystem_artifacts
from s2edit_jobs.stores.object_store.filesystem_artifacts import FilesystemArtifactStore
from s2edit_jobs.stores.object_store.presence import MARKER

KEY = "t/app/u/ann/edits/e_1/result-1.png"
NOW = 1_800_000_000


class Case:
    def __init__(self, root: Path, signing_key: str = "key") -> None:
        self.now = float(NOW)
        self.store = FilesystemArtifactStore(root, "https://edit.example/", signing_key, clock=lambda: self.now)

    def signed(self, name: str | None = "Grüße.png") -> dict[str, str]:
        url = urlsplit(self.store.presigned_get(KEY, expires_s=60, filename=name))
        assert url.path.startswith("/files/")
        return {"key": unquote(url.path.removeprefix("/files/")), **dict(parse_qsl(url.query))}

    def verify(self, parts: dict[str, str]) -> Path:
        return self.store.verify(parts["key"], expires=parts["expires"], name=parts.get("name"), signature=parts["signature"])


@pytest.fixture
def case(tmp_path: Path) -> Case:
    case = Case(tmp_path / "artifacts")
    case.store.put(KEY, b"picture", media_type="image/png")
    return case


@pytest.mark.parametrize("name", [None, "", "x.png", "Grüße & mehr?.png"])
def test_a_signed_url_leads_to_the_file_until_it_expires(case: Case, name: str | None) -> None:
    url = urlsplit(case.store.presigned_get(KEY, expires_s=60, filename=name))
    query = dict(parse_qsl(url.query, keep_blank_values=True))
    assert f"{url.scheme}://{url.netloc}" == "https://edit.example"

    def verify() -> Path:
        return case.store.verify(KEY, expires=query["expires"], name=query.get("name"), signature=query["signature"])

    assert verify().read_bytes() == b"picture"
    case.now += 59
    verify()
    case.now += 1
    with pytest.raises(PermissionError, match="expired"):
        verify()


def test_every_change_of_one_character_is_refused(case: Case) -> None:
    parts = case.signed()
    for field, value in parts.items():
        for place in range(len(value)):
            for other in ("0", "A", "z", "-"):
                changed = value[:place] + other + value[place + 1 :]
                if changed != value:
                    with pytest.raises(PermissionError):
                        case.verify({**parts, field: changed})
        for changed in (value + "=", value + "A", value[:-1], "", value + "\n"):
            with pytest.raises(PermissionError):
                case.verify({**parts, field: changed})


def test_the_file_name_cannot_be_dropped_or_added(case: Case) -> None:
    named, unnamed = case.signed("x.png"), case.signed(None)
    del named["name"]
    unnamed["name"] = "x.png"
    for parts in (named, unnamed):
        with pytest.raises(PermissionError):
            case.verify(parts)


@given(signature=st.text(max_size=60), expires=st.text(max_size=12))
def test_no_made_up_signature_is_accepted(signature: str, expires: str) -> None:
    store = FilesystemArtifactStore(Path("/dev/null/nowhere"), "http://x", "key")
    with pytest.raises(PermissionError):
        store.verify(KEY, expires=expires, name=None, signature=signature)


def test_a_url_of_another_key_is_refused(case: Case, tmp_path: Path) -> None:
    parts = Case(tmp_path / "artifacts", signing_key="another").signed()
    with pytest.raises(PermissionError):
        case.verify(parts)


def test_a_signed_url_of_a_deleted_file_says_so(case: Case) -> None:
    parts = case.signed()
    case.store.delete_prefix("t/app/")
    with pytest.raises(ArtifactMissing):
        case.verify(parts)


def test_deleting_leaves_no_empty_folder_and_no_half_written_file(case: Case) -> None:
    case.store.delete_prefix("t/")
    assert [path.name for path in case.store.root.rglob("*") if not path.name.startswith(".")] == [MARKER]
    assert list((case.store.root / ".writing").iterdir()) == []


def test_a_reader_sees_the_old_or_the_new_object_and_nothing_between(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        assert case.store.get(KEY) == b"picture"
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(ArtifactsUnavailable, match="No space left"):
        case.store.put(KEY, b"other", media_type="image/png")
    assert case.store.get(KEY) == b"picture"
    assert list((case.store.root / ".writing").iterdir()) == []


def sweep_before(name: str, case: Case, monkeypatch: pytest.MonkeyPatch, *, times: int) -> list[int]:
    """Remove temporary files as abandoned just before `os.<name>`, the first `times` times. Return the list of calls."""
    place, calls = getattr(os, name), []

    def placed(source: Path, target: Path) -> None:
        calls.append(1)
        assert len(calls) <= 2 * times, "it retries forever"
        if len(calls) <= times:
            os.utime(source, (NOW - 21, NOW - 21))
            list(Case(case.store.root).store.list("t/"))
        place(source, target)

    monkeypatch.setattr(os, name, placed)
    return calls


@pytest.mark.parametrize(("name", "only_if_absent"), [("link", True), ("replace", False)])
def test_a_slow_writer_whose_file_was_swept_up_writes_it_again(
    case: Case, monkeypatch: pytest.MonkeyPatch, name: str, only_if_absent: bool
) -> None:
    sweep_before(name, case, monkeypatch, times=2)
    case.store.put(f"{KEY}.new", b"other", media_type="image/png", only_if_absent=only_if_absent)
    assert case.store.get(f"{KEY}.new") == b"other"
    assert list((case.store.root / ".writing").iterdir()) == []


def test_a_folder_that_is_always_too_slow_is_reported(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = sweep_before("replace", case, monkeypatch, times=10)
    with pytest.raises(ArtifactsUnavailable, match="too slow"):
        case.store.put(KEY, b"other", media_type="image/png")
    assert len(calls) == filesystem_artifacts.TRIES
    assert case.store.get(KEY) == b"picture"


def test_nobody_else_on_the_machine_can_read_the_objects(case: Case) -> None:
    assert stat.S_IMODE(case.store.root.stat().st_mode) == 0o700


def test_a_signing_key_is_made_once_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "data" / "signing.key"
    key = kept_key(path)
    assert len(key) >= 32
    assert kept_key(path) == key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [other.name for other in path.parent.iterdir()] == ["signing.key"]


def test_a_new_name_is_put_on_the_disk_and_one_that_is_there_is_not_waited_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = FilesystemArtifactStore(tmp_path / "root", "http://localhost", "key")
    store.prove()
    synced: list[str] = []
    monkeypatch.setattr(filesystem_artifacts, "_sync_folder", lambda folder: synced.append(folder.relative_to(tmp_path).as_posix()))

    def folders_synced_by(key: str) -> list[str]:
        synced.clear()
        store.put(key, b"data", media_type="text/plain")
        return list(synced)

    assert folders_synced_by("t/edits/e_1/spec.json") == ["root/t/edits/e_1", "root/t/edits", "root/t", "root"]
    assert folders_synced_by("t/edits/e_1/image.png") == ["root/t/edits/e_1"]
    assert folders_synced_by("t/edits/e_2/spec.json") == ["root/t/edits/e_2", "root/t/edits"]
    monkeypatch.setattr(filesystem_artifacts, "MAX_SYNCED", 0)
    assert folders_synced_by("t/edits/e_3/spec.json")[:2] == ["root/t/edits/e_3", "root/t/edits"], (
        "the set of synced folders stays bounded"
    )
    assert folders_synced_by("t/edits/e_3/image.png")[0] == "root/t/edits/e_3"

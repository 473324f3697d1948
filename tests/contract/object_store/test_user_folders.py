"""The walk through all users' folders, on every artifact store."""

from __future__ import annotations

import pytest

from s2edit_jobs.records.record import Owner
from s2edit_jobs.stores import user_folders as walk
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.user_folders import UserFolder, user_folders

ANN, ANNE = Owner("app", "ann"), Owner("app", "ann-e")  # "ann-e/" sorts before "ann/"


def put(store: ArtifactStore, *keys: str) -> None:
    for key in keys:
        store.put(key, b"x", media_type="application/json")


def test_folders_come_whole_and_sorted(artifacts: ArtifactStore) -> None:
    put(
        artifacts,
        *(f"{owner.prefix}{name}" for owner in (ANN, ANNE) for name in ("edits/e_1/spec.json", "edits/e_1/image.png")),
        f"{ANN.prefix}concepts/c_1/inversions/i_1",
        f"{ANN.prefix}concepts/c_1/concept.safetensors",
        f"{ANN.prefix}requests/1.json",
        "keys/k_1/key.json",
        "t/notes.txt",
    )
    assert list(user_folders(artifacts, lambda _kind, _name: True)) == [
        UserFolder(ANNE, "edits", "e_1", ("image.png", "spec.json")),
        UserFolder(ANN, "concepts", "c_1", ("concept.safetensors", "inversions/i_1")),
        UserFolder(ANN, "edits", "e_1", ("image.png", "spec.json")),
        UserFolder(ANN, "requests", "1.json", ("",)),
    ]


def test_a_folder_knows_its_keys(artifacts: ArtifactStore) -> None:
    put(artifacts, f"{ANN.prefix}edits/e_1/spec.json", f"{ANN.prefix}requests/1.json")
    keys = [folder.key(name) for folder in user_folders(artifacts, lambda _kind, _name: True) for name in folder.names]
    assert keys == list(artifacts.list("t/"))


@pytest.mark.parametrize("seek_after", [1, 3, 1000])
def test_long_runs_of_what_is_not_wanted_are_passed_over(
    artifacts: ArtifactStore, seek_after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(walk, "SEEK_AFTER", seek_after)
    for owner in (ANNE, ANN):
        put(artifacts, *(f"{owner.prefix}edits/e_{number}/spec.json" for number in range(8)))
        put(artifacts, f"{owner.prefix}concepts/c_1/used-1", f"{owner.prefix}uploads/u_1/upload.json")
    found = [(folder.owner, folder.id) for folder in user_folders(artifacts, lambda kind, name: kind != "edits" or name < "e_2")]
    assert found == [(owner, name) for owner in (ANNE, ANN) for name in ("c_1", "e_0", "e_1", "u_1")]

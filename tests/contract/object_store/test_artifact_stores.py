"""The contract of every artifact store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing
from s2edit_jobs.stores.artifacts import ArtifactStore

KEY = "t/app/u/ann/edits/e_1/spec.json"


def put(store: ArtifactStore, key: str, data: bytes = b"x", *, only_if_absent: bool = False) -> None:
    store.put(key, data, media_type="application/json", only_if_absent=only_if_absent)


@pytest.mark.parametrize("data", [b"", b"{}", bytes(range(256)) * 5000])
def test_get_returns_the_stored_bytes(artifacts: ArtifactStore, data: bytes) -> None:
    put(artifacts, KEY, data)
    assert artifacts.get(KEY) == data
    assert artifacts.exists(KEY)
    assert artifacts.size_bytes(KEY) == len(data)


def test_a_missing_object_raises(artifacts: ArtifactStore) -> None:
    assert not artifacts.exists(KEY)
    for call in (artifacts.get, artifacts.size_bytes):
        with pytest.raises(ArtifactMissing):
            call(KEY)


def test_the_folder_of_an_object_is_not_an_object(artifacts: ArtifactStore) -> None:
    put(artifacts, KEY)
    assert not artifacts.exists("t/app/u/ann")
    for call in (artifacts.get, artifacts.size_bytes):
        with pytest.raises(ArtifactMissing):
            call("t/app/u/ann")


def test_an_object_can_be_replaced(artifacts: ArtifactStore) -> None:
    put(artifacts, KEY, b"old and longer")
    put(artifacts, KEY, b"new")
    assert artifacts.get(KEY) == b"new"


def test_put_if_absent_never_replaces_an_object(artifacts: ArtifactStore) -> None:
    put(artifacts, KEY, b"first", only_if_absent=True)
    with pytest.raises(ArtifactExists):
        put(artifacts, KEY, b"second", only_if_absent=True)
    assert artifacts.get(KEY) == b"first"


def test_exactly_one_of_several_concurrent_writers_wins(artifacts: ArtifactStore) -> None:
    def write(number: int) -> int | None:
        try:
            put(artifacts, KEY, str(number).encode(), only_if_absent=True)
        except ArtifactExists:
            return None
        return number

    with ThreadPoolExecutor(12) as pool:
        winners = [number for number in pool.map(write, range(12)) if number is not None]
    assert len(winners) == 1
    assert artifacts.get(KEY) == str(winners[0]).encode()


def test_keys_with_a_prefix_are_listed_in_order(artifacts: ArtifactStore) -> None:
    keys = ["t/a/u/ann/x", "t/a/u/ann-2/x", "t/a/u/ann/edits/e_1/spec.json", "t/b/u/ann/x", "pending/e_1"]
    for key in keys:
        put(artifacts, key)
    assert list(artifacts.list("t/a/")) == sorted(keys[:3])
    assert list(artifacts.list("t/a/u/ann/")) == ["t/a/u/ann/edits/e_1/spec.json", "t/a/u/ann/x"]
    assert list(artifacts.list("t/a/u/an")) == sorted(keys[:3])
    assert list(artifacts.list("")) == sorted(keys)
    assert list(artifacts.list("none/")) == []


@pytest.mark.parametrize(
    "after", ["", "t/a", "t/a/u/ann", "t/a/u/ann-2/x", "t/a/u/ann/edits/e_1/spec.json", "t/a/u/ann/x", "t/b", "u"]
)
def test_a_list_goes_on_after_a_key(artifacts: ArtifactStore, after: str) -> None:
    keys = ["t/a/u/ann-2/x", "t/a/u/ann.3/x", "t/a/u/ann/edits/e_1/spec.json", "t/a/u/ann/x", "t/a/u/ann/y", "t/b/u/ann/x", "t/c"]
    for key in keys:
        put(artifacts, key)
    assert list(artifacts.list("t/", after=after)) == [key for key in sorted(keys) if key > after]
    assert list(artifacts.list("t/a/u/ann", after=after)) == [key for key in sorted(keys[:5]) if key > after]


def test_the_bytes_under_a_prefix_are_added_up(artifacts: ArtifactStore) -> None:
    for number in range(12):
        put(artifacts, f"t/a/u/ann/{number:02}", b"x" * number)
    put(artifacts, "t/ab/u/ann/x", b"x" * 1000)
    assert artifacts.total_bytes("t/a/") == sum(range(12))
    assert artifacts.total_bytes("t/b/") == 0


def test_delete_prefix_deletes_nothing_else(artifacts: ArtifactStore) -> None:
    for key in ("t/a/u/ann/x", "t/a/u/ann/edits/e_1/spec.json", "t/a/u/ann2/x"):
        put(artifacts, key)
    assert artifacts.delete_prefix("t/a/u/ann/") == 2
    assert list(artifacts.list("t/")) == ["t/a/u/ann2/x"]
    assert artifacts.delete_prefix("t/a/u/ann/") == 0
    put(artifacts, "t/a/u/ann/x")
    assert artifacts.exists("t/a/u/ann/x")


def test_more_objects_than_one_page_are_listed_and_deleted(artifacts: ArtifactStore) -> None:
    for number in range(25):
        put(artifacts, f"t/a/{number:02}")
    assert len(list(artifacts.list("t/"))) == 25
    assert artifacts.delete_prefix("t/") == 25
    assert list(artifacts.list("t/")) == []


def test_an_empty_prefix_deletes_nothing(artifacts: ArtifactStore) -> None:
    put(artifacts, KEY)
    with pytest.raises(ValueError, match="everything"):
        artifacts.delete_prefix("")
    assert artifacts.exists(KEY)


ODD_KEYS = (
    "",
    "/etc/passwd",
    "../x",
    "t/../x",
    "t//x",
    "t/./x",
    "t/.hidden",
    "t/x/",
    "t/a b",
    "t/ä",
    "t/x\n",
    "t\\x",
    "t/x\0",
    "x" * 1001,
)


@pytest.mark.parametrize("key", ODD_KEYS)
def test_a_key_that_could_escape_its_folder_is_rejected(artifacts: ArtifactStore, key: str) -> None:
    for call in (
        lambda: put(artifacts, key),
        lambda: artifacts.get(key),
        lambda: artifacts.exists(key),
        lambda: artifacts.size_bytes(key),
        lambda: artifacts.presigned_get(key, expires_s=60),
        lambda: artifacts.presigned_put(key, expires_s=60, media_type="image/png", size_bytes=1),
        lambda: artifacts.presigned_post(key, expires_s=60, media_type="image/png", min_bytes=1, max_bytes=2),
    ):
        with pytest.raises(ValueError, match="not a valid object key"):
            call()


def test_a_presigned_url_names_the_object(artifacts: ArtifactStore) -> None:
    put(artifacts, KEY)
    assert KEY in artifacts.presigned_get(KEY, expires_s=60, filename="edit 1.json")


def test_folders_are_listed_once_and_in_order(artifacts: ArtifactStore) -> None:
    for key in ("t/a/u/b/edits/e_2/spec.json", "t/a/u/b/edits/e_1/image.png", "t/a/u/b/edits/e_1/spec.json", "t/a/u/b/edits/stray"):
        put(artifacts, key)
    put(artifacts, "t/a/u/b/edits-of-old/e_3/spec.json")
    assert list(artifacts.folders("t/a/u/b/edits/")) == ["e_1", "e_2"]
    artifacts.delete_prefix("t/a/u/b/edits/e_1/")
    assert list(artifacts.folders("t/a/u/b/edits/")) == ["e_2"]
    assert list(artifacts.folders("t/a/u/b/concepts/")) == []


def test_more_folders_than_one_page_are_listed(artifacts: ArtifactStore) -> None:
    names = [f"e_{i:03}" for i in range(25)]
    for name in names:
        put(artifacts, f"t/a/u/b/edits/{name}/spec.json")
        put(artifacts, f"t/a/u/b/edits/{name}/image.png")
    assert list(artifacts.folders("t/a/u/b/edits/")) == names


@pytest.mark.parametrize("prefix", ["", "t/a", "t//a/", "../", "t/../"])
def test_a_prefix_that_is_not_a_folder_is_rejected(artifacts: ArtifactStore, prefix: str) -> None:
    with pytest.raises(ValueError, match="not a"):
        list(artifacts.folders(prefix))

"""Check the rights that the service needs in its object store, with objects that are deleted afterwards."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import httpx

from cli.checks.findings import Finding
from s2edit_jobs.records.errors import ArtifactExists, JobsError
from s2edit_jobs.stores.artifacts import ArtifactStore
from s2edit_jobs.stores.object_store.write_probe import PROBES

BODY = b"a probe of s2edit doctor"
TEXT = "text/plain"
LINK_S = 60
TIMEOUT_S = 10.0


class Unfit(Exception):
    """The store answers, but not as the service needs it. The message says what it does instead."""


@dataclass(frozen=True, slots=True)
class Right:
    """One right: a check that uses it, and what to grant in a bucket, or to change in a folder, if the check fails."""

    name: str
    check: Callable[[Probe], None]
    grant: str
    in_folder: str = "free space on the disk, and let the user of the service write there"


class Probe:
    """The store under test, and the folder in it for the objects of this run."""

    def __init__(self, store: ArtifactStore) -> None:
        self.store = store
        self.folder = f"{PROBES}doctor-{secrets.token_hex(8)}/"

    def put(self, name: str, *, only_if_absent: bool = False) -> str:
        self.store.put(key := self.folder + name, BODY, media_type=TEXT, only_if_absent=only_if_absent)
        return key


def check_rights(store: ArtifactStore, *, links: bool = True) -> Iterator[Finding]:
    """Yield a finding for each right that the service uses.

    `links` includes those of apps, which use the signed URLs of a bucket. Without it, the store is a folder.
    """
    probe = Probe(store)
    try:
        for right in RIGHTS + (LINKS if links else ()):
            part = f"store: {right.name}"
            try:
                right.check(probe)
            except (JobsError, Unfit, httpx.HTTPError, LookupError) as error:
                yield Finding(part, "broken", f"{error or type(error).__name__}: {right.grant if links else right.in_folder}")
            else:
                yield Finding(part, "ok", "works")
    finally:
        with suppress(JobsError):
            store.delete_prefix(probe.folder)


def _write(probe: Probe) -> None:
    probe.put("written")


def _write_once(probe: Probe) -> None:
    key = probe.put("once", only_if_absent=True)
    with suppress(ArtifactExists):
        probe.put("once", only_if_absent=True)
        raise Unfit("a second write with If-None-Match replaced the first")
    if not probe.store.exists(key):
        raise Unfit("an object written with If-None-Match is missing")


def _read(probe: Probe) -> None:
    key = probe.put("read")
    if probe.store.get(key) != BODY or probe.store.size_bytes(key) != len(BODY):
        raise Unfit("an object has other bytes than were written")


def _missing(probe: Probe) -> None:
    if probe.store.exists(f"{probe.folder}missing"):
        raise Unfit("an object exists that was never written")


def _list(probe: Probe) -> None:
    keys = [probe.put(f"list/{name}") for name in "ab"]
    if (found := list(probe.store.list(f"{probe.folder}list/"))) != keys:
        raise Unfit(f"a list shows {len(found)} of 2 objects right after they were written")
    if list(probe.store.list(f"{probe.folder}list/", after=keys[0])) != keys[1:]:
        raise Unfit("a list ignores the key after which it should begin (StartAfter)")


def _folders(probe: Probe) -> None:
    for name in "ab":
        probe.put(f"folders/{name}/c")
    if list(probe.store.folders(f"{probe.folder}folders/")) != ["a", "b"]:
        raise Unfit("a list with a delimiter does not show the folders")


def _delete(probe: Probe) -> None:
    keys = [probe.put(f"delete/{name}") for name in "ab"]
    probe.store.delete(keys)
    if list(probe.store.list(f"{probe.folder}delete/")):
        raise Unfit("an object is still listed after it was deleted")


def _erase(probe: Probe) -> None:
    for _ in range(2):
        probe.put("erase/a")
    probe.store.delete_prefix(f"{probe.folder}erase/")


def _signed_get(probe: Probe) -> None:
    answer = httpx.get(probe.store.presigned_get(probe.put("get"), expires_s=LINK_S), timeout=TIMEOUT_S)
    if answer.content != BODY:
        raise Unfit(f"a signed link answers {answer.status_code}")


def _signed_put(probe: Probe) -> None:
    key = f"{probe.folder}put"
    put = probe.store.presigned_put(key, expires_s=LINK_S, media_type=TEXT, size_bytes=len(BODY))
    statuses = [httpx.put(put.url, content=BODY, headers=dict(put.headers), timeout=TIMEOUT_S).status_code for _ in range(2)]
    if statuses != [200, 412]:
        raise Unfit(f"a signed upload, sent twice, answers {statuses[0]} and {statuses[1]} instead of 200 and 412")


def _signed_post(probe: Probe) -> None:
    form = probe.store.presigned_post(f"{probe.folder}post", expires_s=LINK_S, media_type=TEXT, min_bytes=1, max_bytes=len(BODY))
    if form is None:  # S2EDIT_S3_POST_FORMS is off
        return
    for body, fits in ((BODY + b"!", False), (BODY, True)):
        answer = httpx.post(form.url, data=dict(form.fields), files={"file": ("probe", body)}, timeout=TIMEOUT_S)
        if answer.is_success != fits:
            raise Unfit(f"a signed form with a file of {'the right' if fits else 'a forbidden'} size answers {answer.status_code}")


PUBLIC = "apps must reach the bucket at S2EDIT_S3_PUBLIC_ENDPOINT_URL (or S2EDIT_S3_ENDPOINT_URL)"
RIGHTS = (
    Right("write", _write, "grant s3:PutObject"),
    Right(
        "write once",
        _write_once,
        "the store must support If-None-Match: * on PutObject",
        "the disk must have space and support hard links",
    ),
    Right("read", _read, "grant s3:GetObject"),
    Right("missing", _missing, "grant s3:ListBucket: without it, the store answers 403 for a missing object"),
    Right("list", _list, "grant s3:ListBucket"),
    Right("folders", _folders, "grant s3:ListBucket"),
    Right("delete", _delete, "grant s3:DeleteObject"),
    Right(
        "erase",
        _erase,
        "grant s3:GetBucketVersioning, and in a bucket with versions s3:ListBucketVersions and s3:DeleteObjectVersion; "
        "MFA delete and object lock make erasing impossible",
    ),
)
LINKS = (
    Right("signed get", _signed_get, PUBLIC),
    Right("signed put", _signed_put, f"{PUBLIC}, and it must enforce If-None-Match"),
    Right("signed post", _signed_post, f"{PUBLIC}, and it must enforce the policies of forms: else unset S2EDIT_S3_POST_FORMS"),
)

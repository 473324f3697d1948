"""`s2edit doctor` names every right that the service lacks in its bucket, and leaves nothing there."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from cli.checks.doctor import _external_store
from cli.checks.findings import Finding
from cli.checks.store_checks import LINKS, RIGHTS, check_rights
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store import s3_artifacts
from s2edit_jobs.stores.object_store.s3_artifacts import S3ArtifactStore, make_client

ALL = {f"store: {right.name}" for right in (*RIGHTS, *LINKS)}


@dataclass
class Bucket:
    settings: Settings
    client: Any

    def findings(self) -> dict[str, Finding]:
        return {finding.part: finding for finding in _external_store(self.settings)}

    def keys(self) -> list[str]:
        page = self.client.list_object_versions(Bucket=self.settings.s3_bucket)
        return [one["Key"] for one in [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]]


def bucket_of(server: Settings) -> Bucket:
    settings = server.model_copy(update={"s3_bucket": f"bucket-{time.time_ns()}"})
    client = make_client(settings, settings.s3_endpoint_url)
    client.create_bucket(Bucket=str(settings.s3_bucket))
    return Bucket(settings, client)


IGNORES_CONDITIONS = {"store: write once", "store: signed put"}
"""What Ceph 16 lacks in a bucket with versions: there it stores a second object as another version."""


@pytest.fixture(params=["moto", "radosgw"])
def server(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def granted(server: str, request: pytest.FixtureRequest) -> Bucket:
    settings: Settings = request.getfixturevalue(server)
    return bucket_of(settings.model_copy(update={"s3_post_forms": server == "radosgw"}))


@pytest.fixture
def bucket(moto: Settings) -> Bucket:
    return bucket_of(moto)


@pytest.mark.parametrize("versions", [False, True], ids=["without versions", "with versions"])
def test_where_all_rights_are_granted_nothing_is_broken_and_nothing_is_left(granted: Bucket, versions: bool, server: str) -> None:
    if versions:
        granted.client.put_bucket_versioning(Bucket=granted.settings.s3_bucket, VersioningConfiguration={"Status": "Enabled"})
    findings = granted.findings()
    lacking = IGNORES_CONDITIONS if versions and server == "radosgw" else set()
    assert {part for part, finding in findings.items() if finding.verdict != "ok"} == lacking, findings
    assert set(findings) == {"store", *ALL}
    assert granted.keys() == []


@pytest.fixture
def deny(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let the bucket deny an operation to clients that are made from now on."""
    make = s3_artifacts.make_client

    def deny(operation: str) -> None:
        def denied(**_: Any) -> tuple[Any, dict[str, Any]]:
            error = {"Code": "AccessDenied", "Message": "Access Denied"}
            return SimpleNamespace(status_code=403), {"Error": error, "ResponseMetadata": {"HTTPStatusCode": 403}}

        def denying(*values: Any) -> Any:
            client = make(*values)
            client.meta.events.register(f"before-call.s3.{operation}", denied)
            return client

        monkeypatch.setattr(s3_artifacts, "make_client", denying)

    return deny


@pytest.mark.parametrize(
    ("operation", "right", "grant"),
    [
        ("PutObject", "write", "s3:PutObject"),
        ("GetObject", "read", "s3:GetObject"),
        ("HeadObject", "missing", "s3:ListBucket"),
        ("ListObjectsV2", "list", "s3:ListBucket"),
        ("ListObjectsV2", "folders", "s3:ListBucket"),
        ("DeleteObjects", "delete", "s3:DeleteObject"),
        ("GetBucketVersioning", "erase", "s3:GetBucketVersioning"),
        ("ListObjectVersions", "erase", "s3:ListBucketVersions"),
    ],
)
def test_each_right_that_is_denied_is_named_with_what_to_grant(
    bucket: Bucket, deny: Callable[[str], None], operation: str, right: str, grant: str
) -> None:
    if operation == "ListObjectVersions":
        bucket.client.put_bucket_versioning(Bucket=bucket.settings.s3_bucket, VersioningConfiguration={"Status": "Enabled"})
    deny(operation)
    finding = bucket.findings()[f"store: {right}"]
    assert finding.verdict == "broken"
    assert "AccessDenied" in finding.text
    assert grant in finding.text


def test_a_store_that_ignores_conditions_is_named(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    make = s3_artifacts.make_client

    def ignoring(*values: Any) -> Any:
        client = make(*values)
        client.meta.events.register("before-sign.s3.PutObject", lambda request, **_: request.headers.__delitem__("If-None-Match"))
        return client

    monkeypatch.setattr(s3_artifacts, "make_client", ignoring)
    finding = bucket.findings()["store: write once"]
    assert (finding.verdict, "replaced the first" in finding.text) == ("broken", True)


def test_an_address_that_apps_cannot_reach_is_named(bucket: Bucket) -> None:
    bucket.settings = bucket.settings.model_copy(update={"s3_public_endpoint_url": "http://127.0.0.1:9"})
    findings = bucket.findings()
    broken = {part for part, finding in findings.items() if finding.verdict == "broken"}
    assert broken == {"store: signed get", "store: signed put"}
    assert "S2EDIT_S3_PUBLIC_ENDPOINT_URL" in findings["store: signed get"].text


def test_a_bucket_that_does_not_exist_is_broken(bucket: Bucket) -> None:
    bucket.settings = bucket.settings.model_copy(update={"s3_bucket": "no-such-bucket"})
    findings = bucket.findings()
    assert {finding.verdict for part, finding in findings.items() if part not in ("store: missing", "store: signed post")} == {
        "broken"
    }


def test_a_locked_bucket_is_one_in_which_nothing_can_be_erased(radosgw: Settings) -> None:
    client = make_client(radosgw, radosgw.s3_endpoint_url)
    name = f"bucket-{time.time_ns()}"
    client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=True)
    client.put_object_lock_configuration(
        Bucket=name,
        ObjectLockConfiguration={
            "ObjectLockEnabled": "Enabled",
            "Rule": {"DefaultRetention": {"Mode": "COMPLIANCE", "Days": 1}},
        },
    )
    findings = {finding.part: finding for finding in check_rights(S3ArtifactStore(client, name).trusting())}
    assert findings["store: erase"].verdict == "broken", findings
    assert "object lock" in findings["store: erase"].text

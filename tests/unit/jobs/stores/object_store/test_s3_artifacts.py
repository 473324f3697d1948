"""The conversion of boto3's errors, and the content of presigned URLs."""

from __future__ import annotations

import hashlib
import socket
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.exceptions import NoCredentialsError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from pydantic import SecretStr
from urllib3 import HTTPHeaderDict

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, ArtifactsUnavailable, DeletionRefused, RecordDamaged
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.object_store.presence import MARKER
from s2edit_jobs.stores.object_store.s3_artifacts import MAX_RACES, WRITE, S3ArtifactStore, make_client

KEY = "t/app/u/ann/edits/e_1/outcome.json"
OTHERS = {"ContentLength": 1, "Metadata": {WRITE: "another write"}}
SETTINGS = Settings(
    s3_endpoint_url="http://store.internal:9000",
    s3_public_endpoint_url="https://store.example",
    s3_bucket="s2edit",
    s3_access_key_id="id",
    s3_secret_access_key=SecretStr("very secret"),
)


@contextmanager
def stubbed() -> Iterator[tuple[S3ArtifactStore, Stubber]]:
    client = make_client(SETTINGS, SETTINGS.s3_endpoint_url)
    with Stubber(client) as stubber:
        store = S3ArtifactStore(client, "s2edit")
        marker = StreamingBody(BytesIO(b'{"store": "1"}'), 14)
        stubber.add_response("get_object", {"Body": marker}, {"Bucket": "s2edit", "Key": MARKER})
        store.prove()
        yield store, stubber
        stubber.assert_no_pending_responses()


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("NoSuchKey", 404, ArtifactMissing),
        ("SlowDown", 503, ArtifactsUnavailable),
        ("InternalError", 500, ArtifactsUnavailable),
        ("ConditionalRequestConflict", 409, ArtifactsUnavailable),
        *(
            (code, status, ArtifactsUnavailable)
            for code, status in {
                "NoSuchBucket": 404,
                "AccessDenied": 403,
                "InvalidAccessKeyId": 403,
                "SignatureDoesNotMatch": 403,
                "RequestTimeTooSkewed": 403,
                "ExpiredToken": 400,
                "InvalidToken": 400,
                "PermanentRedirect": 301,
                "AuthorizationHeaderMalformed": 400,
                "AllAccessDisabled": 403,
                "NotImplemented": 501,
                "QuotaExceeded": 403,
                "TooManyRequests": 429,
            }.items()
        ),
        ("InvalidObjectState", 403, RecordDamaged),
    ],
)
def test_only_a_missing_key_is_a_missing_object(code: str, status: int, error: type[Exception]) -> None:
    with stubbed() as (store, stubber):
        stubber.add_client_error("get_object", service_error_code=code, http_status_code=status)
        with pytest.raises(error):
            store.get(KEY)


def test_a_write_once_put_asks_the_store_to_decide() -> None:
    with stubbed() as (store, stubber):
        expected = {"Bucket": "s2edit", "Key": KEY, "Body": b"x", "ContentType": "application/json", "IfNoneMatch": "*"}
        expected["Metadata"] = {WRITE: ANY}
        stubber.add_response("put_object", {}, expected)
        stubber.add_client_error(
            "put_object", service_error_code="PreconditionFailed", http_status_code=412, expected_params=expected
        )
        stubber.add_response("head_object", OTHERS)
        store.put(KEY, b"x", media_type="application/json", only_if_absent=True)
        with pytest.raises(ArtifactExists):
            store.put(KEY, b"x", media_type="application/json", only_if_absent=True)


def test_a_race_that_is_not_decided_yet_is_asked_again() -> None:
    with stubbed() as (store, stubber):
        for _ in range(MAX_RACES - 1):
            stubber.add_client_error("put_object", service_error_code="ConditionalRequestConflict", http_status_code=409)
        stubber.add_client_error("put_object", service_error_code="PreconditionFailed", http_status_code=412)
        stubber.add_response("head_object", OTHERS)
        with pytest.raises(ArtifactExists):
            store.put(KEY, b"x", media_type="application/json", only_if_absent=True)


def test_objects_that_could_not_be_deleted_are_an_error() -> None:
    with stubbed() as (store, stubber):
        stubber.add_response("list_objects_v2", {"Contents": [{"Key": KEY}], "IsTruncated": False}, None)
        errors = {"Errors": [{"Key": KEY, "Code": "InternalError"}]}
        stubber.add_response("delete_objects", errors, {"Bucket": "s2edit", "Delete": ANY})
        with pytest.raises(ArtifactsUnavailable, match="1 of 1"):
            store.delete_prefix("t/app/u/ann/")


ERASED = "t/app/u/ann/"
LOCKED = {"Errors": [{"Key": KEY, "Code": "AccessDenied", "VersionId": "1"}]}


def deletes(stubber: Stubber) -> None:
    """Queue the answers to the first half of a deletion, which succeeds."""
    stubber.add_response("list_objects_v2", {"Contents": [{"Key": KEY}], "IsTruncated": False}, None)
    stubber.add_response("delete_objects", {}, {"Bucket": "s2edit", "Delete": ANY})


@pytest.mark.parametrize(
    ("code", "status"), [("NotImplemented", 501), ("MethodNotAllowed", 405), ("VersioningNotConfigured", 409), ("Unsupported", 501)]
)
def test_a_server_that_knows_no_versioning_keeps_no_versions(code: str, status: int) -> None:
    with stubbed() as (store, stubber):
        deletes(stubber)
        stubber.add_client_error("get_bucket_versioning", service_error_code=code, http_status_code=status)
        assert store.delete_prefix(ERASED) == 1


@pytest.mark.parametrize(
    ("code", "status", "error"),
    [
        ("AccessDenied", 403, DeletionRefused),
        ("AllAccessDisabled", 403, DeletionRefused),
        ("SignatureDoesNotMatch", 403, ArtifactsUnavailable),
        ("NoSuchBucket", 404, ArtifactsUnavailable),
        ("InternalError", 500, ArtifactsUnavailable),
    ],
)
@pytest.mark.parametrize("denied", ["get_bucket_versioning", "list_object_versions", "delete_objects"])
def test_nothing_counts_as_deleted_where_old_versions_may_be_left(
    denied: str, code: str, status: int, error: type[Exception]
) -> None:
    with stubbed() as (store, stubber):
        deletes(stubber)
        if denied != "get_bucket_versioning":
            stubber.add_response("get_bucket_versioning", {"Status": "Suspended"})
        if denied == "delete_objects":
            stubber.add_response("list_object_versions", {"Versions": [{"Key": KEY, "VersionId": "1"}]})
        stubber.add_client_error(denied, service_error_code=code, http_status_code=status)
        with pytest.raises(error, match=code):
            store.delete_prefix(ERASED)


def test_a_version_that_is_locked_is_not_reported_as_deleted() -> None:
    """MFA delete, a legal hold, or a retention period."""
    with stubbed() as (store, stubber):
        deletes(stubber)
        stubber.add_response("get_bucket_versioning", {"Status": "Enabled", "MFADelete": "Enabled"})
        stubber.add_response("list_object_versions", {"Versions": [{"Key": KEY, "VersionId": "1"}]})
        stubber.add_response("delete_objects", LOCKED)
        with pytest.raises(DeletionRefused, match="1 of 1"):
            store.delete_prefix(ERASED)


def test_a_version_that_stays_after_its_deletion_ends_the_loop() -> None:
    with stubbed() as (store, stubber):
        deletes(stubber)
        stubber.add_response("get_bucket_versioning", {"Status": "Enabled"})
        for answer in ({}, None):
            stubber.add_response("list_object_versions", {"Versions": [{"Key": KEY, "VersionId": "1"}]})
            if answer is not None:
                stubber.add_response("delete_objects", answer)
        with pytest.raises(DeletionRefused, match="still lists"):
            store.delete_prefix(ERASED)


def test_a_client_without_credentials_is_unavailable_and_no_fault_of_ours() -> None:
    with stubbed() as (store, _), pytest.MonkeyPatch.context() as patch:

        def fail(**_: object) -> None:
            raise NoCredentialsError

        patch.setattr(store._client, "head_object", fail)
        with pytest.raises(ArtifactsUnavailable, match="NoCredentialsError"):
            store.exists(KEY)


def test_presigned_urls_name_the_public_address_and_are_signed_with_sigv4() -> None:
    url = urlsplit(S3ArtifactStore.from_settings(SETTINGS).presigned_get(KEY, expires_s=900, filename='Grü"ße.png'))
    assert (url.scheme, url.netloc, url.path) == ("https", "store.example", f"/s2edit/{KEY}")
    query = parse_qs(url.query)
    assert query["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert query["X-Amz-Expires"] == ["900"]
    assert query["response-content-disposition"] == ["attachment; filename*=UTF-8''Gr%C3%BC%22%C3%9Fe.png"]
    assert "secret" not in url.query


def test_a_presigned_url_without_a_file_name_asks_for_no_attachment() -> None:
    assert "disposition" not in S3ArtifactStore.from_settings(SETTINGS).presigned_get(KEY, expires_s=900)


def test_a_store_that_refuses_connections_is_unavailable_soon() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{unused.getsockname()[1]}"  # a bound port without a listener
        store = S3ArtifactStore.from_settings(SETTINGS.model_copy(update={"s3_endpoint_url": endpoint}))
        began = time.monotonic()
        with pytest.raises(ArtifactsUnavailable):
            store.get(KEY)
        assert time.monotonic() - began < 10


def test_a_server_that_wants_the_md5_of_a_deletion_gets_it() -> None:
    """As MinIO before 2025 and others. The header is signed, as servers demand of headers that they check."""
    sent: list[AWSPreparedRequest] = []

    def refusing(request: AWSPreparedRequest, **_: object) -> AWSResponse:
        sent.append(request)
        known = "Content-MD5" in request.headers
        text = b"<DeleteResult/>" if known else b"<Error><Code>MissingContentMD5</Code></Error>"
        return AWSResponse(request.url, 200 if known else 400, HTTPHeaderDict(), Raw(text))

    client = make_client(SETTINGS, SETTINGS.s3_endpoint_url)
    client.meta.events.register("before-send.s3.DeleteObjects", refusing)
    S3ArtifactStore(client, "s2edit").trusting().delete([KEY])
    (request,) = sent
    assert b64decode(request.headers["Content-MD5"]) == hashlib.md5(request.body, usedforsecurity=False).digest()
    assert b"content-md5" in bytes(request.headers["Authorization"])


class Raw(BytesIO):
    """The body of an answer, as urllib3 gives it to boto3."""

    def stream(self) -> Iterator[bytes]:
        yield self.read()

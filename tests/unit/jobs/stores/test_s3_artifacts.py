"""The conversion of boto3's errors, and the content of presigned URLs."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from botocore.response import StreamingBody
from botocore.stub import ANY, Stubber
from pydantic import SecretStr

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, ArtifactsUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.presence import MARKER
from s2edit_jobs.stores.s3_artifacts import MAX_RACES, S3ArtifactStore, make_client

KEY = "t/app/u/ann/edits/e_1/outcome.json"
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
        ("NoSuchBucket", 404, ClientError),
        ("AccessDenied", 403, ClientError),
        ("SignatureDoesNotMatch", 403, ClientError),
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
        stubber.add_response("put_object", {}, expected)
        stubber.add_client_error(
            "put_object", service_error_code="PreconditionFailed", http_status_code=412, expected_params=expected
        )
        store.put(KEY, b"x", media_type="application/json", only_if_absent=True)
        with pytest.raises(ArtifactExists):
            store.put(KEY, b"x", media_type="application/json", only_if_absent=True)


def test_a_race_that_is_not_decided_yet_is_asked_again() -> None:
    with stubbed() as (store, stubber):
        for _ in range(MAX_RACES - 1):
            stubber.add_client_error("put_object", service_error_code="ConditionalRequestConflict", http_status_code=409)
        stubber.add_client_error("put_object", service_error_code="PreconditionFailed", http_status_code=412)
        with pytest.raises(ArtifactExists):
            store.put(KEY, b"x", media_type="application/json", only_if_absent=True)


def test_objects_that_could_not_be_deleted_are_an_error() -> None:
    with stubbed() as (store, stubber):
        stubber.add_response("list_objects_v2", {"Contents": [{"Key": KEY}], "IsTruncated": False}, None)
        errors = {"Errors": [{"Key": KEY, "Code": "InternalError"}]}
        stubber.add_response("delete_objects", errors, {"Bucket": "s2edit", "Delete": ANY})
        with pytest.raises(ArtifactsUnavailable, match="1 of 1"):
            store.delete_prefix("t/app/u/ann/")


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

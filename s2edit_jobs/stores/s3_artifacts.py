"""The object store on Amazon S3 or a compatible server, through boto3.

It uses only features that such servers share: SigV4, path-style addresses, PUT with `If-None-Match: *`, ListObjectsV2,
DeleteObjects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self
from urllib.parse import quote

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError
from botocore.exceptions import ConnectionError as NoConnection

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, ArtifactsUnavailable
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import SignedForm, SignedPut, check_folder, check_key, put_headers

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef

MISSING = frozenset({"NoSuchKey", "NotFound", "404"})
TAKEN = frozenset({"PreconditionFailed", "412"})
RACING = frozenset({"ConditionalRequestConflict"})
"""Amazon's answer while another conditional write of the same key is in progress. A repeated request shows which write won."""
DOWN = frozenset({"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "500", "502", "503", "504"})
MAX_RACES = 5
MAX_PAGE = 1000
"""Most keys in one answer to a list request and in one delete request."""


class S3ArtifactStore:
    """The objects in one existing bucket. `presigner` signs URLs for the address at which apps reach the same store.

    Set `post_forms` if the store enforces the policy of presigned POST forms, as Amazon S3 and Ceph do.
    """

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        presigner: S3Client | None = None,
        page_size: int = MAX_PAGE,
        post_forms: bool = False,
    ) -> None:
        self._client = client
        self._post_forms = post_forms
        self._page_size = page_size
        self._presigner = presigner or client
        self._bucket = bucket

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        """Return the store for the bucket in the settings."""
        assert settings.s3_bucket is not None
        public = settings.s3_public_endpoint_url
        return cls(
            make_client(settings, settings.s3_endpoint_url),
            settings.s3_bucket,
            presigner=make_client(settings, public) if public else None,
            post_forms=settings.s3_post_forms,
        )

    def put(self, key: str, data: bytes, *, media_type: str, only_if_absent: bool = False) -> None:
        for race in range(MAX_RACES):
            try:
                return self._put(check_key(key), data, media_type, only_if_absent)
            except ClientError as error:
                if _code(error) not in RACING or race == MAX_RACES - 1:
                    raise
        return None

    def get(self, key: str) -> bytes:
        with _translated(check_key(key)):
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def exists(self, key: str) -> bool:
        try:
            with _translated(check_key(key)):
                self._client.head_object(Bucket=self._bucket, Key=key)
        except ArtifactMissing:
            return False
        return True

    def size_bytes(self, key: str) -> int:
        with _translated(check_key(key)):
            return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]

    def list(self, prefix: str, *, after: str | None = None, expected: int | None = None) -> Iterator[str]:
        with _translated(prefix):
            for keys in self._pages(prefix, after or "", min(expected or MAX_PAGE, self._page_size)):
                yield from keys

    def folders(self, prefix: str) -> Iterator[str]:
        paginator = self._client.get_paginator("list_objects_v2")
        with _translated(check_folder(prefix)):
            for page in paginator.paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": self._page_size}
            ):
                yield from (item["Prefix"].removeprefix(prefix).rstrip("/") for item in page.get("CommonPrefixes", ()))

    def delete_prefix(self, prefix: str) -> int:
        if not prefix:
            raise ValueError("an empty prefix would delete everything")
        deleted = 0
        with _translated(prefix):
            for keys in self._pages(prefix):
                self._delete(keys)
                deleted += len(keys)
            self._delete_versions(prefix)
        return deleted

    def delete(self, keys: Iterable[str]) -> None:
        chosen = [check_key(key) for key in keys]
        with _translated(""):
            for start in range(0, len(chosen), MAX_PAGE):
                self._delete(chosen[start : start + MAX_PAGE])

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        attachment = {"ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}"} if filename else {}
        return self._presigner.generate_presigned_url(
            "get_object", Params={"Bucket": self._bucket, "Key": check_key(key), **attachment}, ExpiresIn=expires_s
        )

    def presigned_put(self, key: str, *, expires_s: int, media_type: str, size_bytes: int) -> SignedPut:
        bound = {"ContentType": media_type, "ContentLength": size_bytes, "IfNoneMatch": "*"}  # these become signed headers
        url = self._presigner.generate_presigned_url(
            "put_object", Params={"Bucket": self._bucket, "Key": check_key(key), **bound}, ExpiresIn=expires_s
        )
        return SignedPut(url, put_headers(media_type, size_bytes))

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> SignedForm | None:
        check_key(key)
        if not self._post_forms:
            return None
        form = self._presigner.generate_presigned_post(
            self._bucket,
            key,
            Fields={"Content-Type": media_type},
            Conditions=[{"Content-Type": media_type}, ["content-length-range", min_bytes, max_bytes]],
            ExpiresIn=expires_s,
        )
        return SignedForm(form["url"], form["fields"])

    def _pages(self, prefix: str, after: str = "", page_size: int | None = None) -> Iterator[Sequence[str]]:
        paginator = self._client.get_paginator("list_objects_v2")
        for page in paginator.paginate(
            Bucket=self._bucket, Prefix=prefix, StartAfter=after, PaginationConfig={"PageSize": page_size or self._page_size}
        ):
            if keys := [item["Key"] for item in page.get("Contents", ())]:
                yield keys

    def _delete(self, keys: Sequence[str]) -> None:
        self._delete_objects([{"Key": key} for key in keys])

    def _delete_objects(self, objects: Sequence[ObjectIdentifierTypeDef]) -> None:
        answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            raise ArtifactsUnavailable(f"{len(errors)} of {len(objects)} objects could not be deleted: {errors[0].get('Code')}")

    def _delete_versions(self, prefix: str) -> None:
        """Delete all versions and delete markers. In a bucket with versioning, a plain delete only hides an object.

        Servers without versioning report none, or answer the request with an error.
        """
        try:
            if "Status" not in self._client.get_bucket_versioning(Bucket=self._bucket):
                return
        except ClientError as error:
            if _code(error) in DOWN:
                raise
            return
        while True:  # read the first page each time: the marker of a next page would be deleted with its page
            page = self._client.list_object_versions(Bucket=self._bucket, Prefix=prefix, MaxKeys=self._page_size)
            versions = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            if not versions:
                return
            self._delete_objects([{"Key": one["Key"], "VersionId": one["VersionId"]} for one in versions])

    def _put(self, key: str, data: bytes, media_type: str, only_if_absent: bool) -> None:
        with _translated(key):
            if only_if_absent:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=media_type, IfNoneMatch="*")
            else:
                self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=media_type)


def make_client(settings: Settings, endpoint_url: str | None) -> S3Client:
    """Return a boto3 client that works with every S3-compatible server. Clients are thread-safe."""
    secret = settings.s3_secret_access_key
    return boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        region_name=settings.s3_region,
        aws_access_key_id=settings.s3_access_key_id,
        aws_secret_access_key=secret.get_secret_value() if secret else None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            connect_timeout=2,
            read_timeout=15,
            retries={"mode": "standard", "total_max_attempts": 3},
            max_pool_connections=32,
            # Some servers do not support boto3's optional checksums.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        ),
    )


def _code(error: ClientError) -> str:
    return error.response.get("Error", {}).get("Code", "")


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Convert boto3's errors into those of the port. Configuration errors (no such bucket, no permission) pass unchanged."""
    try:
        yield
    except ClientError as error:
        code = _code(error)
        if code in MISSING:
            raise ArtifactMissing(key) from None
        if code in TAKEN:
            raise ArtifactExists(key) from None
        if code in DOWN:
            raise ArtifactsUnavailable(f"the object store does not answer: {code}") from error
        raise
    except (NoConnection, HTTPClientError, IncompleteReadError) as error:
        raise ArtifactsUnavailable(f"the object store does not answer: {type(error).__name__}") from error

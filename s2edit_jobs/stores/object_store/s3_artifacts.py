"""The object store on Amazon S3 or a compatible server, through boto3.

It uses only features that such servers share: SigV4, path-style addresses, PUT with `If-None-Match: *`, ListObjectsV2,
DeleteObjects.
"""

from __future__ import annotations

import hashlib
import secrets
from base64 import b64encode
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import quote

import boto3
from botocore.awsrequest import AWSRequest
from botocore.config import Config
from botocore.exceptions import ClientError

from s2edit_jobs.records.errors import ArtifactExists, ArtifactMissing, ArtifactsUnavailable, DeletionRefused
from s2edit_jobs.settings import Settings
from s2edit_jobs.stores.artifacts import TAG, SignedForm, SignedPut, check_key, put_headers, tag_of
from s2edit_jobs.stores.object_store.presence import ProvenStore, StoreMemory
from s2edit_jobs.stores.object_store.s3_errors import DENIED, RACING, code_of, deleting, is_unversioned, translated

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectIdentifierTypeDef, ObjectTypeDef

WRITE = "s2edit-write"
"""Name of the metadata that tells one write-once request from another. Its value is random."""
MAX_RACES = 5
MAX_PAGE = 1000
"""Most keys in one answer to a list request and in one delete request."""


class S3ArtifactStore(ProvenStore):
    """The objects in one existing bucket. `presigner` signs URLs for the address at which apps reach the same store.

    Set `post_forms` if the store enforces the policy of presigned POST forms, as Amazon S3 and Ceph do. With `tags`, objects that a
    lifecycle rule may remove get the tag `TAG`.
    """

    proof_s = 1.0
    """A bucket is not unmounted: it is named wrongly from a process's start on, or somebody empties it. So a proof may stand for a
    second, instead of doubling the requests of every miss."""

    def __init__(
        self,
        client: S3Client,
        bucket: str,
        *,
        presigner: S3Client | None = None,
        page_size: int = MAX_PAGE,
        post_forms: bool = False,
        tags: bool = False,
        memory: StoreMemory | None = None,
    ) -> None:
        super().__init__(memory)
        self._client = client
        self._post_forms = post_forms
        self._tags = tags
        self._page_size = page_size
        self._presigner = presigner or client
        self._bucket = bucket

    @classmethod
    def from_settings(cls, settings: Settings, memory: StoreMemory | None = None) -> Self:
        """Return the store for the bucket in the settings."""
        assert settings.s3_bucket is not None
        public = settings.s3_public_endpoint_url
        return cls(
            make_client(settings, settings.s3_endpoint_url),
            settings.s3_bucket,
            presigner=make_client(settings, public) if public else None,
            post_forms=settings.s3_post_forms,
            tags=settings.s3_object_tags,
            memory=memory,
        )

    def _create(self) -> None:
        """Do nothing: the bucket is the operator's to make."""

    def _put(self, key: str, data: bytes, media_type: str, only_if_absent: bool) -> None:
        if only_if_absent:
            self._put_new(key, data, media_type)
            return
        with translated(key):
            self._client.put_object(Bucket=self._bucket, Key=key, Body=data, ContentType=media_type, **self._tagging(key))

    def _tagging(self, key: str) -> dict[str, Any]:
        """Return the argument that tags an object, so that lifecycle rules of the bucket can select it."""
        tag = tag_of(key) if self._tags else None
        return {} if tag is None else {"Tagging": f"{TAG}={tag}"}

    def _put_new(self, key: str, data: bytes, media_type: str) -> None:
        """Write an object that must not exist.

        A server may write the object and still answer 500, or its answer may be lost. boto3 or a proxy then repeats the request,
        which fails because the object exists. So every call has a number of its own, by which it recognizes its object.
        """
        number = secrets.token_hex(16)
        try:
            with translated(key):
                self._put_unless_racing(key, data, media_type, number)
        except (ArtifactExists, ArtifactsUnavailable) as error:
            writers = self._writers_of(key)
            if number in writers:
                return
            if writers:
                raise ArtifactExists(key) from error
            raise

    def _put_unless_racing(self, key: str, data: bytes, media_type: str, number: str) -> None:
        for race in range(MAX_RACES):
            try:
                self._client.put_object(
                    Bucket=self._bucket,
                    Key=key,
                    Body=data,
                    ContentType=media_type,
                    IfNoneMatch="*",
                    Metadata={WRITE: number},
                    **self._tagging(key),
                )
            except ClientError as error:
                if code_of(error) not in RACING or race == MAX_RACES - 1:
                    raise
            else:
                return

    def _writers_of(self, key: str) -> Collection[str]:
        """Return the number of the request that wrote the object, among other metadata, or nothing if there is no object."""
        try:
            with translated(key):
                return ("an object", *self._client.head_object(Bucket=self._bucket, Key=key)["Metadata"].values())
        except ArtifactMissing:
            return ()

    def _get(self, key: str) -> bytes:
        with translated(key):
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read()

    def _size_bytes(self, key: str) -> int:
        with translated(key):
            return self._client.head_object(Bucket=self._bucket, Key=key)["ContentLength"]

    def _total_bytes(self, prefix: str) -> int:
        with translated(prefix):
            return sum(item["Size"] for page in self._listing(prefix) for item in page)

    def _keys(self, prefix: str, after: str, expected: int | None = None) -> Iterator[str]:
        with translated(prefix):
            for keys in self._pages(prefix, after, min(expected or MAX_PAGE, self._page_size)):
                yield from keys

    def _folders(self, prefix: str) -> Iterator[str]:
        paginator = self._client.get_paginator("list_objects_v2")
        with translated(prefix):
            for page in paginator.paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": self._page_size}
            ):
                yield from (item["Prefix"].removeprefix(prefix).rstrip("/") for item in page.get("CommonPrefixes", ()))

    def _delete_prefix(self, prefix: str) -> int:
        deleted = 0
        with translated(prefix), deleting():
            for keys in self._pages(prefix):
                self._delete_keys(keys)
                deleted += len(keys)
            self._delete_versions(prefix)
        return deleted

    def _delete_older_versions(self, prefix: str, *, exactly: bool) -> None:
        with translated(prefix), deleting():
            self._delete_versions(prefix, lambda one: not one["IsLatest"] and (one["Key"] == prefix or not exactly))

    def _delete(self, keys: Iterable[str]) -> None:
        chosen = list(keys)
        with translated(""), deleting():
            for start in range(0, len(chosen), MAX_PAGE):
                self._delete_keys(chosen[start : start + MAX_PAGE])

    def presigned_get(self, key: str, *, expires_s: int, filename: str | None = None) -> str:
        attachment = {"ResponseContentDisposition": f"attachment; filename*=UTF-8''{quote(filename, safe='')}"} if filename else {}
        return self._presigned("get_object", {"Key": check_key(key), **attachment}, expires_s)

    def presigned_put(self, key: str, *, expires_s: int, media_type: str, size_bytes: int) -> SignedPut:
        bound = {"ContentType": media_type, "ContentLength": size_bytes, "IfNoneMatch": "*"}  # these become signed headers
        url = self._presigned("put_object", {"Key": check_key(key), **bound}, expires_s)
        return SignedPut(url, put_headers(media_type, size_bytes))

    def presigned_post(self, key: str, *, expires_s: int, media_type: str, min_bytes: int, max_bytes: int) -> SignedForm | None:
        check_key(key)
        if not self._post_forms:
            return None
        with translated(key):
            form = self._presigner.generate_presigned_post(
                self._bucket,
                key,
                Fields={"Content-Type": media_type},
                Conditions=[{"Content-Type": media_type}, ["content-length-range", min_bytes, max_bytes]],
                ExpiresIn=expires_s,
            )
        return SignedForm(form["url"], form["fields"])

    def _presigned(self, operation: str, values: Mapping[str, object], expires_s: int) -> str:
        with translated(""):  # signing needs credentials, which may have to be fetched
            return self._presigner.generate_presigned_url(operation, Params={"Bucket": self._bucket, **values}, ExpiresIn=expires_s)

    def _pages(self, prefix: str, after: str = "", page_size: int | None = None) -> Iterator[Sequence[str]]:
        for page in self._listing(prefix, after, page_size):
            if keys := [item["Key"] for item in page]:
                yield keys

    def _listing(self, prefix: str, after: str = "", page_size: int | None = None) -> Iterator[Sequence[ObjectTypeDef]]:
        paginator = self._client.get_paginator("list_objects_v2")
        for page in paginator.paginate(
            Bucket=self._bucket, Prefix=prefix, StartAfter=after, PaginationConfig={"PageSize": page_size or self._page_size}
        ):
            yield page.get("Contents", [])

    def _delete_keys(self, keys: Sequence[str]) -> None:
        self._delete_objects([{"Key": key} for key in keys])

    def _delete_objects(self, objects: Sequence[ObjectIdentifierTypeDef]) -> None:
        answer = self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": objects, "Quiet": True})
        if errors := answer.get("Errors"):
            codes = {str(error.get("Code")) for error in errors}
            kind = DeletionRefused if codes & DENIED else ArtifactsUnavailable
            raise kind(f"{len(errors)} of {len(objects)} objects could not be deleted: {', '.join(sorted(codes))}")

    def _delete_versions(self, prefix: str, chosen: Callable[[Mapping[str, Any]], bool] = lambda _: True) -> None:
        """Delete the chosen versions and delete markers. In a bucket with versioning, a plain delete only hides an object.

        Those below a prefix that are not chosen must fit on one page.
        """
        try:
            if "Status" not in self._client.get_bucket_versioning(Bucket=self._bucket):
                return
        except ClientError as error:
            if is_unversioned(error):
                return
            raise
        before: list[ObjectIdentifierTypeDef] = []
        while True:  # read the first page each time: the marker of a next page would be deleted with its page
            page = self._client.list_object_versions(Bucket=self._bucket, Prefix=prefix, MaxKeys=self._page_size)
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            versions: list[ObjectIdentifierTypeDef] = [
                {"Key": one["Key"], "VersionId": one["VersionId"]} for one in found if chosen(one)
            ]
            if not versions:
                return
            if versions == before:
                raise DeletionRefused(
                    f"the object store answers that it has deleted {len(versions)} versions, but still lists them"
                )
            self._delete_objects(versions)
            before = versions


def _add_md5(request: AWSRequest, **_: object) -> None:
    """Send the MD5 digest of the list of keys: many servers refuse a DeleteObjects without it, and boto3 sends only a CRC32."""
    digest = hashlib.md5(cast(bytes, request.body), usedforsecurity=False).digest()
    request.headers["Content-MD5"] = b64encode(digest).decode("ascii")


def make_client(settings: Settings, endpoint_url: str | None) -> S3Client:
    """Return a boto3 client that works with every S3-compatible server. Clients are thread-safe."""
    secret = settings.s3_secret_access_key
    client: S3Client = boto3.client(
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
    client.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)
    return client

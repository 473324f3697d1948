"""The settings that name the stores outside this machine: Redis, and the bucket of the objects."""

from __future__ import annotations

from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings


class StoreSettings(BaseSettings):
    """The part of `Settings` with the addresses and credentials of the stores."""

    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="URL of the Redis for queue and job states: redis://, rediss:// or unix://. If empty, `s2edit up` starts its "
        "own",
    )
    s3_endpoint_url: str | None = Field(
        default=None,
        description="URL of the S3-compatible store for the API and the workers. If empty and a bucket is set, Amazon S3 is used",
    )
    s3_public_endpoint_url: str | None = Field(
        default=None,
        description="URL of the same store for apps, used in presigned URLs only. If empty, S2EDIT_S3_ENDPOINT_URL is used",
    )
    s3_bucket: str | None = Field(
        default=None, description="Bucket for all stored objects. If empty, objects are files in the data folder"
    )
    s3_access_key_id: str | None = Field(
        default=None, description="Access key id for the bucket. If empty, boto3 searches for credentials (instance role, profile)"
    )
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret access key that belongs to the access key id")
    s3_region: str = Field(default="us-east-1", description="Region used to sign requests to the bucket")
    s3_post_forms: bool = Field(
        default=False,
        description="Also offer presigned POST forms for uploads. Set it only if the store enforces the policy of such forms, as "
        "Amazon S3 and Ceph do",
    )
    s3_object_tags: bool = Field(
        default=False,
        description="Tag inversions, checkpoints and pictures of edits, so that lifecycle rules of the bucket can select them. It "
        "needs the right s3:PutObjectTagging, and a store with object tags, such as Amazon S3 or Ceph",
    )

    @model_validator(mode="after")
    def _of_one_store(self) -> Self:
        """Refuse a part of a bucket's settings: the service would store photos on this machine's disk instead, or not start."""
        for name in ("s3_endpoint_url", "s3_public_endpoint_url", "s3_access_key_id", "s3_secret_access_key"):
            if getattr(self, name) and not self.s3_bucket:
                raise ValueError(f"S2EDIT_{name.upper()} is set and S2EDIT_S3_BUCKET is not: set the bucket too")
        if (self.s3_access_key_id is None) != (self.s3_secret_access_key is None):
            raise ValueError("set both S2EDIT_S3_ACCESS_KEY_ID and S2EDIT_S3_SECRET_ACCESS_KEY, or neither")
        return self

"""The settings that bound what one caller, one tenant and all callers together may do."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

from s2edit_jobs.setting_rules import LARGEST


class LimitSettings(BaseSettings):
    """The part of `Settings` with the limits."""

    max_unfinished_edits_per_user: int = Field(
        default=100, ge=1, le=LARGEST, description="Most unfinished edits per user. Further ones are answered 429"
    )
    max_unfinished_edits_per_tenant: int = Field(
        default=5000,
        ge=1,
        le=LARGEST,
        description="Most unfinished edits of all users of a tenant. Further ones are answered 429. At most half of "
        "S2EDIT_MAX_UNFINISHED_EDITS leaves room for other tenants",
    )
    max_unfinished_edits: int = Field(
        default=10_000, ge=1, le=LARGEST, description="Most unfinished edits of all users together. Further ones are answered 503"
    )
    max_stored_bytes_per_tenant: int = Field(
        default=0,
        ge=0,
        le=LARGEST,
        description="Most bytes that a tenant may store: photos, results, identities and everything else. Beyond it, requests that "
        "store something are answered 409. A housekeeper measures it, so erased data counts for up to ten more minutes. 0 means no "
        "limit",
    )
    max_streams_per_user: int = Field(
        default=30,
        ge=1,
        le=LARGEST,
        description="Most event streams and long polls of a user that an API process holds open. Beyond it, streams are answered "
        "429 and long polls at once",
    )
    max_streams_per_tenant: int = Field(
        default=500,
        ge=1,
        le=LARGEST,
        description="Most event streams and long polls of all users of a tenant that an API process holds open",
    )
    max_streams: int = Field(
        default=1000,
        ge=1,
        le=LARGEST,
        description="Most event streams and long polls that an API process holds open. Beyond it, streams are answered 503",
    )
    user_reads_per_minute: int = Field(
        default=1200,
        ge=0,
        le=LARGEST,
        description="Most requests per minute and user that only read. It applies to callers with a key or token; 0 means no limit",
    )
    user_writes_per_minute: int = Field(
        default=120,
        ge=0,
        le=LARGEST,
        description="Most other requests per minute and user, such as POST /edits. It applies to callers with a key or token; 0 "
        "means no limit",
    )
    tenant_reads_per_minute: int = Field(
        default=12_000,
        ge=0,
        le=LARGEST,
        description="Most requests per minute of all users of a tenant that only read. 0 means no limit",
    )
    tenant_writes_per_minute: int = Field(
        default=1200, ge=0, le=LARGEST, description="Most other requests per minute of all users of a tenant. 0 means no limit"
    )
    tenant_learnings_per_day: int = Field(
        default=0,
        ge=0,
        le=LARGEST,
        description="Most people and attributes that the requests of a tenant may learn per day (UTC). What is learned "
        "already does not count again. 0 means no limit",
    )
    tenant_gpu_s_per_day: float = Field(
        default=0,
        ge=0,
        le=LARGEST,
        description="Most seconds that workers may spend on a tenant's edits per day (UTC); of a UNet pass that several edits "
        "share, each spends its share. 0 means no limit",
    )
    failed_credentials_per_minute: int = Field(
        default=60,
        ge=0,
        le=LARGEST,
        description="Most invalid keys and tokens per minute from one address. Further ones are answered 429, unknown keys without "
        "a look-up. 0 means no limit",
    )
    min_upload_bytes_per_s: int = Field(
        default=4096,
        ge=0,
        le=LARGEST,
        description="Bytes per second at which the body of a request must arrive on average, after 20 seconds that every body "
        "gets. Slower ones are answered 408. 0 means no limit",
    )
    max_upload_bytes: int = Field(default=50_000_000, ge=1, le=LARGEST, description="Size of the largest accepted file, in bytes")

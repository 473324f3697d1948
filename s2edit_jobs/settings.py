"""The settings of the service, from environment variables with the prefix `S2EDIT_`. By default, all parts are embedded.

The descriptions are printed in docs/self-hosting.md and deploy/env.example: each stands alone and ends without a full stop.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal, Self, get_args
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import SettingsConfigDict

from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.request.numbers import number, whole_number
from s2edit_jobs.limit_settings import LimitSettings
from s2edit_jobs.setting_rules import LARGEST, LONGEST_S, PREFIX, RULES, check_value
from s2edit_jobs.store_settings import StoreSettings
from s2edit_jobs.value_rules import NOT_DECIMAL, variable_fault

ROOT = Path(__file__).resolve().parent.parent
"""The project's root folder, which contains the shipped `models/`."""


def default_data_dir() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "s2edit"


def faults(error: ValidationError) -> str:
    """Return which variables have invalid values and why, without the values, which may be secret."""
    return "; ".join(variable_fault(Settings, PREFIX, each) for each in error.errors())


class Settings(StoreSettings, LimitSettings):
    """The settings, frozen. An empty environment variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="S2EDIT_", env_ignore_empty=True, frozen=True, extra="forbid", protected_namespaces=(), hide_input_in_errors=True
    )

    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the embedded Redis, the generated keys and, without a bucket, all objects. If empty: "
        "$XDG_DATA_HOME/s2edit or ~/.local/share/s2edit",
    )
    model: str = Field(
        default=SHIPPED_MODEL,
        validate_default=True,
        description="Diffusion model: a folder in diffusers' layout, a .safetensors or .ckpt file, or a hub id (owner/name or "
        "owner/name@revision)",
    )
    model_aliases: str | None = Field(
        default=None,
        description="Further names that /v1/images/edits accepts as the served model, such as gpt-image-2, separated by spaces. An "
        "app that names a fixed model then needs no change",
    )
    captioner: str | None = Field(
        default=None,
        description="Image captioning model for transformers (BLIP, GIT, …), as a folder or hub id. It writes the source prompt of "
        "edits that have none. If empty, their source prompt is “a photo of a <subject>”",
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field(
        default="auto",
        description="Precision of the diffusion model's UNet: auto (bf16 on NVIDIA GPUs of compute capability 8.0 or more, "
        "otherwise fp32), fp32, bf16, or fp16, which edits but can't learn",
    )
    device: str = Field(
        default="auto", description="torch device of the worker: auto (CUDA if there is a GPU, otherwise CPU), cpu, cuda or cuda:N"
    )
    worker_jobs: int = Field(
        default=1,
        ge=1,
        le=64,
        description="How many edits a worker runs at a time. They share the passes of the UNet: one process per device is enough. "
        "Each takes memory for its photo and for the auto-encoder. From 8 on, the last place is for users who have no edit there. "
        "On a CPU, only `instant` gains much",
    )
    segmenter: str | None = Field(
        default=None,
        description="Segmentation model that finds the person if no mask is sent: model (the diffusion model itself), card (the "
        "network in the model's folder), mediapipe, the path of a .tflite file, or transformers:<folder or hub id>. If empty, the "
        "one that the model's card names",
    )
    lease_s: float = Field(
        default=6.0,
        gt=0,
        le=3600,
        description="Seconds without a heartbeat after which another worker takes over a job. A smaller value recovers faster, but "
        "a slow network then costs more attempts",
    )
    heartbeat_interval_s: float = Field(
        default=1.5,
        gt=0,
        le=1200,
        description="Seconds between two heartbeats of a running job. At most a third of S2EDIT_LEASE_S, so that one lost "
        "heartbeat does not end the lease",
    )
    max_attempts: int = Field(
        default=3, ge=1, le=100, description="Attempts after which a job that kills its workers fails with the code parked"
    )
    pass_timeout_s: float = Field(
        default=120.0,
        gt=0,
        le=86_400,
        description="Seconds without progress after which a running job counts as hung. Its worker then exits, and its supervisor "
        "restarts it. Until the device has warmed up, five times as long; on a slow device, twenty times its longest pass, but "
        "never longer than that",
    )
    reap_interval_s: float = Field(
        default=1.0,
        gt=0,
        le=86_400,
        description="Seconds between two searches of a housekeeper for queued and abandoned jobs that no worker was notified of",
    )
    idempotency_ttl_s: float = Field(
        default=604_800.0,
        ge=3600,
        le=LONGEST_S,
        description="Seconds for which an Idempotency-Key is remembered, by default a week. Afterwards, the same key starts a new "
        "edit",
    )
    result_url_ttl_s: int = Field(
        default=900,
        ge=1,
        le=604_800,
        description="Seconds for which a presigned result URL is valid. Each GET of the edit returns a new one",
    )
    upload_url_ttl_s: int = Field(
        default=600, ge=1, le=604_800, description="Seconds for which the presigned request of an upload is valid"
    )
    upload_ttl_s: float = Field(
        default=86_400.0,
        ge=3600,
        le=LONGEST_S,
        description="Seconds from its announcement until an upload expires, by default a day; at least S2EDIT_UPLOAD_URL_TTL_S. "
        "Jobs that used it keep a copy",
    )
    signing_key: SecretStr | None = Field(
        default=None,
        description="Secret key of 32 characters or more that signs the URLs of files in the data folder. If empty, a key is "
        "generated in the data folder",
    )
    audit_log: str | None = Field(
        default=None,
        description="File of the audit log, in a folder that exists, - for standard output, or off. If empty: audit.jsonl in the "
        "data folder",
    )
    audit_key: SecretStr | None = Field(
        default=None,
        description="Secret key, of 32 characters or more, of the pseudonyms that stand for users in the audit log. If empty, a "
        "key is generated in the data folder; with a bucket, it is required",
    )
    policy_block_list: Path | None = Field(
        default=None,
        description="File of terms that prompts must not contain, one per line. If empty, the list that comes with the service",
    )
    policy_checker: str | None = Field(
        default=None,
        description="Your own check of prompts and photos, as module:factory; see s2edit_jobs/access/policy.py. If empty, none",
    )
    safety: str | None = Field(
        default=None,
        description="Model that checks every photo and result, as a folder or hub id: an image classifier for transformers, or "
        "diffusers' safety checker. Unsafe pictures fail with the code policy_refused. If empty, pictures are not checked",
    )
    safety_labels: str = Field(
        default="nsfw", description="Labels of the safety classifier that count as unsafe, separated by commas"
    )
    safety_threshold: float = Field(
        default=0.5,
        gt=0,
        le=1,
        description="Probability of the unsafe labels from which the safety classifier rejects a picture. diffusers' safety "
        "checker has its own thresholds",
    )
    require_consent: bool = Field(
        default=False, description="Reject requests that learn or import a person without a statement of consent"
    )
    identity_ttl_s: float | None = Field(
        default=None,
        gt=0,
        le=LONGEST_S,
        description="Seconds after which a learned identity is erased. A request may ask for a shorter time. If empty, identities "
        "are kept until they are erased",
    )
    identity_idle_ttl_s: float | None = Field(
        default=None,
        ge=86_400,
        le=LONGEST_S,
        description="Seconds since its last use after which an identity is erased, with a precision of a day. If empty, unused "
        "identities are kept",
    )
    edit_ttl_s: float | None = Field(
        default=None,
        ge=3600,
        le=LONGEST_S,
        description="Seconds after its end for which an edit is kept. Then everything about it is erased. If empty, edits are kept "
        "until they are erased",
    )
    result_ttl_s: float | None = Field(
        default=None,
        ge=3600,
        le=LONGEST_S,
        description="Seconds after its end for which the pictures of an edit are kept: photo, masks and results. Its state and its "
        "report remain. If empty, pictures are kept as long as the edit",
    )
    inversion_ttl_s: float = Field(
        default=604_800.0,
        ge=86_400,
        le=LONGEST_S,
        description="Seconds since its last use after which an inversion is removed, by default a week, with a precision of a day. "
        "The next edit with the same photo and settings computes it again",
    )
    max_inversions_per_identity: int = Field(
        default=16,
        ge=1,
        le=LARGEST,
        description="Most inversions per identity. The least recently used are removed first. Each combination of photo, source "
        "prompt, preset, steps and guidance needs its own",
    )
    checkpoint_ttl_s: float = Field(
        default=604_800.0,
        ge=86_400,
        le=LONGEST_S,
        description="Seconds after which what a learning that was never completed has stored is removed, such as checkpoints; "
        "by default a week",
    )
    provenance: bool = Field(
        default=True,
        description="Sign results with C2PA content credentials, which state that a model edited the picture and from which photo",
    )
    provenance_certificate: Path | None = Field(
        default=None,
        description="PEM file with the certificate chain for signing results, the signer's certificate first. If empty, a "
        "development certificate is generated in the data folder, which no validator trusts",
    )
    provenance_private_key: Path | None = Field(
        default=None, description="PEM file with the private key of that certificate, for ES256 signatures"
    )
    provenance_timestamp_url: str | None = Field(
        default=None,
        description="URL of an RFC 3161 time-stamping server, which certifies when a result was signed. If empty, results have no "
        "time stamp",
    )
    watermark: bool = Field(
        default=False,
        description="Put an invisible watermark into every result of 256×256 pixels or more. `s2edit watermark` detects it. It "
        "covers the whole picture, so pixels outside the edit mask change slightly",
    )
    receipt_key: SecretStr | None = Field(
        default=None,
        description="Private key (EC P-256, PEM; its line ends may be written \\n) that signs the receipts of erasures. If empty, "
        "a key is generated in the data folder; with a bucket, it is required",
    )
    auth: Literal["auto", "keys", "open"] = Field(
        default="keys",
        description="Who may call the API. keys: only callers with a key; the API does not start without one. auto: programs on "
        "this machine without a key, and whatever a proxy on it forwards; once an API key exists, only callers with a key. open: "
        "everybody who can reach the port. Without a key nobody has the scope admin. On a loopback address, `s2edit up` takes "
        "auto if this is empty",
    )
    require_user: bool = Field(
        default=False,
        description="Reject requests with an API key that name no user in S2Edit-User. Otherwise they act for the user “default”",
    )
    token_keys: SecretStr | None = Field(
        default=None,
        description="Secret keys of device tokens, each of 32 characters or more, separated by spaces. The first signs, all "
        "verify. If empty, a key is generated in the data folder; with a bucket, the service then issues no tokens",
    )
    token_max_ttl_s: int = Field(default=3600, ge=1, le=86_400, description="Longest lifetime of a device token, in seconds")
    webhook_secrets: SecretStr | None = Field(
        default=None,
        description="Secret keys that sign webhooks, each whsec_ and the base64 of 24 to 64 bytes, separated by spaces. Each "
        "message is signed with all of them, so that keys can be rotated. If empty, webhooks are rejected",
    )
    webhook_allow_private: bool = Field(
        default=False, description="Allow webhooks to private addresses and over plain HTTP, for development"
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="URL of the API as apps reach it, with the path prefix of a proxy, used in the URLs of files in the data "
        "folder. If it names this machine, as by default, these URLs begin with the host that the request was sent to",
    )
    cors_origins: str | None = Field(
        default=None,
        description="Origins of web apps that may call the API from a browser, such as https://app.example.com, separated by "
        "spaces; * for any. If empty, only the service's own pages",
    )

    metrics_token: SecretStr | None = Field(
        default=None,
        description="Bearer token of 16 characters or more that Prometheus must send to read /metrics. If empty, the API shows no "
        "metrics, and workers and housekeepers show theirs to programs on their machine",
    )

    worker_metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65_535,
        description="Port on which a worker answers /livez and /metrics. S2EDIT_METRICS_TOKEN applies to /metrics. If empty, none",
    )
    housekeeper_metrics_port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port on which a housekeeper answers /livez and /metrics. If empty, none"
    )

    @field_validator("*", mode="before")
    @classmethod
    def _decimal(cls, value: object, info: ValidationInfo) -> object:
        """Read numbers as requests do: pydantic alone would take `1_0` and digits of other scripts."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        kinds = {annotation, *get_args(annotation)}
        if not isinstance(value, str) or not kinds & {int, float}:
            return value
        try:
            return whole_number(value) if int in kinds else number(value)
        except ValueError as error:
            raise PydanticCustomError(NOT_DECIMAL, "{reason}", {"reason": str(error)}) from None

    @field_validator("model")
    @classmethod
    def _shipped_model(cls, value: str) -> str:
        """Find the shipped model from any working directory."""
        return str(ROOT / value) if not Path(value).exists() and (ROOT / value).is_dir() else value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator(*RULES)
    @classmethod
    def _well_formed(cls, value: str | SecretStr | None, info: ValidationInfo) -> str | SecretStr | None:
        check_value(info.field_name or "", value)
        return value

    @field_validator("public_url", "s3_endpoint_url", "s3_public_endpoint_url")
    @classmethod
    def _no_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heartbeat_interval_s * 3 > self.lease_s:
            raise ValueError(
                f"S2EDIT_HEARTBEAT_INTERVAL_S ({self.heartbeat_interval_s:g}) must be at most a third of S2EDIT_LEASE_S "
                f"({self.lease_s:g}): otherwise one lost heartbeat ends the lease"
            )
        if self.upload_ttl_s < self.upload_url_ttl_s:
            raise ValueError(
                f"S2EDIT_UPLOAD_TTL_S ({self.upload_ttl_s:g}) must be at least S2EDIT_UPLOAD_URL_TTL_S ({self.upload_url_ttl_s}): "
                "otherwise bytes may arrive after the upload has expired"
            )
        if (self.provenance_certificate is None) != (self.provenance_private_key is None):
            raise ValueError("set both S2EDIT_PROVENANCE_CERTIFICATE and S2EDIT_PROVENANCE_PRIVATE_KEY, or neither")
        return self

    @property
    def artifacts_dir(self) -> Path:
        """The folder of the objects if no bucket is set."""
        return self.data_dir / "artifacts"

    @property
    def redis_dir(self) -> Path:
        """The folder of the embedded Redis."""
        return self.data_dir / "redis"

    @property
    def allowed_origins(self) -> list[str]:
        """The origins in `cors_origins`. `*` stands for any."""
        return self.cors_origins.split() if self.cors_origins else []

    @property
    def served_aliases(self) -> list[str]:
        """The names in `model_aliases`."""
        return self.model_aliases.split() if self.model_aliases else []

    @property
    def webhook_keys(self) -> list[str]:
        """The keys in `webhook_secrets`, in their order. If empty, webhooks are off."""
        return self.webhook_secrets.get_secret_value().split() if self.webhook_secrets else []

    def masked(self) -> dict[str, str | int | float | None]:
        """Return every setting in printable form, with stars for secrets and for the password in the Redis URL."""
        values: dict[str, str | int | float | None] = self.model_dump(mode="json")
        if self.redis_url and (password := urlsplit(self.redis_url).password):
            values["redis_url"] = self.redis_url.replace(f":{password}@", ":**********@")
        return values


def settings_of_process() -> Settings:
    """Return the settings of the environment. Exit with a line that names the variable if a value is invalid."""
    try:
        return Settings()
    except ValidationError as error:
        sys.exit(f"s2edit: {faults(error)}")

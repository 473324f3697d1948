"""All settings of the service, from the environment (prefix `S2EDIT_`) or as arguments. Without any, everything is embedded."""

from __future__ import annotations

import base64
import os
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
"""Where the shipped `models/` folder lies."""


def default_data_dir() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "s2edit"


class Settings(BaseSettings):
    """One frozen tree. An empty variable counts as not set."""

    model_config = SettingsConfigDict(
        env_prefix="S2EDIT_", env_ignore_empty=True, frozen=True, extra="forbid", protected_namespaces=()
    )

    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="Redis of the queue and the job view: redis://, rediss:// or unix://. Empty: `s2edit up` starts its own",
    )
    s3_endpoint_url: str | None = Field(
        default=None, description="S3-compatible store as the API and the workers reach it. Empty: Amazon S3, if a bucket is set"
    )
    s3_public_endpoint_url: str | None = Field(
        default=None, description="The same store as the app reaches it; used in presigned URLs only. Empty: the endpoint above"
    )
    s3_bucket: str | None = Field(
        default=None, description="Bucket for everything that is kept. Empty: objects are files in the data folder"
    )
    s3_access_key_id: str | None = Field(
        default=None, description="Key id for the store. Empty: boto3's own search (instance role, profile)"
    )
    s3_secret_access_key: SecretStr | None = Field(default=None, description="Secret of that key")
    s3_region: str = Field(default="us-east-1", description="Region that requests are signed for")
    s3_post_forms: bool = Field(
        default=False,
        description="The store holds senders of presigned forms to their policy, as Amazon S3 and Ceph do: uploads offer one too",
    )
    data_dir: Path = Field(
        default_factory=default_data_dir,
        description="Folder of the embedded Redis and of the files. Empty: $XDG_DATA_HOME/s2edit or ~/.local/share/s2edit",
    )
    model: str = Field(
        default="models/portraits-128",
        validate_default=True,
        description="Model: a folder in diffusers' layout, a .safetensors or .ckpt file, or a hub id, perhaps with its revision: "
        "owner/name@revision",
    )
    captioner: str | None = Field(
        default=None,
        description="Image-to-text model of transformers (BLIP, GIT, …), as folder or hub id, that describes the photo of an edit "
        "without source_prompt. Empty: it is “a photo of a <subject>”",
    )
    device: str = Field(default="auto", description="torch device of the worker: auto, cpu, cuda or cuda:N")
    segmenter: str | None = Field(
        default=None,
        description="Who finds the person where no mask is sent: model (the base model itself), card (the network in its folder), "
        "mediapipe or the path of a .tflite file, transformers:<folder or hub id>. Empty: the one that the model's card names",
    )
    lease_s: float = Field(default=6.0, gt=0, le=3600, description="Seconds after which a silent worker's job goes to another")
    heartbeat_interval_s: float = Field(
        default=1.5, gt=0, description="Seconds between two signs of life of a worker; at most a third of the lease"
    )
    max_attempts: int = Field(default=3, ge=1, le=100, description="Attempts after which a job that loses its worker is parked")
    reap_interval_s: float = Field(default=1.0, gt=0, description="Seconds between two searches for jobs that nobody holds")
    max_unfinished_edits_per_user: int = Field(
        default=100, ge=1, description="Unfinished edits that one user may have; one more is answered 429"
    )
    max_unfinished_edits: int = Field(
        default=10_000, ge=1, description="Unfinished edits of all users together; one more is answered 503"
    )
    idempotency_ttl_s: float = Field(
        default=604_800.0,
        ge=3600,
        description="Seconds that an Idempotency-Key is remembered, at least; then the same key is a new edit",
    )
    user_reads_per_minute: int = Field(
        default=1200, ge=0, description="Requests of one user that only look, where keys are asked for. 0: any number"
    )
    user_writes_per_minute: int = Field(
        default=120, ge=0, description="Other requests of one user, such as POST /edits. 0: any number"
    )
    tenant_reads_per_minute: int = Field(
        default=12_000, ge=0, description="The same for all users of a tenant together. 0: any number"
    )
    tenant_writes_per_minute: int = Field(default=1200, ge=0, description="The same for their other requests. 0: any number")
    tenant_learnings_per_day: int = Field(
        default=0, ge=0, description="People that edits of one tenant may learn in a day (UTC). 0: any number"
    )
    tenant_gpu_s_per_day: float = Field(
        default=0, ge=0, description="Seconds that workers may spend on edits of one tenant in a day (UTC). 0: any number"
    )
    result_url_ttl_s: int = Field(default=900, ge=1, le=604_800, description="Seconds that a presigned result URL lives")
    upload_url_ttl_s: int = Field(
        default=600, ge=1, le=604_800, description="Seconds that an app has to send the bytes of an upload"
    )
    upload_ttl_s: float = Field(
        default=86_400.0,
        ge=3600,
        description="Seconds from its announcement until an upload ends, at least upload_url_ttl_s. Edits that used it keep a copy",
    )
    max_upload_bytes: int = Field(default=50_000_000, ge=1, description="Largest accepted file, in bytes")
    signing_key: SecretStr | None = Field(
        default=None,
        description="Key that signs the URLs of files in the data folder. Empty: one is made and kept in the data folder",
    )
    audit_log: str | None = Field(
        default=None,
        description="File of the audit log; - for standard output, off for none. Empty: audit.jsonl in the data folder",
    )
    audit_key: SecretStr | None = Field(
        default=None,
        description="Key of the pseudonyms that users have in the audit log. Empty: one is made and kept in the data folder",
    )
    policy_block_list: Path | None = Field(
        default=None,
        description="File of terms that prompts must not hold, one a line. Empty: the list that comes with the service",
    )
    policy_checker: str | None = Field(
        default=None,
        description="A check of prompts and photos of your own, as module:factory; see s2edit_jobs/access/policy.py. Empty: none",
    )
    safety: str | None = Field(
        default=None,
        description="Model that looks at every photo and result, as folder or hub id: an image classifier of transformers, or "
        "diffusers' safety checker. What it finds unsafe ends as policy_refused. Empty: nobody looks",
    )
    safety_labels: str = Field(default="nsfw", description="The classifier's labels that are unsafe, separated by commas")
    safety_threshold: float = Field(
        default=0.5, gt=0, le=1, description="Probability of these labels from which a picture is unsafe; for a classifier"
    )
    require_consent: bool = Field(
        default=False, description="Refuse to learn or import a person without a statement of consent in the request"
    )
    identity_ttl_s: float | None = Field(
        default=None,
        gt=0,
        description="Seconds after which a learned identity is erased, unless a request says sooner. Empty: never",
    )
    provenance: bool = Field(
        default=True,
        description="Sign into every result, as C2PA content credentials, that it was edited by a model and from which photo",
    )
    provenance_certificate: Path | None = Field(
        default=None,
        description="PEM file of the certificates that results are signed with, the signer's first. Empty: one is made and kept in "
        "the data folder, which nobody trusts: for trying things out",
    )
    provenance_private_key: Path | None = Field(
        default=None, description="PEM file of that certificate's private key, for signing by ES256"
    )
    provenance_timestamp_url: str | None = Field(
        default=None, description="RFC 3161 server that says when a result was signed. Empty: results carry no such stamp"
    )
    watermark: bool = Field(
        default=False,
        description="Put an invisible watermark, which `s2edit watermark` finds, into every result of 256×256 pixels or more. It "
        "covers the whole picture, so colours change a little outside the edit mask too",
    )
    receipt_key: SecretStr | None = Field(
        default=None,
        description="Private key that signs receipts of erasures: EC P-256 in PEM. Empty: one is made and kept in the data folder",
    )
    auth: Literal["auto", "keys", "open"] = Field(
        default="auto",
        description="Who may call. auto: this machine's programs, and once there is an API key, only who has one. keys: only who "
        "has one; without any the API does not start. open: whoever reaches the port",
    )
    token_keys: SecretStr | None = Field(
        default=None,
        description="Keys that sign device tokens, each of 32 characters or more, separated by spaces; the first signs, all count. "
        "Empty: one is made and kept in the data folder; with a bucket, no tokens are issued",
    )
    token_max_ttl_s: int = Field(default=3600, ge=1, le=86_400, description="Seconds that a device token may live at most")
    webhook_secrets: SecretStr | None = Field(
        default=None,
        description="Keys that sign webhooks, each whsec_ and base64 of 24 to 64 bytes, separated by spaces: while keys change, "
        "receivers accept either. Empty: no webhooks",
    )
    webhook_allow_private: bool = Field(
        default=False, description="Send webhooks also to private addresses, and by http: for trying things out"
    )
    public_url: str = Field(
        default="http://127.0.0.1:8000",
        description="The API's address as the app reaches it, for the URLs of files in the data folder",
    )
    cors_origins: str | None = Field(
        default=None,
        description="Web apps whose pages may call, with a token: their origins, such as https://app.example.com, separated by "
        "spaces; * for any. Empty: no pages but the service's own",
    )

    metrics_token: SecretStr | None = Field(
        default=None,
        description="What Prometheus must show as bearer token to read /metrics. Empty: only this machine's programs may read it",
    )

    @field_validator("model")
    @classmethod
    def _shipped_model(cls, value: str) -> str:
        """The shipped folder is found from any working directory."""
        return str(ROOT / value) if not Path(value).exists() and (ROOT / value).is_dir() else value

    @field_validator("data_dir")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().absolute()

    @field_validator("public_url", "s3_endpoint_url", "s3_public_endpoint_url")
    @classmethod
    def _no_slash(cls, value: str | None) -> str | None:
        return value.rstrip("/") if value else value

    @field_validator("webhook_secrets")
    @classmethod
    def _keys(cls, value: SecretStr | None) -> SecretStr | None:
        for key in value.get_secret_value().split() if value else ():
            try:
                size = len(base64.b64decode(key.removeprefix("whsec_"), validate=True))
            except ValueError:
                size = 0
            if not (key.startswith("whsec_") and 24 <= size <= 64):
                raise ValueError("every key must be whsec_ and the base64 of 24 to 64 bytes")
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: str | None) -> str | None:
        for origin in value.split() if value else ():
            url = urlsplit(origin)
            if origin != "*" and (url.scheme not in ("http", "https") or origin != f"{url.scheme}://{url.netloc}".lower()):
                raise ValueError("every origin must read like https://app.example.com, in small letters, without a path, or be *")
        return value

    @field_validator("token_keys")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value and any(len(key) < 32 for key in value.get_secret_value().split()):
            raise ValueError("every key must have 32 characters or more")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.heartbeat_interval_s * 3 > self.lease_s:
            raise ValueError("heartbeat_interval_s must be at most a third of lease_s, or one lost beat costs the lease")
        if self.upload_ttl_s < self.upload_url_ttl_s:
            raise ValueError("upload_ttl_s must be at least upload_url_ttl_s, or bytes come for what is over")
        if self.s3_endpoint_url and not self.s3_bucket:
            raise ValueError("s3_endpoint_url is set and s3_bucket is not: name the bucket")
        if (self.provenance_certificate is None) != (self.provenance_private_key is None):
            raise ValueError("provenance_certificate and provenance_private_key belong together: set both or none")
        return self

    @property
    def artifacts_dir(self) -> Path:
        """Where the filesystem store keeps its objects."""
        return self.data_dir / "artifacts"

    @property
    def redis_dir(self) -> Path:
        """The embedded Redis' folder."""
        return self.data_dir / "redis"

    @property
    def allowed_origins(self) -> list[str]:
        """Whose pages may call; `*` for any."""
        return self.cors_origins.split() if self.cors_origins else []

    @property
    def webhook_keys(self) -> list[str]:
        """Newest first. Empty: no webhooks are sent."""
        return self.webhook_secrets.get_secret_value().split() if self.webhook_secrets else []

    def masked(self) -> dict[str, str | int | float | None]:
        """Every setting as it may be printed: secrets as stars, passwords cut out of URLs."""
        values: dict[str, str | int | float | None] = self.model_dump(mode="json")
        if self.redis_url and (password := urlsplit(self.redis_url).password):
            values["redis_url"] = self.redis_url.replace(f":{password}@", ":**********@")
        return values

"""The errors of the API and the workers.

JobsError
├── JobNotFound             this owner has no such job
├── JobErased               the job of this Idempotency-Key was erased: a repeated request does not bring it back
├── PreviewMissing          the job has no preview now
├── IdentityNotFound        this owner has no such identity
├── AttributeNotFound       this owner has no such attribute
├── UploadNotFound          this owner has no such upload
├── UploadUnfinished        the upload was announced, but its bytes have not arrived
├── UploadMismatch          the upload's bytes differ from its announcement
├── LeaseLost               another attempt has the job, or it is over: stop and publish nothing
├── ArtifactMissing         the object store has no object with this key
├── ArtifactExists          a write-once object already exists
├── DeletionRefused         the object store permits no deletion: a right is missing, or the object is locked
├── RecordUnusable          a stored record cannot be used by this process
│   ├── RecordDamaged       it cannot be read: cut short, not JSON, or without what it must have
│   └── RecordNewer         a newer release has written it: leave it to a process of that release
├── StorageFull             this tenant stores as much as it may
├── KeyReused               an Idempotency-Key was reused for a different request
├── AccessDenied            the caller may not do this
│   ├── CredentialsMissing  the request has no key or token
│   ├── CredentialsInvalid  the key or token is unknown, forged, revoked or expired
│   ├── ScopeMissing        the key or token lacks the required scope
│   ├── UserForeign         the token belongs to another user
│   ├── UserMissing         the request names no user, and this service requires one
│   ├── HostForeign         the Host header names another host
│   ├── OriginForeign       the request comes from a web page of another origin
│   ├── TokenSpent          the token has no edits or uploads left
│   └── TokensUnavailable   this service issues no tokens
├── Overloaded              the request cannot be accepted now; repeat it after `retry_after_s` seconds
│   ├── RequestInFlight     the same request is still being accepted
│   ├── BeingErased         this owner's data is being erased
│   ├── RateExceeded        this user or tenant sends too many requests
│   ├── QuotaSpent          this tenant has used up today's quota
│   │   └── LearningsSpent  … of people and attributes to learn
│   ├── TooManyEdits        this owner has too many unfinished edits
│   ├── TenantQueueFull     all users of this tenant together have too many unfinished edits
│   ├── QueueFull           the service has too many unfinished edits
│   ├── TooManyStreams      this user or tenant has too many open streams and long polls
│   └── StreamsFull         the service has too many of them
└── ServiceUnavailable      a service that this one needs does not answer; repeating the request may help
    ├── StoreUnavailable    Redis, for the job store
    ├── ArtifactsUnavailable  the object store
    ├── QueueUnavailable    Redis, for Celery
    ├── ModelUnknown        no worker has reported its model yet
    └── ModelFailed         no worker can load the model
"""

from __future__ import annotations


class JobsError(Exception):
    retryable = False


class JobNotFound(JobsError):
    pass


class JobErased(JobsError):
    pass


class PreviewMissing(JobsError):
    pass


class IdentityNotFound(JobsError):
    pass


class UploadNotFound(JobsError):
    pass


class UploadUnfinished(JobsError):
    pass


class UploadMismatch(JobsError):
    pass


class AttributeNotFound(JobsError):
    pass


class LeaseLost(JobsError):
    pass


class ArtifactMissing(JobsError):
    pass


class ArtifactExists(JobsError):
    pass


class DeletionRefused(JobsError):
    pass


class RecordUnusable(JobsError):
    pass


class RecordDamaged(RecordUnusable):
    pass


class RecordNewer(RecordUnusable):
    retryable = True


class StorageFull(JobsError):
    pass


class KeyReused(JobsError):
    pass


class AccessDenied(JobsError):
    pass


class CredentialsMissing(AccessDenied):
    pass


class CredentialsInvalid(AccessDenied):
    """`guessed`: whether the credentials may be a guess, which counts against the sender's address."""

    def __init__(self, message: str = "", *, guessed: bool = True) -> None:
        super().__init__(message)
        self.guessed = guessed


class ScopeMissing(AccessDenied):
    def __init__(self, message: str = "", *, scope: str = "") -> None:
        super().__init__(message)
        self.scope = scope


class UserForeign(AccessDenied):
    pass


class UserMissing(AccessDenied):
    pass


class HostForeign(AccessDenied):
    pass


class OriginForeign(AccessDenied):
    pass


class TokenSpent(AccessDenied):
    pass


class TokensUnavailable(AccessDenied):
    pass


class Overloaded(JobsError):
    retryable = True

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestInFlight(Overloaded):
    pass


class BeingErased(Overloaded):
    pass


class RateExceeded(Overloaded):
    pass


class QuotaSpent(Overloaded):
    pass


class LearningsSpent(QuotaSpent):
    pass


class TooManyEdits(Overloaded):
    pass


class TenantQueueFull(Overloaded):
    pass


class QueueFull(Overloaded):
    pass


class TooManyStreams(Overloaded):
    pass


class StreamsFull(Overloaded):
    pass


class ServiceUnavailable(JobsError):
    retryable = True


class StoreUnavailable(ServiceUnavailable):
    pass


class ArtifactsUnavailable(ServiceUnavailable):
    pass


class StoreUnproven(ArtifactsUnavailable):
    """The object store answers. Redis does not, and only Redis knows whether this is the service's store."""


class QueueUnavailable(ServiceUnavailable):
    pass


class ModelUnknown(ServiceUnavailable):
    pass


class ModelFailed(ServiceUnavailable):
    pass

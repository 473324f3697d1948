"""What can go wrong between the API and the workers.

JobsError
├── JobNotFound             no such job of this owner
├── IdentityNotFound        no such identity of this owner
├── UploadNotFound          no such upload of this owner
├── UploadUnfinished        announced, but its bytes have not come
├── UploadMismatch          the bytes that came are not those that were announced
├── AttributeNotFound       no such attribute of this owner
├── LeaseLost               another attempt has taken the job, or it is over: stop, publish nothing
├── ArtifactMissing         no object under that key
├── ArtifactExists          a write-once key has been written already
├── KeyReused               an idempotency key came back with another request
├── AccessDenied            the request may not be done by whoever sends it
│   ├── CredentialsMissing  it says nothing of who sends it
│   ├── CredentialsInvalid  its key or token is unknown, forged, revoked or expired
│   ├── ScopeMissing        its key or token is not for this
│   ├── UserForeign         its token is another user's
│   ├── TokenSpent          its token has no edits or uploads left
│   └── TokensUnavailable   this service issues no tokens
├── Overloaded              no more can be taken on now; `retry_after_s` says when to ask again
│   ├── RequestInFlight     the same request is being taken on at this moment
│   ├── BeingErased         all that this owner has is being erased at this moment
│   ├── RateExceeded        this user or tenant asks too often
│   ├── QuotaSpent          this tenant has used up what it has for today
│   ├── TooManyEdits        this owner has too many unfinished edits
│   └── QueueFull           all owners together have
└── ServiceUnavailable      Redis or the object store does not answer; trying again may help
    ├── StoreUnavailable
    ├── ArtifactsUnavailable
    ├── QueueUnavailable
    ├── ModelUnknown        no worker has said yet which model it serves
    └── ModelFailed         no worker can load the model
"""

from __future__ import annotations


class JobsError(Exception):
    retryable = False


class JobNotFound(JobsError):
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


class KeyReused(JobsError):
    pass


class AccessDenied(JobsError):
    pass


class CredentialsMissing(AccessDenied):
    pass


class CredentialsInvalid(AccessDenied):
    pass


class ScopeMissing(AccessDenied):
    def __init__(self, message: str = "", *, scope: str = "") -> None:
        super().__init__(message)
        self.scope = scope


class UserForeign(AccessDenied):
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


class TooManyEdits(Overloaded):
    pass


class QueueFull(Overloaded):
    pass


class ServiceUnavailable(JobsError):
    retryable = True


class StoreUnavailable(ServiceUnavailable):
    pass


class ArtifactsUnavailable(ServiceUnavailable):
    pass


class QueueUnavailable(ServiceUnavailable):
    pass


class ModelUnknown(ServiceUnavailable):
    pass


class ModelFailed(ServiceUnavailable):
    pass

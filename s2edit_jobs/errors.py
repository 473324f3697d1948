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
├── Overloaded              no more can be taken on now; `retry_after_s` says when to ask again
│   ├── RequestInFlight     the same request is being taken on at this moment
│   ├── TooManyEdits        this owner has too many unfinished edits
│   └── QueueFull           all owners together have
└── ServiceUnavailable      Redis or the object store does not answer; trying again may help
    ├── StoreUnavailable
    ├── ArtifactsUnavailable
    ├── QueueUnavailable
    └── ModelUnknown        no worker has said yet which model it serves
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


class Overloaded(JobsError):
    retryable = True

    def __init__(self, message: str = "", *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RequestInFlight(Overloaded):
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

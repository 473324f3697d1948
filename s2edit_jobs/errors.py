"""What can go wrong between the API and the workers.

JobsError
├── JobNotFound             no such job of this owner
├── IdentityNotFound        no such identity of this owner
├── LeaseLost               another attempt has taken the job, or it is over: stop, publish nothing
├── ArtifactMissing         no object under that key
├── ArtifactExists          a write-once key has been written already
└── ServiceUnavailable      Redis or the object store does not answer; trying again may help
    ├── StoreUnavailable
    ├── ArtifactsUnavailable
    └── QueueUnavailable
"""

from __future__ import annotations


class JobsError(Exception):
    retryable = False


class JobNotFound(JobsError):
    pass


class IdentityNotFound(JobsError):
    pass


class LeaseLost(JobsError):
    pass


class ArtifactMissing(JobsError):
    pass


class ArtifactExists(JobsError):
    pass


class ServiceUnavailable(JobsError):
    retryable = True


class StoreUnavailable(ServiceUnavailable):
    pass


class ArtifactsUnavailable(ServiceUnavailable):
    pass


class QueueUnavailable(ServiceUnavailable):
    pass

"""The one map from error classes to status, code, title and message of their problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s2edit_core import errors as core
from s2edit_jobs.records import errors as jobs


@dataclass(frozen=True, slots=True)
class ProblemKind:
    """How errors of one class are answered. `detail` replaces the message of the error, which may name hosts or keys."""

    status: int
    code: str
    title: str
    detail: str | None = None


INTERNAL = ProblemKind(
    500,
    "internal",
    "Internal error",
    "The service failed, not your request: try again. If the error stays, send the X-Request-Id to the operator of the service.",
)
STORE_UNAVAILABLE = ProblemKind(
    503, "store_unavailable", "Not available now", "The job store does not answer: try again in a few seconds."
)

KINDS: Mapping[type[Exception], ProblemKind] = {
    core.S2EditError: INTERNAL,
    core.InvalidInput: ProblemKind(422, "invalid_input", "The request is invalid"),
    core.ImageInvalid: ProblemKind(422, "image_invalid", "The image can't be used"),
    core.MaskInvalid: ProblemKind(422, "mask_invalid", "The mask can't be used"),
    core.PromptInvalid: ProblemKind(422, "prompt_invalid", "The prompt can't be used"),
    core.OptionInvalid: ProblemKind(422, "option_invalid", "An option is invalid"),
    core.PolicyRefused: ProblemKind(422, "policy_refused", "The service's policy refuses this"),
    core.ArtifactMismatch: ProblemKind(409, "artifact_mismatch", "Made by another model or with other settings"),
    core.ModelUnusable: ProblemKind(
        500,
        "model_unusable",
        "The model can't be used",
        "The model of the service is incomplete or unsupported: tell the operator of the service.",
    ),
    core.NumbersNotFinite: ProblemKind(
        500, "numbers_not_finite", "The computation failed", "The computation overflowed: try another seed."
    ),
    core.DeviceFault: ProblemKind(
        503,
        "parked",
        "The edit was given up",
        "Every attempt has lost its worker or device, or has failed inside the service: try again only if `retryable` is true.",
    ),
    core.DeviceOutOfMemory: ProblemKind(
        503, "out_of_memory", "Too little memory", "The workers have too little memory for this request: try again later."
    ),
    jobs.JobsError: INTERNAL,
    jobs.JobNotFound: ProblemKind(404, "not_found", "Not found", "This user has no such edit: see GET /edits."),
    jobs.JobErased: ProblemKind(
        410,
        "edit_erased",
        "The edit of this request was erased",
        "The edit of this request was erased, and a repetition does not bring it back: send a new request with a new "
        "Idempotency-Key.",
    ),
    jobs.PreviewMissing: ProblemKind(
        404,
        "preview_missing",
        "No preview",
        "There is no preview now: get the edit, which may be over, and whose `preview` says when there is one.",
    ),
    jobs.IdentityNotFound: ProblemKind(404, "not_found", "Not found", "This user has no such identity: see GET /identities."),
    jobs.UploadNotFound: ProblemKind(
        404, "not_found", "Not found", "This user has no such upload, or it has expired: announce a new one."
    ),
    jobs.UploadUnfinished: ProblemKind(
        422, "upload_unfinished", "The upload is not finished", "The bytes of the upload are missing: send them first."
    ),
    jobs.UploadMismatch: ProblemKind(
        422,
        "upload_mismatch",
        "The upload can't be used",
        "The bytes of the upload are not the announced ones: announce and send them again.",
    ),
    jobs.AttributeNotFound: ProblemKind(404, "not_found", "Not found", "This user has no such attribute: see GET /attributes."),
    jobs.LeaseLost: ProblemKind(
        409,
        "lease_lost",
        "Another attempt has taken over",
        "Another attempt runs this edit, or the edit is over: get the edit to see its state.",
    ),
    jobs.ArtifactMissing: ProblemKind(404, "not_found", "Not found", "There is no such file: get a fresh link."),
    jobs.DeletionRefused: ProblemKind(
        500,
        "deletion_refused",
        "The data can't be deleted",
        "The object store does not permit the service to delete this data: tell the operator. The erasure stays open until then.",
    ),
    jobs.ArtifactExists: ProblemKind(
        412, "already_exists", "Already exists", "The file exists and can't be overwritten: use it as it is."
    ),
    jobs.RecordUnusable: INTERNAL,
    jobs.RecordDamaged: ProblemKind(
        500,
        "record_damaged",
        "A stored record is damaged",
        "The stored data of this resource is damaged and can only be erased: send the request again.",
    ),
    jobs.RecordNewer: ProblemKind(
        503,
        "record_newer",
        "Not available now",
        "A newer release of the service has stored this, and this part of the service still runs an older one: try again later.",
    ),
    jobs.StorageFull: ProblemKind(
        409,
        "storage_full",
        "The tenant's storage is full",
        "This tenant stores as much as the service allows: try again some minutes after you have erased edits or identities.",
    ),
    jobs.KeyReused: ProblemKind(
        422,
        "idempotency_key_reused",
        "The Idempotency-Key belongs to another request",
        "This Idempotency-Key came with another request before: use a new key for a new request.",
    ),
    jobs.AccessDenied: ProblemKind(403, "forbidden", "Not allowed", "These credentials do not allow the request: send others."),
    jobs.CredentialsMissing: ProblemKind(
        401,
        "credentials_missing",
        "Credentials are missing",
        "Send an API key or a device token as Authorization: Bearer …. The operator of the service creates keys with "
        "`s2edit keys create`.",
    ),
    jobs.CredentialsInvalid: ProblemKind(
        401,
        "credentials_invalid",
        "The key or token is invalid",
        "The key or token is unknown, expired or revoked: use another one.",
    ),
    jobs.ScopeMissing: ProblemKind(
        403,
        "scope_missing",
        "The key or token lacks a scope",
        "The key or token lacks the scope named in WWW-Authenticate: use one that has it.",
    ),
    jobs.UserForeign: ProblemKind(
        403,
        "user_foreign",
        "The token belongs to another user",
        "A device token is for one user: leave out S2Edit-User, or name that user.",
    ),
    jobs.UserMissing: ProblemKind(
        403,
        "user_missing",
        "The request names no user",
        "This service requires that a request with an API key names its user: send S2Edit-User.",
    ),
    jobs.HostForeign: ProblemKind(
        421,
        "host_foreign",
        "Unknown host name",
        "Without a key the service answers only to its address, to localhost and to the name in its S2EDIT_PUBLIC_URL, because "
        "a web page could point any other name here: use one of these, or send a key.",
    ),
    jobs.OriginForeign: ProblemKind(
        403,
        "origin_foreign",
        "This web page may not call the service",
        "Without a key the service rejects requests from pages of other origins: send a key or a token, or have the operator "
        "list the origin in S2EDIT_CORS_ORIGINS.",
    ),
    jobs.TokenSpent: ProblemKind(
        403, "token_spent", "The token is used up", "The budget of this device token is used up: get a new token."
    ),
    jobs.TokensUnavailable: ProblemKind(
        403,
        "tokens_unavailable",
        "Device tokens are not available",
        "This service issues no device tokens: use an API key, or have the operator set S2EDIT_TOKEN_KEYS.",
    ),
    jobs.Overloaded: ProblemKind(503, "overloaded", "Not available now", "The service is overloaded: try again later."),
    jobs.RequestInFlight: ProblemKind(
        409,
        "request_in_flight",
        "The same request is in progress",
        "Another request with this Idempotency-Key is in progress: try again.",
    ),
    jobs.BeingErased: ProblemKind(
        409,
        "being_erased",
        "The user is being erased",
        "The service is erasing everything of this user: try again when that is done.",
    ),
    jobs.RateExceeded: ProblemKind(
        429,
        "rate_exceeded",
        "Too many requests",
        "This user or tenant sends too many requests: wait for Retry-After seconds. RateLimit-Policy shows the limits.",
    ),
    jobs.QuotaSpent: ProblemKind(
        429,
        "quota_spent",
        "The daily budget is used up",
        "This tenant has used up its compute budget for today: try again after midnight UTC.",
    ),
    jobs.LearningsSpent: ProblemKind(
        429,
        "quota_spent",
        "The daily budget is used up",
        "This tenant has learned as many people and attributes today as it may: try again after midnight UTC. People who "
        "are learned already can be edited.",
    ),
    jobs.TooManyEdits: ProblemKind(
        429,
        "too_many_edits",
        "Too many unfinished edits",
        "This user has too many unfinished edits: wait until one is done, or cancel one.",
    ),
    jobs.TenantQueueFull: ProblemKind(
        429,
        "tenant_queue_full",
        "Too many unfinished edits of this tenant",
        "The users of this tenant together have too many unfinished edits: wait until some are done.",
    ),
    jobs.QueueFull: ProblemKind(503, "queue_full", "Not available now", "The queue of the service is full: try again later."),
    jobs.TooManyStreams: ProblemKind(
        429,
        "too_many_streams",
        "Too many open streams",
        "This user or tenant has too many open event streams and long polls: use fewer, or poll without waiting.",
    ),
    jobs.StreamsFull: ProblemKind(
        503, "streams_full", "Not available now", "Too many event streams are open: try again later, or poll the edit instead."
    ),
    jobs.ServiceUnavailable: ProblemKind(
        503, "unavailable", "Not available now", "A part of the service does not answer: try again in a few seconds."
    ),
    jobs.StoreUnavailable: STORE_UNAVAILABLE,
    jobs.ArtifactsUnavailable: ProblemKind(
        503, "artifacts_unavailable", "Not available now", "The object store does not answer: try again in a few seconds."
    ),
    jobs.StoreUnproven: STORE_UNAVAILABLE,
    jobs.QueueUnavailable: ProblemKind(
        503, "queue_unavailable", "Not available now", "The queue does not answer: try again in a few seconds."
    ),
    jobs.ModelUnknown: ProblemKind(
        503,
        "model_unknown",
        "Not available now",
        "No worker with the model of the service has started yet: try again when one runs.",
    ),
    jobs.ModelFailed: ProblemKind(
        503,
        "model_unusable",
        "Not available now",
        "No worker can load the model of the service: tell the operator, who finds the reason at /readyz.",
    ),
}

HTTP_CODES: Mapping[int, tuple[str, str]] = {
    400: ("malformed_request", "The request can't be read"),
    401: ("credentials_missing", KINDS[jobs.CredentialsMissing].title),
    403: ("link_invalid", "The signed URL is invalid"),
    404: ("not_found", "Not found"),
    405: ("method_not_allowed", "Method not allowed"),
    408: ("body_too_slow", "The body arrived too slowly"),
    409: ("conflict", "The request conflicts with another one"),
    410: ("edit_erased", KINDS[jobs.JobErased].title),
    412: ("already_exists", "Already exists"),
    413: ("body_too_large", "The request is too large"),
    415: ("unsupported_media_type", "The request has the wrong content type"),
    416: ("range_invalid", "The range is invalid"),
    421: ("host_foreign", KINDS[jobs.HostForeign].title),
    422: ("invalid_input", KINDS[core.InvalidInput].title),
    429: ("too_many_edits", "Too many requests or unfinished edits"),
    503: ("unavailable", "Not available now"),
}
"""Code and title of problems that the framework or a route raises as `HTTPException`, by status."""

HTTP_DETAILS: Mapping[int, str] = {
    404: "The service has no such path: see /docs for all paths.",
    405: "This path does not support the method: see the header Allow.",
}
"""Messages for the errors that the framework raises without one."""


def kind_of(error: Exception) -> ProblemKind:
    """Return the kind of the error's class or of its nearest mapped base class."""
    return next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), INTERNAL)

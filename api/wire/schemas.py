"""The wire: what is sent and what is answered. The only pydantic models besides the settings; nothing else speaks JSON."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import UploadFile
from pydantic import BaseModel, ConfigDict, Field

from s2edit_core.request.limits import CEILING_PIXELS, MAX_PIXELS, MIN_MAX_PIXELS
from s2edit_core.request.spec import MaskMode, OutputFormat, Phase, PresetName
from s2edit_jobs.records.record import JobKind, JobRecord, JobState

ID_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"
"""Of every name that becomes part of an object key: users, edits, identities."""
AT_PATTERN = r"^[0-9]{1,9}, ?[0-9]{1,9}$"
"""Of a pixel in a form; `api.wire.forms.pixel_of` says what is wrong with another text."""
Pixel = Annotated[
    str | None,
    Field(
        json_schema_extra={"pattern": AT_PATTERN},
        description="Where no mask is sent: the pixel of the person that is meant, as `x,y` (such as `512,384`) from the upper "
        "left corner of the photo as it is seen. Left out: the largest person",
    ),
]


MaxPixels = Annotated[
    int | None,
    Field(
        description=f"Scale a photo of more pixels down to so many, {MIN_MAX_PIXELS:,} to {MAX_PIXELS:,}; masks follow it. "
        f"Left out: nothing is scaled, and a photo of more than {MAX_PIXELS / 1e6:.0f} megapixels is refused",
        examples=[12_000_000],
    ),
]
PHOTO = f"PNG, JPEG, WebP, AVIF or HEIC, at most {MAX_PIXELS / 1e6:.0f} megapixels, or with `max_pixels` {CEILING_PIXELS / 1e6:.0f}"


def moment(seconds: float) -> datetime:
    """Seconds since the epoch as RFC 3339 needs them."""
    return datetime.fromtimestamp(seconds, UTC)


def never_null(schema: dict[str, Any]) -> None:
    """A part of a form may be left out, but there is no way to send null."""
    for part in schema["properties"].values():
        kinds = [kind for kind in part.pop("anyOf", []) if kind != {"type": "null"}]
        part.update(*kinds)


class EditOptions(BaseModel):
    """What `POST /edits` takes besides pictures, by form and by JSON. Whatever is not named is refused."""

    model_config = ConfigDict(extra="forbid")

    prompt: Annotated[
        str,
        Field(
            description="What the picture shall show, in English; an instruction (“make her hair blond”) is refused",
            examples=["a photo of a woman with blond hair, smiling"],
        ),
    ]
    source_prompt: Annotated[
        str | None,
        Field(
            description="What the photo shows now. Left out: the identity's, else what the service's captioner says of the photo, "
            "else “a photo of a <subject>”",
            examples=["a photo of a woman"],
        ),
    ] = None
    subject: Annotated[
        str | None,
        Field(
            description="The word of both prompts that names the person, or up to four words. Left out: the identity's, else "
            "searched for",
            examples=["woman"],
        ),
    ] = None
    identity: Annotated[str | None, Field(description="A learned identity, from a former edit's `identity`")] = None
    attributes: Annotated[
        list[str] | None,
        Field(
            description="Ids of learned attributes, one part each, at most 4: the prompt holds the placeholder of each, as in “a "
            "woman with [A] makeup”. They act where the edit may change the photo"
        ),
    ] = None
    parent: Annotated[
        str | None,
        Field(
            description="A former edit to go on from: its result is the photo, its identity and its mask are used again, and its "
            "prompt is the source prompt, each unless given here. `image` is left out",
        ),
    ] = None
    preset: Annotated[
        PresetName | None,
        Field(
            description="`balanced` (default), `paper` (null-text as published, slow) or `instant` (fewer steps)",
            examples=["balanced"],
        ),
    ] = None
    steps: Annotated[int | None, Field(description="Denoising steps, 2 to 999. Left out: the preset's", examples=[50])] = None
    guidance_scale: Annotated[
        float | None,
        Field(description="How strongly the prompt pulls, 1 to 30. Left out: what model and preset recommend", examples=[3.0]),
    ] = None
    negative_prompt: Annotated[
        str | None,
        Field(
            description="What the picture shall not show, in plain words and without placeholders. It acts through guidance, so "
            "only with a `guidance_scale` above 1",
            examples=["glasses"],
        ),
    ] = None
    strength: Annotated[
        float | None,
        Field(
            description="How far back towards noise the edit starts: 1/`steps` or more, so that one step is run; at most "
            "1 (default). Lower values stay nearer to the photo. With `variants` it is 1",
            examples=[1.0],
        ),
    ] = None
    output_format: Annotated[
        OutputFormat | None,
        Field(
            description="`png` (default, also for a photo that came as a JPEG: encoding it as one again would change pixels "
            "outside the edit mask), `jpeg` or `webp`. The report's `outside_edit_mask` says by how much the file differs there",
            examples=["webp"],
        ),
    ] = None
    output_quality: Annotated[
        int | None,
        Field(description="Of a JPEG or WebP, 1 to 100; default 95. A WebP of 100 is lossless. Not for PNG", examples=[95]),
    ] = None
    keep_alpha: Annotated[
        bool | None,
        Field(
            description="Whether the result is as transparent as the photo. Left out: yes, where the format can be; a JPEG is laid "
            "on white. `false` lays it on white in any format"
        ),
    ] = None
    seed: Annotated[
        int | None, Field(description="Same inputs and same seed, same picture. 0 to 2⁶³ − 1; default 0", examples=[0])
    ] = None
    mask_mode: Annotated[
        MaskMode | None,
        Field(
            description="How `mask` marks the region: `luminance` (white), `alpha` (what is painted on transparent) "
            "or `inverted_alpha` (what is transparent). Left out, `auto`: white or painted; refused where it may mean either. "
            "Another mode without a mask is refused too",
            examples=["auto"],
        ),
    ] = None
    edit_mask_mode: Annotated[
        MaskMode | None,
        Field(description="How `edit_mask` marks it, where it is not as `mask_mode` says; only with an `edit_mask`"),
    ] = None
    consent: Annotated[
        str | None,
        Field(
            max_length=2000,
            description="That the person in the photo agrees to being learned and edited, in your words; kept with the identity",
            examples=["Ada Example agreed in the app on 24 November 2026"],
        ),
    ] = None
    identity_ttl_s: Annotated[
        float | None,
        Field(gt=0, le=315_360_000, description="Seconds after which the identity that is learned is erased", examples=[2_592_000]),
    ] = None
    variants: Annotated[
        int | None,
        Field(
            description="Pictures, 1 to 8; default 1. The first is the edit itself, the others start from the same inversion with "
            "noise that is partly drawn anew, by the seeds that follow",
            examples=[3],
        ),
    ] = None
    max_pixels: MaxPixels = None
    deadline_s: Annotated[
        float | None,
        Field(
            gt=0,
            le=604_800,
            description="Seconds from now after which the edit is no longer wanted; it then fails with `deadline_exceeded`",
            examples=[600],
        ),
    ] = None
    webhook_url: Annotated[
        str | None,
        Field(
            max_length=2000,
            description="https:// address that is told, at least once, when the edit is over; by the Standard Webhooks rules",
            examples=["https://app.example.com/hooks/s2edit"],
        ),
    ] = None
    dry_run: Annotated[
        bool, Field(description="Check everything, say what would be done and how long it may take, and keep nothing")
    ] = False


class DryRun(BaseModel):
    """What the same form without `dry_run` would do. Nothing was kept, and nothing is promised."""

    learning: Annotated[
        Literal["needed", "known", "unknown"],
        Field(
            description="`known`: the identity is there already. `unknown`: no worker has said yet which model it has, or a worker "
            "must find the mask or describe the photo first"
        ),
    ]
    identity: Annotated[str | None, Field(description="The id that the identity has, or would have; null while that is unknown")]
    eta_s: Annotated[
        float | None,
        Field(description="Seconds until it would be done, by what edits took so far, at most; null while that is not known"),
    ]


class EditForm(EditOptions):
    """The parts of `POST /edits`."""

    model_config = ConfigDict(extra="forbid", json_schema_extra=never_null)

    image: Annotated[
        UploadFile | None,
        Field(description=f"The photo: {PHOTO}. Left out where `identity` is given"),
    ] = None
    mask: Annotated[
        UploadFile | None,
        Field(
            description="The person's region: white inside, black outside, of the photo's frame. Left out: the identity's or the "
            "parent's, else the person is found"
        ),
    ] = None
    at: Pixel = None
    edit_mask: Annotated[
        UploadFile | None, Field(description="What may change, drawn like `mask`. Left out: the mask, grown a little")
    ] = None


class EditDocument(EditOptions):
    """`POST /edits` as JSON: the pictures are uploads that have been sent before. Null is as good as left out."""

    model_config = ConfigDict(extra="forbid", strict=True)  # a form has only text, JSON has numbers

    image: Annotated[str | None, Field(description="An upload's id: the photo. Left out where `identity` is given")] = None
    mask: Annotated[
        str | None,
        Field(
            description="An upload's id: the person's region. Left out: the identity's or the parent's, else the person is found"
        ),
    ] = None
    at: Annotated[
        list[Annotated[int, Field(ge=0, le=999_999_999)]] | None,
        Field(min_length=2, max_length=2, description="The pixel `[x, y]` of the person that is meant, as of the form"),
    ] = None
    edit_mask: Annotated[str | None, Field(description="An upload's id: what may change")] = None


class ProgressView(BaseModel):
    """How far the current phase is: `step` of `total`; `fraction` is their quotient, 0 to 1."""

    phase: Phase
    step: int
    total: int
    fraction: float


class Link(BaseModel):
    """A file, by a URL that needs no other credentials until `expires_at`. Ask for the edit again to get a fresh one."""

    url: str
    expires_at: datetime


class Picture(Link):
    """A result, by such a URL."""

    media_type: Annotated[str, Field(examples=["image/png"])]


class Report(Link):
    """How the edit was done and what it measures; the same JSON lies behind `url`."""

    values: dict[str, Any]


class EditError(BaseModel):
    """Why the edit failed. `retryable`: the same request may succeed later. `field`: the input to change, if it is one."""

    code: str
    message: str
    retryable: bool
    field: str | None = None


class Edit(BaseModel):
    """Where an edit stands. `sequence` grows with every change and is the `ETag`."""

    id: str
    kind: Annotated[
        JobKind,
        Field(
            description="`identity` and `attribute`: a learning alone, `mask`: the search for a person; they end without a result"
        ),
    ]
    state: JobState
    phase: Phase | None
    progress: ProgressView | None
    created_at: datetime
    updated_at: datetime
    sequence: int
    cancel_requested: bool
    deadline_at: Annotated[datetime | None, Field(description="When the edit is given up if it is not done")]
    eta_s: Annotated[
        float | None,
        Field(description="Seconds until it is done, by what edits like it took; null where that is not known, or over"),
    ]
    identity: Annotated[str | None, Field(description="The identity that was learned or used; later edits may name it")]
    attribute: Annotated[str | None, Field(description="The attribute that was learned")]
    parent: Annotated[str | None, Field(description="The edit whose result this one started from")]
    test: Annotated[bool, Field(description="Whether it was asked for with a test key: then no model has drawn the result")]
    result: Annotated[Picture | None, Field(description="The edited photo, once the state is `succeeded`")]
    results: Annotated[list[Picture], Field(description="`result` and its variants, in order; empty before")]
    mask: Annotated[
        Link | None,
        Field(description="The mask that was used, as it was sent or found, once the state is `succeeded`; the report says which"),
    ]
    report: Report | None
    error: Annotated[EditError | None, Field(description="Once the state is `failed`")]

    @classmethod
    def of(
        cls,
        record: JobRecord,
        *,
        results: Sequence[Picture] = (),
        mask: Link | None = None,
        report: Report | None = None,
        eta_s: float | None = None,
    ) -> Edit:
        failure = record.failure
        return cls(
            id=record.id,
            kind=record.kind,
            state=record.state,
            phase=record.phase,
            progress=_progress(record),
            created_at=moment(record.created_at),
            updated_at=moment(record.updated_at),
            sequence=record.sequence,
            cancel_requested=record.cancel_requested,
            deadline_at=moment(record.deadline_at) if record.deadline_at is not None else None,
            eta_s=None if eta_s is None else round(eta_s, 1),
            identity=record.identity if record.kind != "attribute" else None,
            attribute=record.identity if record.kind == "attribute" else None,
            parent=record.parent,
            test=record.owner.test,
            result=results[0] if results else None,
            results=list(results),
            mask=mask,
            report=report,
            error=EditError(code=failure.code, message=failure.message, retryable=failure.retryable, field=failure.field)
            if failure
            else None,
        )


def _progress(record: JobRecord) -> ProgressView | None:
    if record.phase is None:
        return None
    step = record.total if record.state is JobState.SUCCEEDED else record.step  # workers report a phase as it begins
    fraction = min(1.0, step / record.total) if record.total else 0.0
    return ProgressView(phase=record.phase, step=step, total=record.total, fraction=fraction)


class Consent(BaseModel):
    """What was said of the person's consent, and when."""

    statement: str
    given_at: datetime


class Identity(BaseModel):
    """A person as learned from one photo, mask and prompt."""

    id: str
    source_prompt: Annotated[str | None, Field(examples=["a photo of a [I] woman"])]
    subject: Annotated[str | None, Field(examples=["woman"])]
    created_at: datetime
    expires_at: Annotated[datetime | None, Field(description="When it is erased by itself")] = None
    consent: Annotated[Consent | None, Field(description="What was said of the person's consent")] = None
    has_photo: Annotated[bool, Field(description="False for one that was imported: edits with it send a photo")] = True


class Receipt(BaseModel):
    """That it was erased. `receipt` says the same as a signed JWT (ES256), for whoever wants proof; keys: `GET /receipts/keys`."""

    erased: Literal["user", "edit", "identity", "attribute"]
    id: str
    objects: Annotated[int, Field(description="How many stored objects were deleted")]
    erased_at: datetime
    receipt: Annotated[str, Field(examples=["eyJhbGciOiJFUzI1NiIsInR5cCI6InMyZWRpdC1yZWNlaXB0K2p3dCJ9.eyJlcmFzZWQi….…"])]


class KeySet(BaseModel):
    """A JWK Set (RFC 7517)."""

    keys: list[dict[str, Any]]


class TokenRequest(BaseModel):
    """What a device shall be able to do."""

    model_config = ConfigDict(extra="forbid", strict=True)

    expires_in_s: Annotated[int, Field(ge=1, le=86_400, description="Seconds until it ends; cut to what the service allows")] = 600
    edits: Annotated[int, Field(ge=0, le=1000, description="How many edits it may ask for")] = 1
    uploads: Annotated[int, Field(ge=0, le=1000, description="How many uploads it may begin")] = 3
    scopes: Annotated[
        list[Literal["edits:read", "edits:write", "identities"]] | None,
        Field(min_length=1, description="What it is for. Left out: whatever the key may of these"),
    ] = None


class Token(BaseModel):
    """To be sent as `Authorization: Bearer <token>`, without `S2Edit-User`."""

    token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105  not a secret
    user: str
    scopes: list[str]
    edits: int
    uploads: int
    expires_at: datetime


class Health(BaseModel):
    """`ok`: the process answers."""

    status: str = "ok"


class ProblemDetail(BaseModel):
    """One thing that is wrong. `pointer` is a JSON pointer into the form seen as an object, such as `#/steps`."""

    detail: str
    code: str
    field: str | None = None
    pointer: str | None = None


class Problem(BaseModel):
    """RFC 9457. `type` and `code` are stable; `detail` is for people. `retryable`: the same request may succeed later."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:s2edit:problem:mask_empty",
                    "title": "The mask can't be used",
                    "status": 422,
                    "detail": "the mask is empty: paint the region white",
                    "code": "mask_empty",
                    "retryable": False,
                    "field": "mask",
                    "errors": [
                        {
                            "detail": "the mask is empty: paint the region white",
                            "code": "mask_empty",
                            "field": "mask",
                            "pointer": "#/mask",
                        }
                    ],
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    detail: str
    code: str
    retryable: bool = False
    field: str | None = None
    errors: list[ProblemDetail] = []

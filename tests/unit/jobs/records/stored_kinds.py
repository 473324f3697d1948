"""One record of each stored kind, and the reader of that kind."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from s2edit_core.request.spec import EditRequest, LearningRequest, MaskRequest
from s2edit_jobs.access.keys import USUAL_SCOPES, ApiKey
from s2edit_jobs.library.concepts import Attribute, Consent, Identity
from s2edit_jobs.library.erased_concepts import ErasedConcept
from s2edit_jobs.library.erasure_markers import Begun
from s2edit_jobs.library.uploads import AnnouncedUpload, Bare
from s2edit_jobs.lifecycle.request_markers import ErasedKeys, Marker
from s2edit_jobs.records.record import Failure, InputFile, JobSpec, JobState, Outcome, Owner
from s2edit_jobs.records.stored import Kind, read_record, read_values
from s2edit_jobs.stores.model_facts import LoadFailure, ReportedFacts
from tests.doubles import FACTS

ANN = Owner("app", "ann")
JOB_ID = "e_01a216ae49097f418874395145747b92"
FOLDER = f"{ANN.prefix}edits/{JOB_ID}/"
CONCEPT_ID = "c_" + "1" * 32


@dataclass(frozen=True)
class Stored:
    """A record as it is stored, and its reader."""

    kind: Kind
    data: bytes
    read: Callable[[bytes], Any]

    @property
    def values(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(self.data)
        return values


def spec(request: EditRequest | LearningRequest | MaskRequest, **named: Any) -> JobSpec:
    image = InputFile(f"{FOLDER}image.png", "00", 5, "image/png")
    mask = InputFile(f"{FOLDER}mask.png", "11", 4, "image/png", "alpha", {"source": "given"})
    return JobSpec(JOB_ID, ANN, 1_790_000_000.5, request, {"image": image, "mask": mask}, **named)


FULL = {
    "deadline_at": 1_790_000_600.0,
    "webhook_url": "https://app.example.com/hook",
    "consent": "she agreed",
    "identity_ttl_s": 60.0,
    "traceparent": "00-" + "1" * 32 + "-" + "2" * 16 + "-01",
    "parent": JOB_ID,
    "key_marker": "3" * 64,
}
EDIT = EditRequest(
    prompt="a [I] woman with [A] hat",
    source_prompt="a [I] woman",
    subject="woman",
    identity=CONCEPT_ID,
    attributes=("a_" + "2" * 32,),
    preset="paper",
    steps=7,
    guidance_scale=3.5,
    seed=2**62,
    mask_mode="alpha",
    at=(3, 4),
    negative_prompt="glasses",
    strength=0.5,
    output_format="webp",
    output_quality=90,
    keep_alpha=False,
    max_pixels=1_000_000,
    edit_mask_mode="luminance",
)
LEARNING = LearningRequest(kind="attribute", prompt="a woman with [A] hat", name="Bowler", at=(1, 2), max_pixels=1_000_000)
MASK = MaskRequest(prompt="a woman", at=(3, 4))
SUCCEEDED = Outcome(
    JobState.SUCCEEDED, 2, 1_790_000_001.5, {"result": f"{FOLDER}result-1.png", "mask": f"{FOLDER}mask.png"}, CONCEPT_ID
)
FAILED = Outcome(JobState.FAILED, 1, 1_790_000_001.5, failure=Failure("prompt_invalid", "Wörter", field="prompt"))
KEPT = Identity(
    CONCEPT_ID,
    "a [I] woman",
    "woman",
    1_790_000_000.5,
    spec(MASK).inputs,
    Consent("yes", 1_790_000_000.0),
    1_800_000_000.0,
    name="Ada",
)


def _json(value: Any, **more: Any) -> bytes:
    return json.dumps({**asdict(value), **more}).encode()


def _of(kind: Kind, shape: type[Any]) -> Callable[[bytes], Any]:
    return partial(read_record, kind, shape)


KEY = ApiKey("0" * 16, "app", USUAL_SCOPES, "00", 1.5, "a phone")
STORED: Mapping[str, Stored] = {
    "the spec of an edit": Stored("spec", spec(EDIT, **FULL).to_json(), JobSpec.from_json),
    "the spec of a learning": Stored("spec", spec(LEARNING).to_json(), JobSpec.from_json),
    "the spec of a mask": Stored("spec", spec(MASK).to_json(), JobSpec.from_json),
    "a success": Stored("outcome", SUCCEEDED.to_json(), Outcome.from_json),
    "a failure": Stored("outcome", FAILED.to_json(), Outcome.from_json),
    "a report": Stored("report", b'{"mask": {"source": "found"}, "seed": 1}', partial(read_values, "report")),
    "a found mask": Stored("found mask", b'{"source": "found", "sha256": "00"}', partial(read_values, "found mask")),
    "an identity": Stored("identity", KEPT.to_json(), _of("identity", Identity)),
    "an attribute": Stored("attribute", _json(Attribute("a_1", None, "a", "b", "[A]", 1.5)), _of("attribute", Attribute)),
    "an upload": Stored("upload", _json(AnnouncedUpload("u_1", "image/png", 5, None, 1.5)), _of("upload", AnnouncedUpload)),
    "a bare upload": Stored("bare upload", _json(Bare("00", "11")), _of("bare upload", Bare)),
    "an idempotency marker": Stored("idempotency marker", Marker(JOB_ID, 1.5, "00").to_json(), _of("idempotency marker", Marker)),
    "an erased idempotency marker": Stored(
        "idempotency marker", Marker(JOB_ID, 1.5, "", 2.5).to_json(), _of("idempotency marker", Marker)
    ),
    "erased keys": Stored("erased keys", _json(ErasedKeys({"0" * 32: 1.5})), _of("erased keys", ErasedKeys)),
    "an erased concept": Stored(
        "erased concept", _json(ErasedConcept(1.5, (JOB_ID,)), version=2), _of("erased concept", ErasedConcept)
    ),
    "a key": Stored("key", KEY.to_json(), _of("key", ApiKey)),
    "a model report": Stored("model report", _json(FACTS, reported_at=1.5), _of("model report", ReportedFacts)),
    "a model failure": Stored("model failure", _json(LoadFailure("it has no VAE", 1.5)), _of("model failure", LoadFailure)),
    "an erasure": Stored("erasure", _json(Begun("app", "ann", 1.5)), _of("erasure", Begun)),
}

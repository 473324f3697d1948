"""Taking on what is learned or found ahead of any edit: the same job, by the same rules, that ends without a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header

from api.guard.allowance import Allowance
from api.wire.concept_schemas import AttributeForm, IdentityForm, MaskForm
from api.wire.forms import FILES, check_at, check_pictures, check_webhook, pixel_of, read_parts
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import DEFAULT_SUBJECTS, check_sentences
from s2edit_core.request.spec import ConceptKind, LearningRequest, MaskRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.intake.drafts import draft
from s2edit_jobs.jobs.idempotency import Idempotency, accept_once, request_digest
from s2edit_jobs.jobs.jobs import Jobs
from s2edit_jobs.records.files import Upload, check_modes, modes_of
from s2edit_jobs.records.record import JobRecord, JobSpec, Owner
from s2edit_jobs.records.testmode import spoken
from s2edit_jobs.records.vocabulary import Vocabulary

ASIDE = ("deadline_s", "webhook_url", "consent", "identity_ttl_s")
"""Parts of the forms that are the job's and not the request's."""
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Makes it safe to send the request again: the same key with the same form is the same job",
    ),
]


@dataclass(frozen=True, slots=True)
class Ahead:
    """One `POST` that asks for such a job, in a thread. `kind` is what it is to learn; None: a mask is to be found."""

    kind: ConceptKind | None
    form: IdentityForm | AttributeForm | MaskForm
    owner: Owner
    services: Services
    jobs: Jobs
    vocabulary: Vocabulary | None
    allowance: Allowance

    def take_on(self, key: str | None) -> JobRecord:
        request, files = self._request(), self._files()
        check_syntax(request.prompt, field="prompt")
        check_modes(files, request)
        once = None
        if key is not None:
            asked = {**request.to_dict(), **self.form.model_dump(include={*ASIDE})}
            digest = request_digest(asked, files)
            once = Idempotency(self.jobs, self.owner, key, digest)
            if (earlier := once.earlier()) is not None:
                return earlier
        spec, files = self._checked(request, files)
        return accept_once(
            self.jobs,
            spec,
            files,
            once,
            draft=lambda note: self._draft(request, files, job_id=note.job_id, created_at=note.created_at),
            charge=lambda: self.allowance.take_edit(learns=self.kind is not None),
        )

    def _request(self) -> LearningRequest | MaskRequest:
        values = self.form.model_dump(exclude={*FILES, *ASIDE}, exclude_none=True)
        values |= {"at": pixel_of(values.get("at"))}
        if self.kind is None:
            return MaskRequest.from_dict(values)
        return LearningRequest.from_dict({"kind": self.kind, **values})

    def _files(self) -> dict[str, Upload]:
        """Of a person the photo is enough; of an attribute nobody but the caller knows where it is."""
        needed = ("image", "mask") if self.kind == "attribute" else ("image",)
        return read_parts({name: part for name in FILES if (part := getattr(self.form, name, None)) is not None}, *needed)

    def _checked(self, request: LearningRequest | MaskRequest, files: Mapping[str, Upload]) -> tuple[JobSpec, dict[str, Upload]]:
        check_webhook(self.form.webhook_url, self.services.settings)
        check_at(request.at, files, lambda: files["image"].data)
        if self.vocabulary is not None:
            self._check_words(self.vocabulary, request)
        elif isinstance(request, LearningRequest):
            check_sentences(spoken(self.owner, request), DEFAULT_SUBJECTS)
        person, photo = self.kind == "identity", files["image"].data
        kept = check_pictures(files, lambda: photo, modes_of(files, request), max_pixels=request.max_pixels, person=person)
        return self._draft(request, kept), kept

    def _check_words(self, vocabulary: Vocabulary, request: LearningRequest | MaskRequest) -> None:
        if isinstance(request, LearningRequest):
            vocabulary.check_learning(spoken(self.owner, request))
        else:
            vocabulary.check_description(spoken(self.owner, request))

    def _draft(self, request: LearningRequest | MaskRequest, files: Mapping[str, Upload], **named: Any) -> JobSpec:
        return draft(self.services, self.owner, request, files, **self.form.model_dump(include={*ASIDE}), **named)

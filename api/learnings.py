"""Taking on what is learned ahead of any edit: the same job, by the same rules, that ends in a concept instead of a picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import Header

from api.allowance import Allowance
from api.concept_schemas import AttributeForm, IdentityForm
from api.forms import check_pictures, check_webhook, read_both
from s2edit_core.prompts import DEFAULT_SUBJECTS, check_sentences
from s2edit_core.spec import ConceptKind, LearningRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.drafts import draft
from s2edit_jobs.files import Upload
from s2edit_jobs.idempotency import Idempotency, accept_once, request_digest
from s2edit_jobs.jobs import Jobs
from s2edit_jobs.record import JobRecord, JobSpec, Owner
from s2edit_jobs.testmode import spoken
from s2edit_jobs.vocabulary import Vocabulary

ASIDE = ("deadline_s", "webhook_url", "consent", "identity_life_s")
"""Parts of the forms that are the job's and not the learning's."""
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=r"^[\x21-\x7e]{1,255}$",
        description="Makes it safe to send the request again: the same key with the same form is the same learning",
    ),
]


@dataclass(frozen=True, slots=True)
class Teaching:
    """One `POST` that asks for a learning, in a thread."""

    kind: ConceptKind
    form: IdentityForm | AttributeForm
    owner: Owner
    services: Services
    jobs: Jobs
    vocabulary: Vocabulary | None
    allowance: Allowance

    def take_on(self, key: str | None) -> JobRecord:
        values = self.form.model_dump(exclude={"image", "mask", *ASIDE}, exclude_none=True)
        request = LearningRequest.from_dict({"kind": self.kind, **values})
        files = read_both(self.form.image, self.form.mask)
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
            charge=lambda: self.allowance.take_edit(learns=True),
        )

    def _checked(self, request: LearningRequest, files: Mapping[str, Upload]) -> tuple[JobSpec, dict[str, Upload]]:
        check_webhook(self.form.webhook_url, self.services.settings)
        if self.vocabulary is not None:
            self.vocabulary.check_learning(spoken(self.owner, request))
        else:
            check_sentences(spoken(self.owner, request), DEFAULT_SUBJECTS)
        kept = check_pictures(files, lambda: files["image"].data)
        return self._draft(request, kept), kept

    def _draft(self, request: LearningRequest, files: Mapping[str, Upload], **named: Any) -> JobSpec:
        return draft(self.services, self.owner, request, files, **self.form.model_dump(include={*ASIDE}), **named)

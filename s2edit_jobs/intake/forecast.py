"""The forecast of a job: whether it would have to learn an identity or attribute, and how long an edit would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from s2edit_core.delivery.asked import same_words
from s2edit_core.pictures.containers import read_header
from s2edit_core.request.domains import word_warnings
from s2edit_core.request.picture_limits import scaled_size
from s2edit_core.request.plan import plan_learning
from s2edit_core.request.prompts import ResolvedReference, resolve_prompts, resolve_reference
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.library.concepts import CONCEPT
from s2edit_jobs.records.errors import ModelUnknown, ServiceUnavailable
from s2edit_jobs.records.estimate_keys import estimate_key
from s2edit_jobs.records.estimates import estimate_s
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobSpec, Owner
from s2edit_jobs.records.testmode import without_directives
from s2edit_jobs.stores.artifacts import concept_key
from s2edit_jobs.stores.model_facts import ModelFacts, facts_of

SAME_PROMPTS = (
    "prompt and source_prompt say the same, so the edit changes nothing: let the prompt say what shall differ from the photo, and "
    "the source_prompt what the photo shows"
)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What is known before a worker has seen the job.

    `identity` is the concept's id, `eta_s` an upper estimate of the seconds until the result.

    `learning` is "unknown" if no worker has reported its model, or if a worker has to find the mask, on which the id depends.
    """

    learning: Literal["needed", "known", "unknown"]
    identity: str | None = None
    eta_s: float | None = None


class Forecaster:
    """Forecasts edits from the object store and the measured durations. It changes nothing."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def forecast_edit(self, spec: JobSpec, files: Mapping[str, Upload], attributes: Sequence[tuple[str, str]]) -> Forecast:
        """Forecast a draft that passed all checks.

        `files` are those sent with the request, `attributes` the (placeholder, subject) of each attribute.
        Raise `ServiceUnavailable` if the object store does not answer, `PromptInvalid` if the prompt has no subject of the model.
        """
        request = spec.request
        assert isinstance(request, EditRequest)
        if request.identity is None and "mask" not in files:
            return Forecast("unknown", eta_s=self._eta_s(spec, learns=True, finds_mask=True))
        try:
            identity = request.identity or self._predicted_id(request, files, attributes, test=spec.owner.test)
        except ModelUnknown:
            return Forecast("unknown", eta_s=self._eta_s(spec, learns=True))
        known = self._is_known(spec.owner, identity)
        return Forecast("known" if known else "needed", identity, self._eta_s(spec, learns=not known))

    def prompt_warnings(self, spec: JobSpec, attributes: Sequence[tuple[str, str]]) -> list[str]:
        """Return what may go wrong with an edit's prompts, in sentences: nothing while no worker has reported its model."""
        assert isinstance(spec.request, EditRequest)
        request = without_directives(spec.owner, spec.request)
        try:
            model = self._model(test=spec.owner.test)
        except ModelUnknown:
            return []
        warnings = word_warnings(model.domains, request.prompt, request.negative_prompt)
        if not self._is_captioned(request, test=spec.owner.test) and not request.negative_prompt and request.variants == 1:
            prompts = resolve_prompts(request, model.subjects, attributes)
            warnings += [SAME_PROMPTS] * same_words(prompts.source, prompts.target)
        return warnings

    def forecast_learning(self, spec: JobSpec, files: Mapping[str, Upload]) -> Forecast:
        """Forecast a job that only learns, without a duration. `files` and errors as in `forecast_edit`."""
        request = spec.request
        assert isinstance(request, LearningRequest)
        if "mask" not in files:
            return Forecast("unknown")
        try:
            model = self._model(test=spec.owner.test)
        except ModelUnknown:
            return Forecast("unknown")
        concept = self._planned(request, files, resolve_reference(request, model.subjects), model)
        return Forecast("known" if self._is_known(spec.owner, concept) else "needed", concept)

    def _is_known(self, owner: Owner, concept_id: str) -> bool:
        return self._services.artifacts.exists(concept_key(owner, concept_id, CONCEPT))

    def _model(self, *, test: bool) -> ModelFacts:
        return facts_of(self._services.artifacts, self._services.settings.model, test=test)

    def _is_captioned(self, request: EditRequest, *, test: bool) -> bool:
        """Return whether a worker will describe the photo, in words that only it knows."""
        return bool(self._services.settings.captioner) and request.source_prompt is None and not test

    def _predicted_id(
        self, request: EditRequest, files: Mapping[str, Upload], attributes: Sequence[tuple[str, str]], *, test: bool
    ) -> str:
        """Return the concept id that a worker will compute. Raise `ModelUnknown` if only a worker can compute it."""
        if self._is_captioned(request, test=test):
            raise ModelUnknown("the identity's id depends on the photo's caption, which a worker generates")
        model = self._model(test=test)
        prompts = resolve_prompts(request, model.subjects, attributes)
        learning = LearningRequest(
            kind="identity",
            prompt=prompts.source,
            preset=request.preset,
            seed=request.seed,
            mask_mode=request.mask_mode,
            max_pixels=request.max_pixels,
        )
        return self._planned(learning, files, ResolvedReference(prompts.source, prompts.subject, PLACEHOLDER), model)

    def _planned(
        self, request: LearningRequest, files: Mapping[str, Upload], reference: ResolvedReference, model: ModelFacts
    ) -> str:
        """Return the id of the concept that a worker will compute."""
        return plan_learning(
            request,
            image=files["image"].data,
            mask=files["mask"].data,
            mask_mode=files["mask"].mask_mode or request.mask_mode,
            model=model.fingerprint,
            reference=reference,
            bank=model.word_bank(reference.subject, reference.placeholder),
            scaled_to=_scaled_to(files["image"].data, request.max_pixels),
        )

    def _eta_s(self, spec: JobSpec, *, learns: bool, finds_mask: bool = False) -> float | None:
        assert isinstance(spec.request, EditRequest)
        try:
            key = estimate_key(spec.request, test=spec.owner.test)
            return estimate_s(self._services.store.estimates.prospect(spec.owner, key), learns=learns, finds_mask=finds_mask)
        except ServiceUnavailable:
            return None


def _scaled_to(photo: bytes, max_pixels: int | None) -> tuple[int, int] | None:
    """Return the size to which the engine will scale the photo down, or None if it will not."""
    if max_pixels is None:
        return None
    header = read_header(photo)
    sent = header.size if header is not None else decoders().sent_size(photo)
    seen = scaled_size(sent, max_pixels)
    return None if seen == sent else seen

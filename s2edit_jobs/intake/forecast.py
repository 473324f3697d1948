"""The forecast of a dry run: whether an edit would have to learn an identity, and how long it would take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from s2edit_core.pictures.containers import read_header
from s2edit_core.request.picture_limits import scaled_size
from s2edit_core.request.plan import plan_learning
from s2edit_core.request.prompts import ResolvedReference, resolve_prompts
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.library.concepts import CONCEPT
from s2edit_jobs.records.errors import ModelUnknown, ServiceUnavailable
from s2edit_jobs.records.estimates import estimate_s
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobSpec, estimate_key
from s2edit_jobs.stores.artifacts import concept_key
from s2edit_jobs.stores.model_facts import ModelFacts, facts_of


@dataclass(frozen=True, slots=True)
class Forecast:
    """The answer to a dry run. `identity` is the concept's id, `eta_s` an upper estimate of the seconds until the result.

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
        known = self._services.artifacts.exists(concept_key(spec.owner, identity, CONCEPT))
        return Forecast("known" if known else "needed", identity, self._eta_s(spec, learns=not known))

    def _predicted_id(
        self, request: EditRequest, files: Mapping[str, Upload], attributes: Sequence[tuple[str, str]], *, test: bool
    ) -> str:
        """Return the concept id that a worker will compute. Raise `ModelUnknown` if only a worker can compute it."""
        if self._services.settings.captioner and request.source_prompt is None and not test:
            raise ModelUnknown("the identity's id depends on the photo's caption, which a worker generates")
        model: ModelFacts = facts_of(self._services.artifacts, self._services.settings.model, test=test)
        prompts = resolve_prompts(request, model.subjects, attributes)
        return plan_learning(
            LearningRequest(kind="identity", prompt=prompts.source, preset=request.preset, seed=request.seed),
            image=files["image"].data,
            mask=files["mask"].data,
            mask_mode=files["mask"].mask_mode or request.mask_mode,
            model=model.fingerprint,
            reference=ResolvedReference(prompts.source, prompts.subject, PLACEHOLDER),
            bank=model.word_bank(prompts.subject),
            scaled_to=_scaled_to(files["image"].data, request.max_pixels),
        )

    def _eta_s(self, spec: JobSpec, *, learns: bool, finds_mask: bool = False) -> float | None:
        assert isinstance(spec.request, EditRequest)
        try:
            return estimate_s(
                self._services.store.estimates.prospect(spec.owner, estimate_key(spec)), learns=learns, finds_mask=finds_mask
            )
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

"""What an edit would need, and how long it may take, before anybody has asked for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from s2edit_core.pictures.containers import read_header
from s2edit_core.request.limits import scaled_size
from s2edit_core.request.plan import plan_learning
from s2edit_core.request.prompts import ResolvedReference, resolve_prompts
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest
from s2edit_jobs.bootstrap import Services
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.library.library import CONCEPT
from s2edit_jobs.records.errors import ModelUnknown, ServiceUnavailable
from s2edit_jobs.records.files import Upload
from s2edit_jobs.records.record import JobSpec, Outlook, pace_of
from s2edit_jobs.stores.artifacts import concept_key
from s2edit_jobs.stores.model_facts import ModelFacts, facts_of


@dataclass(frozen=True, slots=True)
class Forecast:
    """`identity` is the id that the concept has or would have, `eta_s` the seconds until the end, at most, as far as known.

    `unknown`: while no worker has said which model it has, and where a worker is to find the mask, which the id depends on.
    """

    learning: Literal["needed", "known", "unknown"]
    identity: str | None = None
    eta_s: float | None = None


class Foresight:
    def __init__(self, services: Services) -> None:
        self._services = services

    def of_edit(self, spec: JobSpec, files: Mapping[str, Upload], worn: Sequence[tuple[str, str]]) -> Forecast:
        """Of a draft that was checked and not accepted. `files` are those that came, `worn` placeholder and subject of attributes.

        Raises `ServiceUnavailable` if the object store does not answer, `PromptInvalid` for what the model has no subject for.
        """
        request = spec.request
        assert isinstance(request, EditRequest)
        if request.identity is None and "mask" not in files:
            return Forecast("unknown", eta_s=self._eta_s(spec, learns=True, finds=True))
        try:
            identity = request.identity or self._would_be(request, files, worn, test=spec.owner.test)
        except ModelUnknown:
            return Forecast("unknown", eta_s=self._eta_s(spec, learns=True))
        known = self._services.artifacts.exists(concept_key(spec.owner, identity, CONCEPT))
        return Forecast("known" if known else "needed", identity, self._eta_s(spec, learns=not known))

    def _would_be(self, request: EditRequest, files: Mapping[str, Upload], worn: Sequence[tuple[str, str]], *, test: bool) -> str:
        """The id by which the worker will look for the concept. Raises `ModelUnknown` where only a worker can tell."""
        if self._services.settings.captioner and request.source_prompt is None and not test:
            raise ModelUnknown("the identity is named by the caption of its photo, which a worker makes")
        model: ModelFacts = facts_of(self._services.artifacts, self._services.settings.model, test=test)
        prompts = resolve_prompts(request, model.subjects, worn)
        return plan_learning(
            LearningRequest(kind="identity", prompt=prompts.source, preset=request.preset, seed=request.seed),
            image=files["image"].data,
            mask=files["mask"].data,
            mask_mode=files["mask"].mask_mode or request.mask_mode,
            model=model.fingerprint,
            reference=ResolvedReference(prompts.source, prompts.subject, PLACEHOLDER),
            attribute_words=model.attribute_words,
            scaled_to=_scaled_to(files["image"].data, request.max_pixels),
        )

    def _eta_s(self, spec: JobSpec, *, learns: bool, finds: bool = False) -> float | None:
        assert isinstance(spec.request, EditRequest)
        try:
            return needed_s(self._services.store.estimates.prospect(spec.owner, pace_of(spec)), learns=learns, finds=finds)
        except ServiceUnavailable:
            return None


def _scaled_to(photo: bytes, max_pixels: int | None) -> tuple[int, int] | None:
    """The size that the engine scales the photo down to; None where it does not."""
    if max_pixels is None:
        return None
    header = read_header(photo)
    sent = header.size if header is not None else decoders().sent_size(photo)
    seen = scaled_size(sent, max_pixels)
    return None if seen == sent else seen


def needed_s(outlook: Outlook, *, learns: bool, finds: bool = False) -> float | None:
    """The turns of those ahead, and then its own phases; None while one of them was never measured.

    An inversion is counted in: whether one is kept for the very crop only the worker can tell. `finds`: the mask is looked
    for first.
    """
    mean = outlook.seconds
    phases = (*(("learning",) if learns else ()), "inverting", "editing")
    if any(phase not in mean for phase in phases):
        return None
    waiting = mean["total"] * outlook.ahead / max(1, outlook.running)
    finding = mean.get("preparing", 0.0) if finds else 0.0
    return waiting + finding + sum(mean[phase] for phase in phases) + mean.get("finishing", 0.0)

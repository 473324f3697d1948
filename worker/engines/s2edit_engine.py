"""The engine with the S²Edit model. It takes and returns files as bytes."""

from __future__ import annotations

import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager, nullcontext
from copy import copy
from functools import cache, partial
from typing import Any, Self

import torch
from PIL import Image

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import tokenize
from s2edit_core.delivery import report, watermark
from s2edit_core.delivery.canvas import to_image
from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.errors import PromptInvalid
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.learning.learning_state import LearningState
from s2edit_core.pictures.files import Original, decode_original, decode_photo, encode_png
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.pipeline import Attribute, Reference, S2EditPipeline, Variation
from s2edit_core.request.plan import EditPlan, digest, plan_edit, plan_learning
from s2edit_core.request.prompts import ResolvedPrompts, ResolvedReference, described, resolve_prompts, resolve_reference
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, LearningRequest, MaskRequest, Progress, check_at
from s2edit_core.unet.precision import choose_dtype
from s2edit_core.unet.row_scheduler import RowClient
from s2edit_core.vision.captions import Captioner
from s2edit_core.vision.reference_person import shown_by
from s2edit_core.vision.segmenters import BaseModelSegmenter, FoundMask, open_segmenter
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.stores.auxiliary_models import loading
from worker.engines.cores import CpuThreads
from worker.engines.edit_run import EditRun, Steps, with_checkpoints, with_previews
from worker.engines.engine import Artifact, Check, DetectedMask, EditInputs, EditResult, PassStats, check_pictures
from worker.engines.loaded_model import choose_device, fit_device, model_facts
from worker.engines.previews import preview_painter
from worker.engines.shared_passes import SharedPasses

CHECKPOINT_STEPS = 20
"""Learning steps between two checkpoints, from which another worker can resume."""


class S2EditEngine:
    """An engine with one loaded model.

    Sessions are cheap copies of it, which share the passes of the UNet through a `RowScheduler`. The engine itself evaluates rows
    directly, and is used by one thread. `jobs` is the number of sessions at a time, among which the CPU's threads are divided.

    With `watermark`, every result that is large enough has a watermark, also outside the edit mask. `segmenter` finds people if
    no mask is sent; None selects the one that the model's card names. `captioner` (a folder or hub id) writes the source prompt
    of edits that have none. `precision` is the UNet's, see `choose_dtype`. Raise `ModelUnusable`, or `DeviceFault` and
    `NumbersNotFinite` if the device can't be used.
    """

    def __init__(
        self,
        model: str,
        device: str = "auto",
        *,
        precision: str = "auto",
        watermark: bool = False,
        segmenter: str | None = None,
        captioner: str | None = None,
        jobs: int = 1,
    ) -> None:
        threads = CpuThreads(torch.get_num_threads())
        chosen = choose_device(device)
        self.model, self.watermark = model, watermark
        self.pipeline = S2EditPipeline.from_pretrained(model, device=chosen, dtype=choose_dtype(precision, chosen))
        with loading("segmenter", segmenter):
            self.segmenter = open_segmenter(segmenter, self.pipeline)
        with loading("captioner", captioner):
            self.captioner = Captioner(captioner, device=chosen) if captioner else None
        backbone = self.pipeline.backbone
        self._most_jobs = fit_device(backbone, jobs)
        self.facts = model_facts(backbone)  # before the passes: it computes, and they end the idle threads of what has
        self._passes = SharedPasses(
            lambda rows: backbone.evaluate(rows, check=False),
            max_rows=backbone.max_rows,
            jobs=self._most_jobs or jobs,
            threads=threads,
        )
        self._turn = threading.Lock()  # at the segmenter and the captioner, which all sessions share
        self._client: RowClient | None = None  # of a session
        # Both avoid decoding a photo twice: the photo of the last `find_mask`, for `plan`; and the last plan, for `edit`.
        self._decoded: tuple[bytes, int | None, Original] | None = None
        self._planned: tuple[EditRequest, EditInputs, EditRun] | None = None

    def most_jobs(self) -> int | None:
        return self._most_jobs

    def peak_memory_bytes(self) -> int | None:
        device = self.pipeline.backbone.device
        return int(torch.cuda.max_memory_allocated(device)) if device.type == "cuda" else None

    @contextmanager
    def session(self, owner: str) -> Iterator[Self]:
        with self._passes.client(owner) as client:
            made = copy(self)
            made._client, made._decoded, made._planned = client, None, None
            made.pipeline = self.pipeline.sharing(client)
            if isinstance(self.segmenter, BaseModelSegmenter):
                made.segmenter = BaseModelSegmenter(made.pipeline)
            yield made

    def pass_stats(self) -> PassStats:
        stats = self._passes.stats()
        return PassStats(stats.passes, dict[str, int](stats.rows.items()), dict[str, float](stats.waited_s.items()))

    def companions_s(self) -> float:
        return self._client.companions_s if self._client is not None else 0.0

    def close(self) -> None:
        self._passes.close()

    def _check_with(self, check: Check | None) -> None:
        """Let `check` interrupt the evaluations from now on."""
        self.pipeline.before_evaluation = check
        if self._client is not None:
            self._client.while_waiting = None if check is None else lambda advanced: check(advanced=advanced)

    @property
    def _model(self) -> dict[str, str]:
        """The model in reports."""
        return {"name": self.model, "fingerprint": self.pipeline.backbone.fingerprint}

    def find_mask(
        self, request: JobRequest, photo: bytes, *, check: Check | None = None
    ) -> Generator[Progress, None, DetectedMask]:
        self._check_with(check)
        yield Progress("preparing", 0, 1)
        prompt = described(request, self.pipeline.backbone.card.subjects)
        decoders().check(photo, {}, max_pixels=request.max_pixels)
        original = decode_original(photo, request.max_pixels)
        picture = original.photo
        scale = InputScale.of(photo, picture.size, request.max_pixels)
        check_at(request.at, scale.sent)
        found = self._find_person(picture, prompt=prompt, at=scale.pixel(request.at))
        yield Progress("preparing", 1, 1)
        self._decoded = None if isinstance(request, MaskRequest) else (photo, request.max_pixels, original)
        box = found.mask.getbbox() or (0, 0, *picture.size)
        return DetectedMask(encode_png(found.mask), found.segmenter, found.people, round(found.confidence, 4), box)

    def _find_person(self, photo: Image.Image, *, prompt: str, at: tuple[int, int] | None) -> FoundMask:
        with nullcontext() if isinstance(self.segmenter, BaseModelSegmenter) else self._turn:
            return self.segmenter.find(photo, prompt=prompt, at=at)

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        reference, person = self._reference(request), request.kind == "identity"
        check_pictures(inputs, request.max_pixels, person=person)
        photo = self._original(inputs.image, request.max_pixels).photo
        self.pipeline.identity_canvas(photo, decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode, person=person))
        return self._learned_id(request, inputs, reference, InputScale.of(inputs.image, photo.size, request.max_pixels))

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Steps[dict[str, Any]]:
        self._check_with(check)
        began, evaluations = time.perf_counter(), self.pipeline.evaluations
        reference, backbone = self._reference(request), self.pipeline.backbone
        photo = decode_photo(inputs.image, request.max_pixels)
        scale = InputScale.of(inputs.image, photo.size, request.max_pixels)
        concept_id = self._learned_id(request, inputs, reference, scale)
        mask = decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode, person=request.kind == "identity")
        state = LearningState.from_bytes(checkpoint, fingerprint=backbone.fingerprints) if checkpoint is not None else None
        told, domains = described(request, backbone.card.subjects), backbone.card.domains
        attribute = request.kind == "attribute"
        shown = shown_by(photo, mask, told, reference.subject, domains, self._find_person) if attribute else None
        learning = self.pipeline.learning_together(
            [Reference(photo, mask, reference.prompt, reference.subject, reference.placeholder, shown.mask if shown else None)],
            request.learning,
            seed=request.seed,
            state=state,
            every=CHECKPOINT_STEPS,
        )
        (learned,) = yield from with_checkpoints(learning, concept_id)
        yield Artifact(
            "concept", concept_id, learned.to_bytes(), reference.prompt, reference.subject, placeholder=reference.placeholder
        )
        return {
            "concept_id": concept_id,
            "concept": learned.facts,
            "learning_steps": learned.facts["steps"] - (state.counter.step if state else 0),
            "seconds": {"learning": round(time.perf_counter() - began, 3)},
            "unet_evaluations": self.pipeline.evaluations - evaluations,
            "inputs": {name: digest(getattr(inputs, name)) for name in ("image", "mask")},
            **(shown.facts if shown is not None else report.warned({}, report.mask_warnings(mask))),
            **scale.facts,
            "model": self._model,
            "versions": report.versions(),
        }

    def _reference(self, request: LearningRequest) -> ResolvedReference:
        backbone = self.pipeline.backbone
        reference = resolve_reference(request, backbone.card.subjects)
        tokenize(backbone, reference.prompt, (reference.placeholder,), field="prompt")
        return reference

    def _learned_id(self, request: LearningRequest, inputs: EditInputs, reference: ResolvedReference, scale: InputScale) -> str:
        backbone = self.pipeline.backbone
        return plan_learning(
            request,
            image=inputs.image,
            mask=inputs.mask,
            mask_mode=inputs.mask_mode,
            model=backbone.fingerprint,
            reference=reference,
            bank=backbone.card.word_bank(reference.subject, reference.placeholder),
            scaled_to=scale.scaled_to,
        )

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        """Raise `PromptInvalid` for a prompt that is too long or has no subject, `ImageInvalid`, or `MaskInvalid`."""
        self._planned = None
        check_pictures(inputs, request.max_pixels)
        run = self._begin(request, inputs)
        self._planned = (request, inputs, run)
        return run.plan

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,
        check: Check | None = None,
    ) -> Steps[EditResult]:
        self._check_with(check)
        planned, self._planned = self._planned, None
        run = planned[2] if planned and planned[:2] == (request, inputs) else self._begin(request, inputs)
        evaluations = self.pipeline.evaluations
        learned, steps = yield from self._concept(run, concept, checkpoint)
        inverted = yield from self._inversion(run, learned, inversion)
        latents = yield from run.timed("editing", self._draw_variants(run, learned, inverted))
        started, finishing = time.perf_counter(), Progress("finishing", 0, 1)
        yield finishing
        made, measures, wanted = [], [], Output.of(request)
        watermarked = self.watermark and watermark.fits(run.canvas.photo.size)
        before = self.pipeline.decoded(inverted.path[0])
        for i, latent in enumerate(latents):
            yield finishing  # again after each slow piece of work: the worker must see that it advances
            raw = self.pipeline.decoded(latent)
            yield finishing
            varied, steered = request.seed_of(i) is not None, bool(request.negative_prompt)
            asked = self.pipeline.asked(inverted, run.prompts.target, steered=steered, varied=varied)
            result, brought_back = self.pipeline.deliver(run.canvas, before, raw, asked=asked)
            yield finishing
            if watermarked:
                result = watermark.mark(result)
                yield finishing
            file, output = encode_result(result, run.original, run.canvas.edit_mask, wanted)
            yield finishing
            made.append(file)
            measures.append(report.delivered(report.measures(run.canvas, to_image(raw), result), output) | brought_back)
        options = {"masked": run.preset.learning.masked, "attributes": run.attributes}
        leakage = self.pipeline.leakage(run.canvas, run.prompts.target, learned, inverted, **options)
        run.seconds["finishing"] = time.perf_counter() - started
        facts = run.facts(inputs, learned, inverted, self._model) | measures[0] | {"variants": measures[1:]}
        facts |= {"leakage": leakage, "learning_steps": steps, "unet_evaluations": self.pipeline.evaluations - evaluations}
        facts = report.warned(facts, self.pipeline.word_warnings(run.prompts.target, request.negative_prompt))
        if self.watermark:
            facts["watermark"] = watermark.facts(run.canvas.photo.size)
        return EditResult(made[0], facts, tuple(made[1:]), watermarked, wanted.media_type)

    def _draw_variants(self, run: EditRun, learned: Concept, inverted: Inversion) -> Steps[list[torch.Tensor]]:
        """Return the latents of the edit and its variants. The steps of all of them count as one phase."""
        seeds = [run.request.seed_of(i) for i in range(run.request.variants)]
        editing = self.pipeline.editing_variants(
            run.canvas,
            run.prompts.target,
            learned,
            inverted,
            variations=[None if seed is None else Variation(seed) for seed in seeds],
            masked=run.preset.learning.masked,
            injection=run.preset.injection,
            attributes=run.attributes,
            negative_prompt=run.request.negative_prompt,
            strength=run.request.strength,
        )
        return (yield from with_previews(editing, cache(partial(preview_painter, self.pipeline.backbone, run.canvas, inverted))))

    def _begin(self, request: EditRequest, inputs: EditInputs) -> EditRun:
        started = time.perf_counter()
        concepts = self._attributes(inputs)
        prompts = self._checked_prompts(request, concepts)
        original = self._original(inputs.image, request.max_pixels)
        photo = original.photo
        Output.of(request).check_size(photo.size)
        scale = InputScale.of(inputs.image, photo.size, request.max_pixels)
        mask = decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode)
        edit_mask = decode_mask(inputs.edit_mask, photo.size, "edit_mask", inputs.edit_mask_mode) if inputs.edit_mask else None
        identity_canvas = self.pipeline.identity_canvas(photo, mask, prompts.subject)
        if self.captioner is not None and request.source_prompt is None:
            with self._turn:
                caption = self.captioner.caption(photo.crop(identity_canvas.seen))
            prompts = self._captioned(request, concepts, caption)
        own_crop = edit_mask is None and not self.pipeline.backbone.card.changes_scene(prompts.subject)
        canvas = identity_canvas if own_crop else self.pipeline.canvas(photo, mask, edit_mask, subject=prompts.subject)
        plan = plan_edit(
            request,
            image=inputs.image,
            mask=inputs.mask,
            mask_mode=inputs.mask_mode,
            model=self.pipeline.backbone.fingerprint,
            source_prompt=prompts.source,
            subject=prompts.subject,
            crop=canvas.box,
            guidance_scale=self.pipeline.guidance(None, request.preset),
            bank=self.pipeline.backbone.card.word_bank(prompts.subject),
            scaled_to=scale.scaled_to,
        )
        attributes = tuple(Attribute(concept) for concept in concepts)
        seconds = {"preparing": time.perf_counter() - started}
        return EditRun(request, request.resolve(), plan, prompts, original, canvas, identity_canvas, attributes, seconds, scale)

    def _original(self, data: bytes, max_pixels: int | None) -> Original:
        """Return the decoded photo, from `find_mask` if it has just decoded the same one."""
        decoded, self._decoded = self._decoded, None
        if decoded is not None and decoded[:2] == (data, max_pixels):
            return decoded[2]
        return decode_original(data, max_pixels)

    def _attributes(self, inputs: EditInputs) -> tuple[Concept, ...]:
        """Return the concepts of the attributes. Raise `ArtifactMismatch` for one of another model."""
        backbone = self.pipeline.backbone
        return tuple(
            Concept.from_bytes(data, fingerprint=backbone.fingerprints, device=backbone.device) for data in inputs.attributes
        )

    def _captioned(self, request: EditRequest, concepts: tuple[Concept, ...], caption: str) -> ResolvedPrompts:
        """Return the prompts with `caption` as the source prompt, or without it if it is too long for the model."""
        try:
            return self._checked_prompts(request, concepts, caption)
        except PromptInvalid as error:
            if (error.field, error.reason) != ("source_prompt", "prompt_too_long"):
                raise
            return self._checked_prompts(request, concepts)

    def _checked_prompts(self, request: EditRequest, concepts: tuple[Concept, ...], caption: str | None = None) -> ResolvedPrompts:
        backbone = self.pipeline.backbone
        named = [(concept.placeholder, concept.subject) for concept in concepts]
        prompts = resolve_prompts(request, backbone.card.subjects, named, caption=caption)
        placeholders = (PLACEHOLDER, *(concept.placeholder for concept in concepts))
        for field, prompt in (("source_prompt", prompts.source), ("prompt", prompts.target)):
            tokenize(backbone, prompt, placeholders, field=field)
        tokenize(backbone, request.negative_prompt or "", (), field="negative_prompt")
        return prompts

    def _concept(self, run: EditRun, saved: bytes | None, checkpoint: bytes | None) -> Steps[tuple[Concept, int]]:
        """Return the concept and the number of learning steps taken. Learn it unless `saved`, from `checkpoint` if given."""
        backbone, prompts = self.pipeline.backbone, run.prompts
        if saved is not None:
            run.seconds["learning"] = 0.0
            return Concept.from_bytes(saved, fingerprint=backbone.fingerprints, device=backbone.device), 0
        state = LearningState.from_bytes(checkpoint, fingerprint=backbone.fingerprints) if checkpoint is not None else None
        learning = self.pipeline.learning(
            run.identity_canvas,
            prompts.source,
            prompts.subject,
            run.preset.learning,
            seed=run.request.seed,
            state=state,
            every=CHECKPOINT_STEPS,
        )
        learned = yield from run.timed("learning", with_checkpoints(learning, run.plan.concept_id))
        yield Artifact("concept", run.plan.concept_id, learned.to_bytes(), prompts.source, prompts.subject)
        return learned, learned.facts["steps"] - (state.counter.step if state else 0)

    def _inversion(self, run: EditRun, concept: Concept, saved: bytes | None) -> Steps[Inversion]:
        backbone = self.pipeline.backbone
        if saved is not None:
            run.seconds["inverting"] = 0.0
            return Inversion.from_bytes(saved, fingerprint=backbone.fingerprints, device=backbone.device)
        inverting = self.pipeline.inverting(
            run.canvas,
            run.prompts.source,
            concept,
            run.preset.inversion,
            steps=run.preset.steps,
            guidance_scale=self.pipeline.guidance(run.preset.guidance_scale, run.preset.name),
            masked=run.preset.learning.masked,
        )
        inverted = yield from run.timed("inverting", inverting)
        yield Artifact("inversion", run.plan.inversion_id, inverted.to_bytes())
        return inverted

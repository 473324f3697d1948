"""The engine of test mode: no model, no torch. What it makes depends on inputs and seed alone, and shows that it is a test's.

It takes what the real engine takes, refuses what that refuses of pictures and prompts, and goes through the same phases. The
picture is the photo with what may change under a colour, which prompt and seed decide, and the word TEST. A mask that was not
given is an ellipse. The concept is a file like others, of a model that no live service has. Neither carries content credentials:
no model has edited anything.
"""

from __future__ import annotations

import colorsys
import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from safetensors.numpy import save

from s2edit_core.delivery import report
from s2edit_core.delivery.output import Output, encode_result
from s2edit_core.errors import ArtifactMismatch, OptionInvalid
from s2edit_core.pictures.files import decode_original, decode_photo, encode_png, grown, inside_of
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.plan import EditPlan, digest, plan_edit, plan_learning
from s2edit_core.request.prompts import ResolvedPrompts, ResolvedReference, resolve_prompts, resolve_reference
from s2edit_core.request.spec import (
    CONCEPT_FORMAT,
    PLACEHOLDER,
    EditRequest,
    LearningRequest,
    MaskRequest,
    Phase,
    Progress,
    check_at,
)
from s2edit_jobs.decoding.decoders import decoders
from s2edit_jobs.library.concept_files import about_of
from s2edit_jobs.records.record import JobRequest
from s2edit_jobs.records.testmode import MASK_NOT_FOUND, wishes_in
from s2edit_jobs.stores.model_facts import ModelFacts, of_test_mode
from worker.engines.engine import Edited, EditInputs, Found, Made, check_pictures

MODEL = "test mode"
WORD = "TEST"
STEPS = 5
"""Of each phase, at least."""
STEP_S = 0.1
"""The longest step: as soon as that a wish to cancel is heard."""
PERSON = (0.6, 0.8)
"""How much of the photo's width and height the ellipse takes that stands for a person."""
SHARE = 0.5
"""How much of the region is the colour's, the rest the photo's."""
_drawing = threading.Lock()
"""A photo may be large, and the worker's memory is the live edits': one at a time."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One edit under way."""

    plan: EditPlan
    prompts: ResolvedPrompts
    worn: dict[str, dict[str, Any]]  # by placeholder, what is said of each attribute
    scale: InputScale


class ModelessEngine:
    """`facts` are the live model's, whose words it knows people by. May be used from several threads at a time."""

    def __init__(self, facts: ModelFacts) -> None:
        self.facts = of_test_mode(facts)

    def find_mask(
        self,
        request: JobRequest,
        photo: bytes,
        *,
        check: Callable[[], None] | None = None,  # noqa: ARG002
    ) -> Generator[Progress, None, Found]:
        """Of an edit and of a learning, what is slow or fails otherwise comes later."""
        wishes = wishes_in(request.prompt or "")
        alone = isinstance(request, MaskRequest)
        decoders().check(photo, {}, max_pixels=request.max_pixels)
        size = decode_photo(photo, request.max_pixels).size
        scale = InputScale.of(photo, size, request.max_pixels)
        check_at(request.at, scale.sent)
        yield from _phase("preparing", wishes.lasts_s if alone else 0.0)
        if alone or wishes.fails == MASK_NOT_FOUND:
            wishes.check_fate()
        mask = stand_in(size, scale.pixel(request.at))
        return Found(encode_png(mask), MODEL, 1, 1.0, mask.getbbox() or (0, 0, *size))

    def plan_learning(self, request: LearningRequest, inputs: EditInputs) -> str:
        person = request.kind == "identity"
        check_pictures(inputs, request.max_pixels, person=person)
        photo = decode_photo(inputs.image, request.max_pixels)
        decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode, person=person)
        scale = InputScale.of(inputs.image, photo.size, request.max_pixels)
        return self._learned_id(request, inputs, resolve_reference(request, self.facts.subjects), scale)

    def learn(
        self,
        request: LearningRequest,
        inputs: EditInputs,
        *,
        checkpoint: bytes | None = None,  # noqa: ARG002  it makes none
        check: Callable[[], None] | None = None,  # noqa: ARG002  its steps are short
    ) -> Generator[Progress | Made, None, dict[str, Any]]:
        reference, wishes = resolve_reference(request, self.facts.subjects), wishes_in(request.prompt)
        scale = InputScale.of(inputs.image, decode_photo(inputs.image, request.max_pixels).size, request.max_pixels)
        concept_id = self._learned_id(request, inputs, reference, scale)
        yield from _phase("learning", wishes.lasts_s)
        wishes.check_fate()
        facts = self._facts(reference, request.seed)
        yield Made(
            "concept",
            concept_id,
            self._concept(reference, facts, inputs),
            reference.prompt,
            reference.subject,
            placeholder=reference.placeholder,
        )
        return self._common({"learning": wishes.lasts_s}, {name: getattr(inputs, name) for name in ("image", "mask")}) | {
            "concept_id": concept_id,
            "concept": facts,
            **scale.facts,
        }

    def plan(self, request: EditRequest, inputs: EditInputs) -> EditPlan:
        check_pictures(inputs, request.max_pixels)
        return self._begin(request, inputs).plan

    def edit(
        self,
        request: EditRequest,
        inputs: EditInputs,
        *,
        concept: bytes | None,
        inversion: bytes | None,
        checkpoint: bytes | None = None,  # noqa: ARG002
        check: Callable[[], None] | None = None,  # noqa: ARG002
    ) -> Generator[Progress | Made, None, Edited]:
        """All that is slow is so while editing: what others may wait for, the learning, never is."""
        run, wishes = self._begin(request, inputs), wishes_in(request.prompt)
        reference = ResolvedReference(run.prompts.source, run.prompts.subject, PLACEHOLDER)
        if concept is None:
            yield from _phase("learning", 0.0)
            concept = self._concept(reference, self._facts(reference, request.seed), inputs)
            yield Made("concept", run.plan.concept_id, concept, run.prompts.source, run.prompts.subject)
        learned = self._about(concept)["facts"]
        inverted = f"{MODEL} {run.plan.inversion_id}".encode()
        if inversion is None:
            yield from _phase("inverting", 0.0)
            yield Made("inversion", run.plan.inversion_id, inverted)
        elif inversion != inverted:
            raise ArtifactMismatch("the inversion was not made in test mode")
        yield from _phase("editing", wishes.lasts_s)
        wishes.check_fate()
        yield Progress("finishing", 0, 1)
        with _drawing:
            made, measures = _draw(request, run.prompts.target, inputs)
        told = self._told(request, run, learned, inputs, wishes.lasts_s) | measures[0] | {"variants": measures[1:]}
        return Edited(made[0], told, tuple(made[1:]), media_type=Output.of(request).media_type)

    def _begin(self, request: EditRequest, inputs: EditInputs) -> _Run:
        abouts = [self._about(data) for data in inputs.attributes]
        prompts = resolve_prompts(request, self.facts.subjects, [(about["placeholder"], about["subject"]) for about in abouts])
        photo = decode_photo(inputs.image, request.max_pixels)
        Output.of(request).check_size(photo.size)
        scale = InputScale.of(inputs.image, photo.size, request.max_pixels)
        decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode)
        if inputs.edit_mask is not None:
            decode_mask(inputs.edit_mask, photo.size, "edit_mask", inputs.edit_mask_mode)
        plan = plan_edit(
            request,
            image=inputs.image,
            mask=inputs.mask,
            mask_mode=inputs.mask_mode,
            model=self.facts.fingerprint,
            source_prompt=prompts.source,
            subject=prompts.subject,
            crop=(0, 0, *photo.size),
            attribute_words=self.facts.attribute_words,
            scaled_to=scale.scaled_to,
        )
        return _Run(plan, prompts, {about["placeholder"]: about["facts"] for about in abouts}, scale)

    def _learned_id(self, request: LearningRequest, inputs: EditInputs, reference: ResolvedReference, scale: InputScale) -> str:
        return plan_learning(
            request,
            image=inputs.image,
            mask=inputs.mask,
            mask_mode=inputs.mask_mode,
            model=self.facts.fingerprint,
            reference=reference,
            attribute_words=self.facts.attribute_words,
            subjects=self.facts.subjects,
            scaled_to=scale.scaled_to,
        )

    def _facts(self, reference: ResolvedReference, seed: int) -> dict[str, Any]:
        """What is said of a concept, as of one that was learned in no steps."""
        return {
            "subject": reference.subject,
            "prompt": reference.prompt,
            "seed": seed,
            "steps": 0,
            "loss_end": 0.0,
            "max_abs_cosine_to_bank": 0.0,
            "mean_abs_cosine_to_bank": 0.0,
        }

    def _concept(self, reference: ResolvedReference, facts: dict[str, Any], inputs: EditInputs) -> bytes:
        """A token that the pictures decide, and no changes of keys and values."""
        seen = np.frombuffer(hashlib.sha256(inputs.image + inputs.mask).digest(), np.uint8)
        token = np.resize(seen, self.facts.width).astype(np.float32) / 255
        about = {
            "format": CONCEPT_FORMAT,
            "fingerprint": self.facts.fingerprint,
            "facts": facts,
            "placeholder": reference.placeholder,
            "subject": reference.subject,
        }
        return save({"token": token}, metadata={"s2edit": json.dumps(about, sort_keys=True)})

    def _about(self, concept: bytes) -> dict[str, Any]:
        """What a concept's file says. Raises `ArtifactMismatch` for one that was not made here."""
        try:
            about = about_of(concept)
        except OptionInvalid as error:
            raise ArtifactMismatch(str(error)) from error
        if (about.get("format"), about.get("fingerprint")) != (CONCEPT_FORMAT, self.facts.fingerprint):
            raise ArtifactMismatch("the concept was not made in test mode")
        return about

    def _told(self, request: EditRequest, run: _Run, facts: dict[str, Any], inputs: EditInputs, slow_s: float) -> dict[str, Any]:
        preset = request.resolve()
        files = {name: data for name in ("image", "mask", "edit_mask") if (data := getattr(inputs, name)) is not None}
        seconds = {"preparing": 0.0, "learning": 0.0, "inverting": 0.0, "editing": slow_s, "finishing": 0.0, "total": slow_s}
        return self._common(seconds, files) | {
            "concept_id": run.plan.concept_id,
            "inversion_id": run.plan.inversion_id,
            "concept": facts,
            "inversion": {
                "canvas": digest(inputs.image + inputs.mask)[:32],
                "prompt": run.prompts.source,
                "concept": run.plan.concept_id.removeprefix("c_"),
                "tier": preset.inversion.tier,
                "steps": preset.steps,
            },
            "source_prompt": run.prompts.source,
            "source_prompt_origin": run.prompts.origin,
            "prompt": run.prompts.target,
            "negative_prompt": request.negative_prompt,
            "strength": request.strength,
            "subject": run.prompts.subject,
            "preset": preset.name,
            "guidance_scale": preset.guidance_scale,
            "seed": request.seed,
            "attributes": run.worn,
            **run.scale.facts,
            "leakage": dict.fromkeys((PLACEHOLDER, *run.worn), 0.0),
            "provenance": None,
            "watermark": None,
        }

    def _common(self, seconds: dict[str, float], files: dict[str, bytes]) -> dict[str, Any]:
        return {
            "test": True,
            "seconds": seconds,
            "learning_steps": 0,
            "unet_evaluations": 0,
            "inputs": {name: digest(data) for name, data in files.items()},
            "model": {"name": MODEL, "fingerprint": self.facts.fingerprint},
            "versions": report.versions(),
        }


def _phase(phase: Phase, lasts_s: float) -> Generator[Progress, None, None]:
    steps = max(STEPS, math.ceil(lasts_s / STEP_S))
    for step in range(1, steps + 1):
        time.sleep(lasts_s / steps)
        yield Progress(phase, step, steps)


def _draw(request: EditRequest, prompt: str, inputs: EditInputs) -> tuple[list[bytes], list[dict[str, Any]]]:
    """The pictures' files, and what was changed in each."""
    original, wanted = decode_original(inputs.image, request.max_pixels), Output.of(request)
    photo = original.photo
    if inputs.edit_mask is None:
        edit_mask = grown(decode_mask(inputs.mask, photo.size, mode=inputs.mask_mode))
    else:
        edit_mask = decode_mask(inputs.edit_mask, photo.size, "edit_mask", inputs.edit_mask_mode)
    made, measures = [], []
    for i in range(request.variants):
        asked = [*_asked(request, prompt), str((request.seed + i) % 2**63), *(digest(worn) for worn in inputs.attributes)]
        result = tinted(photo, edit_mask, "|".join(asked))
        file, output = encode_result(result, original, edit_mask, wanted)
        made.append(file)
        measures.append(report.delivered(report.changes(photo, result, result, edit_mask), output) | _whole(photo))
    return made, measures


def _asked(request: EditRequest, prompt: str) -> list[str]:
    """What of the request decides the colour."""
    further = [request.negative_prompt or "", f"{request.strength:g}"]
    return [prompt] if further == ["", "1"] else [prompt, *further]


def _whole(photo: Image.Image) -> dict[str, Any]:
    """What a report says of delivery and canvas: all of the edit mask is tinted, in the photo's own frame."""
    delivery = {"way": "difference", "replaced": 0.0, "shifted": 1.0, "left": 0.0}
    return {"delivery": delivery, "canvas": {"box": [0, 0, *photo.size], "frame": list(photo.size), "stretch": 1.0}}


def tinted(photo: Image.Image, edit_mask: Image.Image, cause: str) -> Image.Image:
    """`photo` with the colour that `cause` leads to, and a word, inside `edit_mask`; outside not one pixel is changed."""
    hue = int.from_bytes(hashlib.sha256(cause.encode()).digest()[:4]) / 2**32
    colour = tuple(round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.8, 0.9))
    region = Image.fromarray((inside_of(edit_mask) * 255).astype(np.uint8))
    left, top, right, bottom = region.getbbox() or (0, 0, *photo.size)
    cover = Image.new("RGB", photo.size, colour)
    font = ImageFont.load_default(size=max(8.0, (right - left) / len(WORD)))
    ImageDraw.Draw(cover).text(((left + right) / 2, (top + bottom) / 2), WORD, fill="white", font=font, anchor="mm")
    return Image.composite(Image.blend(photo, cover, SHARE), photo, region)


def stand_in(size: tuple[int, int], at: tuple[int, int] | None) -> Image.Image:
    """A mask of `size`: an ellipse around `at`, in the middle if nobody is pointed at."""
    x, y = at or (size[0] // 2, size[1] // 2)
    across, down = (max(1, round(side * share / 2)) for side, share in zip(size, PERSON, strict=True))
    mask = Image.new("L", size)
    ImageDraw.Draw(mask).ellipse([x - across, y - down, x + across, y + down], fill=255)
    return mask

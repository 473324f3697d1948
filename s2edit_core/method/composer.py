"""Composition: from photo, masks, prompts and concepts to algorithms over rows.

`S2EditPipeline` drives these algorithms in diffusers' idiom. A caller that fills passes with rows of several edits drives them
together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import (
    conditioned,
    own_columns,
    prompt_gates,
    prompt_keys_values,
    replaced_words,
    tokenize,
)
from s2edit_core.delivery.asked import Asked, asked_for
from s2edit_core.delivery.canvas import Canvas, make_canvas
from s2edit_core.delivery.difference import change_between
from s2edit_core.errors import ArtifactMismatch, PromptInvalid
from s2edit_core.method.attribute_regions import located_by_difference, with_regions
from s2edit_core.method.editing import AtStepEnd, edit_variants, vary_noise
from s2edit_core.method.injection import SourceGuide, source_guide
from s2edit_core.method.inputs import (
    Attribute,
    Reference,
    Variation,
    check_concepts,
    check_delivery,
    check_marked,
    check_prompt,
)
from s2edit_core.method.inversion import Inversion, Source
from s2edit_core.method.leakage import MaskedPlaceholder, leakage
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.method.negation import negative_prompt_guidance
from s2edit_core.pictures.files import check_mask
from s2edit_core.request.options import InjectionOptions
from s2edit_core.request.presets import PresetName
from s2edit_core.request.prompts import check_negative, check_placeholders, known_subject, with_placeholder
from s2edit_core.request.spec import PLACEHOLDER, Delivery, check_strength
from s2edit_core.unet.attention import Gates
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Result

Compute = Callable[[Callable[[], Tensor]], Tensor]
"""Calls what it gets, in a thread of its choice, and returns the result."""


class Composer:
    """Builds the algorithms over one base model. Holds no user's data."""

    def __init__(self, backbone: Backbone, *, compute: Compute | None = None) -> None:
        """`compute` runs the auto-encoder, such as `RowClient.compute`; by default the calling thread does."""
        self.backbone = backbone
        self._compute = compute or _directly

    def encoded(self, canvas: Canvas) -> Tensor:
        """Return the latent `(c, h, w)` of the canvas's frame; see `Backbone.encode_image`."""
        return self._encoded(canvas.source())

    def _encoded(self, picture: Tensor) -> Tensor:
        return self._compute(lambda: self.backbone.encode_image(picture))

    def decoded(self, latent: Tensor) -> Tensor:
        """Return the image `(3, H, W)` in -1..1 of a latent; see `Backbone.decode_latent`."""
        return self._compute(lambda: self.backbone.decode_latent(latent))

    def guidance(self, wanted: float | None, preset: PresetName = "paper") -> float:
        """Return the guidance scale `wanted`, or by default the one that the model's card recommends for `preset`."""
        return wanted if wanted is not None else self.backbone.card.guidance(preset)

    def canvas(self, photo: Image.Image, mask: Image.Image, edit_mask: Image.Image | None = None, *, subject: str = "") -> Canvas:
        """Fit `photo` (RGB) and its masks (L, same size) into the frame, where the model's training pictures show `subject`.

        Without an `edit_mask`, what may change is the mask and a margin, or the whole photo if edits of `subject` change the scene.
        Raises `ImageInvalid`, `MaskInvalid`.
        """
        if edit_mask is None and self.backbone.card.changes_scene(subject):
            edit_mask = Image.new("L", photo.size, 255)
        return self._canvas(photo, mask, edit_mask, subject)

    def identity_canvas(self, photo: Image.Image, mask: Image.Image, subject: str = "") -> Canvas:
        """Fit the subject alone into the frame, as its identity is learned, whatever an edit may change. Raises as `canvas`."""
        return self._canvas(photo, mask, None, subject)

    def _canvas(self, photo: Image.Image, mask: Image.Image, edit_mask: Image.Image | None, subject: str) -> Canvas:
        backbone = self.backbone
        placement = backbone.card.placement(subject)
        return make_canvas(
            photo, mask, edit_mask, frame_size=backbone.frame_size, multiple=backbone.frame_multiple, placement=placement
        )

    def subject_of(self, prompt: str, concept: Concept | None) -> str:
        """Return the subject of `concept`, otherwise the one that `prompt` names; empty if there is none."""
        if concept is not None and concept.subject:
            return concept.subject
        try:
            return known_subject(prompt, self.backbone.card.subjects)
        except PromptInvalid:
            return ""

    def edit_rows(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        *,
        variation: Variation | None = None,
        **options: Any,
    ) -> Algorithm[Tensor]:
        """Return editing as an algorithm over rows, which ends with the edited latent `(c, h, w)`.

        A `variation` draws a variant from the same inversion. For the other options and errors see `variant_rows`.
        """
        return _only(self.variant_rows(canvas, prompt, concept, inversion, variations=(variation,), **options))

    def variant_rows(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        *,
        variations: Sequence[Variation | None],
        masked: bool = True,
        attributes: Sequence[Attribute] = (),
        negative_prompt: str | None = None,
        strength: float = 1.0,
        injection: InjectionOptions | None = None,
        source_prompt: str | None = None,
        at_step_end: AtStepEnd | None = None,
    ) -> Algorithm[list[Tensor]]:
        """Return variants of one edit as an algorithm over shared rows, which ends with their latents `(c, h, w)`.

        Each of `variations` draws a variant from the same inversion; None is the edit itself. What depends on the prompts alone is
        made once. In an edit with a blend, attributes without a region act where their words do (`attribute_regions`).

        `strength` (above 0, at most 1) is how far back along the inverted path the edit starts; 1 starts from noise. Attributes act
        in the target prompt only and stay inside their regions, whether [I] is `masked` or not. Attention `injection` needs the
        `source_prompt` of the inversion, unless the inversion's facts hold it. The `negative_prompt` says what the result must not
        show, and holds no placeholder. For `at_step_end` see `edit`.

        Raises `ArtifactMismatch` for an inversion of another model, photo or concept, `OptionInvalid` or `PromptInvalid` for other
        arguments that can't be used.
        """
        concepts = self._concepts(concept, attributes)
        check_prompt(prompt, concepts, attributes)
        self._check_inversion(inversion, canvas, concept)
        check_strength(strength, inversion.steps)
        if any(each.concept.key_columns for each in attributes):  # what they change outside their regions is not to be drawn
            injection = located_by_difference(injection)
        located = injection is not None and injection.blend != "none"
        if located and any(each.region is None for each in attributes):
            options: dict[str, Any] = {"variations": variations, "masked": masked, "negative_prompt": negative_prompt}
            options |= {"strength": strength, "injection": injection, "source_prompt": source_prompt, "at_step_end": at_step_end}
            drawn = partial(self.variant_rows, canvas, prompt, concept, inversion, **options)
            return _placed(with_regions(self.backbone, canvas, prompt, concepts, inversion, attributes), drawn)
        target = prompt_keys_values(self.backbone, prompt, concepts)
        gates = self._gates(canvas, prompt, self._masks(canvas, concept if masked else None, attributes), concepts, field="prompt")
        first = inversion.steps - round(strength * inversion.steps)
        starts = [self._varied_start(canvas, inversion, first, each) if each else None for each in variations]
        guide = None
        if injection is not None and injection.acts:
            described = source_prompt or inversion.facts.get("prompt")
            guide = self._guide(canvas, prompt, concept, injection, described, masked, attributes)
        learned = self._concepts(concept)
        negative = None
        if negative_prompt and negative_prompt.strip():
            check_negative(negative_prompt)
            negative = negative_prompt_guidance(self.backbone, inversion, negative_prompt, learned)
        return edit_variants(
            self.backbone,
            inversion,
            target,
            gates,
            tuple(learned.values()),
            guide,
            first=first,
            starts=starts,
            negative=negative,
            at_step_end=at_step_end,
        )

    def asked(self, inversion: Inversion, prompt: str, *, steered: bool = False, varied: bool = False) -> Asked:
        """Return what an edit of `inversion` with `prompt` asks for, by the words.

        A negative prompt or a callback (`steered`) may ask for anything, and a variant (`varied`) for anything but nothing.
        """
        asked = asked_for(inversion.facts.get("prompt") or "", prompt)
        return "anything" if steered or (varied and asked == "nothing") else asked

    def deliver(
        self, canvas: Canvas, before: Tensor, drawn: Tensor, delivery: Delivery = "difference", *, asked: Asked = "anything"
    ) -> tuple[Image.Image, dict[str, Any]]:
        """Return the photo with the edited frame `drawn` `(3, H, W)` in -1..1, and the facts of that for a report.

        "difference" adds to the photo the difference between `drawn` and `before`, the decoded latent of the photo itself
        (`inversion.path[0]`). "paste" shows the frame itself. If "nothing" was `asked` for, the frames differ only by the
        inversion's error, and the photo is returned unchanged. If "colours", "tones" or "makeup" were, nothing new is shown; if
        "things" or an "expression" were, nothing is tinted. Raises `OptionInvalid` for another delivery.
        """
        check_delivery(delivery)
        facts: dict[str, Any] = {"box": list(canvas.box), "frame": list(canvas.frame), "stretch": round(canvas.stretch, 4)}
        if delivery == "paste":
            return canvas.paste(drawn), {"delivery": {"way": delivery}, "canvas": facts}
        change = change_between(
            before,
            before if asked == "nothing" else drawn,
            canvas.source(),
            self.backbone.latent_scale,
            noise=canvas.noise,
            asked=asked,
        )
        shares = change.shares(canvas.mask(canvas.edit_mask))
        return canvas.deliver(change), {"delivery": {"way": delivery, **shares}, "canvas": facts}

    def _varied_start(self, canvas: Canvas, inversion: Inversion, first: int, variation: Variation) -> Tensor:
        """Return the latent `(c, h, w)` that a variant starts from after `first` skipped steps, with its share of fresh noise."""
        start, where = inversion.path[inversion.steps - first], self._cells(canvas, canvas.edit_mask)
        if first == 0:
            return vary_noise(start, where, variation.seed, variation.amount)
        schedule = self.backbone.schedule
        alpha = schedule.alpha(schedule.timesteps(inversion.steps)[first])  # the start is √ᾱ·z_0 + √(1−ᾱ)·noise
        photo, level = math.sqrt(alpha) * inversion.path[0], math.sqrt(1 - alpha)
        return photo + level * vary_noise((start - photo) / level, where, variation.seed, variation.amount)

    def _guide(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        options: InjectionOptions,
        source_prompt: str | None,
        masked: bool,
        attributes: Sequence[Attribute],
    ) -> SourceGuide:
        """Return the source guide of an edit with attention injection."""
        if source_prompt is None:
            raise ValueError("attention injection needs the source_prompt that the inversion was made with")
        regions = [self._cells(canvas, each.region) for each in attributes if each.region is not None]
        return source_guide(
            self.backbone,
            self.source(canvas, source_prompt, concept, masked=masked),
            source_prompt,
            prompt,
            options,
            edit_mask=self._cells(canvas, canvas.edit_mask),
            attribute_mask=torch.stack(regions).amax(dim=0) if regions else None,
            placeholders=replaced_words(self._concepts(concept, attributes)),
        )

    def _cells(self, canvas: Canvas, mask: Image.Image) -> Tensor:
        """Return a mask of the photo in latent cells, `(h, w)` in 0..1."""
        return canvas.cells(mask, self._latent_size(canvas))

    def source(self, canvas: Canvas, prompt: str, concept: Concept | None, *, masked: bool = True) -> Source:
        """Return the source side of an edit: the conditioned source prompt and its gates."""
        concepts = self._concepts(concept)
        tokens = tokenize(self.backbone, prompt, replaced_words(concepts), field="source_prompt")
        with torch.no_grad():
            now = conditioned(self.backbone, tokens, concepts)
        gates = self._gates(canvas, prompt, self._masks(canvas, concept if masked else None), concepts, field="source_prompt")
        return Source(prompt=now.prompt, gates=gates, states=now.states, concepts=tuple(concepts.values()))

    def leakage_rows(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        *,
        masked: bool = True,
        attributes: Sequence[Attribute] = (),
    ) -> Algorithm[dict[str, float]]:
        """Return, by placeholder of `prompt`, the largest share of its attention in any layer that falls outside its mask, 0..1.

        The algorithm evaluates one row, in the middle of the inverted path. The share is exactly 0 for gated placeholders.
        """
        concepts, masks = self._concepts(concept, attributes), self._masks(canvas, concept, attributes)
        columns = own_columns(tokenize(self.backbone, prompt, replaced_words(concepts)), concepts)
        placeholders = {name: MaskedPlaceholder(columns[name], mask) for name, mask in masks.items() if name in columns}
        if not placeholders:
            return {}
        gates = self._gates(canvas, prompt, self._masks(canvas, concept if masked else None, attributes), concepts, field="prompt")
        target = prompt_keys_values(self.backbone, prompt, concepts)
        shares = yield from leakage(self.backbone, inversion.path, target, gates, placeholders)
        return {name: float(share.max()) for name, share in shares.items()}

    def _lesson(
        self, canvas: Canvas, mask: Image.Image, prompt: str, subject: str, placeholder: str, request_words: Sequence[str]
    ) -> Lesson:
        words = tuple(request_words)
        return Lesson(self.encoded(canvas), canvas.mask(mask), prompt, subject, placeholder, words, source=canvas.digest)

    def _reference_canvas(self, reference: Reference) -> Canvas:
        """Return the frame of a reference.

        That of an identity is cropped around its mask. That of an attribute shows the person in the reference, or the whole photo.
        """
        check_mask(reference.mask, reference.image.size, "mask")
        if reference.placeholder == PLACEHOLDER:
            return self.identity_canvas(reference.image, reference.mask, self._reference_subject(reference))
        whole = reference.person if reference.person is not None else Image.new("L", reference.image.size, 255)
        return self.identity_canvas(reference.image, whole, self.subject_of(reference.prompt, None))

    def _reference_subject(self, reference: Reference) -> str:
        if reference.subject is None and reference.placeholder != PLACEHOLDER:
            raise PromptInvalid(
                "an attribute needs a subject: the word of the prompt that names it, such as makeup",
                field="subject",
                reason="subject_unknown",
            )
        return reference.subject or known_subject(reference.prompt, self.backbone.card.subjects)

    def _reference_lesson(self, reference: Reference, canvas: Canvas) -> Lesson:
        if reference.placeholder != PLACEHOLDER:
            check_marked(canvas.mask(reference.mask), self.backbone.latent_scale)
        subject = self._reference_subject(reference)
        check_placeholders(reference.prompt, (reference.placeholder,), field="prompt")
        prompt = with_placeholder(reference.prompt, subject, field="prompt", placeholder=reference.placeholder)
        return self._lesson(canvas, reference.mask, prompt, subject, reference.placeholder, reference.request_words)

    def _concepts(self, concept: Concept | None, attributes: Sequence[Attribute] = ()) -> dict[str, Concept]:
        """Return all concepts by placeholder.

        Raises `ArtifactMismatch` for a concept of another model, `OptionInvalid` for two with one placeholder or one of the wrong
        kind.
        """
        check_concepts(concept, attributes)
        applied = [attribute.concept for attribute in attributes]
        given = [concept, *applied] if concept is not None else applied
        for each in given:
            if each.fingerprint not in self.backbone.fingerprints:
                raise ArtifactMismatch(
                    f"{each.placeholder} was learned with another model or schedule: learn it again with this one"
                )
        return {each.placeholder: each for each in given}

    def _masks(self, canvas: Canvas, concept: Concept | None, attributes: Sequence[Attribute] = ()) -> dict[str, Tensor]:
        """Return where each placeholder may act, by name: `(H, W)` in 0..1 over the frame."""
        masks = {} if concept is None else {concept.placeholder: canvas.mask(canvas.identity_mask)}
        for attribute in attributes:
            region = attribute.region if attribute.region is not None else canvas.edit_mask
            check_mask(region, canvas.photo.size, "region")
            masks[attribute.concept.placeholder] = canvas.mask(region)
        return masks

    def _gates(
        self, canvas: Canvas, prompt: str, masks: Mapping[str, Tensor], concepts: Mapping[str, Concept], *, field: str
    ) -> Gates | None:
        return prompt_gates(self.backbone, prompt, masks, self._latent_size(canvas), concepts=concepts, field=field)

    def _latent_size(self, canvas: Canvas) -> tuple[int, int]:
        """Return height and width of the frame's latent."""
        scale = self.backbone.latent_scale
        return canvas.frame[1] // scale, canvas.frame[0] // scale

    def _check_inversion(self, inversion: Inversion, canvas: Canvas, concept: Concept | None) -> None:
        """Raise `ArtifactMismatch` unless `inversion` was made from this photo, mask, crop and identity with this model."""
        if inversion.fingerprint not in self.backbone.fingerprints:
            raise ArtifactMismatch("the inversion was made with another model or schedule")
        names = {"canvas": "photo, mask or crop", "concept": "identity"}
        for key, value in inversion_inputs(canvas, concept).items():
            if inversion.facts.get(key, value) != value:
                raise ArtifactMismatch(f"the inversion was made with another {names[key]}: invert again with this one")
        if tuple(inversion.path.shape[-2:]) != self._latent_size(canvas):
            raise ArtifactMismatch("the inversion and the frame of this photo differ in size: invert this photo again")


def _placed(regions: Algorithm[list[Attribute]], drawn: Callable[..., Algorithm[Result]]) -> Algorithm[Result]:
    """Return an algorithm that finds the `regions` of attributes, then does what is `drawn` with these."""
    return (yield from drawn(attributes=(yield from regions)))


def _only(algorithm: Algorithm[list[Tensor]]) -> Algorithm[Tensor]:
    """Return an algorithm that ends with the single result of `algorithm`."""
    (result,) = yield from algorithm
    return result


def inversion_inputs(canvas: Canvas, concept: Concept | None) -> dict[str, str | None]:
    """Return digests of the inputs of an inversion, which guard it against use with another photo or identity."""
    return {"canvas": canvas.digest, "concept": None if concept is None else concept.digest}


def _directly(work: Callable[[], Tensor]) -> Tensor:
    return work()

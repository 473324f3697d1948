"""S²Edit from end to end, in diffusers' idiom: `from_pretrained`, `learn`, `invert`, call.

    pipe = S2EditPipeline.from_pretrained("models/world-128")
    caption = "a photo of a woman with long brown hair"
    identity = pipe.learn(photo, mask, caption)
    out = pipe.edit(photo, mask, caption, "a photo of a woman with long red hair", identity=identity)
    out.images[0].save("edited.png")

`photo` is RGB and `mask` is L, white on the person. Name in the caption what later edits will change: the identity learns what it
leaves out. `invert` and the call are the two steps of `edit`, with every option. `docs/method.md` adds an attribute of somebody
else, such as a makeup.

`learn`, `invert` and the call run stages that are also available as generators of `Progress`, for services that report progress and
cancel (`StagedPipeline`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import cache, partial
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from s2edit_core.argument_types import check_arguments, checked
from s2edit_core.concepts.concept import Concept, export
from s2edit_core.delivery import report
from s2edit_core.delivery.canvas import Canvas, to_image
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.method.callbacks import OnStepEnd, adapt_callback
from s2edit_core.method.composer import Compute
from s2edit_core.method.editing import STEP_TENSORS, AtStepEnd
from s2edit_core.method.inputs import (
    Attribute,
    Reference,
    Variation,
    check_edit_options,
    check_matches_inversion,
    check_references,
    check_sampling,
    with_identity,
)
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.output import OutputType, S2EditOutput, converted, provenance
from s2edit_core.method.stages import StagedPipeline
from s2edit_core.request.domains import word_warnings
from s2edit_core.request.options import AttributeOptions, ColumnOptions, InjectionOptions, InversionOptions, LearningOptions
from s2edit_core.request.presets import PRESETS, PresetName
from s2edit_core.request.prompts import check_placeholders
from s2edit_core.request.spec import PLACEHOLDER, Delivery, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.row_queue import EvaluateStage
from s2edit_core.unet.row_scheduler import RowClient
from s2edit_core.unet.rows import finish
from s2edit_core.vision.segmenters import Segmenter, open_segmenter

__all__ = ["Attribute", "OnProgress", "OutputType", "Reference", "S2EditOutput", "S2EditPipeline", "Variation"]

OnProgress = Callable[[Progress], None]


class S2EditPipeline(StagedPipeline):
    """The method over one base model. Holds no user's data: concepts and inversions are values."""

    _callback_tensor_inputs = STEP_TENSORS  # diffusers looks here for the tensors that a callback may request

    def __init__(
        self,
        backbone: Backbone,
        *,
        name: str = "",
        identity_embedder: report.Embedder | None = None,
        evaluate: EvaluateStage | None = None,
        compute: Compute | None = None,
    ) -> None:
        """`name` identifies the model in reports. With an `identity_embedder`, reports include the identity similarity.

        `evaluate` runs the UNet instead of the backbone, and `compute` the auto-encoder instead of the calling thread: a
        `RowClient` lets several pipelines, each in a thread, share the passes and the cores.
        """
        super().__init__(backbone, evaluate=evaluate, compute=compute)
        self.name = name
        self.identity_embedder = identity_embedder

    @classmethod
    def from_pretrained(cls, model: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> S2EditPipeline:
        """Load `model`: a folder in diffusers' layout, a single-file checkpoint or a hub id, of Stable Diffusion 1.x or 2.x.

        The UNet gets `dtype`. Raises `ModelUnusable`, and `OptionInvalid` for a device that is not there.
        """
        return cls(Backbone.from_pretrained(str(model), device=device, dtype=dtype), name=str(model))

    def sharing(self, client: RowClient) -> S2EditPipeline:
        """Return a pipeline over the same model for one more thread, which evaluates through `client`.

        On a CPU the auto-encoder runs there as well, because it would take cores from a pass.
        """
        compute = client.compute if self.backbone.device.type == "cpu" else None
        embedder = self.identity_embedder
        return S2EditPipeline(self.backbone, name=self.name, identity_embedder=embedder, evaluate=client.evaluate, compute=compute)

    # --- verbs -------------------------------------------------------------------------------------------------

    @checked
    def find_mask(self, image: Image.Image, prompt: str, *, seed: int = 0, on_progress: OnProgress | None = None) -> Image.Image:
        """Return the region of `image` (RGB) that `prompt` describes, as a mask (L) of the image's size, 255 inside.

        The prompt should describe the person and nothing else. The mask is only as good as the base model: check it. Raises
        `MaskInvalid` if nothing is found.
        """
        return finish(self.finding_mask(image, prompt, seed=seed), on_progress)

    @checked
    def segmenter(self, name: str | None = None) -> Segmenter:
        """Return the segmenter `name` (see `open_segmenter`), by default that of the model's card. Raises `ModelUnusable`."""
        return open_segmenter(name, self)

    @checked
    def find_probability(
        self, image: Image.Image, prompt: str, *, seed: int = 0, on_progress: OnProgress | None = None
    ) -> NDArray[np.float32]:
        """Return the probability map behind `find_mask`, whose threshold is 0.5: `(h, w)` in 0..1 at the model's size."""
        return finish(self.finding_probability(image, prompt, seed=seed), on_progress)

    @checked
    def find_subject(
        self, image: Image.Image, mask: Image.Image, prompt: str, *, seed: int = 0, on_progress: OnProgress | None = None
    ) -> str:
        """Return the word of `prompt` whose attention matches `mask` (L) of `image` (RGB) best.

        This is for prompts without a known subject. Small models attend poorly, so wherever a subject is left out, the card's
        subject words are tried first. Raises `PromptInvalid` if no word can be the subject.
        """
        return finish(self.finding_subject(image, mask, prompt, seed=seed), on_progress)

    @checked
    def learn(
        self,
        image: Image.Image,
        mask: Image.Image,
        prompt: str,
        subject: str | None = None,
        *,
        placeholder: str = PLACEHOLDER,
        person: Image.Image | None = None,
        options: AttributeOptions | None = None,
        request_words: Sequence[str] = (),
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Concept:
        """Learn what `mask` marks in `image` (RGB): an identity, or with another `placeholder` an attribute.

        `mask` is L, of the image's size, white inside. If `prompt` does not hold the placeholder, it is inserted before `subject`,
        or before the word that names the person. An attribute needs its `subject`; its frame is cropped around `person` (L), or
        shows the whole photo. By default it is learned as columns of its own (`ColumnOptions`). With `LearningOptions`, a concept
        is learned to be orthogonal to the card's attribute words and to those `request_words` that the card knows.

        Raises `ImageInvalid`, `MaskInvalid` or `PromptInvalid` for inputs that can't be used.
        """
        reference = Reference(image, mask, prompt, subject, placeholder, person, request_words)
        if options is None and placeholder != PLACEHOLDER:
            options = ColumnOptions()
        (concept,) = self.learn_together([reference], options=options, seed=seed, on_progress=on_progress)
        return concept

    @checked
    def learn_together(
        self,
        references: Sequence[Reference],
        *,
        options: AttributeOptions | None = None,
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> tuple[Concept, ...]:
        """Learn [I] and attributes side by side, which also makes them orthogonal to each other. Raises as `learn`."""
        references = tuple(references)
        check_references(references)
        return finish(self.learning_together(references, options or LearningOptions(), seed=seed), on_progress)

    @checked
    def invert(
        self,
        image: Image.Image,
        mask: Image.Image,
        prompt: str | None = None,
        concept: Concept | None = None,
        *,
        options: InversionOptions | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Inversion:
        """Invert `image` (RGB) with its source `prompt`, by default the prompt that `concept` was learned with.

        `mask` (L, of the image's size) marks the person. The default `options` are those of the preset `balanced`, and the default
        guidance scale is that of the model's card. Raises `PromptInvalid` if there is no prompt, or if it holds another placeholder
        than [I], and `OptionInvalid` unless the steps are 2 to 999 and the guidance scale 1 to 30.
        """
        guidance = self.guidance(guidance_scale)
        check_sampling(num_inference_steps, guidance)
        if prompt is None:
            if concept is None:
                raise PromptInvalid("there is no source prompt: pass one, or a concept that was learned with one", field="prompt")
            prompt = concept.facts.get("prompt")
            if not prompt:
                raise PromptInvalid("the concept does not record the prompt it was learned with: pass a prompt", field="prompt")
        check_placeholders(prompt, (PLACEHOLDER,) if concept is not None else (), field="prompt")
        steps = self.inverting(
            self.canvas(image, mask, subject=self.subject_of(prompt, concept)),
            with_identity(prompt, concept, "source_prompt"),
            concept,
            options or PRESETS["balanced"].inversion,
            steps=num_inference_steps,
            guidance_scale=float(guidance),
        )
        return finish(steps, on_progress)

    @checked
    def edit(
        self,
        image: Image.Image,
        mask: Image.Image,
        source_prompt: str,
        prompt: str | Sequence[str],
        *,
        preset: PresetName = "balanced",
        identity: Concept | None = None,
        attributes: Sequence[Attribute] = (),
        edit_mask: Image.Image | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> S2EditOutput:
        """Invert `image` (RGB) with its `source_prompt` and edit it as `prompt` says, as a preset does but for what is given.

        The arguments, and further `options`, are those of `invert` and the call. Raises as both, before anything is computed.
        """
        if preset not in tuple(PRESETS):
            raise OptionInvalid(f"preset must be one of {', '.join(PRESETS)}, not {preset!r:.50}", field="preset")
        chosen, attributes = PRESETS[preset], tuple(attributes)
        prompt = prompt if isinstance(prompt, str) else tuple(prompt)
        call = partial(self, prompt, image=image, mask=mask, edit_mask=edit_mask, identity=identity, attributes=attributes)
        options = {"injection": chosen.injection, "on_progress": on_progress} | options
        signature(call).bind(inversion=None, **options)  # raises TypeError for an option that there is not
        steps = chosen.steps if num_inference_steps is None else num_inference_steps
        guidance = self.guidance(chosen.guidance_scale if guidance_scale is None else guidance_scale, preset)
        check_sampling(steps, guidance)
        check_arguments(S2EditPipeline.__call__, options)
        self.target_prompts(prompt, identity, attributes)
        check_placeholders(source_prompt, (PLACEHOLDER,) if identity is not None else (), field="source_prompt")
        check_edit_options(image.size, steps, attributes=attributes, **options)
        source = with_identity(source_prompt, identity, "source_prompt")
        canvas = self.canvas(image, mask, edit_mask, subject=self.subject_of(source, identity))
        inverting = self.inverting(canvas, source, identity, chosen.inversion, steps=steps, guidance_scale=float(guidance))
        return call(inversion=finish(inverting, on_progress), **options)

    @checked
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        image: Image.Image,
        mask: Image.Image,
        inversion: Inversion,
        edit_mask: Image.Image | None = None,
        identity: Concept | None = None,
        attributes: Sequence[Attribute] = (),
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | None = None,
        negative_prompt: str | None = None,
        strength: float = 1.0,
        injection: InjectionOptions | None = None,
        delivery: Delivery = "difference",
        callback_on_step_end: OnStepEnd | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] = ("latents",),
        output_type: OutputType = "pil",
        on_progress: OnProgress | None = None,
    ) -> S2EditOutput:
        """Edit `image` (RGB) as `prompt` says, one result per prompt.

        `mask` (L) marks the person; `edit_mask` (L), by default the person with a margin, is where the photo may change. Steps and
        guidance are those of the inversion; other values raise `OptionInvalid`. Sampling at η = 0 is deterministic. A `generator`
        of another seed than 0 therefore draws a variant: its seed, not its state, decides the fresh part of the start noise. The
        `negative_prompt` says what the results must not show. `delivery`: "difference" adds the edit's change to the photo; "paste"
        puts the decoded frame, scaled up, into the edit mask. `output_type`: "pil"; "np" `(n, H, W, 3)` or "pt" `(n, 3, H, W)` in
        0..1; "latent" `(n, c, h, w)`. For `strength`, `injection` and `attributes` see `edit_rows`.

        `callback_on_step_end(pipe, step, timestep, callback_kwargs)`, as in diffusers, is called after each step of each prompt,
        with `step` from 0. `callback_on_step_end_tensor_inputs` names its kwargs: "latents" `(1, c, h, w)` after the step, and
        "noise_pred", the guided prediction that led there. Returned "latents" replace those of the step. An exception from the
        callback ends the edit.

        Raises `PromptInvalid`, `OptionInvalid` or `MaskInvalid` for arguments that can't be used, `ArtifactMismatch` for a concept
        or inversion of another model, photo or identity.
        """
        attributes = tuple(attributes)
        texts = self.target_prompts(prompt, identity, attributes)
        seed = None if generator is None else generator.initial_seed()
        options: dict[str, Any] = {
            "attributes": attributes,
            "negative_prompt": negative_prompt,
            "strength": strength,
            "injection": injection,
            "delivery": delivery,
            "variation": Variation(seed) if seed else None,
        }
        check_edit_options(image.size, inversion.steps, output_type=output_type, **options)
        check_matches_inversion("num_inference_steps", num_inference_steps, inversion.steps)
        check_matches_inversion("guidance_scale", guidance_scale, inversion.guidance_scale)
        canvas = self.canvas(image, mask, edit_mask, subject=self.subject_of(inversion.facts.get("prompt") or "", identity))
        made_from = provenance(canvas, inversion, identity, seed, edit_mask)
        made_from["model"] = {"name": self.name, "fingerprint": self.backbone.fingerprint}
        before = cache(lambda: self.decoded(inversion.path[0]))  # all prompts share it
        if callback_on_step_end is not None:
            options["at_step_end"] = adapt_callback(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        edits = [self._edited(canvas, before, text, identity, inversion, on_progress, **options) for text in texts]
        results, facts, frames, latents = (list(each) for each in zip(*edits, strict=True))
        stacked = torch.stack(latents)
        return S2EditOutput(converted(results, stacked, output_type), [made_from | each for each in facts], frames, stacked)

    def _edited(
        self,
        canvas: Canvas,
        before: Callable[[], Tensor],
        prompt: str,
        identity: Concept | None,
        inversion: Inversion,
        on_progress: OnProgress | None,
        *,
        attributes: Sequence[Attribute],
        negative_prompt: str | None,
        strength: float,
        injection: InjectionOptions | None,
        delivery: Delivery,
        variation: Variation | None,
        at_step_end: AtStepEnd | None = None,
    ) -> tuple[Image.Image, dict[str, Any], Image.Image, Tensor]:
        """Return one edit: the edited photo, its report, the decoded frame and its latent.

        `before` returns the decoded latent of the photo itself, for `deliver`.
        """
        began, evaluations = time.perf_counter(), self.evaluations
        options = {"attributes": attributes, "negative_prompt": negative_prompt, "strength": strength, "injection": injection}
        steps = self.editing(canvas, prompt, identity, inversion, at_step_end=at_step_end, variation=variation, **options)
        latent = finish(steps, on_progress)
        edited = time.perf_counter()
        drawn = self.decoded(latent)
        frame = to_image(drawn)
        steered = bool(at_step_end) or bool(negative_prompt and negative_prompt.strip())
        asked = self.asked(inversion, prompt, steered=steered, varied=variation is not None)
        result, brought_back = self.deliver(canvas, before(), drawn, delivery, asked=asked)
        leakage = self.leakage(canvas, prompt, identity, inversion, attributes=attributes)
        measures = report.measures(canvas, frame, result, embed=self.identity_embedder)
        seconds = {"editing": edited - began, "finishing": time.perf_counter() - edited}
        facts = (
            report.warned(measures, self.word_warnings(prompt, negative_prompt))
            | brought_back
            | {
                "prompt": prompt,
                "negative_prompt": negative_prompt,
                "strength": strength,
                "injection": asdict(injection) if injection is not None else None,
                "attributes": {each.concept.placeholder: each.concept.facts for each in attributes},
                "leakage": leakage,
                "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
                "unet_evaluations": self.evaluations - evaluations,
            }
        )
        return result, facts, frame, latent

    def word_warnings(self, prompt: str, negative_prompt: str | None = None) -> list[str]:
        """Return a sentence about the words of both prompts that the model does not know, or nothing."""
        return word_warnings(self.backbone.card.domains, prompt, negative_prompt)

    # --- files -------------------------------------------------------------------------------------------------

    def load_concept(self, path: str | Path) -> Concept:
        """Read a file of `Concept.save`. Raises `ArtifactMismatch` for a damaged file, or for one made with another model."""
        return Concept.load(path, fingerprint=self.backbone.fingerprints, device=self.backbone.device)

    def load_inversion(self, path: str | Path) -> Inversion:
        """Read a file of `Inversion.save`. Raises `ArtifactMismatch` for a damaged file, or for one made with another model."""
        return Inversion.load(path, fingerprint=self.backbone.fingerprints, device=self.backbone.device)

    def export(self, concept: Concept, folder: str | Path) -> list[Path]:
        """Write `concept` for diffusers into `folder`, and return the files; see `concept.export`."""
        return export(concept, self.backbone.layers, folder)

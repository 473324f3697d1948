"""S²Edit from end to end, in diffusers' idiom: `from_pretrained`, `learn`, `invert`, call.

    pipe = S2EditPipeline.from_pretrained("models/portraits-128")
    identity = pipe.learn(photo, mask, "a photo of a [I] woman", "woman")
    makeup = pipe.learn(reference, lips, "a woman with [A] lipstick", "lipstick", placeholder="[A]")
    inversion = pipe.invert(photo, mask, "a photo of a [I] woman", identity)
    out = pipe("a photo of a [I] woman with [A] lipstick", image=photo, mask=mask, identity=identity, inversion=inversion,
               attributes=[Attribute(makeup, lips_of_photo)])
    out.images[0].save("edited.png")

Each verb has a generator twin (`learning`, `inverting`, `editing`) that yields `Progress`: a service drives those, and cancels
by closing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from s2edit_core.concepts.concept import Concept, export
from s2edit_core.delivery import report
from s2edit_core.delivery.canvas import Canvas, to_image
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.method.callbacks import OnStepEnd, step_end
from s2edit_core.method.composer import Composer, made_from
from s2edit_core.method.editing import STEP_TENSORS, AtStepEnd
from s2edit_core.method.inputs import Attribute, Reference, Variation, check_delivery, check_same, with_identity
from s2edit_core.method.inversion import Inversion, invert
from s2edit_core.method.learning import learn_concepts
from s2edit_core.method.learning_state import LearningState
from s2edit_core.method.masks import probability_of, subject_of
from s2edit_core.request.spec import PLACEHOLDER, PRESETS, Delivery, InjectionOptions, InversionOptions, LearningOptions, Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Rows, drive, evaluating, finish
from s2edit_core.vision.segmenters import Segmenter, open_segmenter

__all__ = ["Attribute", "OnProgress", "OutputType", "Reference", "S2EditOutput", "S2EditPipeline", "Variation"]

OnProgress = Callable[[Progress], None]
OutputType = Literal["pil", "np", "pt", "latent"]


@dataclass(frozen=True, eq=False)
class S2EditOutput:
    """`images`: the photos with the edits delivered, one per prompt, in the form that `output_type` asked for. `reports`: one each.

    `frames`: what the model drew, RGB. `latents` `(n, c, h, w)`: the same before decoding.
    """

    images: list[Image.Image] | NDArray[np.float32] | Tensor
    reports: list[dict[str, Any]]
    frames: list[Image.Image]
    latents: Tensor


class S2EditPipeline(Composer):
    """The method over one base model. Holds no user's data: concepts and inversions are values."""

    _callback_tensor_inputs = STEP_TENSORS  # where diffusers' pipelines say what a callback may ask for

    def __init__(self, backbone: Backbone, *, name: str = "", identity_embedder: report.Embedder | None = None) -> None:
        """`identity_embedder` adds the identity similarity to reports; `name` is how they call the model."""
        super().__init__(backbone)
        self.name = name
        self.identity_embedder = identity_embedder
        self.evaluations = 0
        self.before_evaluation: Callable[[], None] | None = None  # what it raises ends the algorithm under way

    @classmethod
    def from_pretrained(cls, model: str | Path, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> S2EditPipeline:
        """`model` is a folder in diffusers' layout or a hub id of the SD 1.x/2.x family. Raises `ModelUnusable`."""
        return cls(Backbone.from_pretrained(str(model), device=device, dtype=dtype), name=str(model))

    def _evaluate(self, rows: Rows) -> Answers:
        if self.before_evaluation is not None:
            self.before_evaluation()
        self.evaluations += len(rows)
        return self.backbone.evaluate(rows)

    # --- generator twins ---------------------------------------------------------------------------------------

    def learning(
        self,
        canvas: Canvas,
        prompt: str,
        subject: str,
        options: LearningOptions,
        *,
        request_words: Sequence[str] = (),
        seed: int = 0,
        state: LearningState | None = None,
        every: int = 0,
    ) -> Generator[Progress, None, Concept]:
        """With `every` k, each k-th progress is a `Checkpoint`; given back as `state` it lets the learning go on after it."""
        lesson = self._lesson(canvas, canvas.identity_mask, prompt, subject, PLACEHOLDER, request_words)
        algorithm = learn_concepts(self.backbone, (lesson,), options, seed=seed, state=state, every=every)
        (concept,) = yield from evaluating(algorithm, self._evaluate)
        return concept

    def learning_together(
        self,
        references: Sequence[Reference],
        options: LearningOptions,
        *,
        seed: int = 0,
        state: LearningState | None = None,
        every: int = 0,
    ) -> Generator[Progress, None, tuple[Concept, ...]]:
        """The concepts of several references in shared passes, each turned away from the others."""
        lessons = [self._reference_lesson(reference) for reference in references]
        algorithm = learn_concepts(self.backbone, lessons, options, seed=seed, state=state, every=every)
        return (yield from evaluating(algorithm, self._evaluate))

    def finding_mask(self, image: Image.Image, prompt: str, *, seed: int = 0) -> Generator[Progress, None, Image.Image]:
        probability = yield from self.finding_probability(image, prompt, seed=seed)
        return Image.fromarray((probability > 0.5).astype(np.uint8) * 255).resize(image.size, Image.Resampling.NEAREST)

    def finding_probability(
        self, image: Image.Image, prompt: str, *, seed: int = 0
    ) -> Generator[Progress, None, NDArray[np.float32]]:
        whole = self.canvas(image, Image.new("L", image.size, 255))
        width, height = whole.frame
        latent = self.backbone.encode_image(whole.source())
        algorithm = probability_of(self.backbone, latent, prompt, (height, width), seed=seed)
        found: NDArray[np.float32] = (yield from evaluating(algorithm, self._evaluate)).cpu().numpy()
        return found

    def finding_subject(
        self, image: Image.Image, mask: Image.Image, prompt: str, *, seed: int = 0
    ) -> Generator[Progress, None, str]:
        canvas = self.canvas(image, mask)
        latent = self.backbone.encode_image(canvas.source())
        algorithm = subject_of(self.backbone, latent, prompt, canvas.mask(canvas.identity_mask), seed=seed)
        return (yield from evaluating(algorithm, self._evaluate))

    def inverting(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        options: InversionOptions,
        *,
        steps: int,
        guidance_scale: float,
        masked: bool = True,
    ) -> Generator[Progress, None, Inversion]:
        latent = self.backbone.encode_image(canvas.source())
        source = self.source(canvas, prompt, concept, masked=masked)
        algorithm = invert(self.backbone, latent, source, options, steps=steps, guidance_scale=guidance_scale)
        inverted = yield from evaluating(algorithm, self._evaluate)
        return replace(inverted, facts=inverted.facts | {"prompt": prompt} | made_from(canvas, concept))

    def editing(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, **options: Any
    ) -> Generator[Progress, None, Tensor]:
        """Ends with the edited latent. Options as of `edit_rows`."""
        return (yield from evaluating(self.edit_rows(canvas, prompt, concept, inversion, **options), self._evaluate))

    def leakage(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, **options: Any
    ) -> dict[str, float]:
        """What `leakage_rows` finds, for a report: one evaluation. Options as there."""
        return drive(self.leakage_rows(canvas, prompt, concept, inversion, **options), self._evaluate)

    # --- verbs -------------------------------------------------------------------------------------------------

    def find_mask(self, image: Image.Image, prompt: str, *, seed: int = 0, on_progress: OnProgress | None = None) -> Image.Image:
        """Where `prompt`, which describes the person and not the rest, matters to `image` (RGB): a mask (L) of its size.

        As good as the model's eye: look at it. Raises `MaskInvalid` where nothing is found.
        """
        return finish(self.finding_mask(image, prompt, seed=seed), on_progress)

    def segmenter(self, name: str | None = None) -> Segmenter:
        """Who finds people in photos: the model card's choice, or `name` as `open_segmenter` takes it. Raises `ModelUnusable`."""
        return open_segmenter(name, self)

    def find_probability(
        self, image: Image.Image, prompt: str, *, seed: int = 0, on_progress: OnProgress | None = None
    ) -> NDArray[np.float32]:
        """What `find_mask` sees before its threshold, which lies at 0.5: `(h, w)` in 0..1 at the model's size."""
        return finish(self.finding_probability(image, prompt, seed=seed), on_progress)

    def find_subject(
        self, image: Image.Image, mask: Image.Image, prompt: str, *, seed: int = 0, on_progress: OnProgress | None = None
    ) -> str:
        """The word of `prompt` that attends most to what `mask` (L) shows of `image` (RGB), for a prompt with no known subject.

        As good as the model's attention, which for a small model is not good: the card's own subjects come first wherever a
        subject is left out. Raises `PromptInvalid` where no word could be one.
        """
        return finish(self.finding_subject(image, mask, prompt, seed=seed), on_progress)

    def learn(
        self,
        image: Image.Image,
        mask: Image.Image,
        prompt: str,
        subject: str | None = None,
        *,
        placeholder: str = PLACEHOLDER,
        person: Image.Image | None = None,
        options: LearningOptions | None = None,
        request_words: Sequence[str] = (),
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Concept:
        """Learn what `image` (RGB) shows where `mask` (L) is white: who it is, or with another `placeholder` an attribute.

        The placeholder is put before `subject` where `prompt` does not hold it; without a subject, before the word that names the
        person. Of an attribute's reference, the part around `person` (L) is looked at, or all of it.
        """
        reference = Reference(image, mask, prompt, subject, placeholder, person, request_words)
        (concept,) = self.learn_together([reference], options=options, seed=seed, on_progress=on_progress)
        return concept

    def learn_together(
        self,
        references: Sequence[Reference],
        *,
        options: LearningOptions | None = None,
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> tuple[Concept, ...]:
        """Learn [I] and attributes side by side: L_semantic then also holds them orthogonal to each other."""
        return finish(self.learning_together(references, options or LearningOptions(), seed=seed), on_progress)

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
        """Invert `image` with its source `prompt`; without one, with that which the concept was learned with."""
        if prompt is None:
            if concept is None:
                raise PromptInvalid("say what the image shows: a prompt, or a concept that was learned with one", field="prompt")
            prompt = concept.facts.get("prompt")
            if not prompt:
                raise PromptInvalid("the concept does not say with which prompt it was learned: give one", field="prompt")
        steps = self.inverting(
            self.canvas(image, mask),
            with_identity(prompt, concept, "source_prompt"),
            concept,
            options or PRESETS["balanced"].inversion,
            steps=num_inference_steps,
            guidance_scale=self.guidance(guidance_scale),
        )
        return finish(steps, on_progress)

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
        """Edit `image` as `prompt` says, one result per prompt.

        Steps and guidance are the inversion's: naming others raises `OptionInvalid`. Sampling at η = 0 draws nothing, so
        `generator` only enters the report. A `negative_prompt` says what the results shall not show. `delivery`: "difference" adds
        what the edit changed to the photo; "paste" puts the drawn frame, scaled up, into the edit mask. `output_type`: "pil"; "np"
        `(n, H, W, 3)` or "pt" `(n, 3, H, W)` in 0..1; "latent" `(n, c, h, w)`.

        `callback_on_step_end(pipe, step, timestep, callback_kwargs)`, as in diffusers, is called after each step of each prompt,
        `step` from 0. Its kwargs are those of `callback_on_step_end_tensor_inputs`: "latents" `(1, c, h, w)` after the step,
        "noise_pred" likewise, the guided prediction that led there. "latents" in what it returns take the place of the step's;
        returning nothing leaves them. What it raises ends the edit.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts or not all(isinstance(text, str) and text.strip() for text in prompts):
            raise PromptInvalid("there is no prompt: say what the picture should show", field="prompt", reason="prompt_empty")
        if output_type not in get_args(OutputType):
            raise OptionInvalid(f"output_type must be one of {', '.join(get_args(OutputType))}", field="options.output_type")
        check_delivery(delivery)
        check_same("num_inference_steps", num_inference_steps, inversion.steps)
        check_same("guidance_scale", guidance_scale, inversion.guidance_scale)
        canvas = self.canvas(image, mask, edit_mask)
        provenance = self._provenance(canvas, inversion, identity, generator, edit_mask)
        options: dict[str, Any] = {
            "attributes": attributes,
            "negative_prompt": negative_prompt,
            "strength": strength,
            "injection": injection,
            "delivery": delivery,
        }
        before = cache(lambda: self.backbone.decode_latent(inversion.path[0]))  # once, when the first edit has been sampled
        if callback_on_step_end is not None:
            options["at_step_end"] = step_end(self, callback_on_step_end, callback_on_step_end_tensor_inputs)
        made = [
            self._edited(canvas, before, with_identity(text, identity, "prompt"), identity, inversion, on_progress, **options)
            for text in prompts
        ]
        results, facts, frames, latents = (list(each) for each in zip(*made, strict=True))
        stacked = torch.stack(latents)
        return S2EditOutput(_converted(results, stacked, output_type), [provenance | each for each in facts], frames, stacked)

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
        at_step_end: AtStepEnd | None = None,
    ) -> tuple[Image.Image, dict[str, Any], Image.Image, Tensor]:
        """One edit: the photo with it, its report, the frame as drawn, its latent. `before` makes that of `deliver`."""
        began, evaluations = time.perf_counter(), self.evaluations
        options = {"attributes": attributes, "negative_prompt": negative_prompt, "strength": strength, "injection": injection}
        steps = self.editing(canvas, prompt, identity, inversion, at_step_end=at_step_end, **options)
        latent = finish(steps, on_progress)
        edited = time.perf_counter()
        drawn = self.backbone.decode_latent(latent)
        frame = to_image(drawn)
        steered = at_step_end is not None or bool(negative_prompt and negative_prompt.strip())
        asked = steered or prompt != inversion.facts.get("prompt")
        result, brought_back = self.deliver(canvas, before(), drawn, delivery, asked=asked)
        leakage = self.leakage(canvas, prompt, identity, inversion, attributes=attributes)
        seconds = {"editing": edited - began, "finishing": time.perf_counter() - edited}
        facts = (
            report.measures(canvas, frame, result, embed=self.identity_embedder)
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

    def _provenance(
        self,
        canvas: Canvas,
        inversion: Inversion,
        identity: Concept | None,
        generator: torch.Generator | None,
        edit_mask: Image.Image | None,
    ) -> dict[str, Any]:
        """What an edit was made from."""
        inputs = {"image": canvas.photo, "mask": canvas.identity_mask} | ({} if edit_mask is None else {"edit_mask": edit_mask})
        learned = {} if identity is None else identity.facts
        return {
            "source_prompt": inversion.facts.get("prompt"),
            "subject": learned.get("subject"),
            "concept": learned,
            "inversion": inversion.facts | {"tier": inversion.tier, "steps": inversion.steps},
            "guidance_scale": inversion.guidance_scale,
            "seed": generator.initial_seed() if generator is not None else learned.get("seed"),
            "inputs": {name: report.picture_digest(picture) for name, picture in inputs.items()},
            "model": {"name": self.name, "fingerprint": self.backbone.fingerprint},
            "versions": report.versions(),
        }

    # --- files -------------------------------------------------------------------------------------------------

    def load_concept(self, path: str | Path) -> Concept:
        """A file of `Concept.save`. Raises `ArtifactMismatch` for a damaged one or another model's."""
        return Concept.load(path, fingerprint=self.backbone.fingerprints, device=self.backbone.device)

    def load_inversion(self, path: str | Path) -> Inversion:
        """A file of `Inversion.save`. Raises `ArtifactMismatch` for a damaged one or another model's."""
        return Inversion.load(path, fingerprint=self.backbone.fingerprints, device=self.backbone.device)

    def export(self, concept: Concept, folder: str | Path) -> list[Path]:
        """Write `concept` for diffusers; see `concept.export`."""
        return export(concept, self.backbone.layers, folder)


def _converted(
    results: list[Image.Image], latents: Tensor, output_type: OutputType
) -> list[Image.Image] | NDArray[np.float32] | Tensor:
    if output_type == "latent":
        return latents
    if output_type == "pil":
        return results
    pixels = np.stack([np.asarray(result, dtype=np.float32) for result in results]) / np.float32(255)
    return pixels if output_type == "np" else torch.from_numpy(pixels).permute(0, 3, 1, 2)

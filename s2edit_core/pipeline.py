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
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from s2edit_core import report
from s2edit_core.attention import Gates
from s2edit_core.backbone import Backbone
from s2edit_core.canvas import Canvas, make_canvas, to_image
from s2edit_core.concept import Concept
from s2edit_core.conditioning import conditioned, leakage, prompt_gates, prompt_keys_values, tokenize
from s2edit_core.editing import edit, varied
from s2edit_core.errors import ArtifactMismatch, ImageInvalid, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.injection import SourceGuide, source_guide
from s2edit_core.inversion import Inversion, Source, invert
from s2edit_core.learning import Lesson, learn_concepts
from s2edit_core.learning_state import LearningState
from s2edit_core.pictures import INSIDE
from s2edit_core.prompts import check_placeholders, known_subject, with_placeholder
from s2edit_core.rows import Algorithm, Answers, Rows, evaluating, finish
from s2edit_core.spec import PLACEHOLDER, PRESETS, InjectionOptions, InversionOptions, LearningOptions, Progress

OnProgress = Callable[[Progress], None]
VARIATION = 0.5
"""Of the start noise: enough that two variants differ to the eye, little enough that they stay the photo's."""
OutputType = Literal["pil", "np", "pt", "latent"]


@dataclass(frozen=True, eq=False)
class Attribute:
    """A learned attribute in an edit: `region` is an `L` of the photo's size, white where it acts."""

    concept: Concept
    region: Image.Image


@dataclass(frozen=True, slots=True)
class Variation:
    """Another draw of an edit: `amount` 0..1 of its start noise is drawn anew by `seed`, where the edit may change the photo."""

    seed: int
    amount: float = VARIATION


@dataclass(frozen=True, eq=False)
class Reference:
    """A photo to learn a concept from; see `S2EditPipeline.learn`."""

    image: Image.Image
    mask: Image.Image
    prompt: str
    subject: str | None = None
    placeholder: str = PLACEHOLDER
    person: Image.Image | None = None
    request_words: Sequence[str] = ()


@dataclass(frozen=True, eq=False)
class S2EditOutput:
    """`images`: the photos with the edits pasted in, one per prompt, in the form that `output_type` asked for. `reports`: one each.

    `frames`: what the model drew, before it was pasted, RGB. `latents` `(n, c, h, w)`: the same before decoding.
    """

    images: list[Image.Image] | NDArray[np.float32] | Tensor
    reports: list[dict[str, Any]]
    frames: list[Image.Image]
    latents: Tensor


class S2EditPipeline:
    """The method over one base model. Holds no user's data: concepts and inversions are values."""

    def __init__(self, backbone: Backbone, *, name: str = "", identity_embedder: report.Embedder | None = None) -> None:
        """`identity_embedder` adds the identity similarity to reports; `name` is how they call the model."""
        self.backbone = backbone
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

    def guidance(self, wanted: float | None) -> float:
        return wanted if wanted is not None else self.backbone.card.guidance_scale

    def canvas(self, photo: Image.Image, mask: Image.Image, edit_mask: Image.Image | None = None) -> Canvas:
        """How `photo` (RGB) and its masks (L, same size) are laid into the model's frame. Raises `ImageInvalid`, `MaskInvalid`."""
        if photo.mode != "RGB":
            raise ImageInvalid(f"the image is {photo.mode}: convert it to RGB (`decode_photo` does)", field="image")
        _check_mask(mask, photo.size, "mask")
        if edit_mask is not None:
            _check_mask(edit_mask, photo.size, "edit_mask")
        return make_canvas(photo, mask, edit_mask, frame_size=self.backbone.frame_size, multiple=self.backbone.frame_multiple)

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
        return replace(inverted, facts=inverted.facts | {"prompt": prompt} | _made_from(canvas, concept))

    def editing(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, **options: Any
    ) -> Generator[Progress, None, Tensor]:
        """Ends with the edited latent. Options as of `edit_rows`."""
        return (yield from evaluating(self.edit_rows(canvas, prompt, concept, inversion, **options), self._evaluate))

    def edit_rows(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        inversion: Inversion,
        *,
        masked: bool = True,
        attributes: Sequence[Attribute] = (),
        strength: float = 1.0,
        injection: InjectionOptions | None = None,
        source_prompt: str | None = None,
        variation: Variation | None = None,
    ) -> Algorithm[Tensor]:
        """Editing as an algorithm over rows, for whoever drives several in shared passes. Ends with the edited latent.

        `strength`, above 0 and at most 1: how far back along the inverted path the edit starts; 1 is from the noise. Attributes act
        in the target alone, held to their regions whether [I] is `masked` or not. Attention `injection` needs the `source_prompt`
        that the inversion was made with, where the inversion does not name it. A `variation` is another draw from the same
        inversion, at full strength. Raises `ArtifactMismatch` for an inversion of another model, photo or concept.
        """
        concepts = self._concepts(concept, attributes)
        check_placeholders(prompt, concepts, field="prompt")
        _check_placed(prompt, attributes)
        self._check_inversion(inversion, canvas, concept)
        if not 0 < strength <= 1:
            raise OptionInvalid(f"strength must be above 0 and at most 1, not {strength!r}", field="options.strength")
        target = prompt_keys_values(self.backbone, prompt, concepts)
        gates = self._gates(canvas, prompt, self._masks(canvas, concept if masked else None, attributes), field="prompt")
        first = inversion.steps - max(1, round(strength * inversion.steps))
        start = None
        if variation is not None:
            if first > 0:
                raise OptionInvalid("a variation starts from the noise: leave strength at 1", field="options.strength")
            start = varied(inversion.path[-1], self._may_change(canvas), variation.seed, variation.amount)
        guide = None
        if injection is not None and injection.acts:
            described = source_prompt or inversion.facts.get("prompt")
            guide = self._guide(canvas, prompt, concept, injection, described, masked, tuple(concepts))
        return edit(
            self.backbone, inversion, target, gates, tuple(self._concepts(concept).values()), guide, first=first, start=start
        )

    def _guide(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        options: InjectionOptions,
        source_prompt: str | None,
        masked: bool,
        placeholders: tuple[str, ...],
    ) -> SourceGuide:
        if source_prompt is None:
            raise ValueError("attention injection needs the source_prompt that the inversion was made with")
        source = self.source(canvas, source_prompt, concept, masked=masked)
        may_change = self._may_change(canvas)
        return source_guide(self.backbone, source, source_prompt, prompt, options, edit_mask=may_change, placeholders=placeholders)

    def _may_change(self, canvas: Canvas) -> Tensor:
        """The edit mask in cells of the latent `(h, w)`, 0..1."""
        return adaptive_avg_pool2d(canvas.mask(canvas.edit_mask)[None], self._latent_size(canvas))[0]

    def source(self, canvas: Canvas, prompt: str, concept: Concept | None, *, masked: bool = True) -> Source:
        """The photo's side of an edit."""
        concepts = self._concepts(concept)
        tokens = tokenize(self.backbone, prompt, list(concepts), field="source_prompt")
        with torch.no_grad():
            now = conditioned(self.backbone, tokens, concepts)
        gates = self._gates(canvas, prompt, self._masks(canvas, concept if masked else None), field="source_prompt")
        return Source(prompt=now.prompt, gates=gates, states=now.states, concepts=tuple(concepts.values()))

    # --- what they share ---------------------------------------------------------------------------------------

    def _lesson(
        self, canvas: Canvas, mask: Image.Image, prompt: str, subject: str, placeholder: str, request_words: Sequence[str]
    ) -> Lesson:
        latent = self.backbone.encode_image(canvas.source())
        return Lesson(latent, canvas.mask(mask), prompt, subject, placeholder, tuple(request_words))

    def _reference_lesson(self, reference: Reference) -> Lesson:
        """An identity's frame is cropped around its mask; an attribute's shows the person who wears it, or the whole photo."""
        image, person = reference.image, reference.person
        _check_mask(reference.mask, image.size, "mask")
        if reference.placeholder == PLACEHOLDER:
            person = reference.mask
        canvas = self.canvas(image, person if person is not None else Image.new("L", image.size, 255))
        if reference.subject is None and reference.placeholder != PLACEHOLDER:
            raise PromptInvalid(
                "an attribute needs its subject: the word of the prompt for it, such as makeup",
                field="subject",
                reason="subject_unknown",
            )
        subject = reference.subject or known_subject(reference.prompt, self.backbone.card.subjects)
        prompt = with_placeholder(reference.prompt, subject, field="source_prompt", placeholder=reference.placeholder)
        return self._lesson(canvas, reference.mask, prompt, subject, reference.placeholder, reference.request_words)

    def _concepts(self, concept: Concept | None, attributes: Sequence[Attribute] = ()) -> dict[str, Concept]:
        """By placeholder. Raises `ArtifactMismatch` for another model's, `OptionInvalid` where two have one name."""
        worn = [attribute.concept for attribute in attributes]
        given = [concept, *worn] if concept is not None else worn
        for each in given:
            if each.fingerprint != self.backbone.fingerprint:
                raise ArtifactMismatch(f"the concept {each.placeholder} was learned with another model or schedule")
        if concept is not None and concept.kind != "identity":
            raise OptionInvalid(f"{concept.placeholder} is an attribute: give it among the attributes", field="identity")
        if any(each.kind == "identity" for each in worn):
            raise OptionInvalid(f"{PLACEHOLDER} is an identity: give it as the identity", field="attributes")
        names = [each.placeholder for each in given]
        if len(set(names)) < len(names):
            raise OptionInvalid(
                f"two attributes have one name among {', '.join(names)}: give one another with `renamed`", field="attributes"
            )
        return {each.placeholder: each for each in given}

    def _masks(self, canvas: Canvas, concept: Concept | None, attributes: Sequence[Attribute] = ()) -> dict[str, Tensor]:
        """Where each placeholder may act, `(H, W)` in the frame."""
        masks = {} if concept is None else {concept.placeholder: canvas.mask(canvas.identity_mask)}
        for attribute in attributes:
            _check_mask(attribute.region, canvas.photo.size, "attributes")
            masks[attribute.concept.placeholder] = canvas.mask(attribute.region)
        return masks

    def _gates(self, canvas: Canvas, prompt: str, masks: Mapping[str, Tensor], *, field: str) -> Gates | None:
        return prompt_gates(self.backbone, prompt, masks, self._latent_size(canvas), field=field)

    def _latent_size(self, canvas: Canvas) -> tuple[int, int]:
        scale = self.backbone.latent_scale
        return canvas.frame[1] // scale, canvas.frame[0] // scale

    def _check_inversion(self, inversion: Inversion, canvas: Canvas, concept: Concept | None) -> None:
        if inversion.fingerprint != self.backbone.fingerprint:
            raise ArtifactMismatch("the inversion was made with another model or schedule")
        names = {"canvas": "photo, mask or crop", "concept": "identity"}
        for key, value in _made_from(canvas, concept).items():
            if inversion.facts.get(key, value) != value:
                raise ArtifactMismatch(f"the inversion was made with another {names[key]}: invert again with this one")
        if tuple(inversion.path.shape[-2:]) != self._latent_size(canvas):
            raise ArtifactMismatch("the inversion is of another size than the frame of this photo: invert again with this one")

    # --- verbs -------------------------------------------------------------------------------------------------

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
            prompt = str(concept.facts["prompt"])
        steps = self.inverting(
            self.canvas(image, mask),
            _with_identity(prompt, concept, "source_prompt"),
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
        strength: float = 1.0,
        injection: InjectionOptions | None = None,
        callback_on_step_end: Callable[[S2EditPipeline, int, int, dict[str, Any]], object] | None = None,
        output_type: OutputType = "pil",
        on_progress: OnProgress | None = None,
    ) -> S2EditOutput:
        """Edit `image` as `prompt` says, one result per prompt.

        Steps and guidance are the inversion's: naming others raises `OptionInvalid`. Sampling at η = 0 draws nothing, so
        `generator` only enters the report. `callback_on_step_end(pipe, step, timestep, {})` may raise to end the edit; what it
        returns is not used. `output_type`: "pil"; "np" `(n, H, W, 3)` or "pt" `(n, 3, H, W)` in 0..1; "latent" `(n, c, h, w)`.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts:
            raise PromptInvalid("there is no prompt: say what the picture should show", field="prompt", reason="prompt_empty")
        if output_type not in get_args(OutputType):
            raise OptionInvalid(f"output_type must be one of {', '.join(get_args(OutputType))}", field="options.output_type")
        _check_same("num_inference_steps", num_inference_steps, inversion.steps)
        _check_same("guidance_scale", guidance_scale, inversion.guidance_scale)
        canvas = self.canvas(image, mask, edit_mask)
        timesteps = self.backbone.schedule.timesteps(inversion.steps)
        provenance = self._provenance(canvas, inversion, identity, generator, edit_mask)

        def show(progress: Progress) -> None:
            if on_progress is not None:
                on_progress(progress)
            if callback_on_step_end is not None:
                callback_on_step_end(self, progress.step - 1, timesteps[progress.step - 1], {})

        made = [
            self._edited(
                canvas,
                _with_identity(text, identity, "prompt"),
                identity,
                inversion,
                show,
                attributes=attributes,
                strength=strength,
                injection=injection,
            )
            for text in prompts
        ]
        results, facts, frames, latents = (list(each) for each in zip(*made, strict=True))
        stacked = torch.stack(latents)
        return S2EditOutput(_converted(results, stacked, output_type), [provenance | each for each in facts], frames, stacked)

    def _edited(
        self,
        canvas: Canvas,
        prompt: str,
        identity: Concept | None,
        inversion: Inversion,
        show: OnProgress,
        *,
        attributes: Sequence[Attribute],
        strength: float,
        injection: InjectionOptions | None,
    ) -> tuple[Image.Image, dict[str, Any], Image.Image, Tensor]:
        """One edit: the photo with it, what is to be said of it, the frame as drawn, its latent."""
        began, evaluations = time.perf_counter(), self.evaluations
        options = {"attributes": attributes, "strength": strength, "injection": injection}
        latent = finish(self.editing(canvas, prompt, identity, inversion, **options), show)
        edited = time.perf_counter()
        drawn = self.backbone.decode_latent(latent)
        frame, result = to_image(drawn), canvas.paste(drawn)
        seconds = {"editing": edited - began, "finishing": time.perf_counter() - edited}
        facts = report.measures(canvas, frame, result, embed=self.identity_embedder) | {
            "prompt": prompt,
            "strength": strength,
            "injection": asdict(injection) if injection is not None else None,
            "attributes": {each.concept.placeholder: each.concept.facts for each in attributes},
            "leakage": self.leakage(canvas, prompt, identity, attributes=attributes),
            "seconds": {name: round(spent, 3) for name, spent in seconds.items()},
            "unet_evaluations": self.evaluations - evaluations,
        }
        return result, facts, frame, latent

    def leakage(
        self,
        canvas: Canvas,
        prompt: str,
        concept: Concept | None,
        *,
        masked: bool = True,
        attributes: Sequence[Attribute] = (),
    ) -> dict[str, float]:
        """By placeholder: the largest share of its attention that gets through outside its mask. 0 with masking, 1 without."""
        masks = self._masks(canvas, concept, attributes)
        gates = self._gates(canvas, prompt, self._masks(canvas, concept if masked else None, attributes), field="prompt")
        return leakage(self.backbone, prompt, masks, gates, self._latent_size(canvas))

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
        return Concept.load(path, fingerprint=self.backbone.fingerprint, device=self.backbone.device)

    def load_inversion(self, path: str | Path) -> Inversion:
        """A file of `Inversion.save`. Raises `ArtifactMismatch` for a damaged one or another model's."""
        return Inversion.load(path, fingerprint=self.backbone.fingerprint, device=self.backbone.device)

    def export(self, concept: Concept, folder: str | Path) -> list[Path]:
        """Write `concept` for diffusers: `load_textual_inversion` and, unless it is a token alone, `load_lora_weights`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        written = []
        for name, tensors in (
            ("learned_embeds.safetensors", concept.learned_embeds()),
            ("pytorch_lora_weights.safetensors", concept.lora(self.backbone.layers)),
        ):
            if tensors:
                save_file(tensors, folder / name, metadata={"format": "pt"})
                written.append(folder / name)
        return written


def _made_from(canvas: Canvas, concept: Concept | None) -> dict[str, str | None]:
    """What an inversion remembers, so that it is not used for another photo or identity."""
    return {"canvas": canvas.digest, "concept": None if concept is None else concept.digest}


def _with_identity(prompt: str, identity: Concept | None, field: str) -> str:
    """`prompt` with [I] before the identity's subject, if it is not there yet."""
    if identity is None or not identity.subject:
        return prompt
    return with_placeholder(prompt, identity.subject, field=field)


def _check_placed(prompt: str, attributes: Sequence[Attribute]) -> None:
    for concept in (attribute.concept for attribute in attributes):
        if concept.placeholder not in prompt:
            raise PromptInvalid(
                f"the prompt does not say where the attribute goes: write {concept.placeholder} {concept.subject}",
                field="prompt",
                reason="placeholder_missing",
            )


def _check_mask(mask: Image.Image, size: tuple[int, int], field: str) -> None:
    if mask.mode != "L":
        raise MaskInvalid(f"the {field} is {mask.mode}: convert it to L (`decode_mask` does)", field=field, reason="mask_mode")
    if mask.size != size:
        raise MaskInvalid(f"the {field} is {mask.size} and the photo {size}: sizes must agree", field=field, reason="mask_size")
    if np.asarray(mask).max() < INSIDE:
        raise MaskInvalid(f"the {field} is empty: paint the region white", field=field, reason="mask_empty")


def _check_same(name: str, wanted: float | None, made: float) -> None:
    if wanted is not None and wanted != made:
        raise OptionInvalid(
            f"{name} is {wanted:g}, but the inversion was made with {made:g}: leave it out, or invert again",
            field=f"options.{name}",
        )


def _converted(
    results: list[Image.Image], latents: Tensor, output_type: OutputType
) -> list[Image.Image] | NDArray[np.float32] | Tensor:
    if output_type == "latent":
        return latents
    if output_type == "pil":
        return results
    pixels = np.stack([np.asarray(result, dtype=np.float32) for result in results]) / np.float32(255)
    return pixels if output_type == "np" else torch.from_numpy(pixels).permute(0, 3, 1, 2)

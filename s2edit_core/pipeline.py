"""S²Edit from end to end, in diffusers' idiom: `from_pretrained`, `learn`, `invert`, call.

    pipe = S2EditPipeline.from_pretrained("models/portraits-128")
    concept = pipe.learn(photo, mask, "a photo of a [I] woman", "woman")
    inversion = pipe.invert(photo, mask, "a photo of a [I] woman", concept)
    out = pipe("a photo of a [I] woman with red hair", image=photo, mask=mask, identity=concept, inversion=inversion)

Each verb has a generator twin (`learning`, `inverting`, `editing`) that yields `Progress`: a service drives those, and cancels
by closing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from s2edit_core.attention import Gates
from s2edit_core.backbone import Backbone
from s2edit_core.canvas import Canvas, make_canvas, to_image
from s2edit_core.concept import Concept
from s2edit_core.conditioning import keys_values, prompt_gates, prompt_keys_values, text_states, tokenize
from s2edit_core.editing import edit
from s2edit_core.errors import ArtifactMismatch
from s2edit_core.inversion import Inversion, Source, invert
from s2edit_core.learning import learn_concept
from s2edit_core.rows import Algorithm, Answers, Rows, evaluating, finish
from s2edit_core.spec import PLACEHOLDER, PRESETS, InversionOptions, LearningOptions, Progress

OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class S2EditOutput:
    """`images`: the edited frame as decoded (raw, before paste-back), RGB."""

    images: list[Image.Image]
    latents: Tensor
    facts: dict[str, Any] = field(default_factory=dict)


class S2EditPipeline:
    """The method over one base model. Holds no user's data: concepts and inversions are values."""

    def __init__(self, backbone: Backbone) -> None:
        self.backbone = backbone
        self.evaluations = 0

    @classmethod
    def from_pretrained(cls, model: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> S2EditPipeline:
        """`model` is a folder in diffusers' layout or a hub id of the SD 1.x/2.x family. Raises `ModelUnusable`."""
        return cls(Backbone.from_pretrained(model, device=device, dtype=dtype))

    def _evaluate(self, rows: Rows) -> Answers:
        self.evaluations += len(rows)
        return self.backbone.evaluate(rows)

    def guidance(self, wanted: float | None) -> float:
        return wanted if wanted is not None else self.backbone.card.guidance_scale

    def canvas(self, photo: Image.Image, mask: Image.Image, edit_mask: Image.Image | None = None) -> Canvas:
        """How `photo` (RGB) and its masks (L, same size) are laid into the model's frame."""
        for name, given in (("mask", mask), ("edit_mask", edit_mask)):
            if given is not None and given.size != photo.size:
                raise ValueError(f"the {name} is {given.size} and the photo {photo.size}: sizes must agree")
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
    ) -> Generator[Progress, None, Concept]:
        latent = self.backbone.encode_image(canvas.source())
        mask = canvas.mask(canvas.identity_mask)
        algorithm = learn_concept(self.backbone, latent, mask, prompt, subject, options, request_words=request_words, seed=seed)
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
        return (yield from evaluating(algorithm, self._evaluate))

    def editing(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, *, masked: bool = True
    ) -> Generator[Progress, None, Tensor]:
        """Ends with the edited latent."""
        return (yield from evaluating(self.edit_rows(canvas, prompt, concept, inversion, masked=masked), self._evaluate))

    def edit_rows(
        self, canvas: Canvas, prompt: str, concept: Concept | None, inversion: Inversion, *, masked: bool = True
    ) -> Algorithm[Tensor]:
        """Editing as an algorithm over rows, for whoever drives several in shared passes. Ends with the edited latent."""
        if inversion.fingerprint != self.backbone.fingerprint:
            raise ArtifactMismatch("the inversion was made with another model or schedule")
        concepts = self._concepts(concept)
        target = prompt_keys_values(self.backbone, prompt, concepts)
        gates = self._gates(canvas, prompt, concept, masked, field="prompt")
        return edit(self.backbone, inversion, target, gates, tuple(concepts.values()))

    def source(self, canvas: Canvas, prompt: str, concept: Concept | None, *, masked: bool = True) -> Source:
        """The photo's side of an edit."""
        concepts = self._concepts(concept)
        embeddings = {name: each.token for name, each in concepts.items()}
        tokens = tokenize(self.backbone, prompt, list(concepts), field="source_prompt")
        with torch.no_grad():
            states = text_states(self.backbone, tokens, embeddings)
            prompt_now = keys_values(self.backbone, states, list(concepts.values()))
        return Source(
            prompt=prompt_now,
            gates=self._gates(canvas, prompt, concept, masked, field="source_prompt"),
            states=states,
            concepts=tuple(concepts.values()),
        )

    def _concepts(self, concept: Concept | None) -> dict[str, Concept]:
        if concept is None:
            return {}
        if concept.fingerprint != self.backbone.fingerprint:
            raise ArtifactMismatch("the concept was learned with another model or schedule")
        return {PLACEHOLDER: concept}

    def _gates(self, canvas: Canvas, prompt: str, concept: Concept | None, masked: bool, *, field: str) -> Gates | None:
        if concept is None or not masked:
            return None
        mask = canvas.mask(canvas.identity_mask)
        scale = self.backbone.latent_scale
        size = (canvas.frame[1] // scale, canvas.frame[0] // scale)
        return prompt_gates(self.backbone, prompt, {PLACEHOLDER: mask}, size, field=field)

    # --- verbs -------------------------------------------------------------------------------------------------

    def learn(
        self,
        image: Image.Image,
        mask: Image.Image,
        prompt: str,
        subject: str,
        *,
        options: LearningOptions | None = None,
        request_words: Sequence[str] = (),
        seed: int = 0,
        on_progress: OnProgress | None = None,
    ) -> Concept:
        """Learn who is in `image` where `mask` is white. `prompt` holds [I] before `subject`."""
        options = options or LearningOptions()
        steps = self.learning(self.canvas(image, mask), prompt, subject, options, request_words=request_words, seed=seed)
        return finish(steps, on_progress)

    def invert(
        self,
        image: Image.Image,
        mask: Image.Image,
        prompt: str,
        concept: Concept | None,
        *,
        options: InversionOptions | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float | None = None,
        on_progress: OnProgress | None = None,
    ) -> Inversion:
        """Invert `image` with its source `prompt`."""
        options = options or PRESETS["balanced"].inversion
        steps = self.inverting(
            self.canvas(image, mask),
            prompt,
            concept,
            options,
            steps=num_inference_steps,
            guidance_scale=self.guidance(guidance_scale),
        )
        return finish(steps, on_progress)

    def __call__(
        self,
        prompt: str,
        *,
        image: Image.Image,
        mask: Image.Image,
        identity: Concept | None,
        inversion: Inversion,
        on_progress: OnProgress | None = None,
    ) -> S2EditOutput:
        """Edit: the raw frame that the model draws for `prompt`. Steps and guidance are the inversion's."""
        started = time.perf_counter()
        latent = finish(self.editing(self.canvas(image, mask), prompt, identity, inversion), on_progress)
        picture = to_image(self.backbone.decode_latent(latent))
        return S2EditOutput([picture], latent[None], {"seconds": time.perf_counter() - started})

"""The composition bench: learn makeup as [A] from a reference portrait and apply it to the person that [I] is learned from.

    python -m lab.quality --edits makeup --methods unedited,autoencoder,ddim,balanced,composed-apart,composed-together \\
        --out lab/results/composition.json

The makeup is lipstick and blush, so the ground truth is known: the recipient drawn with both. Methods without [A] get it as text
("red lipstick and blush"). With [A] the prompt only says "[A] lipstick", so the blush can come from [A] only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter
from torch import Tensor

from lab.measures.metrics import changed_region
from lab.quality.method import Case, Injected, Learned, Meter, Method, Transfer
from lab.world.edits import Subject
from lab.world.people import Attributes, Person, caption, replace_attributes, sample_person
from lab.world.portraits import person_mask, render
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.pipeline import Attribute, S2EditPipeline
from s2edit_core.request.prompts import with_placeholder
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER
from s2edit_core.unet.rows import Algorithm, drive_all

MAKEUP = "makeup"
WORD = "lipstick"
REFERENCE_OFFSET = 1_000_000
"""Person n gets the makeup of person n + `REFERENCE_OFFSET`."""
DILATION_PX = 5
"""Side of the square that dilates the regions of makeup."""


def makeup_transfer(pipe: S2EditPipeline, subject: Subject) -> Transfer:
    """Return the transfer of makeup to `subject` from its reference portrait."""
    reference = replace_attributes(sample_person(subject.number + REFERENCE_OFFSET), gender="woman", lipstick=True, blush=True)
    picture = render(reference)
    return Transfer(
        canvas=pipe.canvas(picture, person_mask(reference)),
        region=region_of(reference),
        prompt=with_attribute(reference.attributes),
        subject=WORD,
        target=with_attribute(subject.person.attributes),
        target_region=region_of(subject.person),
    )


def with_attribute(has: Attributes) -> str:
    """Return the caption of these attributes with "[A] lipstick" instead of any makeup."""
    plain = caption(replace(has, lipstick=False, blush=False))
    before, joined, last = plain.rpartition(" and ")
    return f"{before}, {last} and {ATTRIBUTE} {WORD}" if joined else f"{plain} and {ATTRIBUTE} {WORD}"


def region_of(person: Person) -> Image.Image:
    """Return the region where makeup would show on `person`, lips and cheeks, dilated by `DILATION_PX`: L, white inside."""
    without, made_up = (render(replace_attributes(person, lipstick=makeup, blush=makeup)) for makeup in (False, True))
    shows = changed_region(np.asarray(without), np.asarray(made_up))
    return Image.fromarray((shows * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(DILATION_PX))


@dataclass(frozen=True)
class Composed(Method):
    """A method that learns [I] from the case and an [A] from each reference picture, separately or all `together`."""

    together: bool = False

    def _learn(self, pipe: S2EditPipeline, cases: Sequence[Case], latents: Sequence[Tensor], meter: Meter) -> list[Learned]:
        assert self.learning is not None
        lessons: list[tuple[Lesson, ...]] = []
        for case, latent in zip(cases, latents, strict=True):
            mask = case.canvas.mask(case.canvas.identity_mask)
            prompt = self._prompt(case, case.prompt)
            identity = Lesson(latent, mask, prompt, case.subject or "", PLACEHOLDER, case.requested())
            attributes = [_lesson(pipe, transfer) for transfer in case.transfers.values()]
            lessons += [(identity, *attributes)] if self.together else [(identity,), *((each,) for each in attributes)]
        learners = [learn_concepts(pipe.backbone, some, self.learning) for some in lessons]
        concepts = iter([concept for learned in drive_all(learners, meter) for concept in learned])
        return [Learned(next(concepts), {name: next(concepts) for name in case.transfers}) for case in cases]

    def _sampling(
        self, pipe: S2EditPipeline, case: Case, name: str, target: str, learned: Learned, inversion: Inversion
    ) -> Algorithm[Tensor]:
        if name not in case.transfers:
            return super()._sampling(pipe, case, name, target, learned, inversion)
        transfer = case.transfers[name]
        attributes = [Attribute(learned.attributes[name], transfer.target_region)]
        prompt = with_placeholder(transfer.target, case.subject or "", field="prompt")
        injection = self.editing.options if isinstance(self.editing, Injected) else None
        return pipe.edit_rows(
            case.canvas,
            prompt,
            learned.identity,
            inversion,
            masked=self._masked,
            attributes=attributes,
            injection=injection,
            source_prompt=self._prompt(case, case.prompt),
        )


def _lesson(pipe: S2EditPipeline, transfer: Transfer) -> Lesson:
    latent = pipe.backbone.encode_image(transfer.canvas.source())
    return Lesson(latent, transfer.canvas.mask(transfer.region), transfer.prompt, transfer.subject, ATTRIBUTE)

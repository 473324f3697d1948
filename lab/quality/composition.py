"""Composition: makeup learned as [A] from somebody else's portrait, put on the person that [I] was learned from.

    python -m lab.quality --edits makeup --methods unedited,autoencoder,ddim,balanced,composed-apart,composed-together \\
        --out lab/results/composition.json

What is transferred is lipstick and blush, so the true answer is known: the recipient drawn with both. Methods without an [A] are
told in words ("red lipstick and blush"); with it the prompt names "[A] lipstick" alone, so the blush can come from [A] only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter
from torch import Tensor

from lab.measures.metrics import changed_region
from lab.quality.method import Case, Injected, Learned, Meter, Method, Worn
from lab.world.edits import Subject
from lab.world.people import Attributes, Person, caption, replace_attributes, sample_person
from lab.world.portraits import person_mask, render
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.learning import learn_concepts
from s2edit_core.method.lesson import Lesson
from s2edit_core.pipeline import Attribute, S2EditPipeline
from s2edit_core.request.prompts import with_placeholder
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER
from s2edit_core.unet.rows import Algorithm, drive_all

MAKEUP = "makeup"
WORD = "lipstick"
WEARERS = 1_000_000
"""The person of number n takes the makeup of the person of number n + `WEARERS`."""
REACH = 5
"""Side, in pixels, of the square by which the regions of makeup are grown."""


def makeup_of(pipe: S2EditPipeline, subject: Subject) -> Worn:
    """The makeup that `subject` gets: on whom it is seen, and where it goes."""
    wearer = replace_attributes(sample_person(subject.number + WEARERS), gender="woman", lipstick=True, blush=True)
    picture = render(wearer)
    return Worn(
        canvas=pipe.canvas(picture, person_mask(wearer)),
        region=region_of(wearer),
        prompt=with_attribute(wearer.attributes),
        subject=WORD,
        target=with_attribute(subject.person.attributes),
        place=region_of(subject.person),
    )


def with_attribute(has: Attributes) -> str:
    """The caption of these attributes, with "[A] lipstick" in place of any makeup."""
    plain = caption(replace(has, lipstick=False, blush=False))
    before, joined, last = plain.rpartition(" and ")
    return f"{before}, {last} and {ATTRIBUTE} {WORD}" if joined else f"{plain} and {ATTRIBUTE} {WORD}"


def region_of(person: Person) -> Image.Image:
    """Lips and cheeks of `person`: where makeup would be seen, and a little more; L, white inside."""
    without, made_up = (render(replace_attributes(person, lipstick=worn, blush=worn)) for worn in (False, True))
    shows = changed_region(np.asarray(without), np.asarray(made_up))
    return Image.fromarray((shows * 255).astype(np.uint8)).filter(ImageFilter.MaxFilter(REACH))


@dataclass(frozen=True)
class Composed(Method):
    """[I] from the case, and an [A] from every picture that something is taken from; each alone or all `together`."""

    together: bool = False

    def _learn(self, pipe: S2EditPipeline, cases: Sequence[Case], latents: Sequence[Tensor], meter: Meter) -> list[Learned]:
        assert self.learning is not None
        lessons: list[tuple[Lesson, ...]] = []
        for case, latent in zip(cases, latents, strict=True):
            mask = case.canvas.mask(case.canvas.identity_mask)
            prompt = self._prompt(case, case.prompt)
            identity = Lesson(latent, mask, prompt, case.subject or "", PLACEHOLDER, case.requested())
            attributes = [_lesson(pipe, worn) for worn in case.worn.values()]
            lessons += [(identity, *attributes)] if self.together else [(identity,), *((each,) for each in attributes)]
        learners = [learn_concepts(pipe.backbone, some, self.learning) for some in lessons]
        concepts = iter([concept for learned in drive_all(learners, meter) for concept in learned])
        return [Learned(next(concepts), {name: next(concepts) for name in case.worn}) for case in cases]

    def _sampling(
        self, pipe: S2EditPipeline, case: Case, name: str, target: str, learned: Learned, inversion: Inversion
    ) -> Algorithm[Tensor]:
        if name not in case.worn:
            return super()._sampling(pipe, case, name, target, learned, inversion)
        worn = case.worn[name]
        attributes = [Attribute(learned.attributes[name], worn.place)]
        prompt = with_placeholder(worn.target, case.subject or "", field="prompt")
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


def _lesson(pipe: S2EditPipeline, worn: Worn) -> Lesson:
    latent = pipe.backbone.encode_image(worn.canvas.source())
    return Lesson(latent, worn.canvas.mask(worn.region), worn.prompt, worn.subject, ATTRIBUTE)

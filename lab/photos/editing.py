"""Edits of a person as the library delivers them, and whether the judge finds what they asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from PIL import Image

from lab.judges.attributes import AttributeJudge
from lab.photos.people import PEOPLE
from lab.quality.worlds.edits import Case, Target
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.pipeline import S2EditOutput, S2EditPipeline
from s2edit_core.request.presets import Preset
from s2edit_core.request.prompts import changed_words

EDITS = ("kept",)
"""The group of edits that leave the layout as it is and reveal nothing."""


def edits_of(
    pipe: S2EditPipeline, case: Case, photo: Image.Image, mask: Image.Image, source: str, preset: Preset
) -> Iterator[tuple[Target, S2EditOutput]]:
    """Learn the person of `case` that `mask` marks in `photo`, and yield each of her edits. `source` describes the photo."""
    words = dict.fromkeys(word for target in case.targets for word in changed_words(source, target.answer.prompt))
    identity = pipe.learn(photo, mask, source, case.photo.word, options=preset.learning, request_words=tuple(words))
    inversion = pipe.invert(
        photo,
        mask,
        source,
        identity,
        options=preset.inversion,
        num_inference_steps=preset.steps,
        guidance_scale=preset.guidance(pipe.guidance(None, preset.name)),
    )
    for target in case.targets:
        prompt = target.answer.prompt
        yield target, pipe(prompt, image=photo, mask=mask, identity=identity, inversion=inversion, injection=preset.injection)


def judged(judge: AttributeJudge, picture: Image.Image, target: Target) -> dict[str, Any]:
    """Return whether the portrait `picture` shows what the edit asked for, and how many other attributes changed."""
    seen = judge.classes(to_tensor(picture)[None], PEOPLE.name)
    wanted = PEOPLE.label(target.answer.subject.attributes)
    right = {name: int(shown[0]) == wanted[name] for name, shown in seen.items()}
    return {
        "success": all(right[name] for name in target.changes),
        "side_effects": sum(not each for name, each in right.items() if name not in target.changes),
    }

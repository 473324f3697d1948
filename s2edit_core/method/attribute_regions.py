"""Where an attribute acts if nobody says it: where its word does.

The model knows where a makeup goes, or a hat. So two predictions are compared on the photo's inverted path, as DiffEdit does
(arXiv 2210.11427): of the target prompt with the attribute's word, and without it. What was learned has no part in that: away from
its region, it has never been held to anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.delivery.asked import WEARING
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.method.base_model_masks import prediction_difference
from s2edit_core.method.injection import compared_steps, soft_threshold
from s2edit_core.method.inputs import Attribute
from s2edit_core.method.inversion import Inversion
from s2edit_core.request.options import NO_INJECTION, InjectionOptions
from s2edit_core.request.words import following, tidy
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Row

THRESHOLD = 0.22
"""Of the difference, relative to its maximum: from here on, a cell is wholly in the region. Chosen on the bench's 16 pairs."""
_LEADING = "|".join(("with", "and", "in", *sorted(WEARING)))


def without_attribute(prompt: str, placeholder: str, words: str) -> str:
    """Return the tidy `prompt` without an attribute and the words that lead to it, as in "a woman with [A] makeup".

    >>> without_attribute("a woman with red hair, wearing a [A] hat, looking up", "[A]", "hat")
    'a woman with red hair, looking up'
    """
    it = rf"(?:(?:an?|the|her|his|its|their)\s+)?{re.escape(placeholder)}{following(words)}"
    text = re.sub(rf"{it}\s+and\s+", "", tidy(prompt))  # "with [A] makeup and red hair"
    return tidy(re.sub(rf"(?:(?:\s*,)?(?:\s+(?i:{_LEADING}))*\s+|^){it}", "", text))


def word_region(
    backbone: Backbone, inversion: Inversion, with_word: KeysValues, without: KeysValues, within: Tensor
) -> Algorithm[Tensor]:
    """Return where the word of an attribute acts `within` a mask, both `(h, w)` in 0..1 in latent cells.

    `with_word` and `without` are the target prompt with the word in place of the attribute, and without it. The levels compared are
    those of `injection.where_prompts_differ`.
    """
    steps = inversion.steps
    timesteps = backbone.schedule.timesteps(steps)
    levels = [(inversion.path[steps - i], timesteps[i]) for i in compared_steps(steps)]
    answers = yield tuple(Row(z, t, prompt) for z, t in levels for prompt in (with_word, without))
    with torch.no_grad():
        difference = prediction_difference(answers)
        found = difference * within.to(difference)
        return soft_threshold(found, THRESHOLD * float(found.max()))


def located_by_difference(options: InjectionOptions | None) -> InjectionOptions:
    """Return `options` with a blend: the one of `balanced`, which is held to the regions of attributes, if they have none."""
    if options is not None and options.blend != "none":
        return options
    return replace(options or NO_INJECTION, blend="difference", blend_start=0.0)


def with_regions(
    backbone: Backbone,
    canvas: Canvas,
    prompt: str,
    concepts: Mapping[str, Concept],
    inversion: Inversion,
    attributes: Sequence[Attribute],
) -> Algorithm[list[Attribute]]:
    """Return `attributes`, those without a region with the one where their words act inside the edit mask.

    `concepts` are all of the target `prompt`.
    """
    within = canvas.cells(canvas.edit_mask, (inversion.path.shape[-2], inversion.path.shape[-1]))
    placed = []
    for each in attributes:
        if each.region is None:
            name, words = each.concept.placeholder, each.concept.subject
            others = {other: concept for other, concept in concepts.items() if other != name}
            texts = (prompt.replace(name, ""), without_attribute(prompt, name, words))
            with_word, without = (prompt_keys_values(backbone, text, others) for text in texts)
            region = yield from word_region(backbone, inversion, with_word, without, within)
            each = replace(each, region=canvas.region(region))
        placed.append(each)
    return placed

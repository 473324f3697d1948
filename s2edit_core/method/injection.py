"""Attention injection: the photo's own prompt is sampled beside the target, and the target reads its attention (Prompt-to-Prompt).

The method follows Hertz et al., arXiv 2208.01626. In the first steps, cross-attention is read through a token map, and
self-attention in small feature maps. Only conditional rows read. A local blend keeps the source's latents outside the edit.
DiffEdit (Couairon et al., arXiv 2210.11427) can locate the edit instead, by the difference of the two prompts' predictions for the
photo's own noise.

If the inversion's source branch is the inverted path itself, its latents come from the path, which saves one row per step.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.concepts.conditioning import Placeholders, keys_values
from s2edit_core.concepts.prompt_alignment import PromptTokens, align, prompt_tokens
from s2edit_core.delivery.asked import asks_only_for
from s2edit_core.errors import PromptInvalid
from s2edit_core.method.base_model_masks import prediction_difference
from s2edit_core.method.inversion import Inversion, Source
from s2edit_core.method.negation import NegativePrompt
from s2edit_core.request.options import InjectionOptions
from s2edit_core.request.prompts import changed_words
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.attention import Gates, KeysValues, TokenMap, layer_size, word_layers
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Injection, Row, Rows

FLOOR = 0.25
"""Share of the threshold up to which a difference of predictions counts as none."""


@dataclass(frozen=True, eq=False)
class SourceGuide:
    """The inputs that let an edit follow its source."""

    source: Source
    tokens: TokenMap
    options: InjectionOptions
    blend_words: tuple[tuple[int, ...], tuple[int, ...]] | None = None  # token positions in the source and the target prompt
    edit_mask: Tensor | None = None  # (h, w) in latent cells, 0..1: where the edit keeps its own latents
    attribute_mask: Tensor | None = None  # (h, w) in latent cells, 0..1: where attributes act
    only_attributes: bool = False  # whether the edit asks for nothing else

    def with_attributes(self, mask: Tensor) -> Tensor:
        """Return the union of `mask` `(h, w)` and the region where attributes act."""
        return mask if self.attribute_mask is None else torch.maximum(mask, self.attribute_mask.to(mask))


def source_guide(
    backbone: Backbone,
    source: Source,
    source_prompt: str,
    prompt: str,
    options: InjectionOptions,
    *,
    edit_mask: Tensor | None = None,
    attribute_mask: Tensor | None = None,
    placeholders: Placeholders = (PLACEHOLDER,),
) -> SourceGuide:
    """Align both prompts and locate the words that `options` name.

    `edit_mask` `(h, w)` in latent cells, 0..1, is needed for the blend by edit mask. `attribute_mask`, of the same shape, is where
    attributes act: blends that locate the edit leave these cells to it, and only these if the prompts differ by nothing but
    attributes that stand for their words. Raises `PromptInvalid` for words that the prompts lack, `ValueError` if the edit mask is
    missing.
    """
    here = prompt_tokens(backbone, source_prompt, placeholders, field="source_prompt")
    there = prompt_tokens(backbone, prompt, placeholders)
    if options.blend == "edit_mask" and edit_mask is None:
        raise ValueError("the blend 'edit_mask' needs the edit mask")
    named = [f"{name} {words}" for name, words in placeholders.items() if words] if isinstance(placeholders, Mapping) else []
    return SourceGuide(
        source,
        align(here, there, options.mode, dict(options.reweight)),
        options,
        _blend_words(here, there, options) if options.blend == "words" else None,
        edit_mask if options.blend == "edit_mask" else None,
        attribute_mask,
        attribute_mask is not None and asks_only_for(source_prompt, prompt, named),
    )


def _blend_words(source: PromptTokens, target: PromptTokens, options: InjectionOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the token positions, in each prompt, of the words that the blend by words follows.

    The default words are those in which the prompts differ. Raises `PromptInvalid` for a word of neither prompt.
    """
    words = options.blend_words or (
        *changed_words(source.prompt, target.prompt),
        *changed_words(target.prompt, source.prompt),
    )
    if not words:
        raise PromptInvalid("both prompts have the same words: name blend_words", field="options.blend_words")
    found: tuple[list[int], list[int]] = ([], [])
    for word in words:
        missing = 0
        for positions, prompt in zip(found, (source, target), strict=True):
            try:
                positions += prompt.of_word(word)
            except PromptInvalid:
                missing += 1
        if missing == 2:
            raise PromptInvalid(f"{word!r} is a word of neither prompt: name one that is", field="options.blend_words")
    return tuple(found[0]), tuple(found[1])


class SourceBranch:
    """The source branch of an edit while it is sampled: its latent, and the attention of the blend words so far."""

    def __init__(self, backbone: Backbone, inversion: Inversion, guide: SourceGuide, first: int) -> None:
        self.inversion, self.guide, self.schedule = inversion, guide, backbone.schedule
        self.z = inversion.path[inversion.steps - first]
        self._layers = word_layers(backbone.layers) if guide.blend_words else ()
        self._map_size = layer_size(self._size, backbone.layers[self._layers[0]].level) if self._layers else (0, 0)
        self._attention_sums: list[Tensor] = []  # of the source's and the target's blend words, summed over the steps

    @property
    def _size(self) -> tuple[int, int]:
        return self.z.shape[-2], self.z.shape[-1]

    def _is_early(self, i: int, share: float) -> bool:
        """Return whether step `i` is within the first `share` of the steps."""
        return i < round(share * self.inversion.steps)

    def rows(self, i: int, z: Tensor, t: int, target: KeysValues, gates: Gates | None, null: KeysValues) -> Rows:
        """Return the target's conditional and unconditional row of step `i`, then the rows needed of the source branch."""
        options, source = self.guide.options, self.guide.source
        cross, self_attention = self._is_early(i, options.cross_share), self._is_early(i, options.self_share)
        sampled = not self.inversion.source_is_path
        unconditional = Row(z, t, null)
        if not (cross or self_attention or self._layers or (sampled and options.blend != "none")):
            return Row(z, t, target, gates), unconditional
        source_row = Row(self.z, t, source.prompt, source.gates, capture=self._layers)
        injection = None
        if cross or self_attention:
            injection = Injection(source_row, self.guide.tokens if cross else None, self_strength=float(self_attention))
        conditional = Row(z, t, target, gates, injection=injection, capture=self._layers)
        if sampled:
            return conditional, unconditional, source_row, Row(self.z, t, null)
        return conditional, unconditional, source_row

    def advance(self, i: int, t: int, z: Tensor, answers: Answers) -> Tensor:
        """Advance the source branch over step `i`, and return the target's latent `z` after that step, blended."""
        steps, options = self.inversion.steps, self.guide.options
        if self.inversion.source_is_path:
            self.z = self.inversion.path[steps - 1 - i]
        elif len(answers) == 4:
            a, b = self.schedule.coefficients(t, steps)
            self.z = a * self.z + b * self.inversion.guided(i, answers[2].eps, answers[3].eps)
        if self.guide.blend_words is not None:
            self._accumulate_attention(answers)
        if options.blend == "none" or self._is_early(i, options.blend_start):
            return z
        return self.z + self._blend_mask().to(z) * (z - self.z)

    def _accumulate_attention(self, answers: Answers) -> None:
        """Add the attention of the blend words in this step."""
        assert self.guide.blend_words is not None
        maps = [
            torch.stack([each[:, list(positions)].sum(dim=1) for each in answer.maps]).mean(dim=0)
            for positions, answer in zip(self.guide.blend_words, (answers[2], answers[0]), strict=True)
        ]
        self._attention_sums = [a + b for a, b in zip(self._attention_sums, maps, strict=True)] if self._attention_sums else maps

    def _blend_mask(self) -> Tensor:
        """Return where the target keeps its own latents: in the edit mask, or where the blend words of either prompt attend."""
        if self.guide.edit_mask is not None:
            return self.guide.edit_mask
        masks = [
            attention_mask(heat.view(self._map_size), self._size, self.guide.options.blend_threshold)
            for heat in self._attention_sums
        ]
        return self.guide.with_attributes(torch.maximum(*masks))


def compared_steps(steps: int) -> range:
    """Return the steps at which predictions are compared, of the noisiest quarter of `steps`."""
    return range(0, max(1, steps // 4), max(1, steps // 20))


def where_prompts_differ(
    backbone: Backbone,
    inversion: Inversion,
    guide: SourceGuide,
    target: KeysValues,
    gates: Gates | None,
    negative: NegativePrompt | None = None,
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Return how far the target's prediction is from the source's on the photo's own path: `(h, w)` in 0..1.

    This is DiffEdit's difference map (arXiv 2210.11427), scaled to a maximum of 1, at the noisiest quarter of the path. There the
    layout is still open, and the model considers objects that the photo lacks, such as a hat; at later levels it no longer does.
    Each level is normalised to the same weight. The rows do not depend on each other and are evaluated together. A `negative`
    prompt is part of the target's prediction, so the region that it affects counts too.
    """
    steps, source = inversion.steps, guide.source
    chosen = compared_steps(steps)
    timesteps = backbone.schedule.timesteps(steps)
    levels = [(inversion.path[steps - i], timesteps[i]) for i in chosen]
    pairs = tuple(row for z, t in levels for row in (Row(z, t, target, gates), Row(z, t, source.prompt, source.gates)))
    if negative is None:
        return prediction_difference((yield pairs))
    with torch.no_grad():
        states = range(len(inversion.null_states))  # one per step, or a single one
        prompts = [keys_values(backbone, inversion.null_state(i), source.concepts) for i in chosen if i in states]
    nulls = prompts if len(states) > 1 else prompts * len(levels)
    extra_rows = [(Row(z, t, null), *negative.rows(z, t)) for (z, t), null in zip(levels, nulls, strict=True)]
    answers = yield (*pairs, *(row for rows in extra_rows for row in rows))
    w, predictions = inversion.guidance_scale, list(answers[: len(pairs)])
    extra_answers = iter(answers[len(pairs) :])
    for level, rows in enumerate(extra_rows):
        unconditional, *negatives = (next(extra_answers) for _ in rows)
        # The guided prediction contains w·ε_c − (w − 1)·(ε_n − ε_∅). Divided by w, it compares with ε_c of the source.
        moved = predictions[2 * level].eps - (w - 1) / w * negative.direction(negatives, unconditional.eps)
        predictions[2 * level] = replace(predictions[2 * level], eps=moved)
    return prediction_difference(tuple(predictions))


def soft_threshold(difference: Tensor, threshold: float) -> Tensor:
    """Return `difference` in 0..1 as a soft mask: 0 up to `FLOOR` of `threshold`, then rising linearly to 1 at the threshold."""
    share = difference / max(threshold, 1e-12)
    return ((share - FLOOR) / (1 - FLOOR)).clamp(0, 1)


def dilate(heat: Tensor) -> Tensor:
    """Return `heat` `(h, w)` dilated by one cell (the maximum over 3 × 3 neighbours), as in Prompt-to-Prompt's local blend.

    A change ends in cells that change little. If those kept the photo's latents, the outline of the old object would remain.
    """
    return F.max_pool2d(heat[None, None], kernel_size=3, stride=1, padding=1)[0, 0]


def attention_mask(heat: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """Return Prompt-to-Prompt's local blend mask at `size`.

    The mask is 1 where `heat` `(h, w)`, dilated, is above `threshold` of its maximum, and 0 elsewhere.
    """
    grown = F.interpolate(dilate(heat)[None, None], size=size)[0, 0]
    return (grown > threshold * grown.max()).to(heat.dtype)

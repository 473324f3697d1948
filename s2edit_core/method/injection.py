"""The source branch of an edit: the photo's own prompt sampled beside the target's, which reads its attention (Prompt-to-Prompt).

As published (Hertz et al., arXiv 2208.01626): cross-attention is read in the first steps through a token map, self-attention of
small maps likewise; only the conditional rows read, and a local blend takes what lies outside the edit from the source's latents.
Where that is may also be asked of the model itself: where the two prompts' predictions for the photo's own noise differ (DiffEdit,
Couairon et al., arXiv 2210.11427).
Where the inversion's source branch is the inverted path itself, it is taken from there and costs one row a step, not two.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.concepts.conditioning import keys_values
from s2edit_core.concepts.prompt_alignment import PromptTokens, align, prompt_tokens
from s2edit_core.errors import PromptInvalid
from s2edit_core.method.inversion import Inversion, Source
from s2edit_core.method.masks import differing
from s2edit_core.method.negation import Negative
from s2edit_core.request.prompts import changed_words
from s2edit_core.request.spec import PLACEHOLDER, InjectionOptions, Progress
from s2edit_core.unet.attention import Gates, KeysValues, TokenMap, layer_size, word_layers
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Injection, Row, Rows

FLOOR = 0.25
"""Share of the threshold below which a difference of predictions counts for nothing."""


@dataclass(frozen=True, eq=False)
class SourceGuide:
    """What an edit needs to follow its source."""

    source: Source
    tokens: TokenMap
    options: InjectionOptions
    blend_words: tuple[tuple[int, ...], tuple[int, ...]] | None = None  # positions in the source prompt and in the target's
    edit_mask: Tensor | None = None  # (h, w) of the latent, 0..1: where the edit's latents stay
    worn: Tensor | None = None  # (h, w) of the latent, 0..1: where attributes act, whatever place a blend finds for the edit

    def stays(self, found: Tensor) -> Tensor:
        """Where the edit's latents stay, of the place `found` `(h, w)` for it: there, and where attributes act."""
        return found if self.worn is None else torch.maximum(found, self.worn.to(found))


def source_guide(
    backbone: Backbone,
    source: Source,
    source_prompt: str,
    prompt: str,
    options: InjectionOptions,
    *,
    edit_mask: Tensor | None = None,
    worn: Tensor | None = None,
    placeholders: Sequence[str] = (PLACEHOLDER,),
) -> SourceGuide:
    """Align both prompts, and find the words that `options` name. `edit_mask` `(h, w)` 0..1, latent cells, for the blend by it.

    `worn`, likewise, is where attributes act: a blend that looks for the edit's place leaves these cells to the edit.

    Raises `PromptInvalid` for words that the prompts do not have, `ValueError` if the edit mask is missing.
    """
    here = prompt_tokens(backbone, source_prompt, placeholders, field="source_prompt")
    there = prompt_tokens(backbone, prompt, placeholders)
    if options.blend == "edit_mask" and edit_mask is None:
        raise ValueError("the blend 'edit_mask' needs the edit mask")
    return SourceGuide(
        source,
        align(here, there, options.mode, dict(options.reweight)),
        options,
        _blend_words(here, there, options) if options.blend == "words" else None,
        edit_mask if options.blend == "edit_mask" else None,
        worn,
    )


def _blend_words(source: PromptTokens, target: PromptTokens, options: InjectionOptions) -> tuple[tuple[int, ...], tuple[int, ...]]:
    words = options.blend_words or (
        *changed_words(source.prompt, target.prompt),
        *changed_words(target.prompt, source.prompt),
    )
    if not words:
        raise PromptInvalid("the prompts have the same words: name blend_words", field="options.blend_words")
    found: tuple[list[int], list[int]] = ([], [])
    for word in words:
        missed = 0
        for positions, prompt in zip(found, (source, target), strict=True):
            try:
                positions += prompt.of_word(word)
            except PromptInvalid:
                missed += 1
        if missed == 2:
            raise PromptInvalid(f"{word!r} is a word of neither prompt: name one that is", field="options.blend_words")
    return tuple(found[0]), tuple(found[1])


class SourceBranch:
    """The source's side of one edit while it is sampled: its latent, and where the words have attended so far."""

    def __init__(self, backbone: Backbone, inversion: Inversion, guide: SourceGuide, first: int) -> None:
        self.inversion, self.guide, self.schedule = inversion, guide, backbone.schedule
        self.z = inversion.path[inversion.steps - first]
        self._layers = word_layers(backbone.layers) if guide.blend_words else ()
        self._map_size = layer_size(self._size, backbone.layers[self._layers[0]].level) if self._layers else (0, 0)
        self._heats: list[Tensor] = []  # of the source's words and the target's, summed over the steps

    @property
    def _size(self) -> tuple[int, int]:
        return self.z.shape[-2], self.z.shape[-1]

    def _within(self, i: int, share: float) -> bool:
        return i < round(share * self.inversion.steps)

    def rows(self, i: int, z: Tensor, t: int, target: KeysValues, gates: Gates | None, null: KeysValues) -> Rows:
        """The target's conditional and unconditional row of step `i`, then what is needed of the source's."""
        options, source = self.guide.options, self.guide.source
        cross, within = self._within(i, options.cross_share), self._within(i, options.self_share)
        sampled = not self.inversion.source_is_path
        unconditional = Row(z, t, null)
        if not (cross or within or self._layers or (sampled and options.blend != "none")):
            return Row(z, t, target, gates), unconditional
        own = Row(self.z, t, source.prompt, source.gates, capture=self._layers)
        injection = Injection(own, self.guide.tokens if cross else None, within=float(within)) if cross or within else None
        conditional = Row(z, t, target, gates, injection=injection, capture=self._layers)
        return (conditional, unconditional, own, Row(self.z, t, null)) if sampled else (conditional, unconditional, own)

    def advance(self, i: int, t: int, z: Tensor, answers: Answers) -> Tensor:
        """Take the source over step `i`; the target's latent `z` after that step, blended."""
        steps, options = self.inversion.steps, self.guide.options
        if self.inversion.source_is_path:
            self.z = self.inversion.path[steps - 1 - i]
        elif len(answers) == 4:
            a, b = self.schedule.coefficients(t, steps)
            self.z = a * self.z + b * self.inversion.guided(i, answers[2].eps, answers[3].eps)
        if self.guide.blend_words is not None:
            self._watch(answers)
        if options.blend == "none" or self._within(i, options.blend_start):
            return z
        return self.z + self._mask().to(z) * (z - self.z)

    def _watch(self, answers: Answers) -> None:
        assert self.guide.blend_words is not None
        seen = [
            torch.stack([each[:, list(positions)].sum(dim=1) for each in answer.maps]).mean(dim=0)
            for positions, answer in zip(self.guide.blend_words, (answers[2], answers[0]), strict=True)
        ]
        self._heats = [a + b for a, b in zip(self._heats, seen, strict=True)] if self._heats else seen

    def _mask(self) -> Tensor:
        """Where the edit's latents stay: the edit mask, where the prompts differ, or where the words of either attend."""
        if self.guide.edit_mask is not None:
            return self.guide.edit_mask
        masks = [attended(heat.view(self._map_size), self._size, self.guide.options.blend_threshold) for heat in self._heats]
        return self.guide.stays(torch.maximum(*masks))


def where_prompts_differ(
    backbone: Backbone,
    inversion: Inversion,
    guide: SourceGuide,
    target: KeysValues,
    gates: Gates | None,
    negative: Negative | None = None,
) -> Generator[Rows | Progress, Answers, Tensor]:
    """How far the target's prediction is from the source's on the photo's own path: `(h, w)`, 1 where it is furthest.

    Asked at the noisiest levels, where a model decides what goes where and still sees things that the photo has not (a hat). From
    there on it looks at the photo and finds no room for them. All rows at once: none waits for another. Each level counts alike.
    A `negative` prompt is part of the target: what it takes away has a place too.
    """
    steps, source = inversion.steps, guide.source
    asked = range(0, max(1, steps // 4), max(1, steps // 20))
    timesteps = backbone.schedule.timesteps(steps)
    levels = [(inversion.path[steps - i], timesteps[i]) for i in asked]
    pairs = tuple(row for z, t in levels for row in (Row(z, t, target, gates), Row(z, t, source.prompt, source.gates)))
    if negative is None:
        return differing((yield pairs))
    with torch.no_grad():
        nulls = [keys_values(backbone, inversion.null_state(i), source.concepts) for i in asked]
    beside = [(Row(z, t, null), *negative.rows(z, t)) for (z, t), null in zip(levels, nulls, strict=True)]
    answers = yield (*pairs, *(row for rows in beside for row in rows))
    w, seen = inversion.guidance_scale, list(answers[: len(pairs)])
    others = iter(answers[len(pairs) :])
    for level, rows in enumerate(beside):
        unconditional, *found = (next(others) for _ in rows)
        # w·ε_c − (w − 1)·(ε_n − ε_∅), in units of w
        moved = seen[2 * level].eps - (w - 1) / w * negative.direction(found, unconditional.eps)
        seen[2 * level] = replace(seen[2 * level], eps=moved)
    return differing(tuple(seen))


def risen(difference: Tensor, threshold: float) -> Tensor:
    """`difference` in 0..1 as a soft mask: 0 up to a quarter of `threshold`, from there rising to 1 at the threshold."""
    share = difference / max(threshold, 1e-12)
    return ((share - FLOOR) / (1 - FLOOR)).clamp(0, 1)


def widened(heat: Tensor) -> Tensor:
    """`heat` `(h, w)` with every cell at the maximum of its 3×3 neighbours, as in P2P's local blend.

    What changes ends in cells where little changes, and the photo's own latents there would keep the old thing's edge.
    """
    return F.max_pool2d(heat[None, None], kernel_size=3, stride=1, padding=1)[0, 0]


def attended(heat: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """P2P's local blend: `heat` `(h, w)` widened by one cell, at `size`, 1 where it is above `threshold` of its maximum."""
    grown = F.interpolate(widened(heat)[None, None], size=size)[0, 0]
    return (grown > threshold * grown.max()).to(heat.dtype)

"""What was not given, found with the model itself: a mask of the person, and the word that names it.

The mask is where the prompt makes a difference to the model's predictions, the word the one that attends most where the mask is.
They need no weights but the model's, and are as good as it: a person's own choice, or `auto`, is better where there is one.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.concepts.prompt_alignment import prompt_tokens
from s2edit_core.errors import MaskInvalid, PromptInvalid
from s2edit_core.request.spec import Progress
from s2edit_core.unet.attention import check_mask, layer_size, word_layers
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows

LEVELS = (0.3, 0.5, 0.7)
"""Noise levels at which attention is looked at, as shares of the training timesteps: layout is decided, detail is not."""
MASK_LEVELS = (0.5, 0.7, 0.9)
"""The same, at which predictions are compared: with less noise they come from the latent alone."""
MASK_DRAWS = 4
"""Of noise per level: a difference of single predictions is rough."""
NO_SUBJECTS = frozenset(
    [
        *("a", "an", "the", "of", "with", "and", "or", "in", "on", "at", "is", "by", "to", "his", "her", "their"),
        *("photo", "picture", "portrait", "image", "painting", "drawing", "photograph"),
    ]
)
"""Words that name no subject, though their attention may lie anywhere."""


def word_maps(
    backbone: Backbone, latent: Tensor, prompt: str, positions: Sequence[Sequence[int]], *, seed: int = 0
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Where words attend: `(words, h, w)` in 0..1 each, at the size of `latent` `(c, h, w)`.

    `positions` are the tokens of each word in `prompt`. Means over layers, noise levels and a word's tokens. Raises `ValueError`
    for another shape, or a word without tokens.
    """
    if latent.ndim != 3:
        raise ValueError(f"expected a latent (c, h, w), got {tuple(latent.shape)}")
    if not positions or not all(positions):
        raise ValueError("each word needs the positions of its tokens: find them with `PromptTokens.of_word`")
    layers, size = word_layers(backbone.layers), (latent.shape[-2], latent.shape[-1])
    generator = torch.Generator().manual_seed(seed)
    keys_values = prompt_keys_values(backbone, prompt, {})
    rows = []
    for share in LEVELS:
        t = round(share * (backbone.schedule.train_timesteps - 1))
        rows.append(Row(_noisy(backbone, latent, t, generator), t, keys_values, capture=layers))
    answers = yield tuple(rows)
    yield Progress("preparing", 1, 1)
    grids = [layer_size(size, backbone.layers[i].level) for i in layers]
    seen = [[_upsampled(each, grid, size) for each, grid in zip(answer.maps, grids, strict=True)] for answer in answers]
    mean = torch.stack([each for answer in seen for each in answer]).mean(dim=0)
    return torch.stack([_normalised(mean[list(word)].mean(dim=0)) for word in positions])


def _noisy(backbone: Backbone, latent: Tensor, t: int, generator: torch.Generator) -> Tensor:
    eps = torch.randn(latent.shape, generator=generator).to(latent)
    return backbone.schedule.add_noise(latent[None], eps[None], torch.tensor([t], device=latent.device))[0]


def _upsampled(maps: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """`(h·w, tokens)` to `(tokens, *size)`."""
    return F.interpolate(maps.T.view(1, -1, *grid), size=size, mode="bilinear", align_corners=False)[0]


def _normalised(heat: Tensor) -> Tensor:
    """To 0..1; all zeros where it is the same everywhere."""
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low) if high > low else torch.zeros_like(heat)


def subject_of(
    backbone: Backbone, latent: Tensor, prompt: str, mask: Tensor, *, seed: int = 0
) -> Generator[Rows | Progress, Answers, str]:
    """The word of `prompt` whose cross-attention lies most inside `mask` `(H, W)` 0..1, of the photo with `latent` `(c, h, w)`.

    "Most inside" is the correlation of map and mask: a share of the map alone would prefer the word of a detail. Raises
    `MaskInvalid` for a mask without an inside and an outside, `PromptInvalid` if no word could be a subject.
    """
    check_mask(mask)
    inside = F.adaptive_avg_pool2d(mask[None].float(), (latent.shape[-2], latent.shape[-1]))[0].to(latent)
    if not inside.max() > inside.min():
        raise MaskInvalid("the mask has no inside or no outside: mark the person in it", field="mask", reason="mask_flat")
    tokens = prompt_tokens(backbone, prompt, (), field="source_prompt")
    matches = [match for match in re.finditer(r"\w+", tokens.prompt) if match[0].lower() not in NO_SUBJECTS]
    if not matches:
        raise PromptInvalid("no word of the source_prompt could name the person", field="source_prompt", reason="subject_unknown")
    maps = yield from word_maps(backbone, latent, prompt, [tokens.of(*match.span()) for match in matches], seed=seed)
    scores = [correlation(heat, inside) for heat in maps]
    return matches[scores.index(max(scores))][0]


def correlation(a: Tensor, b: Tensor) -> float:
    """Pearson's, of all elements; 0 where either is the same everywhere. Raises `ValueError` for different shapes."""
    if a.shape != b.shape:
        raise ValueError(f"expected two tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    a, b = a - a.mean(), b - b.mean()
    norm = a.norm() * b.norm()
    return float((a * b).sum() / norm) if norm > 0 else 0.0


def probability_of(
    backbone: Backbone, latent: Tensor, prompt: str, size: tuple[int, int], *, seed: int = 0
) -> Generator[Rows | Progress, Answers, Tensor]:
    """How much `prompt` matters to each part of the photo with `latent` `(c, h, w)`: `size` = (H, W), in 0..1, above 0.5 inside.

    DiffEdit's mask (arXiv 2210.11427) between the prompt and none, smoothed over 3×3 cells, with Otsu's threshold at 0.5. So the
    prompt should say of the person what can be seen, and nothing of the rest. Raises `MaskInvalid` if the prompt makes no
    difference.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"expected a size (H, W) of one pixel or more each, got {size}")
    generator = torch.Generator().manual_seed(seed)
    said, unsaid = (prompt_keys_values(backbone, words, {}) for words in (prompt, ""))
    rows = []
    for level in MASK_LEVELS:
        t = int(level * (backbone.schedule.train_timesteps - 1))
        for _ in range(MASK_DRAWS):
            noisy = _noisy(backbone, latent, t, generator)
            rows += [Row(noisy, t, said), Row(noisy, t, unsaid)]
    answers = yield tuple(rows)
    yield Progress("preparing", len(rows), len(rows))
    heat = F.avg_pool2d(differing(answers)[None, None].float(), kernel_size=3, stride=1, padding=1, count_include_pad=False)
    wide = F.interpolate(heat, size=size, mode="bilinear", align_corners=False)[0, 0]
    if not wide.max() > wide.min():
        raise MaskInvalid(f"{prompt!r} marks nothing in the photo: give a mask", field="mask", reason="mask_not_found")
    return _around_half(wide, otsu(wide))


def _around_half(heat: Tensor, threshold: float) -> Tensor:
    """To 0..1 with `threshold` at 0.5, linear on either side."""
    low, high = float(heat.min()), float(heat.max())
    below = 0.5 * (heat - low) / max(threshold - low, 1e-12)
    above = 0.5 + 0.5 * (heat - threshold) / max(high - threshold, 1e-12)
    return torch.where(heat > threshold, above.clamp(0.5 + 1e-6, 1), below.clamp(0, 0.5))


def differing(answers: Answers) -> Tensor:
    """How far the predictions of each two neighbours of `answers` are apart: `(h, w)`, 1 where furthest. Each pair counts alike."""
    differences = [(a.eps - b.eps).square().mean(dim=0).sqrt() for a, b in zip(answers[::2], answers[1::2], strict=True)]
    heat = torch.stack([each / each.max().clamp_min(1e-12) for each in differences]).mean(dim=0)
    return heat / heat.max().clamp_min(1e-12)


def otsu(values: Tensor, bins: int = 256) -> float:
    """The threshold that parts `values` into two classes with the greatest variance between them (Otsu, 1979).

    Raises `ValueError` where there are no two different values, or less than two `bins`.
    """
    if bins < 2 or values.numel() == 0 or not float(values.max()) > float(values.min()):
        raise ValueError("a threshold needs two different values and two bins at least")
    low, high = float(values.min()), float(values.max())
    share = torch.histc(values.float(), bins, low, high) / values.numel()
    centres = low + (torch.arange(bins, device=values.device) + 0.5) * (high - low) / bins
    below, moment = share.cumsum(0), (share * centres).cumsum(0)
    between = (moment[-1] * below - moment).square() / (below * (1 - below)).clamp(min=1e-12)
    best = (between >= between.max() * (1 - 1e-6)).nonzero().flatten()  # a gap in the histogram is a plateau: take its middle
    return low + (float(best.float().mean()) + 1) * (high - low) / bins

"""A mask of the person, and the word that names them, found by the base model itself where the request gives none.

The mask is where the prompt changes the model's predictions. The subject is the word that attends most to the mask. Both need no
weights besides the base model's and are only as good as that model. A mask drawn by hand or by a segmenter is better where there is
one.
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
"""Noise levels at which attention is measured, as shares of the training timesteps: the layout is decided there, details are not.
"""
MASK_LEVELS = (0.5, 0.7, 0.9)
"""Noise levels at which predictions are compared. At lower noise, a prediction follows from the latent alone."""
MASK_DRAWS = 4
"""Noise draws per level: the difference of two single predictions is rough."""
NO_SUBJECTS = frozenset(
    [
        *("a", "an", "the", "of", "with", "and", "or", "in", "on", "at", "is", "by", "to", "his", "her", "their"),
        *("photo", "picture", "portrait", "image", "painting", "drawing", "photograph"),
    ]
)
"""Words that never name the subject, wherever they attend."""


def word_maps(
    backbone: Backbone, latent: Tensor, prompt: str, positions: Sequence[Sequence[int]], *, seed: int = 0
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Return where words attend: `(words, h, w)` in 0..1, each normalised, at the size of `latent` `(c, h, w)`.

    `positions` are the token positions of each word in `prompt`. A map is averaged over layers, noise levels and the word's tokens.
    Raises `ValueError` for a latent of another shape, or a word without tokens.
    """
    if latent.ndim != 3:
        raise ValueError(f"expected a latent (c, h, w), got {tuple(latent.shape)}")
    if not positions or not all(positions):
        raise ValueError("each word needs its token positions: `PromptTokens.of_word` returns them")
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
    upsampled = [[_upsampled(each, grid, size) for each, grid in zip(answer.maps, grids, strict=True)] for answer in answers]
    mean = torch.stack([each for answer in upsampled for each in answer]).mean(dim=0)
    return torch.stack([_normalised(mean[list(word)].mean(dim=0)) for word in positions])


def _noisy(backbone: Backbone, latent: Tensor, t: int, generator: torch.Generator) -> Tensor:
    """Return `latent` at timestep `t`, with noise drawn from `generator`."""
    eps = torch.randn(latent.shape, generator=generator).to(latent)
    return backbone.schedule.add_noise(latent[None], eps[None], torch.tensor([t], device=latent.device))[0]


def _upsampled(maps: Tensor, grid: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """Interpolate maps `(h·w, tokens)` of a layer with the grid (h, w) to `(tokens, *size)`."""
    return F.interpolate(maps.T.view(1, -1, *grid), size=size, mode="bilinear", align_corners=False)[0]


def _normalised(heat: Tensor) -> Tensor:
    """Scale `heat` to 0..1; a constant map becomes zero."""
    low, high = heat.min(), heat.max()
    return (heat - low) / (high - low) if high > low else torch.zeros_like(heat)


def find_subject_word(
    backbone: Backbone, latent: Tensor, prompt: str, mask: Tensor, *, seed: int = 0
) -> Generator[Rows | Progress, Answers, str]:
    """Return the word of `prompt` whose cross-attention matches the mask best, for the photo with `latent` `(c, h, w)`.

    `mask` is `(H, W)` in 0..1. The match is the correlation of map and mask. The share of attention inside the mask would favour
    words for small details. Raises `MaskInvalid` for a mask that is all inside or all outside, `PromptInvalid` if no word can be
    the subject.
    """
    check_mask(mask)
    inside = F.adaptive_avg_pool2d(mask[None].float(), (latent.shape[-2], latent.shape[-1]))[0].to(latent)
    if not inside.max() > inside.min():
        raise MaskInvalid("the mask is the same everywhere: mark the person in it", field="mask", reason="mask_flat")
    tokens = prompt_tokens(backbone, prompt, ())
    matches = [match for match in re.finditer(r"\w+", tokens.prompt) if match[0].lower() not in NO_SUBJECTS]
    if not matches:
        raise PromptInvalid("no word of the prompt could name the person", field="prompt", reason="subject_unknown")
    maps = yield from word_maps(backbone, latent, prompt, [tokens.of_span(*match.span()) for match in matches], seed=seed)
    scores = [correlation(heat, inside) for heat in maps]
    return matches[scores.index(max(scores))][0]


def correlation(a: Tensor, b: Tensor) -> float:
    """Return Pearson's correlation over all elements; 0 if either tensor is constant. Raises `ValueError` for different shapes."""
    if a.shape != b.shape:
        raise ValueError(f"expected two tensors of one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    a, b = a - a.mean(), b - b.mean()
    norm = a.norm() * b.norm()
    return float((a * b).sum() / norm) if norm > 0 else 0.0


def person_probability(
    backbone: Backbone, latent: Tensor, prompt: str, size: tuple[int, int], *, seed: int = 0
) -> Generator[Rows | Progress, Answers, Tensor]:
    """Return how strongly `prompt` affects each part of the photo with `latent` `(c, h, w)`: a map of `size` (H, W) in 0..1.

    This is DiffEdit's mask (arXiv 2210.11427) between the prompt and the empty prompt, smoothed over 3 × 3 cells and scaled so that
    Otsu's threshold is 0.5. The prompt should therefore describe the person and nothing else. Raises `MaskInvalid` if the prompt
    changes no prediction, `ValueError` for an empty size.
    """
    if len(size) != 2 or min(size) < 1:
        raise ValueError(f"expected a size (H, W) of one pixel or more each, got {size}")
    generator = torch.Generator().manual_seed(seed)
    described, empty = (prompt_keys_values(backbone, words, {}) for words in (prompt, ""))
    rows = []
    for level in MASK_LEVELS:
        t = int(level * (backbone.schedule.train_timesteps - 1))
        for _ in range(MASK_DRAWS):
            noisy = _noisy(backbone, latent, t, generator)
            rows += [Row(noisy, t, described), Row(noisy, t, empty)]
    answers = yield tuple(rows)
    yield Progress("preparing", len(rows), len(rows))
    heat = F.avg_pool2d(
        prediction_difference(answers)[None, None].float(), kernel_size=3, stride=1, padding=1, count_include_pad=False
    )
    wide = F.interpolate(heat, size=size, mode="bilinear", align_corners=False)[0, 0]
    if not wide.max() > wide.min():
        raise MaskInvalid(f"the model finds no {prompt!r} in the photo: give a mask", field="mask", reason="mask_not_found")
    return _scaled_around(wide, otsu(wide))


def _scaled_around(heat: Tensor, threshold: float) -> Tensor:
    """Scale `heat` to 0..1 with `threshold` at 0.5, linearly on either side."""
    low, high = float(heat.min()), float(heat.max())
    below = 0.5 * (heat - low) / max(threshold - low, 1e-12)
    above = 0.5 + 0.5 * (heat - threshold) / max(high - threshold, 1e-12)
    return torch.where(heat > threshold, above.clamp(0.5 + 1e-6, 1), below.clamp(0, 0.5))


def prediction_difference(answers: Answers) -> Tensor:
    """Return how far the two predictions of each successive pair in `answers` differ: `(h, w)` in 0..1.

    Each pair is normalised to the same weight, and the result to a maximum of 1.
    """
    differences = [(a.eps - b.eps).square().mean(dim=0).sqrt() for a, b in zip(answers[::2], answers[1::2], strict=True)]
    heat = torch.stack([each / each.max().clamp_min(1e-12) for each in differences]).mean(dim=0)
    return heat / heat.max().clamp_min(1e-12)


def otsu(values: Tensor, bins: int = 256) -> float:
    """Return the threshold that separates `values` into two classes with the greatest variance between them (Otsu, 1979).

    Raises `ValueError` for fewer than two different values, or fewer than two `bins`.
    """
    if bins < 2 or values.numel() == 0 or not float(values.max()) > float(values.min()):
        raise ValueError("a threshold needs at least two different values and two bins")
    low, high = float(values.min()), float(values.max())
    share = torch.histc(values.float(), bins, low, high) / values.numel()
    centres = low + (torch.arange(bins, device=values.device) + 0.5) * (high - low) / bins
    below, moment = share.cumsum(0), (share * centres).cumsum(0)
    between = (moment[-1] * below - moment).square() / (below * (1 - below)).clamp(min=1e-12)
    best = (between >= between.max() * (1 - 1e-6)).nonzero().flatten()  # a gap in the histogram makes a plateau: take its middle
    return low + (float(best.float().mean()) + 1) * (high - low) / bins

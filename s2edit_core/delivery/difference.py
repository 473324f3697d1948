"""Bring an edit back to the photo at the photo's own resolution, by difference.

The model draws a small frame, and its auto-encoder loses the photo's detail. So the frame is not pasted. Two decodes are compared:
that of the photo's own latent and that of the edited one. Their difference is what the edit changed. Each place of the frame is

- *left*: the difference is faint, or a thin line where an outline moved a little. The photo stays.
- *shifted*: the same thing has another tone, as recoloured hair has. The photo's detail stays and takes the new tone.
- *replaced*: something new stands there, such as a hat, teeth or glasses. The decode is shown.

A shift ends where the photo has an edge, and the structure inside it goes on. So the share of the outline that the photo does not
explain, and the structure that came or went, together tell a replacement from a shift: by place, and by connected region, so that
hair does not show through the middle of most hats. Wide windows judge large regions, since narrow ones take hats for recoloured
hair, and wide ones take eye shadow for something new. Colours judge them too: dye takes each colour of the hair to another one. A
thing that is new somewhere is followed to its thin and pale parts. What differs slightly elsewhere was not asked for.

A guided filter (He, Sun and Tang, TPAMI 2013; its fast form, arXiv 1505.00996) finds the edge of a shift at full resolution. It
fits how far a place has changed as a local linear function of the frame's colours, and applies that function to the photo's pixels.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from s2edit_core.delivery.asked import Asked
from s2edit_core.delivery.changes import Change, Difference, sharpened
from s2edit_core.delivery.guided import COLOURS, regressed, toning_between
from s2edit_core.delivery.resampling import blurred, boxed, peaks
from s2edit_core.pictures.mask_regions import connected

STRIP_PIXELS = 1 << 18
"""Pixels of the photo that are worked on at a time."""
TONE_REACH = 0.5
"""Standard deviation, in latent cells, of the neighbourhood whose colours define the old and the new tone."""
TONING_RADII = {"tones": 4, "makeup": 1}
"""Radius, in latent cells, of the windows that fit each colour to another one, by what was asked for. Chosen on seven churches and
eight women of the benches."""
MATTE_RADIUS, MATTE_EPSILON = 3 / 8, 1e-4
"""Radius, in latent cells, and regularisation, in squared levels, of the guided filter that finds the edge of a shift."""
RECOLOURED_RADIUS = 3 / 2
"""The radius if the edit only recolours. In so wide a window, the photo's colours correct outlines that the model drew beside their
place."""
GAINS = (0.2, 2.0)
"""Limits of the factor by which a shift scales the photo's detail. A larger one would lift the noise of black hair."""
SHIFT_FROM, SHIFT_TO = 0.02, 0.07
"""A shift begins between these levels (0..1) of the smoothed difference. A region that nowhere reaches the second is left."""
DRAWN_REACH = 3 / 8
"""A new thing shows in the difference smoothed by that deviation, in latent cells. A thin line, or one of both signs, fades."""
DRAWN_FROM, DRAWN_TO = 0.06, 0.1
"""It begins above the second of these levels, and goes on in what is connected with it above the first."""
NEAR_RADIUS, NEAR_LEVEL = 1 / 4, 0.08
"""Up to that radius around it, in latent cells, whatever differs by more than that level is covered."""
PLAIN_LEVEL = 0.2
"""What differs by more is covered too where it is connected with that: thin rims of glasses, the corners of a mouth."""
HOLE_SHARE = 1 / 32
"""What something new encloses belongs to it, up to that share of the frame: an eye behind a lens."""
COVER_RADIUS, COVER_SMOOTHING = 1 / 8, 5 / 32
"""The decode covers that much more around, and its edge has that deviation, in latent cells. So photo and decode meet where they
agree, and nothing is seen twice."""
OUTLINE_RADIUS = 5 / 8
"""Radius, in latent cells, of the windows that look for an edge of the photo where the change ends."""
OUTLINE_REACH, OUTLINE_FRAME = 1.0, 1 / 8
"""What the windows find is blurred twice and added: with that deviation in latent cells, and with that share of the frame, which
reaches the middle of things."""
OUTLINE_FLOOR = 0.02
"""A change with less variance has no outline: blush fades out softly and is nothing new."""
STRUCTURE_SCALE, STRUCTURE_REACH, STRUCTURE_POOL = 120 / 255, 0.5, 0.75
"""Levels (0..1) of structure that came or went which alone mark something new. Structure is what differs from a Gaussian mean of
the second deviation, and its energy is averaged with the third. Both are in latent cells."""
NEW_FROM, NEW_TO = 0.5, 0.75
"""A shift becomes a replacement between these values of both measures' sum."""
REGION_LEVEL, REGION_NEW = 0.1, 0.65
"""Where the frames differ by more than the first, each connected region is also decided as a whole. It is new if its newness,
averaged with the difference as weight, is above the second."""
EXPRESSION_DRAWN_TO = 0.08
"""`DRAWN_TO` if the edit asks for another expression. Then each region of change is new, as it is if things are asked for. If taken
for a tint, a faint smile would keep the old mouth's line, and a collar that is taken off would leave a pale one."""
LARGE_SHARE, LARGE_WINDOWS, LARGE_NEW = 1 / 20, 2, 0.72
"""A region of more than that share of the frame is judged with windows so many times as long, and by its colours. It is new above
the last. These lengths were chosen with cells of 4 pixels in a frame of 128; they are untried with Stable Diffusion's cells of 8
pixels in 512."""
RECOLOURING_WEIGHT, RECOLOURING_FLOOR = 0.6, 0.002
"""A recolouring takes each colour to another one. So the share of a large region's new colours that no function of the old ones
explains counts for its newness, with that weight. The floor is a variance of colours (0..1): black hair has hardly any."""
GRAIN_BLOCK, GRAIN_SHARE = 16, 0.2
"""The photo's noise is measured in blocks of that side, in the flattest share of them."""


def change_between(
    source: Tensor, edited: Tensor, guide: Tensor, cell: int, *, noise: float = 0.0, asked: Asked = "anything"
) -> Change:
    """Compare two decodes of a frame and classify each place as left, shifted or replaced.

    `source` and `edited` `(3, H, W)` in -1..1 are the decodes of the photo's latent and of the edited one. `guide`, likewise, is
    the frame that the model saw. `cell` is the number of pixels per latent cell, which sets the scale of the auto-encoder's errors.
    `noise` is the standard deviation of the photo's noise in the mean of its colours, in levels 0..1 (`Canvas.noise`).
    What the edit `asked` for says how to read a difference: if other colours, nothing is replaced; if things or another expression,
    nothing is shifted, and of an expression also what is faint is drawn; if other tones or makeup, every colour becomes another
    one. It is computed on CUDA if `source` is there. Raises `ValueError` for other shapes.
    """
    if source.ndim != 3 or source.shape[0] != 3 or not source.shape == edited.shape == guide.shape:
        shapes = ", ".join(str(tuple(each.shape)) for each in (source, edited, guide))
        raise ValueError(f"expected three frames (3, H, W) of one shape, got {shapes}")
    # On CUDA in float64, because float32 products there may be rounded to ten bits (TF32).
    place, dtype = (source.device, torch.float64) if source.is_cuda else (torch.device("cpu"), torch.float32)
    before, after, photo = (((each.detach().to(place, dtype) + 1) / 2).clamp(0, 1) for each in (source, edited, guide))
    return _change(before, after, photo, cell, noise, asked)


def _change(before: Tensor, after: Tensor, photo: Tensor, cell: int, noise: float, asked: Asked) -> Change:
    """Return the change between two frames in 0..1 on one device, as float32 on the CPU."""
    if asked in TONING_RADII:
        return toning_between(before, after, photo, TONING_RADII[asked] * cell, noise)
    difference = after - before
    strength = difference.square().sum(dim=0)
    drawn_to = EXPRESSION_DRAWN_TO if asked == "expression" else DRAWN_TO
    cover, faint = _drawing(difference, cell, drawn_to)
    new = torch.zeros_like(strength) if asked == "colours" else _new(before, after, strength, cover + faint, cell, asked)
    tone, amount = _tone(difference, strength, cell)
    weights, bias = _matte(photo, amount, _radius(RECOLOURED_RADIUS if asked == "colours" else MATTE_RADIUS, cell), noise)
    offset, slope = _toning(photo, tone, amount, cell)
    covered = new * cover
    maps = (
        weights,
        bias[None],
        offset,
        slope,
        (1 - new)[None],
        covered * after + new * faint * difference,
        covered[None],
        (1 - new) * sharpened((weights * photo).sum(dim=0) + bias),
    )
    return Difference(*(each.float().cpu() for each in maps))


def noise_level(photo: Tensor) -> float:
    """Estimate the standard deviation of the noise in `photo` `(3, H, W)`, in its own levels, from its flattest blocks.

    Immerkær, "Fast Noise Variance Estimation" (1996), by block: the flattest ones show noise, the others texture.
    """
    if min(photo.shape[1:]) < GRAIN_BLOCK + 2:
        return 0.0
    sample = photo.mean(dim=0)
    kernel = torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]])
    response = F.conv2d(sample[None, None], kernel[None, None]).abs()
    blocks = F.avg_pool2d(response, GRAIN_BLOCK).flatten()
    return float(blocks.quantile(GRAIN_SHARE)) * math.sqrt(math.pi / 2) / 6


def _smoothstep(x: Tensor, low: float, high: float) -> Tensor:
    t = ((x - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def _radius(cells: float, cell: int) -> int:
    return max(1, round(cells * cell))


def _tone(difference: Tensor, strength: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """The change of colour nearby, `(3, H, W)`, and how much of it each place took, `(H, W)` in 0..1."""
    weight = strength[None] + 1e-6
    tone = blurred(difference * weight, TONE_REACH * cell) / blurred(weight, TONE_REACH * cell)
    amount = ((difference * tone).sum(dim=0) / (tone.square().sum(dim=0) + 1e-8)).clamp(0, 1)
    smooth = blurred(difference, 0.1875 * cell).abs().amax(dim=0)  # an outline that moved has both signs, which cancel
    level = peaks(smooth, _radius(0.25, cell))
    return tone, amount * _smoothstep(level, SHIFT_FROM, SHIFT_TO) * _reaching(_labelled(level > SHIFT_FROM), level > SHIFT_TO)


def _matte(photo: Tensor, amount: Tensor, radius: int, noise: float) -> tuple[Tensor, Tensor]:
    """Fit `amount` `(H, W)` as a local linear function of the colours of `photo`: weights `(3, H, W)` and bias `(H, W)`.

    The frame has little grain, and the pixels that the function is applied to have all of the photo's. With the variance of their
    noise as regularisation, the function is the best one for them: else large weights on a smooth background turn grain into dots.
    """
    weights, bias, _, _ = regressed(photo, amount, radius, MATTE_EPSILON + COLOURS * noise**2)
    return boxed(weights, radius), boxed(bias[None], radius)[0]


def _toning(photo: Tensor, tone: Tensor, amount: Tensor, cell: int) -> tuple[Tensor, Tensor]:
    """The `offset` and `slope` of a shift, `(3, H, W)` each.

    The local colour moves by the tone. What a pixel differs from it, the photo's detail, scales with the colour, as under dye.
    """
    weight = amount[None] + 1e-3
    colour = blurred(photo * weight, TONE_REACH * cell) / blurred(weight, TONE_REACH * cell)
    gain = ((colour + tone).clamp(0.02, 1) / colour.clamp(0.02, 1)).clamp(*GAINS)
    return tone - (gain - 1) * colour, gain - 1


def _drawing(difference: Tensor, cell: int, drawn_to: float) -> tuple[Tensor, Tensor]:
    """How far the decode covers the photo where something new stands, and how far the difference is added instead: `(H, W)`, 0..1.

    The decode covers what differs in and around a new thing, and what that encloses. A thin difference away from anything broader
    is an outline that moved a little, and what differs slightly elsewhere was not asked for. Blush differs plainly nowhere: there
    the difference is added, and the pores stay.
    """
    broad, differs = blurred(difference, DRAWN_REACH * cell).abs().amax(dim=0), difference.abs().amax(dim=0)
    plain = differs > PLAIN_LEVEL
    visible = _labelled(broad > DRAWN_FROM)
    thing = _reaching(visible, broad > drawn_to)
    near = peaks(thing.to(difference), _radius(NEAR_RADIUS, cell)) > 0
    parts = _labelled((near & (differs > NEAR_LEVEL)) | plain)
    part = _reaching(parts, thing) & _reaching(parts, plain)
    whole = _without_holes(peaks(part.to(difference), _radius(COVER_RADIUS, cell)) > 0)
    cover = blurred(whole[None].to(difference), COVER_SMOOTHING * cell)[0]
    faint = ~_reaching(visible, plain)
    return cover, (1 - cover) * faint * _smoothstep(broad, DRAWN_FROM, drawn_to)


def _labelled(where: Tensor) -> NDArray[np.intp]:
    """The index of each place's connected region of `where` `(H, W)`, -1 outside."""
    return connected(where.cpu().numpy())


def _reaching(regions: NDArray[np.intp], strong: Tensor) -> Tensor:
    """The regions that are `strong` `(H, W)` somewhere (hysteresis, as Canny's); bool."""
    found = np.unique(regions[strong.cpu().numpy()])
    return torch.from_numpy(np.isin(regions, found[found >= 0])).to(strong.device)


def _without_holes(region: Tensor) -> Tensor:
    """`region` `(H, W)`, bool, with the small holes that it encloses: a lens, and not the face within hair and beard."""
    labels = _labelled(~region)
    areas = np.bincount(labels[labels >= 0])
    holes = areas <= HOLE_SHARE * region.numel()
    edge = np.concatenate([labels[[0, -1]].ravel(), labels[:, [0, -1]].ravel()])
    holes[edge[edge >= 0]] = False
    enclosed = np.append(holes, False)[labels]  # the label -1, the region's own, takes the last value
    return region | torch.from_numpy(enclosed).to(region.device)


def _new(before: Tensor, after: Tensor, strength: Tensor, shown: Tensor, cell: int, asked: Asked) -> Tensor:
    """Where something new stands rather than another tone, by place and by region, if any of it is `shown`: `(H, W)` in 0..1."""
    newness, weight = _newness(before, after, strength, cell), strength.sqrt()
    decided = weight > REGION_LEVEL
    regions = _labelled(decided)
    if asked not in ("expression", "things"):
        wide = _newness(before, after, strength, LARGE_WINDOWS * cell)
        decided = _new_regions(before, after, weight, newness, wide, regions)
    whole = _without_holes(decided).to(weight)
    by_region = blurred(peaks(whole, _radius(0.25, cell))[None], 0.125 * cell)[0]
    return torch.maximum(_smoothstep(newness, NEW_FROM, NEW_TO), by_region) * ~_undrawn(regions, shown)


def _newness(before: Tensor, after: Tensor, strength: Tensor, cell: int) -> Tensor:
    """How much the change looks like something new rather than another tone: `(H, W)`, 0 or more."""
    changed = _smoothstep(strength.sqrt(), 0.06, 0.2)
    _, _, variance, residual = regressed(before, changed, _radius(OUTLINE_RADIUS, cell), MATTE_EPSILON)
    reaches = (OUTLINE_REACH * cell, OUTLINE_FRAME * max(before.shape[1:]))
    pooled = [blurred(torch.stack([residual, variance]), reach) for reach in reaches]
    unexplained, outline = torch.stack(pooled).sum(dim=0)
    outlined: Tensor = unexplained / (outline + OUTLINE_FLOOR)
    return outlined + _structure(before, after, strength, cell) / STRUCTURE_SCALE


def _new_regions(before: Tensor, after: Tensor, weight: Tensor, newness: Tensor, wide: Tensor, regions: NDArray[np.intp]) -> Tensor:
    """Which of the `regions` of change are something new by mean, `(H, W)`, bool: the middle of a hat is as new as its brim.

    `weight` is how far the frames differ. `wide` is the newness by longer windows, which judges large regions.
    """
    labels = torch.from_numpy(regions) + 1
    maps = weight * newness, weight * wide, weight, torch.ones_like(weight)
    # a GPU would add them up in no fixed order
    near, far, mass, area = (torch.bincount(labels.flatten(), weights=each.cpu().flatten()) for each in maps)
    decided = near > REGION_NEW * mass
    for label in torch.nonzero(area > LARGE_SHARE * weight.numel()).flatten().tolist():
        here = (labels == label).to(before.device)
        unexplained = _unexplained(before[:, here], after[:, here])
        decided[label] = far[label] / mass[label] + RECOLOURING_WEIGHT * unexplained > LARGE_NEW
    decided[0] = False  # outside all regions
    return decided[labels]


def _unexplained(before: Tensor, after: Tensor) -> Tensor:
    """The share of the variance of colours `after` `(3, n)` that no affine function of those `before` explains: 0..1."""
    old, new = (each - each.mean(dim=1, keepdim=True) for each in (before, after))
    spread, shared = (old @ each.T / old.shape[1] for each in (old, new))
    solved = torch.linalg.solve(spread + MATTE_EPSILON * torch.eye(3).to(spread), shared)
    variance = new.square().mean(dim=1).sum()
    share: Tensor = (variance - (shared * solved).sum()).clamp(min=0) / (variance + RECOLOURING_FLOOR)
    return share


def _undrawn(regions: NDArray[np.intp], shown: Tensor) -> Tensor:
    """The `regions` of change of which nothing is `shown` `(H, W)`, 0 or more; bool.

    A change that is too small to be drawn as something new, such as a cat's lids in a small frame, stays a shift. Else it was lost.
    """
    return torch.from_numpy(regions >= 0).to(shown.device) & ~_reaching(regions, shown > 0)


def _structure(before: Tensor, after: Tensor, strength: Tensor, cell: int) -> Tensor:
    """The structure, in levels, that came or went inside the change: `(H, W)`. Another tone or contrast does not count."""
    changed = _smoothstep(strength.sqrt(), 0.04, 0.12)[None]
    weight = changed + 1e-4
    mass = blurred(weight, STRUCTURE_REACH * cell)
    was, now = (blurred(each * weight, STRUCTURE_REACH * cell) / mass for each in (before, after))
    gain = (now.clamp(0.02, 1) / was.clamp(0.02, 1)).clamp(*GAINS)
    differs = ((after - now) - gain * (before - was)).square().mean(dim=0, keepdim=True)
    reach = STRUCTURE_POOL * cell
    pooled = blurred(differs * changed, reach) / (blurred(changed, reach) + 0.02)
    return pooled[0].clamp(min=0).sqrt()

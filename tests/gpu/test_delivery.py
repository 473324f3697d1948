"""Bringing an edit back to the photo on a GPU, beside the CPU.

python -m pytest tests/gpu/test_delivery.py -m gpu -q
"""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from s2edit_core.delivery.difference import change_between
from s2edit_core.unet.precision import use_tensor_cores

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]


def test_a_change_is_the_same_on_the_gpu_and_on_the_cpu() -> None:
    use_tensor_cores()  # float32 products are rounded from now on
    draw = torch.Generator().manual_seed(0)
    coarse, other = (F.interpolate(torch.randn(1, 3, n, n, generator=draw), (256, 256), mode="bilinear")[0] for n in (16, 8))
    before = coarse.clamp(-1, 1)
    after = before.clone()
    after[:, 60:150, 40:140] = other[:, 60:150, 40:140].clamp(-1, 1)
    photo = torch.rand(3, 256, 256, generator=draw) * 2 - 1
    expected = change_between(before, after, photo, 8)
    found = change_between(before.cuda(), after.cuda(), photo, 8)
    for name, values in vars(found).items():
        assert values.device.type == "cpu"
        # Where a threshold decides, rounding may decide otherwise at a few places.
        assert float(((values - getattr(expected, name)).abs() > 1e-3).float().mean()) <= 1e-3, name

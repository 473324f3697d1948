"""The tiny backbone, built once: frozen, so tests share it. In float64, where agreement can be shown to the last digits."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from s2edit_core.unet.backbone import Backbone
from tests.tiny import tiny_backbone


@pytest.fixture(autouse=True, scope="package")
def one_thread() -> Iterator[None]:
    """The tensors here are so small that a second thread costs more than it brings."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def backbone() -> Backbone:
    return tiny_backbone()


@pytest.fixture(scope="session")
def backbone32() -> Backbone:
    return tiny_backbone(dtype=torch.float32)

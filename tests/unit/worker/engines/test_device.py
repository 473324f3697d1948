"""Which device an engine takes."""

from __future__ import annotations

import pytest

from s2edit_core.errors import ModelUnusable
from worker.engines.loaded_model import choose_device


@pytest.mark.parametrize(
    ("gpus", "device", "chosen"), [(0, "auto", "cpu"), (2, "auto", "cuda"), (2, "cuda:1", "cuda:1"), (0, "cpu", "cpu")]
)
def test_a_device_that_is_there_is_taken(gpus: int, device: str, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _with(gpus, monkeypatch)
    assert choose_device(device) == chosen


@pytest.mark.parametrize(("gpus", "device"), [(0, "cuda"), (1, "cuda:1")])
def test_a_gpu_that_is_missing_is_reported_with_the_setting(gpus: int, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _with(gpus, monkeypatch)
    with pytest.raises(ModelUnusable, match=f"S2EDIT_DEVICE is {device}, .*write auto or cpu"):
        choose_device(device)


def _with(gpus: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpus > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: gpus)

"""Too little memory for a UNet pass: smaller passes take its place, with the same results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.errors import DeviceFault, DeviceOutOfMemory
from s2edit_core.unet import pass_limit
from s2edit_core.unet.attention import TokenMap
from s2edit_core.unet.backbone import MAX_ROWS_PER_PASS, Backbone
from s2edit_core.unet.pass_limit import RECOVERY_S, PassLimit
from s2edit_core.unet.rows import Answers, Injection, Row, Rows, passes
from tests.tiny import TOKENS, tiny_backbone

ALLOCATOR = (
    "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
)
ERRORS: dict[str, Callable[[], Exception]] = {
    "CUDA's allocator": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has 1 MiB free."),
    "a CUDA call": lambda: torch.AcceleratorError("CUDA error: out of memory"),
    "cuBLAS": lambda: RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    "cuDNN": lambda: RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    "Metal": lambda: RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB)"),
    "the host": lambda: RuntimeError(ALLOCATOR),
    "Python": MemoryError,
}


@dataclass
class SmallDevice:
    """A device without memory for more than `most` rows at once. `tried` holds the rows of each pass, `done` of those that fit."""

    most: int
    error: Callable[[], Exception] = ERRORS["CUDA's allocator"]
    tried: list[int] = field(default_factory=list)

    @property
    def done(self) -> list[int]:
        return [rows for rows in self.tried if rows <= self.most]

    def __call__(self, _: torch.nn.Module, args: tuple[Any, ...]) -> None:
        self.tried.append(len(args[0]))
        if len(args[0]) > self.most:
            raise self.error()


@contextmanager
def on(device: SmallDevice, backbone: Backbone) -> Iterator[SmallDevice]:
    hook = backbone.unet.register_forward_pre_hook(device)
    try:
        yield device
    finally:
        hook.remove()


@pytest.fixture(scope="module")
def model() -> Backbone:
    """A model of these tests: what it remembers of the device must not reach others."""
    return tiny_backbone()


@pytest.fixture
def backbone(model: Backbone) -> Backbone:
    model.pass_limit = PassLimit()
    return model


def noise(seed: int) -> Tensor:
    return torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain_rows(backbone: Backbone, count: int, *, learning: bool = False) -> Rows:
    prompt = prompt_keys_values(backbone, "a photo of a woman", {})
    return tuple(Row(noise(i), 1 + 50 * i, prompt, target=noise(100 + i) if learning and i % 3 else None) for i in range(count))


def reading_rows(backbone: Backbone, readers: int) -> Rows:
    """Return a source, its readers, and rows that stand alone."""
    prompt = prompt_keys_values(backbone, "a photo of a man", {})
    tokens = TokenMap(torch.eye(TOKENS, dtype=torch.float64), torch.zeros(TOKENS, dtype=torch.float64))
    source, *alone = plain_rows(backbone, 3)
    injection = Injection(source, tokens, cross_strength=0.8, self_strength=0.5)
    return (alone[0], source, *(Row(noise(50 + i), 1, prompt, injection=injection) for i in range(readers)), alone[1])


def assert_same(found: Answers, expected: Answers) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert (mine.eps - theirs.eps).abs().max() <= 1e-12
        assert (mine.loss is None) == (theirs.loss is None)
        assert mine.loss is None or mine.loss == pytest.approx(theirs.loss, rel=1e-12)
        for a, b in zip(mine.gradients(), theirs.gradients(), strict=True):
            assert (a - b).abs().max() <= 1e-12 * max(1.0, float(b.abs().max()))


def test_a_service_can_count_how_often_passes_become_smaller(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    monkeypatch.setattr(pass_limit, "listeners", {lambda: counted.append(1)})
    with on(SmallDevice(4), backbone):
        backbone.evaluate(plain_rows(backbone, 16))
    assert len(counted) == backbone.pass_limit.reductions == 2


@pytest.mark.parametrize("learning", [False, True], ids=["sampling", "learning"])
@pytest.mark.parametrize("most", [1, 3, 8])
def test_smaller_passes_give_the_same_answers(backbone: Backbone, most: int, learning: bool) -> None:
    rows = plain_rows(backbone, 14, learning=learning)
    expected = backbone.evaluate(rows)
    with on(SmallDevice(most), backbone) as device:
        assert_same(backbone.evaluate(rows), expected)
    assert sum(device.done) == 14, "no row is evaluated twice"
    assert backbone.pass_limit.reductions >= 1


@pytest.mark.parametrize("most", [2, 4])
def test_readers_stay_with_their_source(backbone: Backbone, most: int) -> None:
    rows = reading_rows(backbone, readers=5)
    expected = backbone.evaluate(rows)
    with on(SmallDevice(most), backbone):
        assert_same(backbone.evaluate(rows), expected)


@pytest.mark.parametrize("kind", ERRORS)
def test_it_does_not_matter_who_reports_the_lack_of_memory(backbone: Backbone, kind: str) -> None:
    rows = plain_rows(backbone, 4)
    expected = backbone.evaluate(rows)
    with on(SmallDevice(2, ERRORS[kind]), backbone):
        assert_same(backbone.evaluate(rows), expected)


@pytest.mark.parametrize("kind", ERRORS)
@pytest.mark.parametrize("reading", [False, True], ids=["one row", "a reader and its source"])
def test_only_the_smallest_pass_fails(backbone: Backbone, kind: str, reading: bool) -> None:
    rows = reading_rows(backbone, 3) if reading else plain_rows(backbone, 4)
    with on(SmallDevice(1 if reading else 0, ERRORS[kind]), backbone) as device, pytest.raises(DeviceOutOfMemory) as failed:
        backbone.evaluate(rows)
    assert (2 if reading else 1) in device.tried
    assert type(failed.value.__cause__) is type(ERRORS[kind]()), "the library's error is the cause"
    assert not failed.value.sticky


def test_the_bound_is_remembered_for_a_while(backbone: Backbone) -> None:
    now = [1000.0]
    backbone.pass_limit = PassLimit(lambda: now[0])
    rows = plain_rows(backbone, 8)
    with on(SmallDevice(4), backbone) as device:
        backbone.evaluate(rows)
        device.tried.clear()
        backbone.evaluate(rows)
        assert device.tried == [4, 4]
        now[0] += RECOVERY_S
        device.most = 8
        backbone.evaluate(rows)
    assert device.tried[2:] == [8]


def test_the_smallest_pass_is_tried_again_once_memory_was_freed(backbone: Backbone) -> None:
    device = SmallDevice(0)

    def free_after_the_first(module: torch.nn.Module, args: tuple[Any, ...]) -> None:
        device.most = len(device.tried)
        device(module, args)

    hook = backbone.unet.register_forward_pre_hook(free_after_the_first)
    backbone.evaluate(plain_rows(backbone, 1))
    hook.remove()
    assert (device.tried, backbone.pass_limit.reductions) == ([1, 1], 0)


def test_activations_are_computed_twice_if_the_gradients_of_one_row_do_not_fit(caplog: pytest.LogCaptureFixture) -> None:
    """With the same gradients. Rows that only sample stay as fast as they are."""
    model = tiny_backbone()
    rows = plain_rows(model, 6, learning=True)
    expected = model.evaluate(rows)
    unet: Any = model.unet
    computed: list[bool] = []

    def refuse(module: torch.nn.Module, args: tuple[Any, ...]) -> None:
        if torch.is_grad_enabled() and not unet.is_gradient_checkpointing:
            raise ERRORS["CUDA's allocator"]()

    hooks = [
        unet.register_forward_pre_hook(refuse),
        unet.mid_block.resnets[1].register_forward_pre_hook(lambda *_: computed.append(torch.is_grad_enabled())),
    ]
    found = model.evaluate(rows)
    for hook in hooks:
        hook.remove()
    assert_same(found, expected)
    assert computed == [False, *[True] * 8], "one pass samples, and four of one row each compute their activations twice"
    assert caplog.messages.count("too little memory for the gradients of one row: activations are computed twice from now on") == 1


@pytest.mark.parametrize(
    ("call", "part", "shape"), [("encode_image", "encoder", (3, 32, 32)), ("decode_latent", "decoder", (4, 8, 8))]
)
def test_the_auto_encoder_says_so_too(backbone: Backbone, call: str, part: str, shape: tuple[int, ...]) -> None:
    hook = getattr(backbone.vae, part).register_forward_pre_hook(SmallDevice(0))
    with pytest.raises(DeviceOutOfMemory):
        getattr(backbone, call)(torch.zeros(shape))
    hook.remove()


def test_another_fault_is_not_tried_again(backbone: Backbone) -> None:
    broken = SmallDevice(0, lambda: torch.AcceleratorError("CUDA error: an illegal memory access was encountered"))
    with on(broken, backbone), pytest.raises(DeviceFault) as failed:
        backbone.evaluate(plain_rows(backbone, 4))
    assert (failed.value.sticky, broken.tried) == (True, [4])


@pytest.mark.parametrize("readers", [0, 1, 5, MAX_ROWS_PER_PASS, 40])
def test_a_pass_has_no_more_rows_than_the_limit_allows(backbone: Backbone, readers: int) -> None:
    rows = reading_rows(backbone, readers)
    for limit in range(1, 20):
        made = passes(rows, limit)
        assert {i for indices in made for i in indices} == set(range(len(rows)))
        for indices in made:
            assert len(indices) == len(set(indices)) <= max(limit, 2 if readers else 1)
            sources = {row.injection.source for row in (rows[i] for i in indices) if row.injection is not None}
            assert sources <= {rows[i] for i in indices}

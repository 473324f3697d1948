"""The base model: UNet, auto-encoder, text encoder, tokenizer and schedule of a Stable Diffusion 1.x or 2.x model.

The weights are frozen and shared; nothing here belongs to a user. Only `Backbone.evaluate` runs the UNet.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from s2edit_core.base_model.ddim import Schedule
from s2edit_core.base_model.fingerprint import Fingerprints
from s2edit_core.base_model.freed_memory import keep_freed_memory
from s2edit_core.base_model.loading import load_parts
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.device_faults import free_memory, raising_device_faults, with_freed_memory
from s2edit_core.errors import DeviceOutOfMemory, NumbersNotFinite, OptionInvalid
from s2edit_core.unet.attention import CrossLayer
from s2edit_core.unet.frozen_layers import use_onednn
from s2edit_core.unet.kernels.choice import HEADS, choose
from s2edit_core.unet.kernels.layers import keep_channels_last
from s2edit_core.unet.pass_buffers import PassInputs, stack_rows
from s2edit_core.unet.pass_limit import PassLimit
from s2edit_core.unet.precision import use_tensor_cores
from s2edit_core.unet.processors import RowAttention, plain_gated_attention
from s2edit_core.unet.recorded import SIZES, RecordedPasses, can_be_recorded, padded_parts
from s2edit_core.unet.rows import Answer, Answers, Rows, check_finite, passes
from s2edit_core.unet.text_projections import TextProjections
from s2edit_core.unet.trainable_prompts import evaluate_with_prompts
from s2edit_core.unet.unet_pass import PassOutputs, run_pass

log = logging.getLogger(__name__)
Once = TypeVar("Once")
MAX_ROWS_PER_PASS = 16
"""The largest batch of one UNet pass without graphs."""


@dataclass
class Backbone:
    """A frozen base model on one device."""

    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module
    tokenizer: Any
    schedule: Schedule
    card: ModelCard
    graphs: bool = False
    """Whether passes are padded to a few sizes and recorded as CUDA graphs."""
    kernels: bool = True
    """Whether half precision on CUDA uses kernels of our own where they agree with torch's."""

    def __post_init__(self) -> None:
        for part in (self.unet, self.vae, self.text_encoder):
            part.requires_grad_(False).eval()
            if self.device.type == "cpu":
                use_onednn(part)
        if self.kernels and self.device.type == "cuda" and self.dtype.itemsize == 2:
            use_kernels(self.unet)
        self.attention = RowAttention(self.unet)
        self.pass_limit = PassLimit()
        self.fingerprints = Fingerprints((self.unet, self.vae, self.text_encoder), self.schedule)

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
        graphs: bool | None = None,
        channels_last: bool | None = None,
        kernels: bool = True,
    ) -> Backbone:
        """Load a model folder, a single-file checkpoint or a hub id; see `model_files`.

        The UNet gets `dtype`, all other parts float32. In the whole process, float32 products use TF32 on CUDA, and freed memory
        is kept on a CPU (`freed_memory`). `graphs` records passes as CUDA graphs, by default on CUDA. Raises `ModelUnusable` with
        the reason, and `OptionInvalid` for a device that is not there.

        `channels_last` lays out the UNet's feature maps with channels last, by default in half precision on CUDA. Measured on an
        H100 with SD 1.4's shape in bf16, the stock UNet as a CUDA graph: 140, 244, 290 and 293 rows/s with channels last for
        passes of 1, 4, 16 and 32 rows, and 103, 229, 315 and 329 without. So the default suits jobs that wait for one person's
        passes; `False` gives a worker whose passes are always full up to 12 % more.
        """
        on_cuda = _usable(device).type == "cuda"
        if on_cuda:
            use_tensor_cores()
        else:
            keep_freed_memory()
        parts = load_parts(model)
        fingerprints = Fingerprints((parts.unet, parts.vae, parts.text_encoder), parts.schedule)
        if dtype != torch.float32:
            fingerprints.compute()  # before the weights are rounded to `dtype`
        made = cls(
            unet=placed(parts.unet, device, dtype, on_cuda and dtype.itemsize == 2 if channels_last is None else channels_last),
            vae=parts.vae.to(device),
            text_encoder=parts.text_encoder.to(device),
            tokenizer=parts.tokenizer,
            schedule=parts.schedule,
            card=parts.card,
            graphs=on_cuda if graphs is None else graphs,
            kernels=kernels,
        )
        if dtype != torch.float32:
            made.fingerprints = fingerprints
        return made

    @cached_property
    def recorded(self) -> RecordedPasses | None:
        """What runs passes as CUDA graphs, if this backbone uses them. The UNet must stay on its device afterwards."""
        return RecordedPasses(self._run, self.device, self.dtype, largest=SIZES[-1]) if self.graphs else None

    def _run(self, inputs: PassInputs) -> PassOutputs:
        return run_pass(self.unet, self.attention, self.schedule, inputs)

    @cached_property
    def _computed(self) -> dict[str, Any]:
        return {}

    def once(self, name: str, compute: Callable[[], Once]) -> Once:
        """Return the result of `compute`, which depends on nothing but the model, and keep it under `name`."""
        if name not in self._computed:
            self._computed.setdefault(name, compute())  # of two threads, the first one's stays
        found: Once = self._computed[name]
        return found

    @cached_property
    def text_projections(self) -> TextProjections:
        """The projections of text states to keys and values, in the order of `KeysValues.tensors`."""
        return TextProjections(self.layers)

    @property
    def layers(self) -> tuple[CrossLayer, ...]:
        """The cross-attention layers, in the order of keys and values in `KeysValues`."""
        return self.attention.layers

    @property
    def device(self) -> torch.device:
        """The device of the UNet."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the UNet."""
        return next(self.unet.parameters()).dtype

    @cached_property
    def latent_scale(self) -> int:
        """Pixels per latent cell, along each side: 8 for Stable Diffusion."""
        blocks = self.vae.config.block_out_channels  # type: ignore[union-attr]
        return int(2 ** (len(blocks) - 1))  # type: ignore[arg-type]

    @cached_property
    def frame_multiple(self) -> int:
        """The divisor of a frame's sides, in pixels, for which every halving in the UNet is exact: 64 for Stable Diffusion."""
        blocks = self.unet.config.block_out_channels  # type: ignore[union-attr]
        return int(self.latent_scale * 2 ** (len(blocks) - 1))  # type: ignore[arg-type]

    @cached_property
    def frame_size(self) -> int:
        """The side, in pixels, of the square frames that the model was trained on."""
        return int(self.unet.config.sample_size) * self.latent_scale  # type: ignore[union-attr, arg-type]

    @property
    def fingerprint(self) -> str:
        """The fingerprint of new artifacts of this model. `fingerprints` also recognises those of earlier releases."""
        return self.fingerprints.current

    @raising_device_faults()
    @torch.no_grad()
    def encode_image(self, image: Tensor) -> Tensor:
        """Encode an image `(3, H, W)` in -1..1 to a latent `(c, h, w)`: the posterior mean, scaled to unit variance.

        The latent is in float32 or better whatever the UNet's precision, because inversion accumulates many steps from it. Raises
        `ValueError` for another shape, or for sides that are not divisible by `latent_scale`.
        """
        if image.ndim != 3 or image.shape[0] != 3 or any(side == 0 or side % self.latent_scale for side in image.shape[1:]):
            cell = self.latent_scale
            raise ValueError(f"expected an image (3, H, W) with sides divisible by {cell}, got {tuple(image.shape)}")
        vae: Any = self.vae
        posterior = with_freed_memory(lambda: vae.encode(image[None].to(self.device)).latent_dist)
        latent: Tensor = posterior.mode()[0] * vae.config.scaling_factor
        return latent.to(torch.promote_types(self.dtype, torch.float32))

    @raising_device_faults()
    @torch.no_grad()
    def decode_latent(self, latent: Tensor) -> Tensor:
        """Decode a latent `(c, h, w)` to an image `(3, H, W)` in -1..1. Raises `ValueError` for another shape."""
        vae: Any = self.vae
        if latent.ndim != 3 or latent.shape[0] != vae.config.latent_channels:
            raise ValueError(f"expected a latent ({vae.config.latent_channels}, h, w), got {tuple(latent.shape)}")
        image: Tensor = with_freed_memory(lambda: vae.decode(latent[None].to(torch.float32) / vae.config.scaling_factor).sample[0])
        return image.clamp(-1, 1)

    @raising_device_faults()
    def evaluate(self, rows: Rows, *, check: bool = True) -> Answers:
        """Predict ε for every row, and compute gradients for rows with a target. Rows of one latent shape share UNet passes.

        If there is too little memory for a pass, smaller ones take its place. If the gradients of a single row take too much,
        activations are computed twice from then on. Raises `DeviceOutOfMemory` if even that fails, `NumbersNotFinite` if a
        prediction is not finite or a row with a target meets float16, `ValueError` for a row whose source is not among `rows`.
        Without `check`, rows whose numbers are not finite get answers that say so, and the others theirs.
        """
        answers = evaluate_with_prompts(rows, self._evaluate)
        if check:
            check_finite(answers)
        return answers

    def _evaluate(self, rows: Rows) -> Answers:
        answers: dict[int, Answer] = {}
        pending = self._passes(rows)
        while pending:
            indices = pending.pop(0)
            part = tuple(rows[i] for i in indices)
            smaller = self._passes(part)
            if len(smaller) > 1:
                pending[:0] = [[indices[i] for i in each] for each in smaller]
            elif (found := self._one_pass_or_none(part)) is not None:
                answers.update(zip(indices, found, strict=True))
            else:
                self.pass_limit.reduce(len(part))
                pending.insert(0, indices)
        return tuple(answers[i] for i in range(len(rows)))

    @property
    def max_rows(self) -> int:
        """The largest number of rows in one pass, if memory allows."""
        return MAX_ROWS_PER_PASS if self.recorded is None else self.recorded.largest

    def _passes(self, rows: Rows) -> list[list[int]]:
        """Split `rows` into passes of as many rows as may share one now."""
        limit = self.pass_limit.rows(self.max_rows)
        if self.recorded is None:
            return passes(rows, limit)
        coupled = {row.injection.source for row in rows if row.injection is not None}
        common = [i for i, row in enumerate(rows) if can_be_recorded((row,)) and row not in coupled]
        others = sorted({*range(len(rows))} - {*common})
        made = [[others[i] for i in each] for each in passes(tuple(rows[i] for i in others), limit)]
        for each in passes(tuple(rows[i] for i in common), limit):
            start = 0
            for part in padded_parts(len(each), limit):
                made.append([common[i] for i in each[start : start + part]])
                start += part
        return made

    def _one_pass_or_none(self, rows: Rows) -> list[Answer] | None:
        """Return the answers to `rows`, or None if there is too little memory for all of them at once."""
        try:
            with raising_device_faults():
                return self._one_pass(rows)
        except DeviceOutOfMemory:
            pass
        if self.recorded is not None:
            self.recorded.clear()
        free_memory()  # outside the handler: until here, the error's traceback holds the tensors of the failed pass
        if len(passes(rows, 1)) > 1:
            return None
        if rows[0].target is not None:
            self._checkpoint_gradients()
        return self._one_pass(rows)

    def _checkpoint_gradients(self) -> None:
        """Let backward passes compute activations again, which takes a third more time, instead of keeping them."""
        unet: Any = self.unet
        if not unet.is_gradient_checkpointing:
            log.warning("too little memory for the gradients of one row: activations are computed twice from now on")
            unet.enable_gradient_checkpointing(partial(checkpoint, use_reentrant=False, preserve_rng_state=False))

    def _one_pass(self, rows: Rows) -> list[Answer]:
        self._check_learns(rows)
        return self._outputs(rows).answers(rows)

    def _outputs(self, rows: Rows) -> PassOutputs:
        if self.recorded is not None and can_be_recorded(rows):
            return self.recorded(rows)
        return self._run(stack_rows(rows, self.device, self.dtype))

    def _check_learns(self, rows: Rows) -> None:
        """Raise `NumbersNotFinite` for rows with targets in float16."""
        if self.dtype == torch.float16 and any(row.target is not None for row in rows):
            raise NumbersNotFinite("gradients are lost in float16: learn with bf16 or fp32")


def _usable(device: str | torch.device) -> torch.device:
    """Return the device. Raise `OptionInvalid` if this machine, or this build of torch, has none of that name."""
    try:
        return torch.empty(0, device=torch.device(device)).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # a build without CUDA asserts
        raise OptionInvalid(f"the device {str(device)!r} can't be used: {str(error).splitlines()[0]}", field="device") from error


def use_kernels(unet: nn.Module) -> None:
    """Let `unet`, in half precision on CUDA, use kernels of our own that work there."""
    weights = next(unet.parameters())
    if choose(weights.device, weights.dtype, partial(plain_gated_attention, heads=HEADS)).feature_maps is not None:
        keep_channels_last(unet)


def placed(unet: nn.Module, device: str | torch.device, dtype: torch.dtype, channels_last: bool) -> nn.Module:
    """Return `unet` on `device` in `dtype`, by torch's own `to`: that of diffusers warns about a change of precision."""
    moved = nn.Module.to(unet, device, dtype)
    return nn.Module.to(moved, memory_format=torch.channels_last) if channels_last else moved  # type: ignore[call-overload]

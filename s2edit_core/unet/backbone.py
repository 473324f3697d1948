"""The base model: UNet, auto-encoder, text encoder, tokenizer and schedule of a Stable Diffusion 1.x or 2.x model.

The weights are frozen and shared; nothing here belongs to a user. Only `Backbone.evaluate` runs the UNet.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from s2edit_core.checkpoints.fingerprint import Fingerprints
from s2edit_core.checkpoints.loading import load_parts
from s2edit_core.checkpoints.model_card import ModelCard
from s2edit_core.checkpoints.schedule import Schedule
from s2edit_core.device_faults import free_memory, raising_device_faults, with_freed_memory
from s2edit_core.errors import DeviceOutOfMemory
from s2edit_core.unet.attention import CrossLayer, PassInputs, RowAttention
from s2edit_core.unet.pass_limit import PassLimit
from s2edit_core.unet.rows import Answer, Answers, Rows, check_finite, passes, stack_rows

MAX_ROWS_PER_PASS = 16
"""The largest batch of one UNet pass."""


@dataclass
class Backbone:
    """A frozen base model on one device."""

    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module
    tokenizer: Any
    schedule: Schedule
    card: ModelCard

    def __post_init__(self) -> None:
        for part in (self.unet, self.vae, self.text_encoder):
            part.requires_grad_(False).eval()
        self.attention = RowAttention(self.unet)
        self.pass_limit = PassLimit()
        self.fingerprints = Fingerprints((self.unet, self.vae, self.text_encoder), self.schedule)

    @classmethod
    def from_pretrained(cls, model: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Backbone:
        """Load a model folder, a single-file checkpoint or a hub id; see `model_files`.

        The UNet gets `dtype`, all other parts float32. Raises `ModelUnusable` with the reason.
        """
        parts = load_parts(model)
        fingerprints = Fingerprints((parts.unet, parts.vae, parts.text_encoder), parts.schedule)
        if dtype != torch.float32:
            fingerprints.compute()  # before the weights are rounded to `dtype`
        made = cls(
            unet=nn.Module.to(parts.unet, device, dtype),  # diffusers' own `to` warns about a change of precision
            vae=parts.vae.to(device),
            text_encoder=parts.text_encoder.to(device),
            tokenizer=parts.tokenizer,
            schedule=parts.schedule,
            card=parts.card,
        )
        if dtype != torch.float32:
            made.fingerprints = fingerprints
        return made

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
    def evaluate(self, rows: Rows) -> Answers:
        """Predict ε for every row, and compute gradients for rows with a target. Rows of one latent shape share UNet passes.

        If there is too little memory for a pass, smaller ones take its place. Raises `DeviceOutOfMemory` if even the smallest
        fails, `NumbersNotFinite` if a prediction is not finite, `ValueError` for a row whose source is not among `rows`.
        """
        answers: dict[int, Answer] = {}
        pending = passes(rows, self.pass_limit.rows(MAX_ROWS_PER_PASS))
        while pending:
            indices = pending.pop(0)
            part = tuple(rows[i] for i in indices)
            smaller = passes(part, self.pass_limit.rows(MAX_ROWS_PER_PASS))
            if len(smaller) > 1:
                pending[:0] = [[indices[i] for i in each] for each in smaller]
            elif (found := self._one_pass_or_none(part)) is not None:
                answers.update(zip(indices, found, strict=True))
            else:
                self.pass_limit.reduce(len(part))
                pending.insert(0, indices)
        return tuple(answers[i] for i in range(len(rows)))

    def _one_pass_or_none(self, rows: Rows) -> list[Answer] | None:
        """Return the answers to `rows`, or None if there is too little memory for all of them at once."""
        if len(passes(rows, 1)) == 1:
            return with_freed_memory(lambda: self._one_pass(rows))
        try:
            with raising_device_faults():
                return self._one_pass(rows)
        except DeviceOutOfMemory:
            pass
        free_memory()  # outside the handler: until here, the error's traceback holds the tensors of the failed pass
        return None

    def _one_pass(self, rows: Rows) -> list[Answer]:
        has_targets = any(row.target is not None for row in rows)
        inputs = stack_rows(rows, self.device, self.dtype)
        with torch.set_grad_enabled(has_targets):
            for tensor in (*inputs.keys, *inputs.values):
                tensor.requires_grad_(has_targets)
            eps, maps = self._predict(rows, inputs)
            losses = [
                row.weight * _mean_squared_error(eps[i], row.target, row.loss_weights) if row.target is not None else None
                for i, row in enumerate(rows)
            ]
            if has_targets:
                torch.stack([loss for loss in losses if loss is not None]).sum().backward()
        check_finite(eps)
        captured = [tuple(maps[layer][i] for layer in row.capture) for i, row in enumerate(rows)]
        return [_answer(i, eps, losses[i], inputs, captured[i]) for i in range(len(rows))]

    def _predict(self, rows: Rows, inputs: PassInputs) -> tuple[Tensor, dict[int, Tensor]]:
        """Return ε `(rows, c, h, w)` and the captured attention maps by layer."""
        z = torch.stack([row.latent for row in rows]).to(self.device, torch.promote_types(self.dtype, torch.float32))
        t = torch.tensor([row.timestep for row in rows], device=self.device)
        unet: Any = self.unet
        with self.attention.using(inputs) as maps:
            output = unet(z.to(self.dtype), t, encoder_hidden_states=None).sample
        return self.schedule.to_epsilon(output, z, t), maps


def _mean_squared_error(eps: Tensor, target: Tensor, weights: Tensor | None) -> Tensor:
    """Return the weighted mean of (ε − target)², in float32 or better: half precision loses small squares."""
    dtype = torch.promote_types(eps.dtype, torch.float32)
    squares = (eps.to(dtype) - target.to(eps.device, dtype)).square()
    if weights is None:
        return squares.mean()
    weights = weights.to(squares)
    return (squares.mean(dim=0) * weights).sum() / weights.sum()


def _answer(i: int, eps: Tensor, loss: Tensor | None, inputs: PassInputs, maps: tuple[Tensor, ...]) -> Answer:
    if loss is None:
        return Answer(eps=eps[i].detach(), maps=maps)
    return Answer(
        eps=eps[i].detach(),
        loss=float(loss.detach()),
        key_gradients=tuple(key.grad[i] for key in inputs.keys if key.grad is not None),
        value_gradients=tuple(value.grad[i] for value in inputs.values if value.grad is not None),
        maps=maps,
    )

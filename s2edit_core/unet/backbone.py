"""The base model: UNet, auto-encoder, text encoder, tokenizer and schedule of any Stable Diffusion 1.x or 2.x.

Frozen and shared: nothing here belongs to a user. `evaluate` is the one place where the UNet runs.
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
from s2edit_core.unet.attention import CrossLayer, PassInputs, RowAttention
from s2edit_core.unet.rows import Answer, Answers, Row, Rows, check_finite, passes, stacked

MAX_ROWS_PER_PASS = 16


@dataclass
class Backbone:
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
        self.fingerprints = Fingerprints((self.unet, self.vae, self.text_encoder), self.schedule)

    @classmethod
    def from_pretrained(cls, model: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Backbone:
        """Load a folder, a file or a hub id (see `model_files`), its UNet in `dtype`. Raises `ModelUnusable` with the reason."""
        parts = load_parts(model)
        fingerprints = Fingerprints((parts.unet, parts.vae, parts.text_encoder), parts.schedule)
        if dtype != torch.float32:
            fingerprints.compute()  # while all digits are there
        made = cls(
            unet=nn.Module.to(parts.unet, device, dtype),  # diffusers' own warns of a change of precision
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
        return self.attention.layers

    @property
    def device(self) -> torch.device:
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        return next(self.unet.parameters()).dtype

    @cached_property
    def latent_scale(self) -> int:
        """Pixels per latent cell, along each side."""
        blocks = self.vae.config.block_out_channels  # type: ignore[union-attr]
        return int(2 ** (len(blocks) - 1))  # type: ignore[arg-type]

    @cached_property
    def frame_multiple(self) -> int:
        """What the sides of a frame must be divisible by, so that every halving in the UNet is exact."""
        blocks = self.unet.config.block_out_channels  # type: ignore[union-attr]
        return int(self.latent_scale * 2 ** (len(blocks) - 1))  # type: ignore[arg-type]

    @cached_property
    def frame_size(self) -> int:
        """The side, in pixels, of the square frames that the model was trained on."""
        return int(self.unet.config.sample_size) * self.latent_scale  # type: ignore[union-attr, arg-type]

    @property
    def fingerprint(self) -> str:
        """What a concept or an inversion that is made with this model carries. `fingerprints` tells which it recognises."""
        return self.fingerprints.current

    @torch.no_grad()
    def encode_image(self, image: Tensor) -> Tensor:
        """`(3, H, W)` in -1..1 → latent `(c, h, w)`: the mean of the posterior, scaled to unit variance.

        In float32 at least, whatever the UNet's precision: a path of many steps is summed up from it. Raises `ValueError` for
        another shape, or sides that are not whole latent cells.
        """
        if image.ndim != 3 or image.shape[0] != 3 or any(side == 0 or side % self.latent_scale for side in image.shape[1:]):
            cell = self.latent_scale
            raise ValueError(f"expected an image (3, H, W) with sides divisible by {cell}, got {tuple(image.shape)}")
        vae: Any = self.vae
        latent: Tensor = vae.encode(image[None].to(self.device)).latent_dist.mode()[0] * vae.config.scaling_factor
        return latent.to(torch.promote_types(self.dtype, torch.float32))

    @torch.no_grad()
    def decode_latent(self, latent: Tensor) -> Tensor:
        """Latent `(c, h, w)` → `(3, H, W)` in -1..1. Raises `ValueError` for another shape."""
        vae: Any = self.vae
        if latent.ndim != 3 or latent.shape[0] != vae.config.latent_channels:
            raise ValueError(f"expected a latent ({vae.config.latent_channels}, h, w), got {tuple(latent.shape)}")
        image: Tensor = vae.decode(latent[None].to(torch.float32) / vae.config.scaling_factor).sample[0]
        return image.clamp(-1, 1)

    def evaluate(self, rows: Rows) -> Answers:
        """Predict ε for every row, with gradients for those that have a target. Rows of one latent shape share passes."""
        answers: dict[int, Answer] = {}
        for indices in passes(rows, MAX_ROWS_PER_PASS):
            answers.update(zip(indices, self._one_pass([rows[i] for i in indices]), strict=True))
        return tuple(answers[i] for i in range(len(rows)))

    def _one_pass(self, rows: list[Row]) -> list[Answer]:
        learns = any(row.target is not None for row in rows)
        inputs = stacked(rows, self.device, self.dtype)
        with torch.set_grad_enabled(learns):
            for tensor in (*inputs.keys, *inputs.values):
                tensor.requires_grad_(learns)
            eps, maps = self._predict(rows, inputs)
            losses = [
                row.weight * _mean_squared_error(eps[i], row.target, row.where) if row.target is not None else None
                for i, row in enumerate(rows)
            ]
            if learns:
                torch.stack([loss for loss in losses if loss is not None]).sum().backward()
        check_finite(eps)
        captured = [tuple(maps[layer][i] for layer in row.capture) for i, row in enumerate(rows)]
        return [_answer(i, eps, losses[i], inputs, captured[i]) for i in range(len(rows))]

    def _predict(self, rows: list[Row], inputs: PassInputs) -> tuple[Tensor, dict[int, Tensor]]:
        z = torch.stack([row.latent for row in rows]).to(self.device, torch.promote_types(self.dtype, torch.float32))
        t = torch.tensor([row.timestep for row in rows], device=self.device)
        unet: Any = self.unet
        with self.attention.using(inputs) as maps:
            output = unet(z.to(self.dtype), t, encoder_hidden_states=None).sample
        return self.schedule.to_epsilon(output, z, t), maps


def _mean_squared_error(eps: Tensor, target: Tensor, where: Tensor | None) -> Tensor:
    """In float32 at least: half precision loses small squares."""
    dtype = torch.promote_types(eps.dtype, torch.float32)
    squares = (eps.to(dtype) - target.to(eps.device, dtype)).square()
    if where is None:
        return squares.mean()
    weights = where.to(squares)
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

"""The base model: UNet, auto-encoder, text encoder, tokenizer and schedule of any Stable Diffusion 1.x/2.x folder or hub id.

Frozen and shared: nothing here belongs to a user. `evaluate` is the one place where the UNet runs.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from s2edit_core.attention import CrossLayer, PassInputs, RowAttention
from s2edit_core.errors import ModelUnusable
from s2edit_core.prompts import DEFAULT_SUBJECTS
from s2edit_core.rows import Answer, Answers, Row, Rows, check_finite, passes, stacked
from s2edit_core.schedule import Schedule, schedule_of

MAX_ROWS_PER_PASS = 16


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model folder's `s2edit.json` says; the defaults suit Stable Diffusion 1.x and photos of people."""

    subjects: tuple[str, ...] = DEFAULT_SUBJECTS
    attribute_words: tuple[str, ...] = (
        *("black", "brown", "blond", "red", "gray", "hair", "long", "short", "curly", "bangs"),
        *("smiling", "sad", "angry", "surprised", "old", "young", "glasses", "sunglasses", "hat", "beard"),
        *("mustache", "makeup", "lipstick", "blush", "earrings", "pale", "tanned", "bald"),
    )
    guidance_scale: float = 7.5
    segmenter: str = ""
    """Who finds the person where no mask is given: "model", "card" or "mediapipe" (see `segmenters.py`); optional."""
    folder: Path | None = None
    """Where the card lies."""

    @classmethod
    def read(cls, folder: Path) -> ModelCard:
        """The card of the model in `folder`, or the defaults. Raises `ModelUnusable` for one that can't be read."""
        path = folder / "s2edit.json"
        if not path.is_file():
            return cls()
        try:
            values: dict[str, Any] = json.loads(path.read_text())
            return cls(
                subjects=tuple(values["subjects"]),
                attribute_words=tuple(values["attribute_words"]),
                guidance_scale=float(values["guidance_scale"]),
                segmenter=str(values.get("segmenter", "")),
                folder=folder,
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            wanted = "an object of subjects, attribute_words (lists of words) and guidance_scale (a number)"
            raise ModelUnusable(f"the model's card {path} can't be read: it must be {wanted} ({error!r})") from error


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

    @classmethod
    def from_pretrained(cls, model: str, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Backbone:
        """Load a folder in diffusers' layout, or a hub id. Raises `ModelUnusable` if a part is missing or unsupported."""
        try:
            unet = UNet2DConditionModel.from_pretrained(model, subfolder="unet", torch_dtype=dtype)
            vae = AutoencoderKL.from_pretrained(model, subfolder="vae", torch_dtype=torch.float32)
            text_encoder = CLIPTextModel.from_pretrained(model, subfolder="text_encoder", dtype=torch.float32)
            tokenizer = CLIPTokenizer.from_pretrained(model, subfolder="tokenizer")
            schedule = schedule_of(DDIMScheduler.from_pretrained(model, subfolder="scheduler"))
        except (OSError, ValueError) as error:
            raise ModelUnusable(f"the model {model!r} can't be loaded: {error}") from error
        return cls(
            unet=unet.to(device),
            vae=vae.to(device),
            text_encoder=text_encoder.to(device),
            tokenizer=tokenizer,
            schedule=schedule,
            card=ModelCard.read(Path(model)),
        )

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

    @cached_property
    def fingerprint(self) -> str:
        """Digest of every weight and of the schedule: what a concept or an inversion was made with."""
        digest = hashlib.sha256()
        for part in (self.unet, self.vae, self.text_encoder):
            for name, tensor in sorted(part.state_dict().items()):
                digest.update(name.encode())
                digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
        s = self.schedule
        digest.update(repr((s.alphas_cumprod.tolist(), s.steps_offset, s.set_alpha_to_one, s.prediction)).encode())
        return digest.hexdigest()[:32]

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
        z = torch.stack([row.latent for row in rows]).to(self.device, self.dtype)
        t = torch.tensor([row.timestep for row in rows], device=self.device)
        unet: Any = self.unet
        with self.attention.using(inputs) as maps:
            output = unet(z, t, encoder_hidden_states=None).sample
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

"""CLIP score and structure distance as PIE-Bench computes them. The caller names the models; s2edit ships none.

Pillow does the preprocessing, so that torchvision is not needed.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from transformers import CLIPModel, CLIPTokenizer, ViTModel

CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DINO_SIDE = 224


class ClipScore:
    """CLIP score: 100 times the cosine of picture and text, at least 0 (Hessel et al. 2021, scaled as in torchmetrics)."""

    def __init__(self, model: str, device: torch.device | str = "cpu") -> None:
        self._model = CLIPModel.from_pretrained(model).to(device).eval()
        self._tokenizer = CLIPTokenizer.from_pretrained(model)
        self._device = device

    @torch.no_grad()
    def __call__(self, picture: Image.Image, text: str) -> float:
        side = self._model.config.vision_config.image_size
        pixels = _normalised(_square(picture, side), CLIP_MEAN, CLIP_STD, 255.0).to(self._device)
        longest = self._model.config.text_config.max_position_embeddings
        tokens = self._tokenizer(text, truncation=True, max_length=longest, return_tensors="pt").to(self._device)
        out = self._model(pixel_values=pixels, **tokens)
        cosine = torch.nn.functional.cosine_similarity(out.image_embeds, out.text_embeds)
        return max(0.0, 100 * float(cosine))

    @torch.no_grad()
    def of_pictures(self, a: Image.Image, b: Image.Image) -> float:
        """Return 100 times the cosine of two pictures."""
        side = self._model.config.vision_config.image_size
        both = torch.cat([_normalised(_square(picture, side), CLIP_MEAN, CLIP_STD, 255.0) for picture in (a, b)])
        vision = self._model.vision_model(pixel_values=both.to(self._device))
        first, second = self._model.visual_projection(vision.pooler_output)
        return 100 * float(torch.nn.functional.cosine_similarity(first, second, dim=0))


class StructureDistance:
    """Mean squared difference of the self-similarities of the keys in a DINO ViT's last layer (Tumanyan et al. 2022).

    As in PIE-Bench's code, the short side becomes 224 pixels, and levels of 0..255 are normalised as if they were 0..1. The
    published model uses patches of 8 pixels.
    """

    def __init__(self, model: str, device: torch.device | str = "cpu") -> None:
        self._model = ViTModel.from_pretrained(model, add_pooling_layer=False).to(device).eval()
        self._device = device

    def __call__(self, a: Image.Image, b: Image.Image) -> float:
        return float((self._similarities(a) - self._similarities(b)).square().mean())

    @torch.no_grad()
    def _similarities(self, picture: Image.Image) -> Tensor:
        """Return the cosines between the keys of all tokens, with heads concatenated, `(tokens, tokens)`."""
        kept: list[Tensor] = []
        *_, projection = (module for name, module in self._model.named_modules() if name.endswith(".k_proj"))
        hook = projection.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
        try:
            short = _short_side(picture, DINO_SIDE)
            pixels = _normalised(short, IMAGENET_MEAN, IMAGENET_STD, 1.0).to(self._device)
            self._model(pixels, interpolate_pos_encoding=True)
        finally:
            hook.remove()
        keys = torch.nn.functional.normalize(kept[0][0], dim=-1)
        return keys @ keys.T


def _short_side(picture: Image.Image, side: int) -> Image.Image:
    scale = side / min(picture.size)
    return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.BICUBIC)


def _square(picture: Image.Image, side: int) -> Image.Image:
    """Scale the short side to `side` and crop the centre square."""
    small = _short_side(picture, side)
    left, top = (small.width - side) // 2, (small.height - side) // 2
    return small.crop((left, top, left + side, top + side))


def _normalised(picture: Image.Image, mean: tuple[float, ...], std: tuple[float, ...], white: float) -> Tensor:
    """Return `(1, 3, H, W)`: levels divided by `white`, then normalised."""
    pixels = torch.tensor(np.asarray(picture), dtype=torch.float32).permute(2, 0, 1) / white
    return ((pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None])[None]

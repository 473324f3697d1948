"""Identity as the cosine of two face embeddings. The caller names the embedder; s2edit ships none.

An embedder is an ONNX file such as ArcFace's or SFace's, which needs `onnxruntime` (extra `bench`), or the folder or hub id of a
vision model of transformers. As in FFHQ-edit's published code, the whole picture is scaled to the embedder's size without
alignment: FFHQ's faces are aligned already.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image
from torch import Tensor

Levels = Literal["signed", "bytes"]
"""How an ONNX embedder takes pixels: in -1..1 (ArcFace), or as levels in 0..255 (SFace)."""
FACE_SIDE = 112
"""The side of an ONNX embedder's input, unless its file says another."""


class FaceEmbedder(Protocol):
    """Returns the embedding `(d,)` of a picture."""

    def __call__(self, picture: Image.Image) -> Tensor: ...


def identity(embedder: FaceEmbedder, a: Image.Image, b: Image.Image) -> float:
    """Return the cosine between the embeddings of two pictures, in -1..1."""
    return float(torch.nn.functional.cosine_similarity(embedder(a), embedder(b), dim=0))


def open_face_embedder(name: str, *, levels: Levels = "signed", device: torch.device | str = "cpu") -> FaceEmbedder:
    """Return the embedder `name`: an ONNX file, or a folder or hub id of transformers."""
    return OnnxFaces(Path(name), levels) if name.endswith(".onnx") else TransformersFaces(name, device)


class OnnxFaces:
    """A face embedder in an ONNX file, with one input `(1, 3, h, w)` in RGB and the embedding as its first output."""

    def __init__(self, path: Path, levels: Levels = "signed") -> None:
        """Load the file. Raises `FileNotFoundError` without it, `ValueError` for an input that is no picture in RGB."""
        if not path.is_file():
            raise FileNotFoundError(f"there is no face embedder {path}: name an ONNX file, or a folder or hub id of transformers")
        import onnxruntime  # an extra

        self._session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        (taken,) = self._session.get_inputs()
        if len(taken.shape) != 4 or taken.shape[1] != 3:
            raise ValueError(f"{path.name} takes an input of shape {taken.shape}; a face embedder takes (1, 3, height, width)")
        self._input, self._levels = taken.name, levels
        height, width = (side if isinstance(side, int) else FACE_SIDE for side in taken.shape[2:])
        self._size = (width, height)

    def __call__(self, picture: Image.Image) -> Tensor:
        small = picture.convert("RGB").resize(self._size, Image.Resampling.BILINEAR)
        pixels = np.asarray(small, dtype=np.float32).transpose(2, 0, 1)[None]
        if self._levels == "signed":
            pixels = pixels / 127.5 - 1
        return torch.from_numpy(np.asarray(self._session.run(None, {self._input: pixels})[0], dtype=np.float32)).flatten()


class TransformersFaces:
    """A vision model of transformers. The embedding is its pooled output, or else that of the first token."""

    def __init__(self, name: str, device: torch.device | str = "cpu") -> None:
        from transformers import AutoModel

        self._model: Any = AutoModel.from_pretrained(name).to(device).eval()
        self._model = getattr(self._model, "vision_model", self._model)
        about = _preprocessor(name)
        self._mean, self._std = (torch.tensor(about.get(key, [0.5] * 3))[:, None, None] for key in ("image_mean", "image_std"))
        self._side, self._device = self._model.config.image_size, device

    @torch.no_grad()
    def __call__(self, picture: Image.Image) -> Tensor:
        small = picture.convert("RGB").resize((self._side, self._side), Image.Resampling.BILINEAR)
        pixels = torch.tensor(np.asarray(small), dtype=torch.float32).permute(2, 0, 1) / 255
        out = self._model(pixel_values=((pixels - self._mean) / self._std)[None].to(self._device))
        pooled: Tensor | None = getattr(out, "pooler_output", None)
        return (pooled if pooled is not None else out.last_hidden_state[:, 0])[0].flatten().cpu()


def _preprocessor(name: str) -> dict[str, Any]:
    """Return the model's preprocessor settings, or nothing if it has none."""
    path = Path(name) / "preprocessor_config.json"
    if not Path(name).is_dir():
        try:
            path = Path(hf_hub_download(name, "preprocessor_config.json"))
        except (HfHubHTTPError, OSError):
            return {}
    return json.loads(path.read_text()) if path.is_file() else {}

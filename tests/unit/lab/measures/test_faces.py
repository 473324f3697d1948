"""Face embedders: an ONNX file, written here by hand, and a tiny vision model of transformers."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPVisionConfig, CLIPVisionModel, ViTConfig, ViTModel

from lab.measures.faces import OnnxFaces, TransformersFaces, identity, open_face_embedder

SIDE = 16


def picture(seed: int, size: int = 40) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8))


def field(number: int, value: int | str | bytes) -> bytes:
    """Return a field of a protocol buffer."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    data = value.encode() if isinstance(value, str) else value
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    found = b""
    while value > 127:
        found += struct.pack("B", value & 127 | 128)
        value >>= 7
    return found + struct.pack("B", value)


def onnx_model(channels: int = 3) -> bytes:
    """Return an ONNX model with the picture as its own embedding: one `Flatten` of `(1, channels, SIDE, SIDE)`."""

    def tensor(name: str, *sides: int) -> bytes:
        shape = b"".join(field(1, field(1, side)) for side in sides)
        return field(1, name) + field(2, field(1, field(1, 1) + field(2, shape)))

    node = field(1, "pixels") + field(2, "embedding") + field(4, "Flatten")
    inputs = field(11, tensor("pixels", 1, channels, SIDE, SIDE))
    outputs = field(12, tensor("embedding", 1, channels * SIDE * SIDE))
    return field(1, 8) + field(7, field(1, node) + field(2, "faces") + inputs + outputs) + field(8, field(2, 17))


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "faces.onnx"
    path.write_bytes(onnx_model())
    return path


def test_an_onnx_embedder_sees_the_picture_at_its_own_size(onnx_file: Path) -> None:
    picture_of_its_size = picture(1, SIDE)
    levels = np.asarray(picture_of_its_size).transpose(2, 0, 1).reshape(-1)
    embedded = open_face_embedder(str(onnx_file), levels="bytes")(picture_of_its_size)
    assert np.array_equal(embedded.numpy(), levels)
    signed = open_face_embedder(str(onnx_file))(picture_of_its_size)
    assert signed.numpy() == pytest.approx(levels / 127.5 - 1, abs=1e-6)
    assert len(OnnxFaces(onnx_file)(picture(1, 40))) == 3 * SIDE * SIDE


def test_an_embedder_that_is_missing_or_takes_no_rgb_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"there is no face embedder .*missing\.onnx: name an ONNX file"):
        open_face_embedder(str(tmp_path / "missing.onnx"))
    grey = tmp_path / "grey.onnx"
    grey.write_bytes(onnx_model(channels=1))
    with pytest.raises(ValueError, match=r"grey\.onnx takes an input of shape \[1, 1, 16, 16\]"):
        open_face_embedder(str(grey))


@pytest.mark.parametrize("pooled", [True, False], ids=["a pooled output", "the first token"])
def test_a_model_of_transformers_embeds_with_its_own_preprocessing(tmp_path: Path, pooled: bool) -> None:
    torch.manual_seed(0)
    config = ViTConfig(
        hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=2, image_size=SIDE, patch_size=8
    )
    model = ViTModel(config, add_pooling_layer=pooled)
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6]}))
    embedder = open_face_embedder(str(tmp_path))
    assert isinstance(embedder, TransformersFaces)
    shown = picture(2, SIDE)
    pixels = torch.tensor(np.asarray(shown) / 255, dtype=torch.float32).permute(2, 0, 1)
    mean, std = torch.tensor([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]])[:, :, None, None]
    if pooled:
        with torch.no_grad():
            expected = model.eval()(pixel_values=((pixels - mean) / std)[None]).pooler_output[0]
        assert torch.allclose(embedder(shown), expected, atol=1e-5)
    assert embedder(shown).shape == (8,)


def test_of_a_model_of_pictures_and_texts_the_half_for_pictures_is_taken(tmp_path: Path) -> None:
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    CLIPVisionModel(CLIPVisionConfig(**shape, image_size=SIDE, patch_size=8)).save_pretrained(tmp_path)
    assert open_face_embedder(str(tmp_path))(picture(3)).shape == (8,)


def test_identity_is_one_for_the_same_picture_and_less_for_another(onnx_file: Path) -> None:
    embedder = open_face_embedder(str(onnx_file))
    assert identity(embedder, picture(4), picture(4)) == pytest.approx(1)
    assert identity(embedder, picture(4), picture(5)) < 0.9
    inverted = Image.fromarray(255 - np.asarray(picture(4, SIDE)))
    assert identity(embedder, picture(4, SIDE), inverted) == pytest.approx(-1)

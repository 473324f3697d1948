"""A training that starts from another model keeps what that one has learned."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from diffusers import UNet2DConditionModel
from transformers import CLIPTextModel

from lab.training.autoencoder import build, posterior, reconstruct, to_range
from lab.training.denoiser import build_text_encoder, build_unet
from lab.training.starting import stitch, widen
from lab.training.tokenizer import build_tokenizer
from tests.unit.lab.training.portrait_domain import pictures


def test_a_wider_auto_encoder_reconstructs_as_the_narrow_one_and_keeps_its_latents() -> None:
    narrow, x = build(latent_channels=2, widths=(8, 8, 16)).eval(), to_range(pictures(2))
    wide = build(latent_channels=5, widths=(8, 8, 16)).eval()
    with torch.no_grad():
        for parameter in narrow.parameters():
            parameter += 0.05 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(parameter.numel()))
    widen(wide, narrow)
    assert torch.allclose(reconstruct(wide, x), reconstruct(narrow, x), atol=1e-5)
    for ours, theirs in zip(posterior(wide, x), posterior(narrow, x), strict=True):
        assert torch.allclose(ours[:, :2], theirs, atol=1e-5)
        assert ours[:, 2:].std() > 0


@pytest.fixture
def shallow(tmp_path: Path) -> Path:
    """A model with three levels that knows one word of its own."""
    tokenizer = build_tokenizer(["scaffolding"])
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    build_text_encoder(tokenizer).save_pretrained(tmp_path / "text_encoder")
    UNet2DConditionModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        time_embedding_dim=384,
        block_out_channels=(48, 32, 48),
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=16,
        cross_attention_dim=128,
    ).save_pretrained(tmp_path / "unet")
    return tmp_path


def test_a_deeper_denoiser_takes_over_levels_words_and_the_sense_of_time(shallow: Path) -> None:
    tokenizer = build_tokenizer(["azure", "scaffolding"])
    unet, text_encoder = build_unet((32, 48, 32, 48), 4), build_text_encoder(tokenizer)
    shares = stitch(unet, text_encoder, tokenizer, shallow)
    assert shares["unet"] > 0.8
    old_unet, old_text = (
        UNet2DConditionModel.from_pretrained(shallow / "unet"),
        CLIPTextModel.from_pretrained(shallow / "text_encoder"),
    )
    for name in ("attn2.to_k", "attn1.to_q"):
        ours = unet.down_blocks[1].attentions[0].transformer_blocks[0].get_submodule(name).weight
        assert torch.equal(ours, old_unet.down_blocks[0].attentions[0].transformer_blocks[0].get_submodule(name).weight)
    t = torch.tensor([0, 123, 999])
    with torch.no_grad():
        ours, theirs = (each.time_embedding(each.time_proj(t)) for each in (unet, old_unet))
    assert torch.corrcoef(torch.stack([ours.flatten(), theirs.flatten()]))[0, 1] > 0.8
    words = tokenizer(["red scaffolding"], return_tensors="pt").input_ids
    old_words = build_tokenizer(["scaffolding"])(["red scaffolding"], return_tensors="pt").input_ids
    assert not torch.equal(words, old_words)
    with torch.no_grad():
        assert torch.allclose(text_encoder(words).last_hidden_state, old_text(old_words).last_hidden_state, atol=1e-5)


def test_a_denoiser_of_the_same_shape_is_taken_over_whole(tmp_path: Path) -> None:
    tokenizer, more = build_tokenizer(["scaffolding"]), build_tokenizer(["azure", "scaffolding"])
    learned, text_encoder = build_unet((32, 48, 32, 48), 4), build_text_encoder(tokenizer)
    with torch.no_grad():
        for parameter in (*learned.parameters(), *text_encoder.parameters()):
            parameter += 0.1
    for name, part in {"unet": learned, "text_encoder": text_encoder, "tokenizer": tokenizer}.items():
        part.save_pretrained(tmp_path / name)
    unet, new_text = build_unet((32, 48, 32, 48), 4), build_text_encoder(more)
    assert stitch(unet, new_text, more, tmp_path)["unet"] == 1
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(unet.parameters(), learned.parameters(), strict=True))
    states = [
        encoder(tokens(["red scaffolding"], return_tensors="pt").input_ids).last_hidden_state
        for encoder, tokens in ((text_encoder, tokenizer), (new_text, more))
    ]
    assert torch.allclose(states[0], states[1], atol=1e-5)

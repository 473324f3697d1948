"""What is learned here works in diffusers: the files of `export`, loaded by its own `StableDiffusionPipeline`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline

from s2edit_core.concepts.concept import Concept, Full, LowRank
from s2edit_core.concepts.conditioning import prompt_keys_values, text_states, tokenize
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import LearningMode
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.backbone import Backbone
from tests.tiny import tiny_parts

PROMPT = "a photo of a [I] woman"


@pytest.fixture
def theirs() -> Any:
    """The same weights as the tiny backbone's, in diffusers' pipeline."""
    parts = tiny_parts()
    return StableDiffusionPipeline(**parts, safety_checker=None, feature_extractor=None, requires_safety_checker=False)


def concept(backbone: Backbone, mode: LearningMode) -> Concept:
    """With changes as large as the weights."""
    draw = torch.Generator().manual_seed(6)
    changes: list[list[LowRank | Full]] = [[], []]
    for layer in backbone.layers:
        out, into = layer.to_k.weight.shape
        for part in changes:
            if mode == "kv":
                part.append(Full(torch.randn(out, into, generator=draw)))
            if mode == "lora_kv":
                part.append(LowRank(torch.randn(3, into, generator=draw), torch.randn(out, 3, generator=draw)))
    token = torch.randn(16, generator=draw)
    return Concept(token, tuple(changes[0]), tuple(changes[1]), backbone.fingerprint, subject="woman")


@pytest.mark.parametrize("mode", ["lora_kv", "kv"])
def test_diffusers_makes_the_same_keys_and_values_of_it(
    backbone32: Backbone, theirs: Any, mode: LearningMode, tmp_path: Path
) -> None:
    learned = concept(backbone32, mode)
    written = S2EditPipeline(backbone32).export(learned, tmp_path)
    assert [path.name for path in written] == ["learned_embeds.safetensors", "pytorch_lora_weights.safetensors"]
    with torch.no_grad():
        tokens = tokenize(backbone32, PROMPT, (PLACEHOLDER,))
        states = text_states(backbone32, tokens, {PLACEHOLDER: learned.token})
        ours = prompt_keys_values(backbone32, PROMPT, {PLACEHOLDER: learned})
        plain = prompt_keys_values(backbone32, PROMPT, {PLACEHOLDER: Concept(learned.token)})

        theirs.load_lora_weights(str(tmp_path))

        for i, layer in enumerate(backbone32.layers):
            attention = theirs.unet.get_submodule(layer.name)
            torch.testing.assert_close(attention.to_k(states), ours.keys[i], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(attention.to_v(states), ours.values[i], rtol=1e-4, atol=1e-5)
            assert (ours.keys[i] - plain.keys[i]).abs().max() > 0.1


def test_diffusers_reads_the_token_in_its_prompts(backbone32: Backbone, theirs: Any, tmp_path: Path) -> None:
    learned = concept(backbone32, "token")
    assert [path.name for path in S2EditPipeline(backbone32).export(learned, tmp_path)] == ["learned_embeds.safetensors"]

    theirs.load_textual_inversion(str(tmp_path))

    with torch.no_grad():
        expected = text_states(backbone32, tokenize(backbone32, PROMPT, (PLACEHOLDER,)), {PLACEHOLDER: learned.token})
        states, _ = theirs.encode_prompt(PROMPT.replace(PLACEHOLDER, learned.unique_placeholder), "cpu", 1, False)
    torch.testing.assert_close(states[0], expected, rtol=1e-4, atol=1e-5)


def test_two_people_are_used_together(backbone32: Backbone, theirs: Any, tmp_path: Path) -> None:
    ann = concept(backbone32, "token")
    bob = replace(ann, token=-ann.token)
    for name, learned in (("ann", ann), ("bob", bob)):
        S2EditPipeline(backbone32).export(learned, tmp_path / name)
        theirs.load_textual_inversion(str(tmp_path / name))
    assert ann.unique_placeholder != bob.unique_placeholder
    assert ann.unique_placeholder == concept(backbone32, "token").unique_placeholder
    embeddings = theirs.text_encoder.get_input_embeddings().weight
    for learned in (ann, bob):
        (number,) = theirs.tokenizer.convert_tokens_to_ids([learned.unique_placeholder])
        torch.testing.assert_close(embeddings[number], learned.token)


def test_each_key_names_a_projection_of_the_unet(backbone32: Backbone) -> None:
    tensors = concept(backbone32, "lora_kv").lora(backbone32.layers)
    assert len(tensors) == 4 * len(backbone32.layers)
    for name, tensor in tensors.items():
        path, part, weight = name.removeprefix("unet.").rsplit(".", 2)
        projection: Any = backbone32.unet.get_submodule(path)
        assert (part, weight) in {("lora_A", "weight"), ("lora_B", "weight")}
        assert tensor.shape == ((3, projection.in_features) if part == "lora_A" else (projection.out_features, 3))
    assert concept(backbone32, "token").lora(backbone32.layers) == {}

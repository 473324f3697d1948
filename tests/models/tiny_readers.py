"""Tiny image-to-text models with random weights, saved as folders, one per class of transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "[ENC]",
    "[DEC]",
    "a",
    "photo",
    "of",
    "woman",
    "hat",
    "lady",
    "cat",
    "<image>",
]
SMALL = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION = {**SMALL, "image_size": 32, "patch_size": 16}
CHAT = (
    "{% for message in messages %}{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}{% endfor %}{% endfor %}"
)


def tokenizer() -> Any:
    """Return a tokenizer with one token per word of `WORDS`; any other word is [UNK]."""
    return transformers.BertTokenizer(vocab={word: i for i, word in enumerate(WORDS)}, additional_special_tokens=["<image>"])


def _always_predict(layer: Any, word: str | None) -> None:
    """Make the network predict `word` for any picture, by the bias of its last `layer`."""
    if word is not None:
        with torch.no_grad():
            layer.bias[WORDS.index(word)] = 100.0


def clip_pictures() -> Any:
    return transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


def blip(folder: Path, says: str | None = None) -> str:
    text = {**SMALL, "encoder_hidden_size": 8, "vocab_size": len(WORDS), "bos_token_id": 2, "eos_token_id": 3, "sep_token_id": 3}
    config = transformers.BlipConfig(
        text_config={**text, "pad_token_id": 0},
        vision_config={**SMALL, "image_size": 32},
        projection_dim=8,
        image_text_hidden_size=8,
    )
    torch.manual_seed(0)
    network = transformers.BlipForConditionalGeneration(config)
    _always_predict(network.text_decoder.cls.predictions, says)
    network.save_pretrained(folder)
    pictures = transformers.BlipImageProcessorPil(size={"height": 32, "width": 32})
    transformers.BlipProcessor(pictures, tokenizer()).save_pretrained(folder)
    return str(folder)


def git(folder: Path, says: str | None = None) -> str:
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    torch.manual_seed(0)
    network = transformers.GitForCausalLM(transformers.GitConfig(**SMALL, vocab_size=len(WORDS), vision_config=VISION, **ids))
    _always_predict(network.output, says)
    network.save_pretrained(folder)
    transformers.GitProcessor(clip_pictures(), tokenizer()).save_pretrained(folder)
    return str(folder)


def encoder_decoder(folder: Path, says: str | None = None) -> str:
    """Save an encoder-decoder model like ViT-GPT2, with a separate image processor and tokenizer."""
    ids = {"bos_token_id": 2, "eos_token_id": 3, "pad_token_id": 0}
    config = transformers.VisionEncoderDecoderConfig.from_encoder_decoder_configs(
        transformers.ViTConfig(**VISION), transformers.BertConfig(**SMALL, vocab_size=len(WORDS), **ids)
    )
    torch.manual_seed(0)
    network = transformers.VisionEncoderDecoderModel(config)
    network.generation_config.decoder_start_token_id, network.generation_config.pad_token_id = 2, 0
    network.generation_config.num_beams = 4  # as in the published models
    _always_predict(network.decoder.cls.predictions, says)
    network.save_pretrained(folder)
    transformers.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)


def chat(folder: Path) -> str:
    """Save a LLaVA model, which needs a chat template. Its last layer has no bias to set."""
    config = transformers.LlavaConfig(
        vision_config=transformers.CLIPVisionConfig(**{**VISION, "num_hidden_layers": 2}),
        text_config=transformers.LlamaConfig(
            **SMALL, num_key_value_heads=2, vocab_size=len(WORDS), bos_token_id=2, eos_token_id=3, pad_token_id=0
        ),
        image_token_index=WORDS.index("<image>"),
    )
    torch.manual_seed(0)
    transformers.LlavaForConditionalGeneration(config).save_pretrained(folder)
    transformers.LlavaProcessor(
        clip_pictures(),
        tokenizer(),
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT,
    ).save_pretrained(folder)
    return str(folder)

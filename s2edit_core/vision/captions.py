"""Captions: a source prompt for a photo, by any image-to-text model of transformers. No weights are included.

BLIP continues "a photo of". GIT and encoder-decoders such as ViT-GPT2 describe the photo freely. Models with a chat template are
asked a question. All decode greedily, so a photo always gets the same caption; the names of learned concepts depend on it. Captions
of people have the biases and the licence of their weights: check both before use.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from PIL import Image

from s2edit_core.errors import ModelUnusable, OptionInvalid
from s2edit_core.request.words import tidy
from s2edit_core.vision.pretrained import load_whole, raising_unusable

BEGIN = "a photo of"
QUESTION = "Describe the main subject of this photo in one short sentence. Begin with: a photo of"
PICTURE = re.compile(r"(?:an?|the) (?:[\w-]+ )?(?:photo(?:graph)?|picture|image|portrait)\b", re.IGNORECASE)
"""The beginning of a caption that says that it is about a picture."""


class Captioner:
    """An image-to-text model in a folder or under a hub id.

    Raises `ModelUnusable` if it can't be loaded, or can't describe a picture.
    """

    def __init__(self, model: str = "Salesforce/blip-image-captioning-base", *, device: str = "cpu") -> None:
        try:
            import transformers
        except ImportError as error:
            raise ModelUnusable("captioners need transformers: install s2edit[auto]") from error
        with raising_unusable(model, "describe photos"):
            self.kind = str(transformers.AutoConfig.from_pretrained(model).model_type)
            if self.kind == "vision-encoder-decoder":  # repositories of this kind hold no processor
                self.processor = transformers.AutoImageProcessor.from_pretrained(model)
                self.decoder = transformers.AutoTokenizer.from_pretrained(model)
            else:
                self.processor = self.decoder = transformers.AutoProcessor.from_pretrained(model)
            self.network = load_whole(transformers.AutoModelForImageTextToText, model, device)
            self._generate(Image.new("RGB", (64, 64), "gray"), BEGIN, 2)

    def caption(self, photo: Image.Image, *, begin: str = BEGIN, max_words: int = 20) -> str:
        """Describe `photo` (RGB) in one sentence that begins with `begin`, or with other words for a picture.

        `max_words` limits the model's tokens. Raises `OptionInvalid` for less than one.
        """
        if max_words < 1:
            raise OptionInvalid(f"max_words must be 1 or more, not {max_words}", field="max_words")
        sentence = tidy(re.split(r"[.!?\n]", self._generate(photo, begin, max_words).strip(), maxsplit=1)[0])
        if PICTURE.match(sentence) or sentence.startswith(begin):
            return sentence
        return f"{begin} {re.sub(r'^(An?|The|Two|Some)(?= )', lambda word: word[0].lower(), sentence)}".strip()

    @torch.no_grad()
    def _generate(self, photo: Image.Image, begin: str, max_words: int) -> str:
        """Return the text that the model generates."""
        inputs, prompt_tokens = self._inputs(photo, begin)
        tokens = self.network.generate(**inputs.to(self.network.device), max_new_tokens=max_words, do_sample=False, num_beams=1)
        return str(self.decoder.decode(tokens[0, prompt_tokens:], skip_special_tokens=True))

    def _inputs(self, photo: Image.Image, begin: str) -> tuple[Any, int]:
        """Return the network's inputs, and how many tokens of its output repeat the question."""
        if getattr(self.processor, "chat_template", None):
            parts = [{"type": "image", "image": photo}, {"type": "text", "text": QUESTION}]
            inputs = self.processor.apply_chat_template(
                [{"role": "user", "content": parts}],
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
            return inputs, inputs["input_ids"].shape[1]
        if self.kind == "blip":
            return self.processor(images=photo, text=begin, return_tensors="pt"), 0
        return self.processor(images=photo, return_tensors="pt"), 0

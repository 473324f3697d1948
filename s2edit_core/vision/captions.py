"""What a photo shows, in a sentence: a source prompt by any image-to-text model of transformers. None is shipped.

BLIP goes on from "a photo of"; GIT and encoder-decoders (ViT-GPT2) say what they see; models with a chat template are asked. All
decode greedily, so that one photo has one caption, by which what is learned from it is named. Captions of people carry the biases
and the licence of their weights: look at both before use.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from PIL import Image

from s2edit_core.errors import ModelUnusable, OptionInvalid
from s2edit_core.request.words import tidy
from s2edit_core.vision.pretrained import load_whole, refusing_unusable

BEGIN = "a photo of"
QUESTION = "Describe the main subject of this photo in one short sentence. Begin with: a photo of"
PICTURE = re.compile(r"(?:an?|the) (?:[\w-]+ )?(?:photo(?:graph)?|picture|image|portrait)\b", re.IGNORECASE)
"""How a caption begins that says that it is of a picture."""


class Captioner:
    """`model` is a folder or hub id. Raises `ModelUnusable` for one that can't be loaded, or says nothing of a picture."""

    def __init__(self, model: str = "Salesforce/blip-image-captioning-base", *, device: str = "cpu") -> None:
        try:
            import transformers
        except ImportError as error:
            raise ModelUnusable("captions by a model need transformers: install s2edit[auto]") from error
        with refusing_unusable(model, "describe photos"):
            self.kind = str(transformers.AutoConfig.from_pretrained(model).model_type)
            if self.kind == "vision-encoder-decoder":  # its repositories have no processor
                self.processor = transformers.AutoImageProcessor.from_pretrained(model)
                self.decoder = transformers.AutoTokenizer.from_pretrained(model)
            else:
                self.processor = self.decoder = transformers.AutoProcessor.from_pretrained(model)
            self.network = load_whole(transformers.AutoModelForImageTextToText, model, device)
            self._said(Image.new("RGB", (64, 64), "gray"), BEGIN, 2)

    def caption(self, photo: Image.Image, *, begin: str = BEGIN, max_words: int = 20) -> str:
        """Return what `photo` (RGB) shows: one sentence that begins with `begin`, or says otherwise that it is of a picture.

        `max_words` bounds the model's tokens. Raises `OptionInvalid` for no word at all.
        """
        if max_words < 1:
            raise OptionInvalid(f"max_words must be 1 or more, not {max_words}", field="max_words")
        said = tidy(re.split(r"[.!?\n]", self._said(photo, begin, max_words).strip(), maxsplit=1)[0])
        if PICTURE.match(said) or said.startswith(begin):
            return said
        return f"{begin} {re.sub(r'^(An?|The|Two|Some)(?= )', lambda word: word[0].lower(), said)}".strip()

    @torch.no_grad()
    def _said(self, photo: Image.Image, begin: str, max_words: int) -> str:
        inputs, asked = self._inputs(photo, begin)
        tokens = self.network.generate(**inputs.to(self.network.device), max_new_tokens=max_words, do_sample=False, num_beams=1)
        return str(self.decoder.decode(tokens[0, asked:], skip_special_tokens=True))

    def _inputs(self, photo: Image.Image, begin: str) -> tuple[Any, int]:
        """What the network is given, and how many tokens of its answer are the question."""
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

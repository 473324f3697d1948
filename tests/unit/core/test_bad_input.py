"""What the public functions of the core refuse at their edges, and what they say would be right."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from s2edit_core.concepts.concept import Concept, Full, new_deltas
from s2edit_core.concepts.conditioning import conditioned, keys_values, prompt_gates, text_states, tokenize, word_embedding
from s2edit_core.delivery import report
from s2edit_core.delivery.canvas import make_canvas, to_image, to_tensor
from s2edit_core.delivery.framing import extent
from s2edit_core.errors import ImageInvalid, MaskInvalid, ModelUnusable, OptionInvalid, PromptInvalid
from s2edit_core.method.base_model_masks import correlation, find_subject_word, otsu, person_probability, word_maps
from s2edit_core.method.editing import edit, vary_noise
from s2edit_core.method.inputs import Variation
from s2edit_core.method.inversion import Inversion, Source, invert
from s2edit_core.pictures.files import grown
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions
from s2edit_core.unet.attention import KeysValues, make_gates
from s2edit_core.unet.backbone import Backbone, ModelCard
from s2edit_core.unet.rows import drive
from s2edit_core.vision.clipseg_and_sam import TextSegmenter
from tests.tiny import TOKENS

LATENT = torch.zeros(4, 8, 8, dtype=torch.float64)
TOKEN = torch.zeros(16, dtype=torch.float64)
PHOTO, MASK = Image.new("RGB", (48, 40)), Image.new("L", (48, 40))
MASK.paste(255, (8, 8, 32, 32))
OTHER = Image.new("L", (40, 48), 255)


def canvas(**changes: Any) -> Any:
    given = {"photo": PHOTO, "identity_mask": MASK, "edit_mask": None, "frame_size": 32, "multiple": 8} | changes
    return make_canvas(given.pop("photo"), given.pop("identity_mask"), given.pop("edit_mask"), **given)


def inversion(**changes: Any) -> Inversion:
    things: dict[str, Any] = {
        "path": torch.zeros(4, 4, 8, 8, dtype=torch.float64),
        "null_states": torch.zeros(1, TOKENS, 16, dtype=torch.float64),
        "residuals": torch.zeros(3, 4, 8, 8, dtype=torch.float64),
        "tier": "residual",
        "guidance_scale": 2.0,
    }
    return Inversion(**(things | changes))


Case = tuple[Callable[[Backbone], object], type[Exception], str]
NO_PROMPT = KeysValues((), ())


def source(backbone: Backbone) -> Source:
    states = torch.zeros(TOKENS, 16, dtype=torch.float64)
    return Source(keys_values(backbone, states), None, states, ())


def inverting(backbone: Backbone, latent: Tensor = LATENT, steps: int = 3, guidance_scale: float = 2.0) -> object:
    algorithm = invert(backbone, latent, source(backbone), InversionOptions(), steps=steps, guidance_scale=guidance_scale)
    return drive(algorithm, backbone.evaluate)


def editing(backbone: Backbone, target: KeysValues | None = None, **options: Any) -> object:
    prompt = target if target is not None else source(backbone).prompt
    return drive(edit(backbone, inversion(), prompt, None, (), **options), backbone.evaluate)


def layered(backbone: Backbone, layers: int) -> Concept:
    changes = tuple(Full(torch.zeros(16, 16)) for _ in range(layers))
    return Concept(TOKEN, changes, changes)


CASES: dict[str, Case] = {
    # pictures and their frame
    "photo with alpha": (lambda _: canvas(photo=PHOTO.convert("RGBA")), ImageInvalid, "RGBA: convert it to RGB"),
    "grey photo": (lambda _: canvas(photo=PHOTO.convert("L")), ImageInvalid, "is L: convert it to RGB"),
    "CMYK photo": (lambda _: canvas(photo=PHOTO.convert("CMYK")), ImageInvalid, "CMYK: convert it to RGB"),
    "16-bit photo": (lambda _: canvas(photo=Image.new("I;16", PHOTO.size)), ImageInvalid, "I;16: convert it to RGB"),
    "palette photo": (lambda _: canvas(photo=PHOTO.convert("P")), ImageInvalid, "is P: convert it to RGB"),
    "RGB mask": (lambda _: canvas(identity_mask=MASK.convert("RGB")), MaskInvalid, "convert it to L"),
    "mask of another size": (lambda _: canvas(identity_mask=OTHER), MaskInvalid, "they must have one size"),
    "empty mask": (lambda _: canvas(identity_mask=Image.new("L", PHOTO.size, 127)), MaskInvalid, "paint the region white"),
    "edit mask of another size": (lambda _: canvas(edit_mask=OTHER), MaskInvalid, "the edit_mask is .* they must have one size"),
    "no frame": (lambda _: canvas(frame_size=0), ValueError, "can't have sides divisible by 8"),
    "sides of nothing": (lambda _: canvas(multiple=0), ValueError, "divisible by 0"),
    "frame of another size": (lambda _: canvas().paste(torch.zeros(3, 8, 8)), ValueError, r"expected the frame \(3, 32, 32\)"),
    "mask of another photo": (lambda _: canvas().mask(OTHER), ValueError, r"the photo's size \(48, 40\), got L \(40, 48\)"),
    "box around nothing": (lambda _: extent(np.zeros((4, 4), dtype=bool)), ValueError, "the mask is empty"),
    "margin of nothing": (lambda _: grown(Image.new("L", (8, 8))), MaskInvalid, "empty"),
    "tensor of grey": (lambda _: to_tensor(MASK), ValueError, "in RGB, got L"),
    "picture of a latent": (lambda _: to_image(LATENT), ValueError, r"\(3, H, W\), got \(4, 8, 8\)"),
    # the base model
    "image of 4 channels": (lambda b: b.encode_image(torch.zeros(4, 32, 32)), ValueError, r"\(3, H, W\)"),
    "image of odd sides": (lambda b: b.encode_image(torch.zeros(3, 30, 32)), ValueError, "divisible by 4, got"),
    "image of nothing": (lambda b: b.encode_image(torch.zeros(3, 0, 32)), ValueError, "divisible by 4"),
    "latent of 3 channels": (lambda b: b.decode_latent(torch.zeros(3, 8, 8)), ValueError, r"expected a latent \(4, h, w\)"),
    "batch of latents": (lambda b: b.decode_latent(LATENT[None]), ValueError, r"expected a latent \(4, h, w\)"),
    # prompts
    "prompt that is none": (lambda b: tokenize(b, None, ()), PromptInvalid, "must be a string, not NoneType"),  # type: ignore[arg-type]
    "nobody behind a placeholder": (
        lambda b: conditioned(b, tokenize(b, "a [I] woman", ("[I]",)), {}),
        ValueError,
        r"holds \[I\], but there is no concept",
    ),
    "embedding of another width": (
        lambda b: text_states(b, tokenize(b, "a [I] woman", ("[I]",)), {"[I]": torch.zeros(5)}),
        ValueError,
        r"has shape \(5,\), the model's have \(16,\)",
    ),
    "states of another width": (lambda b: keys_values(b, torch.zeros(4, 5)), ValueError, r"\(tokens, 16\), got \(4, 5\)"),
    "changes of another model": (
        lambda b: keys_values(b, torch.zeros(4, 16, dtype=torch.float64), [layered(b, 1)]),
        ValueError,
        "changes 1 cross-attention layers, but the model has",
    ),
    "no word": (lambda b: word_embedding(b, " "), ValueError, "an empty word"),
    "mask of levels": (
        lambda b: prompt_gates(b, "a [I] woman", {"[I]": torch.full((32, 32), 255.0)}, (8, 8)),
        ValueError,
        r"in 0\.\.1, got shape \(32, 32\) in 255\.\.255",
    ),
    "mask that is no number": (
        lambda b: prompt_gates(b, "a [I] woman", {"[I]": torch.full((32, 32), float("nan"))}, (8, 8)),
        ValueError,
        r"in 0\.\.1",
    ),
    "mask with a channel": (
        lambda b: prompt_gates(b, "a [I] woman", {"[I]": torch.ones(1, 32, 32)}, (8, 8)),
        ValueError,
        r"shape \(H, W\)",
    ),
    "position behind the prompt": (
        lambda b: make_gates(b.layers, (8, 8), 4, [(4, torch.ones(8, 8))]),
        ValueError,
        "position 4 is not one of 4 tokens",
    ),
    # concepts
    "token of two": (lambda _: Concept(torch.zeros(2, 16)), ValueError, r"one embedding \(d,\)"),
    "keys without values": (lambda _: Concept(TOKEN, (Full(torch.zeros(1, 1)),)), ValueError, "not 1 keys and 0 values"),
    "attribute of nothing": (lambda _: Concept(TOKEN, placeholder="[A]"), ValueError, "needs a subject"),
    "LoRA of another model": (lambda b: layered(b, 1).lora(b.layers), ValueError, "pass the layers of its own model"),
    "unknown mode": (lambda b: new_deltas(b.layers, "all", 4, torch.Generator()), ValueError, "expected a mode of token"),  # type: ignore[arg-type]
    "rank of nothing": (lambda b: new_deltas(b.layers, "lora_kv", 0, torch.Generator()), ValueError, "a rank of 1 or more"),
    # inversion and editing
    "batch to invert": (lambda b: inverting(b, LATENT[None]), ValueError, r"\(c, h, w\), got \(1, 4, 8, 8\)"),
    "latent that is no number": (lambda b: inverting(b, LATENT * float("nan")), ValueError, "finite latent"),
    "no steps": (lambda b: inverting(b, steps=0), ValueError, "steps must lie between 1 and"),
    "more steps than there are": (lambda b: inverting(b, steps=1001), ValueError, "steps must lie between 1 and 1000"),
    "negative guidance": (lambda b: inverting(b, guidance_scale=-1.0), ValueError, "0 or more, not -1.0"),
    "endless guidance": (lambda b: inverting(b, guidance_scale=float("inf")), ValueError, "a finite number"),
    "unknown tier": (lambda _: inversion(tier="magic"), ValueError, "tier must be one of null_text"),
    "path of one latent": (lambda _: inversion(path=torch.zeros(1, 4, 8, 8)), ValueError, "with one step or more"),
    "null states of other steps": (lambda _: inversion(null_states=torch.zeros(2, TOKENS, 16)), ValueError, "for 3 steps"),
    "residuals of another size": (
        lambda _: inversion(residuals=torch.zeros(3, 4, 8, 4)),
        ValueError,
        "of the tier residual have the shape",
    ),
    "exact without residuals": (lambda _: inversion(residuals=torch.zeros(0)), ValueError, r"\(3, 4, 8, 8\), not \(0,\)"),
    "residuals of another tier": (lambda _: inversion(tier="direct"), ValueError, "of the tier direct have the shape"),
    "guidance of an inversion": (lambda _: inversion(guidance_scale=float("nan")), ValueError, "a finite number"),
    "first step behind the last": (lambda b: editing(b, first=3), ValueError, "between 0 and 2"),
    "start of another size": (lambda b: editing(b, start=LATENT[:, :4]), ValueError, r"the shape \(4, 8, 8\) of the path"),
    "prompt of another model": (lambda b: editing(b, NO_PROMPT), ValueError, "keys for 0 cross-attention layers"),
    "more than fresh": (lambda _: vary_noise(LATENT, LATENT[0], 1, 1.5), ValueError, "amount must lie between 0"),
    "noise elsewhere": (lambda _: vary_noise(LATENT, LATENT, 1, 0.5), ValueError, r"where \(h, w\)"),
    "variation of another amount": (lambda _: Variation(1, 2.0), OptionInvalid, "between 0 and 1, not 2.0"),
    "variation of a negative seed": (lambda _: Variation(-1), OptionInvalid, "a seed must be a whole number"),
    # what is found by attention
    "words of a batch": (lambda b: drive(word_maps(b, LATENT[None], "a woman", [(2,)]), b.evaluate), ValueError, r"\(c, h, w\)"),
    "word without tokens": (
        lambda b: drive(word_maps(b, LATENT, "a woman", [()]), b.evaluate),
        ValueError,
        "needs its token positions",
    ),
    "subject of a mask of levels": (
        lambda b: drive(find_subject_word(b, LATENT, "a woman", torch.full((32, 32), 255.0)), b.evaluate),
        ValueError,
        r"in 0\.\.1",
    ),
    "subject of a prompt without nouns": (
        lambda b: drive(find_subject_word(b, LATENT, "with the", torch.eye(32)), b.evaluate),
        PromptInvalid,
        "no word of the prompt could name the person",
    ),
    "mask of no size": (
        lambda b: drive(person_probability(b, LATENT, "a woman", (0, 8)), b.evaluate),
        ValueError,
        "one pixel or more",
    ),
    "correlation of two shapes": (lambda _: correlation(TOKEN, LATENT), ValueError, "one shape"),
    "threshold of one value": (lambda _: otsu(torch.ones(9)), ValueError, "two different values"),
    "threshold of one bin": (lambda _: otsu(TOKEN, bins=1), ValueError, "two bins"),
    # reports
    "results of another size": (
        lambda _: report.outside_change(PHOTO, Image.new("RGB", (8, 8)), MASK),
        ValueError,
        r"all of one size, got RGB \(48, 40\), RGB \(8, 8\)",
    ),
    "change of a grey picture": (lambda _: report.changed_share(PHOTO, MASK, MASK), ValueError, "photo and result in RGB"),
    "share in a mask of RGB": (lambda _: report.changed_share(PHOTO, PHOTO, PHOTO), ValueError, "a mask in L"),
    "PSNR of two shapes": (lambda _: report.psnr_db(np.zeros(3), np.zeros(1)), ValueError, r"got \(3,\) and \(1,\)"),
}


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_and_said_what_would_be_right(backbone: Backbone, name: str) -> None:
    call, error, match = CASES[name]
    with pytest.raises(error, match=match):
        call(backbone)


def test_what_stands_beside_the_bad_input_is_good(backbone: Backbone) -> None:
    """Else the cases above might be refused for another reason."""
    assert canvas().frame == (32, 32)
    assert torch.isfinite(vary_noise(LATENT, LATENT[0], 1, 0.5)).all()
    assert editing(backbone).shape == (4, 8, 8)  # type: ignore[attr-defined]
    assert isinstance(inverting(backbone), Inversion)
    assert Variation(1).amount == 0.5
    assert layered(backbone, len(backbone.layers)).lora(backbone.layers)


def test_a_concept_without_its_prompt_is_not_inverted_without_one(backbone: Backbone) -> None:
    pipe = S2EditPipeline(backbone)
    with pytest.raises(PromptInvalid, match="does not record the prompt"):
        pipe.invert(PHOTO, MASK, concept=Concept(TOKEN, fingerprint=backbone.fingerprint))


@pytest.mark.parametrize(
    "card",
    [
        *("{", "[]", '{"subjects": 3}', '{"subjects": []}', '{"subjects": [""]}', '{"attribute_words": "red"}'),
        *('{"guidance_scale": "much"}', '{"guidance_scale": 0}', '{"guidance_by_preset": 4}'),
        *('{"guidance_by_preset": {"balanced": null}}', '{"guidance_by_preset": {"best": 4}}'),
    ],
)
def test_a_models_card_that_cannot_be_read_is_told_what_it_must_hold(card: str, tmp_path: Path) -> None:
    (tmp_path / "s2edit.json").write_text(card)
    with pytest.raises(ModelUnusable, match=r"card .*s2edit.json can't be read: it must be an object of domains"):
        ModelCard.read(tmp_path)
    (tmp_path / "s2edit.json").unlink()
    assert ModelCard.read(tmp_path) == ModelCard()


def test_a_models_card_may_name_its_segmenter(tmp_path: Path) -> None:
    card = {"subjects": ["cat"], "attribute_words": ["red"], "guidance_scale": 2}
    for named in ({}, {"segmenter": "card"}):
        (tmp_path / "s2edit.json").write_text(json.dumps(card | named))
        read = ModelCard.read(tmp_path)
        assert (read.segmenter, read.folder) == (named.get("segmenter", ""), tmp_path)


@pytest.mark.parametrize(
    ("text", "threshold", "field"), [(" ", 0.4, "text"), ("hair", 1.1, "threshold"), ("hair", -0.1, "threshold")]
)
def test_a_segmenter_is_asked_for_something_with_a_probability(text: str, threshold: float, field: str) -> None:
    with pytest.raises(OptionInvalid) as refused:
        TextSegmenter.mask(object.__new__(TextSegmenter), PHOTO, text, threshold=threshold)
    assert refused.value.field == field


def test_a_damaged_inversion_is_a_mismatch_and_no_crash(backbone: Backbone) -> None:
    """What no longer fits together in a file is refused as the file."""
    whole = replace(inversion(), fingerprint="f" * 32)
    torn = whole.to_bytes().replace(b'\\"tier\\": \\"residual\\"', b'\\"tier\\": \\"direct\\"  ')
    assert torn != whole.to_bytes()
    with pytest.raises(Exception, match="changed since it was written") as refused:
        Inversion.from_bytes(torn, fingerprint="f" * 32)
    assert type(refused.value).__name__ == "ArtifactMismatch"

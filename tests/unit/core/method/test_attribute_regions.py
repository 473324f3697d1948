"""Where attributes without a region act: where their words do."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image, ImageDraw

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.errors import PromptInvalid
from s2edit_core.method.attribute_regions import THRESHOLD, with_regions, without_attribute, word_region
from s2edit_core.method.injection import soft_threshold
from s2edit_core.method.inputs import Attribute
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions
from s2edit_core.request.presets import PRESETS
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Rows, drive

PROMPT = "a photo of a woman with [A] lipstick"
STEPS = 8


def attribute(backbone: Backbone, strength: float = 0.5, placeholder: str = "[A]", subject: str = "lipstick") -> Concept:
    draw = torch.Generator().manual_seed(3)
    keys, values = (
        tuple(strength * torch.randn(3, layer.to_k.out_features, generator=draw).to(backbone.dtype) for layer in backbone.layers)
        for _ in range(2)
    )
    token = torch.zeros(16, dtype=backbone.dtype)
    return Concept(
        token, fingerprint=backbone.fingerprint, placeholder=placeholder, subject=subject, key_columns=keys, value_columns=values
    )


@pytest.mark.parametrize(
    ("prompt", "left"),
    [
        ("a photo of a woman with [A] makeup", "a photo of a woman"),
        (
            "a woman with short hair, a hat, earrings and [A] makeup, looking up",
            "a woman with short hair, a hat, earrings, looking up",
        ),
        ("a woman with [A]  Makeup and red hair", "a woman with red hair"),
        ("a [I] woman wearing a [A] makeup", "a [I] woman"),
        ("a woman with [A] makeup and [B] hat", "a woman with [B] hat"),
        ("a woman with [B] hat and [A] makeup", "a woman with [B] hat"),
        ("a woman with [A] makeups", "a woman"),
        ("[A] makeup on a woman", "on a woman"),
        ("a woman with [A] red makeup", "a woman with [A] red makeup"),
        ("a woman with makeup", "a woman with makeup"),
    ],
)
def test_a_prompt_loses_an_attribute_and_the_words_that_lead_to_it(prompt: str, left: str) -> None:
    assert without_attribute(prompt, "[A]", "makeup") == left


def pictures() -> tuple[Image.Image, Image.Image]:
    photo = Image.effect_noise((40, 32), 60).convert("RGB")
    mask = Image.new("L", (40, 32))
    ImageDraw.Draw(mask).ellipse((6, 4, 34, 28), fill=255)
    return photo, mask


def test_the_region_is_where_the_predictions_with_and_without_the_word_differ(backbone32: Backbone) -> None:
    pipe = S2EditPipeline(backbone32)
    inversion = pipe.invert(*pictures(), "a photo of a woman", num_inference_steps=STEPS, options=InversionOptions(tier="residual"))
    with_word, without = (
        prompt_keys_values(backbone32, text, {}) for text in ("a photo of a woman with lipstick", "a photo of a woman")
    )
    seen: list[tuple[Rows, Answers]] = []

    def evaluate(rows: Rows) -> Answers:
        seen.append((rows, backbone32.evaluate(rows)))
        return seen[-1][1]

    within = torch.ones(8, 8)
    within[:3] = 0
    region = drive(word_region(backbone32, inversion, with_word, without, within), evaluate)
    ((rows, answers),) = seen
    assert len(rows) == 4  # the noisiest quarter of the path, in pairs
    assert rows[0].latent.equal(inversion.path[STEPS])
    assert rows[2].latent.equal(inversion.path[STEPS - 1])
    maps = [(a.eps - b.eps).square().mean(dim=0).sqrt() for a, b in zip(answers[::2], answers[1::2], strict=True)]
    mean = torch.stack([each / each.max() for each in maps]).mean(dim=0) * within
    torch.testing.assert_close(region, soft_threshold(mean / mean.max(), THRESHOLD))
    assert float(region.max()) == 1  # the difference above is larger, and does not count
    assert mean.argmax() >= 3 * 8


def test_without_a_blend_an_attribute_still_changes_only_its_region(backbone32: Backbone) -> None:
    """What its columns make of the rest of a picture is not to be drawn: an edit without injection gets the blend of `balanced`."""
    pipe, (photo, mask) = S2EditPipeline(backbone32), pictures()
    inversion = pipe.invert(photo, mask, "a photo of a woman", num_inference_steps=STEPS)
    canvas, region = pipe.canvas(photo, mask), Image.new("L", photo.size)
    region.paste(255, (16, 12, 24, 20))
    placed = [Attribute(attribute(backbone32), region)]
    plain, balanced = (
        drive(pipe.edit_rows(canvas, PROMPT, None, inversion, attributes=placed, injection=each), backbone32.evaluate)
        for each in (None, PRESETS["balanced"].injection)
    )
    assert torch.equal(plain, balanced)
    outside = canvas.mask(region).view(8, 4, 8, 4).amax(dim=(1, 3)) == 0
    assert torch.equal(plain[:, outside], inversion.path[0][:, outside])


@pytest.mark.parametrize("prompt", ["a woman with [A]", "a woman with [A] hat", "[A] lipstick on a [A] woman"])
def test_a_placeholder_stands_before_its_word(backbone32: Backbone, prompt: str) -> None:
    pipe, (photo, mask) = S2EditPipeline(backbone32), pictures()
    inversion = pipe.invert(photo, mask, "a photo of a woman", num_inference_steps=STEPS)
    with pytest.raises(PromptInvalid, match=r"write \[A\] lipstick"):
        pipe.edit_rows(pipe.canvas(photo, mask), prompt, None, inversion, attributes=[Attribute(attribute(backbone32))])


def as_published(backbone: Backbone) -> Concept:
    """An attribute as `paper` learns it: a token and changes of keys and values."""
    plain = replace(attribute(backbone), key_columns=(), value_columns=())
    return replace(plain, token=0.5 * torch.ones_like(plain.token))


@pytest.mark.parametrize("blended", [True, False])
def test_an_attribute_as_published_is_looked_for_where_the_edit_has_a_blend(
    backbone32: Backbone, monkeypatch: pytest.MonkeyPatch, *, blended: bool
) -> None:
    looked_for: list[str] = []

    def found(*arguments: object) -> object:
        looked_for.append(str(arguments[2]))
        return with_regions(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("s2edit_core.method.composer.with_regions", found)
    pipe, (photo, mask) = S2EditPipeline(backbone32), pictures()
    inversion = pipe.invert(photo, mask, "a photo of a woman", num_inference_steps=STEPS)
    canvas, given = pipe.canvas(photo, mask), Image.new("L", photo.size)
    given.paste(255, (16, 12, 24, 20))
    injection = PRESETS["balanced" if blended else "paper"].injection
    for region, count in ((None, blended), (given, False)):
        looked_for.clear()
        one = Attribute(as_published(backbone32), region)
        drive(pipe.edit_rows(canvas, PROMPT, None, inversion, attributes=[one], injection=injection), backbone32.evaluate)
        assert looked_for == [PROMPT] * count


def test_each_attribute_is_found_beside_the_others(backbone32: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two attributes: the prompts that are compared differ by one of them, and the other is as it is in the edit."""
    pipe, (photo, mask) = S2EditPipeline(backbone32), pictures()
    lips, hat = attribute(backbone32), attribute(backbone32, placeholder="[B]", subject="hat")
    inversion = pipe.invert(photo, mask, "a photo of a woman", num_inference_steps=STEPS)
    texts: list[tuple[str, tuple[str, ...]]] = []
    made = prompt_keys_values

    def noted(backbone: Backbone, prompt: str, concepts: dict[str, Concept]) -> object:
        texts.append((prompt, tuple(concepts)))
        return made(backbone, prompt, concepts)

    monkeypatch.setattr("s2edit_core.method.attribute_regions.prompt_keys_values", noted)
    prompt = "a photo of a woman with [A] lipstick and [B] hat"
    concepts = {"[A]": lips, "[B]": hat}
    given = [Attribute(lips), Attribute(hat, mask)]
    canvas = pipe.canvas(photo, mask)
    found = drive(with_regions(backbone32, canvas, prompt, concepts, inversion, given), backbone32.evaluate)
    assert [(" ".join(text.split()), names) for text, names in texts] == [
        ("a photo of a woman with lipstick and [B] hat", ("[B]",)),
        ("a photo of a woman with [B] hat", ("[B]",)),
    ]
    region = found[0].region
    assert region is not None
    assert region.size == photo.size
    assert max(region.tobytes()) > 200
    assert found[1] is given[1]


def test_an_edit_changes_only_the_region_that_was_found(backbone32: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("s2edit_core.method.attribute_regions.THRESHOLD", 0.9)
    pipe, (photo, mask) = S2EditPipeline(backbone32), pictures()
    inversion = pipe.invert(photo, mask, "a photo of a woman", num_inference_steps=STEPS)
    canvas = pipe.canvas(photo, mask)
    (found,) = drive(
        with_regions(backbone32, canvas, PROMPT, {"[A]": (one := attribute(backbone32))}, inversion, [Attribute(one)]),
        backbone32.evaluate,
    )
    options = {"injection": PRESETS["balanced"].injection}
    given, left_out = (
        drive(pipe.edit_rows(canvas, PROMPT, None, inversion, attributes=[each], **options), backbone32.evaluate)
        for each in (found, Attribute(one))
    )
    assert torch.equal(given, left_out)
    assert found.region is not None
    outside = canvas.mask(found.region).view(8, 4, 8, 4).amax(dim=(1, 3)) == 0
    assert outside.any()
    assert torch.equal(left_out[:, outside], inversion.path[0][:, outside])
    assert not torch.equal(left_out, inversion.path[0])


def test_a_region_of_cells_becomes_a_mask_of_the_photo() -> None:
    photo, mask = Image.new("RGB", (300, 200)), Image.new("L", (300, 200))
    mask.paste(255, (120, 60, 180, 120))
    from s2edit_core.delivery.canvas import make_canvas

    canvas = make_canvas(photo, mask, None, frame_size=32, multiple=8)
    cells = torch.zeros(8, 8)
    cells[2:6, 2:6] = 1.0
    region = canvas.region(cells)
    assert region.size == photo.size
    torch.testing.assert_close(canvas.mask(region).view(8, 4, 8, 4).mean(dim=(1, 3)), cells, rtol=0, atol=0.15)
    left, top, right, bottom = region.getbbox() or (0, 0, 0, 0)
    assert canvas.box[0] <= left < right <= canvas.box[2]
    assert canvas.box[1] <= top < bottom <= canvas.box[3]

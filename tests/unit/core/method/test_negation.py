"""A negative prompt: beside its formula written out, where it must do nothing, and on the shipped model."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lab.judges.attributes import AttributeJudge, load_judge
from lab.world.domain import UNSEEN, Subject
from lab.world.person import DOMAIN
from lab.world.person.identity import Attributes
from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.concepts.conditioning import keys_values, prompt_keys_values
from s2edit_core.delivery.canvas import to_tensor
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.method.base_model_masks import prediction_difference
from s2edit_core.method.editing import edit
from s2edit_core.method.injection import SourceGuide, source_guide, where_prompts_differ
from s2edit_core.method.inversion import Inversion, empty_prompt_states
from s2edit_core.method.negation import NegativePrompt, negative_prompt_guidance
from s2edit_core.pictures.files import grown
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InjectionOptions, InversionTier
from s2edit_core.request.presets import PRESETS
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answer, Answers, Row, Rows, drive
from s2edit_jobs.settings import ROOT
from tests.unit.core.method.test_inversion import (
    PLAIN_PROMPT,
    STEPS,
    W,
    concept_of,
    inverted,
    plain_side,
    sampled,
    side_with_concept,
)

NEGATIVE = "a red hat"
TIERS: tuple[InversionTier, ...] = ("null_text", "negative_prompt", "residual")


def away(backbone: Backbone, inversion: Inversion, prompt: str = NEGATIVE) -> NegativePrompt:
    return negative_prompt_guidance(backbone, inversion, prompt, {})


def guide_of(backbone: Backbone, prompt: str, options: InjectionOptions) -> SourceGuide:
    return source_guide(backbone, plain_side(backbone).source, PLAIN_PROMPT, prompt, options)


@pytest.mark.parametrize("tier", TIERS)
def test_it_is_the_formula_written_out(backbone: Backbone, tier: InversionTier) -> None:
    """Composable Diffusion's negation with the weight w − 1, beside guidance as ever: ε_u + w·(ε_c − ε_u) − (w − 1)·(ε_n − ε_∅)."""
    side = plain_side(backbone)
    inversion = inverted(backbone, side, tier, inner_steps=2)
    states = [prompt_keys_values(backbone, prompt, {}) for prompt in (NEGATIVE, "")]
    z = inversion.path[-1]
    for i, t in enumerate(backbone.schedule.timesteps(STEPS)):
        null = keys_values(backbone, inversion.null_state(i))
        prompts = (side.source.prompt, null, *states)
        c, u, n, empty = (each.eps for each in backbone.evaluate(tuple(Row(z, t, prompt) for prompt in prompts)))
        a, b = backbone.schedule.coefficients(t, STEPS)
        residual = inversion.residuals[i] if tier == "residual" else 0
        z = a * z + b * (u + W * (c - u) - (W - 1) * (n - empty) + residual)
    steps = edit(backbone, inversion, side.source.prompt, None, (), negative=away(backbone, inversion))
    torch.testing.assert_close(drive(steps, backbone.evaluate), z, rtol=1e-8, atol=1e-9)
    assert (z - sampled(backbone, inversion, side)).abs().max() > 1e-2, "it did nothing"


def test_over_the_empty_prompt_it_is_what_diffusers_calls_a_negative_prompt(backbone: Backbone) -> None:
    """ε_n + w·(ε_c − ε_n): the negative prompt in the place of the empty one."""
    side = plain_side(backbone)
    path = inverted(backbone, side, "direct").path
    inversion = Inversion(
        path, empty_prompt_states(backbone)[None], torch.zeros(0), "negative_prompt", W
    )  # and nothing that repairs
    z, negative = inversion.path[-1], prompt_keys_values(backbone, NEGATIVE, {})
    for t in backbone.schedule.timesteps(STEPS):
        c, n = (each.eps for each in backbone.evaluate((Row(z, t, side.source.prompt), Row(z, t, negative))))
        a, b = backbone.schedule.coefficients(t, STEPS)
        z = a * z + b * (n + W * (c - n))
    steps = edit(backbone, inversion, side.source.prompt, None, (), negative=away(backbone, inversion))
    torch.testing.assert_close(drive(steps, backbone.evaluate), z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("tier", TIERS)
def test_an_empty_one_leaves_the_reconstruction_as_it_is(backbone: Backbone, tier: InversionTier) -> None:
    """Also with a concept, which changes what the empty prompt is projected to."""
    side = side_with_concept(backbone)
    inversion = inverted(backbone, side, tier, inner_steps=2)
    concepts = {"[I]": concept_of(backbone)}
    nothing = negative_prompt_guidance(backbone, inversion, "", concepts)
    steps = edit(backbone, inversion, side.source.prompt, side.source.gates, side.source.concepts, negative=nothing)
    found = drive(steps, backbone.evaluate)
    torch.testing.assert_close(found, sampled(backbone, inversion, side), rtol=0, atol=1e-11)
    if tier == "residual":
        assert (found - side.latent).abs().max() <= 1e-10


@pytest.mark.parametrize(("tier", "rows"), [("residual", 3), ("null_text", 4), ("negative_prompt", 4)])
def test_it_costs_one_row_a_step_and_another_where_the_unconditional_is_not_the_empty_prompt(
    backbone: Backbone, tier: InversionTier, rows: int
) -> None:
    side, seen = plain_side(backbone), []
    inversion = inverted(backbone, side, tier, inner_steps=1)

    def watching(asked: Rows) -> Answers:
        seen.append(len(asked))
        return backbone.evaluate(asked)

    drive(edit(backbone, inversion, side.source.prompt, None, (), negative=away(backbone, inversion)), watching)
    drive(edit(backbone, inversion, side.source.prompt, None, ()), watching)
    assert seen == [rows] * STEPS + [2] * STEPS, "without one nothing is asked that was not asked before"


def test_the_source_branch_goes_its_own_way(backbone: Backbone) -> None:
    """What the edit reads from its source does not depend on what it leads away from."""
    side = plain_side(backbone)
    inversion = inverted(backbone, side, "null_text", inner_steps=1)
    target = prompt_keys_values(backbone, "a photo of a smiling woman with glasses", {})
    guide = guide_of(backbone, "a photo of a smiling woman with glasses", InjectionOptions(cross_share=0.8, self_share=0.4))
    sources: list[list[Tensor]] = []
    ends = []
    for negative in (None, away(backbone, inversion)):
        latents: list[Tensor] = []

        def watching(rows: Rows, latents: list[Tensor] = latents) -> Answers:
            latents.extend(row.latent for row in rows if row.prompt is guide.source.prompt)
            return backbone.evaluate(rows)

        ends.append(drive(edit(backbone, inversion, target, None, (), guide, negative=negative), watching))
        sources.append(latents)
    assert len(sources[0]) == len(sources[1]) > 0
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12) for a, b in zip(*sources, strict=True))
    assert (ends[0] - ends[1]).abs().max() > 1e-3


@pytest.mark.parametrize("tier", ["residual", "null_text"])
def test_what_it_takes_away_has_a_place(backbone: Backbone, tier: InversionTier) -> None:
    """With the source's own prompt nothing differs, unless something is led away from."""
    side = plain_side(backbone)
    inversion = inverted(backbone, side, tier, inner_steps=1, steps=8)
    guide = guide_of(backbone, PLAIN_PROMPT, InjectionOptions(blend="difference"))
    asked: dict[str, Any] = {"target": side.source.prompt, "gates": None}
    assert (drive(where_prompts_differ(backbone, inversion, guide, **asked), backbone.evaluate) < 1e-3).all()
    place = drive(where_prompts_differ(backbone, inversion, guide, **asked, negative=away(backbone, inversion)), backbone.evaluate)
    pairs = []
    for i in range(2):  # a quarter of the steps
        t, z = backbone.schedule.timesteps(8)[i], inversion.path[8 - i]
        prompts = (prompt_keys_values(backbone, NEGATIVE, {}), keys_values(backbone, empty_prompt_states(backbone)))
        pairs += [Answer(each.eps) for each in backbone.evaluate(tuple(Row(z, t, prompt) for prompt in prompts))]
    torch.testing.assert_close(place, prediction_difference(tuple(pairs)), rtol=1e-9, atol=1e-9)


def test_without_guidance_it_is_refused(backbone: Backbone) -> None:
    inversion = inverted(backbone, plain_side(backbone), "residual", w=1.0)
    with pytest.raises(OptionInvalid, match="guidance_scale above 1"):
        away(backbone, inversion)


def test_it_is_held_to_the_models_length_and_holds_no_placeholder(backbone32: Backbone) -> None:
    pipe = S2EditPipeline(backbone32)
    photo, mask = DOMAIN.render(DOMAIN.sample(1)), DOMAIN.mask(DOMAIN.sample(1))
    inversion = pipe.invert(photo, mask, PLAIN_PROMPT, num_inference_steps=2)
    asked: dict[str, Any] = {"image": photo, "mask": mask, "inversion": inversion}
    with pytest.raises(PromptInvalid, match="the negative_prompt has"):
        pipe(PLAIN_PROMPT, negative_prompt="a red hat " * 12, **asked)
    for name in ("[I]", "[A]"):
        with pytest.raises(PromptInvalid, match="plain words"):
            pipe(PLAIN_PROMPT, negative_prompt=f"{name} hat", **asked)
    blank, none = (pipe(PLAIN_PROMPT, negative_prompt=given, **asked) for given in (" ", None))
    assert torch.equal(blank.latents, none.latents)


# --- on the shipped model ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shipped() -> S2EditPipeline:
    return S2EditPipeline.from_pretrained(ROOT / SHIPPED_MODEL)


def with_sunglasses(count: int) -> list[Subject]:
    return [replace(DOMAIN.sample(UNSEEN + i), attributes=Attributes(sunglasses=True)) for i in range(count)]


def wears_sunglasses(judge: AttributeJudge, pictures: list[Image.Image]) -> list[str]:
    return [seen["sunglasses"] for seen in judge(torch.stack([to_tensor(picture) for picture in pictures]), DOMAIN.name)]


def test_on_the_shipped_model_sunglasses_come_off_and_nothing_else_is_touched(shipped: S2EditPipeline) -> None:
    """Named by the negative prompt alone: the target is the source prompt, which on its own leaves them on."""
    preset, judge = PRESETS["instant"], load_judge()
    plain, bare = [], []
    for person in with_sunglasses(2):
        photo, mask = DOMAIN.render(person), DOMAIN.mask(person)
        prompt = f"a photo of a {person.attributes.gender}"
        guidance = shipped.guidance(None, preset.name)
        inversion = shipped.invert(
            photo, mask, prompt, options=preset.inversion, num_inference_steps=preset.steps, guidance_scale=guidance
        )
        asked: dict[str, Any] = {"image": photo, "mask": mask, "inversion": inversion, "injection": preset.injection}
        kept, without = (shipped(prompt, negative_prompt=given, **asked) for given in (None, "sunglasses"))
        assert isinstance(kept.images, list)
        assert isinstance(without.images, list)
        plain.append(kept.images[0])
        bare.append(without.images[0])
        outside = np.asarray(grown(mask)) < 128
        assert outside.any()
        assert np.array_equal(np.asarray(without.images[0])[outside], np.asarray(photo)[outside])
        assert without.reports[0]["negative_prompt"] == "sunglasses"
    assert wears_sunglasses(judge, plain) == ["yes"] * 2
    assert wears_sunglasses(judge, bare) == ["no"] * 2

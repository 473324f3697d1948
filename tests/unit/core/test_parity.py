"""Without concept and gates, our rows are plain Stable Diffusion: the picture of diffusers' own pipeline, from the same noise."""

from __future__ import annotations

import copy

import pytest
import torch
from diffusers import StableDiffusionPipeline

from s2edit_core.base_model.ddim import schedule_of
from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.method.editing import edit
from s2edit_core.method.inversion import Inversion, empty_prompt_states
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive
from tests.tiny import CARD, tiny_parts

PROMPT = "a photo of a smiling woman with red hair"
STEPS, GUIDANCE = 6, 4.0


@pytest.fixture(scope="module", params=["epsilon", "v_prediction"])
def parts(request: pytest.FixtureRequest) -> dict[str, object]:
    made = tiny_parts()
    made["scheduler"] = type(made["scheduler"]).from_config(made["scheduler"].config, prediction_type=request.param)
    return made


@pytest.fixture(scope="module")
def theirs(parts: dict[str, object]) -> StableDiffusionPipeline:
    pipe = StableDiffusionPipeline(
        **copy.deepcopy(parts), safety_checker=None, feature_extractor=None, requires_safety_checker=False
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def ours(parts: dict[str, object]) -> Backbone:
    fields = ("unet", "vae", "text_encoder", "tokenizer")
    return Backbone(**{name: parts[name] for name in fields}, schedule=schedule_of(parts["scheduler"]), card=CARD)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", [(32, 32), (32, 48)], ids=["square", "wide"])
def test_guided_sampling_is_stable_diffusion_sampling(
    theirs: StableDiffusionPipeline, ours: Backbone, size: tuple[int, int]
) -> None:
    height, width = size
    noise = torch.randn(4, height // 4, width // 4, generator=torch.Generator().manual_seed(5))
    call = dict(height=height, width=width, num_inference_steps=STEPS, guidance_scale=GUIDANCE, latents=noise[None].clone())
    expected = theirs(PROMPT, output_type="latent", **call).images[0]
    picture = theirs(PROMPT, output_type="pt", **call).images[0] * 2 - 1

    path = torch.stack([noise] * (STEPS + 1))
    inversion = Inversion(path, empty_prompt_states(ours)[None], torch.zeros(0), "negative_prompt", GUIDANCE, ours.fingerprint)
    latent = drive(edit(ours, inversion, prompt_keys_values(ours, PROMPT, {}), None, ()), ours.evaluate)

    assert (latent - noise).abs().max() > 0.1  # sampling moved it
    assert (latent - expected).abs().max() <= 1e-4
    assert (ours.decode_latent(latent) - picture).abs().max() <= 1e-4

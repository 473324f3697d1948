"""`S2EditPipeline` in diffusers' idiom: what a call returns, reports and refuses, and its files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from s2edit_core import pipeline
from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery.canvas import to_image
from s2edit_core.errors import ArtifactMismatch, ImageInvalid, InvalidInput, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.base_model_masks import find_subject_word
from s2edit_core.method.inversion import Inversion
from s2edit_core.pipeline import Attribute, S2EditPipeline
from s2edit_core.request.options import InjectionOptions, InversionOptions
from s2edit_core.request.presets import PRESETS, Preset
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive
from tests.tiny import tiny_backbone
from tests.unit.core.pipeline.inputs import FACE, LIPS, OPTIONS, PHOTO, SIZE, SOURCE, TARGET, picture, region


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> Preset:
    """`instant` with four steps."""
    preset = replace(PRESETS["instant"], steps=4)
    monkeypatch.setattr(pipeline, "PRESETS", PRESETS | {"instant": preset})
    return preset


def test_it_gives_the_photo_with_the_edit_in_it_and_a_report(edit: Any) -> None:
    out = edit()
    (result,), (frame,), (report,) = out.images, out.frames, out.reports
    assert result.size == SIZE
    assert frame.size == (32, 32)
    assert out.latents.shape == (1, 4, 8, 8)
    assert np.asarray(result)[0, 0].tolist() == np.asarray(PHOTO)[0, 0].tolist()
    assert not np.array_equal(np.asarray(result), np.asarray(PHOTO))
    assert report["outside_edit_mask"] == {"max_level_difference": 0, "psnr_db": None}
    assert report["outside_edit_mask_raw"]["max_level_difference"] > 0


def test_the_report_says_what_was_made_from_what(edit: Any, pipe: S2EditPipeline, identity: Concept) -> None:
    report = edit().reports[0]
    assert json.loads(json.dumps(report, allow_nan=False)) == report
    assert (report["prompt"], report["source_prompt"], report["subject"]) == (TARGET, SOURCE, "woman")
    assert (report["seed"], report["guidance_scale"], report["strength"]) == (4, 3.0, 1.0)
    assert report["leakage"] == {"[I]": 0.0}
    assert report["concept"] == identity.facts
    assert (report["inversion"]["tier"], report["inversion"]["steps"]) == ("residual", 4)
    assert report["model"] == {"name": "tiny", "fingerprint": pipe.backbone.fingerprint}
    assert set(report["inputs"]) == {"image", "mask"}
    assert set(report["seconds"]) == {"editing", "finishing"}
    assert report["unet_evaluations"] == 2 * 4 + 1  # the last one measures the leakage
    assert 0 < report["changed_share_inside"] <= 1
    assert "identity_similarity" not in report


def test_edit_inverts_and_edits_as_the_preset_says(pipe: S2EditPipeline, identity: Concept, few_steps: Preset) -> None:
    once = pipe.edit(PHOTO, FACE, SOURCE, TARGET, preset="instant", identity=identity)
    guidance = pipe.guidance(None, "instant")
    options: dict[str, Any] = {"options": few_steps.inversion, "num_inference_steps": few_steps.steps, "guidance_scale": guidance}
    inversion = pipe.invert(PHOTO, FACE, SOURCE, identity, **options)
    injection = few_steps.injection
    apart = pipe(TARGET, image=PHOTO, mask=FACE, identity=identity, inversion=inversion, injection=injection)
    assert torch.equal(once.latents, apart.latents)
    without = pipe.edit(PHOTO, FACE, "a photo of a woman", "a photo of a woman with red hair", preset="instant", delivery="paste")
    assert without.reports[0]["concept"] == {}


def test_edit_may_have_other_steps_and_another_guidance_than_the_preset(pipe: S2EditPipeline) -> None:
    out = pipe.edit(PHOTO, FACE, "a photo of a woman", "a photo of a sad woman", num_inference_steps=3, guidance_scale=5)
    (report,) = out.reports
    assert (report["inversion"]["steps"], report["guidance_scale"]) == (3, 5.0)


@pytest.mark.parametrize("name", ["inversion", "negativ_prompt", "seed"])
def test_edit_has_no_other_options(pipe: S2EditPipeline, name: str) -> None:
    before = pipe.evaluations
    with pytest.raises(TypeError, match=name):
        pipe.edit(PHOTO, FACE, "a photo of a woman", "a photo of a sad woman", **{name: None})
    assert pipe.evaluations == before


def test_a_region_of_another_size_is_refused_before_edit_computes(pipe: S2EditPipeline, makeup: Concept) -> None:
    before, attributes = pipe.evaluations, [Attribute(makeup, region(1, 1, 5, 5, size=(9, 9)))]
    with pytest.raises(MaskInvalid, match="region"):
        pipe.edit(PHOTO, FACE, "a photo of a woman", "a photo of a woman with [A] lipstick", attributes=attributes)
    assert pipe.evaluations == before


def test_edit_frames_the_photo_for_its_edit_mask(pipe: S2EditPipeline, few_steps: Preset) -> None:
    everywhere = Image.new("L", SIZE, 255)
    source, target = "a photo of a woman", "a photo of a woman with red hair"
    assert pipe.edit(PHOTO, FACE, source, target, preset="instant", edit_mask=everywhere).images


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ({"preset": "best"}, "preset"),
        ({"preset": ["instant"]}, "preset"),
        ({"prompt": " "}, "prompt"),
        ({"source_prompt": "a [A] woman"}, "source_prompt"),
        ({"output_type": "jpg"}, "options.output_type"),
        ({"delivery": "x"}, "options.delivery"),
        ({"strength": 2.0}, "options.strength"),
        ({"negative_prompt": 5}, "negative_prompt"),
        ({"negative_prompt": "[A]"}, "negative_prompt"),
        ({"generator": 3}, "generator"),
        ({"guidance_scale": 50.0}, "options.guidance_scale"),
        ({"num_inference_steps": 1}, "options.num_inference_steps"),
        ({"attributes": None}, "attributes"),
    ],
)
def test_edit_refuses_before_it_computes(pipe: S2EditPipeline, arguments: dict[str, Any], field: str) -> None:
    before = pipe.evaluations
    things = {"image": PHOTO, "mask": FACE, "source_prompt": "a photo of a woman", "prompt": "a photo of a smiling woman"}
    with pytest.raises(InvalidInput) as refused:
        pipe.edit(**things | arguments)
    assert refused.value.field == field
    assert pipe.evaluations == before


def test_a_generators_seed_draws_a_variant(edit: Any) -> None:
    itself, drawn = edit(), [edit(generator=torch.Generator().manual_seed(seed)) for seed in (0, 9, 9, 10)]
    assert [out.reports[0]["seed"] for out in drawn] == [0, 9, 9, 10]
    first, second, again, other = (out.latents for out in drawn)
    assert torch.equal(first, itself.latents)
    assert torch.equal(second, again)
    assert not torch.equal(second, first)
    assert not torch.equal(second, other)
    with pytest.raises(OptionInvalid, match="seed must be"):
        edit(generator=torch.Generator().manual_seed(-1))


def test_an_embedder_adds_the_identity_similarity(backbone32: Backbone, identity: Concept, inversion: Inversion) -> None:
    seen: list[tuple[int, int]] = []

    def embed(face: Image.Image) -> Any:
        seen.append(face.size)
        return np.asarray(face.resize((2, 2)), dtype=np.float32)

    pipe = S2EditPipeline(backbone32, identity_embedder=embed)
    report = pipe(TARGET, image=PHOTO, mask=FACE, identity=identity, inversion=inversion).reports[0]
    assert 0.5 < report["identity_similarity"] < 1
    assert seen == [(SIZE[1], SIZE[1])] * 2  # the crop, which here is as high as the photo


def test_several_prompts_share_one_inversion(edit: Any) -> None:
    both = edit([TARGET, "a photo of a [I] woman with glasses"])
    assert len(both.images) == len(both.reports) == len(both.latents) == 2
    assert np.array_equal(np.asarray(both.images[0]), np.asarray(edit().images[0]))
    assert not np.array_equal(np.asarray(both.images[0]), np.asarray(both.images[1]))


def test_the_placeholder_is_put_before_the_subject(edit: Any) -> None:
    assert torch.equal(edit("a photo of a woman with red hair").latents, edit().latents)
    with pytest.raises(PromptInvalid) as refused:
        edit("a lighthouse")
    assert refused.value.reason == "subject_not_in_prompt"


@pytest.mark.parametrize(("kind", "shape"), [("np", (1, 60, 80, 3)), ("pt", (1, 3, 60, 80)), ("latent", (1, 4, 8, 8))])
def test_images_come_in_the_form_asked_for(edit: Any, kind: str, shape: tuple[int, ...]) -> None:
    out = edit(output_type=kind)
    assert tuple(out.images.shape) == shape
    whole = np.asarray(edit().images[0])
    if kind == "np":
        assert np.array_equal(np.rint(out.images[0] * 255), whole)
    if kind == "pt":
        assert np.array_equal((out.images[0] * 255).round().permute(1, 2, 0).numpy(), whole)
    if kind == "latent":
        assert torch.equal(out.images, out.latents)


def test_the_exact_tier_brings_the_source_back_at_any_strength(edit: Any, inversion: Inversion) -> None:
    for strength in (1.0, 0.5, 0.25):
        out = edit(SOURCE, strength=strength)
        assert (out.latents[0] - inversion.path[0]).abs().max() < 5e-3  # the residuals are in half precision
        assert out.reports[0]["unet_evaluations"] == 2 * round(4 * strength) + 1


def test_less_strength_changes_less(edit: Any, inversion: Inversion) -> None:
    changes = [float((edit(strength=s).latents[0] - inversion.path[0]).square().mean()) for s in (0.25, 0.5, 1.0)]
    assert 0 < changes[0] < changes[1] < changes[2]


def test_a_strength_that_runs_no_step_is_refused_and_the_least_one_runs_one(edit: Any) -> None:
    with pytest.raises(OptionInvalid, match=r"a strength of 0\.24 runs none of 4 steps: choose 0\.25 or more") as refused:
        edit(strength=0.24)
    assert refused.value.reason == "strength_without_steps"
    assert edit(strength=0.25).reports[0]["unet_evaluations"] == 2 + 1


def test_steps_and_guidance_are_the_inversions(edit: Any) -> None:
    assert torch.equal(edit(num_inference_steps=4, guidance_scale=3.0).latents, edit().latents)
    with pytest.raises(OptionInvalid, match="num_inference_steps is 50, but the inversion was made with 4"):
        edit(num_inference_steps=50)
    with pytest.raises(OptionInvalid, match=r"guidance_scale is 7.5, but the inversion was made with 3"):
        edit(guidance_scale=7.5)


@pytest.mark.parametrize(
    ("changes", "error", "match"),
    [
        ({"strength": 0.0}, OptionInvalid, "strength"),
        ({"strength": 1.5}, OptionInvalid, "strength"),
        ({"strength": float("nan")}, OptionInvalid, "strength"),
        ({"output_type": "jpeg"}, OptionInvalid, "one of pil, np, pt, latent"),
        ({"prompt": []}, PromptInvalid, "the prompt is empty"),
        ({"prompt": [TARGET, " "]}, PromptInvalid, "the prompt is empty"),
        ({"prompt": "a [I] woman with [A] lipstick"}, PromptInvalid, r"holds \[A\]"),
        ({"identity": None, "prompt": "a [I] woman"}, PromptInvalid, r"holds \[I\]"),
        ({"image": PHOTO.convert("RGBA")}, ImageInvalid, "convert it to RGB"),
        ({"mask": FACE.convert("1")}, MaskInvalid, "convert it to L"),
        ({"mask": region(0, 0, 9, 9, size=(64, 64))}, MaskInvalid, "they must have one size"),
        ({"mask": Image.new("L", SIZE)}, MaskInvalid, "empty"),
        ({"edit_mask": Image.new("L", SIZE)}, MaskInvalid, "the edit_mask is empty"),
    ],
)
def test_bad_input_is_refused_with_what_would_be_right(edit: Any, changes: dict[str, Any], error: type, match: str) -> None:
    with pytest.raises(error, match=match) as refused:
        edit(**changes)
    assert isinstance(refused.value, InvalidInput)


def test_an_inversion_of_something_else_is_refused(
    edit: Any, pipe: S2EditPipeline, identity: Concept, inversion: Inversion
) -> None:
    with pytest.raises(ArtifactMismatch, match="another photo"):
        edit(image=picture(3))
    with pytest.raises(ArtifactMismatch, match="another photo"):
        edit(mask=region(20, 10, 56, 51))
    other = replace(identity, token=identity.token + 1)
    with pytest.raises(ArtifactMismatch, match="another identity"):
        edit(identity=other)
    with pytest.raises(ArtifactMismatch, match="another identity"):
        edit("a photo of a woman", identity=None)
    with pytest.raises(ArtifactMismatch, match="another model"):
        edit(inversion=replace(inversion, fingerprint="b" * 32))
    with pytest.raises(ArtifactMismatch, match="another model"):
        edit(identity=replace(identity, fingerprint="b" * 32))
    plain = replace(inversion, facts={}, path=inversion.path[..., :4], residuals=inversion.residuals[..., :4])
    with pytest.raises(ArtifactMismatch, match="differ in size"):
        edit(inversion=plain)


def test_an_edit_mask_within_the_frame_needs_no_other_inversion(edit: Any) -> None:
    small = region(30, 20, 40, 30)
    out = edit(edit_mask=small)
    outside = np.asarray(small) == 0
    assert np.array_equal(np.asarray(out.images[0])[outside], np.asarray(PHOTO)[outside])
    assert torch.equal(out.latents, edit().latents)
    assert set(out.reports[0]["inputs"]) == {"image", "mask", "edit_mask"}


def test_without_a_prompt_the_concepts_own_is_inverted(pipe: S2EditPipeline, identity: Concept, inversion: Inversion) -> None:
    same = pipe.invert(PHOTO, FACE, concept=identity, num_inference_steps=4, guidance_scale=3.0)
    assert same.to_bytes() == inversion.to_bytes()
    assert pipe.invert(PHOTO, FACE, "a photo of a woman", identity, num_inference_steps=4, guidance_scale=3.0).to_bytes() == (
        inversion.to_bytes()
    )
    with pytest.raises(PromptInvalid, match="there is no source prompt"):
        pipe.invert(PHOTO, FACE)


def test_an_edit_without_an_identity(pipe: S2EditPipeline) -> None:
    plain = pipe.invert(PHOTO, FACE, "a photo of a woman", num_inference_steps=3)
    out = pipe("a photo of a woman with red hair", image=PHOTO, mask=FACE, inversion=plain)
    assert out.reports[0]["leakage"] == {}
    assert out.reports[0]["concept"] == {}


@pytest.mark.parametrize("tier", ["null_text", "negative_prompt"])
def test_every_tier_composes(pipe: S2EditPipeline, identity: Concept, makeup: Concept, tier: Any) -> None:
    options = InversionOptions(tier=tier, inner_steps=2)
    inverted = pipe.invert(PHOTO, FACE, SOURCE, identity, options=options, num_inference_steps=3, guidance_scale=2.0)
    prompt = "a photo of a [I] woman with [A] lipstick"
    out = pipe(prompt, image=PHOTO, mask=FACE, identity=identity, inversion=inverted, attributes=[Attribute(makeup, LIPS)])
    assert torch.isfinite(out.latents).all()


def test_attention_injection_reads_the_source_that_the_inversion_names(edit: Any, makeup: Concept) -> None:
    injected = edit(injection=InjectionOptions(cross_share=0.5, self_share=0.5))
    assert injected.reports[0]["injection"]["cross_share"] == 0.5
    assert injected.reports[0]["unet_evaluations"] > edit().reports[0]["unet_evaluations"]
    assert not torch.equal(injected.latents, edit().latents)
    worn = {"attributes": [Attribute(makeup, LIPS)], "injection": InjectionOptions(cross_share=0.5)}
    assert torch.isfinite(edit("a photo of a [I] woman with [A] lipstick", **worn).latents).all()


def test_concepts_and_inversions_come_back_from_files(
    pipe: S2EditPipeline, edit: Any, makeup: Concept, identity: Concept, inversion: Inversion, tmp_path: Path
) -> None:
    makeup.save(tmp_path / "makeup.safetensors")
    identity.save(tmp_path / "identity.safetensors")
    inversion.save(tmp_path / "inversion.safetensors")
    who, what = (pipe.load_concept(tmp_path / f"{name}.safetensors") for name in ("identity", "makeup"))
    assert (what.kind, what.placeholder, what.subject, what.digest) == ("attribute", "[A]", "lipstick", makeup.digest)
    read = pipe.load_inversion(tmp_path / "inversion.safetensors")
    prompt = "a photo of a [I] woman with [A] lipstick"
    again = edit(prompt, identity=who, inversion=read, attributes=[Attribute(what, LIPS)])
    assert torch.equal(again.latents, edit(prompt, attributes=[Attribute(makeup, LIPS)]).latents)
    with pytest.raises(ArtifactMismatch):
        pipe.load_concept(tmp_path / "inversion.safetensors")


def test_half_precision_is_for_the_unet_alone() -> None:
    """A bfloat16 UNet beside a float32 text encoder and auto-encoder: what is learned, inverted and summed up stays float32."""
    half = tiny_backbone(dtype=torch.float32)
    half.unet.to(torch.bfloat16)
    pipe = S2EditPipeline(half)
    learned = pipe.learn(PHOTO, FACE, SOURCE, "woman", options=OPTIONS)
    inverted = pipe.invert(PHOTO, FACE, SOURCE, learned, num_inference_steps=4, guidance_scale=2.0)
    same = pipe(SOURCE, image=PHOTO, mask=FACE, identity=learned, inversion=inverted)
    tensors = [learned.token, inverted.path, inverted.residuals, same.latents]
    tensors += [tensor for delta in (*learned.keys, *learned.values) for tensor in vars(delta).values()]
    assert {tensor.dtype for tensor in tensors} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in tensors)


def test_the_frame_drawn_is_what_is_pasted(edit: Any, pipe: S2EditPipeline) -> None:
    out = edit()
    drawn = pipe.backbone.decode_latent(out.latents[0])
    assert np.array_equal(np.asarray(to_image(drawn)), np.asarray(out.frames[0]))


def test_the_subject_is_looked_for_in_the_crop_around_the_mask(pipe: S2EditPipeline) -> None:
    """What `find_subject_word` finds there; and nothing where no word could be one."""
    canvas, prompt = pipe.canvas(PHOTO, FACE), "a photo of a smiling aunt in a garden"
    latent, mask = pipe.backbone.encode_image(canvas.source()), canvas.mask(canvas.identity_mask)
    expected = drive(find_subject_word(pipe.backbone, latent, prompt, mask, seed=3), pipe.backbone.evaluate)
    assert pipe.find_subject(PHOTO, FACE, prompt, seed=3) == expected
    assert expected in ("smiling", "aunt", "garden")
    with pytest.raises(PromptInvalid, match="no word"):
        pipe.find_subject(PHOTO, FACE, "a photo of the")

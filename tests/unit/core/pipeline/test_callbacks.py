"""Progress and `callback_on_step_end`, as in diffusers."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.callbacks import PipelineCallback, SDCFGCutoffCallback

from s2edit_core.errors import OptionInvalid
from s2edit_core.method.inversion import Inversion
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InjectionOptions
from s2edit_core.request.spec import Progress
from tests.unit.core.pipeline.inputs import TARGET


def test_progress_and_callback_see_each_step(edit: Any, pipe: S2EditPipeline, inversion: Inversion) -> None:
    seen: list[Progress] = []
    called: list[tuple[int, int]] = []
    latents: list[torch.Tensor] = []

    def callback(owner: S2EditPipeline, step: int, timestep: int, callback_kwargs: dict[str, Any]) -> dict[str, Any]:
        assert owner is pipe
        called.append((step, timestep))
        latents.append(callback_kwargs["latents"])
        return callback_kwargs

    out = edit(on_progress=seen.append, callback_on_step_end=callback)
    timesteps = pipe.backbone.schedule.timesteps(4)
    assert [p.step for p in seen] == [1, 2, 3, 4]
    assert called == list(enumerate(timesteps))
    assert {tuple(each.shape) for each in latents} == {(1, 4, 8, 8)}
    assert torch.equal(latents[-1], out.latents)
    assert torch.equal(out.latents, edit().latents)
    called.clear()
    edit([TARGET, TARGET], strength=0.5, callback_on_step_end=callback)
    assert called == [(0, timesteps[2]), (1, timesteps[3])] * 2, "counted from where sampling starts, prompt after prompt"


def test_a_callback_is_given_the_tensors_that_it_asks_for(edit: Any, pipe: S2EditPipeline, inversion: Inversion) -> None:
    steps: list[dict[str, torch.Tensor]] = []

    def callback(_pipe: Any, _step: int, _timestep: int, callback_kwargs: dict[str, Any]) -> None:
        steps.append(callback_kwargs)

    edit(callback_on_step_end=callback, callback_on_step_end_tensor_inputs=["noise_pred", "latents"])
    assert set(pipe._callback_tensor_inputs) == {"noise_pred", "latents"}
    z = inversion.path[-1]
    for t, seen in zip(pipe.backbone.schedule.timesteps(4), steps, strict=True):
        a, b = pipe.backbone.schedule.coefficients(t, 4)
        z = a * z + b * seen["noise_pred"][0]
        assert torch.equal(seen["latents"][0], z)
    steps.clear()
    edit(callback_on_step_end=callback, callback_on_step_end_tensor_inputs=[])
    assert steps == [{}] * 4
    with pytest.raises(OptionInvalid, match=r"no tensor 'prompt_embeds': .* may name latents, noise_pred"):
        edit(callback_on_step_end=callback, callback_on_step_end_tensor_inputs=["latents", "prompt_embeds"])


@pytest.mark.parametrize("injection", [None, InjectionOptions(cross_share=0.5, blend="edit_mask")], ids=["plain", "with a source"])
def test_latents_that_a_callback_returns_are_gone_on_with(edit: Any, inversion: Inversion, injection: Any) -> None:
    def back_to_the_photo(_pipe: Any, step: int, _timestep: int, callback_kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"latents": inversion.path[3 - step][None]} | ({} if step < 3 else {"ignored": callback_kwargs})

    out = edit(injection=injection, callback_on_step_end=back_to_the_photo)
    assert torch.equal(out.latents[0], inversion.path[0])

    def louder(_pipe: Any, step: int, _timestep: int, callback_kwargs: dict[str, Any]) -> dict[str, Any]:
        return {"latents": callback_kwargs["latents"] * 1.5} if step == 0 else callback_kwargs

    changed, plain = edit(injection=injection, callback_on_step_end=louder).latents, edit(injection=injection).latents
    assert not torch.equal(changed, plain)


def test_diffusers_own_callbacks_say_themselves_what_they_ask_for(edit: Any) -> None:
    class Halve(PipelineCallback):  # type: ignore[misc]
        tensor_inputs = ("latents",)

        def callback_fn(self, _pipe: Any, _step: int, _timestep: int, callback_kwargs: dict[str, Any]) -> dict[str, Any]:
            callback_kwargs["latents"] = callback_kwargs["latents"] / 2
            return callback_kwargs

    assert not torch.equal(edit(callback_on_step_end=Halve()).latents, edit().latents)
    with pytest.raises(OptionInvalid, match="no tensor 'prompt_embeds'"):
        edit(callback_on_step_end=SDCFGCutoffCallback())


@pytest.mark.parametrize(("latents", "found"), [(torch.zeros(4, 6, 8), r"shape \(4, 6, 8\)"), ("none", "str")])
def test_latents_of_another_shape_are_refused(edit: Any, latents: Any, found: str) -> None:
    with pytest.raises(OptionInvalid, match=rf"latents of shape \(1, 4, 8, 8\), not {found}"):
        edit(callback_on_step_end=lambda *_: {"latents": latents})


def test_an_error_of_the_callback_ends_the_edit_and_leaves_the_model(edit: Any, pipe: S2EditPipeline) -> None:
    before = dict(pipe.backbone.unet.attn_processors)

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        edit(callback_on_step_end=stop)
    assert dict(pipe.backbone.unet.attn_processors) == before

"""`callback_on_step_end` as diffusers' pipelines have it, for sampling that knows of no pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from s2edit_core.errors import OptionInvalid
from s2edit_core.method.editing import STEP_TENSORS, AtStepEnd

OnStepEnd = Callable[[Any, int, int, dict[str, Tensor]], Mapping[str, Any] | None]
"""Pipeline, step, timestep, and the tensors asked for, each with a batch of one in front."""


def step_end(pipeline: object, callback: OnStepEnd, names: Sequence[str]) -> AtStepEnd:
    """`callback` as sampling calls it, with the tensors `names`; a `PipelineCallback` of diffusers brings its own names.

    "latents" that it returns replace those of the step. Raises `OptionInvalid` for tensors that there are not.
    """
    names = getattr(callback, "tensor_inputs", names)
    if unknown := [name for name in names if name not in STEP_TENSORS]:
        raise OptionInvalid(
            f"a step has no tensor {unknown[0]!r}: callback_on_step_end_tensor_inputs may name {', '.join(STEP_TENSORS)}",
            field="options.callback_on_step_end_tensor_inputs",
        )

    def call(step: int, timestep: int, tensors: Mapping[str, Tensor]) -> Tensor:
        returned = callback(pipeline, step, timestep, {name: tensors[name][None] for name in names})
        latents = tensors["latents"]
        return _replaced(latents, returned["latents"]) if returned and "latents" in returned else latents

    return call


def _replaced(latents: Tensor, returned: object) -> Tensor:
    wanted = (1, *latents.shape)
    if not isinstance(returned, Tensor) or returned.shape != wanted:
        found = f"shape {tuple(returned.shape)}" if isinstance(returned, Tensor) else type(returned).__name__
        raise OptionInvalid(
            f"callback_on_step_end must return latents of shape {wanted}, not {found}", field="options.callback_on_step_end"
        )
    return returned[0].detach().to(latents)

"""`callback_on_step_end` as in diffusers' pipelines, adapted to sampling that knows no pipeline."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor

from s2edit_core.errors import OptionInvalid
from s2edit_core.method.editing import STEP_TENSORS, AtStepEnd

OnStepEnd = Callable[[Any, int, int, dict[str, Tensor]], Mapping[str, Any] | None]
"""Called with the pipeline, the step number, the timestep and the requested tensors, each with a leading batch axis of 1."""


def adapt_callback(pipeline: object, callback: OnStepEnd, names: Sequence[str]) -> AtStepEnd:
    """Return `callback` in the form that sampling calls, with the tensors `names`.

    A diffusers `PipelineCallback` brings its own tensor names. If the callback returns "latents", they replace the latent of the
    step. Raises `OptionInvalid` for unknown tensor names, and during sampling for returned latents of another shape.
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

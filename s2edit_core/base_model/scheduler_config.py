"""Which scheduler configurations are supported. Loads no torch.

Every model is sampled and inverted by DDIM, whichever sampler its folder names. The configuration's noise levels, prediction type
and timesteps apply to DDIM as well. Entries that would make the arithmetic impossible to invert are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

Spacing = Literal["leading", "trailing", "linspace"]

SAMPLERS = frozenset(
    {
        *(
            "DDIMScheduler",
            "DDIMInverseScheduler",
            "DDIMParallelScheduler",
            "DDPMScheduler",
            "DDPMParallelScheduler",
            "PNDMScheduler",
        ),
        *("LMSDiscreteScheduler", "EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler", "HeunDiscreteScheduler"),
        *("DPMSolverMultistepScheduler", "DPMSolverSinglestepScheduler", "DPMSolverSDEScheduler", "DEISMultistepScheduler"),
        *("KDPM2DiscreteScheduler", "KDPM2AncestralDiscreteScheduler", "UniPCMultistepScheduler"),
    }
)
"""Samplers of models with discrete noise levels, for which DDIM on the same levels can stand in."""
PREDICTIONS = ("epsilon", "v_prediction")
REFUSED_SWITCHES: Mapping[str, str] = {
    "clip_sample": "clips the predicted image at every step, which inversion can't undo",
    "thresholding": "rescales the predicted image at every step, which inversion can't undo",
    "use_flow_sigmas": "is for flow-matching models",
}
"""Boolean entries that are refused when true, with the reason."""
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")


def check_scheduler(config: Mapping[str, Any]) -> None:
    """Raise `ValueError`, naming the entry, for an unsupported scheduler_config.json."""
    sampler = config.get("_class_name", "DDIMScheduler")
    if sampler not in SAMPLERS:
        raise ValueError(f"the scheduler {sampler!r} is not supported: its model can't be sampled by DDIM")
    _check_choice(config, "prediction_type", PREDICTIONS)
    _check_choice(config, "timestep_spacing", get_args(Spacing))
    if config.get("trained_betas") is None:
        _check_choice(config, "beta_schedule", BETA_SCHEDULES)
    for name, why in REFUSED_SWITCHES.items():
        if config.get(name):
            raise ValueError(f"{name} of the scheduler is not supported: it {why}")
    if config.get("rescale_betas_zero_snr") and config.get("prediction_type", "epsilon") == "epsilon":
        raise ValueError(
            "rescale_betas_zero_snr of the scheduler is not supported with prediction_type 'epsilon': "
            "at zero SNR the noise does not determine the image, so such models predict v"
        )


def _check_choice(config: Mapping[str, Any], name: str, known: tuple[str, ...]) -> None:
    if name in config and config[name] not in known:
        raise ValueError(f"{name} {config[name]!r} of the scheduler is not supported: choose one of {', '.join(known)}")

"""Compute the cost of an edit with Stable Diffusion from its shapes: `python -m lab.service.full_size`.

The networks are built on torch's `meta` device, without weights. So the result is computed, not measured. The evaluations per edit
come from `lab/results/quality.json`; they depend on the preset and not on the model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from torch import nn
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPTextConfig, CLIPTextModel

from lab.quality.table import of_domains
from s2edit_core.base_model.single_file_layout import CONFIGS
from s2edit_core.request.options import LearningOptions

MODELS = {"Stable Diffusion 1.x, 512 pixels": ("sd1", 64), "Stable Diffusion 2.1, 768 pixels": ("sd2", 96)}
"""Model family and side of the latent by title."""
PRESETS = ("paper", "balanced", "instant")
FLOAT_BYTES = 4
TOKENS = 77


def parts_of(family: str) -> dict[str, Any]:
    """Return the networks of `family`, without weights."""

    def config(part: str) -> dict[str, Any]:
        values: dict[str, Any] = json.loads((CONFIGS / family / part / "config.json").read_text())
        return values

    return {
        "unet": UNet2DConditionModel.from_config(config("unet")),
        "vae": AutoencoderKL.from_config(config("vae")),
        "text_encoder": CLIPTextModel(CLIPTextConfig(**config("text_encoder"))),
    }


def learning_pass(unet: nn.Module, side: int, rows: int) -> tuple[int, int]:
    """Return the FLOPs of a pass with gradients to the prompt, and the bytes that autograd keeps for it.

    The bytes exclude attention maps, because CUDA's attention kernels don't keep them.
    """
    parameters = {id(parameter) for parameter in unet.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        is_map = tensor.ndim >= 2 and tensor.shape[-1] == tensor.shape[-2] >= side
        if id(tensor) not in parameters and not is_map:
            storage = tensor.untyped_storage()
            kept[storage._cdata] = storage
        return tensor

    prompt = torch.zeros(rows, TOKENS, unet.config.cross_attention_dim, requires_grad=True)  # type: ignore[union-attr,arg-type]
    latent = torch.zeros(rows, 4, side, side)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor), FlopCounterMode(display=False) as counter:
        unet(latent, torch.zeros(rows), prompt).sample.sum().backward()
    return counter.get_total_flops(), sum(storage.nbytes() for storage in kept.values())


def cost_of(family: str, side: int, evaluations: dict[str, Any]) -> dict[str, Any]:
    """Return parameters, bytes and FLOPs, and by preset the FLOPs of the first edit of a person and of every further one."""
    rows = LearningOptions().batch
    with torch.device("meta"):
        parts = parts_of(family)
        for part in parts.values():
            part.requires_grad_(False).eval()
        unet = parts["unet"]
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            unet(torch.zeros(1, 4, side, side), torch.zeros(1), torch.zeros(1, TOKENS, unet.config.cross_attention_dim))
        flops, (learning_flops, kept) = counter.get_total_flops(), learning_pass(unet, side, rows)
    parameters = {name: sum(each.numel() for each in part.parameters()) for name, part in parts.items()}
    edits = {}
    for preset in PRESETS:
        phases = evaluations[preset]
        with_gradients = sum(phase["with_gradients"] for phase in phases.values())
        without = sum(phase["evaluations"] for phase in phases.values()) - with_gradients
        first = with_gradients * learning_flops / rows + without * flops
        edits[preset] = {"first_tflop": round(first / 1e12), "next_tflop": round(phases["edit"]["evaluations"] * flops / 1e12)}
    return {
        "parameters": parameters,
        "weights_gb": round(sum(parameters.values()) * FLOAT_BYTES / 1e9, 2),
        "kept_for_gradients_gb": round(kept / 1e9, 2),
        "tflop_per_evaluation": round(flops / 1e12, 3),
        "tflop_per_evaluation_with_gradients": round(learning_flops / rows / 1e12, 3),
        "edits": edits,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quality", type=Path, default=Path("lab/results/quality.json"), help="results file with the evaluations")
    parser.add_argument("--out", type=Path, default=Path("lab/results/full_size.json"))
    wanted = parser.parse_args()
    methods = of_domains(json.loads(wanted.quality.read_text()))["person"]["methods"]
    evaluations = {preset: methods[preset]["cost"] for preset in PRESETS}
    found = {name: cost_of(*shape, evaluations) for name, shape in MODELS.items()}
    wanted.out.write_text(json.dumps({"computed": "from shapes, in float32; nothing was timed", "models": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""Conversion of models to single files in the original layout of Stable Diffusion 1.x and 2.x, the inverse of diffusers' loading.

The names follow the published checkpoints, as in diffusers' script `convert_diffusers_to_original_stable_diffusion.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

RESNET = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
OF_UNET = {
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "conv_in": "input_blocks.0.0",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
OF_VAE_ATTENTION = {"group_norm": "norm", "to_q": "q", "to_k": "k", "to_v": "v", "to_out.0": "proj_out"}
OF_OPEN_CLIP = {"layer_norm1": "ln_1", "layer_norm2": "ln_2", "mlp.fc1": "mlp.c_fc", "mlp.fc2": "mlp.c_proj"}


def original_tensors(unet: nn.Module, vae: nn.Module, text_encoder: nn.Module, family: str) -> dict[str, Tensor]:
    """Return all tensors of a model by their names in an original checkpoint."""
    text = _text_sd1(text_encoder) if family == "sd1" else _text_sd2(text_encoder)
    named = {f"model.diffusion_model.{name}": tensor for name, tensor in _unet(unet)}
    named |= {f"first_stage_model.{name}": tensor for name, tensor in _vae(vae)}
    return {name: tensor.detach().clone().contiguous() for name, tensor in (named | text).items()}


def save_single(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> Path:
    """Save as `.safetensors`, or as a `.ckpt` with an additional entry, like those of trainers."""
    if path.suffix == ".ckpt":
        torch.save({"global_step": 470_000, "state_dict": dict(tensors)}, path)
    else:
        save_file(dict(tensors), path, metadata={"format": "pt", **(metadata or {})})
    return path


def save_configs(folder: Path, parts: Mapping[str, Any], scheduler: Mapping[str, Any]) -> None:
    """Save the configurations of a model in the layout of the package's own configurations."""
    for name in ("unet", "vae", "text_encoder"):
        (parts[name].config.save_pretrained if name == "text_encoder" else parts[name].save_config)(folder / name)
    (folder / "scheduler").mkdir()
    (folder / "scheduler" / "scheduler_config.json").write_text(json.dumps(scheduler))


def _unet(unet: Any) -> Iterator[tuple[str, Tensor]]:
    layers = unet.config.layers_per_block
    with_attention = {i for i, kind in enumerate(unet.config.up_block_types) if kind.startswith("CrossAttn")}
    for name, tensor in unet.state_dict().items():
        part, _, kind = name.rpartition(".")
        yield f"{_unet_name(part, layers, with_attention)}.{kind}", tensor


def _unet_name(name: str, layers: int, with_attention: set[int]) -> str:
    """Return the original name. `with_attention` are the up blocks with attention, whose upsampler is third in its block."""
    if name in OF_UNET:
        return OF_UNET[name]
    if found := re.fullmatch(r"(down|up)_blocks\.(\d+)\.(resnets|attentions)\.(\d+)\.(.*)", name):
        kind, i, what, j, rest = found[1], int(found[2]), found[3], int(found[4]), found[5]
        at = (layers + 1) * i + j + (1 if kind == "down" else 0)
        return f"{'input' if kind == 'down' else 'output'}_blocks.{at}.{_inside(what, rest)}"
    if found := re.fullmatch(r"mid_block\.(resnets|attentions)\.(\d+)\.(.*)", name):
        at = 1 if found[1] == "attentions" else 2 * int(found[2])
        return f"middle_block.{at}.{_inside(found[1], found[3]).partition('.')[2]}"
    if found := re.fullmatch(r"down_blocks\.(\d+)\.downsamplers\.0\.conv", name):
        return f"input_blocks.{(layers + 1) * (int(found[1]) + 1)}.0.op"
    found = re.fullmatch(r"up_blocks\.(\d+)\.upsamplers\.0\.conv", name)
    assert found, name
    i = int(found[1])
    return f"output_blocks.{(layers + 1) * i + layers}.{2 if i in with_attention else 1}.conv"


def _inside(what: str, rest: str) -> str:
    return f"0.{RESNET[rest]}" if what == "resnets" else f"1.{rest}"


def _vae(vae: Any) -> Iterator[tuple[str, Tensor]]:
    last = len(vae.config.block_out_channels) - 1
    for name, tensor in vae.state_dict().items():
        new = name.replace("conv_norm_out", "norm_out")
        new = re.sub(r"down_blocks\.(\d+)\.resnets\.(\d+)", r"down.\1.block.\2", new)
        new = re.sub(r"down_blocks\.(\d+)\.downsamplers\.0", r"down.\1.downsample", new)
        new = re.sub(r"up_blocks\.(\d+)\.resnets\.(\d+)", lambda m: f"up.{last - int(m[1])}.block.{m[2]}", new)
        new = re.sub(r"up_blocks\.(\d+)\.upsamplers\.0", lambda m: f"up.{last - int(m[1])}.upsample", new)
        new = re.sub(r"mid_block\.resnets\.(\d+)", lambda m: f"mid.block_{int(m[1]) + 1}", new)
        new = new.replace("conv_shortcut", "nin_shortcut")
        if "mid_block.attentions.0." in new:
            new = new.replace("mid_block.attentions.0.", "mid.attn_1.")
            for theirs, original in OF_VAE_ATTENTION.items():
                new = new.replace(f"attn_1.{theirs}.", f"attn_1.{original}.")
            if new.endswith("weight") and "attn_1.norm" not in new:
                tensor = tensor[:, :, None, None]  # a 1×1 convolution in the original
        yield new, tensor


def _text_states(text_encoder: nn.Module) -> dict[str, Tensor]:
    return {name.removeprefix("text_model."): tensor for name, tensor in text_encoder.state_dict().items()}


def _text_sd1(text_encoder: nn.Module) -> dict[str, Tensor]:
    prefix = "cond_stage_model.transformer.text_model."
    states = {prefix + name: tensor for name, tensor in _text_states(text_encoder).items()}
    positions = len(states[f"{prefix}embeddings.position_embedding.weight"])
    return states | {f"{prefix}embeddings.position_ids": torch.arange(positions)[None]}


def _text_sd2(text_encoder: nn.Module) -> dict[str, Tensor]:
    """Return the states in OpenCLIP's layout, where query, key and value of a layer are one tensor."""
    prefix, states = "cond_stage_model.model.", _text_states(text_encoder)
    named = {
        f"{prefix}positional_embedding": states.pop("embeddings.position_embedding.weight"),
        f"{prefix}token_embedding.weight": states.pop("embeddings.token_embedding.weight"),
        f"{prefix}ln_final.weight": states.pop("final_layer_norm.weight"),
        f"{prefix}ln_final.bias": states.pop("final_layer_norm.bias"),
    }
    for name, tensor in states.items():
        found = re.fullmatch(r"encoder\.layers\.(\d+)\.(.*)\.(weight|bias)", name)
        assert found, name
        layer, what, kind = found.groups()
        block = f"{prefix}transformer.resblocks.{layer}."
        if what in ("self_attn.k_proj", "self_attn.v_proj"):
            continue
        if what == "self_attn.q_proj":
            rest = [states[f"encoder.layers.{layer}.self_attn.{other}_proj.{kind}"] for other in "kv"]
            named[f"{block}attn.in_proj_{kind}"] = torch.cat([tensor, *rest])
        elif what == "self_attn.out_proj":
            named[f"{block}attn.out_proj.{kind}"] = tensor
        else:
            named[f"{block}{OF_OPEN_CLIP[what]}.{kind}"] = tensor
    width = named[f"{prefix}ln_final.weight"].shape[0]
    return named | {f"{prefix}text_projection": torch.eye(width), f"{prefix}logit_scale": torch.tensor(4.6)}

"""Loads the parts of a base model from a folder, a single file or the model hub. Pickled files are read with `weights_only`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from s2edit_core.base_model.clip_words import MAX_TOKENS, clip_words
from s2edit_core.base_model.ddim import Schedule, schedule_of
from s2edit_core.base_model.model_card import CARD, ModelCard
from s2edit_core.base_model.model_files import (
    CONFIGS,
    TOKENIZERS,
    WEIGHT_STEMS,
    HubModel,
    ModelFile,
    ModelFolder,
    choose_weights,
    find_model,
)
from s2edit_core.base_model.single_file_layout import Layout, layout_of
from s2edit_core.errors import ModelUnusable


@dataclass(frozen=True)
class Parts:
    """The parts of a base model, in float32 on the CPU."""

    unet: nn.Module
    vae: nn.Module
    text_encoder: nn.Module
    tokenizer: Any
    schedule: Schedule
    card: ModelCard


def load_parts(model: str) -> Parts:
    """Load `model`: a folder, a file or a hub id (see `model_files`). Raises `ModelUnusable` with the reason."""
    try:
        found = find_model(model)
        if isinstance(found, HubModel):
            found = _fetch(found)
        return _from_file(found) if isinstance(found, ModelFile) else _from_folder(found)
    except ModelUnusable:
        raise
    except Exception as error:  # for unexpected files the libraries raise errors of any kind
        raise ModelUnusable(f"the model {Path(model).name!r} can't be loaded: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    """Return the first line of the message: the libraries continue with advice for their own callers."""
    text = (str(error).strip() or type(error).__name__).splitlines()[0]
    return text if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {text}"


def _from_folder(found: ModelFolder) -> Parts:
    folder = str(found.path)

    def options(part: str) -> dict[str, Any]:
        weights = found.weights[part]
        return {"subfolder": part, "variant": weights.variant, "use_safetensors": weights.safetensors, "local_files_only": True}

    return Parts(
        unet=UNet2DConditionModel.from_pretrained(folder, torch_dtype=torch.float32, **options("unet")),
        vae=AutoencoderKL.from_pretrained(folder, torch_dtype=torch.float32, **options("vae")),
        text_encoder=CLIPTextModel.from_pretrained(folder, dtype=torch.float32, **options("text_encoder")),
        tokenizer=CLIPTokenizer.from_pretrained(folder, subfolder="tokenizer", local_files_only=True),
        schedule=schedule_of(DDIMScheduler.from_pretrained(folder, subfolder="scheduler", local_files_only=True)),
        card=ModelCard.read(found.path),
    )


def _from_file(found: ModelFile) -> Parts:
    """Load a single file by diffusers' loader, with the configurations of this package, so that it needs no network."""
    from diffusers import StableDiffusionPipeline  # slow to import

    layout = found.layout or layout_of(_shapes(found.path), found.path)
    given = {"tokenizer": _clip_tokenizer(layout), "safety_checker": None, "feature_extractor": None}
    try:
        pipeline = StableDiffusionPipeline.from_single_file(
            str(found.path), config=str(layout.configs), local_files_only=True, **given
        )
    except NotImplementedError as error:  # torch can't move a meta tensor, which has no values
        raise ValueError(f"{found.path.name} lacks tensors of the UNet or the auto-encoder") from error
    pipeline.unet.register_to_config(sample_size=layout.sample_size)
    _check_complete(pipeline, found.path)
    for name in WEIGHT_STEMS:
        nn.Module.float(getattr(pipeline, name))
    changed = {"prediction_type": layout.prediction, "rescale_betas_zero_snr": layout.zero_snr}
    return Parts(
        unet=pipeline.unet,
        vae=pipeline.vae,
        text_encoder=pipeline.text_encoder,
        tokenizer=pipeline.tokenizer,
        schedule=schedule_of(DDIMScheduler.from_config(pipeline.scheduler.config, **changed)),
        card=ModelCard.read(found.path),
    )


def _shapes(path: Path) -> Mapping[str, tuple[int, ...]]:
    """Return the shapes of all tensors in a `.ckpt`. Raises `ValueError` if it holds more than tensors and plain values."""
    try:
        checkpoint = torch.load(path, map_location="meta", weights_only=True)
    except Exception as error:
        raise ValueError(
            f"{path.name} is damaged, or holds code besides weights, which is never run: use the model's .safetensors file"
        ) from error
    while "state_dict" in checkpoint:
        checkpoint = checkpoint["state_dict"]
    return {name: tuple(tensor.shape) for name, tensor in checkpoint.items() if isinstance(tensor, torch.Tensor)}


def _clip_tokenizer(layout: Layout) -> CLIPTokenizer:
    """Return CLIP's tokenizer, which all Stable Diffusion 1.x and 2.x models use, with the family's own padding token."""
    vocabulary, merges = clip_words()
    padding = {"pad_token": "!"} if layout.family == "sd2" else {}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=MAX_TOKENS, **padding)


def _check_complete(pipeline: Any, path: Path) -> None:
    """Raise `ValueError` if the file lacks tensors: diffusers may leave those without values."""
    for name in WEIGHT_STEMS:
        missing = [key for key, tensor in getattr(pipeline, name).named_parameters() if tensor.is_meta]
        if missing:
            raise ValueError(f"{path.name} lacks {len(missing)} tensors of the {name}, such as {missing[0]}")


def _fetch(hub: HubModel) -> ModelFolder:
    """Download the files of a hub model that are needed, or find them in the hub's cache if the hub can't be reached."""
    from huggingface_hub import HfApi, snapshot_download

    name = f"{hub.repo}@{hub.revision}" if hub.revision else hub.repo
    try:
        wanted = _files_to_fetch(HfApi().list_repo_files(hub.repo, revision=hub.revision))
        folder = snapshot_download(hub.repo, revision=hub.revision, allow_patterns=wanted)
    except Exception as reason:  # no network, no such repository or revision, or no access: three libraries raise their own errors
        try:
            folder = snapshot_download(hub.repo, revision=hub.revision, local_files_only=True)
        except OSError:
            raise ModelUnusable(
                f"the model {name!r} is no local folder, is not in the hub's cache and can't be downloaded: {_first_line(reason)}"
            ) from reason
    found = find_model(folder)
    assert isinstance(found, ModelFolder)
    return found


def _files_to_fetch(names: Collection[str]) -> list[str]:
    """Return which of a repository's files to download: configurations, tokenizer files, and one variant of each part's weights."""
    inside: dict[str, set[str]] = {}
    for name in names:
        part, _, rest = name.partition("/")
        inside.setdefault(part, set()).add(rest)
    wanted = [CARD, *(f"{part}/{name}" for part, name in CONFIGS.items())]
    wanted += [
        f"tokenizer/{name}" for group in (*TOKENIZERS, ("tokenizer_config.json", "special_tokens_map.json")) for name in group
    ]
    for part in WEIGHT_STEMS:
        weights = choose_weights(part, inside.get(part, ()))
        if weights is not None:
            shards = weights.name.partition(".")[0] if weights.name.endswith(".json") else None
            wanted += [f"{part}/{weights.name}", *([f"{part}/{shards}*"] if shards else [])]
    return [name for name in wanted if name in names or "*" in name]

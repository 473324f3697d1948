"""The files of a base model, and whether it can be loaded, checked without loading it. Loads no torch.

A model is a folder in diffusers' layout, one `.safetensors` or `.ckpt` file in the original layout of Stable Diffusion 1.x or 2.x,
or a repository id on the model hub, `owner/name` or `owner/name@revision`. The worker loads what these functions find; `s2edit
doctor`, `s2edit up` and `/readyz` check with them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.base_model.scheduler_config import check_scheduler
from s2edit_core.base_model.single_file_layout import Layout, layout_of
from s2edit_core.errors import ModelUnusable

SHIPPED_MODEL = "models/world-128"
"""The model in this repository, relative to its root: what everything uses that names no other model."""
SHIPPED_NAME = Path(SHIPPED_MODEL).name
HUB_ID = re.compile(r"(?P<repo>[\w-][\w.-]*/[\w.-]+)(@(?P<revision>[\w.][\w./-]*))?")
SINGLE_FILES = (".safetensors", ".ckpt")
CONFIGS: Mapping[str, str] = {
    "unet": "config.json",
    "vae": "config.json",
    "text_encoder": "config.json",
    "scheduler": "scheduler_config.json",
}
WEIGHT_STEMS: Mapping[str, Mapping[str, str]] = {
    "unet": {"safetensors": "diffusion_pytorch_model", "bin": "diffusion_pytorch_model"},
    "vae": {"safetensors": "diffusion_pytorch_model", "bin": "diffusion_pytorch_model"},
    "text_encoder": {"safetensors": "model", "bin": "pytorch_model"},
}
"""File names of the weights without variant and suffix, by part and suffix."""
VARIANTS = (None, "fp16", "bf16")
TOKENIZERS = (("tokenizer.json",), ("vocab.json", "merges.txt"))
LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights of one part: `name` is a file in the part's folder, or the index of several."""

    name: str
    variant: str | None
    safetensors: bool


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A folder in diffusers' layout. `weights` are by part, empty if the folder has none at all."""

    path: Path
    weights: Mapping[str, Weights]


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file in the original layout. `layout` is None for a `.ckpt`, whose layout is known only after loading."""

    path: Path
    layout: Layout | None


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository on the model hub, optionally pinned to a revision: a branch, a tag or a commit."""

    repo: str
    revision: str | None


Model = ModelFolder | ModelFile | HubModel


def local_path(model: str, root: Path | None = None) -> Path | None:
    """Return the folder or file that `model` names, relative to the working directory and then to `root`; None if there is none."""
    path = Path(model).expanduser()
    return next((each for each in (path, *((root / path,) if root else ())) if each.exists()), None)


def find_model(model: str, root: Path | None = None, *, weights: bool = True) -> Model:
    """Find the model that `model` names, and check its files as far as possible without loading it.

    Without `weights`, a folder that holds no weights at all needs no other parts either: an API needs only the card and the
    tokenizer. Raises `ModelUnusable` with the reason.
    """
    path = local_path(model, root)
    if path is not None:
        name = path.name
        try:
            found = _folder(path, weights=weights) if path.is_dir() else _file(path)
            ModelCard.read(path)
            return found
        except (OSError, ValueError) as error:
            raise ModelUnusable(f"the model {name!r} can't be loaded: {error}") from error
    hub = HUB_ID.fullmatch(model)
    if hub is None or model.endswith(SINGLE_FILES):
        raise ModelUnusable(f"there is no folder or file {model}: name a model folder, a .safetensors or .ckpt file, or a hub id")
    return HubModel(hub["repo"], hub["revision"])


def choose_weights(part: str, names: Collection[str]) -> Weights | None:
    """Return which weights of `part` to load, given the file `names` in its folder.

    Full precision comes first, and safetensors before pickles.
    """
    for variant in VARIANTS:
        for ending in ("safetensors", "bin"):
            stem = WEIGHT_STEMS[part][ending]
            whole = f"{stem}.{variant}.{ending}" if variant else f"{stem}.{ending}"
            index = f"{stem}.{ending}.index.{variant}.json" if variant else f"{stem}.{ending}.index.json"
            for name in (whole, index):
                if name in names:
                    return Weights(name, variant, ending == "safetensors")
    return None


def _folder(folder: Path, *, weights: bool) -> ModelFolder:
    """Check a folder. Raises `ValueError` that names everything missing or unusable in all parts."""
    found = {part: choose_weights(part, _names(folder / part)) for part in WEIGHT_STEMS}
    whole = weights or any(found.values())
    faults = [*_config_faults(folder, whole=whole)]
    if whole:
        for part, chosen in found.items():
            faults += (
                [f"no weights in {part}/{_other_weights(folder / part)}"]
                if chosen is None
                else _weight_faults(folder / part, chosen)
            )
    if not any(all((folder / "tokenizer" / name).is_file() for name in names) for names in TOKENIZERS):
        faults.append("no tokenizer.json, or vocab.json and merges.txt, in tokenizer/")
    if faults:
        raise ValueError("; ".join(faults))
    return ModelFolder(folder, {part: chosen for part, chosen in found.items() if chosen is not None})


def _names(folder: Path) -> frozenset[str]:
    return frozenset(path.name for path in folder.iterdir()) if folder.is_dir() else frozenset()


def _other_weights(folder: Path) -> str:
    """Return, for the message, which weights with unknown names the folder holds."""
    others = sorted(name for name in _names(folder) if name.endswith((".safetensors", ".bin", ".ckpt", ".msgpack", ".onnx")))
    return f" with a known name, only {others[0]}" if others else ""


def _config_faults(folder: Path, *, whole: bool) -> Iterator[str]:
    """Yield what is wrong with the configurations of a folder."""
    configs: dict[str, Mapping[str, Any]] = {}
    for part, name in CONFIGS.items():
        path = folder / part / name
        try:
            configs[part] = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(configs[part], dict):
                raise ValueError("not an object")
        except FileNotFoundError:
            if whole:
                yield f"no {name} in {part}/"
        except (OSError, ValueError) as error:
            yield f"{part}/{name} can't be read: {error}"
    checks = (("scheduler",), check_scheduler), (("unet", "vae"), _check_unet), (("text_encoder", "unet"), _check_text)
    for parts, check in checks:
        try:
            if configs.keys() >= set(parts):
                check(*(configs[part] for part in parts))
        except ValueError as error:
            yield str(error)


def _check_unet(unet: Mapping[str, Any], vae: Mapping[str, Any]) -> None:
    channels = vae.get("latent_channels", 4)
    if unet.get("_class_name", "UNet2DConditionModel") != "UNet2DConditionModel":
        raise ValueError(f"unet/ is a {unet['_class_name']}: only models of Stable Diffusion 1.x and 2.x are supported")
    for name in ("addition_embed_type", "class_embed_type", "encoder_hid_dim_type", "num_class_embeds"):
        if unet.get(name) is not None:
            raise ValueError(f"{name} {unet[name]!r} of the UNet is not supported: only Stable Diffusion 1.x and 2.x have none")
    if unet.get("in_channels", 4) != channels:
        raise ValueError(
            f"the UNet takes {unet['in_channels']} channels and latents have {channels}: inpainting, depth and other models "
            "that take more than the latent are not supported"
        )


def _check_text(text: Mapping[str, Any], unet: Mapping[str, Any]) -> None:
    width = unet.get("cross_attention_dim", 1280)
    if text.get("model_type", "clip_text_model") not in ("clip_text_model", "clip"):
        raise ValueError(f"text_encoder/ is a {text['model_type']}: only CLIP's text encoder is supported")
    if "hidden_size" in text and text["hidden_size"] != width:
        raise ValueError(
            f"the text encoder has width {text['hidden_size']}, but the UNet takes {width}: they are of different models"
        )


def _weight_faults(folder: Path, chosen: Weights) -> Iterator[str]:
    """Yield what is wrong with the files of `chosen`, as far as their headers and lengths tell."""
    names = [chosen.name]
    if chosen.name.endswith(".json"):
        try:
            names = sorted(set(json.loads((folder / chosen.name).read_text(encoding="utf-8"))["weight_map"].values()))
        except (OSError, ValueError, LookupError, AttributeError, TypeError) as error:
            yield f"{folder.name}/{chosen.name} can't be read: {error!r}"
            return
    for name in names:
        try:
            header_of(folder / name) if chosen.safetensors else _check_pickle(folder / name)
        except FileNotFoundError:
            yield f"no {name} in {folder.name}/"
        except ValueError as error:
            yield f"{folder.name}/{error}"


def _file(path: Path) -> ModelFile:
    if path.suffix not in SINGLE_FILES:
        raise ValueError(f"a model in one file ends in {' or '.join(SINGLE_FILES)}")
    if path.suffix == ".ckpt":
        _check_pickle(path)
        return ModelFile(path, None)
    header = header_of(path)
    metadata = header.pop("__metadata__", {})
    return ModelFile(path, layout_of({name: tuple(entry["shape"]) for name, entry in header.items()}, path, metadata))


def header_of(path: Path) -> dict[str, Any]:
    """Return the header of a safetensors file. Raises `ValueError`, naming the file, if it is damaged or truncated."""
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
        _check_fetched(path, start)
        size = int.from_bytes(start[:8], "little")
        length = path.stat().st_size
        if not 2 <= size <= min(length - 8, 100_000_000):
            raise ValueError(f"{path.name} is not a whole safetensors file: download it again")
        file.seek(8)
        try:
            header: dict[str, Any] = json.loads(file.read(size))
            end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            raise ValueError(f"{path.name} is not a whole safetensors file: download it again") from error
    if 8 + size + end != length:
        raise ValueError(f"{path.name} has {length} bytes instead of {8 + size + end}: download it again")
    return header


def _check_pickle(path: Path) -> None:
    """Raise `ValueError` unless the file starts as a file of `torch.save`.

    That is a zip archive since torch 1.6, and a bare pickle before. The content is only checked on loading, with `weights_only`.
    """
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
    _check_fetched(path, start)
    if not start.startswith((b"PK\x03\x04", b"\x80")):
        raise ValueError(f"{path.name} is not a file of torch.save: download it again")


def _check_fetched(path: Path, start: bytes) -> None:
    if start.startswith(LFS_POINTER):
        raise ValueError(f"{path.name} is only a Git LFS pointer: run `git lfs pull` in the clone that it came from")

"""What training writes: the model's folder, its card, contact sheets, and the archive in parts that a transfer can carry."""

from __future__ import annotations

import argparse
import copy
import hashlib
import io
import json
import shutil
import tarfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from lab.training.dataset import Plan, add_options
from lab.world.domain import Domain
from s2edit_core.whole_files import write_whole

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

GUIDANCE = 3.0
GAINS: dict[str, float] = {"balanced": 7 / 6, "instant": 4 / 3}
"""Guidance of each preset as a multiple of `GUIDANCE`, tuned on the former shipped model. The model card contains the products."""
PART_BYTES = 15 * 2**20


def stage_options(description: str | None, *, seconds: float, batch: int, peak: float) -> argparse.ArgumentParser:
    """Return a parser with the options that every stage has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--seconds", type=float, default=seconds, help="wall-clock budget of the stage")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--peak", type=float, default=peak, help="highest learning rate")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action=argparse.BooleanOptionalAction, default=torch.cuda.is_available())
    parser.add_argument("--save-every", type=float, default=75, help="seconds between checkpoints, each with an early export")
    parser.add_argument("--log-every", type=float, default=5, help="seconds between log entries")
    return parser


def replace_folder(folder: Path, write: Callable[[Path], Any]) -> None:
    """Write a folder beside `folder` and put it in its place, so that a reader never sees half of it."""
    fresh, old = (folder.with_name(f".{folder.name}.{state}") for state in ("new", "old"))
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    write(fresh)
    shutil.rmtree(old, ignore_errors=True)
    if folder.exists():
        folder.rename(old)
    fresh.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def picture_of(x: Tensor) -> Image.Image:
    """Convert `(3, h, w)` in -1..1 to a picture."""
    pixels = ((x.float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return Image.fromarray(pixels.permute(1, 2, 0).cpu().numpy())


def captioned_sheet(pictures: list[Image.Image], captions: list[str], columns: int = 12) -> Image.Image:
    """Return a sheet of pictures of 128 pixels, each with its caption below."""
    side, text = 132, 66
    rows = -(-len(pictures) // columns)
    sheet = Image.new("RGB", (side * min(columns, len(pictures)), (side + text) * rows), "white")
    pencil = ImageDraw.Draw(sheet)
    for i, (picture, caption) in enumerate(zip(pictures, captions, strict=True)):
        x, y = side * (i % columns), (side + text) * (i // columns)
        sheet.paste(picture, (x + 2, y + 2))
        lines = [""]
        for word in caption.removeprefix("a photo of ").split():
            if pencil.textlength(f"{lines[-1]} {word}") > side - 4:
                lines.append("")
            lines[-1] = f"{lines[-1]} {word}".strip()
        pencil.text((x + 3, y + side), "\n".join(lines[:5]), fill="black", spacing=1)
    return sheet


def pipeline_of(parts: dict[str, Any]) -> StableDiffusionPipeline:
    from diffusers import StableDiffusionPipeline  # takes seconds, and most stages do without

    pipeline = StableDiffusionPipeline(
        **parts, safety_checker=None, feature_extractor=None, image_encoder=None, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def write_model(parts: dict[str, Any], plan: Plan, folder: Path) -> None:
    """Write the parts of a model but its auto-encoder, and its card. The UNet is stored in half precision.

    The text encoder stays in float32: transformers loads weights in their stored precision, diffusers in float32.
    """
    kept = {name: copy.deepcopy(parts[name]).cpu() for name in ("unet", "text_encoder")}
    pipeline = pipeline_of({**parts, **kept, "unet": kept["unet"].half()})
    for name in ("unet", "text_encoder", "tokenizer", "scheduler"):
        replace_folder(folder / name, getattr(pipeline, name).save_pretrained)
    pipeline.save_config(folder)
    card = {
        "domains": [_on_card(domain) for domain in plan.domains.values()],
        "guidance_scale": GUIDANCE,
        "guidance_by_preset": {preset: GUIDANCE * gain for preset, gain in GAINS.items()},
        "segmenter": "card",  # lab/segmentation/training.py trains it
    }
    (folder / "s2edit.json").write_text(json.dumps(card, indent=2) + "\n")


def _on_card(domain: Domain) -> dict[str, Any]:
    words: dict[str, Any] = {"subjects": list(domain.subjects), "attribute_words": list(domain.word_bank)}
    scene = {"scene": True} if domain.scene else {}
    return words | {"closed_vocabulary": True} | scene | {"placement": asdict(domain.placement)}


def describe(result: Path, facts: dict[str, Any]) -> None:
    """Write the model's README from what the stages have left in `result`."""
    folder = result / "world-128"
    if not folder.exists():
        return
    vae, segmenter = (_json(folder / name) for name in ("vae.json", "segmenter/config.json"))
    weights = {
        name: sum(path.stat().st_size for path in (folder / name).glob("*.safetensors")) // (4 if name == "text_encoder" else 2)
        for name in ("unet", "vae", "text_encoder", "segmenter")
    }
    pictures = ", ".join(f"{count} of {name}" for name, count in vae.get("pictures", {}).items())
    rows = "\n".join(
        f"| {name} | {stage.get('seconds', stage.get('wall_seconds', ''))} | {stage.get('steps', '')} | {stage.get('last', '')} |"
        for name, stage in facts["stages"].items()
    )
    (folder / "README.md").write_text(
        f"""# world-128

A small latent diffusion model of drawn people, cats and churches, trained from scratch by `python -m lab.training.train` on
pictures that `lab/world` renders. With it, s2edit can be tried and measured without a large model and without a GPU.
It has seen no real person and no photograph. Licence: Apache-2.0, like the code.

Rendered pictures: {pictures}. Machine: {facts["machine"]}, torch {facts["torch"]}.
Weights: {", ".join(f"{name} {count:,}" for name, count in weights.items())}.
Reconstruction of unseen pictures by the auto-encoder: {_listed(vae.get("psnr_db", {}), " dB")}.
The segmenter's overlap with the true mask (IoU) on unseen pictures: {_listed(segmenter.get("iou", {}), "")}.

| stage | seconds of training | steps | last log entry |
|---|---|---|---|
{rows}

`samples.png`: samples for captions of unseen pictures, guidance {GUIDANCE:g}, 50 DDIM steps. `reconstructions.png`: unseen
pictures, and below each row its reconstruction by the auto-encoder. The logged losses are in `training.json`.
"""
    )


def _json(path: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return read


def _listed(figures: dict[str, float], unit: str) -> str:
    return ", ".join(f"{name} {value}{unit}" for name, value in figures.items()) or "not measured"


def pack(result: Path, out: Path) -> None:
    """Write the folder `result` to `out` as `world.tar.00`, … of at most `PART_BYTES`, and its sheets and logs as files.

    `cat world.tar.* | tar x` restores the folder. `manifest.json` has the digest of the archive.
    """
    out.mkdir(parents=True, exist_ok=True)
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add(result, result.name, filter=lambda info: None if Path(info.name).name.startswith(".") else info)
    data = buffer.getvalue()
    parts = [data[start : start + PART_BYTES] for start in range(0, len(data), PART_BYTES)]
    files = {f"world.tar.{i:02d}": part for i, part in enumerate(parts)}
    files |= {path.name: path.read_bytes() for path in [*result.glob("*.png"), *result.glob("*.json")]}
    files["manifest.json"] = json.dumps({"sha256": hashlib.sha256(data).hexdigest(), "parts": len(parts)}).encode()
    for name, content in files.items():
        write_whole(out / name, content)
    for stale in set(out.glob("world.tar.*")) - {out / name for name in files}:
        stale.unlink()

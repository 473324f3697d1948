"""PIE-Bench (Ju et al., arXiv 2310.01506) with the same methods: its folder layout, its protocol, its quirks.

The folder holds `mapping_file.json` and `annotation_images/`. There is no true answer, so the background (what the annotation
says must stay) is compared with the source. As published, both pictures are blacked out where the edit may act and compared over
the whole frame, which counts the black pixels as perfect; `psnr_background_pixels` counts the background's own pixels alone.
Published rows to stand beside (SD 1.4, P2P): null-text 27.03 dB, 84.11 SSIM·100; Direct Inversion 27.22 dB, 84.76.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.measures.bootstrap import intervals
from lab.measures.metrics import mse, psnr_of, ssim
from lab.measures.perceptual import ClipScore, StructureDistance
from lab.measures.sheets import Row, contact_sheet
from lab.quality.composition import Composed
from lab.quality.method import RECONSTRUCTION, Case, Method, Reference, recipe
from lab.quality.methods import METHODS, chosen
from lab.quality.parts import Part, made
from lab.quality.runs import costs, fill, rounded
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.prompts import changed_words

FIGURES = (
    *("psnr_background", "mse_background", "ssim_background", "psnr_background_pixels"),
    *("clip_whole", "clip_edited", "structure_distance"),
)
TYPES = (
    "random",
    "change object",
    "add object",
    "delete object",
    "change content",
    "change pose",
    "change colour",
    "change material",
    "change background",
    "change style",
)
EDIT = "edit"
VERSION = 1
SHEET_ITEMS = 8


@dataclass(frozen=True, eq=False)
class Item:
    """One record of the benchmark. `mask` `(H, W)` is true where the edit may act; prompts are without their brackets."""

    key: str
    kind: str
    image: Image.Image
    prompt: str
    target: str
    subject: str | None
    mask: NDArray[np.bool_]


def decode_mask(runs: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """The region of `size` (width, height) from (start, length) pairs over its rows; the outermost pixels always belong to it."""
    width, height = size
    if len(runs) % 2:
        raise ValueError(f"a run-length mask has pairs of start and length, got {len(runs)} numbers")
    flat = np.zeros(width * height, dtype=bool)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        flat[start : start + length] = True
    mask: NDArray[np.bool_] = flat.reshape(height, width)
    mask[[0, -1]] = True
    mask[:, [0, -1]] = True
    return mask


def subject_of(blended: str, prompt: str, target: str) -> str | None:
    """The word to learn: the first of the record's blended words that stands in both prompts, if one does."""
    for word in blended.split():
        if not changed_words(prompt, word) and not changed_words(target, word):
            return word
    return None


def read(folder: Path) -> list[Item]:
    """All records, in the order of their keys. Raises `FileNotFoundError` or `ValueError` saying what the folder lacks."""
    mapping = folder / "mapping_file.json"
    if not mapping.is_file():
        raise FileNotFoundError(f"{folder} is no PIE-Bench folder: it needs mapping_file.json and annotation_images/")
    records: dict[str, dict[str, Any]] = json.loads(mapping.read_text())
    return [_item(folder, key, records[key]) for key in sorted(records)]


def _item(folder: Path, key: str, record: Mapping[str, Any]) -> Item:
    path = folder / "annotation_images" / record["image_path"]
    if not path.is_file():
        raise FileNotFoundError(f"the image of record {key} is missing: {path}")
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.width != image.height:
        raise ValueError(f"PIE-Bench images are square; that of record {key} is {image.width} × {image.height}")
    prompt, target = (record[name].replace("[", "").replace("]", "") for name in ("original_prompt", "editing_prompt"))
    return Item(
        key=key,
        kind=TYPES[int(record["editing_type_id"])],
        image=image,
        prompt=prompt,
        target=target,
        subject=subject_of(record["blended_word"], prompt, target),
        mask=decode_mask(record["mask"], image.size),
    )


def case_of(pipe: S2EditPipeline, item: Item) -> Case:
    """The whole picture as the frame; [I] may act where the edit may."""
    side = pipe.backbone.frame_size
    mask = Image.fromarray((item.mask * 255).astype(np.uint8))
    canvas = Canvas(item.image, mask, mask, (0, 0, *item.image.size), (side, side))
    return Case(canvas, item.prompt, item.subject, {EDIT: item.target})


@dataclass(frozen=True, eq=False)
class Eyes:
    """The models that some figures need, where they were given."""

    clip: ClipScore | None = None
    structure: StructureDistance | None = None


def measure(item: Item, edited: Image.Image, eyes: Eyes) -> dict[str, Any]:
    """The published figures of one edited picture; those of the background are left out where there is none.

    MSE is of pixels in 0..1. CLIP scores are cosines times 100; the edited part is seen with all else black.
    """
    shown = edited.resize(item.image.size, Image.Resampling.LANCZOS)
    source, got, background = np.asarray(item.image), np.asarray(shown), ~item.mask
    found: dict[str, Any] = {"item": item.key, "edit": EDIT, "type": item.kind}
    if background.any():
        kept = background[:, :, None]
        black_source, black_got = source * kept, got * kept
        error = mse(black_source, black_got)
        found["psnr_background"] = psnr_of(error)
        found["mse_background"] = error / 255**2
        found["ssim_background"] = ssim(black_source, black_got)
        found["psnr_background_pixels"] = psnr_of(mse(source, got, background))
    if eyes.clip is not None:
        found["clip_whole"] = eyes.clip(shown, item.target)
        found["clip_edited"] = eyes.clip(Image.fromarray(got * item.mask[:, :, None]), item.target)
    if eyes.structure is not None:
        found["structure_distance"] = eyes.structure(item.image, shown)
    return found


def result_of(name: str, parts: Sequence[Part], records: Sequence[Mapping[str, Any]], skipped: int) -> dict[str, Any]:
    """What stands in the results under a method's name; `skipped` records have no word that could be learned."""
    known = {kind: [record for record in records if record["type"] == kind] for kind in TYPES}
    return {
        "title": METHODS[name].title,
        "recipe": recipe(METHODS[name]),
        "guidance_gain": METHODS[name].guidance_gain,
        "skipped": skipped,
        "summary": {"all": _means(records), **{kind: _means(some) for kind, some in known.items() if some}},
        "intervals": {"all": intervals(records, FIGURES)},
        "cost": costs(parts, len(records), len(records)),
        "seconds": round(sum(cost.seconds for part in parts for cost in part.costs.values()), 1),
        "records": [rounded(record) for record in records],
    }


def _means(records: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    found: dict[str, float] = {"cases": len(records)}
    for figure in FIGURES:
        values = [record[figure] for record in records if figure in record]
        if values:
            found[figure] = round(statistics.fmean(values), 6)
    return found


def usable(method: Method | Reference) -> bool:
    """There are no true answers here, and no other pictures to take anything from."""
    return not (isinstance(method, Composed) or (isinstance(method, Reference) and method.shows_answer))


def run_method(
    pipe: S2EditPipeline, name: str, items: Sequence[Item], eyes: Eyes, wanted: argparse.Namespace, sheet: Path
) -> dict[str, Any]:
    """Run and measure a method; one that learns a subject leaves out the records that name none."""
    method, guidance = METHODS[name], pipe.guidance(wanted.guidance)
    fitting = [item for item in items if item.subject is not None or not method.needs_subject]
    records: list[dict[str, Any]] = []
    parts: list[Part] = []
    rows: list[Row] = []
    for start in range(0, len(fitting), wanted.group):
        some = fitting[start : start + wanted.group]
        part = made(pipe, method, [case_of(pipe, item) for item in some], guidance, wanted.work / "pie-bench")
        records += [measure(item, part.pictures[i, EDIT], eyes) for i, item in enumerate(some)]
        parts.append(part)
        shown = [(part.pictures[i, EDIT], part.pictures[i, RECONSTRUCTION]) for i in range(len(some))]
        rows += [Row(item.image, {EDIT: pair}) for item, pair in zip(some, shown, strict=True)]
        rows = rows[:SHEET_ITEMS]
        print(name, start + len(some), "records", json.dumps(_means(records)), flush=True)
    if not records:
        raise ValueError(f"{name} has no record to run on: none of {len(items)} has a blended word that stands in both prompts")
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, [EDIT]).save(sheet)
    return result_of(name, parts, records, len(items) - len(fitting))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("PIE-Bench")
    group.add_argument("--pie-bench", type=Path, help="its folder; then --model names a Stable Diffusion model")
    group.add_argument("--items", type=int, default=None, help="only the first so many records")
    group.add_argument("--clip", help="folder or hub id of a CLIP model (published: openai/clip-vit-large-patch14), for its scores")
    group.add_argument("--dino", help="folder or hub id of a DINO ViT (published: facebook/dino-vitb8), for the structure distance")


def run(pipe: S2EditPipeline, wanted: argparse.Namespace, out: Path) -> None:
    items = read(wanted.pie_bench)[: wanted.items]
    device = pipe.backbone.device
    eyes = Eyes(
        ClipScore(wanted.clip, device) if wanted.clip else None, StructureDistance(wanted.dino, device) if wanted.dino else None
    )
    setting = {
        "bench": "PIE-Bench",
        "items": len(items),
        "guidance_scale": pipe.guidance(wanted.guidance),
        "model": pipe.backbone.fingerprint,
        "measures": VERSION,
        "clip": wanted.clip,
        "dino": wanted.dino,
    }
    names = chosen(wanted.methods, usable)
    if unusable := [name for name in names if not usable(METHODS[name])]:
        raise ValueError(f"{unusable[0]!r} needs true answers or pictures to take from, which PIE-Bench has not")
    fill(
        out,
        setting,
        names,
        lambda name: run_method(pipe, name, items, eyes, wanted, out.with_name(f"{out.stem}-{name}.png")),
        {},
        wanted.against,
        FIGURES,
    )

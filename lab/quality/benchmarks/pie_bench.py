"""PIE-Bench (Ju et al., arXiv 2310.01506) with the methods of the quality bench.

The folder contains `mapping_file.json` and `annotation_images/`. There is no ground truth, so the background, which the annotation
protects, is compared with the source. The published code blackens the edited region in both pictures and compares the whole frame,
which counts the black pixels as perfect. `psnr_background_pixels` counts only the pixels of the background. Published figures for
comparison (SD 1.4, P2P): null-text 27.03 dB, 84.11 SSIM·100; Direct Inversion 27.22 dB, 84.76.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lab.measures.bootstrap import intervals
from lab.measures.faces import FaceEmbedder, Levels, identity, open_face_embedder
from lab.measures.metrics import mse, psnr_of, ssim
from lab.measures.perceptual import ClipScore, StructureDistance
from lab.measures.sheets import Row, contact_sheet
from lab.quality.methods import METHODS, select_methods
from lab.quality.parts import Part, load_or_run
from lab.quality.phases import RECONSTRUCTION, Case, Method, Reference
from lab.quality.recipes import recipe
from lab.quality.runs import costs, rounded, update_results
from s2edit_core.delivery.canvas import Canvas
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.prompts import changed_words

FIGURES = (
    *("psnr_background", "mse_background", "ssim_background", "psnr_background_pixels"),
    *("identity", "clip_pictures", "clip_whole", "clip_edited", "structure_distance"),
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
    """One record of the benchmark, with prompts without brackets. `mask` `(H, W)` is true where the edit may change pixels."""

    key: str
    kind: str
    image: Image.Image
    prompt: str
    target: str
    subject: str | None
    mask: NDArray[np.bool_]


def decode_mask(runs: Sequence[int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Decode (start, length) pairs in row order into a mask of `size` (width, height). As published, it includes the border pixels.

    Raises `ValueError` for an odd count of numbers.
    """
    width, height = size
    if len(runs) % 2:
        raise ValueError(f"a run-length mask needs pairs of start and length, got {len(runs)} numbers")
    flat = np.zeros(width * height, dtype=bool)
    for start, length in zip(runs[::2], runs[1::2], strict=True):
        flat[start : start + length] = True
    mask: NDArray[np.bool_] = flat.reshape(height, width)
    mask[[0, -1]] = True
    mask[:, [0, -1]] = True
    return mask


def subject_of(blended: str, prompt: str, target: str) -> str | None:
    """Return the word to learn: the first of the record's blended words that both prompts contain, if any."""
    for word in blended.split():
        if not changed_words(prompt, word) and not changed_words(target, word):
            return word
    return None


def read(folder: Path) -> list[Item]:
    """Return all records, sorted by key. Raises `FileNotFoundError` or `ValueError` if the folder is incomplete or invalid."""
    mapping = folder / "mapping_file.json"
    if not mapping.is_file():
        raise FileNotFoundError(f"{folder} is not a PIE-Bench folder: it needs mapping_file.json and annotation_images/")
    records: dict[str, dict[str, Any]] = json.loads(mapping.read_text())
    return [_item(folder, key, records[key]) for key in sorted(records)]


def _item(folder: Path, key: str, record: Mapping[str, Any]) -> Item:
    path = folder / "annotation_images" / record["image_path"]
    if not path.is_file():
        raise FileNotFoundError(f"the image of record {key} is missing: {path}")
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.width != image.height:
        raise ValueError(f"PIE-Bench images must be square; that of record {key} is {image.width} × {image.height}")
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
    """Return the record as a case: the frame is the whole picture, and [I] acts inside the edit mask."""
    side = pipe.backbone.frame_size
    mask = Image.fromarray((item.mask * 255).astype(np.uint8))
    canvas = Canvas(item.image, mask, mask, (0, 0, *item.image.size), (side, side))
    return Case(canvas, item.prompt, item.subject, {EDIT: item.target})


@dataclass(frozen=True, eq=False)
class PerceptualModels:
    """The models for CLIP scores, structure distance and identity, if the caller named them."""

    clip: ClipScore | None = None
    structure: StructureDistance | None = None
    faces: FaceEmbedder | None = None


def measure(item: Item, edited: Image.Image, models: PerceptualModels) -> dict[str, Any]:
    """Return the published figures of one edited picture. Those without their pixels or their model are missing.

    MSE is of pixels in 0..1. CLIP scores are cosines times 100. For `clip_edited`, everything outside the mask is black.
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
    if models.faces is not None:
        found["identity"] = identity(models.faces, item.image, shown)
    if models.clip is not None:
        found["clip_pictures"] = models.clip.of_pictures(item.image, shown)
        found["clip_whole"] = models.clip(shown, item.target)
        found["clip_edited"] = models.clip(Image.fromarray(got * item.mask[:, :, None]), item.target)
    if models.structure is not None:
        found["structure_distance"] = models.structure(item.image, shown)
    return found


def result_of(name: str, parts: Sequence[Part], records: Sequence[Mapping[str, Any]], skipped: int) -> dict[str, Any]:
    """Return the entry of a method in the results file. `skipped` counts the records without a word to learn."""
    kinds = dict.fromkeys(record["type"] for record in records)
    known = {kind: [record for record in records if record["type"] == kind] for kind in kinds}
    return {
        "title": METHODS[name].title,
        "recipe": recipe(METHODS[name]),
        "guidance_gain": METHODS[name].guidance_gain,
        "skipped": skipped,
        "summary": {"all": _means(records), **{kind: _means(some) for kind, some in known.items()}},
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
    """Return whether PIE-Bench can run the method. It has no ground truths."""
    return not (isinstance(method, Reference) and method.shows_answer)


def run_method(
    pipe: S2EditPipeline, name: str, items: Sequence[Item], models: PerceptualModels, wanted: argparse.Namespace, sheet: Path
) -> dict[str, Any]:
    """Run and measure a method. A method that learns a subject skips the records without one."""
    method, guidance = METHODS[name], pipe.guidance(wanted.guidance)
    fitting = [item for item in items if item.subject is not None or not method.needs_subject]
    records: list[dict[str, Any]] = []
    parts: list[Part] = []
    rows: list[Row] = []
    for start in range(0, len(fitting), wanted.group):
        some = fitting[start : start + wanted.group]
        part = load_or_run(pipe, method, [case_of(pipe, item) for item in some], guidance, wanted.work / "pie-bench")
        records += [measure(item, part.pictures[i, EDIT], models) for i, item in enumerate(some)]
        parts.append(part)
        shown = [(part.pictures[i, EDIT], part.pictures[i, RECONSTRUCTION]) for i in range(len(some))]
        rows += [Row(item.image, {EDIT: pair}) for item, pair in zip(some, shown, strict=True)]
        rows = rows[:SHEET_ITEMS]
        print(name, start + len(some), "records", json.dumps(_means(records)), flush=True)
    if not records:
        raise ValueError(f"{name} has no record to run on: in none of {len(items)} do both prompts contain the same blended word")
    sheet.parent.mkdir(parents=True, exist_ok=True)
    contact_sheet(rows, [EDIT]).save(sheet)
    return result_of(name, parts, records, len(items) - len(fitting))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("benchmarks of photographs; --model must then name a Stable Diffusion model")
    group.add_argument("--pie-bench", type=Path, help="PIE-Bench folder")
    group.add_argument("--ffhq-edit", type=Path, help="folder of FFHQ pictures, for FFHQ-edit; needs --prompts")
    group.add_argument("--prompts", type=Path, help="FFHQ-edit's prompts_simple.json")
    group.add_argument("--items", type=int, default=None, help="number of records to use, from the first")
    group.add_argument(
        "--clip", help="folder or hub id of a CLIP model for the CLIP scores (published: openai/clip-vit-large-patch14)"
    )
    group.add_argument("--dino", help="folder or hub id of a DINO ViT for the structure distance (published: facebook/dino-vitb8)")
    group.add_argument("--faces", help="face embedder for the identity: an ONNX file, or folder or hub id of a transformers model")
    group.add_argument(
        "--face-levels", choices=get_args(Levels), default="signed", help="pixels of an ONNX embedder: -1..1, or 0..255 (SFace)"
    )


def items_of(wanted: argparse.Namespace) -> tuple[str, list[Item]]:
    """Return the name of the chosen benchmark and its records."""
    if wanted.ffhq_edit is None:
        return "PIE-Bench", read(wanted.pie_bench)
    if wanted.prompts is None:
        raise ValueError("FFHQ-edit needs --prompts: prompts_simple.json of FlyMyAI/bench_M1")
    from lab.quality.benchmarks import ffhq_edit  # it builds its records from this module's

    return "FFHQ-edit", ffhq_edit.read(wanted.ffhq_edit, wanted.prompts)


def run(pipe: S2EditPipeline, wanted: argparse.Namespace, out: Path) -> None:
    bench, items = items_of(wanted)
    items = items[: wanted.items]
    device = pipe.backbone.device
    models = PerceptualModels(
        ClipScore(wanted.clip, device) if wanted.clip else None,
        StructureDistance(wanted.dino, device) if wanted.dino else None,
        open_face_embedder(wanted.faces, levels=wanted.face_levels, device=device) if wanted.faces else None,
    )
    setting = {
        "bench": bench,
        "items": len(items),
        "guidance_scale": pipe.guidance(wanted.guidance),
        "model": pipe.backbone.fingerprint,
        "measures": VERSION,
        "clip": wanted.clip,
        "dino": wanted.dino,
        "faces": wanted.faces,
    }
    names = select_methods(wanted.methods, usable)
    if unusable := [name for name in names if not usable(METHODS[name])]:
        raise ValueError(f"{unusable[0]!r} needs ground truths or reference pictures, which {bench} does not have")
    update_results(
        out,
        setting,
        names,
        lambda name: run_method(pipe, name, items, models, wanted, out.with_name(f"{out.stem}-{name}.png")),
        {},
        wanted.against,
        FIGURES,
    )

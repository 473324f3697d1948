"""FFHQ-edit, the face identity benchmark of FlyMyAI/bench_M1, with the methods of the quality bench.

Its published layout: a folder of FFHQ pictures (`00000.png`, …; the first 50 by name count) and `prompts_simple.json`, whose
`categories` hold lists of prompts by intensity. The prompts are instructions. The methods need descriptions, so `TARGETS` has one
for each of the 20 published prompts. The benchmark's longer prompts are wordings for three products, and are left out.

There are no masks and no ground truths. Published figures: identity (cosine of face embeddings, whole pictures at 112 × 112), CLIP
similarity of both pictures, and FID over all of them, which is left out: it needs many more pictures than 50 to say anything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lab.quality.benchmarks.pie_bench import Item

PEOPLE = 50
"""The benchmark takes the first 50 pictures by name."""
SOURCE, SUBJECT = "a photo of a person", "person"
SUFFIXES = (".png", ".jpg", ".jpeg")
INTENSITIES = ("intensity_1_subtle", "intensity_2_moderate", "intensity_3_intense")
TARGETS: Mapping[str, str] = {
    "Make the person smile slightly": "a photo of a slightly smiling person",
    "Make the person very happy": "a photo of a very happy person",
    "Make them look surprised": "a photo of a surprised person",
    "Make them look sad": "a photo of a sad person",
    "Make them furious": "a photo of a furious person",
    "Make them look like a teenager": "a photo of a teenage person",
    "Make the person look like a child": "a photo of a person as a child",
    "Make them look elderly": "a photo of an elderly person",
    "Make the person look like a baby": "a photo of a person as a baby",
    "Age them to 70 years old": "a photo of a 70 years old person",
    "Change hair to blonde": "a photo of a person with blonde hair",
    "Change to curly red hair": "a photo of a person with curly red hair",
    "Make hair very short": "a photo of a person with very short hair",
    "Give them rainbow colored hair": "a photo of a person with rainbow colored hair",
    "Make them completely bald": "a photo of a completely bald person",
    "Add simple glasses": "a photo of a person with simple glasses",
    "Add sunglasses": "a photo of a person with sunglasses",
    "Add a baseball cap": "a photo of a person with a baseball cap",
    "Add elaborate crown": "a photo of a person with an elaborate crown",
    "Add face paint": "a photo of a person with face paint",
}
"""The description of the edited picture by published prompt."""


def read(folder: Path, prompts: Path) -> list[Item]:
    """Return an item per picture and prompt, by picture and then by prompt.

    The keys are the benchmark's names of results: picture, category, intensity and number of the prompt. Raises `FileNotFoundError`
    or `ValueError` for a folder or file of another layout, and for a prompt without a description.
    """
    pictures = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES) if folder.is_dir() else []
    if not pictures:
        raise FileNotFoundError(f"{folder} holds no FFHQ pictures ({', '.join(SUFFIXES)})")
    if not prompts.is_file():
        raise FileNotFoundError(f"the prompts are missing: {prompts}. They are prompts_simple.json of FlyMyAI/bench_M1")
    wanted = list(_prompts(json.loads(prompts.read_text(encoding="utf-8"))))
    return [_item(path, *each) for path in pictures[:PEOPLE] for each in wanted]


def _prompts(about: Mapping[str, Any]) -> Iterator[tuple[str, str, int, str]]:
    """Yield category, intensity, number and description of each prompt."""
    if "categories" not in about:
        raise ValueError("the prompts have no categories: name prompts_simple.json of FlyMyAI/bench_M1")
    for category, lists in about["categories"].items():
        for intensity in INTENSITIES:
            for prompt in lists.get(intensity, ()):
                if prompt["prompt"] not in TARGETS:
                    raise ValueError(f"there is no description for {prompt['prompt']!r}: add it to TARGETS")
                yield category, intensity.split("_")[1], int(prompt["id"]), TARGETS[prompt["prompt"]]


def _item(path: Path, category: str, intensity: str, number: int, target: str) -> Item:
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    if image.width != image.height:
        raise ValueError(f"FFHQ pictures are square; {path.name} is {image.width} × {image.height}")
    everywhere = np.ones((image.height, image.width), dtype=np.bool_)
    return Item(f"{path.stem}_{category}_{intensity}_{number}", category, image, SOURCE, target, SUBJECT, everywhere)

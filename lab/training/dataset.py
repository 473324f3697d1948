"""Rendered pictures on disk: what a training set consists of, and its shards. Needs no torch.

A shard is one uncompressed `.npz` of `SHARD` consecutive seeds of a domain. It appears whole, by renaming, so training can start
with the shards that exist and read the others as they come.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import io
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lab.training.tokenizer import MAX_TOKENS, Vocabulary
from lab.world.domain import UNSEEN, Domain, Subject
from lab.world.names import UNNAMED, Looks, Naming
from s2edit_core.whole_files import write_whole

WORK = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "s2edit" / "train"
"""Default folder of renders and checkpoints; `--work` overrides it."""
SIZE = 128
LATENT_CHANNELS = 8
SHARD = 100
CAPTIONS = 16
"""Captions per picture: the full one, and random ones."""
MASKED_SIZE = 2 * SIZE
"""Side of the pictures with masks, so that close-ups of them are sharp."""
MASKED_SHARE = 1 / 24
"""Pictures with masks, as a share of the others. The segmenter needs no more, and a mask takes as long as a picture."""
DOMAINS = ("lab.world.person:96000:0.6", "lab.world.cat:24000:0.2", "lab.world.church:24000:0.2")
UNSEEN_COUNT = 600
"""Rendered subjects per domain that are never trained on."""
FORM = "MODULE:PICTURES:WEIGHT[:NAMED:PHOTOS[:LOOKS]]"
"""How a domain of the training set is given. LOOKS are such as `makeup=160x100,hat=40x50`: 160 makeups with 100 photos each, and 40
hats with 50."""
FOCUS = 32
"""Side of the map that says where a named look shows."""
FOCUS_LEVELS = 6
"""A look shows where it changes a picture by more than so many 8-bit levels."""


@dataclass(frozen=True)
class Part:
    """One domain of the training set: the module that exports it as `DOMAIN`, its number of pictures, its share of each batch.

    `naming` says which of its identities have a name, and how many photos each.
    """

    module: str
    count: int
    weight: float
    naming: Naming = field(default=UNNAMED)

    @classmethod
    def parsed(cls, text: str, first_name: int = 0, first_look: int = 0) -> Part:
        """Read `FORM`. Names are counted from `first_name`, looks from `first_look`. Raises `ValueError` for any other text."""
        try:
            module, count, weight, *naming = text.split(":")
            named, photos = (int(number) for number in naming[:2] or (0, UNNAMED.photos))
            looks = tuple(_looks(each) for each in "".join(naming[2:]).split(",") if each)
            part = cls(module, int(count), float(weight), Naming(named, photos, first_name, looks, first_look))
        except ValueError as error:
            raise ValueError(f"expected {FORM}, such as {DOMAINS[0]} or {DOMAINS[0]}:4000:8, got {text!r} ({error})") from None
        if unknown := {each.word for each in looks} - set(part.domain.looks):
            raise ValueError(f"{text!r}: {part.domain.name} has no looks of {', '.join(sorted(unknown))}")
        if part.naming.pictures > part.count:
            raise ValueError(f"{text!r} names more photos than the {part.count} pictures that it renders")
        return part

    @cached_property
    def domain(self) -> Domain:
        exported: Domain = importlib.import_module(self.module).DOMAIN
        return exported


def _looks(text: str) -> Looks:
    word, numbers = text.split("=")
    count, photos = (int(number) for number in numbers.split("x"))
    return Looks(word, count, photos)


@dataclass(frozen=True)
class Plan:
    """The training set."""

    parts: tuple[Part, ...]
    work: Path
    unseen_count: ClassVar[int] = UNSEEN_COUNT

    @classmethod
    def of(cls, options: argparse.Namespace) -> Plan:
        parts: list[Part] = []
        for text in options.domain or DOMAINS:
            named, looks = sum(part.naming.named for part in parts), sum(part.naming.look_count for part in parts)
            parts.append(Part.parsed(text, named, looks))
        return cls(tuple(parts), options.work)

    @cached_property
    def domains(self) -> dict[str, Domain]:
        return {part.domain.name: part.domain for part in self.parts}

    @cached_property
    def words(self) -> tuple[str, ...]:
        names = {name for part in self.parts for name in part.naming.names()}
        return tuple(sorted(names.union(*(domain.words for domain in self.domains.values()))))

    @cached_property
    def namings(self) -> dict[str, Naming]:
        return {part.domain.name: part.naming for part in self.parts}

    @cached_property
    def vocabulary(self) -> Vocabulary:
        return Vocabulary(self.words)

    @cached_property
    def folders(self) -> dict[str, Path]:
        """The folder of each domain's shards. Its name changes with what the domain draws and says."""
        return {name: self.work / "renders" / f"{name}-{self._digest(domain)}" for name, domain in self.domains.items()}

    @property
    def recipe(self) -> str:
        """The part of a checkpoint's recipe that describes the data."""
        weights = [part.weight for part in self.parts]
        return f"{' '.join(folder.name for folder in self.folders.values())} weights={weights}"

    def _digest(self, domain: Domain) -> str:
        shard = self.rendered(domain.name, range(3))
        return hashlib.sha256(b"".join(shard[name].tobytes() for name in sorted(shard or {}))).hexdigest()[:8]

    def rendered(self, domain: str, seeds: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return the shard of these seeds."""
        return render_shard(self.domains[domain], self.vocabulary, seeds, self.namings[domain])

    def jobs(self) -> list[tuple[str, int]]:
        """Return domain and first seed of every shard: one of each kind, the unseen ones, then those of training in proportion."""
        counts = {part.domain.name: min(self.unseen_count, part.count) for part in self.parts}
        unseen = [(name, UNSEEN + start) for name, count in counts.items() for start in range(0, count, SHARD)]
        trained = [(start / part.count, part.domain.name, start) for part in self.parts for start in range(0, part.count, SHARD)]
        first = [(name, start) for name in self.domains for start in (0, UNSEEN)]
        return list(dict.fromkeys([*first, *unseen, *((name, start) for _, name, start in sorted(trained))]))

    def bare(self) -> Plan:
        """Return a copy to send to another process. The domains themselves may not be picklable."""
        return type(self)(tuple(Part(part.module, part.count, part.weight, part.naming) for part in self.parts), self.work)

    def shard(self, domain: str, start: int) -> Path:
        return self.folders[domain] / f"{start:08d}.npz"

    def finished(self, domain: str, *, unseen: bool) -> list[Path]:
        """Return the shards of `domain` that exist, in order of their seeds."""
        paths = sorted(self.folders[domain].glob("*.npz"))
        return [path for path in paths if (int(path.stem) >= UNSEEN) == unseen]


@dataclass(frozen=True)
class MaskedPlan(Plan):
    """The pictures that the segmenter learns from: each has its mask, and nobody a name."""

    unseen_count: ClassVar[int] = 100

    @classmethod
    def of(cls, options: argparse.Namespace) -> MaskedPlan:
        parts = Plan.of(options).parts
        return cls(tuple(Part(part.module, math.ceil(part.count * MASKED_SHARE), part.weight) for part in parts), options.work)

    def rendered(self, domain: str, seeds: Sequence[int]) -> dict[str, NDArray[Any]]:
        """Return `pixels` `(n, 256, 256, 3)` and `masks` `(n, 256, 256)` of these seeds."""
        drawn = self.domains[domain]
        subjects = [drawn.sample(seed) for seed in seeds]
        masks = np.stack([np.asarray(drawn.mask(subject, MASKED_SIZE)) for subject in subjects])
        return {"pixels": np.stack([_pixels(drawn, subject, MASKED_SIZE) for subject in subjects]), "masks": masks}


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--work", type=Path, default=WORK, help="folder of renders and checkpoints")
    parser.add_argument(
        "--domain",
        action="append",
        metavar=FORM,
        help=f"repeatable; NAMED identities get a pseudo-name and PHOTOS photos each; default: {' '.join(DOMAINS)}",
    )


def captions(domain: Domain, seed: int, naming: Naming = UNNAMED) -> list[str]:
    """Return the captions of a picture: the one that names all attributes, then random ones, some with the identity's name."""
    return naming.captions(domain, seed, CAPTIONS)


def render_shard(domain: Domain, vocabulary: Vocabulary, seeds: Sequence[int], naming: Naming = UNNAMED) -> dict[str, NDArray[Any]]:
    """Return the shard of these seeds.

    `pixels` `(n, 128, 128, 3)`, `focus` `(n, 32, 32)` where a named look shows, `tokens` of the captions, `labels` and `identity`
    vectors.
    """
    subjects = [naming.shown(domain, seed)[0] for seed in seeds]
    names = list(domain.labels)
    labels = [[domain.label(subject.attributes)[name] for name in names] for subject in subjects]
    tokens = [[vocabulary.encode(text) for text in captions(domain, seed, naming)] for seed in seeds]
    pixels = np.stack([_pixels(domain, subject) for subject in subjects])
    focus = [_focus(domain, *each) for each in zip(subjects, pixels, map(naming.look, seeds), strict=True)]
    return {
        "pixels": pixels,
        "focus": np.stack(focus),
        "tokens": np.array(tokens, dtype=np.int16).reshape(len(seeds), CAPTIONS, MAX_TOKENS),
        "labels": np.array(labels, dtype=np.int8).reshape(len(seeds), len(names)),
        "identity": np.stack([domain.identity_vector(subject.identity) for subject in subjects]).astype(np.float32),
    }


def _pixels(domain: Domain, subject: Subject, size: int = SIZE) -> NDArray[np.uint8]:
    return np.asarray(domain.render(subject, size).convert("RGB"))


def _focus(domain: Domain, subject: Subject, pixels: NDArray[np.uint8], look: tuple[str, int] | None) -> NDArray[np.bool_]:
    """Return where the named look of a picture shows, `(FOCUS, FOCUS)`: nowhere, if there is none."""
    if look is None:
        return np.zeros((FOCUS, FOCUS), dtype=bool)
    without = _pixels(domain, domain.change(subject, **{look[0]: False}))
    changed = np.abs(pixels.astype(np.int16) - without).max(axis=2) > FOCUS_LEVELS
    cell = SIZE // FOCUS
    found: NDArray[np.bool_] = changed.reshape(FOCUS, cell, FOCUS, cell).any(axis=(1, 3))
    return found


def save_shard(path: Path, arrays: dict[str, NDArray[Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shard = io.BytesIO()
    np.savez(shard, **arrays)  # type: ignore[arg-type]
    write_whole(path, shard.getvalue())


def unfinished(plan: Plan, jobs: Iterable[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return the jobs whose shard is missing."""
    return [job for job in jobs if not plan.shard(*job).exists()]

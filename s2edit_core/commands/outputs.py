"""The files that a command writes, checked before minutes of work and not after them."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from itertools import combinations
from pathlib import Path

from s2edit_core.delivery.output import SUFFIXES, check_writable, format_of
from s2edit_core.errors import OptionInvalid

FILES = ("output", "keep_mask", "keep", "checkpoint", "report")
"""The options that name a file to write, as `argparse` calls them."""
INPUTS = (
    "photo",
    "mask",
    "edit_mask",
    "person",
    "region",
    "reference",
    "reference_region",
    "reference_person",
    "identity",
    "inversion",
)
"""Those that name a file to read."""
EXPORT = "export"
"""The option that names a folder to write into, which may be missing."""


def check_outputs(args: argparse.Namespace) -> None:
    """Raise `OptionInvalid` unless all files of the command can be written, each under a name that says what it holds."""
    named = {name: path for name in FILES if (path := getattr(args, name, None))}
    for name, path in named.items():
        check_writable(path, name)
        if name == "output" and hasattr(args, "output_quality"):  # the command writes a picture
            format_of(path)
        elif name == "keep_mask":
            check_mask_name(path)
        elif Path(path).suffix.lower() in SUFFIXES and Path(path).suffix:
            option, suffix = f"--{name.replace('_', '-')}", ".json" if name == "report" else ".safetensors"
            raise OptionInvalid(f"{option} writes no picture: name the file {suffix}, not {path}", field=name)
    check_distinct(named.values())
    for path in named.values():
        check_spares(path, (getattr(args, name, None) for name in INPUTS))
    if folder := getattr(args, EXPORT, None):
        _check_folder(Path(folder))


def check_distinct(outputs: Iterable[str | Path]) -> None:
    """Raise `OptionInvalid` if two outputs are one file, by whatever names: the second would overwrite the first."""
    for one, other in combinations(map(Path, outputs), 2):
        if is_same_file(one, other):
            raise OptionInvalid(f"two outputs have the same file, {other}: give each a name of its own", field="output")


def check_spares(output: str | Path, inputs: Iterable[str | Path | None]) -> None:
    """Raise `OptionInvalid` if the output would replace one of the inputs that were given, by whatever names."""
    if any(path and is_same_file(Path(output), Path(path)) for path in inputs):
        raise OptionInvalid(f"{output} is to be read and written: name another file to write", field="output")


def is_same_file(one: Path, other: Path) -> bool:
    """Return whether both paths name one file, which may not exist yet. Links are followed."""
    return one.resolve() == other.resolve() or (one.exists() and other.exists() and one.samefile(other))


def check_mask_name(path: str | Path) -> None:
    """Raise `OptionInvalid` if the file of a mask that is found is not named as a PNG."""
    if Path(path).suffix.lower() not in ("", ".png"):
        raise OptionInvalid(f"a mask that is found is a PNG: name the file .png, not {path}", field="keep_mask")


def _check_folder(folder: Path) -> None:
    existing = next(parent for parent in (folder.absolute(), *folder.absolute().parents) if parent.exists())
    if not existing.is_dir():
        raise OptionInvalid(f"{existing} is a file: name a folder for --export", field=EXPORT)
    check_writable(existing / "learned_embeds.safetensors", EXPORT)

"""The inputs of commands: photos, masks, the model, and prompts."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from s2edit_core.commands.progress import say_warnings
from s2edit_core.errors import ArtifactMismatch, ImageInvalid, InvalidInput, OptionInvalid
from s2edit_core.pictures.files import declared_picture, decode_photo, encode_png
from s2edit_core.pictures.mask_files import check_found, decode_mask
from s2edit_core.request.prompts import (
    applied_placeholders,
    check_placeholders,
    check_sentences,
    known_subject,
    photo_of,
    resolve_subject,
    with_placeholder,
    without_placeholders,
)
from s2edit_core.request.spec import PLACEHOLDER, ConceptKind, EditRequest
from s2edit_core.vision.reference_person import shown_by
from s2edit_core.whole_files import write_whole

if TYPE_CHECKING:
    from PIL import Image

    from s2edit_core.concepts.concept import Concept
    from s2edit_core.method.inversion import Inversion
    from s2edit_core.pipeline import S2EditPipeline
    from s2edit_core.vision.segmenters import Segmenter


def read_file(path: str, what: str) -> bytes:
    """Return the bytes of a picture file. Raises `ImageInvalid` that says `what` it was."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageInvalid(f"the {what} {path} can't be read: {error.strerror}", field=what) from error


def read_photo(args: argparse.Namespace) -> Image.Image:
    """Return the photo as RGB, scaled down to `--max-pixels`."""
    return decode_photo(read_file(args.photo, "photo"), args.max_pixels)


def read_mask(
    args: argparse.Namespace, path: str, photo: Image.Image, field: str, *, photo_file: str | None = None, person: bool = False
) -> Image.Image:
    """Return a mask (L) of the photo's size; `photo_file`, by default the edited photo, is the photo's file.

    `person` tells whether the mask marks a person. Raises `InvalidInput` that names the file, since a command takes several masks.
    """
    data = read_file(path, "mask")
    mode = getattr(args, "edit_mask_mode", None) if field == "edit_mask" else None
    try:
        sent = math.prod(declared_picture(read_file(photo_file or args.photo, "photo")).size)
        return decode_mask(data, photo.size, field, mode or args.mask_mode, person=person, sent_pixels=sent)
    except InvalidInput as error:
        raise type(error)(f"{path}: {error}", field=field, reason=error.reason) from error


def given_mask(
    args: argparse.Namespace, photo: Image.Image, *, person: bool = True, finds_another: bool = False
) -> Image.Image | None:
    """Return the mask of `--mask`; None if the person is to be found.

    `finds_another` tells whether somebody else is found, as who shows an attribute is. Raises `OptionInvalid` for options that
    exclude each other.
    """
    _check_mask_modes(args)
    for name in ("keep_mask", "at") if finds_another else ("keep_mask", "at", "segmenter"):
        if args.mask and getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            remedy = f"leave out {option}" if getattr(args, "attribute", None) is not None else f"leave out --mask or {option}"
            raise OptionInvalid(f"{option} applies when the person is to be found: {remedy}", field=name)
    return read_mask(args, args.mask, photo, "mask", person=person) if args.mask else None


def _check_mask_modes(args: argparse.Namespace) -> None:
    """Raise `OptionInvalid` for a mask mode without a mask that it could apply to."""
    edit_mask, edit_mask_mode = getattr(args, "edit_mask", None), getattr(args, "edit_mask_mode", None)
    if edit_mask_mode is not None and not edit_mask:
        raise OptionInvalid("--edit-mask-mode says how to read --edit-mask: give both, or neither", field="edit_mask_mode")
    regions = getattr(args, "reference_region", None) or any(len(given) > 1 for given in getattr(args, "attributes", ()))
    if args.mask_mode != "auto" and not (args.mask or regions or (edit_mask and edit_mask_mode is None)):
        raise OptionInvalid("--mask-mode says how to read a mask: give --mask too, or leave --mask-mode out", field="mask_mode")


def find_mask(args: argparse.Namespace, pipe: S2EditPipeline, photo: Image.Image, prompt: str) -> Image.Image:
    """Find the person by the segmenter. Write the mask to `--keep-mask`, and store its facts for the report."""
    found = _segmenter(pipe, args.segmenter).find(photo, prompt=without_placeholders(prompt), at=args.at)
    args.found = found.facts()
    if args.keep_mask:
        write_whole(args.keep_mask, encode_png(found.mask))
    check_found(found.mask)
    return found.mask


@lru_cache(maxsize=1)
def _segmenter(pipe: S2EditPipeline, name: str | None) -> Segmenter:
    """Return a segmenter, which `compose` needs twice and which may take seconds to load."""
    return pipe.segmenter(name)


def find_reference_person(
    args: argparse.Namespace, pipe: S2EditPipeline, reference: Image.Image, region: Image.Image, prompt: str, words: str
) -> Image.Image | None:
    """Return the mask of who shows an attribute in the `region` of `reference`; None if nobody is found there. Print warnings."""
    domains, find = pipe.backbone.card.domains, _segmenter(pipe, args.segmenter).find
    shown = shown_by(reference, region, without_placeholders(prompt), words, domains, find)
    say_warnings(shown.warnings)
    return shown.mask


def load_pipeline(args: argparse.Namespace) -> S2EditPipeline:
    """Load torch and the model, which takes seconds. With `--quiet`, the libraries show no progress bars from then on."""
    import torch

    from s2edit_core.pipeline import S2EditPipeline

    if args.quiet:
        _hide_progress_bars()
    gpu = torch.cuda.is_available()
    if args.device.startswith("cuda") and not gpu:
        raise OptionInvalid(
            f"--device {args.device} needs a GPU that torch {torch.__version__} can use: it finds none", field="device"
        )
    device = ("cuda" if gpu else "cpu") if args.device == "auto" else args.device
    return S2EditPipeline.from_pretrained(args.model, device=device)


def load_concept(pipe: S2EditPipeline, path: str, kind: ConceptKind) -> Concept:
    """Read a concept file. Raises `OptionInvalid` for a concept of the other kind, and as `naming`."""
    with naming(path):
        concept = pipe.load_concept(path)
    if concept.kind != kind:
        holds = f"{path} holds the {concept.kind} {concept.placeholder} {concept.subject}".rstrip()
        wanted = "an identity, which `learn`" if kind == "identity" else "an attribute, which `learn --attribute`"
        raise OptionInvalid(f"{holds}: --{kind} takes the file of {wanted} writes", field=kind)
    return concept


def load_inversion(pipe: S2EditPipeline, path: str) -> Inversion:
    """Read an inversion file. Raises as `naming`."""
    with naming(path):
        return pipe.load_inversion(path)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """Add the file's name to an `ArtifactMismatch`: a command reads several files."""
    try:
        yield
    except ArtifactMismatch as error:
        raise ArtifactMismatch(f"{path}: {error}") from error


def _hide_progress_bars() -> None:
    import diffusers.utils.logging
    import transformers.utils.logging

    diffusers.utils.logging.disable_progress_bar()
    transformers.utils.logging.disable_progress_bar()  # also those of downloads from the hub


def edit_prompts(args: argparse.Namespace, pipe: S2EditPipeline, known: str = "") -> tuple[str, str, str]:
    """Return source and target prompt with [I], and the subject; `known` is that of a learned identity.

    Raises `PromptInvalid`, also for a source prompt that is too long. For the target's length see `check_target`.
    """
    from s2edit_core.concepts.conditioning import tokenize

    subjects = pipe.backbone.card.subjects
    request = EditRequest(prompt=args.target, source_prompt=args.source, subject=args.subject)
    check_sentences(request, subjects)
    check_placeholders(args.source or "", [PLACEHOLDER], field="source_prompt")
    described, of = (args.source, "source_prompt") if args.source else (args.target, "prompt")
    given = args.subject or known
    subject = resolve_subject(given, subjects) if given else known_subject(described, subjects, field=of)
    source = with_placeholder(args.source or photo_of(subject), subject, field="source_prompt")
    tokenize(pipe.backbone, source, [PLACEHOLDER], field="source_prompt")
    return source, with_placeholder(args.target, subject, field="prompt"), subject


def check_target(pipe: S2EditPipeline, request: EditRequest, applied: Sequence[tuple[str, str]]) -> None:
    """Check the target and the negative prompt before anything is learned. `applied` are placeholder and word of each attribute.

    Raises `PromptInvalid` unless the target holds the placeholders of `applied`, each before its word, and no others, and both
    prompts are short enough; `OptionInvalid` for two attributes with one placeholder.
    """
    from s2edit_core.concepts.conditioning import tokenize

    target = request.prompt
    placeholders = [PLACEHOLDER, *applied_placeholders(target, applied)]
    check_placeholders(target, placeholders, field="prompt")
    tokenize(pipe.backbone, target, placeholders)
    tokenize(pipe.backbone, request.negative_prompt or "", (), field="negative_prompt")

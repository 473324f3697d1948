"""The commands of `python -m s2edit_core`: learn, invert, edit, compose, on files.

Whatever can be checked is checked before torch and the model are loaded.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from s2edit_core.delivery import report
from s2edit_core.delivery.output import Output, encode_result, format_of
from s2edit_core.errors import ImageInvalid, InvalidInput, OptionInvalid, PromptInvalid
from s2edit_core.pictures.files import Original, announced, decode_original, decode_photo, encode_png
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.pictures.mask_files import decode_mask
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import (
    changed_words,
    check_negative,
    check_placeholders,
    check_sentences,
    checked_placeholder,
    known_subject,
    photo_of,
    settled_subject,
    with_placeholder,
)
from s2edit_core.request.spec import PLACEHOLDER, EditRequest, Progress

if TYPE_CHECKING:
    from PIL import Image

    from s2edit_core.concepts.concept import Concept
    from s2edit_core.pipeline import Attribute, Reference, S2EditPipeline

Result = TypeVar("Result")
CHECKPOINT_STEPS = 10


def edit(args: argparse.Namespace) -> None:
    """Edit a photo: learn who is in it and invert it, unless both are given, then sample with the target prompt."""
    request, original, mask, edit_mask = _asked(args)
    photo = original.photo
    regions = [(path, _mask(args, region, photo, "region")) for path, region in args.attribute]
    pipe = _load(args)
    attributes = [_attribute(pipe, path, region) for path, region in regions]
    _check_target(pipe, request, [each.concept.placeholder for each in attributes])
    seconds: dict[str, float] = {}
    if args.identity:
        identity = pipe.load_concept(args.identity)
        source, target, _ = _prompts(args, pipe, identity.subject)
        mask = mask or _found_mask(args, pipe, photo, source)
    else:
        source, target, subject = _prompts(args, pipe)
        mask = mask or _found_mask(args, pipe, photo, source)
        lesson = _reference(photo, mask, source, subject, PLACEHOLDER, words=changed_words(source, target))
        (identity,) = _learned(args, pipe, [lesson], request, seconds)
    pictures = (original, mask, edit_mask)
    _finish_edit(args, pipe, request, pictures, (source, target), identity, attributes, seconds, args.inversion)


def compose(args: argparse.Namespace) -> None:
    """Put what a reference photo shows on the person in a photo: learn both together, then edit with both in the prompt."""
    request, original, mask, edit_mask = _asked(args)
    photo = original.photo
    check_syntax(args.reference_prompt, field="reference_prompt")
    checked_placeholder(args.name)
    reference = decode_photo(_read(args.reference, "reference"), args.max_pixels)
    shown = _mask(args, args.reference_region, reference, "region", args.reference)
    region = _mask(args, args.region, photo, "region")
    person = _mask(args, args.reference_person, reference, "person", args.reference) if args.reference_person else None
    pipe = _load(args)
    from s2edit_core.pipeline import Attribute

    _check_target(pipe, request, [args.name])
    source, target, subject = _prompts(args, pipe)
    mask = mask or _found_mask(args, pipe, photo, source)
    lessons = [
        _reference(photo, mask, source, subject, PLACEHOLDER, words=changed_words(source, target)),
        _reference(reference, shown, args.reference_prompt, args.reference_subject, args.name, person),
    ]
    seconds: dict[str, float] = {}
    identity, attribute = _learned(args, pipe, lessons, request, seconds)
    if args.keep:
        attribute.save(args.keep)
    worn = [Attribute(attribute, region)]
    _finish_edit(args, pipe, request, (original, mask, edit_mask), (source, target), identity, worn, seconds)


def learn(args: argparse.Namespace) -> None:
    """Learn who is in a photo, or with --attribute what its masked region shows, and save it."""
    request = EditRequest(prompt=args.prompt, preset=args.preset, seed=args.seed, max_pixels=args.max_pixels)
    check_syntax(args.prompt, field="prompt")
    photo = _photo(args)
    mask, person = _given_mask(args, photo), _mask(args, args.person, photo, "person") if args.person else None
    name = checked_placeholder(args.attribute) if args.attribute else PLACEHOLDER
    if name != PLACEHOLDER and mask is None:
        raise OptionInvalid("--attribute needs --mask: what is learned is what it marks", field="mask")
    if name != PLACEHOLDER and not args.subject:
        raise OptionInvalid(
            "--attribute needs --subject, the word of the prompt for what is learned, such as makeup", field="subject"
        )
    _check_folder(args.output)
    pipe = _load(args)
    mask = mask or _found_mask(args, pipe, photo, args.prompt)
    lesson = _reference(photo, mask, args.prompt, args.subject, name, person, args.words)
    (concept,) = _learned(args, pipe, [lesson], request, {}, checkpoint=args.checkpoint)
    concept.save(args.output)
    if args.export:
        pipe.export(concept, args.export)
    _say(f"{args.output}  {json.dumps(concept.facts, ensure_ascii=False)}")


def invert(args: argparse.Namespace) -> None:
    """Invert a photo with a learned identity, and save the inversion: edits of the photo may then start from it."""
    request = EditRequest(
        prompt=args.source,
        preset=args.preset,
        steps=args.steps,
        guidance_scale=args.guidance_scale,
        seed=0,
        max_pixels=args.max_pixels,
    ).resolve()
    check_syntax(args.source, field="source_prompt")
    photo = _photo(args)
    mask = _given_mask(args, photo)
    _check_folder(args.output)
    pipe = _load(args)
    mask = mask or _found_mask(args, pipe, photo, args.source)
    identity = pipe.load_concept(args.identity) if args.identity else None
    source = with_placeholder(args.source, identity.subject, field="source_prompt") if identity else args.source
    steps = pipe.inverting(
        pipe.canvas(photo, mask),
        source,
        identity,
        request.inversion,
        steps=request.steps,
        guidance_scale=pipe.guidance(request.guidance_scale, request.name),
    )
    inverted = _shown(args, steps)
    inverted.save(args.output)
    _say(f"{args.output}  {inverted.tier}, {inverted.steps} steps at guidance {inverted.guidance_scale:g}")


# --- what they share -------------------------------------------------------------------------------------------


def fetch_segmenter(args: argparse.Namespace) -> None:  # noqa: ARG001 - it has no options
    """Fetch MediaPipe's selfie segmentation, which finds people in photographs, by npm."""
    from s2edit_core.vision.litert import fetch_mediapipe

    _say(str(fetch_mediapipe()))


def _asked(args: argparse.Namespace) -> tuple[EditRequest, Original, Image.Image | None, Image.Image | None]:
    """The request and its pictures, checked. Raises `InvalidInput`."""
    request = EditRequest(
        prompt=args.target,
        source_prompt=args.source,
        subject=args.subject,
        preset=args.preset,
        steps=args.steps,
        guidance_scale=args.guidance_scale,
        seed=args.seed,
        negative_prompt=args.negative_prompt,
        strength=args.strength,
        output_format=format_of(args.output),
        output_quality=args.output_quality,
        keep_alpha=args.keep_alpha,
        max_pixels=args.max_pixels,
    )
    for name in ("prompt", "source_prompt", "negative_prompt"):
        check_syntax(getattr(request, name), field=name)
    check_negative(request.negative_prompt or "")
    original = decode_original(_read(args.photo, "photo"), args.max_pixels)
    Output.of(request).check_size(original.photo.size)
    mask = _given_mask(args, original.photo)
    edit_mask = _mask(args, args.edit_mask, original.photo, "edit_mask") if args.edit_mask else None
    _check_folder(args.output)
    return request, original, mask, edit_mask


def _finish_edit(
    args: argparse.Namespace,
    pipe: S2EditPipeline,
    request: EditRequest,
    pictures: tuple[Original, Image.Image, Image.Image | None],
    prompts: tuple[str, str],
    identity: Concept,
    attributes: Sequence[Attribute],
    seconds: dict[str, float],
    inversion_file: str | None = None,
) -> None:
    """Invert unless that is given, edit, and write the result and its report."""
    original, mask, edit_mask = pictures
    photo, preset = original.photo, request.resolve()
    if inversion_file:
        inversion = pipe.load_inversion(inversion_file)
    else:
        steps = pipe.inverting(
            pipe.canvas(photo, mask, edit_mask),
            prompts[0],
            identity,
            preset.inversion,
            steps=preset.steps,
            guidance_scale=pipe.guidance(preset.guidance_scale, preset.name),
        )
        inversion = _shown(args, steps, seconds, "inverting")
    with _Bars(quiet=args.quiet) as bars:
        out = pipe(
            prompts[1],
            image=photo,
            mask=mask,
            edit_mask=edit_mask,
            identity=identity,
            inversion=inversion,
            attributes=attributes,
            num_inference_steps=args.steps,
            guidance_scale=args.guidance_scale,
            negative_prompt=request.negative_prompt,
            strength=request.strength,
            injection=preset.injection,
            on_progress=bars.show,
        )
    (result,), (facts,) = list(out.images), out.reports
    changeable = pipe.canvas(photo, mask, edit_mask).edit_mask
    file, delivered = encode_result(result, original, changeable, Output.of(request))
    Path(args.output).write_bytes(file)
    spent = {name: round(value, 3) for name, value in seconds.items()} | facts["seconds"]
    facts |= {"found_mask": args.found} if args.found else {}
    facts |= InputScale.of(_read(args.photo, "photo"), photo.size, args.max_pixels).facts
    facts = report.delivered(facts, delivered)
    facts |= {"preset": preset.name, "seconds": spent | {"total": round(sum(spent.values()), 3)}}
    if args.report:
        Path(args.report).write_text(json.dumps(facts, indent=1, ensure_ascii=False) + "\n")
    outside = facts["outside_edit_mask"]["max_level_difference"]
    _say(f"{args.output}  {spent} s; outside the edit mask {outside} levels changed")


def _learned(
    args: argparse.Namespace,
    pipe: S2EditPipeline,
    lessons: Sequence[Reference],
    request: EditRequest,
    seconds: dict[str, float],
    *,
    checkpoint: str | None = None,
) -> tuple[Concept, ...]:
    """Learn; with a `checkpoint` file, go on from it where it exists, and keep it until the end."""
    from s2edit_core.method.learning import Checkpoint
    from s2edit_core.method.learning_state import LearningState

    options = request.resolve().learning
    options = replace(options, mode=args.mode or options.mode)
    path = Path(checkpoint) if checkpoint else None
    state = None
    if path and path.exists():
        state = LearningState.load(path, fingerprint=pipe.backbone.fingerprints)

    def keep(progress: Progress) -> None:
        if path and isinstance(progress, Checkpoint) and progress.state is not None:
            unfinished = path.with_name(path.name + ".part")
            progress.state.save(unfinished)
            os.replace(unfinished, path)

    steps = pipe.learning_together(lessons, options, seed=request.seed, state=state, every=CHECKPOINT_STEPS if path else 0)
    learned = _shown(args, steps, seconds, "learning", also=keep)
    if path:
        path.unlink(missing_ok=True)
    return learned


def _shown(
    args: argparse.Namespace,
    steps: Generator[Progress, None, Result],
    seconds: dict[str, float] | None = None,
    phase: str = "",
    *,
    also: Callable[[Progress], None] | None = None,
) -> Result:
    """Run `steps` to the end with a bar, and note how long they took."""
    from s2edit_core.unet.rows import finish

    began = time.perf_counter()
    with _Bars(quiet=args.quiet) as bars:

        def show(progress: Progress) -> None:
            bars.show(progress)
            if also is not None:
                also(progress)

        result = finish(steps, show)
    if seconds is not None:
        seconds[phase] = time.perf_counter() - began
    return result


def _reference(
    image: Image.Image,
    mask: Image.Image,
    prompt: str,
    subject: str | None,
    placeholder: str,
    person: Image.Image | None = None,
    words: Sequence[str] = (),
) -> Reference:
    from s2edit_core.pipeline import Reference

    return Reference(image, mask, prompt, subject, placeholder, person, tuple(words))


def _attribute(pipe: S2EditPipeline, path: str, region: Image.Image) -> Attribute:
    from s2edit_core.pipeline import Attribute

    return Attribute(pipe.load_concept(path), region)


def _prompts(args: argparse.Namespace, pipe: S2EditPipeline, known: str = "") -> tuple[str, str, str]:
    """Source and target with [I], and the subject, which may be `known`."""
    subjects = pipe.backbone.card.subjects
    request = EditRequest(prompt=args.target, source_prompt=args.source, subject=args.subject)
    check_sentences(request, subjects)
    given = args.subject or known
    subject = settled_subject(given, subjects) if given else known_subject(args.source or args.target, subjects)
    source = with_placeholder(args.source or photo_of(subject), subject, field="source_prompt")
    return source, with_placeholder(args.target, subject, field="prompt"), subject


def _check_target(pipe: S2EditPipeline, request: EditRequest, names: Sequence[str]) -> None:
    """That the target prompt names the attributes and nothing else, and that it and the negative prompt fit.

    Before anything is learned.
    """
    target = request.prompt
    from s2edit_core.concepts.conditioning import tokenize

    check_placeholders(target, [PLACEHOLDER, *names], field="prompt")
    for name in names:
        if name not in target:
            raise PromptInvalid(
                f"the target prompt does not say where {name} goes: write {name} before its word",
                field="prompt",
                reason="placeholder_missing",
            )
    tokenize(pipe.backbone, target, [PLACEHOLDER, *names])
    tokenize(pipe.backbone, request.negative_prompt or "", (), field="negative_prompt")


def _load(args: argparse.Namespace) -> S2EditPipeline:
    """Torch and the model, which take their time."""
    import torch

    from s2edit_core.pipeline import S2EditPipeline

    device = ("cuda" if torch.cuda.is_available() else "cpu") if args.device == "auto" else args.device
    return S2EditPipeline.from_pretrained(args.model, device=device)


def _read(path: str, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ImageInvalid(f"the {what} {path} can't be read: {error.strerror}", field=what) from error


def _photo(args: argparse.Namespace) -> Image.Image:
    return decode_photo(_read(args.photo, "photo"), args.max_pixels)


def _mask(args: argparse.Namespace, path: str, photo: Image.Image, field: str, of: str | None = None) -> Image.Image:
    """A mask of `photo`, the file `of` (default: the edited one). Raises `InvalidInput` that names the file: there are several."""
    data = _read(path, "mask")
    try:
        # What learns an attribute takes its region as the mask.
        person = field == "mask" and not (args.run is learn and args.attribute)
        mode = getattr(args, "edit_mask_mode", None) if field == "edit_mask" else None
        sent = math.prod(announced(_read(of or args.photo, "photo")).size)
        return decode_mask(data, photo.size, field, mode or args.mask_mode, person=person, sent_pixels=sent)
    except InvalidInput as error:
        raise type(error)(f"{path}: {error}", field=field, reason=error.reason) from error


def _check_modes(args: argparse.Namespace) -> None:
    """Raises `OptionInvalid` for a way to read masks where there is none that it could be meant for."""
    edit_mask, edit_mask_mode = getattr(args, "edit_mask", None), getattr(args, "edit_mask_mode", None)
    if edit_mask_mode is not None and not edit_mask:
        raise OptionInvalid("--edit-mask-mode says how to read --edit-mask: give both, or neither", field="edit_mask_mode")
    regions = any(getattr(args, name, None) for name in ("attribute", "region"))
    if args.mask_mode != "auto" and not (args.mask or regions or (edit_mask and edit_mask_mode is None)):
        raise OptionInvalid("--mask-mode says how to read a mask: give --mask too, or leave --mask-mode out", field="mask_mode")


def _given_mask(args: argparse.Namespace, photo: Image.Image) -> Image.Image | None:
    _check_modes(args)
    for name in ("keep_mask", "segmenter", "at"):
        if args.mask and getattr(args, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise OptionInvalid(f"{option} is for a mask that is looked for: leave out --mask or {option}", field=name)
    if args.keep_mask:
        _check_folder(args.keep_mask)
    return _mask(args, args.mask, photo, "mask") if args.mask else None


def _found_mask(args: argparse.Namespace, pipe: S2EditPipeline, photo: Image.Image, prompt: str) -> Image.Image:
    """Where the segmenter sees the person; written to `--keep-mask`, and noted for the report."""
    segmenter = pipe.segmenter(args.segmenter)
    found = segmenter.find(photo, prompt=prompt.replace(f"{PLACEHOLDER} ", ""), at=args.at)
    args.found = found.facts()
    if args.keep_mask:
        Path(args.keep_mask).write_bytes(encode_png(found.mask))
    return found.mask


def _check_folder(path: str) -> None:
    """Before minutes of work, not after them."""
    if not Path(path).resolve().parent.is_dir():
        raise OptionInvalid(f"there is no folder {Path(path).parent} to write {Path(path).name} into", field="output")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


class _Bars:
    """A progress bar per phase, on stderr where that is a terminal."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._phase = ""

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: Progress) -> None:
        from tqdm import tqdm

        if progress.phase != self._phase:
            self.__exit__()
            self._phase = progress.phase
            self._bar = tqdm(total=progress.total, desc=progress.phase, unit="step", disable=True if self._quiet else None)
        self._bar.update(progress.step - self._bar.n)
        if progress.loss is not None:
            self._bar.set_postfix(loss=f"{progress.loss:.4f}", refresh=False)

"""`edit`: edit a photo. `edit_inputs` and `finish_edit` are shared with `compose`."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from s2edit_core.commands.arguments import add_target_options
from s2edit_core.commands.inputs import (
    check_target,
    edit_prompts,
    find_mask,
    given_mask,
    load_concept,
    load_inversion,
    load_pipeline,
    read_file,
    read_mask,
)
from s2edit_core.commands.learn import learn_references, make_reference
from s2edit_core.commands.progress import ProgressBars, run_stage, say, say_warnings
from s2edit_core.delivery import report
from s2edit_core.delivery.output import Output, encode_result, format_of
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.pictures.files import Original, decode_original
from s2edit_core.pictures.input_scale import InputScale
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import changed_words, check_negative, without_placeholders
from s2edit_core.request.spec import PLACEHOLDER, EditRequest
from s2edit_core.whole_files import write_whole

if TYPE_CHECKING:
    from PIL import Image

    from s2edit_core.concepts.concept import Concept
    from s2edit_core.method.inversion import Inversion
    from s2edit_core.pipeline import Attribute, S2EditPipeline


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `edit`."""
    add_target_options(parser)
    parser.add_argument("--identity", metavar="FILE", help="an identity that `learn` wrote; nothing is learned then")
    parser.add_argument("--inversion", metavar="FILE", help="an inversion that `invert` wrote, with the same identity")
    parser.add_argument(
        "--attribute",
        dest="attributes",
        nargs="+",
        action="append",
        default=[],
        metavar=("FILE", "PNG"),
        help="an attribute that `learn --attribute` wrote, and the region of the photo where it acts (default: where its word "
        "does); may be repeated",
    )


def edit(args: argparse.Namespace) -> None:
    """Edit a photo: learn who is in it and invert it, unless both are given, then sample with the target prompt."""
    if args.identity and args.mode:
        raise OptionInvalid("--mode says how the person is learned, and --identity that nobody is: leave one out", field="mode")
    if args.inversion and not args.identity:
        raise OptionInvalid("--inversion was made with an identity: give --identity too", field="inversion")
    request, original, mask, edit_mask = edit_inputs(args)
    photo = original.photo
    regions = [_concept_and_region(args, photo, *given) for given in args.attributes]
    pipe = load_pipeline(args)
    identity = load_concept(pipe, args.identity, "identity") if args.identity else None
    inversion = load_inversion(pipe, args.inversion) if args.inversion else None
    attributes = [_attribute(pipe, path, region) for path, region in regions]
    check_target(pipe, request, [(each.concept.placeholder, each.concept.subject) for each in attributes])
    seconds: dict[str, float] = {}
    if identity is not None:
        source, target, _ = edit_prompts(args, pipe, identity.subject)
        source = source if inversion is None else _inverted_prompt(inversion, source, given=args.source is not None)
        mask = mask or find_mask(args, pipe, photo, source)
    else:
        source, target, subject = edit_prompts(args, pipe)
        mask = mask or find_mask(args, pipe, photo, source)
        reference = make_reference(photo, mask, source, subject, PLACEHOLDER, words=changed_words(source, target))
        (identity,) = learn_references(args, pipe, [reference], request.resolve().learning, request.seed, seconds)
    pictures = (original, mask, edit_mask)
    seed = request.seed if args.identity else None  # otherwise the seed has decided how the identity was learned
    finish_edit(args, pipe, request, pictures, (source, target), identity, attributes, seconds, inversion, seed)


def _concept_and_region(
    args: argparse.Namespace, photo: Image.Image, concept: str, region: str | None = None, *more: str
) -> tuple[str, Image.Image | None]:
    """Return the file of an attribute, and its region if there is one. Raises `OptionInvalid` for more files."""
    if more:
        raise OptionInvalid("--attribute takes a file and at most one region: repeat it for each attribute", field="attribute")
    return concept, read_mask(args, region, photo, "region") if region is not None else None


def _inverted_prompt(inversion: Inversion, source: str, *, given: bool) -> str:
    """Return the source prompt of an inversion. Raises `PromptInvalid` if another one is `given`: it would have no effect."""
    made: str = inversion.facts.get("prompt") or source
    if given and made != source:
        shown = without_placeholders(made)
        raise PromptInvalid(f"the inversion was made with {shown!r}: leave it out, or invert again", field="source_prompt")
    return made


def _attribute(pipe: S2EditPipeline, path: str, region: Image.Image | None) -> Attribute:
    from s2edit_core.pipeline import Attribute

    return Attribute(load_concept(pipe, path, "attribute"), region)


def edit_inputs(args: argparse.Namespace) -> tuple[EditRequest, Original, Image.Image | None, Image.Image | None]:
    """Return the request, the photo, the mask and the edit mask, all checked. Raises `InvalidInput`."""
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
    original = decode_original(read_file(args.photo, "photo"), args.max_pixels)
    Output.of(request).check_size(original.photo.size)
    finds_another = bool(getattr(args, "reference", None)) and not args.reference_person
    mask = given_mask(args, original.photo, finds_another=finds_another)
    edit_mask = read_mask(args, args.edit_mask, original.photo, "edit_mask") if args.edit_mask else None
    return request, original, mask, edit_mask


def finish_edit(
    args: argparse.Namespace,
    pipe: S2EditPipeline,
    request: EditRequest,
    pictures: tuple[Original, Image.Image, Image.Image | None],
    prompts: tuple[str, str],
    identity: Concept,
    attributes: Sequence[Attribute],
    seconds: dict[str, float],
    inversion: Inversion | None = None,
    seed: int | None = None,
) -> None:
    """Invert the photo unless an inversion is given, edit it, and write the result and its report.

    A `seed` other than 0 draws a variant of the edit.
    """
    import torch

    original, mask, edit_mask = pictures
    photo, preset = original.photo, request.resolve()
    canvas = pipe.canvas(photo, mask, edit_mask, subject=pipe.subject_of(prompts[0], identity))
    if inversion is None:
        steps = pipe.inverting(
            canvas,
            prompts[0],
            identity,
            preset.inversion,
            steps=preset.steps,
            guidance_scale=pipe.guidance(preset.guidance_scale, preset.name),
        )
        inversion = run_stage(args, steps, seconds, "inverting")
    with ProgressBars(quiet=args.quiet) as bars:
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
            generator=None if seed is None else torch.Generator().manual_seed(seed),
            strength=request.strength,
            injection=preset.injection,
            on_progress=bars.show,
        )
    (result,), (facts,) = list(out.images), out.reports
    file, delivered = encode_result(result, original, canvas.edit_mask, Output.of(request))
    write_whole(args.output, file)
    spent = {name: round(value, 3) for name, value in seconds.items()} | facts["seconds"]
    facts |= {"found_mask": args.found} if args.found else {}
    facts |= InputScale.of(read_file(args.photo, "photo"), photo.size, args.max_pixels).facts
    facts = report.delivered(facts, delivered)
    facts |= {"preset": preset.name, "seconds": spent | {"total": round(sum(spent.values()), 3)}}
    if args.report:
        write_whole(args.report, (json.dumps(facts, indent=1, ensure_ascii=False) + "\n").encode())
    outside = facts["outside_edit_mask"]["max_level_difference"]
    took = ", ".join(f"{phase} {value:.1f} s" for phase, value in spent.items())
    say(f"{args.output}  {took}; largest change outside the edit mask: {outside} of 255 levels")
    say_warnings(facts.get("warnings", ()))

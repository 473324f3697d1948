"""`invert`: invert a photo, so that later edits can start from the inversion."""

from __future__ import annotations

import argparse

from s2edit_core.commands.arguments import add_sampling_options
from s2edit_core.commands.inputs import find_mask, given_mask, load_concept, load_pipeline, read_photo
from s2edit_core.commands.progress import run_stage, say
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import check_placeholders, with_placeholder
from s2edit_core.request.spec import PLACEHOLDER, EditRequest


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `invert`."""
    parser.set_defaults(options=dict.fromkeys(("prompt", "source_prompt"), "--source"))
    parser.add_argument("--source", metavar="PROMPT", required=True, help="what the photo shows")
    parser.add_argument("--identity", metavar="FILE", help="an identity that `learn` wrote")
    add_sampling_options(parser)


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
    check_placeholders(args.source, [PLACEHOLDER] if args.identity else [], field="source_prompt")
    photo = read_photo(args)
    mask = given_mask(args, photo)
    pipe = load_pipeline(args)
    identity = load_concept(pipe, args.identity, "identity") if args.identity else None
    mask = mask or find_mask(args, pipe, photo, args.source)
    source = with_placeholder(args.source, identity.subject, field="source_prompt") if identity else args.source
    steps = pipe.inverting(
        pipe.canvas(photo, mask, subject=pipe.subject_of(source, identity)),
        source,
        identity,
        request.inversion,
        steps=request.steps,
        guidance_scale=pipe.guidance(request.guidance_scale, request.name),
    )
    inversion = run_stage(args, steps)
    inversion.save(args.output)
    say(f"{args.output}  {inversion.tier}, {inversion.steps} steps at guidance {inversion.guidance_scale:g}")

"""`compose`: learn the person in a photo and an attribute from a reference photo, and edit the photo with both."""

from __future__ import annotations

import argparse

from s2edit_core.commands.arguments import add_target_options
from s2edit_core.commands.edit import edit_inputs, finish_edit
from s2edit_core.commands.inputs import (
    check_target,
    edit_prompts,
    find_mask,
    find_reference_person,
    load_pipeline,
    read_file,
    read_mask,
)
from s2edit_core.commands.learn import attribute_name, learn_references, make_reference
from s2edit_core.pictures.files import decode_photo
from s2edit_core.request.options import LearningOptions
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import changed_words, check_placeholders, with_placeholder
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER, check_subject


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `compose`."""
    add_target_options(parser)
    parser.add_argument("--region", metavar="PNG", help="where the attribute acts in the photo; default: where its word acts")
    parser.add_argument("--reference", metavar="PHOTO", required=True, help="a photo that shows the attribute, on anybody")
    parser.add_argument("--reference-region", metavar="PNG", required=True, help="where the reference shows it")
    parser.add_argument("--reference-person", metavar="PNG", help="the person in the reference; default: found there")
    parser.add_argument("--reference-prompt", metavar="PROMPT", required=True, help='such as "a woman with makeup"')
    parser.add_argument("--reference-subject", metavar="WORD", required=True, help="its word for the attribute, such as makeup")
    parser.add_argument("--name", default=ATTRIBUTE, help=f"the attribute's placeholder in prompts; default: {ATTRIBUTE}")
    parser.add_argument("--keep", metavar="FILE", help="save the attribute to this file")


def compose(args: argparse.Namespace) -> None:
    """Put what a reference photo shows on the person in a photo: learn both, then edit with both in the prompt.

    They are learned together if the attribute is learned as the person is: with `--mode`, or by the preset `paper`.
    """
    request, original, mask, edit_mask = edit_inputs(args)
    photo = original.photo
    check_syntax(args.reference_prompt, field="reference_prompt")
    attribute_name(args.name)
    check_subject(args.reference_subject, field="reference_subject")
    check_placeholders(args.reference_prompt, [args.name], field="reference_prompt")
    shows = with_placeholder(args.reference_prompt, args.reference_subject, field="reference_prompt", placeholder=args.name)
    reference = decode_photo(read_file(args.reference, "reference"), args.max_pixels)
    shown = read_mask(args, args.reference_region, reference, "region", photo_file=args.reference)
    region = read_mask(args, args.region, photo, "region") if args.region else None
    person = None
    if args.reference_person:
        person = read_mask(args, args.reference_person, reference, "person", photo_file=args.reference)
    pipe = load_pipeline(args)
    from s2edit_core.concepts.conditioning import tokenize
    from s2edit_core.pipeline import Attribute

    check_target(pipe, request, [(args.name, args.reference_subject)])
    tokenize(pipe.backbone, shows, [args.name], field="reference_prompt")
    source, target, subject = edit_prompts(args, pipe)
    mask = mask or find_mask(args, pipe, photo, source)
    person = person or find_reference_person(args, pipe, reference, shown, shows, args.reference_subject)
    references = [
        make_reference(photo, mask, source, subject, PLACEHOLDER, words=changed_words(source, target)),
        make_reference(reference, shown, shows, args.reference_subject, args.name, person),
    ]
    seconds: dict[str, float] = {}
    preset, seed = request.resolve(), request.seed
    if args.mode or isinstance(preset.attribute, LearningOptions):
        identity, attribute = learn_references(args, pipe, references, preset.learning, seed, seconds)
    else:
        (identity,) = learn_references(args, pipe, references[:1], preset.learning, seed, seconds)
        (attribute,) = learn_references(args, pipe, references[1:], preset.attribute, seed, seconds)
    if args.keep:
        attribute.save(args.keep)
    pictures, attributes = (original, mask, edit_mask), [Attribute(attribute, region)]
    finish_edit(args, pipe, request, pictures, (source, target), identity, attributes, seconds)

"""`learn`: learn a concept from a photo. `learn_references` is shared with the commands that learn and edit."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from s2edit_core.commands.arguments import add_learning_mode, whole
from s2edit_core.commands.inputs import find_mask, find_reference_person, given_mask, load_pipeline, naming, read_mask, read_photo
from s2edit_core.commands.progress import run_stage, say
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.request.options import AttributeOptions, LearningOptions
from s2edit_core.request.prompt_syntax import check_syntax
from s2edit_core.request.prompts import check_placeholders, check_sentences, checked_placeholder, known_subject
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER, LearningRequest, Progress

if TYPE_CHECKING:
    from PIL import Image

    from s2edit_core.base_model.model_card import ModelCard
    from s2edit_core.concepts.concept import Concept
    from s2edit_core.pipeline import Reference, S2EditPipeline

CHECKPOINT_STEPS = 10
"""Learning steps between two writes of `--checkpoint`."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `learn`."""
    parser.add_argument("--prompt", required=True, help="what the photo shows")
    parser.add_argument("--subject", help="the word of the prompt for what is learned")
    parser.add_argument(
        "--attribute",
        nargs="?",
        const=ATTRIBUTE,
        metavar="NAME",
        help=f"learn an attribute with this placeholder; default: {ATTRIBUTE}",
    )
    parser.add_argument("--person", metavar="PNG", help="of an attribute: who shows it; default: the person who is found there")
    parser.add_argument(
        "--words",
        nargs="*",
        default=[],
        help="of an attribute, with --mode or --export: attribute words of the model's card to be orthogonal to",
    )
    add_learning_mode(parser)
    parser.add_argument("--seed", type=whole, default=0, help="decides how it is learned; default: 0")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help=f"written every {CHECKPOINT_STEPS} steps; learning resumes from it if it exists"
    )
    parser.add_argument(
        "--export",
        metavar="FOLDER",
        help="also write the concept for diffusers, as textual inversion and LoRA; an attribute is then learned as a person is",
    )


def learn(args: argparse.Namespace) -> None:
    """Learn who is in a photo, or with --attribute what its masked region shows, and save it."""
    request = LearningRequest(
        kind="identity" if args.attribute is None else "attribute",
        prompt=args.prompt,
        subject=args.subject,
        preset=args.preset,
        seed=args.seed,
        max_pixels=args.max_pixels,
    )
    check_syntax(args.prompt, field="prompt")
    _check_options(args)
    photo = read_photo(args)
    attribute = args.attribute is not None
    mask = given_mask(args, photo, person=not attribute, finds_another=attribute and not args.person)
    person = read_mask(args, args.person, photo, "person") if args.person else None
    name = PLACEHOLDER if args.attribute is None else attribute_name(args.attribute)
    check_placeholders(args.prompt, (name,), field="prompt")
    if name != PLACEHOLDER and mask is None:
        raise OptionInvalid("--attribute needs --mask, which marks what is learned", field="mask")
    if name != PLACEHOLDER and not args.subject:
        raise OptionInvalid(
            "--attribute needs --subject, the word of the prompt for what is learned, such as makeup", field="subject"
        )
    pipe = load_pipeline(args)
    check_sentences(request, pipe.backbone.card.subjects)
    _check_words(args, pipe.backbone.card)
    mask = mask or find_mask(args, pipe, photo, args.prompt)
    if name != PLACEHOLDER and person is None:
        person = find_reference_person(args, pipe, photo, mask, args.prompt, args.subject)
    reference = make_reference(photo, mask, args.prompt, args.subject, name, person, args.words)
    preset = request.resolve()
    columns = name != PLACEHOLDER and not (args.mode or args.export)
    options = preset.attribute if columns else preset.learning
    (concept,) = learn_references(args, pipe, [reference], options, request.seed, {}, checkpoint=args.checkpoint)
    concept.save(args.output)
    if args.export:
        pipe.export(concept, args.export)
        say(f"{args.export}  for diffusers, whose prompts name it {concept.unique_placeholder}")
    say(f"{args.output}  {json.dumps(concept.facts, ensure_ascii=False)}")


def _check_options(args: argparse.Namespace) -> None:
    """Raise `OptionInvalid` for an option without effect on what is learned."""
    if args.person and args.attribute is None:
        raise OptionInvalid(
            "--person says who shows an attribute: mark whom to learn by --mask, or give --attribute", field="person"
        )
    if args.words and args.attribute is None:
        raise OptionInvalid(
            "--words is of an attribute; a person is held orthogonal to all words of the model's card: leave it out", field="words"
        )
    if args.words and not (args.mode or args.export):
        raise OptionInvalid("--words acts on an attribute only with --mode or --export: give one of them too", field="words")


def _check_words(args: argparse.Namespace, card: ModelCard) -> None:
    """Raise `OptionInvalid` for one of `--words` that the model's card does not have: learning would ignore it."""
    known = card.word_bank(args.subject or known_subject(args.prompt, card.subjects)) if args.words else ()
    if unknown := sorted(set(args.words) - set(known)):
        raise OptionInvalid(f"--words are attribute words of the model's card, and {unknown[0]!r} is none of these", field="words")


def attribute_name(name: str) -> str:
    """Return `name` if it can be the placeholder of an attribute; otherwise raise `PromptInvalid`."""
    if checked_placeholder(name) == PLACEHOLDER:
        raise PromptInvalid(
            f"{PLACEHOLDER} is for people: choose another placeholder", field="prompt", reason="placeholder_invalid"
        )
    return name


def make_reference(
    image: Image.Image,
    mask: Image.Image,
    prompt: str,
    subject: str | None,
    placeholder: str,
    person: Image.Image | None = None,
    words: Sequence[str] = (),
) -> Reference:
    """Return a reference; torch is imported only here."""
    from s2edit_core.pipeline import Reference

    return Reference(image, mask, prompt, subject, placeholder, person, tuple(words))


def learn_references(
    args: argparse.Namespace,
    pipe: S2EditPipeline,
    references: Sequence[Reference],
    options: AttributeOptions,
    seed: int,
    seconds: dict[str, float],
    *,
    checkpoint: str | None = None,
) -> tuple[Concept, ...]:
    """Learn the concepts of `references` together.

    With a `checkpoint` file, learning resumes from it if it exists, and keeps it up to date until learning is done.
    """
    from s2edit_core.method.learning.learning import Checkpoint
    from s2edit_core.method.learning.learning_state import LearningState

    if args.mode and isinstance(options, LearningOptions):
        options = replace(options, mode=args.mode)
    path = Path(checkpoint) if checkpoint else None
    state = None
    if path and path.exists():
        with naming(path):
            state = LearningState.load(path, fingerprint=pipe.backbone.fingerprints)

    def keep(progress: Progress) -> None:
        if path and isinstance(progress, Checkpoint) and progress.state is not None:
            progress.state.save(path)

    steps = pipe.learning_together(references, options, seed=seed, state=state, every=CHECKPOINT_STEPS if path else 0)
    learned = run_stage(args, steps, seconds, "learning", also=keep)
    if path:
        path.unlink(missing_ok=True)
    return learned

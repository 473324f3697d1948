"""Options that several commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from s2edit_core.base_model.model_files import SHIPPED_MODEL
from s2edit_core.errors import OptionInvalid
from s2edit_core.request.numbers import number, whole_number
from s2edit_core.request.options import LearningMode
from s2edit_core.request.presets import PresetName
from s2edit_core.request.spec import MaskMode

MODEL = Path(__file__).resolve().parents[2] / SHIPPED_MODEL


def add_command(commands: Any, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    """Add the command of the function `run`, with the options that all commands on photos share.

    Its `options` are those whose names differ from the field that an error names.
    """
    summary = (run.__doc__ or "").partition("\n")[0]
    parser: argparse.ArgumentParser = commands.add_parser(run.__name__, help=summary, description=summary)
    parser.set_defaults(run=run, found=None, options={})
    parser.add_argument("photo", help="PNG, JPEG, WebP, AVIF; HEIC with s2edit[heic]")
    parser.add_argument(
        "--max-pixels", type=whole, help="scale a larger photo down to this many pixels; default: refuse one of over 50 million"
    )
    parser.add_argument("--mask", metavar="PNG", help="white where the person (or the attribute) is; default: find the person")
    parser.add_argument(
        "--mask-mode",
        choices=get_args(MaskMode),
        default="auto",
        help="how the mask marks the region: in white, painted on transparent, or made transparent; default: auto",
    )
    parser.add_argument("--keep-mask", metavar="PNG", help="write the mask that was found to this file")
    parser.add_argument(
        "--segmenter",
        metavar="NAME",
        help="which model finds the person: model, card, mediapipe, a *.tflite file or transformers:FOLDER; "
        "default: the model card's choice",
    )
    parser.add_argument("--at", type=_point, metavar="X,Y", help="a pixel of the person to find; default: the largest person")
    parser.add_argument("-o", "--output", required=True, help="the file to write; .png, .jpg or .webp selects a picture's format")
    parser.add_argument("--preset", choices=get_args(PresetName), default="balanced", help="default: balanced")
    parser.add_argument("--model", default=str(MODEL), help="folder in diffusers' layout or hub id; default: the included model")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--quiet", action="store_true", help="show no progress bar")
    return parser


def check_given(args: argparse.Namespace) -> None:
    """Raise `OptionInvalid` for an empty option, such as an unset variable's. Only an empty negative prompt is as good as none."""
    for name, value in vars(args).items():
        if value == "" and name not in ("photo", "negative_prompt"):
            option = f"--{name.replace('_', '-')}"
            raise OptionInvalid(f"{option} is empty: give it a value, or leave it out", field=name)


def whole(text: str) -> int:
    """Return the whole number of an option. argparse's own `int` would take `1_0` and digits of other scripts."""
    return int(_read(text, whole_number))


def decimal(text: str) -> float:
    """Return the number of an option."""
    return _read(text, number)


def _read(text: str, read: Callable[[str], float]) -> float:
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None


def _point(text: str) -> tuple[int, int]:
    x, _, y = text.partition(",")
    try:
        return whole_number(x), whole_number(y)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no point: write X,Y in pixels of the photo, such as 320,200") from None


def add_sampling_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of inversion and sampling."""
    parser.add_argument("--steps", type=whole, help="default: the preset's")
    parser.add_argument("--guidance-scale", type=decimal, help="default: the preset's")


def add_learning_mode(parser: argparse.ArgumentParser) -> None:
    """Add the option of what is learned besides the token."""
    parser.add_argument("--mode", choices=get_args(LearningMode), help="what is learned; default: the preset's")


def add_target_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of commands that write an edited photo."""
    fields = {"prompt": "--target", "source_prompt": "--source", "options.num_inference_steps": "--steps"}
    parser.set_defaults(options=fields | {"options.guidance_scale": "--guidance-scale"})
    parser.add_argument("--source", metavar="PROMPT", help='what the photo shows; default: "a photo of a SUBJECT"')
    parser.add_argument("--target", metavar="PROMPT", required=True, help="what the edited photo should show")
    parser.add_argument("--subject", help="the word of both prompts that names the person")
    parser.add_argument("--edit-mask", metavar="PNG", help="where the photo may change; default: the person and a margin")
    parser.add_argument(
        "--edit-mask-mode", choices=get_args(MaskMode), help="how the edit mask marks the region; default: as --mask-mode"
    )
    parser.add_argument(
        "--seed",
        type=whole,
        default=0,
        help="decides how the person is learned; with --identity, another seed gives another result",
    )
    parser.add_argument(
        "--strength", type=decimal, default=1.0, help="above 0, at most 1: how far back towards noise the edit starts"
    )
    parser.add_argument("--negative-prompt", metavar="PROMPT", help="what the edited photo must not show")
    parser.add_argument(
        "--output-quality", type=whole, help="of a .jpg or .webp, 1 to 100; a .webp of 100 is lossless; default: 95"
    )
    parser.add_argument(
        "--keep-alpha",
        action=argparse.BooleanOptionalAction,
        help="whether a transparent photo stays transparent; default: if the format allows it",
    )
    parser.add_argument("--report", metavar="JSON", help="write what was done and measured to this file")
    add_learning_mode(parser)
    add_sampling_options(parser)

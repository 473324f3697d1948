"""`python -m s2edit_core`: learn, invert, edit and compose on this machine, without a service.

    python -m s2edit_core edit photo.png --mask face.png -o edited.png \\
        --source "a photo of a woman" --target "a photo of a woman with red hair"

Ends with 2 where what was asked has to change, with 1 where it failed otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from s2edit_core.commands import CHECKPOINT_STEPS, compose, edit, fetch_segmenter, invert, learn
from s2edit_core.errors import NumbersNotFinite, S2EditError
from s2edit_core.request.spec import ATTRIBUTE, LearningMode, MaskMode, PresetName

MODEL = Path(__file__).resolve().parent.parent / "models" / "portraits-128"
"""The model that comes with the repository."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; the exit status."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except S2EditError as error:
        sys.stderr.write(f"s2edit_core: {error}\n")
        return 1 if isinstance(error, NumbersNotFinite) else 2
    except OSError as error:
        sys.stderr.write(f"s2edit_core: {error.filename or 'a file'}: {error.strerror or error}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write("s2edit_core: stopped\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m s2edit_core", description=(__doc__ or "").partition("\n\n")[0])
    commands = parser.add_subparsers(required=True, metavar="edit | compose | learn | invert | fetch-segmenter")
    _edit_options(_command(commands, edit))
    _compose_options(_command(commands, compose))
    _learn_options(_command(commands, learn))
    _invert_options(_command(commands, invert))
    summary = (fetch_segmenter.__doc__ or "").strip()
    commands.add_parser("fetch-segmenter", help=summary, description=summary).set_defaults(run=fetch_segmenter)
    return parser


def _command(commands: Any, run: Callable[[argparse.Namespace], None]) -> argparse.ArgumentParser:
    """With what all commands take."""
    summary = (run.__doc__ or "").partition("\n")[0]
    parser: argparse.ArgumentParser = commands.add_parser(run.__name__, help=summary, description=summary)
    parser.set_defaults(run=run, found=None)
    parser.add_argument("photo", help="PNG, JPEG, WebP, AVIF; HEIC with s2edit[heic]")
    parser.add_argument(
        "--max-pixels", type=int, help="scale a photo of more down to so many; default: one of over 50 million fails"
    )
    parser.add_argument("--mask", metavar="PNG", help="white where the person (or the attribute) is; default: it is looked for")
    parser.add_argument(
        "--mask-mode",
        choices=get_args(MaskMode),
        default="auto",
        help="how the mask marks the region: white, what is painted on transparent, or what is transparent; default: auto",
    )
    parser.add_argument("--keep-mask", metavar="PNG", help="write the mask that was found there")
    parser.add_argument(
        "--segmenter",
        metavar="NAME",
        help="who looks for it: model, card, mediapipe, a *.tflite file or transformers:FOLDER; default: the model card's",
    )
    parser.add_argument("--at", type=_point, metavar="X,Y", help="a pixel of the person to look for; default: the largest")
    parser.add_argument("-o", "--output", required=True, help="the file to write; a picture by its name: .png, .jpg or .webp")
    parser.add_argument("--preset", choices=get_args(PresetName), default="balanced", help="default: balanced")
    parser.add_argument("--model", default=str(MODEL), help="folder in diffusers' layout or hub id; default: the shipped one")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def _point(text: str) -> tuple[int, int]:
    x, _, y = text.partition(",")
    try:
        return int(x), int(y)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no point: say X,Y in pixels of the photo, such as 320,200") from None


def _sampling_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=int, help="default: the preset's")
    parser.add_argument("--guidance-scale", type=float, help="default: the preset's")


def _target_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="PROMPT", help='what the photo shows; default: "a photo of a SUBJECT"')
    parser.add_argument("--target", metavar="PROMPT", required=True, help="what it shall show")
    parser.add_argument("--subject", help="the word of both prompts that names the person")
    parser.add_argument("--edit-mask", metavar="PNG", help="what may change; default: the person and a margin")
    parser.add_argument("--edit-mask-mode", choices=get_args(MaskMode), help="how the edit mask does; default: as --mask-mode")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--strength", type=float, default=1.0, help="above 0, at most 1: how far back towards noise the edit starts"
    )
    parser.add_argument("--negative-prompt", metavar="PROMPT", help="what it shall not show")
    parser.add_argument("--output-quality", type=int, help="of a .jpg or .webp, 1 to 100; a .webp of 100 is lossless; default: 95")
    parser.add_argument(
        "--keep-alpha", action=argparse.BooleanOptionalAction, help="whether a transparent photo stays so; default: if the file can"
    )
    parser.add_argument("--report", metavar="JSON", help="write what was done and measured there")
    parser.add_argument("--mode", choices=get_args(LearningMode), help="what is learned; default: the preset's")
    _sampling_options(parser)


def _edit_options(parser: argparse.ArgumentParser) -> None:
    _target_options(parser)
    parser.add_argument("--identity", metavar="FILE", help="of `learn`: nothing is learned then")
    parser.add_argument("--inversion", metavar="FILE", help="of `invert`, with the same identity")
    parser.add_argument(
        "--attribute",
        nargs=2,
        action="append",
        default=[],
        metavar=("FILE", "PNG"),
        help="of `learn --attribute`, and the region of the photo it acts in; may be given several times",
    )


def _compose_options(parser: argparse.ArgumentParser) -> None:
    _target_options(parser)
    parser.add_argument("--region", metavar="PNG", required=True, help="the region of the photo in which the attribute acts")
    parser.add_argument("--reference", metavar="PHOTO", required=True, help="a photo that shows the attribute, on anybody")
    parser.add_argument("--reference-region", metavar="PNG", required=True, help="where the reference shows it")
    parser.add_argument("--reference-person", metavar="PNG", help="the person in the reference; default: all of it is looked at")
    parser.add_argument("--reference-prompt", metavar="PROMPT", required=True, help='such as "a woman with makeup"')
    parser.add_argument("--reference-subject", metavar="WORD", required=True, help="its word for the attribute: makeup")
    parser.add_argument("--name", default=ATTRIBUTE, help=f"how prompts write it; default: {ATTRIBUTE}")
    parser.add_argument("--keep", metavar="FILE", help="save the attribute there")


def _learn_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt", required=True, help="what the photo shows")
    parser.add_argument("--subject", help="the word of the prompt for what is learned")
    parser.add_argument("--attribute", nargs="?", const=ATTRIBUTE, metavar="NAME", help=f"learn an attribute; default: {ATTRIBUTE}")
    parser.add_argument("--person", metavar="PNG", help="of an attribute: the person who wears it; default: all is looked at")
    parser.add_argument("--words", nargs="*", default=[], help="attribute words to be orthogonal to, besides the model's")
    parser.add_argument("--mode", choices=get_args(LearningMode), help="what is learned; default: the preset's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", metavar="FILE", help=f"kept every {CHECKPOINT_STEPS} steps; learning goes on from it")
    parser.add_argument("--export", metavar="FOLDER", help="also write it for diffusers, as textual inversion and LoRA")


def _invert_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", metavar="PROMPT", required=True, help="what the photo shows")
    parser.add_argument("--identity", metavar="FILE", help="of `learn`")
    _sampling_options(parser)


if __name__ == "__main__":
    raise SystemExit(main())

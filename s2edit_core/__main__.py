"""`python -m s2edit_core`: learn, invert, edit and compose on this machine, without a service.

    python -m s2edit_core edit photo.png --mask face.png -o edited.png \\
        --source "a photo of a woman" --target "a photo of a woman with red hair"

The exit status is 2 if the request has to change, 1 if the computation failed, and 130 if it was interrupted.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from s2edit_core.commands import compose, edit, fetch_segmenter, invert, learn
from s2edit_core.commands.arguments import add_command, check_given
from s2edit_core.commands.outputs import check_outputs
from s2edit_core.errors import InvalidInput, NumbersNotFinite, S2EditError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit status."""
    args = _parser().parse_args(argv)
    try:
        check_given(args)
        check_outputs(args)
        args.run(args)
    except S2EditError as error:
        option = args.options.get(error.field) if isinstance(error, InvalidInput) else None
        sys.stderr.write(f"s2edit_core: {option + ': ' if option else ''}{error}\n")
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
    edit.add_options(add_command(commands, edit.edit))
    compose.add_options(add_command(commands, compose.compose))
    learn.add_options(add_command(commands, learn.learn))
    invert.add_options(add_command(commands, invert.invert))
    fetch = fetch_segmenter.fetch_segmenter
    summary = (fetch.__doc__ or "").strip()
    commands.add_parser("fetch-segmenter", help=summary, description=summary).set_defaults(run=fetch, options={})
    return parser


if __name__ == "__main__":
    raise SystemExit(main())

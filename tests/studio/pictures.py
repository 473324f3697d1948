"""Copy screenshots of the tests to the documentation: `python -m tests.studio.pictures` after a run of the tests of the studio."""

from __future__ import annotations

import sys

from PIL import Image

from s2edit_jobs.settings import ROOT
from tests.studio.states import SCREENSHOTS

CHOSEN = {
    "studio.png": "result-desktop-light",
    "studio-phone.png": "ready-phone-light",
    "studio-people.png": "people-erase-desktop-light",
    "studio-history.png": "history-desktop-dark",
}
"""The picture in docs/images, by its name there, and the screenshot that it shows."""


def main() -> None:
    for name, shown in CHOSEN.items():
        source = SCREENSHOTS / f"{shown}.png"
        if not source.is_file():
            sys.exit(f"{source.name} is missing: run `make test ARGS=tests/studio` first")
        picture = Image.open(source).convert("RGB").quantize(256, dither=Image.Dither.NONE)
        picture.save(ROOT / "docs" / "images" / name, optimize=True)


if __name__ == "__main__":
    main()

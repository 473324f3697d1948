"""The demo's photos, which `lab/world/sample.py` drew, and its edits. The lab is not installed, so they are package data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from s2edit_core.pictures.files import encode_png, grown
from s2edit_core.request.domains import DEFAULT_DOMAINS
from s2edit_core.whole_files import write_whole

FOLDER = Path(__file__).with_name("sample")
SOURCE_PROMPTS = {
    "person": "a photo of a woman with long brown hair",
    "cat": "a photo of a cat",
    "church": "a photo of a church",
    "makeup": "a photo of a woman with long black hair and [A] makeup",
}
"""The sentence that describes each photo. `makeup` is of another person, whose makeup is learned as the attribute [A]."""


SCENES = frozenset(word for domain in DEFAULT_DOMAINS if domain.scene for word in domain.subjects)
"""Photos whose edit may change everything, as autumn does."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A photo, its mask, and the prompt that describes it. The mask of `makeup` marks the makeup, all others their subject."""

    name: str
    photo: Image.Image
    mask: Image.Image
    source_prompt: str

    @property
    def edit_mask(self) -> Image.Image:
        """What an edit may change, since the demo sends no edit mask: the scene, or the mask and a margin."""
        return Image.new("L", self.photo.size, 255) if self.name in SCENES else grown(self.mask)

    def files(self, folder: Path) -> dict[str, Path]:
        """Return the files of a request, as `save` writes them to `folder`. The person's names are those of the quickstart."""
        photo, mask = ("source", "mask") if self.name == "person" else (self.name, f"{self.name}-mask")
        return {"image": folder / f"{photo}.png", "mask": folder / f"{mask}.png"}

    def save(self, folder: Path) -> None:
        """Write photo and masks to `folder`."""
        pictures = {"image": self.photo, "mask": self.mask}
        for name, path in self.files(folder).items():
            write_whole(path, encode_png(pictures[name]))


@dataclass(frozen=True, slots=True)
class Edit:
    """An edit of the sample `of`. With `attribute`, it applies what is learned from the sample of that name."""

    number: int
    of: str
    prompt: str
    attribute: str = ""


FIRST_EDITS = (
    Edit(1, "person", "a photo of a woman with long red hair"),
    Edit(2, "cat", "a photo of a sleeping cat"),
    Edit(3, "church", "a photo of a church in autumn"),
)
"""Each learns its subject."""
TRANSFER = Edit(4, "person", "a photo of a woman with long brown hair and [A] makeup", attribute="makeup")
NEXT_EDIT = Edit(5, "person", "a photo of a smiling woman with long brown hair")
EDITS = (*FIRST_EDITS, TRANSFER, NEXT_EDIT)
NEXT_PROMPT = "a photo of a smiling woman with long red hair"
"""Of the edit that the demo's last lines ask for."""


def sample(name: str = "person") -> Sample:
    """Return a sample by its name in `SOURCE_PROMPTS`."""
    with Image.open(FOLDER / f"{name}.webp") as photo, Image.open(FOLDER / f"{name}-mask.png") as mask:
        return Sample(name, photo.convert("RGB"), mask.convert("L"), SOURCE_PROMPTS[name])

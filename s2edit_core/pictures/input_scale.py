"""The scaling of a large photo on input: its entries in a report, and the mapping of pixels. Loads no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from s2edit_core.pictures.files import declared_picture
from s2edit_core.request.picture_limits import scaled_size


@dataclass(frozen=True, slots=True)
class InputScale:
    """Size (width, height) of an upright photo, as `sent` and as `decoded`: scaled down to `max_pixels` if it was larger."""

    sent: tuple[int, int]
    decoded: tuple[int, int]

    @classmethod
    def of(cls, data: bytes, decoded: tuple[int, int], max_pixels: int | None) -> InputScale:
        """Return the scaling of the photo file `data`, which `decode_photo` decoded to the size `decoded`.

        `max_pixels` is the limit that it was decoded with.
        """
        sent = decoded if max_pixels is None else declared_picture(data).size
        return cls(sent if scaled_size(sent, max_pixels) == decoded else sent[::-1], decoded)

    @property
    def scaled_to(self) -> tuple[int, int] | None:
        """The decoded size if the photo was scaled, otherwise None."""
        return None if self.decoded == self.sent else self.decoded

    def pixel(self, at: tuple[int, int] | None) -> tuple[int, int] | None:
        """Map a pixel (x, y) of the photo that was sent to the decoded photo."""
        if at is None:
            return None
        return at[0] * self.decoded[0] // self.sent[0], at[1] * self.decoded[1] // self.sent[1]

    @property
    def facts(self) -> dict[str, Any]:
        """The entries of a report."""
        scale = math.sqrt(self.decoded[0] * self.decoded[1] / (self.sent[0] * self.sent[1]))
        return {"input_size": list(self.sent), "input_scale": round(scale, 4)}

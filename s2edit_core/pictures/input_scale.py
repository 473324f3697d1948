"""How a photo was scaled down on the way in: what a report says of it, and where a pixel of it went. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from s2edit_core.pictures.files import declared_picture
from s2edit_core.request.limits import scaled_size


@dataclass(frozen=True, slots=True)
class InputScale:
    """Width and height of a photo, upright: as it was sent, and as it is decoded once it is scaled down."""

    sent: tuple[int, int]
    decoded: tuple[int, int]

    @classmethod
    def of(cls, data: bytes, decoded: tuple[int, int], max_pixels: int | None) -> InputScale:
        """Of a photo that `decode_photo` has made one of the size `decoded` of, by the same `max_pixels`."""
        sent = decoded if max_pixels is None else declared_picture(data).size
        return cls(sent if scaled_size(sent, max_pixels) == decoded else sent[::-1], decoded)

    @property
    def scaled_to(self) -> tuple[int, int] | None:
        """The size decoded, where it is another one than was sent."""
        return None if self.decoded == self.sent else self.decoded

    def pixel(self, at: tuple[int, int] | None) -> tuple[int, int] | None:
        """Where a pixel of the photo that was sent is decoded."""
        if at is None:
            return None
        return at[0] * self.decoded[0] // self.sent[0], at[1] * self.decoded[1] // self.sent[1]

    @property
    def facts(self) -> dict[str, Any]:
        """For a report."""
        scale = math.sqrt(self.decoded[0] * self.decoded[1] / (self.sent[0] * self.sent[1]))
        return {"input_size": list(self.sent), "input_scale": round(scale, 4)}

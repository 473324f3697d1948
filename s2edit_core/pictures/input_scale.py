"""How a photo was scaled down on the way in: what a report says of it, and where a pixel of it went. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from s2edit_core.pictures.files import announced
from s2edit_core.request.limits import scaled_size


@dataclass(frozen=True, slots=True)
class InputScale:
    """Width and height of a photo, upright: as it was sent, and as it is seen once it is scaled down."""

    sent: tuple[int, int]
    seen: tuple[int, int]

    @classmethod
    def of(cls, data: bytes, seen: tuple[int, int], max_pixels: int | None) -> InputScale:
        """Of a photo that `decode_photo` has made one of the size `seen` of, by the same `max_pixels`."""
        sent = seen if max_pixels is None else announced(data).size
        return cls(sent if scaled_size(sent, max_pixels) == seen else sent[::-1], seen)

    @property
    def scaled_to(self) -> tuple[int, int] | None:
        """The size seen, where it is another one than was sent."""
        return None if self.seen == self.sent else self.seen

    def pixel(self, at: tuple[int, int] | None) -> tuple[int, int] | None:
        """Where a pixel of the photo that was sent is seen."""
        if at is None:
            return None
        return at[0] * self.seen[0] // self.sent[0], at[1] * self.seen[1] // self.sent[1]

    @property
    def facts(self) -> dict[str, Any]:
        """For a report."""
        scale = math.sqrt(self.seen[0] * self.seen[1] / (self.sent[0] * self.sent[1]))
        return {"input_size": list(self.sent), "input_scale": round(scale, 4)}

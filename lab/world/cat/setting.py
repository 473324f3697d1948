"""What differs between two photos of one cat and is neither identity nor captioned: light, backdrop, framing and grain."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal, get_args

from lab.world.cat.identity import Rgb
from lab.world.painting.picture import mixed

Backdrop = Literal["studio", "sofa", "garden", "window", "lights"]


@dataclass(frozen=True, slots=True)
class Setting:
    backdrop: Backdrop
    light_side: float  # -1 from the left .. 1 from the right
    light_height: float  # 0.2..0.8
    warmth: float  # -1 cool .. 1 warm
    brightness: float
    rim: float  # strength of the light from behind
    offset: tuple[float, float]
    scale: float
    roll: float  # of the head, radians
    yaw: float  # of the head, added to the pose's
    seed: int  # of backdrop and grain

    @classmethod
    def sample(cls, rng: random.Random) -> Setting:
        backdrop: Backdrop = rng.choice(get_args(Backdrop))
        return cls(
            backdrop=backdrop,
            light_side=rng.choice((-1, 1)) * rng.uniform(0.35, 1.0),
            light_height=rng.uniform(0.25, 0.75),
            warmth=rng.uniform(-0.6, 1.0),
            brightness=rng.uniform(0.92, 1.1),
            rim=rng.uniform(0.2, 0.75),
            offset=(rng.uniform(-0.06, 0.06), rng.uniform(-0.03, 0.05)),
            scale=rng.uniform(0.93, 1.05),
            roll=rng.uniform(-0.10, 0.10),
            yaw=rng.uniform(-0.06, 0.06),
            seed=rng.randrange(1 << 30),
        )

    @property
    def key_colour(self) -> Rgb:
        return mixed((1.0, 1.0, 1.0), (1.10, 0.97, 0.80) if self.warmth > 0 else (0.90, 0.98, 1.10), abs(self.warmth))

    @property
    def ambient_colour(self) -> Rgb:
        return mixed((1.0, 1.0, 1.0), (0.88, 0.95, 1.08) if self.warmth > 0 else (1.04, 1.0, 0.94), abs(self.warmth))

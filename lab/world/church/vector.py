"""A church's identity as numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lab.world.church.subject import Identity

# Name, mean and standard deviation of each number: those of 20,000 sampled churches.
_SCALES: tuple[tuple[str, float, float], ...] = (
    ("tower left", 0.3977, 0.4894),
    ("tower right", 0.3952, 0.4889),
    ("tower middle", 0.2596, 0.4384),
    ("tower width", 0.3028, 0.03211),
    ("tower height", 2.101, 0.2317),
    ("pyramid", 0.2682, 0.443),
    ("needle", 0.2495, 0.4327),
    ("curved spire", 0.3293, 0.47),
    ("spire height", 0.8147, 0.3974),
    ("nave width", 0.6903, 0.07528),
    ("nave height", 1, 0.1153),
    ("nave length", 2.049, 0.26),
    ("pitch", 1.126, 0.2173),
    ("aisles", 0.2558, 0.4363),
    ("wall red", 0.7422, 0.1568),
    ("wall green", 0.6284, 0.2164),
    ("wall blue", 0.5418, 0.2213),
    ("masonry", 0.502, 0.5),
    ("roof red", 0.4422, 0.1542),
    ("roof green", 0.3386, 0.1213),
    ("roof blue", 0.3115, 0.1222),
    ("cap red", 0.4418, 0.1547),
    ("cap blue", 0.312, 0.1221),
    ("pointed", 0.3999, 0.4899),
    ("rose", 0.4451, 0.497),
    ("door red", 0.3119, 0.1595),
    ("door blue", 0.2311, 0.1254),
)
NAMES: tuple[str, ...] = tuple(name for name, _, _ in _SCALES)


def numbers(who: Identity) -> dict[str, float]:
    """Return the identity as plain numbers by name. Colours are in 0..1, choices 0 or 1."""
    return {
        "tower left": who.towers in ("left", "pair"),
        "tower right": who.towers in ("right", "pair"),
        "tower middle": who.towers == "middle",
        "tower width": who.tower_width,
        "tower height": who.tower_height,
        "pyramid": who.spire == "pyramid",
        "needle": who.spire == "needle",
        "curved spire": who.spire in ("onion", "dome"),
        "spire height": who.spire_height,
        "nave width": who.nave_width,
        "nave height": who.nave_height,
        "nave length": who.nave_length,
        "pitch": who.pitch,
        "aisles": who.aisles,
        "wall red": who.wall[0],
        "wall green": who.wall[1],
        "wall blue": who.wall[2],
        "masonry": who.material in ("stone", "brick"),
        "roof red": who.roof[0],
        "roof green": who.roof[1],
        "roof blue": who.roof[2],
        "cap red": who.cap[0],
        "cap blue": who.cap[2],
        "pointed": who.arch == "pointed",
        "rose": who.rose,
        "door red": who.door[0],
        "door blue": who.door[2],
    }


def vector(who: Identity) -> NDArray[np.float32]:
    """Return the identity as numbers of about zero mean and unit variance, in the order of `NAMES`."""
    found = numbers(who)
    return np.array([(found[name] - mean) / deviation for name, mean, deviation in _SCALES], dtype=np.float32)

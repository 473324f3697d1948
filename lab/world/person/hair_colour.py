"""The colours of hair."""

from __future__ import annotations

from lab.world.person.identity import Colour, HairColour, Identity

COLOURS: dict[str, Colour] = {
    "black": (0.115, 0.10, 0.11),
    "brown": (0.36, 0.215, 0.125),
    "blond": (0.82, 0.65, 0.40),
    "red": (0.53, 0.20, 0.095),
    "gray": (0.66, 0.66, 0.68),
}


def hair_colour(who: Identity, named: HairColour) -> Colour:
    """Return the colour of the hair: the named one, shifted by the identity's tint."""
    r, g, b = COLOURS[named]
    tint = who.hair_tint
    bright = 1 + 0.13 * tint
    return r * bright * (1 + 0.03 * tint), g * bright, b * bright * (1 - 0.05 * tint)

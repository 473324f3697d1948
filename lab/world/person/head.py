"""The solid of a head: skull, cheeks, jaw, chin, nose, lips and eye sockets, from identity, gender, age and expression."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field
from lab.world.person.geometry import capsule, ellipsoid


@dataclass(frozen=True, slots=True)
class Face:
    """The measures of a face in head units."""

    width: float  # factor of all widths
    jaw: float  # half width at the jaw
    chin_y: float
    chin: float  # half width of the chin
    cheek: float  # radius of the cheek bones
    beard: float  # thickness of the beard
    eye_x: float
    eye: float  # half width of an eye
    nose_tip: float  # y
    nose_out: float  # z
    nose: float  # half width
    mouth_y: float
    mouth: float  # half width
    lips: float  # half height of the lips together

    @classmethod
    def of(cls, subject: Subject) -> Face:
        who, has = subject.identity, subject.attributes
        man, old, young = has.gender == "man", has.age == "old", has.age == "young"
        longer = 0.018 * who.face_height + 0.008 * man - 0.034 * young
        mouth_y = 0.312 + 0.6 * longer
        return cls(
            width=1 + 0.05 * who.face_width + 0.02 * young,
            jaw=0.258 + 0.026 * who.jaw + 0.026 * man + 0.014 * old - 0.016 * young,
            chin_y=0.415 + longer,
            chin=0.09 + 0.03 * who.chin + 0.03 * man,
            cheek=0.115 + 0.012 * who.cheekbones + 0.02 * young - 0.012 * old - 0.008 * man,
            beard=0.026 if has.beard else 0.0,
            eye_x=0.160 + 0.011 * who.eye_distance,
            eye=(0.090 + 0.006 * who.eye_size) * (1.17 if young else 0.93 if old else 1.0) * (0.94 if man else 1.03),
            nose_tip=0.175 + 0.02 * who.nose_length - 0.026 * young + 0.012 * old,
            nose_out=0.445 + 0.016 * who.nose_bridge - 0.012 * young + 0.008 * man,
            nose=0.046 + 0.010 * who.nose_width + 0.006 * man - 0.006 * young + 0.004 * old,
            mouth_y=mouth_y,
            mouth=0.108 + 0.014 * who.mouth_width + 0.004 * man,
            lips=(0.036 + 0.010 * who.lips) * (0.78 if old else 1.06 if young else 1.0) * (0.86 if man else 1.1),
        )

    def solid(self, x: Field, y: Field, z: Field) -> Field:
        """Return the distance to the head without its nose-like details being lost: the nose is part of it."""
        x = np.sqrt(x * x + np.float32(0.0009))
        w, grown = self.width, self.beard
        skull = ellipsoid(x, y, z, (0, -0.15, -0.08), (0.345 * w, 0.37, 0.43))
        face = ellipsoid(x, y, z, (0, 0.09, 0.0), (0.288 * w + grown / 2, self.chin_y - 0.01, 0.355))
        field = _blend(skull, face, 0.18)
        corner = (self.jaw * w - 0.088, 0.205, -0.02)
        jaw = capsule(x, y, z, corner, (self.chin * 0.45, self.chin_y - 0.005, 0.235), 0.088 + grown, 0.078 + grown)
        field = _blend(field, jaw, 0.20)
        cheek = ellipsoid(x, y, z, (0.185 * w, 0.12, 0.19), (self.cheek, 0.10, 0.115))
        field = _blend(field, cheek, 0.14)
        field += 0.03 * _bump(x, y, self.eye_x - 0.01, 0.0, 0.085, 0.05)
        field -= 0.012 * _bump(x, y, 0.0, self.mouth_y, 0.10, 0.05)
        field += 0.010 * _bump(x, y, 0.0, self.mouth_y + 0.065, 0.07, 0.022)
        return _blend(field, self._nose(x, y, z), 0.07)

    def _nose(self, x: Field, y: Field, z: Field) -> Field:
        tip, out, wide = self.nose_tip, self.nose_out, self.nose
        bridge = capsule(x, y, z, (0, -0.04, 0.315), (0, tip, out - wide), 0.034, wide * 0.98)
        wing = ellipsoid(x, y, z, (wide * 1.02, tip + 0.014, out - 0.075), (wide * 0.66, 0.03, 0.042))
        return _blend(bridge, wing, 0.035)


def _blend(a: Field, b: Field, width: float) -> Field:
    """Return two solids joined over `width`. The cubic blend keeps the curvature continuous: a kink would show in the light."""
    h = np.maximum(width - np.abs(a - b), 0) * np.float32(1 / width)
    field: Field = np.minimum(a, b) - h * h * h * np.float32(width / 6)
    return field


def _bump(x: Field, y: Field, cx: float, cy: float, rx: float, ry: float) -> Field:
    """Return a smooth bump of height 1 that is 0 beyond about two radii: (1 + r²)⁻² costs less than a Gaussian."""
    u, v = (x - cx) / rx, (y - cy) / ry
    falls = 1 / (1 + 0.5 * (u * u + v * v))
    field: Field = falls * falls
    return field

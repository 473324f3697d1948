"""Hair: a shell around the skull that turns with the head, a curtain below it when it is long, bangs and beards."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lab.world.domain import Subject
from lab.world.painting.fields import Field, Frame, coverage
from lab.world.painting.picture import Picture, Pixels, mixed, rgb
from lab.world.painting.texture import fractal, noise
from lab.world.person.canvas import Skin
from lab.world.person.complexion import hair_colour
from lab.world.person.geometry import Placement, Radii, Surface, hit
from lab.world.person.head import Face
from lab.world.person.light import Light

CENTRE = (0.0, -0.15, -0.10)
EAR_Y = 0.06
ROUND = 0.36
"""Head units per radian around the head: turns angles into lengths."""


@dataclass(frozen=True, slots=True)
class Hair:
    """The shape of somebody's hair."""

    volume: float
    length: float  # y where the curtain ends; EAR_Y or less: no curtain
    top: float  # y of the hair line above the forehead
    peak: float
    bangs: float | None  # y where they end
    curl: float  # 0 straight .. 1 curly
    part: float  # angle of the parting
    swept: bool  # combed back from the forehead rather than to the sides
    width: float  # of the face
    seed: int

    @classmethod
    def of(cls, subject: Subject) -> Hair:
        who, has = subject.identity, subject.attributes
        man, long, curly = has.gender == "man", has.hair_length == "long", has.curly
        thick = 0.052 + 0.014 * who.hair_volume + 0.010 * (not man) + 0.040 * curly - 0.006 * (has.age == "old")
        volume = 0.6 * thick if has.hat else thick
        short = -0.02 if man else 0.24 + 0.04 * who.hair_volume
        length = 0.76 - 0.06 * man + 0.07 * who.hair_volume if long else short
        top = -0.325 - 0.028 * who.hairline - 0.02 * man - (0.025 if man and has.age == "old" else 0.0)
        return cls(
            volume=volume,
            length=length,
            top=top,
            peak=0.035 * who.widows_peak,
            bangs=-0.125 if has.bangs else None,
            curl=1.0 if curly else 0.0,
            part=(0.35 * (1 if who.parting > 0 else -1) if man else 0.0) + 0.45 * who.parting,
            swept=man and not long,
            width=1 + 0.05 * who.face_width,
            seed=who.freckle_seed,
        )

    @property
    def radii(self) -> tuple[float, float, float]:
        v = self.volume
        if self.swept:  # short at the sides, full on top
            return 0.352 * self.width + 0.25 * v, 0.372 + 1.2 * v, 0.43 + 0.55 * v
        return 0.345 * self.width + v, 0.37 + v, 0.43 + v

    @property
    def falls(self) -> bool:
        """Whether hair hangs down below the ears."""
        return self.length > EAR_Y

    def around(self, x: Field, z: Field) -> Field:
        """Return the angle around the head: 0 in front, positive to the right."""
        a, _, b = self.radii
        angle: Field = np.arctan2(x / a, (z - CENTRE[2]) / b)
        return angle

    def field(self, angle: Field, y: Field) -> Field:
        """Return the approximate distance to the hairy part of the shell, negative where hair grows."""
        centre = 0.14
        side = angle * ROUND
        up = np.minimum(y, centre) - centre - self.peak * np.exp(-((angle / 0.22) ** 2)) * np.float32(1)
        wide = 0.345 if self.falls else 0.425
        wide = wide - 0.08 * np.clip((y - 0.12) * 2.2, 0, 1) - 0.02 * self.curl
        tall = centre - self.top
        u, v = side / wide, up / tall
        if self.swept:  # the hair line runs straight across the forehead and has corners
            k0 = np.sqrt(np.sqrt(u * u * u * u + v * v * v * v))
            field: Field = -(k0 - 1) * 0.40
        else:
            k0 = np.hypot(u, v)
            field = -k0 * (k0 - 1) / np.maximum(np.hypot(u / wide, v / tall), 1e-3)
        if self.curl:
            field += 0.022 * noise(angle * 7, y * 14, self.seed + 3)
        else:
            field += 0.006 * noise(angle * 22, y * 10, self.seed + 3)
        if self.bangs is not None:
            jag = 0.028 * noise(angle * (6 + 4 * self.curl), y * 0, self.seed + 9) + 0.014 * noise(angle * 17, y * 0, self.seed + 8)
            fringe = np.maximum(y - self.bangs - jag - 0.05 * angle * angle, np.abs(side) - 0.41)
            field = np.minimum(field, fringe)
        if not self.falls:
            ear = np.clip((np.abs(angle) - 1.55) * 0.55, 0, 0.30)
            front = np.clip((1.35 - np.abs(angle)) * 0.5, 0, 0.2)
            field = np.maximum(field, y - (EAR_Y - 0.05) - ear - 0.3 * front - 0.01 * noise(angle * 20, y * 0, self.seed))
        return field


def shell(hair: Hair, placement: Placement, at: Frame) -> Surface:
    """Return what `at` shows of the hair's outer surface, whether hair grows there or not."""
    radii: Radii = hair.radii
    if hair.curl:
        bump = 1 + _outline(hair, placement, at)
        radii = (radii[0] * bump, radii[1] * bump, radii[2] * bump)
    cap = hit(placement, at, CENTRE, radii)
    if not hair.falls:
        return cap
    curtain = _curtain(hair, placement, at)
    low = (curtain.y > CENTRE[1]) & ((cap.inside <= 0.5) | (cap.y >= CENTRE[1]))
    x, y, z, a, b, c, inside = (
        np.where(low, below, above)
        for below, above in zip(
            (curtain.x, curtain.y, curtain.z, *curtain.normal, curtain.inside),
            (cap.x, cap.y, cap.z, *cap.normal, cap.inside),
            strict=True,
        )
    )
    return Surface(x, y, z, (a, b, c), cap.hollow, inside)


def _outline(hair: Hair, placement: Placement, at: Frame) -> Field:
    """Return by how much curls widen the outline, relative to its radius: bumps around the middle of the head."""
    x, y, _ = placement.project(CENTRE)
    u, v = (at.x - np.float32(x)) / placement.scale, (at.y - np.float32(y)) / placement.scale
    far = np.hypot(u, v) + np.float32(1e-4)
    edge = np.clip(far / 0.3, 0, 1)
    field: Field = 0.045 * edge * (0.4 + noise(u / far * 4.5, v / far * 4.5, hair.seed))
    return field


def _curtain(hair: Hair, placement: Placement, at: Frame) -> Surface:
    ox, oy, oz = placement.rays(at)
    dx, dy, dz = placement.sight
    rx, _, rz = hair.radii
    y = oy + 0.2 * dy
    closest = t = x = z = np.zeros_like(ox)
    for _ in range(3):
        drop = np.clip(y - CENTRE[1], 0, 1.2)
        wide = 1 + 0.10 * drop - 0.16 * np.clip(drop - 0.7, 0, 1)
        if hair.length < 0.4:
            wide = 1 + 0.06 * drop - 0.9 * np.clip(drop - 0.28, 0, 1) ** 2
        if hair.curl:
            wide += 0.085 * fractal(y * 8, np.sign(ox) * 3 + oz * 2, hair.seed + 4, 2) + 0.10 * drop
        else:
            wide += 0.018 * noise(y * 5, np.sign(ox) * 3, hair.seed + 4)
        a, b = rx * wide, rz * wide * (1 - 0.12 * drop)
        px, pz, qx, qz = ox / a, (oz - CENTRE[2]) / b, dx / a, dz / b
        qq = qx * qx + qz * qz
        pq = (px * qx + pz * qz) / qq
        closest = np.sqrt(np.maximum(px * px + pz * pz - pq * pq * qq, 0))
        t = -pq + np.sqrt(np.maximum(1 - closest * closest, 0) / qq)
        y = oy + t * dy
        x, z = ox + t * dx, oz + t * dz
    nx, nz = x / (a * a), (z - CENTRE[2]) / (b * b)
    length = np.hypot(nx, nz) + np.float32(1e-6)
    nx, nz = nx / length, nz / length
    seen = tuple(row[0] * nx + row[2] * nz for row in placement.rows)
    ends = hair.length + 0.035 * noise(x * 16, z * 16, hair.seed + 6) + 0.02 * np.cos(x * 7)
    inside = np.clip(0.5 - (closest - 1) * rx * placement.scale / at.pixel, 0, 1)
    inside *= coverage(y - ends, at.pixel / placement.scale, 0.03)
    return Surface(x, y, z, (seen[0], seen[1], seen[2]), np.zeros_like(x), inside)


def strands(hair: Hair, s: Surface, angle: Field) -> Field:
    """Return the pattern of strands in about -1..1: stretched along the hair."""
    a = angle - np.float32(hair.part)
    across = np.hypot(a * ROUND, np.minimum(s.y - 0.10, 0) * 1.05)
    along = np.arctan2(np.abs(a), np.maximum(0.4 - s.y, 0.05)) + np.maximum(s.y, 0)
    if hair.bangs is not None:
        front = (np.abs(angle) < 0.95) & (s.y < hair.bangs + 0.06)
        across, along = np.where(front, angle * 0.42, across), np.where(front, s.y, along)
    if hair.curl:
        return _curls(hair, across, along)
    wave = across + 0.012 * noise(across * 5, along * 3, hair.seed + 1)
    return 0.55 * noise(wave * 24, along * 1.6, hair.seed) + 0.45 * noise(wave * 52, along * 2.4, hair.seed + 7)


def _curls(hair: Hair, across: Field, along: Field) -> Field:
    """Return the pattern of curls: locks that wind from side to side and turn towards the light and away."""
    phase = 4 * noise(across * 9, along * 1.2, hair.seed + 1)
    winding = along * 30 + phase
    lane = across * 21 + 0.75 * np.sin(winding) + 0.5 * noise(across * 6, along * 6, hair.seed + 2)
    inside = lane - np.floor(lane)
    round_ = 4 * inside * (1 - inside)
    turned = np.cos(winding + 2.2 * inside)
    fine = noise(lane * 5, along * 9, hair.seed)
    found: Field = 0.75 * round_ + 0.36 * turned + 0.22 * fine - 0.55
    return found * 1.15


@dataclass(frozen=True, slots=True, eq=False)
class Locks:
    """What a window of the picture shows of somebody's hair."""

    hair: Hair
    picture: Picture
    at: tuple[slice, slice]  # the window
    surface: Surface
    placement: Placement
    angle: Field
    streak: Field

    @classmethod
    def of(cls, hair: Hair, picture: Picture, placement: Placement) -> Locks:
        x, y, _ = placement.project((0, -0.15, 0))
        reach = 0.74 * placement.scale
        corners = ((x - reach, y - reach), (x + reach, 1.0 if hair.falls else y + 0.9 * reach))
        view = picture.window(*corners)
        surface = shell(hair, placement, view.frame)
        angle = hair.around(surface.x, surface.z)
        return cls(hair, view, picture.frame.window(*corners), surface, placement, angle, strands(hair, surface, angle))

    def colours(self, subject: Subject, field: Field | float, light: Light) -> Pixels:
        """Return the lit colour of hair at each pixel. Roots, where `field` is near 0, are darker."""
        hair, s, streak = self.hair, self.surface, self.streak
        base = hair_colour(subject.identity, subject.attributes.hair_colour)
        streak = streak * np.clip(2.2 * s.normal[2], 0, 1)  # at the outline strands lie closer than pixels
        key, fill = light.level(s.normal)
        edge = np.clip(-field / 0.05, 0, 1)
        lit = (key + fill) * (0.72 + 0.28 * edge) * (1 + 0.30 * streak)
        lit *= 1 - 0.30 * np.clip(s.y * 1.1, 0, 1) * (0.5 + 0.5 * np.abs(s.normal[0]))
        if hair.bangs is None and not hair.curl and not hair.swept:
            away = np.abs(self.angle - np.float32(hair.part * 0.45)) * ROUND
            lit *= 1 - 0.42 * np.clip(1 - away / 0.016, 0, 1) * (s.y < -0.2) * (s.y > hair.top - 0.20)
        nx, ny, nz = s.normal
        toward = nx * light.direction[0] * 0.8 - ny * 0.75 + nz * 0.35
        band = np.exp(-(((toward - 0.66) / 0.20) ** 2)) * np.clip(0.55 + 0.75 * streak, 0, 1.2)
        shine = rgb(mixed(base, (1.0, 0.96, 0.90), 0.42)) - rgb(base) * 0.4
        pixels: Pixels = rgb(base) * lit[..., None]
        pixels += shine * (band * ((0.31 if hair.curl else 0.48) * light.strength))[..., None]
        return pixels

    def paint_back(self, subject: Subject, light: Light) -> None:
        """Paint the hair behind neck and face, as far as its outline reaches."""
        s = self.surface
        share = s.inside if self.hair.falls else s.inside * np.clip((0.24 - s.y) / 0.05, 0, 1)
        inner = np.clip((s.normal[2] - 0.25) * 1.6, 0, 1)
        pixels = self.colours(subject, -0.05, light) * (1 - 0.62 * inner)[..., None]
        self.picture.cover(share, pixels, part="hair")

    def paint_front(self, subject: Subject, light: Light, depth: Field) -> None:
        """Paint the hair in front of a head of that depth, given for the whole picture."""
        s, hair = self.surface, self.hair
        field = hair.field(self.angle, s.y)
        share = s.inside * coverage(field, self.picture.frame.pixel / self.placement.scale, 0.020 if hair.curl else 0.014)
        share *= s.in_front_of(depth[self.at] - 0.01, self.placement)
        self.picture.cover(share, self.colours(subject, field, light), part="hair")


def shadow_on_face(hair: Hair, surface: Surface, light: Light) -> Field:
    """Return the shadow that the hair casts on the face, 0..1."""
    angle = hair.around(surface.x, surface.z)
    shift = 0.030
    field = hair.field(angle - np.float32(0.10 * light.direction[0]), surface.y - np.float32(shift))
    dark: Field = np.clip(1 - field / 0.045, 0, 1)
    if not hair.falls:
        dark = dark * np.clip((0.12 - surface.y) * 8, 0, 1)
    return dark


def paint_beard(skin: Skin, subject: Subject, face: Face) -> Field:
    """Paint a full beard with a moustache, without light. Return what it covers."""
    who, has = subject.identity, subject.attributes
    side, y = np.abs(skin.x), skin.y
    top = face.mouth_y - 0.076
    knots = (0.0, 0.045, face.mouth + 0.01, face.mouth + 0.05, 0.235 * face.width, 0.29 * face.width, 0.35)
    heights = (top + 0.012, top, top + 0.022, top + 0.010, 0.155, 0.02, -0.05)
    line = np.interp(side, knots, heights).astype(np.float32)
    rough = 0.012 * noise(skin.x * 40, y * 22, who.freckle_seed + 12)
    field = line - y + rough
    field = np.maximum(field, -skin.surface.z - 0.10)
    gap = np.hypot(side / (face.mouth * 0.92), (y - face.mouth_y) / (face.lips * 1.15)) - 1
    field = np.maximum(field, -0.03 * gap)
    base = hair_colour(who, has.hair_colour)
    base = mixed(base, (0.10, 0.07, 0.06), 0.12)
    hairs = noise(skin.x * 34 + 6 * y * np.sign(skin.x), y * 11, who.freckle_seed + 13)
    fine = noise(skin.x * 70, y * 26, who.freckle_seed + 14)
    curl = noise(skin.x * 26, y * 26, who.freckle_seed + 15) if has.curly else hairs
    colour = rgb(base) * (1 + 0.20 * curl + 0.16 * fine)[..., None]
    skin.paint(field, colour, opacity=0.96, soft=0.035, part="beard")
    return coverage(field, skin.pixel, 0.035)

"""Drawing functions for the features of a portrait, one each: body, head, eyes, hair, hat and so on."""

from __future__ import annotations

import random
from collections.abc import Iterable

from lab.world.drawing import FaceLayout, ShapeCanvas, darker, ellipse_arc, lighter, mix
from lab.world.people import CLOTHES, EYE_COLOURS, FRAMES, HATS, Attributes, Colour, Identity, Person, Point


def _curls(canvas: ShapeCanvas, points: Iterable[Point], radius: float, colour: Colour) -> None:
    """Draw bumps along a path. At this size they make hair look curly."""
    for i, point in enumerate(points):
        canvas.ellipse(point, radius, radius, colour if i % 2 else darker(colour, 0.14), "hair")


def draw_hair_behind(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, has = person.identity, person.attributes
    volume = who.hair_volume
    shade = darker(face.hair, 0.22)
    top = (face.cx, face.cy - 5)
    if has.hair_length == "short":
        canvas.polygon(ellipse_arc(top, face.width + volume * 0.7, face.height + volume - 5, 170, 370), shade, "hair")
        if has.curly:
            _curls(canvas, ellipse_arc(top, face.width + volume * 0.5, face.height + volume - 7, 175, 365, 14), 4.6, face.hair)
        return
    bottom = face.cy + face.height + 17
    half = face.width + volume
    sides = [(face.cx + half + 1, face.cy + 10), (face.cx + half + 2, bottom - 4), (face.cx + half - 4, bottom)]
    left = [(2 * face.cx - x, y) for x, y in reversed(sides)]
    canvas.polygon(ellipse_arc(top, half, face.height + volume - 5, 180, 360) + sides + left, shade, "hair")
    if has.curly:
        for sign in (-1, 1):
            path = [(face.cx + sign * (half + 0.5), face.cy - 8 + i * (bottom - face.cy + 8) / 8) for i in range(9)]
            _curls(canvas, path, 5.2, face.hair)


def draw_body(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, man = person.identity, person.attributes.gender == "man"
    neck = face.width * (0.6 if man else 0.46)
    chin = face.cy + face.height
    shadow = darker(face.skin, 0.22)
    canvas.polygon(
        [
            (face.cx - neck, chin - 14),
            (face.cx + neck, chin - 14),
            (face.cx + neck + 2, 128),
            (face.cx - neck - 2, 128),
        ],
        shadow,
        "neck",
    )
    cloth = CLOTHES[who.clothes]
    shoulder = 46 if man else 39
    top = chin + 9
    body = [
        (face.cx - shoulder - 6, 130),
        (face.cx - shoulder, top + 11),
        (face.cx - shoulder + 10, top + 5),
        (face.cx - neck - 3, top - 2),
        (face.cx + neck + 3, top - 2),
        (face.cx + shoulder - 10, top + 5),
        (face.cx + shoulder, top + 11),
        (face.cx + shoulder + 6, 130),
    ]
    canvas.polygon(body, cloth, "clothes")
    if who.collar == 0:
        canvas.ellipse((face.cx, top - 3), neck + 3, 7, darker(cloth, 0.3), "clothes")
        canvas.ellipse((face.cx, top - 4), neck + 1, 6, shadow, "neck")
    else:
        depth = 14 if who.collar == 1 else 10
        canvas.polygon([(face.cx - neck - 2, top - 3), (face.cx + neck + 2, top - 3), (face.cx, top + depth)], shadow, "neck")
    if who.collar == 2:
        flap = lighter(cloth, 0.4)
        for sign in (-1, 1):
            edge = face.cx + sign * (neck + 3)
            canvas.polygon([(edge, top - 5), (face.cx, top + 10), (edge + sign * 2, top + 9)], flap, "clothes")


def draw_head(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, has = person.identity, person.attributes
    jaw = min(1.0, who.jaw * 0.6 + (0.4 if has.gender == "man" else 0.0))
    for sign in (-1, 1):
        ear = (face.cx + sign * (face.width + 0.5), face.cy + 1)
        canvas.ellipse(ear, 3.6, 6.0, darker(face.skin, 0.1), "ears")
    canvas.polygon(face.outline(jaw), face.skin, "face")
    if has.blush:
        for sign in (-1, 1):
            centre = (face.cx + sign * who.eye_distance * 1.28, face.nose_y + 1.5)
            for grow, alpha in ((1.0, 60), (0.78, 70), (0.55, 80)):
                canvas.ellipse(centre, 6.6 * grow, 4.6 * grow, (236, 74, 92), None, alpha)
    if who.freckles:
        dots = random.Random(f"freckles-{who.freckles}")  # one pattern for everyone, scaled to the face
        for _ in range(5 * who.freckles):
            x = dots.choice((-1, 1)) * dots.uniform(0.16, 0.66) * face.width
            point = (face.cx + x, face.nose_y - 2 + dots.uniform(-3.2, 3.2))
            canvas.ellipse(point, 0.75, 0.75, darker(face.skin, 0.42), None)
    if who.mole:
        point = (face.cx + who.mole[0] * face.width, face.cy + who.mole[1] * face.height)
        canvas.ellipse(point, 1.5, 1.5, darker(face.skin, 0.75), None)


def draw_eyes(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, has = person.identity, person.attributes
    rx = who.eye_size
    ry = rx * {"neutral": 0.56, "smiling": 0.5, "sad": 0.5, "surprised": 0.8}[has.expression]
    for sign in (-1, 1):
        x, y = face.cx + sign * who.eye_distance, face.eye_y
        if has.eye_shadow:
            canvas.ellipse((x, y - ry * 0.9), rx + 1.4, ry + 1.6, (122, 84, 176), None, 215)
        canvas.ellipse((x, y), rx, ry, (250, 248, 246), "eyes")
        iris = min(ry, rx * 0.62)
        canvas.ellipse((x, y), iris, iris, EYE_COLOURS[who.eye_colour], "eyes")
        canvas.ellipse((x, y), iris * 0.52, iris * 0.52, (18, 14, 16), "eyes")
        canvas.ellipse((x + 0.9, y - 0.9), 0.65, 0.65, (255, 255, 255), "eyes")
        woman = has.gender == "woman"
        canvas.line(ellipse_arc((x, y), rx, ry, 195, 345, 12), 1.5 if woman else 0.9, (40, 28, 30), "eyes")
        if woman:
            for reach, rise in ((0.98, 0.0), (0.8, -0.55)):
                root = (x + sign * rx * reach, y + rise * ry)
                canvas.line([root, (root[0] + sign * 2.0, root[1] - 1.9)], 0.9, (40, 28, 30), "eyes")


def draw_brows(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, has = person.identity, person.attributes
    slope = {"neutral": 0.0, "smiling": 0.3, "sad": -3.0, "surprised": 0.4}[has.expression]
    lift = {"neutral": 0.0, "smiling": 0.5, "sad": 0.0, "surprised": 3.2}[has.expression]
    thickness = who.brow_thickness * (1.15 if has.gender == "man" else 0.75)
    colour = darker(face.hair, 0.35)
    for sign in (-1, 1):
        x, y = face.cx + sign * who.eye_distance, face.eye_y - 7.2 - lift
        inner = y + slope
        outer = y - who.brow_tilt - slope * 0.4
        middle = (x + sign * 1.0, (inner + outer) / 2 - 1.5)
        canvas.line([(x - sign * 5.4, inner), middle, (x + sign * 6.0, outer)], thickness, colour, "brows")


def draw_nose(canvas: ShapeCanvas, face: FaceLayout, who: Identity) -> None:
    shade = darker(face.skin, 0.27)
    y, w = face.nose_y, who.nose_width
    bridge = [
        (face.cx - 1.0, face.eye_y + 2),
        (face.cx + 1.4, face.eye_y + 2),
        (face.cx + w, y),
        (face.cx - w * 0.2, y + 1),
    ]
    canvas.polygon(bridge, darker(face.skin, 0.11), "nose")
    canvas.line(ellipse_arc((face.cx, y - 0.6), w, 2.2, 15, 165, 12), 1.3, shade, "nose")


def draw_mouth(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, has = person.identity, person.attributes
    x, y, w = face.cx, face.mouth_y, who.mouth_width
    woman = has.gender == "woman"
    lips = (204, 22, 44) if has.lipstick else mix(darker(face.skin, 0.2), (196, 84, 88), 0.62 if woman else 0.36)
    fullness = (2.2 if woman else 1.5) + (0.7 if has.lipstick else 0.0)
    inside = (96, 26, 32)
    if has.expression == "smiling":
        outer = ellipse_arc((x, y - 2.2), w * 1.12, 7.0 + fullness * 0.6, 0, 180)
        inner = ellipse_arc((x, y - 1.6), w * 0.94, 5.2, 0, 180)
        canvas.polygon(outer, lips, "mouth")
        canvas.polygon(inner, inside, "mouth")
        canvas.polygon(ellipse_arc((x, y - 1.6), w * 0.88, 3.2, 0, 180), (252, 250, 246), "mouth")
        canvas.line([(x - w * 1.12, y - 2.4), (x, y - 1.9), (x + w * 1.12, y - 2.4)], fullness * 0.7, lips, "mouth")
    elif has.expression == "sad":
        canvas.line(ellipse_arc((x, y + 4.6), w * 0.92, 5.6, 205, 335), fullness * 1.25, lips, "mouth")
        canvas.line(ellipse_arc((x, y + 4.4), w * 0.84, 5.0, 205, 335), 0.8, darker(lips, 0.5), "mouth")
    elif has.expression == "surprised":
        canvas.ellipse((x, y + 1), w * 0.52 + fullness * 0.5, 5.4 + fullness * 0.5, lips, "mouth")
        canvas.ellipse((x, y + 1), w * 0.46, 4.6, inside, "mouth")
    else:
        upper = [
            (x - w, y),
            (x - w * 0.35, y - fullness),
            (x, y - fullness * 0.5),
            (x + w * 0.35, y - fullness),
            (x + w, y),
        ]
        canvas.polygon(upper + ellipse_arc((x, y), w, fullness * 1.3, 0, 180), lips, "mouth")
        canvas.line([(x - w, y), (x, y + 0.3), (x + w, y)], 0.8, darker(lips, 0.5), "mouth")


def draw_beard(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who = person.identity
    colour = darker(face.hair, 0.1)
    jaw = min(1.0, who.jaw * 0.6 + 0.4)
    lower = [p for p in face.outline(jaw, grow=0.8) if p[1] > face.cy + 5]
    right, left = lower[0], lower[-1]
    inner = [
        (left[0] + 4.5, left[1] + 2),
        (face.cx - who.mouth_width - 2, face.mouth_y - 5.0),
        (face.cx, face.mouth_y - 6.2),
        (face.cx + who.mouth_width + 2, face.mouth_y - 5.0),
        (right[0] - 4.5, right[1] + 2),
    ]
    canvas.polygon(lower + inner, colour, "beard")


def draw_hair_in_front(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, has = person.identity, person.attributes
    volume = who.hair_volume
    centre = (face.cx, face.cy - 5)
    crown = ellipse_arc(centre, face.width + volume * 0.75, face.height + volume - 5, 182, 358)
    part = face.cx + who.parting * face.width
    line = face.cy - face.height * 0.62
    hairline = [
        (face.cx + face.width - 1.0, face.eye_y - 4),
        (face.cx + face.width * 0.82, line + 5),
        (part + 7, line - 1.5),
        (part, line - 4.5),
        (part - 7, line - 1.5),
        (face.cx - face.width * 0.82, line + 5),
        (face.cx - face.width + 1.0, face.eye_y - 4),
    ]
    canvas.polygon(crown + hairline, face.hair, "hair")
    if has.hair_length == "long":
        for sign in (-1, 1):
            x = face.cx + sign * face.width
            lock = [
                (x - sign * 1.5, face.eye_y - 6),
                (x + sign * volume * 0.8, face.eye_y - 8),
                (x + sign * (volume + 1.5), face.cy + face.height + 14),
                (x + sign * 1.0, face.cy + face.height + 17),
                (x - sign * 3.0, face.cy + face.height + 9),
                (x + sign * 1.0, face.cy + 12),
            ]
            canvas.polygon(lock, face.hair, "hair")
    shine = lighter(face.hair, 0.2)
    if has.curly:
        _curls(canvas, ellipse_arc(centre, face.width + volume * 0.4, face.height + volume - 9, 188, 352, 11), 5.0, face.hair)
        _curls(canvas, ellipse_arc(centre, face.width * 0.72, face.height * 0.84, 208, 332, 7), 4.2, face.hair)
    else:
        gloss = ellipse_arc(centre, face.width * 0.78, face.height + volume * 0.4 - 6, 215, 275)
        canvas.line(gloss, 1.8, shine, "hair")
    if has.bangs:
        _bangs(canvas, face, has)


def _bangs(canvas: ShapeCanvas, face: FaceLayout, has: Attributes) -> None:
    top, low = face.cy - face.height * 0.78, face.eye_y - 8.5
    left, right = face.cx - face.width * 0.9, face.cx + face.width * 0.9
    teeth = 7
    fringe = [
        (left + (right - left) * i / (2 * teeth), low + (1.6 if i % 2 else -2.4) - 1.5 * abs(i / teeth - 1))
        for i in range(2 * teeth + 1)
    ]
    canvas.polygon([(right, top), (left, top), *fringe], face.hair, "hair")
    dark = darker(face.hair, 0.3)
    for i in range(2, 2 * teeth, 2):
        x = left + (right - left) * i / (2 * teeth)
        canvas.line([(face.cx + (x - face.cx) * 0.8, top + 3), (x, low - 3)], 0.8, dark, "hair")
    if has.curly:
        _curls(canvas, [(left + (right - left) * (i + 0.5) / 7, low - 1.5) for i in range(7)], 3.6, face.hair)


def draw_lenses(canvas: ShapeCanvas, face: FaceLayout, person: Person) -> None:
    who, has = person.identity, person.attributes
    frame = FRAMES[who.frame] if has.glasses else (26, 24, 28)
    rx, ry = 8.4, 6.8
    y = face.eye_y + 0.6
    for sign in (-1, 1):
        x = face.cx + sign * max(who.eye_distance, rx + 1.4)
        ring = ellipse_arc((x, y), rx, ry, 0, 360, 36)
        if has.sunglasses:
            canvas.polygon(ring, (34, 34, 42), "glasses")
            canvas.line(ellipse_arc((x, y), rx * 0.62, ry * 0.6, 190, 250, 8), 1.2, (120, 124, 138), "glasses")
        canvas.line(ring, 1.9, frame, "glasses")
        canvas.line([(x + sign * rx, y - 1.5), (face.cx + sign * (face.width + 1.5), y - 2.5)], 1.7, frame, "glasses")
    gap = max(who.eye_distance, rx + 1.4) - rx
    canvas.line(ellipse_arc((face.cx, y - 0.5), gap, 2.0, 180, 360, 8), 1.7, frame, "glasses")


def draw_hat(canvas: ShapeCanvas, face: FaceLayout, who: Identity) -> None:
    colour = HATS[who.hat]
    brim_y = face.cy - face.height * 0.56
    half = face.width + who.hair_volume * 0.75
    top = max(15.0, face.cy - face.height - 18)
    crown = [
        (face.cx - half - 1.0, brim_y),
        (face.cx - half + 3, top + 8),
        (face.cx - half * 0.55, top),
        (face.cx, top + 2.5),
        (face.cx + half * 0.55, top),
        (face.cx + half - 3, top + 8),
        (face.cx + half + 1.0, brim_y),
    ]
    canvas.polygon(crown, colour, "hat")
    band = [
        (face.cx - half - 1, brim_y),
        (face.cx - half, brim_y - 7),
        (face.cx + half, brim_y - 7),
        (face.cx + half + 1, brim_y),
    ]
    canvas.polygon(band, lighter(colour, 0.45), "hat")
    canvas.ellipse((face.cx, brim_y), half + 12, 4.6, darker(colour, 0.2), "hat")


def draw_earrings(canvas: ShapeCanvas, face: FaceLayout) -> None:
    for sign in (-1, 1):
        centre = (face.cx + sign * (face.width + 2.0), face.cy + 10.5)
        canvas.ellipse(centre, 3.1, 4.0, (156, 112, 22), "earrings")
        canvas.ellipse((centre[0] - 0.4, centre[1] - 0.6), 2.1, 2.8, (250, 212, 84), "earrings")

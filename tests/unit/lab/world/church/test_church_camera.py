from __future__ import annotations

import numpy as np
import pytest

from lab.world.church import DOMAIN
from lab.world.church.camera import Camera, Plane, convex, hull, look
from lab.world.church.photo import camera
from lab.world.church.plan import extent, painting_order, plan
from lab.world.painting.fields import frame
from lab.world.painting.picture import Picture

CAMERA = Camera(turn=0.5, pivot=0.6, distance=7.5, focal=3.5, eye=0.7, horizon=0.2, shift=0.05)
SQUARE = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
WALLS = {
    "front": Plane((-0.5, 0, 0), (1, 0, 0), (0, 1, 0)),
    "left": Plane((-0.5, 0, 1), (0, 0, -1), (0, 1, 0)),
    "right": Plane((0.5, 0, 0), (0, 0, 1), (0, 1, 0)),
}


def picture() -> Picture:
    return Picture(96, (0, 0, 0))


def test_normals_point_outwards() -> None:
    assert WALLS["front"].normal == (0, 0, -1)
    assert WALLS["left"].normal == (-1, 0, 0)
    assert WALLS["right"].normal == (1, 0, 0)


def test_upright_edges_stay_upright_and_what_is_far_looks_smaller() -> None:
    foot, head = CAMERA.project((0.4, 0, 0.3)), CAMERA.project((0.4, 2, 0.3))
    assert foot[0] == pytest.approx(head[0])
    assert head[1] < foot[1]
    assert CAMERA.scale((0, 0, 2)) < CAMERA.scale((0, 0, 0))


def test_each_pixel_of_a_face_knows_its_place_on_the_face() -> None:
    sight = look(picture(), CAMERA, WALLS["front"], SQUARE)
    assert sight is not None
    for at in ((3, 3), (len(sight.u) // 2, sight.u.shape[1] // 2)):
        shown = CAMERA.project(WALLS["front"].at(float(sight.u[at]), float(sight.v[at])))
        assert shown == pytest.approx((sight.area.frame.x[at], sight.area.frame.y[at]), abs=1e-4)


def test_a_face_covers_the_area_of_its_outline() -> None:
    sight = look(picture(), CAMERA, WALLS["front"], SQUARE)
    assert sight is not None
    inside = (np.abs(sight.u - 0.5) < 0.5) & (np.abs(sight.v - 0.5) < 0.5)
    # A third of a pixel is added along each edge.
    assert inside.sum() < sight.share.sum() < 1.12 * inside.sum()


@pytest.mark.parametrize(("turn", "seen"), [(0.66, {"front", "left"}), (-0.66, {"front", "right"}), (0.0, {"front"})])
def test_from_the_left_the_camera_sees_the_left_wall(turn: float, seen: set[str]) -> None:
    there = Camera(turn, 0.6, 7.5, 3.5, 0.7, 0.2, 0.0)
    assert {name for name, plane in WALLS.items() if look(picture(), there, plane, SQUARE)} == seen


def test_a_view_turns_the_building_by_more_than_half_a_radian() -> None:
    for seed in range(10):
        subject = DOMAIN.sample(seed)
        turns = {
            view: camera(subject.identity, DOMAIN.change(subject, view=view).attributes, subject.setting).turn
            for view in ("front", "left", "right")
        }
        assert turns["left"] > 0.5 > 0.21 > abs(turns["front"])
        assert turns["right"] < -0.5


def test_every_church_fits_the_frame_in_every_view() -> None:
    for seed in range(60):
        subject = DOMAIN.sample(seed)
        for view in ("front", "left", "right"):
            there = camera(subject.identity, DOMAIN.change(subject, view=view).attributes, subject.setting)
            shown = [there.project(place) for place in extent(subject.identity)]
            assert max(abs(x) for x, _ in shown) < 1, (seed, view)
            assert max(abs(y) for _, y in shown) < 1, (seed, view)


def test_blocks_do_not_overlap() -> None:
    for seed in range(40):
        blocks = [block for block in plan(DOMAIN.sample(seed).identity) if block.name != "turret"]
        for i, a in enumerate(blocks):
            for b in blocks[i + 1 :]:
                apart = [a.high[axis] <= b.low[axis] + 1e-6 or b.high[axis] <= a.low[axis] + 1e-6 for axis in (0, 2)]
                assert any(apart), (seed, a.name, b.name)


def test_what_is_nearer_is_painted_later() -> None:
    for seed in range(40):
        who = DOMAIN.sample(seed).identity
        for turn in (-0.66, 0.0, 0.66):
            order = [block.name for block in painting_order(plan(who), Camera(turn, 0.6, 7.5, 3.5, 0.7, 0.2, 0.0).place)]
            assert order.index("choir") < order.index("nave")
            if who.porch:
                assert order.index("porch") > order.index("nave")
            if who.towers == "middle":
                assert order.index("tower") > order.index("nave")
            if who.towers == "left":
                assert (order.index("tower") > order.index("nave")) == (turn > 0)


def test_a_convex_polygon_is_negative_inside_and_measures_its_distance() -> None:
    x, y = frame(64).x, frame(64).y
    field = convex(x, y, [(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    assert field[32, 32] == pytest.approx(-0.5, abs=0.04)
    assert field[32, 63] == pytest.approx(x[32, 63] - 0.5, abs=1e-5)


def test_the_hull_leaves_out_inner_points() -> None:
    points = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0), (0.5, 0.5), (0.5, 0.1)]
    assert set(hull(points)) == set(points[:4])
    assert len(hull(points)) == 4

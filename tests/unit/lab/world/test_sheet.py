"""The contact sheet of a domain."""

from __future__ import annotations

import pytest

from lab.world.sheet import COLUMNS, TEXT_HEIGHT, changes, domain, edited, rows_of, sheet


def test_an_unknown_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="no domain 'dragon'"):
        domain("dragon")


def test_every_attribute_is_changed_to_each_of_its_other_values() -> None:
    world = domain("person")
    subject = world.sample(0)
    found = list(changes(world, subject))
    assert len(found) == sum(len(classes) - 1 for classes in world.labels.values())
    assert all(getattr(subject.attributes, name) != value for change in found for name, value in change.items())
    assert [text for _, text in edited(world, subject, 16)] == [
        f"{name}: {value}" for each in found for name, value in each.items()
    ]


def test_long_rows_wrap_and_every_tile_has_room_for_its_text() -> None:
    world = domain("person")
    rows = rows_of(world, range(COLUMNS + 1), 1, 16)
    assert len(rows) == 3
    assert rows[0][0][1] == world.caption(world.sample(0).attributes)
    edits = -(-len(rows[2]) // COLUMNS)
    assert sheet(rows, 16).size == (16 * COLUMNS, (16 + TEXT_HEIGHT) * (2 + 1 + edits))

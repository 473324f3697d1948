"""Which rows a pass takes: urgent classes first, owners in turn, nobody starved."""

from __future__ import annotations

import random

import pytest

from s2edit_core.unet.row_queue import PATIENCE, STAGES, RowQueue, Stage, Submission
from s2edit_core.unet.rows import Rows
from tests.unit.core.unet.waiting_rows import SQUARE, WIDE, FakeUNet, a_row, readers, rows_of


def submission(rows: Rows, owner: str = "ann", stage: Stage = "editing") -> Submission:
    return Submission.of(rows, owner, stage)


def owners_of(queue: RowQueue, max_rows: int) -> list[str]:
    return [each.submission.owner for each in queue.take(max_rows) for _ in each.indices]


def filled(*submissions: Submission) -> RowQueue:
    queue = RowQueue()
    for each in submissions:
        queue.add(each)
    return queue


def test_editing_goes_before_inverting_before_learning() -> None:
    queue = filled(*(submission(rows_of(2), "ann", stage) for stage in reversed(STAGES)))
    assert [queue.take(2)[0].submission.stage for _ in STAGES] == list(STAGES)
    assert not queue


def test_rows_of_all_classes_share_a_pass_that_has_room() -> None:
    queue = filled(*(submission(rows_of(2), "ann", stage) for stage in STAGES))
    assert [each.submission.stage for each in queue.take(16)] == list(STAGES)


def test_rows_with_gradients_and_other_shapes_wait_for_passes_of_their_own() -> None:
    queue = filled(
        submission(rows_of(2)), submission(rows_of(2, learns=True)), submission(rows_of(2, shape=WIDE)), submission(rows_of(1))
    )
    assert [sum(len(each.indices) for each in queue.take(16)) for _ in range(3)] == [3, 2, 2]
    assert queue.take(16) == []


def test_a_submission_may_mix_kinds() -> None:
    rows = (a_row(), a_row(learns=True), a_row(shape=WIDE), a_row())
    queue = filled(submission(rows))
    assert [each.indices for _ in range(3) for each in queue.take(16)] == [(0, 3), (1,), (2,)]


def test_owners_take_turns_however_many_jobs_one_has() -> None:
    flood = [submission(rows_of(2), "flood") for _ in range(16)]
    queue = filled(*flood, submission(rows_of(2), "ann"), submission(rows_of(2), "bob"))
    assert owners_of(queue, 6) == ["flood"] * 2 + ["ann"] * 2 + ["bob"] * 2
    queue.add(submission(rows_of(2), "ann"))
    assert owners_of(queue, 6) == ["flood"] * 2 + ["ann"] * 2 + ["flood"] * 2


def test_a_submission_larger_than_a_pass_is_taken_in_parts_and_others_go_between() -> None:
    queue = filled(submission(rows_of(10), "ann"), submission(rows_of(2), "bob"))
    assert owners_of(queue, 4) == ["ann"] * 4
    assert owners_of(queue, 4) == ["bob"] * 2 + ["ann"] * 2
    assert owners_of(queue, 4) == ["ann"] * 4
    assert not queue


def test_readers_travel_with_their_source_even_beyond_the_limit() -> None:
    queue = filled(submission(rows_of(3), "ann"), submission(readers(1), "bob"), submission(readers(5), "cleo"))
    assert owners_of(queue, 4) == ["ann"] * 3
    assert owners_of(queue, 4) == ["bob"] * 2
    assert owners_of(queue, 4) == ["cleo"] * 6


def test_a_row_without_its_source_is_refused() -> None:
    with pytest.raises(ValueError, match="source"):
        submission(readers(1)[1:])


def test_a_removed_submission_is_not_taken() -> None:
    gone, stays = submission(rows_of(2), "ann"), submission(rows_of(2), "bob")
    queue = filled(gone, stays)
    queue.remove(gone)
    queue.remove(gone)
    assert [each.submission for each in queue.take(16)] == [stays]


def test_a_class_that_only_fills_room_still_leads_in_time() -> None:
    """Its rows without gradients ride along with edits. That must not keep its rows with gradients waiting for ever."""
    queue = filled(submission(rows_of(1, learns=True), "ann", "inverting"))
    leaders = []
    for _ in range(PATIENCE + 1):
        queue.add(submission(rows_of(1), "bob", "editing"))
        queue.add(submission(rows_of(1), "cleo", "inverting"))
        leaders.append(queue.take(16)[0].submission.owner)
    assert leaders == ["bob"] * PATIENCE + ["ann"]


@pytest.mark.parametrize("seed", range(80))
def test_no_class_and_no_owner_starves(seed: int) -> None:
    """A hundred passes of random load, always more than fits. Bounds are those of the module's docstring."""
    draw, unet = random.Random(seed), FakeUNet(max_rows := random.Random(seed).choice([1, 2, 4, 16]))
    queue, owners = RowQueue(), [f"owner {i}" for i in range(draw.randint(1, 6))]
    waits_since: dict[Stage, int] = {}  # pass at which a class began to wait without leading
    leads = dict.fromkeys(STAGES, 0)
    entered: dict[Submission, int] = {}  # passes that its class had led when an owner's first submission came to wait
    for number in range(100):
        for _ in range(draw.randint(0, 4)):
            made = submission(_some_rows(draw), draw.choice(owners), draw.choice(STAGES))
            queue.add(made)
        for each in queue.waiting():
            waits_since.setdefault(each.stage, number)
        firsts = {(each.stage, each.owner): each for each in reversed(queue.waiting())}
        for (stage, _), each in firsts.items():
            entered.setdefault(each, leads[stage])
        found = queue.leading()
        taken = queue.take(max_rows)
        if found is None:
            assert taken == []
            continue
        leader, _ = found
        assert taken[0].submission.stage == leader
        unet.evaluate(tuple(row for each in taken for row in each.rows()))
        leads[leader] += 1
        assert number - waits_since.pop(leader) < PATIENCE + 2
        left = {each.stage for each in queue.waiting()}
        waits_since = {stage: since for stage, since in waits_since.items() if stage in left}
        for part in taken:
            begun = entered.pop(part.submission, None)
            assert begun is None or leads[part.submission.stage] - begun <= len(owners) + 1


def _some_rows(draw: random.Random) -> Rows:
    if draw.random() < 0.2:
        return readers(draw.randint(1, 3))
    shapes = [SQUARE, SQUARE, WIDE]
    return tuple(a_row(learns=draw.random() < 0.4, shape=draw.choice(shapes)) for _ in range(draw.choice([1, 2, 2, 4, 20])))

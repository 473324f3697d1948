"""Rows and evaluations without a model, for tests of the scheduler."""

from __future__ import annotations

from itertools import count

import torch

from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.rows import Answer, Answers, Injection, Row, Rows

PROMPT = KeysValues((), ())
SQUARE, WIDE = (1, 2, 2), (1, 2, 4)
_numbers = count(1)


def a_row(*, learns: bool = False, shape: tuple[int, ...] = SQUARE) -> Row:
    """Return a row with a latent that no other row has."""
    latent = torch.full(shape, float(next(_numbers)))
    return Row(latent, 1, PROMPT, target=latent if learns else None)


def rows_of(n: int, *, learns: bool = False, shape: tuple[int, ...] = SQUARE) -> Rows:
    return tuple(a_row(learns=learns, shape=shape) for _ in range(n))


def readers(n: int) -> Rows:
    """Return a source row and `n` rows that read its attention."""
    source = a_row()
    return (source, *(Row(row.latent, 1, PROMPT, injection=Injection(source)) for row in rows_of(n)))


def kind(row: Row) -> tuple[bool, torch.Size]:
    return row.target is not None, row.latent.shape


class FakeUNet:
    """Answers each row with the double of its latent, and checks what every pass must be. `poison` maps rows to what they raise.

    `broken` rows get answers that are not finite.
    """

    def __init__(self, max_rows: int = 16) -> None:
        self.max_rows = max_rows
        self.passes: list[Rows] = []
        self.poison: dict[Row, Exception] = {}
        self.broken: set[Row] = set()

    def evaluate(self, rows: Rows) -> Answers:
        self.passes.append(rows)
        assert rows
        assert len({kind(row) for row in rows}) == 1
        sources = {row.injection.source for row in rows if row.injection is not None}
        assert sources <= set(rows)
        assert len(rows) <= self.max_rows or len(rows) == 1 + sum(row.injection is not None for row in rows)
        for row in rows:
            if row in self.poison:
                raise self.poison[row]
        return tuple(Answer(2 * row.latent, finite=row not in self.broken) for row in rows)


def are_answers(rows: Rows, answers: Answers) -> bool:
    return len(rows) == len(answers) and all(
        torch.equal(answer.eps, 2 * row.latent) for row, answer in zip(rows, answers, strict=True)
    )

"""Whose pictures the quality bench edits, and how it compares the results with the true answers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from PIL import Image
from torch import nn

from lab.quality.method import Case
from s2edit_core.pipeline import S2EditPipeline

Box = tuple[int, int, int, int]


class Subject(Protocol):
    """A subject of the bench with its edits."""

    @property
    def number(self) -> int: ...

    @property
    def picture(self) -> Image.Image: ...

    @property
    def answers(self) -> Mapping[str, Image.Image]:
        """The true answers by edit. These are the edits that apply to the subject and are visible."""


@dataclass(frozen=True)
class Shot:
    """A subject as a photograph, with its identity mask."""

    picture: Image.Image
    mask: Image.Image


def digest_of(*networks: nn.Module) -> str:
    """Return a digest of the networks' weights."""
    weights = [value.numpy().tobytes() for network in networks for value in network.state_dict().values()]
    return hashlib.sha256(b"".join(weights)).hexdigest()[:24]


S = TypeVar("S", bound=Subject)


class Population(Protocol[S]):
    """Subjects that neither training nor the evaluation of the judges has seen."""

    pipe: S2EditPipeline
    known: tuple[str, ...]
    """All edits, in the order of tables and sheets."""
    edits: tuple[str, ...]
    """The edits that are tried by default."""
    figures: tuple[str, ...]
    """The figures of an edit, without those of `delivered`."""

    def unseen(self, count: int, edits: Sequence[str]) -> list[S]:
        """Return the first `count` subjects to whom at least one of `edits` applies. Raises `ValueError` for an unknown edit."""

    def case_of(self, subject: S) -> Case:
        """Return the subject as the methods get it."""

    def measure(self, subject: S, edit: str, box: Box, raw: Image.Image) -> dict[str, Any]:
        """Compare an edit with its true answer, inside `box`: the part of the picture that the model edited and returned as `raw`.

        The values are those of `figures`, and `identity`: the error of each parameter of the identity.
        """

    def photograph(self, subject: S, size: int) -> Shot:
        """Return the subject in a photograph of `size` pixels a side."""

    def photographed_answer(self, subject: S, edit: str, size: int) -> Image.Image:
        """Return the true answer of an edit of that photograph."""

    def about(self) -> dict[str, Any]:
        """Return the accuracy of the networks that judge the pictures, for the results file."""

    def digest(self) -> str:
        """Return a digest of their weights. Figures by different networks must not be mixed."""

"""The start of learning: the token is turned away from the attribute words by L_semantic alone, before any photo is looked at.

The subject word is near every attribute word. If both losses started from there, the token could remain in a local minimum in which
it is an attribute word, whatever λ. This stage is deterministic and only involves the text encoder, so it uses L-BFGS. The later
phases preserve its result, because they move the token little.

The result depends on the model, the subject and the prompt up to the placeholder, but neither on the photo nor on the seed. So jobs
share it: the first one computes it, and those that need it meanwhile wait.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Generator, Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from s2edit_core.method.learning.lbfgs import minimising
from s2edit_core.method.learning.learner import PAUSE, Learner, Preparation
from s2edit_core.method.learning.losses import semantic_loss
from s2edit_core.request.options import LearningOptions
from s2edit_core.unet.rows import Answers, Rows

SUBJECT_PULL = 3e-5
"""Weight of the squared distance to the subject word while the token is turned away from the attribute words. Without it, the token
may move a hundred times as far to reduce the last hundredth of a cosine, to a place that later steps cannot leave.
"""
MOST_STARTS = 256
"""The starts of one model that are kept, those that were used last. Each is one token."""
WAIT_S = 0.05
"""Seconds between two pauses of a job that waits for another one's start."""


@dataclass
class Starts:
    """The starts of one model, by what they depend on."""

    kept: OrderedDict[Hashable, Tensor] = field(default_factory=OrderedDict)
    _computing: dict[Hashable, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def get(self, key: Hashable, compute: Callable[[], Preparation[Tensor]]) -> Preparation[Tensor]:
        """Return the start `key`. Compute it, unless another job has done so or is about to.

        If that job ends before its start is there, the next one computes it.
        """
        while True:
            with self._lock:
                if key in self.kept:
                    self.kept.move_to_end(key)
                    return self.kept[key]
                others = self._computing.get(key)
                if others is None:
                    mine = self._computing[key] = threading.Event()
            if others is None:
                return (yield from self._computed(key, mine, compute))
            others.wait(WAIT_S)
            yield PAUSE

    def _computed(self, key: Hashable, mine: threading.Event, compute: Callable[[], Preparation[Tensor]]) -> Preparation[Tensor]:
        try:
            made = yield from compute()
            with self._lock:
                self.kept[key] = made
                while len(self.kept) > MOST_STARTS:
                    self.kept.popitem(last=False)
            return made
        finally:
            with self._lock:
                del self._computing[key]
            mine.set()


def orthogonalise_start(learner: Learner, options: LearningOptions) -> Generator[Rows, Answers, None]:
    """Turn the token away from all attribute words, while staying as near to the subject word as that allows."""
    if options.orthogonality == 0 or options.start_steps == 0 or not len(learner.words):
        return
    lesson, at = learner.lesson, learner.tokens.positions[learner.lesson.placeholder][0]
    beginning = tuple(learner.tokens.ids[:at].tolist())
    key = (beginning, lesson.placeholder, lesson.subject, learner.word_list, options.semantic_power, options.start_steps)
    starts = learner.backbone.once("starts", Starts)
    token = yield from starts.get(key, lambda: _minimised(learner, options))
    with torch.no_grad():
        learner.token.copy_(token)


def _minimised(learner: Learner, options: LearningOptions) -> Preparation[Tensor]:
    """Return the token after L-BFGS.

    The optimiser works on the CPU: it reads dozens of numbers per evaluation, for each of which a GPU would be waited for.
    """
    subject = learner.token.detach().clone()
    point = learner.token.detach().cpu().clone().requires_grad_()

    def loss() -> Tensor:
        token = point.to(subject.device)
        near = semantic_loss(learner.feature(token), learner.words, power=options.semantic_power)
        return near + SUBJECT_PULL * (token - subject).square().sum()

    for _ in minimising(point, loss, max_iter=options.start_steps, history_size=20):
        yield PAUSE
    return point.detach().to(subject.device)

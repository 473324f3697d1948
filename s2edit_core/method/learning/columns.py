"""Learning an attribute [A] from a reference photo as changes of its own columns of keys and values.

A column is what the cross-attention layers read of one token. [A] has that of its word and of the last tokens of padding, and
changes their keys and values in every layer: P+ (arXiv 2303.09522), which learns one embedding per layer, with keys and values
apart. What is learned acts in those columns whatever else a prompt says, and so on anybody.

There are two phases. In the first, the values of all columns are fitted to the whole reference: its person, its light, its
background. That is thrown away in the end, but while the second phase fits [A] to its region, nothing of it is left for [A] to
learn. Both phases see views of the reference (`views`), one per row.

What is fitted is a guided prediction ε_∅ + w·(ε_c − ε_∅): fitted without guidance, a change would be multiplied by the guidance
scale of edits, where nothing of the photo's own residual is left to hold it. In L_ldm, that only moves the target of ε_c to
ε_∅ + (ε − ε_∅)/w. With all of the guidance, the fit is slow; `ColumnOptions.guided` is the share that is taken. The separate parts
of a region count alike, or a blush would outweigh the lips.

Steps are in standard deviations of each layer's keys or values, which differ by an order of magnitude between layers.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import keys_values, prompt_keys_values, text_states, tokenize, word_embedding
from s2edit_core.errors import OptionInvalid
from s2edit_core.method.learning.learner import rows_with_noise, step_generator
from s2edit_core.method.learning.learning import Checkpoint, check_lessons, facts_about
from s2edit_core.method.learning.learning_state import LearningState, StepCounter, settings_digest
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.pictures.mask_regions import connected
from s2edit_core.request.options import ColumnOptions
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet.attention import Gates, KeysValues, make_gates
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows

PHASES = ("person", "columns")
"""The names of the phases: what else the reference shows, then the columns of [A]."""
LAST_RATE = 0.1
"""The rate decays linearly to this share of itself."""
SPECK = 0.01
"""A part of a region with less than this share of it is a speck."""


@dataclass
class _Changes:
    """The prompt of a reference, and what is learned of it, in standard deviations of each layer."""

    prompt: KeysValues
    empty: KeysValues  # of the empty prompt
    columns: tuple[int, ...]  # of [A]
    person: list[Tensor] = field(init=False)  # (tokens, inner) per layer
    keys: list[Tensor] = field(init=False)  # (columns, inner) per layer
    values: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        keys, values = ([_exact(each) for each in some] for some in (self.prompt.keys, self.prompt.values))
        self.person = [torch.zeros_like(each) for each in values]
        self.keys, self.values = ([each.new_zeros(len(self.columns), each.shape[1]) for each in some] for some in (keys, values))
        self._key_units, self._value_units = ([each.std() for each in some] for some in (keys, values))
        self._index = torch.tensor(self.columns, device=values[0].device)

    def all(self) -> list[Tensor]:
        return [*self.person, *self.keys, *self.values]

    def of_phase(self, phase: int) -> list[Tensor]:
        return [*self.keys, *self.values] if phase else self.person

    def now(self, phase: int) -> KeysValues:
        """Return the prompt with the current changes. In the phase of the columns, [A]'s word is only what these make of it."""
        keys, values = self.prompt.keys, []
        for i, value in enumerate(self.prompt.values):
            made = self._value_units[i] * self.person[i]
            if phase:
                made[self.columns[0]] = 0
                made = made.index_add(0, self._index, self._value_units[i] * self.values[i])
            values.append((value + made).to(value.dtype))
        if phase:
            added = zip(keys, self.column_changes()[0], strict=True)
            keys = tuple(key.to(change.dtype).index_add(0, self._index, change).to(key.dtype) for key, change in added)
        return KeysValues(keys, tuple(values))

    def set_gradients(self, phase: int, answers: Answers) -> None:
        """Set the gradients of the phase's changes from those at the prompt's keys and values."""
        for i in range(len(self.person)):
            at_value = _exact(torch.stack([answer.value_gradients[i] for answer in answers])).sum(dim=0) * self._value_units[i]
            if phase:
                at_key = _exact(torch.stack([answer.key_gradients[i] for answer in answers])).sum(dim=0) * self._key_units[i]
                self.keys[i].grad, self.values[i].grad = at_key[self._index], at_value[self._index]
            else:
                self.person[i].grad = at_value

    def column_changes(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return the changes of [A]'s keys and values, `(columns, inner)` per layer."""
        keys = tuple(unit * each for unit, each in zip(self._key_units, self.keys, strict=True))
        return keys, tuple(unit * each for unit, each in zip(self._value_units, self.values, strict=True))


def _exact(tensor: Tensor) -> Tensor:
    """Return `tensor` in float32 or better, because half precision loses small steps."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


@dataclass(frozen=True)
class _View:
    """One view of the reference, as its rows need it."""

    latent: Tensor
    gates: Gates
    cells: Tensor  # (h, w): weight of each cell in the loss of the columns


def learn_columns(
    backbone: Backbone,
    lesson: Lesson,
    options: ColumnOptions,
    *,
    seed: int = 0,
    state: LearningState | None = None,
    every: int = 0,
) -> Generator[Rows | Progress, Answers, Concept]:
    """Learn the attribute of `lesson`, whose `others` are further views of its photo.

    If the prompt has less padding than `options.padding`, only that is learned. For `state`, `every` and errors see
    `learn_concepts`.
    """
    check_lessons([lesson])
    if lesson.placeholder == PLACEHOLDER:
        raise OptionInvalid(f"{PLACEHOLDER} changes all columns: learn it in another mode", field="options.mode")
    changes = _new_changes(backbone, lesson, options.padding)
    seen = [_view(backbone, changes, each) for each in (lesson, *lesson.others)]
    scale = options.scale(backbone.card.guidance("balanced"))
    about = settings_digest([lesson], options, seed)
    counter = StepCounter() if state is None else state.counter
    optimiser = torch.optim.Adam(changes.of_phase(counter.phase))
    if state is not None:
        state.restore(about, backbone.fingerprints, [changes.all()], [optimiser])
    for phase in range(counter.phase, len(PHASES)):
        if counter.steps_in_phase == 0:
            optimiser = torch.optim.Adam(changes.of_phase(phase))
        while counter.steps_in_phase < _most_steps(options)[phase]:
            rows = _rows(backbone, changes, seen, options, counter, seed)
            free = yield tuple(Row(row.latent, row.timestep, changes.empty) for row in rows)
            answers = yield tuple(_guided(row, each.eps, scale) for row, each in zip(rows, free, strict=True))
            changes.set_gradients(phase, answers)
            _step(optimiser, options, counter)
            counter = counter.after(sum(answer.loss or 0.0 for answer in answers))
            yield _progress(backbone, changes, optimiser, options, counter, about, every)
        counter = counter.next_phase()
    return _learned(backbone, lesson, changes, options, counter, seed)


@torch.no_grad()
def _new_changes(backbone: Backbone, lesson: Lesson, padding: int) -> _Changes:
    tokens = tokenize(backbone, lesson.prompt, {lesson.placeholder: lesson.subject})
    states = text_states(backbone, tokens, {lesson.placeholder: word_embedding(backbone, lesson.subject)})
    last, own = len(tokens.ids), min(padding, tokens.padding)
    empty = prompt_keys_values(backbone, "", {})
    return _Changes(keys_values(backbone, states), empty, (tokens.positions[lesson.placeholder][0], *range(last - own, last)))


def _view(backbone: Backbone, changes: _Changes, lesson: Lesson) -> _View:
    size = (lesson.latent.shape[1], lesson.latent.shape[2])
    gates = make_gates(backbone.layers, size, len(changes.prompt.keys[0]), [(column, lesson.mask) for column in changes.columns])
    cells = adaptive_avg_pool2d(even_parts(lesson.mask)[None], size)[0]
    return _View(lesson.latent, gates.to(backbone.device), cells.to(backbone.device))


def even_parts(mask: Tensor) -> Tensor:
    """Return weights `(H, W)` of a region in which its connected parts have equal sums, but for specks, which have none.

    A region without parts of half strength or more has its own strength as weights.
    """
    labels = torch.from_numpy(connected((mask > 0.5).cpu().numpy())).to(mask.device)
    sizes = torch.bincount(labels[labels >= 0])
    shares = torch.where(sizes > SPECK * mask.sum(), 1 / sizes, 0.0)
    weights = torch.where(labels >= 0, shares[labels.clamp_min(0)], 0.0) if len(shares) else shares.new_zeros(mask.shape)
    return weights if weights.any() else mask.float()


@torch.no_grad()
def _rows(
    backbone: Backbone, changes: _Changes, seen: Sequence[_View], options: ColumnOptions, counter: StepCounter, seed: int
) -> Rows:
    """Return the rows of a step: one view each, in turn."""
    chosen = [seen[(i + counter.steps_in_phase) % len(seen)] for i in range(options.batch)]
    kept = [(each.gates, each.cells) if counter.phase else (None, None) for each in chosen]
    draw = step_generator(seed, counter.step)
    return rows_with_noise(backbone, [each.latent for each in chosen], kept, changes.now(counter.phase), draw, "prediction")


def _guided(row: Row, free: Tensor, scale: float) -> Row:
    """Return the row with the loss of its guided prediction, given that of the empty prompt, `free` `(c, h, w)`."""
    assert row.target is not None
    return replace(row, target=free + (row.target - free) / scale, weight=row.weight * scale**2)


def _step(optimiser: torch.optim.Adam, options: ColumnOptions, counter: StepCounter) -> None:
    rate = (options.person_rate, options.column_rate)[counter.phase]
    done = counter.steps_in_phase / _most_steps(options)[counter.phase]
    for group in optimiser.param_groups:
        group["lr"] = rate * (1 - (1 - LAST_RATE) * done)
    optimiser.step()


def _most_steps(options: ColumnOptions) -> tuple[int, int]:
    return options.person_steps, options.column_steps


def _progress(
    backbone: Backbone,
    changes: _Changes,
    optimiser: torch.optim.Adam,
    options: ColumnOptions,
    counter: StepCounter,
    about: str,
    every: int,
) -> Progress:
    step, loss = counter.step, counter.losses[-1]
    if not every or step % every:
        return Progress("learning", step, options.steps, loss)
    state = LearningState.of(counter, about, backbone.fingerprint, [changes.all()], [optimiser])
    return Checkpoint("learning", step, options.steps, loss, state)


def _learned(
    backbone: Backbone, lesson: Lesson, changes: _Changes, options: ColumnOptions, counter: StepCounter, seed: int
) -> Concept:
    facts = facts_about(lesson, seed, counter, dict(zip(PHASES, _most_steps(options), strict=True)))
    keys, values = changes.column_changes()
    return Concept(
        token=word_embedding(backbone, lesson.subject),
        fingerprint=backbone.fingerprint,
        facts=facts,
        placeholder=lesson.placeholder,
        subject=lesson.subject,
        key_columns=keys,
        value_columns=values,
    )

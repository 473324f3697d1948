"""Run one unit of the bench: edit a subject in all ways of its stage, and measure the results."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Set
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from lab.quality.worlds import measures, records
from lab.quality.worlds.editing import Editor, coded, whole_canvas
from lab.quality.worlds.edits import Case, Edit, Photo, Target, case_of
from lab.quality.worlds.measures import Judges
from lab.quality.worlds.plan import AUTOENCODER, TRANSFER_WAYS, UNEDITED, Stage, TransferWay, Unit
from lab.quality.worlds.records import Key, Record
from lab.quality.worlds.settings import Way, setting_of
from lab.quality.worlds.transfers import Transfer, transfer_of
from s2edit_core.concepts.concept import Concept
from s2edit_core.delivery.canvas import Canvas, to_image
from s2edit_core.method.attribute_regions import with_regions
from s2edit_core.method.inputs import Attribute
from s2edit_core.method.learning.columns import learn_columns
from s2edit_core.method.learning.learning import learn_concepts
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.method.learning.views import further_views
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import AttributeOptions, ColumnOptions
from s2edit_core.request.prompts import with_placeholder
from s2edit_core.request.spec import ATTRIBUTE
from s2edit_core.unet.rows import Algorithm, drive_all

REMEMBERED = 64
"""Number of true answers that are kept encoded and decoded."""
VERSION = 1
"""Version of the measures and of the editing. Raise it when the same settings give other figures."""


@dataclass
class Bench:
    """What all units need: the model, the judges, where results go, and when to stop."""

    pipe: S2EditPipeline
    judges: Judges
    folder: Path
    known: Set[Key]
    deadline: float = float("inf")
    together: bool = False  # run all ways of a setting in shared passes, which is faster on a GPU
    _decoded: dict[Photo, Image.Image] = field(default_factory=dict)

    def recipe(self, way: str) -> str:
        """Return a digest of what the results of `way` depend on: model, guidance and setting."""
        setting = None if way in (UNEDITED, AUTOENCODER) else setting_of(way.partition(":")[0].partition("/")[0])
        guidance = self.pipe.guidance(None, setting.preset) if setting else 0.0
        used = replace(setting, title="") if setting else None
        text = repr((VERSION, self.pipe.backbone.fingerprint, guidance, used))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def has(self, way: str, person: str, edit: str) -> bool:
        return (self.recipe(way), way, person, edit) in self.known

    def picture_path(self, record: Record) -> Path:
        """Return where the picture of a record is kept, for the sheets."""
        name = hashlib.sha256("|".join(records.key_of(record)).encode()).hexdigest()[:24]
        return self.folder / "pictures" / f"{name}.png"

    def record(self, stage: Stage, way: str, case: Case, name: str, got: Image.Image, answer: Photo, **facts: Any) -> Record:
        """Measure the result `got` and keep its picture."""
        asked = facts.pop("asked")
        got, decoded = (picture.resize(answer.picture.size, Image.Resampling.LANCZOS) for picture in (got, self.decoded(answer)))
        found: Record = {"stage": stage.name, "domain": stage.domain, "way": way, "recipe": self.recipe(way)}
        found |= {
            "person": case.person,
            "edit": name,
            **facts,
            **measures.measure(case.photo, answer, got, decoded, asked, self.judges),
        }
        path = self.picture_path(found)
        path.parent.mkdir(parents=True, exist_ok=True)
        got.save(path)
        return found

    def fixed(self, way: str, photo: Photo, answer: Photo) -> Image.Image:
        """Return the photo itself, or the true answer encoded and decoded."""
        return photo.picture if way == UNEDITED else self.decoded(answer)

    def decoded(self, answer: Photo) -> Image.Image:
        """Return a photo encoded and decoded. The last ones are remembered."""
        if answer not in self._decoded:
            self._decoded[answer] = coded(self.pipe.backbone, answer.picture)
            if len(self._decoded) > REMEMBERED:
                del self._decoded[next(iter(self._decoded))]
        return self._decoded[answer]


def run(bench: Bench, unit: Unit) -> Iterator[list[Record]]:
    """Run a unit, and yield the records of each of its ways. Raises `OutOfTime`."""
    if unit.stage.transfer:
        transfer = transfer_of(unit.stage.transfer, unit.seed)
        assert transfer is not None
        yield from _run_transfer(bench, unit.stage, transfer)
    else:
        yield from _run_edits(bench, unit.stage, case_of(unit.stage.domain, unit.seed, unit.stage.edits))


def _run_edits(bench: Bench, stage: Stage, case: Case) -> Iterator[list[Record]]:
    editor = Editor(bench.pipe, case, bench.deadline, bench.folder)

    def record(way: str, target: Target, got: Image.Image, **facts: Any) -> Record:
        edit: Edit = target.edit
        return bench.record(stage, way, case, edit.name, got, target.answer, group=edit.group, asked=set(target.changes), **facts)

    for way in (UNEDITED, AUTOENCODER):
        missing = [target for target in case.targets if not bench.has(way, case.person, target.edit.name)]
        yield [record(way, target, bench.fixed(way, case.photo, target.answer)) for target in missing]
    wanted = {way: [each for each in case.targets if not bench.has(str(way), case.person, each.edit.name)] for way in stage.ways}
    wanted = {way: targets for way, targets in wanted.items() if targets}
    if bench.together:
        names = dict.fromkeys(way.name for way in wanted)
        parts = [{way: targets for way, targets in wanted.items() if way.name == name} for name in names]
    else:
        parts = [{way: targets} for way, targets in wanted.items()]
    for part in parts:
        yield [
            record(str(way), target, to_image(frame), **cost.figures())
            for (way, target), (frame, cost) in editor.edited(part).items()
        ]


def _run_transfer(bench: Bench, stage: Stage, transfer: Transfer) -> Iterator[list[Record]]:
    name = transfer.wearable.name
    case = Case(transfer.seed, transfer.photo, ())
    editor = Editor(bench.pipe, case, bench.deadline, bench.folder)
    source, answer = (np.asarray(photo.picture) for photo in (transfer.photo, transfer.answer))

    def record(way: str, got: Image.Image, **facts: Any) -> Record:
        found = bench.record(stage, way, case, f"{name} transfer", got, transfer.answer, asked={name}, **facts)
        return found | measures.colours(source, answer, np.asarray(got.resize(transfer.photo.picture.size)), transfer.parts)

    for way in (UNEDITED, AUTOENCODER):
        if not bench.has(way, case.person, f"{name} transfer"):
            yield [record(way, bench.fixed(way, transfer.photo, transfer.answer))]
    for how in TRANSFER_WAYS:
        way = f"{stage.setting}/{how}"
        if not bench.has(way, case.person, f"{name} transfer"):
            started = time.perf_counter()
            frame = transferred(editor, stage.setting, transfer, how)
            yield [record(way, to_image(frame), seconds=time.perf_counter() - started)]


def transferred(editor: Editor, setting: str, transfer: Transfer, how: TransferWay) -> Tensor:
    """Return the edited frame of a transfer."""
    used = setting_of(setting)
    way = Way(setting, "none" if how in ("attribute", "found") else "same")
    if how == "words":
        target = Target(Edit(transfer.wearable.name, lambda _: {}), {}, transfer.answer)
        return editor.edited({way: [target]})[way, target][0]
    identity, attribute = _learned(editor, way, transfer, together=how == "together")
    inversion, _ = editor.inversion(way, identity)
    prompt = transfer.prompt(transfer.answer)
    if identity is not None:
        prompt = with_placeholder(prompt, transfer.photo.word, field="prompt")
    placed = [Attribute(attribute, transfer.target_region)]
    if how == "found":
        looked_for = [Attribute(attribute)]
        finding = with_regions(editor.backbone, editor.canvas, prompt, {ATTRIBUTE: attribute}, inversion, looked_for)
        placed = drive_all([finding], editor.evaluate)[0]
    sampling = editor.sampling(used, prompt, identity, inversion, placed)
    return editor.backbone.decode_latent(drive_all([sampling], editor.evaluate)[0])


def _learned(editor: Editor, way: Way, transfer: Transfer, *, together: bool) -> tuple[Concept | None, Concept]:
    """Return [I], if the way has one, and [A]. What several ways share is learned once."""
    canvas, options = whole_canvas(editor.pipe, transfer.reference), way.setting.learning
    latent = editor.backbone.encode_image(canvas.source())
    prompt, name = transfer.prompt(transfer.reference), transfer.wearable.name
    lesson = Lesson(latent, canvas.mask(transfer.region), prompt, name, ATTRIBUTE)
    if together:
        lessons = (editor.lesson(transfer.photo), lesson)
        (identity, attribute), _ = editor.once(
            ("together", name, options), lambda: learn_concepts(editor.backbone, lessons, options)
        )
        return identity, attribute
    return editor.concept(way)[0], _attribute(editor, lesson, canvas, way.setting.attribute)


def _attribute(editor: Editor, lesson: Lesson, canvas: Canvas, options: AttributeOptions) -> Concept:
    """Return the attribute, learned by itself."""
    key = ("attribute", lesson.subject, options)
    attribute: Concept
    if isinstance(options, ColumnOptions):
        seen = tuple(further_views(lesson, canvas.source(), options.views, 0, editor.backbone.encode_image))
        (attribute,), _ = editor.once(key, lambda: _alone(learn_columns(editor.backbone, replace(lesson, others=seen), options)))
    else:
        (attribute,), _ = editor.once(key, lambda: learn_concepts(editor.backbone, (lesson,), options))
    return attribute


def _alone(learning: Algorithm[Concept]) -> Algorithm[tuple[Concept]]:
    return ((yield from learning),)

"""The bench on a tiny model: its ways, its records, and that it stops and resumes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lab.quality.worlds import editing, generalisation, measures, records, sheet, units
from lab.quality.worlds.bench import options_of, stages_of
from lab.quality.worlds.editing import Editor, OutOfTime
from lab.quality.worlds.edits import case_of
from lab.quality.worlds.measures import Judges
from lab.quality.worlds.plan import DEFAULT, Stage, Unit, in_turn, seeds_of
from lab.quality.worlds.records import Record
from lab.quality.worlds.settings import BASES, VARIANTS, Variant, Way, parsed, setting_of
from lab.quality.worlds.units import Bench
from s2edit_core.method.learning.learning import Checkpoint, learn_concepts
from s2edit_core.method.learning.learning_state import LearningState
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import ColumnOptions, LearningMode, LearningOptions
from s2edit_core.request.spec import Progress
from s2edit_core.unet.rows import drive

SHORT = LearningOptions(token_steps=2, joint_steps=2, start_steps=1, batch=2)
COLUMNS = ColumnOptions(person_steps=2, column_steps=2, batch=2, views=2)
QUICK = replace(BASES["balanced"], title="quick", steps=3, learning=SHORT, attribute=COLUMNS)


@pytest.fixture
def bench(pipe: S2EditPipeline, world_judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setitem(BASES, "quick", QUICK)
    loose = {"fade": "subject", "fresh": 0.5, "identity_guidance": 2.0}
    monkeypatch.setitem(VARIANTS, "loose", Variant("loose", fields=loose))
    setting_of.cache_clear()
    return Bench(pipe, world_judges, tmp_path, set())


def run(bench: Bench, unit: Unit) -> list[Record]:
    return [record for some in units.run(bench, unit) for record in some]


def test_a_unit_records_every_way_of_every_edit_and_skips_what_is_known(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ways = parsed(("quick:none", "quick:same", "quick+loose:other", "quick:three"))
    unit = Unit(Stage("some", "person", 1, ways, ("left", "hat")), 1)
    found = run(bench, unit)
    names = {"unedited", "autoencoder", *map(str, ways)}
    assert {(record["way"], record["edit"]) for record in found} == {(way, edit) for way in names for edit in ("left", "hat")}
    assert all(record["gain"] == 0 for record in found if record["way"] == "unedited")
    assert {record["group"] for record in found if record["edit"] == "left"} == {"turned"}
    results = {record["way"]: record["psnr"] for record in found if record["edit"] == "hat"}
    assert len(set(results.values())) == len(names)
    bench.known = {records.key_of(record) for record in found[:-1]}
    assert [records.key_of(record) for record in run(bench, unit)] == [records.key_of(found[-1])]
    monkeypatch.setattr(editing, "learn_concepts", None)  # concepts are kept
    bench.together = True
    bench.known = set()
    again = {records.key_of(record): record["psnr"] for record in run(bench, unit)}
    assert again == pytest.approx({records.key_of(record): record["psnr"] for record in found}, abs=0.05)


def test_a_setting_that_changes_has_other_recipes(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    before = bench.recipe("quick:same"), bench.recipe("quick/words"), bench.recipe("balanced:same")
    assert before[0] == before[1] != before[2]
    monkeypatch.setitem(BASES, "quick", replace(QUICK, residual=0.5))
    setting_of.cache_clear()
    assert bench.recipe("quick:same") != before[0]


def test_a_transfer_is_done_in_words_and_with_an_attribute(bench: Bench) -> None:
    stage = Stage("makeup", "person", 1, transfer="makeup", setting="quick")
    found = run(bench, Unit(stage, seeds_of(stage)[0]))
    ways = [
        "unedited",
        "autoencoder",
        *(f"quick/{how}" for how in ("words", "attribute", "found", "attribute+identity", "together")),
    ]
    assert [record["way"] for record in found] == ways
    assert found[0]["parts_found"] == 0
    assert set(found[2]["colour_error_by_part"]) == {"lips", "cheeks", "lids"}
    assert len({record["psnr"] for record in found}) == len(ways)
    out = bench.folder / "sheet.png"
    sheet.write(bench, [stage], {stage: found}, out, rows=2)
    assert out.stat().st_size > 1000


def test_learning_from_three_photos_differs_from_one(bench: Bench) -> None:
    editor = Editor(bench.pipe, case_of("cat", 0, ("front",)))
    tokens = []
    for origin in ("same", "other", "three"):
        concept, seconds = editor.concept(Way("quick", origin))
        assert concept is not None
        assert seconds > 0
        tokens.append(concept.token)
    assert not torch.equal(tokens[0], tokens[1])
    assert not torch.equal(tokens[1], tokens[2])


@pytest.mark.parametrize("mode", ["lora_kv", "kv", "token"])
def test_the_concept_of_the_last_checkpoint_is_the_learned_one(bench: Bench, mode: LearningMode) -> None:
    case = case_of("person", 1, ("left",))
    editor = Editor(bench.pipe, case)
    options = replace(SHORT, mode=mode)
    learning = learn_concepts(bench.pipe.backbone, (editor.lesson(case.photo),), options, every=options.steps)
    states: list[LearningState] = []

    def keep(step: Progress) -> None:
        states.extend([step.state] if isinstance(step, Checkpoint) and step.state else [])

    (learned,) = drive(learning, editor.evaluate, keep)
    built = generalisation.concept_of(states[-1], options, learned.subject)
    assert torch.equal(built.token, learned.token)
    assert len(built.keys) == len(learned.keys)
    errors = [generalisation.denoising_errors(editor, case.photo, concept) for concept in (None, built, learned)]
    assert torch.equal(errors[1], errors[2])
    assert not torch.equal(errors[0], errors[1])


def test_a_curve_measures_every_photo(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generalisation, "EVERY", 2)
    case = case_of("person", 1, ("left",))
    shown = generalisation.photos_to_show(case)
    rows = list(generalisation.curve(Editor(bench.pipe, case), case.others[:2], SHORT, shown))
    assert [row["step"] for row in rows] == [2, 4]
    assert set(rows[0]) == {"step", "learned", "edited", "answer: left"}
    assert rows[0] != rows[1]


def test_nothing_is_evaluated_after_the_deadline(bench: Bench) -> None:
    bench.deadline = 0
    with pytest.raises(OutOfTime):
        run(bench, Unit(Stage("some", "cat", 1, parsed(("quick:none",)), ("front",)), 0))


def test_results_are_paired_with_the_same_edits_without_an_identity(bench: Bench, tmp_path: Path) -> None:
    def record(way: str, person: str, error: float) -> Record:
        figures = {"psnr": 20.0, "identity_error": error, "identity_error_decoded": error}
        return {"domain": "cat", "way": way, "recipe": "r", "person": person, "edit": "front", "group": "turned", **figures}

    made = [record("quick+loose:other", f"cat-{i}", 0.3 + 0.01 * i) for i in range(4)]
    made += [record("quick+loose:none", f"cat-{i}", 0.5 + 0.01 * i) for i in range(5)]
    found = records.summary(made, ("psnr", "identity_error"))["cat"]["quick+loose:other"]
    assert found["edits"] == 4
    assert found["group turned"]["minus_without"]["identity_error"] == pytest.approx([-0.2, -0.2, -0.2])
    assert found["all"]["identity_reduction"] == pytest.approx(0.2 / 0.515, abs=1e-4)
    records.append(tmp_path, made)
    next(tmp_path.glob("*.jsonl")).open("a").write('{"domain": "ca')  # the process was killed here
    out = tmp_path / "out.json"
    records.write(out, records.collect(tmp_path, out), {"model": "m"}, measures.FIGURES)
    assert len(json.loads(out.read_text())["records"]) == 9
    records.append(tmp_path, [record("quick+loose:other", "cat-0", 0.9)])
    again = {records.key_of(each): each for each in records.collect(tmp_path, out)}
    assert len(again) == 9
    assert again["r", "quick+loose:other", "cat-0", "front"]["identity_error"] == 0.9


def test_a_way_is_compared_with_the_same_sampling_without_an_identity() -> None:
    assert str(Way("balanced+kv", "other").without) == "balanced:none"
    assert str(Way("balanced+kv+free+guided2", "same").without) == "balanced+free:none"
    assert setting_of("balanced+kv+free").learning.mode == "kv"
    assert setting_of("balanced+kv+free").fade == "subject"


def test_stages_take_turns_by_their_weights() -> None:
    first, second = Stage("a", "cat", 4, weight=2), Stage("b", "cat", 2)
    assert [stage.name for stage, _ in in_turn([first, second])] == ["a", "a", "b", "a", "a", "b"]
    assert next(stage.name for stage, _ in in_turn(DEFAULT)) == "moved"


def test_options_choose_the_stages() -> None:
    assert stages_of(options_of([])) == DEFAULT
    (chosen,) = stages_of(
        options_of(["--domain", "cat", "--settings", "balanced+kv:other,balanced", "--edits", "turned", "--count", "3"])
    )
    assert [str(way) for way in chosen.ways] == ["balanced+kv:other", "balanced:none", "balanced:same", "balanced:other"]
    assert (chosen.domain, chosen.count, chosen.edits) == ("cat", 3, ("turned",))
    (transfer,) = stages_of(options_of(["--transfer", "collar", "--settings", "balanced+kv"]))
    assert (transfer.domain, transfer.transfer, transfer.setting) == ("cat", "collar", "balanced+kv")
    for text, message in (("kv", "unknown setting 'kv'"), ("balanced+kw", "unknown variant 'kw'")):
        with pytest.raises(ValueError, match=message):
            parsed((text,))
    with pytest.raises(ValueError, match="unknown origin 'others'"):
        parsed(("balanced:others",))
    with pytest.raises(ValueError, match="unknown transfer 'ring'"):
        Stage("x", "cat", 1, transfer="ring")

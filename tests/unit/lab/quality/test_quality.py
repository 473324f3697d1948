"""The quality bench with a tiny model: its measures, its results file and how it resumes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lab.judges.judge import NAMES
from lab.measures.results import dumped
from lab.quality import bench as quality
from lab.quality import delivered, methods
from lab.quality.bench import FIGURES, PERSON_FIGURES, PORTRAITS, population_of, run_population, summary
from lab.quality.delivered import DELIVERED
from lab.quality.method import Method
from lab.quality.population import Population
from lab.quality.portraits import Judges, Portraits
from lab.quality.runs import compare
from lab.quality.table import render
from lab.quality.worlds.measures import Judges as WorldJudges
from lab.quality.worlds.population import World
from lab.world.domains import DOMAINS
from lab.world.edits import FIRST, Subject, subject_of
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.rows import Answers, Rows

WHOLE = (0, 0, 128, 128)
Measured = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def subject() -> Subject:
    return subject_of(FIRST, ("hair", "hat"))


class FixedJudge:
    """A judge that reports the same attributes for every picture."""

    accuracy = dict.fromkeys(NAMES, 1.0)

    def __init__(self, attributes: Any, **otherwise: Any) -> None:
        self.verdict = {name: getattr(attributes, name) for name in NAMES} | otherwise

    def __call__(self, pictures: Any) -> list[dict[str, Any]]:
        return [self.verdict] * len(pictures)


@pytest.fixture(scope="module")
def measured_hair(pipe: S2EditPipeline, judges: Judges) -> Measured:
    return lambda subject, raw, **otherwise: measured(pipe, judges, subject, raw, **otherwise)


def measured(pipe: S2EditPipeline, judges: Judges, subject: Subject, raw: Image.Image, **otherwise: Any) -> dict[str, Any]:
    """Measure `raw` as the hair edit, with a judge that reports the ground truth except for `otherwise`."""
    judge = FixedJudge(subject.answer(subject.edits[0]).attributes, **otherwise)
    population = Portraits(pipe, Judges(judge, judges.regressor))  # type: ignore[arg-type]
    return population.measure(subject, "hair", WHOLE, raw)


def test_the_ground_truth_has_the_best_figures(subject: Subject, measured_hair: Measured) -> None:
    found = measured_hair(subject, subject.answers["hair"])
    assert found["psnr_changed"] == found["psnr_unchanged"] == found["psnr"] > 78
    assert found["ssim_changed"] == pytest.approx(1.0)
    assert found["gain"] == pytest.approx(1.0)
    assert found["success"] is True
    assert found["side_effects"] == 0


def test_the_unedited_source_is_right_only_outside_the_changed_region(subject: Subject, measured_hair: Measured) -> None:
    found = measured_hair(subject, subject.picture, hair_colour=subject.person.attributes.hair_colour)
    assert found["psnr_unchanged"] > 40 > 20 > found["psnr_changed"]
    assert found["ssim_unchanged"] > 0.9 > found["ssim_changed"]
    assert found["gain"] == 0
    assert found["success"] is False
    assert found["side_effects"] == 0


def test_side_effects_are_counted(subject: Subject, measured_hair: Measured) -> None:
    has = subject.person.attributes
    found = measured_hair(subject, subject.answers["hair"], hat=not has.hat, beard=not has.beard)
    assert found["success"] is True
    assert found["side_effects"] == 2


def test_eye_shadow_behind_sunglasses_does_not_count(measured_hair: Measured) -> None:
    number = next(n for n in range(FIRST, FIRST + 200) if subject_of(n, ()).person.attributes.sunglasses)
    subject = subject_of(number, ("hair",))
    has = subject.person.attributes
    assert measured_hair(subject, subject.answers["hair"], eye_shadow=not has.eye_shadow)["side_effects"] == 0


def test_the_identity_error_is_the_mean_over_visible_parameters(subject: Subject, measured_hair: Measured) -> None:
    found = measured_hair(subject, subject.picture)
    assert found["identity_error"] == pytest.approx(np.mean(list(found["identity"].values())))


def test_a_smaller_frame_is_compared_inside_its_box(pipe: S2EditPipeline, subject: Subject, judges: Judges) -> None:
    box = (20, 30, 84, 94)
    population = Portraits(pipe, judges)
    assert population.measure(subject, "hair", box, subject.answers["hair"].crop(box))["psnr"] > 78


def test_a_summary_has_its_figures_per_edit_and_overall() -> None:
    numbers = {"psnr_changed": 20.0, "psnr_unchanged": 30.0, "psnr": 25.0, "ssim_changed": 0.5, "ssim_unchanged": 0.9, "ssim": 0.8}
    others = {"gain": 0.5, "side_effects": 1, "identity_error": 0.5, **dict.fromkeys(DELIVERED, 30.0)}
    records = [
        {"edit": edit, **numbers, **others, "psnr": psnr, "success": psnr > 21}
        for edit, psnr in (("hat", 20.0), ("hat", 22.0), ("hair", 27.0))
    ]
    records[0]["delivered_psnr_changed"] = None  # the edit mask holds none of what changes
    found = summary(records)
    assert set(found) == {"all", "hat", "hair"}
    assert found["all"]["psnr"] == 22.0
    assert found["all"]["success"] == pytest.approx(0.667)
    assert found["hat"]["delivered_psnr_changed"] == 30.0
    assert (found["hat"]["cases"], found["hair"]["cases"]) == (2, 1)


@pytest.fixture
def bench(
    pipe: S2EditPipeline, judges: Judges, world_judges: WorldJudges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Any], int]]:
    """Return a function that runs the bench with methods of two steps. It returns the results and the number of UNet rows."""
    monkeypatch.setattr(delivered, "SIZE", 128)  # cheaper; test_delivered.py draws full photographs
    monkeypatch.setitem(methods.METHODS, "ddim", Method("DDIM", steps=2))
    populations: dict[str, Population[Any]] = {PORTRAITS: Portraits(pipe, judges), "cat": World(pipe, "cat", world_judges)}
    rows: list[int] = []
    evaluate = pipe.backbone.evaluate

    def counted(wanted: Rows) -> Answers:
        rows.append(len(wanted))
        return evaluate(wanted)

    monkeypatch.setattr(pipe.backbone, "evaluate", counted)
    out = tmp_path / "results" / "quality.json"

    def run(
        names: str, people: int = 2, domain: str = PORTRAITS, edits: str = "hair,hat", **options: Any
    ) -> tuple[dict[str, Any], int]:
        rows.clear()
        common = {
            "work": tmp_path,
            "guidance": None,
            "domain": domain,
            "edits": edits,
            "methods": names,
            "against": "ddim",
            "group": 1,
            "first": None,
            "precision": "fp32",
        }
        run_population(populations[domain], argparse.Namespace(people=people, **common | options), out)
        return json.loads(out.read_text()), sum(rows)

    return run


def test_a_second_run_repeats_nothing(bench: Any, tmp_path: Path) -> None:
    first, evaluations = bench("unedited,autoencoder,ddim")
    assert evaluations > 0
    assert set(first["methods"]) == {"unedited", "autoencoder", "ddim"}
    found = first["methods"]["ddim"]
    assert set(found["summary"]["all"]) >= {"psnr_changed", "psnr_unchanged", "psnr", "success", "side_effects"}
    assert set(found["intervals"]["all"]) == {*Portraits.figures, *DELIVERED, PERSON_FIGURES[0]}
    assert [record["person"] for record in found["people"]] == [0, 1]
    assert all({*Portraits.figures, *DELIVERED} <= set(record) for record in found["records"])
    assert found["cost"]["edit"]["evaluations"] == 4
    assert found["cost"]["invert"]["evaluations"] == 2
    assert set(first["differences"]["minus"]) == {"unedited", "autoencoder"}
    assert Image.open(tmp_path / "results" / "quality-ddim.png").size == (128 * 5, 128 * 2)
    assert first["judge_accuracy"]
    assert "DDIM" in render(first)
    again, evaluations = bench("ddim")
    assert evaluations == 0
    assert again == first


def test_cats_are_edited_and_measured_like_portraits(bench: Any, tmp_path: Path) -> None:
    results, _ = bench("unedited,autoencoder,ddim", people=1, domain="cat", edits="sleeping,collar")
    assert results["setting"]["domain"] == "cat"
    found = results["methods"]["ddim"]
    tried = {record["edit"] for record in found["records"]}
    assert tried <= {"sleeping", "collar"}
    assert all({*World.figures, *DELIVERED} <= set(record) for record in found["records"])
    decoded = results["methods"]["autoencoder"]["records"]
    assert [record["identity_error_decoded"] for record in decoded] == pytest.approx([0] * len(decoded), abs=0.01)
    assert set(results["identity_regressor"]) == set(DOMAINS["cat"].identity_names)
    assert "unseen cats" in render(results)
    assert Image.open(tmp_path / "results" / "quality-ddim.png").size == (128 * (1 + 2 * len(tried)), 128)


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_true_answer_has_the_best_figures_in_every_domain(pipe: S2EditPipeline, world_judges: WorldJudges, domain: str) -> None:
    world = World(pipe, domain, world_judges)
    subject = world.unseen(1, ("snow",) if domain == "church" else ("hat",))[0]
    edit, answer = next(iter(subject.answers.items()))
    true, nothing = (world.measure(subject, edit, WHOLE, picture) for picture in (answer, subject.picture))
    assert set(true) == {*World.figures, "identity"}
    assert (true["psnr"] > 78, true["gain"], true["identity_error"]) == (True, pytest.approx(1), pytest.approx(0, abs=1e-6))
    assert (nothing["gain"], nothing["psnr"] < 40) == (0, True)
    assert set(true["identity"]) == set(DOMAINS[domain].identity_names)


def test_an_edit_of_another_domain_is_refused(pipe: S2EditPipeline, world_judges: WorldJudges) -> None:
    with pytest.raises(ValueError, match="unknown edit 'beard'; choose from left, right, front, awake"):
        World(pipe, "cat", world_judges).unseen(1, ("beard",))


def test_more_people_repeat_no_edit(bench: Any) -> None:
    _, two = bench("ddim", people=2)
    results, one_more = bench("ddim", people=3)
    assert 0 < one_more < two
    assert len(results["methods"]["ddim"]["people"]) == 3


def test_a_method_can_be_run_on_the_first_people_and_later_on_all(bench: Any) -> None:
    some, evaluations = bench("ddim", people=3, first=1)
    assert (some["setting"]["people"], len(some["methods"]["ddim"]["people"])) == (3, 1)
    assert evaluations > 0
    assert "DDIM, 1 people" in render(some)
    assert "A row with fewer people" in render(some)
    everyone, rest = bench("ddim", people=3)
    assert (len(everyone["methods"]["ddim"]["people"]), rest > 0) == (3, True)
    assert " people |" not in render(everyone)
    assert "A row with fewer people" not in render(everyone)
    again, nothing = bench("ddim", people=3, first=1)
    assert (again, nothing) == (everyone, 0), "more people than wanted stay"


def test_an_interrupted_run_resumes_with_the_first_missing_group(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    real = quality.measure_part

    def interrupted(*arguments: Any) -> list[dict[str, Any]]:
        measured.append(1)
        if len(measured) == 2:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(quality, "measure_part", interrupted)
    with pytest.raises(KeyboardInterrupt):
        bench("ddim", people=3)
    _, rest = bench("ddim", people=3)
    _, nothing = bench("ddim", people=3)
    assert rest > 0
    assert nothing == 0
    monkeypatch.setattr(quality, "measure_part", real)
    results, _ = bench("ddim", people=3)
    per_person = [record for record in results["methods"]["ddim"]["records"] if record["person"] == 2]
    assert rest == 2 + 4 * (len(per_person) + 1)  # the last of three people: path, edits and reconstruction


def test_results_of_another_setting_are_replaced(bench: Any) -> None:
    bench("unedited,ddim")
    results, _ = bench("unedited", guidance=2.0)
    assert set(results["methods"]) == {"unedited"}
    assert results["setting"]["guidance_scale"] == 2.0


def test_a_method_of_another_recipe_is_run_again(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench("ddim")
    monkeypatch.setitem(methods.METHODS, "ddim", Method("DDIM", steps=3))
    results, evaluations = bench("ddim")
    assert evaluations > 0
    assert results["methods"]["ddim"]["cost"]["invert"]["evaluations"] == 3


def test_there_are_no_differences_without_the_method_to_compare() -> None:
    assert compare({"ddim": {"records": []}}, "balanced", FIGURES) == {}


def test_a_record_takes_one_line_of_the_file() -> None:
    results = {"title": "no [I], {really}", "records": [{"person": 0, "psnr": 1.5}], "interval": [1, 2, 3]}
    text = dumped(results)
    assert json.loads(text) == results
    assert text.splitlines()[1:] == [
        ' "title": "no [I], {really}",',
        ' "records": [',
        '  { "person": 0, "psnr": 1.5 }',
        " ],",
        ' "interval": [ 1, 2, 3 ]',
        "}",
    ]


def test_the_command_runs_portraits_or_pie_bench(pipe: S2EditPipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, argparse.Namespace, Path]] = []
    monkeypatch.setattr(quality.Backbone, "from_pretrained", lambda _model, device, dtype: pipe.backbone)
    monkeypatch.setattr(
        quality, "run_population", lambda population, wanted, out: ran.append((type(population).__name__, wanted, out))
    )
    monkeypatch.setattr(quality.pie_bench, "run", lambda _pipe, wanted, out: ran.append(("pie", wanted, out)))
    monkeypatch.setattr("sys.argv", ["quality", "--people", "50", "--methods", "ddim,paper,balanced,instant"])
    quality.main()
    monkeypatch.setattr("sys.argv", ["quality", "--pie-bench", "data", "--out", "there.json"])
    quality.main()
    monkeypatch.setattr("sys.argv", ["quality", "--domain", "church", "--people", "20"])
    quality.main()
    (name, wanted, out), (other, _, there), (world, churches, third) = ran
    assert (name, out, other, there) == ("Portraits", Path("lab/results/quality.json"), "pie", Path("there.json"))
    assert (world, churches.people, third) == ("World", 20, Path("lab/results/quality-church.json"))
    assert (wanted.people, wanted.methods, wanted.group) == (50, "ddim,paper,balanced,instant", 4)
    assert population_of(pipe, wanted.domain).edits == (
        "hair",
        "smile",
        "sad",
        "glasses",
        "hat",
        "beard",
        "bangs",
        "lipstick",
        "two",
    )

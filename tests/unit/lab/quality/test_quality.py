"""The quality bench with a tiny model: its measures, its results file and how it resumes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from lab.measures.results import dumped
from lab.measures.sheets import Row
from lab.quality import bench as quality
from lab.quality import delivered, methods
from lab.quality.bench import FIGURES, SUBJECT_FIGURES, run_population, shown_edits, summary
from lab.quality.delivered import DELIVERED
from lab.quality.methods import COMPARED
from lab.quality.phases import Method
from lab.quality.population import Population, Subject
from lab.quality.runs import compare
from lab.quality.table import render
from lab.quality.worlds.measures import Judges
from lab.world.domains import DOMAINS
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.unet.rows import Answers, Rows

WHOLE = (0, 0, 128, 128)
EDIT = "sleeping"
Measured = Callable[..., dict[str, Any]]


class FixedJudge:
    """A judge that reports the same classes for every picture."""

    def __init__(self, label: dict[str, int]) -> None:
        self.label = label

    def classes(self, pictures: Tensor, domain: str) -> dict[str, Tensor]:
        return {name: torch.tensor([value]) for name, value in self.label.items()}


@pytest.fixture(scope="module")
def cat(two_cats: list[Subject]) -> Subject:
    return two_cats[1]


@pytest.fixture(scope="module")
def measured(pipe: S2EditPipeline, world_judges: Judges) -> Measured:
    """Return a function that measures `raw` as an edit, with a judge that reports the ground truth except for `otherwise`."""

    def measured(subject: Subject, raw: Image.Image, edit: str = EDIT, **otherwise: int) -> dict[str, Any]:
        domain = subject.case.photo.domain
        label = domain.label(subject.targets[edit].answer.subject.attributes)
        judges = Judges(FixedJudge(label | otherwise), world_judges.identities)  # type: ignore[arg-type]
        return Population(pipe, domain.name, judges).measure(subject, edit, WHOLE, raw)

    return measured


def test_the_unedited_source_is_right_only_outside_the_changed_region(cat: Subject, measured: Measured) -> None:
    found = measured(cat, cat.picture, sleeping=0)
    assert found["psnr_unchanged"] > 40 > 25 > found["psnr_changed"]
    assert found["ssim_unchanged"] > 0.9 > found["ssim_changed"]
    assert found["gain"] == 0
    assert found["success"] is False
    assert found["side_effects"] == 0


def test_side_effects_are_counted(cat: Subject, measured: Measured) -> None:
    found = measured(cat, cat.answers[EDIT], hat=1, collar=1)
    assert found["success"] is True
    assert found["side_effects"] == 2


def test_a_smaller_frame_is_compared_inside_its_box(cats: Population, cat: Subject) -> None:
    box = (20, 30, 84, 94)
    inside = np.zeros((128, 128), dtype=bool)
    inside[30:94, 20:84] = True
    got = cats.measure(cat, "collar", box, cat.answers["collar"].crop(box))
    true, source = (np.asarray(picture) for picture in (cat.answers["collar"], cat.picture))
    expected = np.where(inside[..., None], true, source)
    assert got == cats.measure(cat, "collar", WHOLE, Image.fromarray(expected))


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_true_answer_has_the_best_figures_in_every_domain(pipe: S2EditPipeline, world_judges: Judges, domain: str) -> None:
    population = Population(pipe, domain, world_judges)
    subject = population.unseen(1, ("snow",) if domain == "church" else ("hat",))[0]
    edit, answer = next(iter(subject.answers.items()))
    true, nothing = (population.measure(subject, edit, WHOLE, picture) for picture in (answer, subject.picture))
    assert set(true) == {*Population.figures, "identity"}
    assert (true["psnr"] > 78, true["gain"], true["identity_error"]) == (True, pytest.approx(1), pytest.approx(0, abs=1e-6))
    assert true["ssim_changed"] == pytest.approx(1)
    assert (nothing["gain"], nothing["psnr"] < 40) == (0, True)
    assert set(true["identity"]) == set(DOMAINS[domain].identity_names)


def test_edits_are_chosen_by_name_or_group(cats: Population) -> None:
    assert cats.known(("collar", "revealed")) == ("awake", "glasses off", "hat off", "collar")
    with pytest.raises(ValueError, match=r"unknown edit 'beard' of 'cat'; choose from left, .*, meowing, turned, revealed, kept"):
        cats.known(("beard",))


def test_a_sheet_shows_the_edits_that_most_subjects_have(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quality, "SHEET_EDITS", 2)
    blank = Image.new("RGB", (1, 1))
    rows = [
        Row(blank, dict.fromkeys(names, (blank, blank))) for names in (("hat", "collar"), ("collar", "left"), ("left", "hat", "up"))
    ]
    assert shown_edits(("up", "left", "collar", "hat", "awake"), rows) == ["left", "collar"]
    assert shown_edits(("up", "awake"), rows) == ["up"]


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
    pipe: S2EditPipeline, world_judges: Judges, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[dict[str, Any], int]]:
    """Return a function that runs the bench with methods of two steps. It returns the results and the number of UNet rows."""
    monkeypatch.setattr(delivered, "SIZE", 128)  # cheaper; test_delivered.py draws full photographs
    monkeypatch.setitem(methods.METHODS, "ddim", Method("DDIM", steps=2))
    rows: list[int] = []
    evaluate = pipe.backbone.evaluate

    def counted(wanted: Rows) -> Answers:
        rows.append(len(wanted))
        return evaluate(wanted)

    monkeypatch.setattr(pipe.backbone, "evaluate", counted)
    out = tmp_path / "results" / "quality.json"

    def run(
        names: str, subjects: int = 2, domain: str = "cat", edits: str = "sleeping,collar", **options: Any
    ) -> tuple[dict[str, Any], int]:
        rows.clear()
        common = {
            "work": tmp_path,
            "guidance": None,
            "edits": edits,
            "methods": names,
            "against": "ddim",
            "group": 1,
            "first": None,
            "precision": "fp32",
        }
        population = Population(pipe, domain, world_judges)
        run_population(population, argparse.Namespace(subjects=subjects, **common | options), out)
        return json.loads(out.read_text()), sum(rows)

    return run


def cats_of(results: dict[str, Any]) -> dict[str, Any]:
    section: dict[str, Any] = results["domains"]["cat"]
    return section


def test_a_second_run_repeats_nothing(bench: Any, tmp_path: Path) -> None:
    results, evaluations = bench("unedited,autoencoder,ddim")
    assert evaluations > 0
    section = cats_of(results)
    assert set(section["methods"]) == {"unedited", "autoencoder", "ddim"}
    found = section["methods"]["ddim"]
    assert set(found["summary"]["all"]) >= {"psnr_changed", "psnr_unchanged", "psnr", "success", "side_effects"}
    assert set(found["intervals"]["all"]) == {*Population.figures, *DELIVERED, SUBJECT_FIGURES[0]}
    assert [record["person"] for record in found["subjects"]] == [0, 1]
    assert all({*Population.figures, *DELIVERED} <= set(record) for record in found["records"])
    assert found["cost"]["edit"]["evaluations"] == 4
    assert found["cost"]["invert"]["evaluations"] == 2
    decoded = section["methods"]["autoencoder"]["records"]
    assert [record["identity_error_decoded"] for record in decoded] == pytest.approx([0] * len(decoded), abs=0.01)
    assert set(section["differences"]["minus"]) == {"unedited", "autoencoder"}
    assert Image.open(tmp_path / "results" / "quality-cat-ddim.png").size == (128 * 5, 128 * 2)
    assert set(section["judge_accuracy"]) == set(DOMAINS["cat"].labels)
    assert set(section["identity_regressor"]) == set(DOMAINS["cat"].identity_names)
    assert "unseen cats" in render(results)
    again, evaluations = bench("ddim")
    assert evaluations == 0
    assert again == results


def test_each_domain_has_a_section_of_one_file(bench: Any) -> None:
    cats, _ = bench("unedited,ddim")
    both, evaluations = bench("unedited,ddim", domain="church", subjects=1, edits="ivy,snow")
    assert evaluations > 0
    assert list(both["domains"]) == ["cat", "church"]
    assert cats_of(both) == cats_of(cats)
    assert (both["domains"]["church"]["setting"]["domain"], both["domains"]["church"]["setting"]["subjects"]) == ("church", 1)
    assert both["domains"]["church"]["differences"]["of"] == "ddim"
    text = render(both)
    assert text.index("### Cats") < text.index("### Churches")
    assert "| DDIM minus | cats: PSNR, dB |" in text
    anew, _ = bench("unedited", domain="church", subjects=1, edits="ivy")
    assert cats_of(anew) == cats_of(cats), "another setting of churches starts their section anew, not that of cats"
    assert set(anew["domains"]["church"]["methods"]) == {"unedited"}


def test_two_runs_may_write_two_domains_at_once(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    real = quality.run_method

    def meanwhile(population: Population, *arguments: Any) -> dict[str, Any]:
        if population.domain == "cat":
            bench("unedited", domain="church", subjects=1, edits="ivy")
        return real(population, *arguments)

    monkeypatch.setattr(quality, "run_method", meanwhile)
    results, _ = bench("unedited", subjects=1)
    assert set(results["domains"]) == {"church", "cat"}


def test_more_subjects_repeat_no_edit(bench: Any) -> None:
    _, two = bench("ddim", subjects=2)
    results, one_more = bench("ddim", subjects=3)
    assert 0 < one_more < two
    assert len(cats_of(results)["methods"]["ddim"]["subjects"]) == 3


def test_a_method_can_be_run_on_the_first_subjects_and_later_on_all(bench: Any) -> None:
    some, evaluations = bench("ddim", subjects=3, first=1)
    assert (cats_of(some)["setting"]["subjects"], len(cats_of(some)["methods"]["ddim"]["subjects"])) == (3, 1)
    assert evaluations > 0
    assert "DDIM, 1 cats" in render(some)
    assert "A row with fewer subjects" in render(some)
    everyone, rest = bench("ddim", subjects=3)
    assert (len(cats_of(everyone)["methods"]["ddim"]["subjects"]), rest > 0) == (3, True)
    assert " cats |" not in render(everyone)
    assert "A row with fewer subjects" not in render(everyone)
    again, nothing = bench("ddim", subjects=3, first=1)
    assert (again, nothing) == (everyone, 0), "more subjects than wanted stay"


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
        bench("ddim", subjects=3)
    _, rest = bench("ddim", subjects=3)
    _, nothing = bench("ddim", subjects=3)
    assert rest > 0
    assert nothing == 0
    monkeypatch.setattr(quality, "measure_part", real)
    results, _ = bench("ddim", subjects=3)
    last = [record for record in cats_of(results)["methods"]["ddim"]["records"] if record["person"] == 2]
    assert rest == 2 + 4 * (len(last) + 1)  # the last of three cats: path, edits and reconstruction


def test_results_of_another_setting_are_replaced(bench: Any) -> None:
    bench("unedited,ddim")
    results, _ = bench("unedited", guidance=2.0)
    assert set(cats_of(results)["methods"]) == {"unedited"}
    assert cats_of(results)["setting"]["guidance_scale"] == 2.0


def test_a_method_of_another_recipe_is_run_again(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    bench("ddim")
    monkeypatch.setitem(methods.METHODS, "ddim", Method("DDIM", steps=3))
    results, evaluations = bench("ddim")
    assert evaluations > 0
    assert cats_of(results)["methods"]["ddim"]["cost"]["invert"]["evaluations"] == 3


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


def test_the_command_runs_all_domains_some_or_pie_bench(
    pipe: S2EditPipeline, world_judges: Judges, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[tuple[str, argparse.Namespace, Path]] = []
    monkeypatch.setattr(quality.Backbone, "from_pretrained", lambda _model, device, dtype: pipe.backbone)
    monkeypatch.setattr(quality.Judges, "load", lambda _folder: world_judges)
    monkeypatch.setattr(quality, "run_population", lambda population, wanted, out: ran.append((population.domain, wanted, out)))
    monkeypatch.setattr(quality.pie_bench, "run", lambda _pipe, wanted, out: ran.append(("pie", wanted, out)))

    def run(*options: str) -> list[tuple[str, argparse.Namespace, Path]]:
        ran.clear()
        monkeypatch.setattr("sys.argv", ["quality", *options])
        quality.main()
        return list(ran)

    everything = run()
    assert [domain for domain, _, _ in everything] == list(DOMAINS) == list(quality.SUBJECTS)
    assert {out for _, _, out in everything} == {Path("lab/results/quality.json")}
    wanted = everything[0][1]
    assert (wanted.subjects, wanted.methods, wanted.against, wanted.group) == (None, ",".join(COMPARED), "balanced", 4)
    some = run("--domain", "church,cat", "--subjects", "20", "--methods", "ddim")
    assert [(domain, each.subjects, each.methods) for domain, each, _ in some] == [("church", 20, "ddim"), ("cat", 20, "ddim")]
    ((name, _, out),) = run("--pie-bench", "data", "--out", "there.json")
    assert (name, out) == ("pie", Path("there.json"))
    with pytest.raises(ValueError, match="unknown domain 'dog'; choose from person, cat, church"):
        run("--domain", "cat,dog")

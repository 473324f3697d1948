"""The methods on a tiny model: their results, their costs and the leakage of [I]."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from lab.quality.bench import RESULTS
from lab.quality.methods import COMPARED, METHODS, RIVALS, select_methods
from lab.quality.phases import RECONSTRUCTION, Case, Injected, Method, Reference
from lab.quality.published.method import Published
from lab.quality.recipes import recipe, without_later
from lab.quality.table import ORDER, SMALL_ROWS
from lab.world.domains import DOMAINS
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InjectionOptions, InversionOptions, InversionTier, LearningOptions

STEPS = 3
LEARNING = LearningOptions(start_steps=8, token_steps=1, joint_steps=1, batch=2)
SHORT = Method("short", STEPS, LEARNING, InversionOptions(tier="residual"))


def edits(cases: list[Case]) -> set[tuple[int, str]]:
    return {(i, name) for i, case in enumerate(cases) for name in case.prompts()}


def test_a_method_edits_every_case_and_counts_its_cost(pipe: S2EditPipeline, cases: list[Case]) -> None:
    found = SHORT.run(pipe, cases, 3.0)
    assert set(found.latents) == edits(cases)
    wanted = sum(len(case.targets) for case in cases)
    assert wanted >= 2
    costs = found.costs
    assert (costs["learn"].evaluations, costs["learn"].with_gradients) == (2 * 2 * 2, 2 * 2 * 2)  # cases · steps · batch
    assert (costs["invert"].evaluations, costs["invert"].with_gradients) == (2 * 3 * STEPS, 0)  # the path, then two rows per level
    assert costs["edit"].evaluations == wanted * 2 * STEPS
    assert all(cost.seconds > 0 for cost in costs.values())
    assert [set(about) for about in found.about] == [{"leakage", "mean_abs_cosine_to_bank", "max_abs_cosine_to_bank"}] * 2


def test_without_learning_options_nothing_is_learned(pipe: S2EditPipeline, cases: list[Case]) -> None:
    found = Method("ddim", STEPS).run(pipe, cases, 3.0)
    assert set(found.latents) == edits(cases)
    assert found.costs["learn"].evaluations == 0
    assert found.costs["invert"].evaluations == 2 * STEPS
    assert found.about == [{}, {}]


def test_an_exact_inversion_reconstructs_the_source_and_plain_ddim_does_not(pipe: S2EditPipeline, cases: list[Case]) -> None:
    source = pipe.backbone.encode_image(cases[0].canvas.source())
    exact = SHORT.run(pipe, cases[:1], 3.0).latents[0, RECONSTRUCTION]
    plain = Method("ddim", STEPS).run(pipe, cases[:1], 3.0).latents[0, RECONSTRUCTION]
    assert torch.allclose(exact, source, atol=5e-3)  # the inversion is kept in half precision
    assert not torch.allclose(plain, source, atol=5e-3)


def test_a_reference_returns_the_source_or_the_ground_truth(pipe: S2EditPipeline, cases: list[Case]) -> None:
    source = pipe.backbone.encode_image(cases[0].canvas.source())
    unedited = Reference("source", shows_answer=False).run(pipe, cases, 3.0)
    answers = Reference("answer", shows_answer=True).run(pipe, cases, 3.0)
    assert set(unedited.latents) == set(answers.latents) == edits(cases)
    assert torch.equal(unedited.latents[0, "collar"], source)
    assert torch.equal(answers.latents[0, RECONSTRUCTION], source)
    assert not torch.equal(answers.latents[0, "collar"], source)


def test_a_reference_needs_the_ground_truth(pipe: S2EditPipeline, cases: list[Case]) -> None:
    with pytest.raises(ValueError, match="needs the ground truth of 'sleeping'"):
        Reference("answer", shows_answer=True).run(pipe, [replace(cases[0], answers={})], 3.0)


def test_a_method_that_learns_needs_a_subject(pipe: S2EditPipeline, cases: list[Case]) -> None:
    with pytest.raises(ValueError, match="'short' learns a subject"):
        SHORT.run(pipe, [replace(cases[0], subject=None)], 3.0)
    assert SHORT.needs_subject
    assert not Method("ddim").needs_subject


def test_requested_words_are_those_that_the_edits_add(cases: list[Case]) -> None:
    case = replace(
        cases[0], prompt="a photo of a woman with brown hair", targets={"a": "a smiling woman with red hair", "b": "red hat"}
    )
    assert case.requested() == ("smiling", "red", "hat")


def test_recipes_depend_on_options_alone() -> None:
    assert recipe(SHORT) == recipe(Method("another title", STEPS, LEARNING, InversionOptions(tier="residual")))
    assert recipe(SHORT) != recipe(replace(SHORT, steps=4))
    assert len({recipe(method) for method in METHODS.values()}) == len(METHODS)
    assert not any(" at 0x" in recipe(method) for method in METHODS.values())
    later = replace(SHORT, learning=replace(LEARNING, semantic_power=2))
    assert "semantic_power=2" in recipe(later)
    assert "semantic_power" not in recipe(SHORT), "results from before the option stay valid"


def test_stored_results_are_of_the_methods_as_they_are() -> None:
    stored = json.loads((RESULTS / "quality.json").read_text())["domains"]
    assert set(stored) == set(DOMAINS)
    methods = [each for section in stored.values() for each in section["methods"].items()]
    assert {name for name, found in methods if without_later(found["recipe"]) != recipe(METHODS[name])} == set()


def test_the_table_has_the_order_of_the_registry() -> None:
    assert [name for name in ORDER if name in METHODS] == list(METHODS)
    assert select_methods("all") == list(METHODS)
    assert select_methods("ddim, paper") == ["ddim", "paper"]
    with pytest.raises(ValueError, match="unknown method 'magic'; choose from unedited,"):
        select_methods("ddim,magic")


def test_by_default_balanced_stands_beside_every_rival() -> None:
    assert set(COMPARED) <= set(METHODS)
    assert {"balanced", *RIVALS, *SMALL_ROWS} <= set(COMPARED)
    published = {name for name, method in METHODS.items() if isinstance(method, Published)}
    assert published | {"paper"} <= set(RIVALS)


@pytest.mark.parametrize("masked", [True, False])
def test_a_mask_stops_the_leakage_of_the_identity(pipe: S2EditPipeline, cases: list[Case], masked: bool) -> None:
    found = replace(SHORT, learning=replace(LEARNING, masked=masked)).run(pipe, cases[:1], 3.0).about[0]["leakage"]
    assert found == 0.0 if masked else 0.05 < found < 0.95


P2P = Injected(InjectionOptions(cross_share=0.5, self_share=0.5, blend="words"), emphasis=2.0)


def test_injection_uses_the_words_in_which_the_prompts_differ() -> None:
    options = P2P.options_for(
        "a photo of a woman with short brown hair", "a photo of a smiling woman with short red hair and a hat"
    )
    assert options.reweight == (("smiling", 2.0), ("red", 2.0), ("hat", 2.0))
    assert options.blend_words == ("smiling", "red", "hat", "brown")
    same = P2P.options_for("a photo of a woman", "a photo of a woman")
    assert (same.blend, same.blend_words, same.reweight) == ("none", (), ())


@pytest.mark.parametrize("tier", [None, "null_text", "direct", "residual"])
def test_methods_with_injection_edit_and_reconstruct(pipe: S2EditPipeline, cases: list[Case], tier: InversionTier | None) -> None:
    """Without a tier, the inversion is that of DDIM."""
    inversion = None if tier is None else InversionOptions(tier=tier, inner_steps=1)
    plain = Method("plain", STEPS, inversion=InversionOptions(tier="residual") if tier == "direct" else inversion)
    injected = Method("injected", STEPS, inversion=inversion, editing=P2P)
    found = injected.run(pipe, cases, 3.0)
    assert set(found.latents) == edits(cases)
    assert not torch.allclose(found.latents[0, "collar"], plain.run(pipe, cases, 3.0).latents[0, "collar"])
    assert found.costs["edit"].evaluations > 2 * STEPS * (len(found.latents) - 2)  # injection adds the rows of the source

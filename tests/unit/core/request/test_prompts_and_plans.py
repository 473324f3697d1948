"""Requests, prompts and names: what is wanted, settled without a model."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.request.options import InversionOptions, LearningOptions
from s2edit_core.request.plan import EditPlan, plan_edit
from s2edit_core.request.presets import PRESETS
from s2edit_core.request.prompts import changed_words, resolve_prompts, with_placeholder
from s2edit_core.request.spec import EditRequest, LearningRequest

SUBJECTS = ("woman", "man")
REQUEST = EditRequest(prompt="a photo of a woman with red hair", source_prompt="a photo of a woman with brown hair")


def test_the_placeholder_stands_before_the_subject_in_both_prompts() -> None:
    resolved = resolve_prompts(REQUEST, SUBJECTS)
    assert resolved.source == "a photo of a [I] woman with brown hair"
    assert resolved.target == "a photo of a [I] woman with red hair"
    assert resolved.subject == "woman"


def test_a_subject_is_a_whole_word() -> None:
    assert with_placeholder("a woman and a man", "man", field="prompt") == "a woman and a [I] man"
    with pytest.raises(PromptInvalid) as refused:
        with_placeholder("a woman", "man", field="prompt")
    assert refused.value.reason == "subject_not_in_prompt"


def test_case_does_not_matter_and_a_placeholder_stays_where_it_is() -> None:
    assert with_placeholder("A Woman", "woman", field="prompt") == "A [I] Woman"
    assert with_placeholder("the [I] woman", "woman", field="prompt") == "the [I] woman"


@pytest.mark.parametrize(
    ("prompt", "subject", "expected"),
    [
        ("woman", "woman", "[I] woman"),
        ("a woman, smiling", "woman", "a [I] woman, smiling"),
        ("a woman's hat", "woman", "a [I] woman's hat"),
        ("two women and a woman and a woman", "woman", "two women and a [I] woman and a woman"),
        ("a c++ (fan)", "c++", "a [I] c++ (fan)"),
        ("eine Ärztin mit Brille", "ärztin", "eine [I] Ärztin mit Brille"),
    ],
)
def test_the_first_whole_word_gets_the_placeholder(prompt: str, subject: str, expected: str) -> None:
    assert with_placeholder(prompt, subject, field="prompt") == expected


def test_without_a_source_prompt_the_subject_alone_describes_the_photo() -> None:
    assert resolve_prompts(EditRequest(prompt="a man with a hat"), SUBJECTS).source == "a photo of a [I] man"


def test_the_first_subject_in_the_prompt_is_taken_and_none_is_an_error() -> None:
    assert resolve_prompts(EditRequest(prompt="a man beside a woman"), SUBJECTS).subject == "man"
    with pytest.raises(PromptInvalid) as refused:
        resolve_prompts(EditRequest(prompt="a lighthouse"), SUBJECTS)
    assert (refused.value.reason, refused.value.field) == ("subject_unknown", "prompt")


def test_the_error_names_the_prompt_without_a_subject_and_what_would_do() -> None:
    request = EditRequest(prompt="a photo of a woman with red hair", source_prompt="long blond hair")
    with pytest.raises(PromptInvalid, match=r"no word of the source_prompt names the subject .*“a photo of a (wo)?man”"):
        resolve_prompts(request, SUBJECTS)
    with pytest.raises(PromptInvalid, match="no word of the prompt names the subject"):
        resolve_prompts(EditRequest(prompt="red hair"), SUBJECTS)


def test_a_subject_that_only_the_source_has_is_an_error_of_the_prompt() -> None:
    request = EditRequest(prompt="a photo with red hair", source_prompt="a photo of a woman")
    with pytest.raises(PromptInvalid) as refused:
        resolve_prompts(request, SUBJECTS)
    assert refused.value.field == "prompt"


@pytest.mark.parametrize("prompt", ["фото женщины с рыжими волосами", "一个女人的照片", "صورة امرأة", "ein Foto einer Frau"])
@pytest.mark.parametrize("subject", [None, "woman"])
def test_the_error_for_a_prompt_in_another_language_says_that_prompts_are_in_english(prompt: str, subject: str | None) -> None:
    with pytest.raises(PromptInvalid, match="prompts are in English"):
        resolve_prompts(EditRequest(prompt=prompt, subject=subject), SUBJECTS)


def test_a_subject_of_ones_own_need_not_be_among_the_models() -> None:
    resolved = resolve_prompts(EditRequest(prompt="a lighthouse at night", subject="lighthouse"), SUBJECTS)
    assert (resolved.source, resolved.target) == ("a photo of a [I] lighthouse", "a [I] lighthouse at night")


def test_prompts_that_hold_the_placeholder_are_taken_as_they_are() -> None:
    request = EditRequest(prompt="[I] woman with a hat", source_prompt="a picture of [I] the woman")
    resolved = resolve_prompts(request, SUBJECTS)
    assert (resolved.source, resolved.target) == ("a picture of [I] the woman", "[I] woman with a hat")


def test_changed_words_are_what_the_edit_is_about() -> None:
    assert changed_words("a woman with brown hair", "a smiling woman with Red hair, red hat") == ("smiling", "red", "hat")


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"prompt": "x", "stepps": 3}, "stepps"),
        ({"prompt": "x", "steps": 1}, "options.steps"),
        ({"prompt": "x", "guidance_scale": 0.5}, "options.guidance_scale"),
        ({"prompt": "x", "guidance_scale": float("nan")}, "options.guidance_scale"),
        ({"prompt": "x", "preset": "best"}, "preset"),
        ({"prompt": "x", "seed": -1}, "seed"),
        ({"prompt": "x", "seed": 2**63}, "seed"),
        ({"prompt": "x", "seed": 1.5}, "seed"),
        ({"prompt": "x", "steps": 1000}, "options.steps"),
        ({"prompt": "x", "steps": 20.5}, "options.steps"),
        ({"prompt": "x", "steps": "many"}, "options.steps"),
        ({"prompt": "x", "steps": True}, "options.steps"),
        ({"prompt": "x", "guidance_scale": "7.5"}, "options.guidance_scale"),
        ({"prompt": "x", "guidance_scale": 30.5}, "options.guidance_scale"),
    ],
)
def test_unknown_options_and_values_out_of_range_are_refused(values: dict[str, Any], field: str) -> None:
    with pytest.raises(OptionInvalid) as refused:
        EditRequest.from_dict(values)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "values", [{"steps": 2}, {"steps": 999}, {"guidance_scale": 1}, {"guidance_scale": 30.0}, {"seed": 2**63 - 1}]
)
def test_the_ends_of_the_ranges_are_within_them(values: dict[str, Any]) -> None:
    assert EditRequest(prompt="x", **values)


def test_an_unknown_option_is_named_with_those_that_are_known() -> None:
    with pytest.raises(OptionInvalid, match=r"unknown option 'stepps': the options are .*prompt, .*steps") as refused:
        EditRequest.from_dict({"prompt": "x", "stepps": 3})
    assert refused.value.reason == "option_unknown"


@pytest.mark.parametrize("subject", ["", " ", "\u200b", "a woman in a hat", "[I] woman", "[I]"])
def test_a_subject_is_one_word_or_a_few(subject: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        EditRequest(prompt="a young woman in a hat", subject=subject)
    assert (refused.value.reason, refused.value.field) == ("subject_invalid", "subject")


@pytest.mark.parametrize(("subject", "found"), [("x" * 2000, "2,000 characters"), ("word " * 5, "5 words")])
def test_a_subject_that_is_too_long_is_told_how_long_it_is(subject: str, found: str) -> None:
    makers: tuple[Callable[..., object], ...] = (EditRequest, partial(LearningRequest, kind="attribute"))
    for made in makers:
        with pytest.raises(PromptInvalid, match=rf"the subject has {found}, but must be one to 4 words") as refused:
            made(prompt="a woman", subject=subject)
        assert (refused.value.reason, refused.value.field) == ("subject_invalid", "subject")


@pytest.mark.parametrize("name", ["prompt", "source_prompt"])
def test_empty_prompts_are_refused(name: str) -> None:
    with pytest.raises(PromptInvalid) as refused:
        EditRequest(**{"prompt": "a woman", name: " \u200b "})
    assert (refused.value.reason, refused.value.field) == ("prompt_empty", name)


def test_learning_and_inversion_options_are_checked() -> None:
    with pytest.raises(OptionInvalid):
        LearningOptions(mode="full")  # type: ignore[arg-type]
    with pytest.raises(OptionInvalid):
        InversionOptions(tier="magic")  # type: ignore[arg-type]
    for values in (
        {"rank": 0},
        {"batch": 0},
        {"kv_rate": -1e-3},
        {"orthogonality": float("inf")},
        {"token_steps": 2.5},
        {"semantic_power": 1},
    ):
        with pytest.raises(OptionInvalid) as refused:
            LearningOptions(**values)  # type: ignore[arg-type]
        assert refused.value.field == f"options.{next(iter(values))}"
    with pytest.raises(OptionInvalid):
        InversionOptions(inner_steps=0)
    assert LearningOptions(mode="token").steps == LearningOptions().token_steps


def test_options_that_came_later_leave_former_ids_as_they_were() -> None:
    former = LearningOptions().to_dict()
    assert not {"weighting", "semantic_power"} & set(former)
    later = LearningOptions(weighting="velocity", semantic_power=2).to_dict()
    assert (later["weighting"], later["semantic_power"]) == ("velocity", 2)
    assert set(later) - set(former) == {"weighting", "semantic_power"}


def test_the_paper_preset_is_the_paper_and_nothing_of_this_project() -> None:
    paper = PRESETS["paper"]
    learning, inversion = paper.learning, paper.inversion
    assert (learning.semantic_power, learning.start_steps, learning.token_steps) == (2, 0, 0)
    assert (learning.mode, learning.masked, learning.weighting) == ("kv", True, "prediction")
    assert learning.steps == learning.joint_steps == 100
    assert (inversion.tier, inversion.warm_start, inversion.inner_steps, inversion.rate, inversion.tolerance) == (
        *("null_text", False, 10, 1e-2),
        1e-5,
    )
    assert not paper.injection.acts
    assert paper.steps == 50
    assert PRESETS["balanced"].learning.semantic_power == PRESETS["instant"].learning.semantic_power == 8


def test_a_request_survives_its_own_json_form() -> None:
    assert EditRequest.from_dict(REQUEST.to_dict()) == REQUEST


def test_own_steps_and_guidance_replace_the_presets() -> None:
    resolved = replace(REQUEST, preset="instant", steps=7, guidance_scale=2.0).resolve()
    assert (resolved.steps, resolved.guidance_scale) == (7, 2.0)
    assert resolved.learning == PRESETS["instant"].learning


@pytest.mark.parametrize("name", ["prompt", "source_prompt"])
def test_placeholders_that_nobody_gives_are_refused(name: str) -> None:
    with pytest.raises(PromptInvalid, match=r"\[A\]") as refused:
        resolve_prompts(replace(REQUEST, **{name: "a photo of a woman with [A] makeup"}), SUBJECTS)
    assert (refused.value.reason, refused.value.field) == ("placeholder_unknown", name)
    ordinary = replace(REQUEST, prompt="a photo of a woman [sic] with hair [2]")
    assert resolve_prompts(ordinary, SUBJECTS).target == "a photo of a [I] woman [sic] with hair [2]"


def plan_of(request: EditRequest = REQUEST, **changes: Any) -> EditPlan:
    things: dict[str, Any] = {
        "image": b"photo",
        "mask": b"mask",
        "model": "m",
        "source_prompt": "a photo of a [I] woman",
        "subject": "woman",
        "crop": (0, 0, 8, 8),
    }
    return plan_edit(request, **(things | changes))


def test_the_target_prompt_enters_no_name() -> None:
    assert plan_of(replace(REQUEST, prompt="a woman with a hat")) == plan_of()


@pytest.mark.parametrize(
    "change",
    [
        {"image": b"other"},
        {"mask": b"other"},
        {"mask_mode": "inverted_alpha"},
        {"model": "n"},
        {"source_prompt": "a [I] woman"},
        {"subject": "man"},
    ],
)
def test_whatever_learning_depends_on_changes_both_names(change: dict[str, Any]) -> None:
    assert plan_of(**change).concept_id != plan_of().concept_id
    assert plan_of(**change).inversion_id != plan_of().inversion_id


def test_what_the_models_card_says_counts_where_the_request_is_open() -> None:
    assert plan_of(guidance_scale=3.0).inversion_id != plan_of(guidance_scale=7.5).inversion_id
    assert plan_of(guidance_scale=3.0).concept_id == plan_of(guidance_scale=7.5).concept_id
    settled = replace(REQUEST, guidance_scale=2.0)
    assert plan_of(settled, guidance_scale=3.0) == plan_of(settled, guidance_scale=7.5)
    assert plan_of(replace(REQUEST, guidance_scale=3.0), guidance_scale=7.5) == plan_of(guidance_scale=3.0)
    assert plan_of(bank=("red",)).concept_id != plan_of(bank=("red", "hat")).concept_id


def test_what_only_the_inversion_depends_on_leaves_the_concept() -> None:
    for other in (plan_of(crop=(0, 0, 4, 8)), plan_of(replace(REQUEST, steps=9)), plan_of(replace(REQUEST, guidance_scale=2.0))):
        assert other.concept_id == plan_of().concept_id
        assert other.inversion_id != plan_of().inversion_id


@pytest.mark.parametrize("change", [{"seed": 1}, {"preset": "instant"}])
def test_seed_and_learning_options_change_both_names(change: dict[str, Any]) -> None:
    other = plan_of(replace(REQUEST, **change))
    assert other.concept_id != plan_of().concept_id
    assert other.inversion_id != plan_of().inversion_id


def test_presets_that_learn_differently_share_neither_concept_nor_inversion() -> None:
    plans = [plan_of(replace(REQUEST, preset=name)) for name in ("paper", "balanced", "instant")]
    assert len({plan.concept_id for plan in plans}) == len({plan.inversion_id for plan in plans}) == 3


def test_a_name_says_its_kind_and_is_safe_in_keys() -> None:
    assert re.fullmatch(r"c_[0-9a-f]{32}", plan_of().concept_id)
    assert re.fullmatch(r"i_[0-9a-f]{32}", plan_of().inversion_id)
    assert plan_of() == plan_of()


def test_a_named_identity_is_the_concept() -> None:
    named = replace(REQUEST, identity="c_" + "0" * 32)
    assert plan_of(named).concept_id == named.identity
    assert plan_of(named, mask=b"other").inversion_id != plan_of(named).inversion_id


def test_a_photo_that_was_scaled_is_another_one() -> None:
    plain, scaled = plan_of(), plan_of(scaled_to=(320, 240))
    assert plain.concept_id != scaled.concept_id
    assert plain.inversion_id != scaled.inversion_id
    assert plan_of(scaled_to=None) == plain
    assert plan_of(replace(REQUEST, max_pixels=76_800)) == plain, "the limit alone changes nothing"


def test_the_limit_of_pixels_is_kept_where_it_is_set_alone() -> None:
    assert "max_pixels" not in REQUEST.to_dict()
    limited = replace(REQUEST, max_pixels=1_000_000)
    assert EditRequest.from_dict(limited.to_dict()) == limited
    for wrong in (65_535, 50_000_001, 1e6, True):
        with pytest.raises(OptionInvalid, match="max_pixels must be a whole number between 65536 and 50000000, not "):
            replace(REQUEST, max_pixels=wrong)


@pytest.mark.parametrize("strength", [0, 0.0, -1, 1.5, float("nan"), True])
def test_every_refused_strength_is_told_the_same_range(strength: float) -> None:
    with pytest.raises(OptionInvalid, match="strength must be above 0 and at most 1, not ") as refused:
        EditRequest(prompt="a woman", strength=strength)
    assert refused.value.field == "options.strength"


@given(st.integers(2, 999))
def test_the_strength_that_the_message_names_runs_one_step(steps: int) -> None:
    with pytest.raises(OptionInvalid, match="runs none of") as refused:
        EditRequest(prompt="a woman", steps=steps, strength=0.9 / steps)
    named = float(str(refused.value).partition("choose ")[2].partition(" ")[0])
    assert round(EditRequest(prompt="a woman", steps=steps, strength=named).strength * steps) == 1
    EditRequest(prompt="a woman", steps=steps, strength=1 / steps)


@pytest.mark.parametrize(
    ("source", "target", "subject", "field"),
    [
        ("a photo of a [I] woman", "a photo of a cat", "cat", "source_prompt"),
        ("a photo of a [I] woman", "a photo of a smiling woman", "smiling woman", "source_prompt"),
    ],
)
def test_in_a_source_prompt_a_placeholder_does_not_stand_for_the_subject(
    source: str, target: str, subject: str, field: str
) -> None:
    with pytest.raises(PromptInvalid) as caught:
        resolve_prompts(EditRequest(prompt=target, source_prompt=source, subject=subject), ("woman", "cat"))
    assert (caught.value.reason, caught.value.field) == ("subject_not_in_prompt", field)


@pytest.mark.parametrize("source", ["a photo of a [I] woman", "a photo of a woman"])
def test_a_subject_may_become_another_one_behind_the_placeholder(source: str) -> None:
    """Identities and parents give the subject as requests do."""
    request = EditRequest(prompt="a photo of a [I] man", source_prompt=source, subject="woman")
    found = resolve_prompts(request, ("woman", "man"))
    assert (found.source, found.target, found.subject) == ("a photo of a [I] woman", "a photo of a [I] man", "woman")

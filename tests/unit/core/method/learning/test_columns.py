"""Attributes that are columns of their own: how they are learned, and what a prompt makes of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import own_columns, prompt_gates, prompt_keys_values, replaced_words, tokenize
from s2edit_core.errors import ArtifactMismatch, MaskInvalid, OptionInvalid, PromptInvalid
from s2edit_core.method.learning.columns import even_parts, learn_columns
from s2edit_core.method.learning.learning import Checkpoint
from s2edit_core.method.learning.learning_state import LearningState
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.method.learning.views import views
from s2edit_core.request.options import ColumnOptions
from s2edit_core.request.spec import ATTRIBUTE, PLACEHOLDER, Progress
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Rows, drive
from tests.tiny import TOKENS

OPTIONS = ColumnOptions(person_steps=2, column_steps=2, batch=2, padding=2, views=2, guided=1.0)
LONG = "a woman with [A] lipstick" + " and a hat" * 8


def lesson(prompt: str = "a woman with [A] lipstick", placeholder: str = ATTRIBUTE) -> Lesson:
    first, second = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    mask = torch.zeros(32, 32)
    mask[20:28, 8:24] = 1.0
    view = Lesson(second, mask.flip(-1), prompt, "lipstick", placeholder)
    return Lesson(first, mask, prompt, "lipstick", placeholder, others=(view,))


def columns(backbone: Backbone, padding: int = 2, seed: int = 2, name: str = ATTRIBUTE, subject: str = "lipstick") -> Concept:
    """Changes of a word and of so many columns of padding."""
    draw = torch.Generator().manual_seed(seed)
    shapes = [(1 + padding, layer.to_k.out_features) for layer in backbone.layers]
    keys, values = ([torch.randn(shape, generator=draw, dtype=torch.float64) for shape in shapes] for _ in range(2))
    return Concept(
        torch.zeros(16, dtype=torch.float64),
        fingerprint=backbone.fingerprint,
        placeholder=name,
        subject=subject,
        key_columns=tuple(keys),
        value_columns=tuple(values),
    )


def added(a: KeysValues, b: KeysValues) -> list[Tensor]:
    return [y - x for x, y in zip(a.tensors(), b.tensors(), strict=True)]


def changed(differences: Sequence[Tensor]) -> set[int]:
    return {i for each in differences for i in range(TOKENS) if each[i].any()}


def test_an_attribute_without_changes_is_its_word(backbone: Backbone) -> None:
    made = columns(backbone)
    none = replace(made, key_columns=tuple(0 * each for each in made.key_columns), value_columns=made.value_columns)
    none = replace(none, value_columns=tuple(0 * each for each in made.value_columns))
    with_word = prompt_keys_values(backbone, "a woman with lipstick", {})
    for ours, theirs in zip(
        prompt_keys_values(backbone, "a woman with [A]  LIPSTICK", {ATTRIBUTE: none}).tensors(), with_word.tensors(), strict=True
    ):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_its_changes_are_added_to_its_word_and_the_last_padding_whatever_else_the_prompt_says(backbone: Backbone) -> None:
    made = columns(backbone)
    for plain, prompt, at in (
        ("a woman with lipstick", "a woman with [A] lipstick", 4),
        ("a smiling man with lipstick and a hat", "a smiling man with [A] lipstick and a hat", 5),
    ):
        got = added(prompt_keys_values(backbone, plain, {}), prompt_keys_values(backbone, prompt, {ATTRIBUTE: made}))
        assert changed(got) == {at, TOKENS - 2, TOKENS - 1}
        for difference, change in zip(got, (*made.key_columns, *made.value_columns), strict=True):
            torch.testing.assert_close(difference[[at, TOKENS - 2, TOKENS - 1]], change, rtol=0, atol=1e-12)


def test_a_placeholder_stands_for_its_own_words_only(backbone: Backbone) -> None:
    """ "[A] lipsticks" and "[A] red lipstick" say something else, so all of their words stay."""
    for prompt, tokens in (("[A] lipstick", 1), ("[A] red lipstick", 3), ("[A]", 1)):
        found = tokenize(backbone, f"a woman with {prompt}", {ATTRIBUTE: "lipstick"})
        assert found.positions == {ATTRIBUTE: (4,)}
        assert TOKENS - found.padding - 2 == 3 + tokens


def test_each_further_attribute_has_the_padding_before(backbone: Backbone) -> None:
    concepts = {ATTRIBUTE: columns(backbone), "[B]": columns(backbone, 1, 3, "[B]", "hat")}
    plain = prompt_keys_values(backbone, "a woman with lipstick and hat", {})
    got = added(plain, prompt_keys_values(backbone, "a woman with [A] lipstick and [B] hat", concepts))
    assert changed(got) == {4, 6, TOKENS - 3, TOKENS - 2, TOKENS - 1}
    torch.testing.assert_close(got[0][TOKENS - 3], concepts["[B]"].key_columns[0][1], rtol=0, atol=1e-12)
    only_b = added(plain, prompt_keys_values(backbone, "a woman with lipstick and [B] hat", concepts))
    assert changed(only_b) == {6, TOKENS - 1}  # what the prompt does not hold takes no padding


def test_a_prompt_with_little_padding_has_the_changes_of_the_last_columns(backbone: Backbone) -> None:
    made = columns(backbone, 12)
    tokens = tokenize(backbone, LONG, replaced_words({ATTRIBUTE: made}))
    assert 0 < tokens.padding < 12
    own = own_columns(tokens, {ATTRIBUTE: made})[ATTRIBUTE]
    assert own == (4, *range(TOKENS - tokens.padding, TOKENS))
    got = added(prompt_keys_values(backbone, LONG.replace("[A] ", ""), {}), prompt_keys_values(backbone, LONG, {ATTRIBUTE: made}))
    assert changed(got) == set(own)
    torch.testing.assert_close(got[0][-1], made.key_columns[0][-1], rtol=0, atol=1e-12)


def test_gates_restrict_the_word_and_the_padding(backbone: Backbone) -> None:
    made, mask = columns(backbone), lesson().mask
    gates = prompt_gates(backbone, "a woman with [A] lipstick", {ATTRIBUTE: mask}, (8, 8), concepts={ATTRIBUTE: made})
    assert gates is not None
    assert set(gates.positions) == {4, TOKENS - 2, TOKENS - 1}
    assert torch.equal(gates.factors[0], gates.factors[1])
    assert gates.factors.min() == 0


@pytest.mark.parametrize(
    "change",
    [
        {"placeholder": PLACEHOLDER},
        {"value_columns": ()},
        {"value_columns": (torch.zeros(5, 16),)},
        {"key_columns": (torch.zeros(16),)},
    ],
)
def test_columns_that_do_not_match_are_refused(backbone: Backbone, change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="columns"):
        replace(columns(backbone), **change)  # type: ignore[arg-type]


def test_a_file_brings_columns_back(backbone: Backbone) -> None:
    made = columns(backbone)
    back = Concept.from_bytes(made.to_bytes(), fingerprint=backbone.fingerprint)
    assert back.to_bytes() == made.to_bytes()
    assert (back.padding, back.replaced) == (2, "lipstick")
    short = replace(made, key_columns=made.key_columns[:1], value_columns=made.value_columns[:1])
    with pytest.raises(ValueError, match="layers"):
        prompt_keys_values(backbone, "a woman with [A] lipstick", {ATTRIBUTE: short})
    broken = replace(made, value_columns=made.value_columns)
    object.__setattr__(broken, "value_columns", made.value_columns[:1])
    with pytest.raises(ArtifactMismatch):
        Concept.from_bytes(broken.to_bytes(), fingerprint=backbone.fingerprint)


def test_a_lora_cannot_change_columns(backbone: Backbone) -> None:
    with pytest.raises(OptionInvalid, match="lora_kv"):
        columns(backbone).lora(backbone.layers)


# --- learning ------------------------------------------------------------------------------------------------------


def recorded(backbone: Backbone, options: ColumnOptions, one: Lesson | None = None) -> tuple[Concept, list[tuple[Rows, Answers]]]:
    seen: list[tuple[Rows, Answers]] = []

    def evaluate(rows: Rows) -> Answers:
        seen.append((rows, backbone.evaluate(rows)))
        return seen[-1][1]

    return drive(learn_columns(backbone, one or lesson(), options), evaluate), seen


def test_a_learned_attribute_changes_its_word_and_padding_and_says_how(backbone: Backbone) -> None:
    made, seen = recorded(backbone, OPTIONS)
    assert made.padding == 2
    assert all(each.abs().max() > 0 for each in (*made.key_columns, *made.value_columns))
    assert made.facts["steps"] == 4
    assert made.facts["phases"]["person"]["steps"] == made.facts["phases"]["columns"]["steps"] == 2
    assert len(seen) == 8  # two passes a step


def test_the_loss_is_that_of_the_guided_prediction(backbone: Backbone) -> None:
    """ε_∅ + w·(ε_c − ε_∅) against the noise, weighted as L_ldm without guidance; the card's scale is 3."""
    plain = recorded(backbone, replace(OPTIONS, guided=0.0))[1]
    guided = recorded(backbone, OPTIONS)[1]
    free, now = guided[0][1], guided[1]
    for row, answer, empty, unguided in zip(*now, free, plain[1][0], strict=True):
        noise, weight = unguided.target, unguided.weight
        assert noise is not None
        error = empty.eps + 3.0 * (answer.eps - empty.eps) - noise
        assert answer.loss == pytest.approx(weight * float(error.square().mean()), rel=1e-9)
        assert row.latent.equal(unguided.latent)


def test_the_person_is_fitted_to_the_whole_picture_and_the_columns_to_the_region(backbone: Backbone) -> None:
    _, seen = recorded(backbone, OPTIONS)
    person, attribute = seen[1][0], seen[5][0]
    assert all(row.gates is None and row.loss_weights is None for row in person)
    for row in attribute:
        assert row.gates is not None
        assert set(row.gates.positions) == {4, TOKENS - 2, TOKENS - 1}
        assert row.loss_weights is not None
        assert 0 == row.loss_weights.min() < row.loss_weights.max()
    mirrored = attribute[1].loss_weights
    assert mirrored is not None
    assert mirrored.equal(attribute[0].loss_weights.flip(-1))


def test_the_first_step_of_the_columns_is_against_their_gradients_in_units_of_each_layer(backbone: Backbone) -> None:
    options = replace(OPTIONS, person_steps=0, column_steps=1)
    made, seen = recorded(backbone, options)
    plain = prompt_keys_values(backbone, "a woman with lipstick", {})
    for i in range(len(backbone.layers)):
        for base, change, at in (
            (plain.keys[i], made.key_columns[i], [answer.key_gradients[i] for answer in seen[1][1]]),
            (plain.values[i], made.value_columns[i], [answer.value_gradients[i] for answer in seen[1][1]]),
        ):
            gradient = torch.stack(at).sum(dim=0)[[4, TOKENS - 2, TOKENS - 1]] * base.std()
            expected = -options.column_rate * base.std() * gradient / (gradient.abs() + 1e-8)
            torch.testing.assert_close(change, expected, rtol=1e-6, atol=1e-9)


def test_the_loss_falls(backbone: Backbone) -> None:
    losses: list[float] = []
    options = replace(OPTIONS, person_steps=0, column_steps=30, batch=4)

    def note(progress: Progress) -> None:
        assert progress.loss is not None
        losses.append(progress.loss)

    drive(learn_columns(backbone, lesson(), options), backbone.evaluate, note)
    first, last = (sum(some) / 10 for some in (losses[:10], losses[-10:]))
    assert last < first


@pytest.mark.parametrize("stop", [1, 2, 3])
def test_a_resumed_learning_ends_with_the_same_bytes(backbone: Backbone, stop: int) -> None:
    whole, _ = recorded(backbone, OPTIONS)
    kept: list[LearningState] = []

    def keep(progress: Progress) -> None:
        if isinstance(progress, Checkpoint) and progress.state is not None:
            kept.append(progress.state)

    drive(learn_columns(backbone, lesson(), OPTIONS, every=1), backbone.evaluate, keep)
    state = LearningState.from_bytes(kept[stop - 1].to_bytes(), fingerprint=backbone.fingerprint)
    resumed = drive(learn_columns(backbone, lesson(), OPTIONS, state=state), backbone.evaluate)
    assert resumed.to_bytes() == whole.to_bytes()
    with pytest.raises(ArtifactMismatch):
        drive(learn_columns(backbone, lesson(), replace(OPTIONS, guided=0.5), state=state), backbone.evaluate)


def test_a_prompt_without_padding_is_learned_by_its_word_alone(backbone: Backbone) -> None:
    made, _ = recorded(backbone, replace(OPTIONS, padding=64), lesson(LONG))
    assert made.padding == tokenize(backbone, LONG, {ATTRIBUTE: "lipstick"}).padding


def test_what_cannot_be_learned_as_columns_is_refused(backbone: Backbone) -> None:
    with pytest.raises(OptionInvalid, match="another mode"):
        recorded(backbone, OPTIONS, lesson("a photo of a [I] lipstick", PLACEHOLDER))
    with pytest.raises(PromptInvalid):
        recorded(backbone, OPTIONS, lesson("a woman with lipstick"))
    with pytest.raises(MaskInvalid):
        recorded(backbone, OPTIONS, replace(lesson(), mask=torch.zeros(32, 32)))


@pytest.mark.parametrize(
    "wrong", [{"person_steps": -1}, {"batch": 0}, {"views": 0}, {"column_rate": -0.1}, {"guided": 1.5}, {"padding": 65}]
)
def test_options_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(OptionInvalid):
        ColumnOptions(**wrong)  # type: ignore[arg-type]


# --- the region and its views --------------------------------------------------------------------------------------


def test_the_parts_of_a_region_count_alike() -> None:
    """A blush covers ten times as much of a face as lips do."""
    mask = torch.zeros(32, 32)
    mask[2:12, 2:30] = 1.0
    mask[20:22, 10:20] = 1.0
    mask[30, 30] = 1.0  # a speck
    weights = even_parts(mask)
    assert float(weights[2:12, 2:30].sum()) == pytest.approx(1)
    assert float(weights[20:22, 10:20].sum()) == pytest.approx(1)
    assert weights[30, 30] == 0
    assert even_parts(torch.full((4, 4), 0.3)).equal(torch.full((4, 4), 0.3))
    speckled = torch.zeros(1024, 1024)
    speckled[::2, ::2] = 1.0  # a quarter of a million parts, all of them specks
    assert even_parts(speckled).equal(speckled)


def test_a_view_moves_picture_and_mask_alike() -> None:
    mask = torch.zeros(32, 32)
    mask[12:20, 6:14] = 1.0
    picture = mask.expand(3, 32, 32)
    seen = views(picture, mask, 6, 7)
    assert seen[0][0].equal(picture)
    assert seen[1][0].equal(picture.flip(-1))
    for shown, where in seen:
        assert shown[0].equal(where)
        assert mask.sum() / 2 < where.sum() < 2 * mask.sum()
    assert len({float(where.sum()) for _, where in seen[2:]}) == 4
    again = views(picture, mask, 6, 7)
    assert all(a[0].equal(b[0]) for a, b in zip(seen, again, strict=True))


def test_no_view_loses_a_region_at_the_edge() -> None:
    mask = torch.zeros(32, 32)
    mask[:1, :1] = 1.0
    for _, where in views(mask.expand(3, 32, 32), mask, 40, 3):
        assert where.sum() >= mask.sum() / 2

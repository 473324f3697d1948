"""Rows of different users and stages share a pass and get the numbers they would get alone."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from s2edit_core.concepts.concept import Concept, Full, LowRank
from s2edit_core.concepts.conditioning import keys_values, prompt_gates, text_states, tokenize, word_embedding
from s2edit_core.errors import NumbersNotFinite
from s2edit_core.request.spec import PLACEHOLDER, Progress
from s2edit_core.unet import backbone as backbone_module
from s2edit_core.unet.attention import KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Algorithm, Answer, Answers, Row, Rows, drive, drive_all, evaluating

SQUARE, WIDE = (8, 8), (6, 10)
PROMPTS = ("a photo of a [I] woman", "a smiling [I] man with a red hat")


@dataclass
class User:
    """One user's token and changes, as leaves, and the prompt made of them."""

    token: Tensor
    changes: list[Tensor]
    prompt: KeysValues


def user(backbone: Backbone, seed: int, kind: str) -> User:
    draw = torch.Generator().manual_seed(seed)

    def leaf(*shape: int) -> Tensor:
        return (0.3 * torch.randn(*shape, generator=draw, dtype=torch.float64)).requires_grad_()

    token = (word_embedding(backbone, "woman") + leaf(16)).detach().requires_grad_()
    deltas, changes = [], []
    for layer in backbone.layers:
        for projection in (layer.to_k, layer.to_v):
            out, into = projection.weight.shape
            parts = [leaf(out, into)] if kind == "kv" else [leaf(2, into), leaf(out, 2)]
            deltas.append(Full(*parts) if kind == "kv" else LowRank(*parts))
            changes += parts
    concept = Concept(token, tuple(deltas[0::2]), tuple(deltas[1::2]))
    tokens = tokenize(backbone, PROMPTS[seed % 2], (PLACEHOLDER,))
    states = text_states(backbone, tokens, {PLACEHOLDER: token})
    return User(token, changes, keys_values(backbone, states, (concept,)))


def mixed_rows(backbone: Backbone, users: list[User]) -> Rows:
    """Learning rows with gates, null-text rows (a target, no gate), sampling rows with and without gates; two latent shapes."""
    draw = torch.Generator().manual_seed(11)
    mask = torch.zeros(32, 32)
    mask[5:20, 7:25] = 1.0
    rows = []
    for i in range(8):
        size = WIDE if i in (2, 5) else SQUARE
        who = users[i % len(users)].prompt
        gates = prompt_gates(backbone, PROMPTS[i % len(users) % 2], {PLACEHOLDER: mask}, size) if i % 2 else None
        latent = torch.randn(4, *size, generator=draw, dtype=torch.float64)
        target = torch.randn(4, *size, generator=draw, dtype=torch.float64) if i in (0, 1, 2, 6) else None
        where = torch.rand(size, generator=draw, dtype=torch.float64) if i in (1, 6) else None
        rows.append(Row(latent, 1 + 120 * i, who, gates, target, weight=0.25 + i, loss_weights=where))
    return tuple(rows)


def gradients(users: list[User], rows: Rows, answers: Answers) -> list[list[Tensor]]:
    """Per row with a target: the gradients of its user's token and changes."""
    carried = []
    for row, answer in zip(rows, answers, strict=True):
        if row.target is None:
            continue
        owner = next(each for each in users if each.prompt is row.prompt)
        found = torch.autograd.grad(row.prompt.tensors(), [owner.token, *owner.changes], answer.gradients(), retain_graph=True)
        carried.append(list(found))
    return carried


def close(a: Tensor, b: Tensor, bound: float = 1e-12) -> bool:
    return bool((a - b).abs().max() <= bound * b.abs().max())


@pytest.fixture
def users(backbone: Backbone) -> list[User]:
    return [user(backbone, 0, "lora_kv"), user(backbone, 1, "kv"), user(backbone, 2, "lora_kv")]


def test_rows_together_get_the_numbers_of_rows_alone(backbone: Backbone, users: list[User]) -> None:
    rows = mixed_rows(backbone, users)
    together = backbone.evaluate(rows)
    alone = tuple(backbone.evaluate((row,))[0] for row in rows)
    for row, a, b in zip(rows, together, alone, strict=True):
        assert (a.eps - b.eps).abs().max() <= 1e-12
        assert (a.loss is None) == (row.target is None)
        if row.target is None:
            assert a.gradients() == ()
            continue
        assert a.loss == pytest.approx(b.loss, rel=1e-12)
        assert len(a.key_gradients) == len(a.value_gradients) == len(backbone.layers)
        for mixed, single, tensor in zip(a.gradients(), b.gradients(), row.prompt.tensors(), strict=True):
            assert mixed.shape == tensor.shape
            assert close(mixed, single)


def test_what_is_carried_to_token_and_changes_is_the_same_too(backbone: Backbone, users: list[User]) -> None:
    rows = mixed_rows(backbone, users)
    together = gradients(users, rows, backbone.evaluate(rows))
    alone = gradients(users, rows, tuple(backbone.evaluate((row,))[0] for row in rows))
    assert len(together) == 4
    for mixed, single in zip(together, alone, strict=True):
        assert mixed[0].abs().max() > 0
        assert all(close(a, b) for a, b in zip(mixed, single, strict=True))


@pytest.mark.parametrize("part", [False, True], ids=["everywhere", "in a part"])
def test_gradients_at_keys_and_values_are_those_of_autograd_through_everything(
    backbone: Backbone, users: list[User], part: bool
) -> None:
    """One graph from the token and ΔW to the loss, through diffusers' own attention with W + ΔW as its weights."""
    counts = torch.zeros(SQUARE, dtype=torch.float64)
    counts[2:5, 1:7] = torch.tensor([1.0, 0.5, 1.0, 0.25, 0.0, 1.0], dtype=torch.float64)
    row = replace(mixed_rows(backbone, users)[0], gates=None, loss_weights=counts if part else None)
    who, unet = users[0], backbone.unet
    assert row.prompt is who.prompt
    assert row.target is not None
    down_up = iter(zip(who.changes[0::2], who.changes[1::2], strict=True))
    weights = {}
    for layer in backbone.layers:
        for name, projection in (("to_k", layer.to_k), ("to_v", layer.to_v)):
            down, up = next(down_up)
            weights[f"{layer.name}.{name}.weight"] = projection.weight + up @ down
    states = text_states(backbone, tokenize(backbone, PROMPTS[0], (PLACEHOLDER,)), {PLACEHOLDER: who.token})
    eps = torch.func.functional_call(unet, weights, (row.latent[None], row.timestep, states[None])).sample[0]
    squares = (eps - row.target).square()
    loss = row.weight * ((squares * counts).sum() / (4 * counts.sum()) if part else squares.mean())
    expected = torch.autograd.grad(loss, [who.token, *who.changes])

    (answer,) = backbone.evaluate((row,))
    (carried,) = gradients(users, (row,), (answer,))
    assert answer.loss == pytest.approx(float(loss.detach()), rel=1e-12)
    assert all(close(a, b) for a, b in zip(carried, expected, strict=True))


def test_places_that_count_need_a_target_and_its_size(backbone: Backbone, users: list[User]) -> None:
    row = mixed_rows(backbone, users)[1]
    for wrong in ({"target": None}, {"loss_weights": torch.ones(WIDE)}, {"loss_weights": torch.ones(4, *SQUARE)}):
        with pytest.raises(ValueError, match="need a target"):
            replace(row, **wrong)


def test_answers_come_in_the_order_of_the_rows_in_however_many_passes(
    backbone: Backbone, users: list[User], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = mixed_rows(backbone, users)
    expected = backbone.evaluate(rows)
    monkeypatch.setattr(backbone_module, "MAX_ROWS_PER_PASS", 2)
    shuffled = [5, 0, 7, 2, 1, 6, 3, 4]
    for i, answer in zip(shuffled, backbone.evaluate(tuple(rows[i] for i in shuffled)), strict=True):
        assert answer.eps.shape == rows[i].latent.shape
        assert (answer.eps - expected[i].eps).abs().max() <= 1e-12


def test_nothing_to_evaluate_is_nothing_to_answer(backbone: Backbone) -> None:
    assert backbone.evaluate(()) == ()


def test_a_row_leaves_no_gradient_on_the_model_or_its_prompt(backbone: Backbone, users: list[User]) -> None:
    backbone.evaluate(mixed_rows(backbone, users))
    assert all(parameter.grad is None for parameter in backbone.unet.parameters())
    assert all(parameter.grad is None for parameter in backbone.text_encoder.parameters())
    assert users[0].token.grad is None


@pytest.mark.parametrize("learns", [False, True])
def test_a_prediction_that_is_not_finite_is_an_error(backbone: Backbone, users: list[User], learns: bool) -> None:
    sound = mixed_rows(backbone, users)[0]
    broken = replace(sound, latent=torch.full_like(sound.latent, torch.inf), target=sound.target if learns else None)
    with pytest.raises(NumbersNotFinite):
        backbone.evaluate((sound, broken))


def test_the_unet_has_its_own_processors_back_after_a_pass(backbone: Backbone, users: list[User]) -> None:
    before = dict(backbone.unet.attn_processors)
    backbone.evaluate(mixed_rows(backbone, users))
    assert dict(backbone.unet.attn_processors) == before


def test_the_unet_has_its_own_processors_back_after_a_failed_pass(backbone: Backbone, users: list[User]) -> None:
    before = dict(backbone.unet.attn_processors)
    row = mixed_rows(backbone, users)[1]
    with pytest.raises(RuntimeError):
        backbone.evaluate((replace(row, latent=row.latent[:3]),))
    assert dict(backbone.unet.attn_processors) == before


def counting(log: list[str], rows: int) -> Algorithm[str]:
    """Asks for `rows` single rows and tells of each; notes in `log` when it is closed."""
    try:
        for i in range(rows):
            (answer,) = yield (Row(torch.zeros(1), i, KeysValues((), ())),)
            log.append(f"row {float(answer.eps):g}")
            yield Progress("editing", i + 1, rows)
    finally:
        log.append("closed")
    return "done"


def doubling(rows: Rows) -> Answers:
    return tuple(Answer(eps=torch.tensor(2.0 * row.timestep)) for row in rows)


def test_driving_an_algorithm_gives_its_result_and_its_progress() -> None:
    log: list[str] = []
    seen: list[Progress] = []
    assert drive(counting(log, 3), doubling, seen.append) == "done"
    assert log == ["row 0", "row 2", "row 4", "closed"]
    assert [(p.step, p.total) for p in seen] == [(1, 3), (2, 3), (3, 3)]


def test_closing_the_driver_closes_the_algorithm() -> None:
    log: list[str] = []
    steps: Generator[Progress, None, str] = evaluating(counting(log, 3), doubling)
    next(steps)
    steps.close()
    assert log == ["row 0", "closed"]


def test_an_error_of_the_device_closes_the_algorithm() -> None:
    log: list[str] = []

    def failing(rows: Rows) -> Answers:
        raise NumbersNotFinite("lost")

    with pytest.raises(NumbersNotFinite):
        drive(counting(log, 3), failing)
    assert log == ["closed"]


def test_algorithms_side_by_side_get_their_own_answers_in_shared_passes() -> None:
    logs: list[list[str]] = [[], [], []]
    passes: list[int] = []

    def noting(rows: Rows) -> Answers:
        passes.append(len(rows))
        return doubling(rows)

    algorithms = [counting(log, rows) for log, rows in zip(logs, (1, 3, 2), strict=True)]
    assert drive_all(algorithms, noting) == ["done"] * 3
    assert passes == [3, 2, 1]
    assert logs[1] == ["row 0", "row 2", "row 4", "closed"]


@pytest.mark.parametrize("pauses", [(0, 5), (5, 0), (2, 7)])
def test_rows_wait_for_the_end_of_the_others_pauses(pauses: tuple[int, int]) -> None:
    """Otherwise people whose learning takes longer to start would never share a pass with the first ones."""
    passes: list[int] = []

    def pausing(count: int) -> Algorithm[str]:
        for _ in range(count):
            assert (yield ()) == ()
        return (yield from counting([], 3))

    def noting(rows: Rows) -> Answers:
        passes.append(len(rows))
        return doubling(rows)

    assert drive_all([pausing(count) for count in pauses], noting) == ["done"] * 2
    assert passes == [0] * sum(pauses) + [2, 2, 2]


def test_one_failure_closes_all_algorithms_side_by_side() -> None:
    logs: list[list[str]] = [[], []]

    def failing(rows: Rows) -> Answers:
        raise NumbersNotFinite("lost")

    with pytest.raises(NumbersNotFinite):
        drive_all([counting(log, 2) for log in logs], failing)
    assert logs == [["closed"], ["closed"]]

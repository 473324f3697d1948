"""Edits that follow their source: beside Prompt-to-Prompt and Direct Inversion written out, and where the answer is known."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor

from s2edit_core.concepts.conditioning import prompt_keys_values, text_states, tokenize
from s2edit_core.errors import OptionInvalid, PromptInvalid
from s2edit_core.method import editing
from s2edit_core.method.editing import edit
from s2edit_core.method.injection import attention_mask, source_guide
from s2edit_core.method.inversion import Inversion, Source, invert
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InjectionOptions, InversionOptions, InversionTier
from s2edit_core.request.presets import PRESETS, Preset
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Answers, Row, Rows, drive, drive_all
from tests.unit.core.method.prompt_to_prompt import Controller, predict

SOURCE, TARGET = "a photo of a woman with black hair", "a photo of a smiling woman with red hair"
STEPS, W = 5, 3.0
P2P = InjectionOptions(cross_share=0.8, self_share=0.4)


def photo_latent(size: tuple[int, int] = (8, 8)) -> Tensor:
    return torch.randn(4, *size, generator=torch.Generator().manual_seed(31), dtype=torch.float64)


def source_of(backbone: Backbone, prompt: str = SOURCE) -> Source:
    with torch.no_grad():
        states = text_states(backbone, tokenize(backbone, prompt, ()), {})
    return Source(prompt_keys_values(backbone, prompt, {}), None, states, ())


def inverted(backbone: Backbone, tier: InversionTier, **options: Any) -> Inversion:
    chosen = InversionOptions(tier=tier, inner_steps=2, **options)
    return drive(invert(backbone, photo_latent(), source_of(backbone), chosen, steps=STEPS, guidance_scale=W), backbone.evaluate)


def edited(backbone: Backbone, inversion: Inversion, options: InjectionOptions, prompt: str = TARGET, **more: Any) -> Any:
    guide = source_guide(backbone, source_of(backbone), SOURCE, prompt, options, **more)
    return edit(backbone, inversion, prompt_keys_values(backbone, prompt, {}), None, (), guide)


def watched(backbone: Backbone, seen: list[Rows]) -> Any:
    def evaluate(rows: Rows) -> Answers:
        seen.append(rows)
        return backbone.evaluate(rows)

    return evaluate


# --- beside the description --------------------------------------------------------------------------------------


def prompt_to_prompt(backbone: Backbone, inversion: Inversion, options: InjectionOptions, *, direct: bool) -> Tensor:
    """The published loop over the batch (source, target): guidance, DDIM step, and the source's stored offsets (direct)."""
    tokens = source_guide(backbone, source_of(backbone), SOURCE, TARGET, options).tokens
    states = [source_of(backbone, prompt).states for prompt in (SOURCE, TARGET)]
    timesteps = backbone.schedule.timesteps(STEPS)

    def stepped(i: int, z: Tensor, controller: Controller | None) -> Tensor:
        a, b = backbone.schedule.coefficients(timesteps[i], STEPS)
        eps_u = predict(backbone, z, timesteps[i], [inversion.null_state(i)] * 2, None)
        eps_c = predict(backbone, z, timesteps[i], states, controller)
        return a * z + b * (eps_u + W * (eps_c - eps_u))

    path = inversion.path.flip(0)
    offsets = [path[i + 1] - stepped(i, path[i].expand(2, -1, -1, -1), None)[0] for i in range(STEPS)]
    z = path[0].repeat(2, 1, 1, 1)
    for i in range(STEPS):
        cross, own = float(i < options.cross_share * STEPS), float(i < options.self_share * STEPS)
        z = stepped(i, z, Controller(tokens, cross, own))
        if direct:
            z = torch.stack((z[0] + offsets[i], z[1]))
    if direct:
        torch.testing.assert_close(z[0], inversion.path[0], rtol=1e-10, atol=1e-10)
    return z[1]


@pytest.mark.parametrize("tier", ["direct", "null_text"])
def test_the_edit_agrees_with_the_published_loop(backbone: Backbone, tier: InversionTier) -> None:
    inversion = inverted(backbone, tier)
    result = drive(edited(backbone, inversion, P2P), backbone.evaluate)
    expected = prompt_to_prompt(backbone, inversion, P2P, direct=tier == "direct")
    torch.testing.assert_close(result, expected, rtol=1e-8, atol=1e-8)
    other = prompt_to_prompt(backbone, inversion, P2P, direct=tier != "direct")
    assert (result - other).abs().max() > 1e-6, "the offsets made no difference here"


def test_a_reweighted_word_changes_the_edit_and_a_factor_of_one_does_not(backbone: Backbone) -> None:
    inversion = inverted(backbone, "direct")
    plain, one, three = (
        drive(edited(backbone, inversion, replace(P2P, reweight=factors)), backbone.evaluate)
        for factors in ((), (("smiling", 1.0),), (("smiling", 3.0),))
    )
    torch.testing.assert_close(one, plain, rtol=1e-12, atol=1e-12)
    assert (three - plain).abs().max() > 1e-6


# --- where the answer is known -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["refine", "replace"])
@pytest.mark.parametrize("shares", [(1.0, 1.0), (0.4, 0.0), (0.0, 0.6)])
def test_the_source_prompt_itself_returns_the_photo_exactly(backbone: Backbone, mode: Any, shares: tuple[float, float]) -> None:
    """With the exact tier, what is read from the source is what the edit would have had anyway."""
    options = InjectionOptions(mode=mode, cross_share=shares[0], self_share=shares[1])
    result = drive(edited(backbone, inverted(backbone, "residual"), options, SOURCE), backbone.evaluate)
    assert (result - photo_latent()).abs().max() <= 1e-10


@pytest.mark.parametrize("tier", ["residual", "direct"])
def test_outside_the_edit_mask_the_blend_returns_the_photos_latent(backbone: Backbone, tier: InversionTier) -> None:
    mask = torch.zeros(8, 8)
    mask[2:6, 3:8] = 1.0
    result = drive(edited(backbone, inverted(backbone, tier), replace(P2P, blend="edit_mask"), edit_mask=mask), backbone.evaluate)
    assert torch.equal(result[:, mask == 0], photo_latent()[:, mask == 0])
    assert (result - photo_latent())[:, mask == 1].abs().min() > 1e-6


def test_a_blend_that_begins_after_the_end_is_none(backbone: Backbone) -> None:
    inversion = inverted(backbone, "direct")
    never = replace(P2P, blend="edit_mask", blend_start=1.0)
    blended = drive(edited(backbone, inversion, never, edit_mask=torch.zeros(8, 8)), backbone.evaluate)
    assert torch.equal(blended, drive(edited(backbone, inversion, P2P), backbone.evaluate))


def test_a_threshold_decides_how_much_the_words_may_change(backbone: Backbone) -> None:
    """0: all cells; 1: none, since no cell attends more than the maximum."""
    inversion = inverted(backbone, "direct")
    blend = replace(P2P, blend="words", blend_threshold=0.0)
    everywhere = drive(edited(backbone, inversion, blend), backbone.evaluate)
    torch.testing.assert_close(everywhere, drive(edited(backbone, inversion, P2P), backbone.evaluate), rtol=1e-10, atol=1e-10)
    nowhere = drive(edited(backbone, inversion, replace(blend, blend_threshold=1.0)), backbone.evaluate)
    assert torch.equal(nowhere, photo_latent())


def test_words_keep_the_edit_where_either_attends(backbone: Backbone) -> None:
    """The mask of the last step, made from the rows' own answers as P2P says: sums over steps and tokens, pooled, above the
    threshold in the source's map of one word or the target's of the other."""
    inversion = inverted(backbone, "direct")
    seen: list[tuple[Row, Tensor]] = []

    def evaluate(rows: Rows) -> Answers:
        answers = backbone.evaluate(rows)
        seen.extend((row, torch.stack(answer.maps).mean(dim=0)) for row, answer in zip(rows, answers, strict=True) if answer.maps)
        return answers

    options = replace(P2P, blend="words", blend_threshold=0.9, blend_start=0.0)
    guide = source_guide(backbone, source_of(backbone), SOURCE, TARGET, options)
    assert guide.blend_words is not None
    words = {False: guide.blend_words[0], True: guide.blend_words[1]}
    assert [len(positions) for positions in words.values()] == [1, 2]  # black; smiling, red
    result = drive(edited(backbone, inversion, options), evaluate)
    heats = {side: torch.zeros(64, dtype=torch.float64) for side in words}
    for row, maps in seen:
        is_target = bool(torch.equal(row.prompt.keys[0], prompt_keys_values(backbone, TARGET, {}).keys[0]))
        heats[is_target] += maps[:, list(words[is_target])].sum(dim=1)
    free = torch.zeros(8, 8, dtype=torch.bool)
    for heat in heats.values():
        grid = heat.view(8, 8)
        pooled = torch.tensor(
            [[float(grid[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max()) for x in range(8)] for y in range(8)]
        )
        free |= pooled > 0.9 * pooled.max()
    assert 0 < int(free.sum()) < 64
    assert torch.equal(result[:, ~free], photo_latent()[:, ~free])
    assert (result - photo_latent())[:, free].abs().max() > 1e-6


DIFFERENCE = InjectionOptions(blend="difference", blend_start=0.0, blend_threshold=0.9)


def test_the_difference_of_the_predictions_says_where_the_edit_acts(backbone: Backbone) -> None:
    """Beside DiffEdit's mask written out, and an edit by that mask with faded residuals; the first pass asks for it at once."""
    inversion = inverted(backbone, "residual")
    t = backbone.schedule.timesteps(STEPS)[0]
    prompts = [prompt_keys_values(backbone, prompt, {}) for prompt in (TARGET, SOURCE)]
    there, here = (answer.eps for answer in backbone.evaluate(tuple(Row(inversion.path[-1], t, prompt) for prompt in prompts)))
    share = (there - here).square().mean(dim=0).sqrt()
    share /= share.max()
    wide = torch.stack([share[max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].max() for y in range(8) for x in range(8)]).view(8, 8)
    free = ((wide / 0.9 - 0.25) / 0.75).clamp(0, 1)
    assert 0 < int((free < 1).sum()) < 64
    seen: list[Rows] = []
    result = drive(edited(backbone, inversion, DIFFERENCE), watched(backbone, seen))
    faded = replace(inversion, residuals=inversion.residuals * (1 - ((share - 0.25) / 0.75).clamp(0, 1)))
    by_mask = edited(backbone, faded, replace(DIFFERENCE, blend="edit_mask"), edit_mask=free)
    torch.testing.assert_close(result, drive(by_mask, backbone.evaluate), rtol=1e-12, atol=1e-12)
    assert [len(rows) for rows in seen] == [2] * (1 + STEPS)


def test_a_lower_threshold_fades_residuals_further(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """A threshold of 0 leaves residuals only where the prompts do not differ at all."""
    inversion = inverted(backbone, "residual")
    seen: list[Tensor] = []
    faded = Inversion.faded
    monkeypatch.setattr(Inversion, "faded", lambda self, mask: seen.append(mask) or faded(self, mask))
    for threshold in (1.0, 0.5, 0.0):
        drive(edited(backbone, inversion, replace(DIFFERENCE, fade_threshold=threshold)), backbone.evaluate)
    assert seen[0].sum() < seen[1].sum() < seen[2].sum() == 64
    assert all((a <= b).all() for a, b in pairwise(seen))


def differing_in_one_cell(*_: object) -> Generator[Rows, Answers, Tensor]:
    """In place of `where_prompts_differ`."""
    yield ()
    return torch.zeros(8, 8, dtype=torch.float64).index_put((torch.tensor(4), torch.tensor(2)), torch.tensor(1.0).double())


def test_the_edit_reaches_one_cell_further_than_the_prompts_differ(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(editing, "where_prompts_differ", differing_in_one_cell)
    result = drive(edited(backbone, inverted(backbone, "residual"), DIFFERENCE), backbone.evaluate)
    around = torch.zeros(8, 8, dtype=torch.bool)
    around[3:6, 1:4] = True
    assert torch.equal(result[:, ~around], photo_latent()[:, ~around])
    assert (result - photo_latent())[:, around].abs().amin() > 1e-9


def test_where_attributes_act_the_edit_stays_too(backbone: Backbone, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the corner that is applied, and in the middle, where the prompts differ; elsewhere the photo, and there its residuals."""
    monkeypatch.setattr(editing, "where_prompts_differ", differing_in_one_cell)
    applied = torch.zeros(8, 8, dtype=torch.float64)
    applied[:2, 5:] = 1.0
    result = drive(edited(backbone, inverted(backbone, "residual"), DIFFERENCE, attribute_mask=applied), backbone.evaluate)
    free = applied > 0
    free[3:6, 1:4] = True
    assert torch.equal(result[:, ~free], photo_latent()[:, ~free])
    assert (result - photo_latent())[:, free].abs().amin() > 1e-9


def test_an_edit_that_asks_for_attributes_alone_stays_in_their_region(backbone: Backbone) -> None:
    """The region is given, so no pass looks for it; words beside the attribute are looked for as ever."""
    applied = torch.zeros(8, 8, dtype=torch.float64)
    applied[:2, 5:] = 1.0
    options = {"attribute_mask": applied, "placeholders": {"[A]": "lipstick"}}
    seen: list[Rows] = []
    alone = edited(backbone, inverted(backbone, "residual"), DIFFERENCE, f"{SOURCE} and [A] lipstick", **options)
    result = drive(alone, watched(backbone, seen))
    assert torch.equal(result[:, applied == 0], photo_latent()[:, applied == 0])
    assert (result - photo_latent())[:, applied > 0].abs().amin() > 1e-9
    assert len(seen) == STEPS
    more = edited(backbone, inverted(backbone, "residual"), DIFFERENCE, f"{TARGET} and [A] lipstick", **options)
    assert not torch.equal(drive(more, backbone.evaluate)[:, applied == 0], photo_latent()[:, applied == 0])


def test_where_the_prompts_agree_nothing_is_edited(backbone: Backbone) -> None:
    result = drive(edited(backbone, inverted(backbone, "residual"), DIFFERENCE, SOURCE), backbone.evaluate)
    assert torch.equal(result, photo_latent())


def test_residuals_fade_only_over_cells_of_the_latents(backbone: Backbone) -> None:
    inversion = inverted(backbone, "residual")
    half = inversion.faded(torch.full((8, 8), 0.5))
    assert torch.equal(half.residuals, inversion.residuals / 2)
    bare = inverted(backbone, "direct")
    assert bare.faded(torch.ones(8, 8)) is bare
    with pytest.raises(ValueError, match=r"\(8, 8\), not \(4, 4\)"):
        inversion.faded(torch.ones(4, 4))


def test_attention_is_widened_by_a_cell_and_cut_at_the_threshold() -> None:
    heat = torch.tensor([[0.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0.25]])
    expected = torch.tensor([[1.0, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]])
    assert torch.equal(attention_mask(heat, (4, 4), 0.3), expected)
    assert torch.equal(attention_mask(heat, (8, 8), 0.3), expected.repeat_interleave(2, 0).repeat_interleave(2, 1))
    assert torch.equal(attention_mask(torch.zeros(4, 4), (4, 4), 0.3), torch.zeros(4, 4))


# --- company and cost --------------------------------------------------------------------------------------------


def test_edits_with_and_without_injection_side_by_side_are_what_they_are_alone(backbone: Backbone) -> None:
    direct, residual, null_text = (inverted(backbone, tier) for tier in ("direct", "residual", "null_text"))  # type: ignore[arg-type]
    mask = torch.zeros(8, 8)
    mask[:4] = 1.0

    def algorithms() -> list[Any]:
        return [
            edited(backbone, direct, replace(P2P, blend="words")),
            edited(backbone, residual, InjectionOptions()),
            edited(backbone, null_text, replace(P2P, mode="replace"), "a photo of a man with red hair"),
            edited(backbone, residual, InjectionOptions(blend="edit_mask"), edit_mask=mask),
        ]

    together = drive_all(algorithms(), backbone.evaluate)
    for a, algorithm in zip(together, algorithms(), strict=True):
        assert (a - drive(algorithm, backbone.evaluate)).abs().max() <= 1e-10


@pytest.mark.parametrize(
    ("tier", "options", "counts"),
    [
        ("direct", P2P, [3, 3, 3, 3, 2]),
        ("null_text", P2P, [4, 4, 4, 4, 2]),
        ("residual", InjectionOptions(), [2, 2, 2, 2, 2]),
        ("residual", InjectionOptions(blend="words"), [3, 3, 3, 3, 3]),
        ("residual", InjectionOptions(blend="edit_mask"), [2, 2, 2, 2, 2]),
        ("null_text", InjectionOptions(blend="edit_mask"), [4, 4, 4, 4, 4]),
    ],
)
def test_the_source_costs_rows_only_where_it_is_needed(
    backbone: Backbone, tier: InversionTier, options: InjectionOptions, counts: list[int]
) -> None:
    seen: list[Rows] = []
    drive(edited(backbone, inverted(backbone, tier), options, edit_mask=torch.ones(8, 8)), watched(backbone, seen))
    assert [len(rows) for rows in seen] == counts
    crossing = [rows[0].injection is not None and rows[0].injection.tokens is not None for rows in seen]
    assert crossing == [i < options.cross_share * STEPS for i in range(STEPS)]
    strengths = [rows[0].injection.self_strength if rows[0].injection else 0.0 for rows in seen]
    assert strengths == [float(i < options.self_share * STEPS) for i in range(STEPS)]


# --- what is refused ---------------------------------------------------------------------------------------------


def test_the_direct_tier_is_refused_where_nothing_is_read(backbone: Backbone) -> None:
    inversion = inverted(backbone, "direct")
    prompt = prompt_keys_values(backbone, TARGET, {})
    for algorithm in (
        edit(backbone, inversion, prompt, None, ()),
        edited(backbone, inversion, InjectionOptions(blend="edit_mask"), edit_mask=torch.ones(8, 8)),
    ):
        with pytest.raises(OptionInvalid, match="residual") as caught:
            drive(algorithm, backbone.evaluate)
        assert caught.value.reason == "tier_needs_injection"
    balanced = PRESETS["balanced"]
    with pytest.raises(OptionInvalid, match="direct"):
        replace(balanced, inversion=InversionOptions(tier="direct"))
    assert isinstance(replace(balanced, inversion=InversionOptions(tier="direct"), injection=P2P), Preset)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"mode": "swap"}, "mode must be one of replace, refine"),
        ({"blend": "yes"}, "blend must be one of"),
        ({"cross_share": 1.5}, "cross_share must be a number between 0 and 1"),
        ({"self_share": float("nan")}, "self_share"),
        ({"blend_threshold": -0.1}, "blend_threshold"),
        ({"reweight": (("hat", 2.0),)}, "cross_share"),
        ({"reweight": (("hat", "much"),), "cross_share": 1.0}, "reweight.hat must be a number"),
        ({"reweight": {"hat": 2.0}, "cross_share": 1.0}, "pairs"),
        ({"blend_words": ("hat",)}, "blend 'words'"),
        ({"blend_words": "hat", "blend": "words"}, "tuple of words"),
    ],
)
def test_options_that_cannot_be_are_refused(values: dict[str, Any], says: str) -> None:
    with pytest.raises(OptionInvalid, match=says):
        InjectionOptions(**values)


def test_words_that_are_not_there_are_refused(backbone: Backbone) -> None:
    source = source_of(backbone)
    with pytest.raises(PromptInvalid, match="neither prompt"):
        source_guide(backbone, source, SOURCE, TARGET, InjectionOptions(blend="words", blend_words=("scarf",)))
    with pytest.raises(PromptInvalid, match="same words"):
        source_guide(backbone, source, SOURCE, SOURCE, InjectionOptions(blend="words"))
    with pytest.raises(ValueError, match="edit mask"):
        source_guide(backbone, source, SOURCE, TARGET, InjectionOptions(blend="edit_mask"))
    named = source_guide(backbone, source, SOURCE, TARGET, InjectionOptions(blend="words", blend_words=("woman",)))
    assert named.blend_words == ((5,), (6,))


# --- through the pipeline ----------------------------------------------------------------------------------------


def test_the_pipeline_hands_on_the_source_prompt_and_the_edit_mask(backbone32: Backbone) -> None:
    pipe = S2EditPipeline(backbone32)
    photo = Image.effect_noise((32, 32), 60).convert("RGB")
    mask = Image.new("L", (32, 32))
    mask.paste(255, (8, 8, 24, 24))
    canvas = pipe.canvas(photo, mask, mask)
    options = InversionOptions(tier="residual")
    inversion = pipe.invert(photo, mask, SOURCE, None, options=options, num_inference_steps=3, guidance_scale=2.0)
    blend = replace(P2P, blend="edit_mask", blend_start=0.0)
    seen: list[Rows] = []
    rows = pipe.edit_rows(canvas, TARGET, None, inversion, injection=blend, source_prompt=SOURCE)
    result = drive(rows, watched(backbone32, seen))
    assert len(seen[0]) == 3
    closed = canvas.mask(canvas.edit_mask).view(8, 4, 8, 4).mean(dim=(1, 3)) == 0
    assert 0 < int(closed.sum()) < 64
    assert torch.equal(result[:, closed], inversion.path[0][:, closed])
    plain = drive(pipe.edit_rows(canvas, TARGET, None, inversion), backbone32.evaluate)
    assert not torch.equal(plain, result)
    assert torch.equal(drive(pipe.edit_rows(canvas, TARGET, None, inversion, injection=blend), backbone32.evaluate), result)
    with pytest.raises(ValueError, match="source_prompt"):
        pipe.edit_rows(canvas, TARGET, None, replace(inversion, facts={}), injection=blend)

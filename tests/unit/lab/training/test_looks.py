"""Names of looks start where the looks' numbers say."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.training.dataset import Part, Plan
from lab.training.denoiser import Stage, build_text_encoder
from lab.training.starting import NORM, described, embeddings, numbers_of, place
from lab.training.tokenizer import build_tokenizer
from lab.training.trial import bench_denoiser
from lab.world.domains import DOMAINS
from lab.world.names import FIRST_LOOK, Looks, Naming


def test_a_look_is_described_by_all_its_numbers() -> None:
    style = DOMAINS["person"].sample(FIRST_LOOK).identity.makeup_style
    numbers = numbers_of((style,))
    assert numbers["0.lipstick.0."] == style.lipstick[0]
    assert numbers["0.wing."] == style.wing
    assert numbers_of(("beret", 3)) == {"0.=beret": 1.0, "1.=3": 1.0}


@pytest.mark.parametrize(("domain", "word"), [("person", "makeup"), ("person", "hat"), ("cat", "collar"), ("church", "flags")])
def test_looks_that_are_alike_start_alike(domain: str, word: str) -> None:
    world = DOMAINS[domain]
    table = described(world, word, range(60))
    np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(table.std(axis=0), 1)
    found = embeddings(world, Naming(looks=(Looks(word, 60, 1),)), 128)
    assert np.linalg.norm(found, axis=1).mean() == pytest.approx(NORM)
    apart = [np.linalg.norm(rows[:, None] - rows[None], axis=2)[np.triu_indices(60, 1)] for rows in (table, found)]
    assert np.corrcoef(*apart)[0, 1] > 0.8


def test_only_the_names_of_looks_are_placed(tmp_path: Path) -> None:
    plan = Plan((Part.parsed("lab.world.person:40:1.0:2:4:makeup=3x2,hat=2x2"),), tmp_path)
    tokenizer = build_tokenizer(plan.words)
    encoder = build_text_encoder(tokenizer)
    before = encoder.get_input_embeddings().weight.detach().clone()
    place(encoder, tokenizer, plan)
    after = encoder.get_input_embeddings().weight.detach()
    part = plan.parts[0]
    tokens = [tokenizer(name, add_special_tokens=False).input_ids[0] for name in part.naming.names()[2:]]
    assert sorted((before != after).any(dim=1).nonzero().flatten().tolist()) == sorted(tokens)
    torch.testing.assert_close(after[tokens], torch.from_numpy(embeddings(part.domain, part.naming, 128)).float())


def test_a_start_keeps_the_names_that_its_model_has_learned(tmp_path: Path) -> None:
    plan = Plan((Part.parsed("lab.world.person:40:1.0:0:4:makeup=2x2"),), tmp_path)
    shape = {"device": "cpu", "batch": 2, "latent_channels": 4, "widths": (16, 16, 32, 32)}
    first = Stage(plan, Namespace(**shape, start=None))
    token = first.tokenizer(plan.parts[0].naming.names()[0], add_special_tokens=False).input_ids[0]
    with torch.no_grad():
        first.text_encoder.get_input_embeddings().weight[token] = 7
    for name in ("unet", "text_encoder", "tokenizer"):
        getattr(first, name).save_pretrained(tmp_path / "model" / name)
    second = Stage(plan, Namespace(**shape, start=tmp_path / "model"))
    assert bool((second.text_encoder.get_input_embeddings().weight[token] == 7).all())


def test_the_trial_runs_the_denoiser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    options = Namespace(
        work=tmp_path, domain=["lab.world.person:8:1"], device="cpu", denoiser_batches=[1], denoiser_widths=(16, 16, 32, 32)
    )
    options.lock, options.timed = tmp_path / "lock", 0.01
    assert [name for name, rate in bench_denoiser(options) if rate > 0] == ["denoiser, batch 1", "denoiser, batch 1, compiled"]

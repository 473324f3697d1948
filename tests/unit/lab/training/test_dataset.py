"""The training set: shards that resume, the tokenizer that needs no library, and the store that grows."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch

from lab.training.dataset import CAPTIONS, DOMAINS, MaskedPlan, Part, Plan, captions, render_shard, save_shard, unfinished
from lab.training.render import render
from lab.training.store import Dice, Store, joined, normalised, read_fields
from lab.training.tokenizer import MAX_TOKENS, Vocabulary, build_tokenizer
from lab.world.domain import UNSEEN
from tests.unit.lab.training.portrait_domain import DOMAIN

MODULE = "tests.unit.lab.training.portrait_domain"


def plan_in(folder: Path, count: int = 7) -> Plan:
    return Plan((Part(MODULE, count, 1.0),), folder)


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    plan = plan_in(tmp_path_factory.mktemp("rendered"))
    facts = render(plan, seconds=60, workers=1, niceness=0)
    assert (facts["pictures"], facts["failures"]) == (14, 0)
    return plan


def test_a_part_without_count_is_rejected() -> None:
    with pytest.raises(ValueError, match="expected MODULE:PICTURES:WEIGHT"):
        Part.parsed("lab.world.person")


def test_a_shard_holds_what_training_needs(rendered: Plan) -> None:
    (path,) = rendered.finished("portrait", unseen=False)
    with np.load(path) as shard:
        assert shard["pixels"].shape == (7, 128, 128, 3)
        assert shard["tokens"].shape == (7, CAPTIONS, MAX_TOKENS)
        assert shard["labels"].tolist() == [list(DOMAIN.label(DOMAIN.sample(seed).attributes).values()) for seed in range(7)]
        assert np.array_equal(shard["pixels"][3], np.asarray(DOMAIN.render(DOMAIN.sample(3))))
        assert np.array_equal(shard["identity"][2], DOMAIN.identity_vector(DOMAIN.sample(2).identity))


def test_the_segmenters_pictures_are_large_have_masks_and_a_folder_of_their_own(rendered: Plan) -> None:
    options = Namespace(domain=[f"{MODULE}:50:1"], work=rendered.work)
    plan = MaskedPlan.of(options)
    assert (plan.folders == rendered.folders, [part.count for part in plan.parts]) == (False, [3])
    facts = render(plan, seconds=60, workers=1, niceness=0)
    assert (facts["pictures"], facts["failures"]) == (6, 0)
    for unseen, first in ((False, 0), (True, UNSEEN)):
        (path,) = plan.finished("portrait", unseen=unseen)
        with np.load(path) as shard:
            subject = DOMAIN.sample(first + 1)
            assert np.array_equal(shard["pixels"][1], np.asarray(DOMAIN.render(subject, 256)))
            assert np.array_equal(shard["masks"][1], np.asarray(DOMAIN.mask(subject, 256)))


def test_unseen_pictures_are_kept_apart(rendered: Plan) -> None:
    (path,) = rendered.finished("portrait", unseen=True)
    with np.load(path) as shard:
        assert np.array_equal(shard["pixels"][0], np.asarray(DOMAIN.render(DOMAIN.sample(UNSEEN))))


def test_rendering_resumes_with_what_is_missing(rendered: Plan) -> None:
    assert unfinished(rendered, rendered.jobs()) == []
    assert unfinished(plan_in(rendered.work, 150), [("portrait", 0), ("portrait", 100)]) == [("portrait", 100)]


def test_rendering_stops_in_time_without_half_a_shard(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, 400)
    facts = render(plan, seconds=0, workers=1, niceness=0)
    assert facts["pictures"] == 0
    assert list(tmp_path.rglob("*.npz")) == []


def test_another_drawing_gets_another_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = plan_in(tmp_path).folders["portrait"]
    plain = type(DOMAIN).render
    monkeypatch.setattr(type(DOMAIN), "render", lambda self, subject, size=128: plain(self, subject, size).rotate(180))
    assert plan_in(tmp_path).folders["portrait"] != before


def test_seeds_of_training_come_in_proportion_after_one_shard_of_each_kind(tmp_path: Path) -> None:
    jobs = plan_in(tmp_path, 1000).jobs()
    assert jobs[:2] == [("portrait", 0), ("portrait", UNSEEN)]
    assert len(jobs) == len(set(jobs)) == 6 + 10


@pytest.mark.parametrize("module", [MODULE, *(text.split(":")[0] for text in DOMAINS)])
def test_the_vocabulary_encodes_captions_as_the_tokenizer_does(module: str) -> None:
    domain = Part(module, 1, 1.0).domain
    vocabulary, tokenizer = Vocabulary(domain.words), build_tokenizer(domain.words)
    texts = ["", "a photo of sks person's 2 hats!", *(text for seed in range(30) for text in captions(domain, seed))]
    expected = tokenizer(texts, padding="max_length", truncation=True, max_length=MAX_TOKENS).input_ids
    assert [vocabulary.encode(text) for text in texts] == expected
    assert max(len(ids) for ids in tokenizer(texts).input_ids) < MAX_TOKENS, "no caption is cut"


def test_every_word_of_the_three_domains_is_one_token() -> None:
    plan = Plan(tuple(Part.parsed(text) for text in DOMAINS), Path())
    tokenizer = build_tokenizer(plan.words)
    for word in plan.words:
        pieces = tokenizer.tokenize(word)
        assert len(pieces) == len(word.split("-")) * 2 - 1, f"{word} → {pieces}"


def test_a_store_grows_and_draws_by_weight(rendered: Plan, tmp_path: Path) -> None:
    plan = plan_in(tmp_path, 300)
    store = Store(plan, torch.device("cpu"), read_fields("pixels", "labels"))
    assert (store.grow(), store.ready) == (0, False)
    for start in (0, 100, 200):
        shard = render_shard(DOMAIN, plan.vocabulary, range(start, start + 2))
        save_shard(plan.shard("portrait", start), shard)
        if start == 0:
            assert store.grow() == 2
    assert (store.grow(limit=1), store.grow(), store.grow()) == (2, 2, 0)
    assert np.array_equal(store.first("portrait", 6)["pixels"][4], np.asarray(DOMAIN.render(DOMAIN.sample(200))))
    batch = store.batch(5, Dice(torch.device("cpu"), 0))
    assert joined(batch, "pixels").shape == (5, 128, 128, 3)
    assert float(normalised(joined(batch, "pixels")).abs().max()) <= 1


def test_a_share_of_each_batch_shows_named_looks(tmp_path: Path) -> None:
    plan = Plan((Part.parsed("tests.unit.lab.training.portrait_domain:300:1.0:0:4:makeup=1x2"),), tmp_path)
    store = Store(plan, torch.device("cpu"), read_fields("focus"))
    dice = Dice(torch.device("cpu"), 0)
    for start, seeds in ((100, range(100, 104)), (0, range(4))):
        save_shard(plan.shard("portrait", start), render_shard(DOMAIN, plan.vocabulary, seeds, plan.namings["portrait"]))
        store.grow()
        for looks in (0.0, 0.5):
            shown = joined(store.batch(200, dice, looks), "focus").flatten(1).any(dim=1)
            expected = (looks + (1 - looks) * 0.25) if start == 0 else 0  # two of eight pictures show a look
            assert float(shown.float().mean()) == pytest.approx(expected, abs=0.1)


def test_batches_share_the_domains_by_weight(tmp_path: Path) -> None:
    parts = tuple(Part.parsed(text) for text in DOMAINS)
    store = Store(Plan(parts, tmp_path), torch.device("cpu"), read_fields("pixels"))
    assert store.shares(64) == {"person": 38, "cat": 13, "church": 13}
    assert sum(store.shares(7).values()) == 7

"""The shipped model: `SHIPPED_MODEL` names it, and everything else agrees."""

from __future__ import annotations

import re

import pytest

from lab.world.domains import DOMAINS
from s2edit_core.base_model.model_card import ModelCard
from s2edit_core.base_model.model_files import SHIPPED_MODEL, HubModel, find_model
from s2edit_core.commands.arguments import MODEL
from s2edit_core.request.domains import unknown_words
from s2edit_jobs.settings import Settings
from tests.pages import PAGES, ROOT

OF_MODELS = re.compile(r"(?<![\w.])(?:\.\./)?(models/[\w-]+)")


def test_it_is_the_default_of_service_and_library() -> None:
    assert Settings.model_fields["model"].default == SHIPPED_MODEL
    assert ROOT / SHIPPED_MODEL == MODEL
    assert not isinstance(find_model(SHIPPED_MODEL, ROOT), HubModel), "without its folder, the name would be one of the hub"


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "docs/method.md", "docs/models.md", "docs/self-hosting.md"])
def test_the_pages_name_it(page: str) -> None:
    assert SHIPPED_MODEL in OF_MODELS.findall(PAGES[page])


def test_its_card_gives_each_subject_words_of_its_own_domain() -> None:
    card = ModelCard.read(ROOT / SHIPPED_MODEL)
    for domain in card.domains:
        assert all(card.word_bank(subject) == domain.attribute_words for subject in domain.subjects)
        assert not set(domain.attribute_words) & set(card.subjects)
    assert {"woman", "man"} <= set(card.subjects)


def test_its_card_has_all_words_of_its_training_captions() -> None:
    for domain, drawn in zip(ModelCard.read(ROOT / SHIPPED_MODEL).domains, DOMAINS.values(), strict=True):
        assert domain.closed_vocabulary
        assert unknown_words([domain], " ".join(drawn.words)) == ()

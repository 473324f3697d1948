"""The prompt adherence of a model, with pictures and a judge whose answers are known."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from torch import Tensor, tensor

from lab.judges.adherence import FIRST, ORDINARY, measure
from lab.world.domain import Domain
from lab.world.domains import DOMAINS


class Reader:
    """A judge that reads what the last captions say, but sees no hat."""

    def __init__(self, domain: Domain) -> None:
        self.domain, self.next = domain, 0
        self.accuracy: dict[str, dict[str, float]] = {}

    def classes(self, pictures: Tensor, domain: str) -> dict[str, Tensor]:
        assert domain == self.domain.name
        labels = [self.domain.label(self.domain.sample(FIRST + self.next + i).attributes) for i in range(len(pictures))]
        self.next += len(pictures)
        seen = {name: tensor([max(0, each[name]) for each in labels]) for name in self.domain.labels}
        return seen | ({"hat": tensor([0] * len(pictures))} if "hat" in seen else {})


def blank(captions: list[str], **_: Any) -> Any:
    return SimpleNamespace(images=[Image.new("RGB", (128, 128))] * len(captions))


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=lambda each: each.name)
def test_named_and_unnamed_attributes_are_counted_apart(domain: Domain) -> None:
    found = measure(blank, domain, Reader(domain), prompts=60, guidance=3.0, steps=1)  # type: ignore[arg-type]
    assert all(sum(cases) <= 60 for cases in found["cases"].values())
    wrong = {"hat": 0.0} if "hat" in domain.labels else {}
    assert found["named"] == dict.fromkeys(found["named"], 1.0) | wrong
    assert found["unnamed"] == dict.fromkeys(found["unnamed"], 1.0)
    assert found["lowest"] == min(found["named"].values())
    assert (found["mean"] < 1) == bool(wrong)


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=lambda each: each.name)
def test_captions_name_all_but_the_ordinary(domain: Domain) -> None:
    """Subjects with the same caption have the same class of every attribute that the caption is said to name."""
    by_caption: dict[str, dict[str, int]] = {}
    for seed in range(400):
        attributes = domain.sample(seed).attributes
        classes = {name: label for name, label in domain.label(attributes).items() if label >= 0}
        named = {name: label for name, label in classes.items() if domain.labels[name][label] not in ORDINARY}
        assert by_caption.setdefault(domain.caption(attributes), named) == named


@pytest.mark.parametrize("domain", DOMAINS.values(), ids=lambda each: each.name)
def test_an_attribute_that_no_caption_names_has_no_rate(domain: Domain) -> None:
    found = measure(blank, domain, Reader(domain), prompts=1, guidance=3.0, steps=1)  # type: ignore[arg-type]
    assert 0 in {named for named, _ in found["cases"].values()}
    assert found["named"].keys() == {name for name, (named, _) in found["cases"].items() if named}
    assert found["unnamed"].keys() == {name for name, (_, unnamed) in found["cases"].items() if unnamed}

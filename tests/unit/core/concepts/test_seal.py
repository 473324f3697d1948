"""A concept's file carries a digest of itself: any changed bit is noticed."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save

from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.seal import NAME, OPEN, is_intact, sealed
from s2edit_core.errors import OptionInvalid
from s2edit_jobs.library.concept_files import check_identity_file, check_stored_concept, metadata_of
from s2edit_jobs.records.errors import RecordDamaged
from tests.doubles import FakeEngine

FACTS = FakeEngine.facts
ABOUT: dict[str, Any] = {
    "format": "s2edit-concept-2",
    "fingerprint": FACTS.fingerprint,
    "facts": {"prompt": "a photo of a [I] woman"},
    "placeholder": "[I]",
    "subject": "woman",
}
TOKEN = np.arange(FACTS.width, dtype=np.float32)


def written(**more: Any) -> bytes:
    return save({"token": TOKEN}, metadata={"s2edit": json.dumps({**ABOUT, **more}, sort_keys=True)})


def by_the_engine() -> bytes:
    concept = Concept(
        token=torch.from_numpy(TOKEN),
        keys=(),
        values=(),
        fingerprint=FACTS.fingerprint,
        facts=ABOUT["facts"],
        placeholder="[I]",
        subject="woman",
    )
    return concept.to_bytes()


@pytest.mark.parametrize("data", [sealed(written(**OPEN)), by_the_engine()], ids=["by hand", "by the engine"])
def test_every_changed_bit_is_noticed(data: bytes) -> None:
    assert metadata_of(data)[NAME] != OPEN[NAME]
    check_identity_file(data, FACTS)
    check_stored_concept(data)
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            with pytest.raises(OptionInvalid):
                check_identity_file(bytes(changed), FACTS)


def test_a_stored_file_that_was_changed_counts_as_damaged() -> None:
    changed = bytearray(by_the_engine())
    changed[-1] ^= 1
    with pytest.raises(RecordDamaged, match="digest"):
        check_stored_concept(bytes(changed))


def test_a_file_of_an_earlier_release_has_no_digest_and_is_accepted() -> None:
    check_identity_file(written(), FACTS)
    check_stored_concept(written())


@pytest.mark.parametrize("digest", ["", "0" * 64, "f" * 63, 5, None])
def test_a_digest_that_is_none_is_refused(digest: object) -> None:
    with pytest.raises(OptionInvalid, match="changed since its export"):
        check_identity_file(written(sha256=digest), FACTS)


def test_a_text_in_the_metadata_does_not_pass_for_the_digest() -> None:
    facts = {"prompt": 'a photo of a [I] woman, "sha256": "' + "0" * 64 + '"'}
    data = sealed(written(facts=facts, **OPEN))
    assert metadata_of(data)["facts"] == facts
    assert metadata_of(data)[NAME] != OPEN[NAME]
    assert is_intact(data, metadata_of(data))


def test_equal_concepts_are_equal_files() -> None:
    assert by_the_engine() == by_the_engine()

"""Concepts and inversions as bytes: back as they were, or refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from safetensors.torch import save

from s2edit_core.concepts.concept import Concept, Full, LowRank, new_deltas
from s2edit_core.errors import ArtifactMismatch
from s2edit_core.method.inversion import Inversion
from s2edit_core.request.options import LearningMode
from s2edit_core.unet.backbone import Backbone

FINGERPRINT = "a" * 32
FACTS = {"subject": "woman", "loss_end": 0.25, "prompt": "a photo of a [I] woman – naïve"}


def concept(backbone: Backbone, mode: LearningMode = "lora_kv") -> Concept:
    keys, values = new_deltas(backbone.layers, mode, 3, torch.Generator().manual_seed(1))
    return Concept(torch.randn(16), keys, values, FINGERPRINT, FACTS)


def inversion() -> Inversion:
    return Inversion(
        path=torch.randn(3, 4, 6, 5),
        null_states=torch.randn(1, 32, 16),
        residuals=torch.zeros(0),
        tier="negative_prompt",
        guidance_scale=1 / 3,
        fingerprint=FINGERPRINT,
        facts={"inner_iterations": 7},
    )


@pytest.mark.parametrize("mode", ["token", "lora_kv", "kv"])
def test_a_concept_comes_back_as_it_was(backbone: Backbone, mode: LearningMode) -> None:
    made = concept(backbone, mode)
    read = Concept.from_bytes(made.to_bytes(), fingerprint=FINGERPRINT)
    assert torch.equal(read.token, made.token)
    assert (read.fingerprint, read.facts) == (FINGERPRINT, FACTS)
    assert len(read.keys) == len(read.values) == (0 if mode == "token" else len(backbone.layers))
    kind = Full if mode == "kv" else LowRank
    for ours, theirs in zip((*read.keys, *read.values), (*made.keys, *made.values), strict=True):
        assert type(ours) is type(theirs) is kind
        assert all(torch.equal(a, b) for a, b in zip(vars(ours).values(), vars(theirs).values(), strict=True))


def test_more_than_ten_layers_come_back_in_order() -> None:
    keys, values = (tuple(Full(torch.full((2, 2), float(i))) for i in range(start, start + 16)) for start in (0, 16))
    read = Concept.from_bytes(Concept(torch.zeros(2), keys, values, FINGERPRINT).to_bytes(), fingerprint=FINGERPRINT)
    assert [float(d.weight[0, 0]) for d in (*read.keys, *read.values) if isinstance(d, Full)] == list(range(32))


def test_an_inversion_comes_back_as_it_was() -> None:
    made = inversion()
    read = Inversion.from_bytes(made.to_bytes(), fingerprint=FINGERPRINT)
    for name in ("path", "null_states", "residuals"):
        assert torch.equal(getattr(read, name), getattr(made, name))
        assert getattr(read, name).dtype == torch.float32
    assert (read.tier, read.guidance_scale, read.facts) == ("negative_prompt", 1 / 3, {"inner_iterations": 7})
    assert (read.steps, read.fingerprint) == (2, FINGERPRINT)


def test_a_single_null_embedding_serves_every_step_and_several_one_each() -> None:
    one = inversion()
    assert torch.equal(one.null_state(0), one.null_state(1))
    several = Inversion(one.path, torch.randn(2, 32, 16), one.residuals, "null_text", 3.0)
    assert not torch.equal(several.null_state(0), several.null_state(1))
    assert torch.equal(several.null_state(1), several.null_states[1])


def test_the_same_values_are_the_same_bytes(backbone: Backbone) -> None:
    made, turned = concept(backbone), inversion()
    assert len({made.to_bytes() for _ in range(8)}) == 1
    assert len({turned.to_bytes() for _ in range(8)}) == 1


def test_another_models_files_are_refused(backbone: Backbone) -> None:
    with pytest.raises(ArtifactMismatch, match="another model"):
        Concept.from_bytes(concept(backbone).to_bytes(), fingerprint="b" * 32)
    with pytest.raises(ArtifactMismatch, match="another model"):
        Inversion.from_bytes(inversion().to_bytes(), fingerprint="b" * 32)


def test_one_kind_is_not_taken_for_the_other(backbone: Backbone) -> None:
    with pytest.raises(ArtifactMismatch, match="expected a s2edit-concept"):
        Concept.from_bytes(inversion().to_bytes(), fingerprint=FINGERPRINT)
    with pytest.raises(ArtifactMismatch, match="expected a s2edit-inversion"):
        Inversion.from_bytes(concept(backbone).to_bytes(), fingerprint=FINGERPRINT)


Read = Callable[[bytes], Any]


@pytest.fixture(params=["concept", "inversion"])
def kind(request: pytest.FixtureRequest, backbone: Backbone) -> tuple[bytes, Read]:
    if request.param == "concept":
        return concept(backbone).to_bytes(), lambda data: Concept.from_bytes(data, fingerprint=FINGERPRINT)
    return inversion().to_bytes(), lambda data: Inversion.from_bytes(data, fingerprint=FINGERPRINT)


@pytest.mark.parametrize(
    "data",
    [b"", b"\0" * 7, b"PK\x03\x04 a zip", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0[]", save({"token": torch.zeros(2)})],
    ids=["nothing", "too short", "a zip", "noise", "no header", "a stranger's safetensors"],
)
def test_what_is_no_file_of_ours_is_refused(kind: tuple[bytes, Read], data: bytes) -> None:
    with pytest.raises(ArtifactMismatch):
        kind[1](data)


def test_a_file_cut_off_anywhere_is_refused(kind: tuple[bytes, Read]) -> None:
    data, read = kind
    for length in range(0, len(data), max(1, len(data) // 97)):
        with pytest.raises(ArtifactMismatch):
            read(data[:length])


def test_a_damaged_header_is_refused_or_harmless(kind: tuple[bytes, Read]) -> None:
    """One byte of the header at a time: what cannot be read is a mismatch, and nothing else ever comes out."""
    data, read = kind
    refused = 0
    header = 8 + int.from_bytes(data[:8], "little")
    for at in range(header):
        damaged = data[:at] + bytes([data[at] ^ 0x01]) + data[at + 1 :]
        try:
            read(damaged)
        except ArtifactMismatch:
            refused += 1
    assert refused > header // 2

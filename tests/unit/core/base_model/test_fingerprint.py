"""What earlier releases have made is still recognised."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load, save

from s2edit_core.base_model.fingerprint import Fingerprints
from s2edit_core.concepts.concept import Concept
from s2edit_core.errors import ArtifactMismatch
from s2edit_core.method.inversion import Inversion
from s2edit_core.method.learning.learning import Checkpoint, learn_concepts
from s2edit_core.method.learning.learning_state import LearningState
from s2edit_core.method.learning.lesson import Lesson
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions, LearningOptions
from s2edit_core.request.spec import Progress
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive
from s2edit_jobs.library.concept_files import check_identity_file
from tests.tiny import tiny_backbone
from worker.engines.loaded_model import model_facts

STORED = Path(__file__).parent / "stored" / "concept-of-the-old-fingerprint.safetensors"
"""Learned by the release before the fingerprint was one of content, on the model that it shipped."""
OF_STORED = "0b77c135dc9a9f1da2b3b8686053a80b"
"""The old fingerprint of that model."""
SIDE = 64


def old_recipe(backbone: Backbone) -> str:
    """The fingerprint as that release computed it."""
    digest = hashlib.sha256()
    for part in (backbone.unet, backbone.vae, backbone.text_encoder):
        for name, tensor in sorted(part.state_dict().items()):
            digest.update(name.encode())
            digest.update(tensor.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    s = backbone.schedule
    digest.update(repr((s.alphas_cumprod.tolist(), s.steps_offset, s.set_alpha_to_one, s.prediction)).encode())
    return digest.hexdigest()[:32]


@pytest.fixture(scope="module")
def pipe() -> S2EditPipeline:
    return S2EditPipeline(tiny_backbone(dtype=torch.float32))


@pytest.fixture(scope="module")
def of_before(pipe: S2EditPipeline) -> bytes:
    """An identity of the tiny model in a file as that release wrote it: its header is that of the stored one."""
    with safe_open(STORED, "pt") as file:
        about = json.loads(file.metadata()["s2edit"])
    assert about["fingerprint"] == OF_STORED
    photo, mask = a_photo()
    options = LearningOptions(start_steps=1, token_steps=2, joint_steps=2, batch=2)
    learned = pipe.learn(photo, mask, about["facts"]["prompt"], about["subject"], options=options)
    about["fingerprint"] = old_recipe(pipe.backbone)
    return save(load(learned.to_bytes()), {"s2edit": json.dumps(about)})


def a_photo() -> tuple[Image.Image, Image.Image]:
    photo, mask = Image.new("RGB", (SIDE, SIDE), (200, 150, 120)), Image.new("L", (SIDE, SIDE))
    mask.paste(255, (18, 8, 46, 56))
    return photo, mask


def test_an_identity_of_before_still_loads_and_works(pipe: S2EditPipeline, of_before: bytes, tmp_path: Path) -> None:
    (tmp_path / "identity.safetensors").write_bytes(of_before)
    identity, fingerprints = pipe.load_concept(tmp_path / "identity.safetensors"), pipe.backbone.fingerprints
    assert identity.fingerprint == fingerprints.legacy != pipe.backbone.fingerprint
    assert identity.digest == hashlib.sha256(of_before).hexdigest()[:32]  # so inversions that remember it still fit
    assert Concept.from_bytes(identity.to_bytes(), fingerprint=fingerprints).digest == identity.digest
    photo, mask = a_photo()
    inversion = pipe.invert(photo, mask, concept=identity, options=InversionOptions(tier="residual"), num_inference_steps=2)
    old = Inversion.from_bytes(replace(inversion, fingerprint=identity.fingerprint).to_bytes(), fingerprint=fingerprints)
    done = pipe("a photo of a [I] woman with red hair", image=photo, mask=mask, identity=identity, inversion=old)
    assert done.latents.isfinite().all()


def test_an_export_of_before_is_still_taken_in(pipe: S2EditPipeline, of_before: bytes) -> None:
    assert check_identity_file(of_before, model_facts(pipe.backbone)).subject == "woman"


def test_the_stored_file_itself_can_be_read() -> None:
    stored = Concept.from_bytes(STORED.read_bytes(), fingerprint=OF_STORED)
    assert stored.digest == hashlib.sha256(STORED.read_bytes()).hexdigest()[:32]
    assert stored.subject == "woman"


def test_a_learning_of_before_goes_on(backbone32: Backbone) -> None:
    backbone = tiny_backbone(dtype=torch.float32)
    lesson = Lesson(torch.ones(4, 8, 8), torch.ones(32, 32), "a photo of a [I] woman", "woman")
    options = LearningOptions(start_steps=1, token_steps=2, joint_steps=2, batch=2)
    states: list[LearningState] = []

    def note(progress: Progress) -> None:
        if isinstance(progress, Checkpoint) and progress.state is not None:
            states.append(progress.state)

    (whole,) = drive(learn_concepts(backbone, (lesson,), options, every=2), backbone.evaluate, note)
    of_before = replace(states[0], fingerprint=old_recipe(backbone)).to_bytes()
    state = LearningState.from_bytes(of_before, fingerprint=backbone.fingerprints)
    (resumed,) = drive(learn_concepts(backbone, (lesson,), options, state=state), backbone.evaluate)
    assert resumed.to_bytes() == whole.to_bytes()
    with pytest.raises(ArtifactMismatch):
        LearningState.from_bytes(of_before, fingerprint=tiny_backbone(seed=1, dtype=torch.float32).fingerprints)


def test_the_old_recipe_is_kept(backbone: Backbone) -> None:
    assert backbone.fingerprints.legacy == old_recipe(backbone)
    assert old_recipe(backbone) in backbone.fingerprints
    assert backbone.fingerprint in backbone.fingerprints
    for other in ("", None, "0" * 32, backbone.fingerprint[:-1]):
        assert other not in backbone.fingerprints


def test_it_is_computed_only_when_something_of_before_is_met(backbone: Backbone) -> None:
    fingerprints = Fingerprints((backbone.unet, backbone.vae, backbone.text_encoder), backbone.schedule)
    assert fingerprints.current in fingerprints
    assert "legacy" not in vars(fingerprints)
    assert OF_STORED not in fingerprints
    assert "legacy" in vars(fingerprints)


def test_a_schedule_that_was_not_followed_then_made_nothing_that_fits_now(backbone: Backbone) -> None:
    """Earlier releases took "trailing" for "leading": their inversions are of other timesteps."""
    trailing = replace(backbone, schedule=replace(backbone.schedule, spacing="trailing"))
    assert trailing.fingerprints.legacy is None
    assert None not in trailing.fingerprints
    made = Concept(torch.zeros(16), fingerprint=old_recipe(backbone))
    with pytest.raises(ArtifactMismatch):
        Concept.from_bytes(made.to_bytes(), fingerprint=trailing.fingerprints)


def test_names_and_places_of_tensors_do_not_count(backbone: Backbone) -> None:
    class Renamed(torch.nn.Module):
        def __init__(self, part: torch.nn.Module) -> None:
            super().__init__()
            for i, tensor in enumerate(reversed(list(part.parameters()))):
                shape = (*tensor.shape, 1, 1) if tensor.ndim == 2 else tensor.shape  # a linear layer as a 1×1 convolution
                self.register_parameter(f"p{i}", torch.nn.Parameter(tensor.detach().reshape(shape), requires_grad=False))

    parts = [Renamed(part) for part in (backbone.unet, backbone.vae, backbone.text_encoder)]
    assert Fingerprints(parts, backbone.schedule).current == backbone.fingerprint
    with torch.no_grad():
        next(parts[1].parameters()).view(-1)[0] += 0.01
    assert Fingerprints(parts, backbone.schedule).current != backbone.fingerprint

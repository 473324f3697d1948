"""The reference way and this project's rows compute the same where their methods agree, in float64 on a tiny model."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from lab.speed.phases.reference import ReferenceWay
from lab.speed.subjects import Person
from s2edit_core.concepts.concept import Concept
from s2edit_core.concepts.conditioning import prompt_keys_values, word_embedding
from s2edit_core.method.editing import edit
from s2edit_core.method.inversion import Inversion, invert
from s2edit_core.pipeline import S2EditPipeline
from s2edit_core.request.options import InversionOptions
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import Row, drive
from tests.tiny import tiny_backbone

SOURCE, TARGET = "a photo of a [I] woman", "a photo of a [I] woman with red hair"
STEPS, GUIDANCE = 4, 3.0


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_backbone()


@pytest.fixture(scope="module")
def pipe(backbone: Backbone) -> S2EditPipeline:
    return S2EditPipeline(backbone)


@pytest.fixture(scope="module")
def person(pipe: S2EditPipeline) -> Person:
    torch.manual_seed(3)
    photo = Image.fromarray(torch.randint(0, 256, (32, 32, 3), dtype=torch.uint8).numpy())
    mask = Image.new("L", (32, 32))
    mask.paste(255, (4, 8, 28, 32))
    return Person(pipe.canvas(photo, mask), SOURCE, TARGET, "woman")


@pytest.fixture
def way(backbone: Backbone, person: Person) -> ReferenceWay:
    return ReferenceWay(backbone, person, guidance=GUIDANCE, dtype=torch.float64)


@pytest.fixture(scope="module")
def concept(backbone: Backbone) -> Concept:
    """The identity before anything is learned: the subject's embedding."""
    return Concept(word_embedding(backbone, "woman"), fingerprint=backbone.fingerprint, subject="woman")


def test_inversion_and_null_text_and_editing_agree(
    way: ReferenceWay, pipe: S2EditPipeline, person: Person, concept: Concept
) -> None:
    options = InversionOptions(tier="null_text", warm_start=False, inner_steps=10)
    source = pipe.source(person.canvas, SOURCE, concept)
    inversion: Inversion = drive(
        invert(pipe.backbone, way.latent, source, options, steps=STEPS, guidance_scale=GUIDANCE), pipe.backbone.evaluate
    )
    path = way.invert(STEPS)
    torch.testing.assert_close(path, inversion.path)
    nulls, inner = way.optimise_null(path, STEPS)
    assert inner == inversion.facts["inner_iterations"]
    torch.testing.assert_close(nulls, inversion.null_states, rtol=1e-5, atol=1e-8)
    target = prompt_keys_values(pipe.backbone, TARGET, {PLACEHOLDER: concept})
    gates = pipe.source(person.canvas, TARGET, concept).gates
    ours = drive(edit(pipe.backbone, inversion, target, gates, [concept]), pipe.backbone.evaluate)
    torch.testing.assert_close(way.edit(path[-1], nulls, STEPS), ours, rtol=1e-5, atol=1e-8)


def test_the_learning_loss_is_the_mean_of_the_rows_losses(
    way: ReferenceWay, pipe: S2EditPipeline, person: Person, concept: Concept
) -> None:
    draw, same = (torch.Generator().manual_seed(5) for _ in range(2))
    loss = way.noise_loss(way.states(SOURCE).detach(), 2, draw)
    schedule = pipe.backbone.schedule
    t = torch.randint(0, schedule.train_timesteps, (2,), generator=same)
    eps = torch.randn((2, *way.latent.shape), generator=same).to(way.latent)
    noisy = schedule.add_noise(way.latent[None].expand_as(eps), eps, t)
    source = pipe.source(person.canvas, SOURCE, concept)
    rows = tuple(Row(noisy[i], int(t[i]), source.prompt, source.gates, target=eps[i], weight=0.5) for i in range(2))
    answers = pipe.backbone.evaluate(rows)
    assert float(loss) == pytest.approx(sum(answer.loss or 0.0 for answer in answers))


def test_learning_changes_the_copy_and_not_the_shared_model(way: ReferenceWay, backbone: Backbone) -> None:
    before = {name: value.clone() for name, value in backbone.unet.state_dict().items()}
    losses = way.learn(3, way.attribute_words(), batch=2)
    assert len(losses) == 3
    assert all(torch.equal(value, before[name]) for name, value in backbone.unet.state_dict().items())
    changed = [name for name, value in way.unet.state_dict().items() if not torch.equal(value, before[name])]
    assert changed
    assert all(name.endswith(("attn2.to_k.weight", "attn2.to_v.weight")) for name in changed)
    assert not torch.equal(way.token, word_embedding(backbone, "woman"))


def test_it_forms_every_map(way: ReferenceWay, monkeypatch: pytest.MonkeyPatch) -> None:
    def fused(*_: object, **__: object) -> None:
        raise AssertionError("fused attention was called")

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", fused)
    way.predict(way.latent[None], 500, torch.zeros(way.backbone.tokenizer.model_max_length, 16), [None])

"""Where an edit acts is what the words say, whoever was learned."""

from __future__ import annotations

import torch

from s2edit_core.concepts.concept import Concept, Full
from s2edit_core.concepts.conditioning import conditioned, tokenize
from s2edit_core.method.injection import source_guide, where_prompts_differ
from s2edit_core.method.inversion import Inversion, Source, invert
from s2edit_core.request.options import InjectionOptions, InversionOptions
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.rows import drive

DIFFERENCE = InjectionOptions(blend="difference", blend_start=0.0)
SOURCE, TARGET = "a photo of a [I] woman with black hair", "a photo of a [I] woman with red hair"


def identity(backbone: Backbone, seed: int) -> Concept:
    """A person whose changes of K and V are as large as the model's own projections."""
    drawn = torch.Generator().manual_seed(seed)

    def changes(projections: list[torch.nn.Linear]) -> tuple[Full, ...]:
        return tuple(Full(torch.randn(each.weight.shape, generator=drawn, dtype=torch.float64)) for each in projections)

    keys, values = ([getattr(layer, name) for layer in backbone.layers] for name in ("to_k", "to_v"))
    width = backbone.layers[0].to_k.in_features
    token = torch.randn(width, generator=drawn, dtype=torch.float64)
    return Concept(token, changes(keys), changes(values), backbone.fingerprint, subject="woman")


def difference_with(backbone: Backbone, inversion: Inversion, concept: Concept) -> torch.Tensor:
    concepts = {concept.placeholder: concept}
    now = conditioned(backbone, tokenize(backbone, SOURCE, tuple(concepts)), concepts)
    source = Source(now.prompt, None, now.states, (concept,))
    guide = source_guide(backbone, source, SOURCE, TARGET, DIFFERENCE)
    return drive(where_prompts_differ(backbone, inversion, guide), backbone.evaluate)


def test_two_people_with_one_pair_of_prompts_are_edited_in_one_place(backbone: Backbone) -> None:
    """[I] was fitted to the source prompt alone: beside another word it may move what the word says nothing of."""
    one, other = (identity(backbone, seed) for seed in (1, 2))
    now = conditioned(backbone, tokenize(backbone, SOURCE, ("[I]",)), {"[I]": one})
    source = Source(now.prompt, None, now.states, (one,))
    latent = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(31), dtype=torch.float64)
    chosen = InversionOptions(tier="residual")
    inversion = drive(invert(backbone, latent, source, chosen, steps=5, guidance_scale=3.0), backbone.evaluate)
    place = difference_with(backbone, inversion, one)
    assert float(place.max()) == 1.0
    assert float(place.min()) < 0.5
    assert torch.equal(place, difference_with(backbone, inversion, other))

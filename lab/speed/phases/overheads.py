"""What a job spends beside UNet passes: time between kernels, auto-encoder, text side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from lab.speed.phases.passes import KINDS, PROMPT, WORD, rows_of
from lab.speed.record import Result
from lab.speed.timing import digits, peak_memory, seconds_of, time_work
from s2edit_core.concepts.concept import Concept, new_deltas
from s2edit_core.concepts.conditioning import conditioned, tokenize, word_embedding
from s2edit_core.method.learning.learner import attribute_state
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.backbone import Backbone

PROFILED = 5
"""Passes per profile."""
LONGEST, NAME = 25, 90
"""How many kernels a profile names, and by how many characters."""


def profile_pass(backbone: Backbone, count: int, *, gradients: bool) -> Result:
    """Return how a pass of `count` rows divides into kernels and the time between them.

    `pass_s` is measured without the profiler. `kernels_s` are the device's kernels alone, and `outside` is the share of the pass in
    which none runs. On a CPU, `kernels_s` is the time inside torch's operators, measured with the profiler's own cost in it.
    """
    rows = rows_of(backbone, KINDS["users-learning" if gradients else "users"], count)
    device = backbone.device

    def work() -> object:
        return backbone.evaluate(rows)

    timing = time_work(work, device, within_s=0.3, warm_ups=3)
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        seconds_of(lambda: [work() for _ in range(PROFILED)], device)
    on_cuda = device.type == "cuda"
    # On CUDA an operator and its kernels are events of their own, both with the kernels' time.
    events = [each for each in profiled.key_averages() if (each.device_type.name == "CUDA") == on_cuda]
    spent = sum(each.self_device_time_total if on_cuda else each.self_cpu_time_total for each in events) / 1e6 / PROFILED
    kernels = sum(each.count for each in events) / PROFILED
    return {
        "rows": count,
        "pass_s": digits(timing.median_s),
        "kernels_s": digits(spent),
        "kernels": round(kernels),
        "outside": digits(max(0.0, 1 - spent / timing.median_s), 3),
        "longest": {name: digits(seconds) for name, seconds in _longest(events, on_cuda=on_cuda)},
    }


def _longest(events: Sequence[Any], *, on_cuda: bool) -> list[tuple[str, float]]:
    """Return the kernels or operators that take longest, and their seconds per pass."""
    spent: dict[str, float] = defaultdict(float)
    for each in events:
        spent[each.key[:NAME]] += each.self_device_time_total if on_cuda else each.self_cpu_time_total
    largest = sorted(spent.items(), key=lambda pair: pair[1], reverse=True)[:LONGEST]
    return [(name, micros / 1e6 / PROFILED) for name, micros in largest]


def autoencoder(backbone: Backbone, counts: tuple[int, ...], *, within_s: float) -> Result:
    """Return the seconds of encoding and decoding by batch size, and of the backbone's own methods for one picture."""
    vae: Any = backbone.vae
    device, side = backbone.device, backbone.frame_size
    weights = next(vae.parameters())
    cells = side // backbone.latent_scale
    found: Result = {}
    for count in counts:
        pictures = torch.rand(count, 3, side, side, device=device, dtype=weights.dtype) * 2 - 1
        latents = torch.randn(count, vae.config.latent_channels, cells, cells, device=device, dtype=weights.dtype)
        works: dict[str, Callable[[], object]] = {
            "encode": lambda pictures=pictures: vae.encode(pictures).latent_dist.mode(),  # type: ignore[misc]
            "decode": lambda latents=latents: vae.decode(latents).sample,  # type: ignore[misc]
        }
        with torch.no_grad():
            for name, work in works.items():
                with peak_memory(device) as memory:
                    timing = time_work(work, device, within_s=within_s)
                found[f"{name} {count}"] = timing.about() | {"seconds_each": digits(timing.median_s / count)} | memory
    z = torch.randn(vae.config.latent_channels, cells, cells, device=device)
    found["decode_latent"] = time_work(lambda: backbone.decode_latent(z), device, within_s=within_s).about()
    return found | {"precision": str(weights.dtype).removeprefix("torch.")}


def text_side(backbone: Backbone, *, within_s: float) -> Result:
    """Return the seconds of the text side: a prompt to K and V, the same with gradients to a concept, an attribute word."""
    device = backbone.device
    tokens = tokenize(backbone, PROMPT, (PLACEHOLDER,))
    keys, values = new_deltas(backbone.layers, "lora_kv", 4, torch.Generator().manual_seed(0))
    token = word_embedding(backbone, WORD).clone().requires_grad_()
    concept = Concept(token, keys, values, subject=WORD)

    def forward() -> object:
        with torch.no_grad():
            return conditioned(backbone, tokens, {PLACEHOLDER: concept})

    def both() -> None:
        with torch.enable_grad():
            tensors = conditioned(backbone, tokens, {PLACEHOLDER: concept}).prompt.tensors()
        torch.autograd.backward(tensors, [torch.ones_like(each) for each in tensors])

    works: dict[str, Callable[[], object]] = {
        "prompt_to_kv": forward,
        "prompt_to_kv_with_gradients": both,
        "attribute_word": lambda: attribute_state(backbone, "hair"),
    }
    found: Result = {name: time_work(work, device, within_s=within_s).about() for name, work in works.items()}
    return found | {"attribute_words": len(backbone.card.word_bank(WORD))}

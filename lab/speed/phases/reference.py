"""The reference way: personalised editing as published, without anything that this project adds for speed.

It is written from the publications alone:

- Null-text inversion (arXiv 2211.09794): DDIM inversion at guidance 1; then, per timestep, up to 10 steps of a fresh Adam at the
  rate 0.01·(1 − i/100), stopped below 1e-5 + i·2e-5. DDIM sampling with guidance.
- S²Edit's abstract and figure 2: fine-tuning on one photo that learns the token [I], here together with the key and value
  projections of cross-attention as in Custom Diffusion (arXiv 2212.04488); orthogonality to attribute words; the mask on the
  token's attention map.

Everything is in float32, one job at a time, and every attention map is formed. Keys and values are projected inside the UNet in
every pass. The host reads the loss after every step. All weights that are not learned are frozen, which the published null-text
code leaves out; that makes this reference faster.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from lab.speed.subjects import Person, stock_copy
from s2edit_core.concepts.conditioning import prompt_gates, text_states, tokenize, word_embedding
from s2edit_core.method.learning.learner import attribute_state
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.attention import Gates, cross_layers
from s2edit_core.unet.backbone import Backbone

GUIDANCE = 7.5
INNER_STEPS, RATE, TOLERANCE = 10, 1e-2, 1e-5
TOKEN_RATE, WEIGHT_RATE, ORTHOGONALITY = 5e-3, 1e-5, 0.1
"""Common values, not the paper's own. They have no effect on the time of a step."""


@dataclass(eq=False)
class _Attention:
    """A diffusers attention processor that forms the map of every row, and multiplies it by gates `(rows, h·w, tokens)`."""

    gates: Tensor | None = None

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor | None = None, *_: Any, **__: Any) -> Tensor:
        context = hidden_states if encoder_hidden_states is None else encoder_hidden_states

        def heads(x: Tensor) -> Tensor:
            return x.view(*x.shape[:2], attn.heads, -1).transpose(1, 2)

        query, key, value = heads(attn.to_q(hidden_states)), heads(attn.to_k(context)), heads(attn.to_v(context))
        maps = (query @ key.transpose(-1, -2) * attn.scale).softmax(dim=-1)
        if self.gates is not None and encoder_hidden_states is not None:
            maps = maps * self.gates[:, None]
        out = (maps @ value).transpose(1, 2).flatten(2)
        return attn.to_out[1](attn.to_out[0](out)) / attn.rescale_output_factor  # type: ignore[no-any-return]


class ReferenceWay:
    """One job at a time on a model of its own: fine-tuning changes the weights, so a model serves one person."""

    def __init__(
        self, backbone: Backbone, person: Person, *, guidance: float = GUIDANCE, dtype: torch.dtype = torch.float32
    ) -> None:
        self.backbone, self.person, self.guidance = backbone, person, guidance
        self.unet = cast(Any, stock_copy(backbone.unet, dtype))
        self._layers = cross_layers(self.unet)
        self._processors = [_Attention() for _ in self._layers]
        self.unet.set_attn_processor({name: _Attention() for name in self.unet.attn_processors})
        for layer, processor in zip(self._layers, self._processors, strict=True):
            layer.attention.set_processor(processor)
        self.token = word_embedding(backbone, person.subject).clone()
        self.latent = backbone.encode_image(person.canvas.source()).to(dtype)
        size = (self.latent.shape[1], self.latent.shape[2])
        mask = {PLACEHOLDER: person.canvas.mask(person.canvas.identity_mask)}
        self._gates: dict[str, Gates | None] = {
            prompt: prompt_gates(backbone, prompt, mask, size) for prompt in (person.prompt, person.target)
        }

    @property
    def _schedule(self) -> Any:
        return self.backbone.schedule

    def states(self, prompt: str) -> Tensor:
        """Return the text states `(tokens, d)` of a prompt with the current token."""
        tokens = tokenize(self.backbone, prompt, (PLACEHOLDER,))
        return text_states(self.backbone, tokens, {PLACEHOLDER: self.token})

    @contextmanager
    def _gated(self, prompts: Sequence[str | None], rows: int) -> Iterator[None]:
        """Apply the gates of each row's prompt during a pass. A row without a prompt has none."""
        chosen = [self._gates[prompt] if prompt is not None else None for prompt in prompts]
        example = next((gates for gates in chosen if gates is not None), None)
        try:
            if example is not None:
                for i, processor in enumerate(self._processors):
                    ones = torch.ones_like(example[i])
                    stacked = torch.stack([ones if gates is None else gates[i] for gates in chosen]).to(self.latent)
                    processor.gates = stacked.expand(rows, -1, -1) if len(chosen) == 1 else stacked
            yield
        finally:
            for processor in self._processors:
                processor.gates = None

    def predict(self, z: Tensor, t: Tensor | int, states: Tensor, prompts: Sequence[str | None]) -> Tensor:
        """Return ε for the latents `z` `(rows, c, h, w)`. `prompts` chooses the gates: one for all rows, or one per row."""
        timesteps = torch.as_tensor(t, device=z.device).expand(len(z))
        with self._gated(prompts, len(z)):
            output = self.unet(z, timesteps, encoder_hidden_states=states.to(z).expand(len(z), -1, -1)).sample
        return self._schedule.to_epsilon(output, z, timesteps)  # type: ignore[no-any-return]

    # --- the stages --------------------------------------------------------------------------------------------

    @torch.no_grad()
    def attribute_words(self) -> Tensor:
        """Return the words that the token is to be orthogonal to, in text-feature space, `(n, d)`."""
        return torch.stack([attribute_state(self.backbone, word) for word in self.backbone.card.word_bank(self.person.subject)])

    def learn(self, steps: int, words: Tensor, *, batch: int, seed: int = 0) -> list[float]:
        """Fine-tune the token and the key and value weights on the photo, and return the loss of each step."""
        weights = [projection.weight for layer in self._layers for projection in (layer.to_k, layer.to_v)]
        self.token = self.token.detach().requires_grad_()
        for weight in weights:
            weight.requires_grad_()
        groups = [{"params": [self.token], "lr": TOKEN_RATE}, {"params": weights, "lr": WEIGHT_RATE}]
        optimiser = torch.optim.AdamW(groups, weight_decay=0.0)
        draw = torch.Generator().manual_seed(seed)
        losses = []
        with torch.enable_grad():
            for _ in range(steps):
                loss = self._learning_loss(batch, words, draw)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                losses.append(float(loss.detach()))
        for weight in weights:
            weight.requires_grad_(False)
        self.token = self.token.detach()
        return losses

    def _learning_loss(self, batch: int, words: Tensor, draw: torch.Generator) -> Tensor:
        """Return L = L_ldm + λ·L_semantic."""
        states = self.states(self.person.prompt)
        position = tokenize(self.backbone, self.person.prompt, (PLACEHOLDER,)).positions[PLACEHOLDER][0]
        semantic = F.cosine_similarity(states[position][None], words, dim=-1).square().mean()
        return self.noise_loss(states, batch, draw) + ORTHOGONALITY * semantic

    def noise_loss(self, states: Tensor, batch: int, draw: torch.Generator) -> Tensor:
        """Return L_ldm: the mean squared error of ε at `batch` random noise levels."""
        t = torch.randint(0, self._schedule.train_timesteps, (batch,), generator=draw).to(self.latent.device)
        eps = torch.randn((batch, *self.latent.shape), generator=draw).to(self.latent)
        noisy = self._schedule.add_noise(self.latent[None].expand_as(eps), eps, t)
        return F.mse_loss(self.predict(noisy, t, states, [self.person.prompt]), eps)

    @torch.no_grad()
    def invert(self, steps: int, *, first: int | None = None) -> Tensor:
        """Return the path of DDIM inversion at guidance 1; with `first`, only that many of its steps."""
        path, states = [self.latent], self.states(self.person.prompt)
        for t in list(reversed(self._schedule.timesteps(steps)))[:first]:
            eps = self.predict(path[-1][None], t, states[None], [self.person.prompt])[0]
            a, b = self._schedule.coefficients(t, steps)
            path.append((path[-1] - b * eps) / a)
        return torch.stack(path)

    def optimise_null(self, path: Tensor, steps: int, *, first: int | None = None, stop_early: bool = True) -> tuple[Tensor, int]:
        """Return one unconditional embedding per timestep, `(steps, tokens, d)`, and the number of inner steps taken.

        With `first`, only that many timesteps are optimised; `path` may then be any path of latents.
        """
        with torch.no_grad():
            states, null = self.states(self.person.prompt), self.states("")
        z, nulls, used = path[-1], [], 0
        for i, t in enumerate(self._schedule.timesteps(steps)[:first]):
            a, b = self._schedule.coefficients(t, steps)
            wanted = path[len(path) - 2 - i]
            with torch.no_grad():
                conditional = self.predict(z[None], t, states[None], [self.person.prompt])[0]
            null, count = self._optimise_one(z, wanted, conditional, null, t, (a, b, i), stop_early)
            used += count
            nulls.append(null)
            z = self._guided_step(z, t, steps, states, null, self.person.prompt)
        return torch.stack(nulls), used

    def _optimise_one(
        self,
        z: Tensor,
        wanted: Tensor,
        conditional: Tensor,
        start: Tensor,
        t: int,
        step: tuple[float, float, int],
        stop_early: bool,
    ) -> tuple[Tensor, int]:
        a, b, i = step
        null = start.detach().clone().requires_grad_()
        optimiser = torch.optim.Adam([null], lr=RATE * (1 - i / 100))
        count = 0
        with torch.enable_grad():
            while count < INNER_STEPS:
                count += 1
                unconditional = self.predict(z[None], t, null[None], [None])[0]
                guided = unconditional + self.guidance * (conditional - unconditional)
                loss = F.mse_loss(a * z + b * guided, wanted)
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
                if float(loss.detach()) < TOLERANCE + i * 2e-5 and stop_early:
                    break
        return null.detach(), count

    @torch.no_grad()
    def _guided_step(self, z: Tensor, t: int, steps: int, states: Tensor, null: Tensor, prompt: str) -> Tensor:
        both = self.predict(torch.stack([z, z]), t, torch.stack([null.to(states), states]), [None, prompt])
        eps = both[0] + self.guidance * (both[1] - both[0])
        a, b = self._schedule.coefficients(t, steps)
        return a * z + b * eps  # type: ignore[no-any-return]

    @torch.no_grad()
    def edit(self, start: Tensor, nulls: Tensor, steps: int, *, first: int | None = None) -> Tensor:
        """Return the latent that guided sampling of the target prompt draws from `start`; with `first`, after that many steps."""
        z, states = start, self.states(self.person.target)
        for i, t in enumerate(self._schedule.timesteps(steps)[:first]):
            z = self._guided_step(z, t, steps, states, nulls[min(i, len(nulls) - 1)], self.person.target)
        return z

    @torch.no_grad()
    def draw(self, z: Tensor) -> Tensor:
        """Return the picture of a latent, `(3, H, W)` in -1..1."""
        return self.backbone.decode_latent(z)

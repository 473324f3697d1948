"""Rows per second of UNet passes: the stock UNet beside `Backbone.evaluate`, for one user's rows and for rows of many users."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lab.speed.phases.flops import RowFlops
from lab.speed.record import Result
from lab.speed.timing import Timing, alternate, digits, peak_memory, time_work
from s2edit_core.concepts.concept import Concept, Delta, LowRank
from s2edit_core.concepts.conditioning import conditioned, prompt_gates, tokenize, word_embedding
from s2edit_core.device_faults import free_memory
from s2edit_core.errors import DeviceOutOfMemory
from s2edit_core.request.spec import PLACEHOLDER
from s2edit_core.unet.attention import Gates, KeysValues
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.pass_limit import PassLimit
from s2edit_core.unet.rows import Row, Rows

PROMPT, WORD = "a photo of a [I] woman", "woman"
RANK = 4


@dataclass(frozen=True)
class Kind:
    """A kind of pass. `users`: whether each row is of another user, or all of one."""

    title: str
    many_users: bool = False
    gated: bool = False
    gradients: bool = False
    stock: bool = False


KINDS = {
    "stock": Kind("stock UNet", stock=True),
    "users": Kind("rows of different users, with gates", many_users=True, gated=True),
    "users-learning": Kind("rows of different users, with gates and gradients", many_users=True, gated=True, gradients=True),
    "ungated": Kind("rows of different users, without gates", many_users=True),
    "one-user": Kind("rows of one user, with gates", gated=True),
    "one-user-learning": Kind("rows of one user, with gates and gradients", gated=True, gradients=True),
    "stock-gradients": Kind("stock UNet with gradients to the prompt", gradients=True, stock=True),
}


@dataclass(frozen=True, eq=False)
class User:
    """What a row holds of one user: random, but of the shapes of a learned person."""

    prompt: KeysValues
    gates: Gates | None


@torch.no_grad()
def random_user(backbone: Backbone, seed: int) -> User:
    """Return a user with a random token, random changes of K and V, and a random rectangle as the mask."""
    draw = torch.Generator().manual_seed(seed)
    word = word_embedding(backbone, WORD)
    token = word + torch.randn(word.shape, generator=draw).to(word) * word.std()

    def changes() -> tuple[Delta, ...]:
        made = []
        for layer in backbone.layers:
            out, width = layer.to_k.weight.shape
            down, up = torch.randn(RANK, width, generator=draw), torch.randn(out, RANK, generator=draw)
            made.append(LowRank(down.to(word) * width**-0.5, up.to(word) * 0.01))
        return tuple(made)

    concept = Concept(token, changes(), changes(), subject=WORD)
    side = backbone.frame_size
    mask = torch.zeros(side, side)
    left, top = (int(torch.randint(0, side // 2, (), generator=draw)) for _ in range(2))
    mask[top : top + side // 2, left : left + side // 2] = 1
    cells = side // backbone.latent_scale
    prompt = conditioned(backbone, tokenize(backbone, PROMPT, (PLACEHOLDER,)), {PLACEHOLDER: concept}).prompt
    return User(prompt, prompt_gates(backbone, PROMPT, {PLACEHOLDER: mask}, (cells, cells)))


def latents(backbone: Backbone, count: int, seed: int) -> Tensor:
    """Return `count` random latents of the model's own frame, in float32."""
    config: Any = backbone.unet.config
    shape = (count, config.in_channels, config.sample_size, config.sample_size)
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(backbone.device)


def rows_of(backbone: Backbone, kind: Kind, count: int, seed: int = 0) -> Rows:
    """Return `count` rows of a kind of pass, each at another timestep."""
    users = [random_user(backbone, seed + i) for i in range(count if kind.many_users else 1)] * (1 if kind.many_users else count)
    z, targets = latents(backbone, count, seed + 1), latents(backbone, count, seed + 2)
    last = backbone.schedule.train_timesteps - 1
    return tuple(
        Row(
            z[i],
            int(last * (i + 1) / (count + 1)),
            users[i].prompt,
            users[i].gates if kind.gated else None,
            target=targets[i] if kind.gradients else None,
        )
        for i in range(count)
    )


def warm_ups(backbone: Backbone) -> int:
    """Return how often a pass runs untimed: a graph is recorded at the third pass of its kind."""
    return 5 if backbone.graphs else 2


def stock_pass(unet: nn.Module, backbone: Backbone, count: int, *, gradients: bool, seed: int = 0) -> Callable[[], object]:
    """Return a call of the stock `unet` on `count` rows, all with one prompt."""
    weights = next(unet.parameters())
    z = latents(backbone, count, seed).to(weights.dtype)
    t = torch.linspace(1, backbone.schedule.train_timesteps - 1, count, device=z.device).long()
    tokens = backbone.tokenizer.model_max_length
    width = backbone.layers[0].to_k.in_features
    prompt = torch.randn(count, tokens, width, generator=torch.Generator().manual_seed(seed)).to(weights)

    def forward() -> Tensor:
        with torch.no_grad():
            return unet(z, t, encoder_hidden_states=prompt).sample  # type: ignore[no-any-return]

    def both() -> Tensor:
        states = prompt.clone().requires_grad_()
        unet(z, t, encoder_hidden_states=states).sample.float().square().mean().backward()
        assert states.grad is not None
        return states.grad

    return both if gradients else forward


@dataclass(frozen=True)
class Ceiling:
    """What a row costs at best."""

    flops: RowFlops
    matrix_tflops: float | None  # measured, in the precision of the passes; None: it could not be measured

    def about(self, rows_per_s: float, *, gradients: bool) -> Result:
        """Return the sustained rate, its share of the matrix rate, and how many times the floor a row takes."""
        tflops = rows_per_s * self.flops.of(gradients=gradients) / 1e12
        found: Result = {"tflops": digits(tflops)}
        if self.matrix_tflops:
            found |= {"share": digits(tflops / self.matrix_tflops), "times_floor": digits(self.matrix_tflops / tflops)}
        return found


def measure(
    backbone: Backbone, kind: Kind, buckets: tuple[int, ...], ceiling: Ceiling, *, within_s: float, stock: nn.Module | None = None
) -> Result:
    """Return seconds, rows per second, rates and peak memory by bucket. Stops at the first bucket that the memory can't hold."""
    found: Result = {}
    for count in buckets:
        try:
            found[str(count)] = _bucket(backbone, kind, count, ceiling, within_s, stock)
        except (DeviceOutOfMemory, torch.cuda.OutOfMemoryError) as error:
            found[str(count)] = {"error": f"too little memory: {str(error).splitlines()[0]}"}
            break
        finally:
            if backbone.device.type == "cuda":
                free_memory()
    one = found.get("1", {}).get("rows_per_s")
    best = max((each["rows_per_s"] for each in found.values() if "rows_per_s" in each), default=None)
    return {"title": kind.title, "buckets": found, "best_over_1": digits(best / one) if one and best else None}


def _bucket(
    backbone: Backbone, kind: Kind, count: int, ceiling: Ceiling, within_s: float, stock: nn.Module | None
) -> dict[str, Any]:
    work: Callable[[], object]
    if kind.stock:
        if stock is None:
            raise ValueError("a pass of the stock UNet needs one")
        work = stock_pass(stock, backbone, count, gradients=kind.gradients)
    else:
        rows = rows_of(backbone, kind, count)

        def work() -> object:
            return backbone.evaluate(rows)

    reductions = backbone.pass_limit.reductions
    with peak_memory(backbone.device) as memory:
        timing = time_work(work, backbone.device, within_s=within_s, warm_ups=warm_ups(backbone))
    if backbone.pass_limit.reductions > reductions:
        backbone.pass_limit = PassLimit()  # later phases find out for themselves
        raise DeviceOutOfMemory(f"a pass of {count} rows was split")
    # Like the ceiling, the share is of the fastest run: both are then free of what else a shared machine does.
    shares = ceiling.about(count / timing.fastest_s, gradients=kind.gradients)
    return timing.about() | {"rows_per_s": digits(count / timing.median_s)} | shares | memory


def identities(backbone: Backbone, counts: tuple[int, ...], *, within_s: float) -> Result:
    """Time passes of N rows of N users and of N rows of one user in turn, and return the ratio of their medians."""
    found: Result = {}
    for count in counts:
        for gradients in (False, True):
            kinds = {"many": Kind("", True, True, gradients), "one": Kind("", False, True, gradients)}
            rows = {name: rows_of(backbone, kind, count) for name, kind in kinds.items()}
            works: dict[str, Callable[[], object]] = {name: _evaluation(backbone, each) for name, each in rows.items()}
            for work in [*works.values()] * warm_ups(backbone):
                work()
            timings: dict[str, Timing] = alternate(works, backbone.device, within_s=within_s, least=5)
            many, one = timings["many"], timings["one"]
            name = f"{count}{' with gradients' if gradients else ''}"
            found[name] = {
                "many_users_s": digits(many.median_s),
                "one_user_s": digits(one.median_s),
                "ratio": digits(many.median_s / one.median_s),
                "runs": many.runs,
            }
    return found


def _evaluation(backbone: Backbone, rows: Rows) -> Callable[[], object]:
    return lambda: backbone.evaluate(rows)

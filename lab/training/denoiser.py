"""Joint training of the shipped denoiser and its text encoder on the latents of all pictures.

    python -m lab.training.denoiser --seconds 560

It may be started before the auto-encoder is trained: it compiles meanwhile, and its budget counts from when the auto-encoder is
there. At intervals and at the end it writes the averaged weights to `result/world-128`, and a sheet of samples. On a CPU, where
encoding every picture takes minutes, it keeps the latents in `latents/`.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from lab.training.alignment import COMPONENTS, Aligned, Features, features_of
from lab.training.autoencoder import WIDTHS as VAE_WIDTHS
from lab.training.autoencoder import encoder_digest, latent_scale, posterior
from lab.training.dataset import LATENT_CHANNELS, SIZE, Plan, save_shard
from lab.training.export import GUIDANCE, captioned_sheet, pipeline_of, stage_options, write_model
from lab.training.optimisers import Muon
from lab.training.starting import place, stitch
from lab.training.store import Arrays, Dice, Store, Tensors, joined, normalised, read_fields
from lab.training.tokenizer import MAX_TOKENS, build_tokenizer
from lab.training.trainer import Meter, MovingAverage, Run, compiled, mixed_precision, rate_at, use_fast_kernels
from lab.world.domain import UNSEEN

WIDTHS = (64, 96, 160, 224)
"""Of the levels with 32, 16, 8 and 4 cells a side; the middle ones have attention. 13.8 million weights."""
LATENT_SIDE = SIZE // latent_scale(VAE_WIDTHS)
BATCH = 512
PEAK = 1e-3
DROPPED = 0.1
"""Share of empty captions, for classifier-free guidance."""
ALIGNMENT = 0.3
"""Weight of the second task, the guess of the picture's features. A trained model needs it no more."""
SHAPES = (420.0, 140.0)
"""Half of the timesteps are drawn around the first of these, with the second as their deviation: where shapes are decided. One
deviation about the first spans signal-to-noise ratios from 1.2 to 0.12. The others are drawn from all."""
RENDERED = ("pixels", "tokens", "focus")
"""What is read of a shard."""
FOCUSED = 8.0
"""Weight, beside 1, of the errors where a named look shows: lips and lids are a hundredth of the picture."""
OUTER = ("unet.conv_in", "unet.conv_out", "head", "embeddings", "text_model.embeddings")
"""The first and last layers, whose weights are no matrices for Muon."""
SEED = 21


def build_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    torch.manual_seed(8)
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=128,
            intermediate_size=512,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            hidden_act="gelu",
        )
    )


def build_unet(widths: tuple[int, ...] = WIDTHS, latent_channels: int = LATENT_CHANNELS) -> UNet2DConditionModel:
    torch.manual_seed(9)
    return UNet2DConditionModel(
        sample_size=LATENT_SIDE,
        in_channels=latent_channels,
        out_channels=latent_channels,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        time_embedding_dim=384,  # that of the models of three levels, from which this one may start
        block_out_channels=widths,
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=16,
        cross_attention_dim=128,
    )


def build_scheduler() -> DDIMScheduler:
    """Return a schedule of the kind of Stable Diffusion's for v-prediction: the last step keeps its noise level, without clipping.

    Its last timestep has a signal-to-noise ratio of 0.0002. At 0.005, that of Stable Diffusion, the mean of 1,024 cells is still
    legible, so samples take their brightness from the initial noise, whatever the caption says of night and snow (Lin et al.,
    arXiv 2305.08891).

    A network that predicts ε must copy its input to a fraction of a percent where there is much noise, to say anything about the
    picture there. One that predicts v predicts the picture itself there.
    """
    return DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.02,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )


def loss_weight(alphas_cumprod: Tensor, t: Tensor, gamma: float = 5.0) -> Tensor:
    """Return the weight of the loss of v at timestep `t`: min(1, γ / SNR).

    Where there is little noise, errors of the clean latents are not worth more than at SNR γ (Hang et al., arXiv 2303.09556).
    Elsewhere it is the plain loss of v (Salimans and Ho, arXiv 2202.00512).
    """
    snr = alphas_cumprod[t] / (1 - alphas_cumprod[t])
    return (gamma / snr).clamp_max(1.0)


class Stage:
    """The training of the denoiser and the text encoder within its budget."""

    def __init__(self, plan: Plan, options: argparse.Namespace) -> None:
        self.device = torch.device(options.device)
        self.plan, self.options, self.result = plan, options, plan.work / "result"
        self.tokenizer = build_tokenizer(plan.words)
        self.scheduler = build_scheduler()
        self.text_encoder = build_text_encoder(self.tokenizer).to(self.device)
        self.unet = build_unet(tuple(options.widths), options.latent_channels).to(self.device)
        self.alphas = self.scheduler.alphas_cumprod.to(self.device)
        place(self.text_encoder, self.tokenizer, plan)  # first: a model to start from may have learned these names
        if options.start:
            print("taken over:", stitch(self.unet, self.text_encoder, self.tokenizer, options.start), flush=True)
        if self.device.type == "cpu":
            self.unet.set_attn_processor(AttnProcessor())  # on a CPU the fused kernel's backward pass takes three times as long
        else:
            self.unet.to(memory_format=torch.channels_last)
        self.empty = torch.tensor(plan.vocabulary.encode(""), device=self.device)
        self.aligned = Aligned(self.unet).to(self.device)
        self.parameters = [*self.aligned.parameters(), *self.text_encoder.parameters()]
        self.vae: AutoencoderKL | None = None
        self.features: Features | None = None
        self.latents = ""  # a name of what both make of the pictures

    def _run(self) -> Run:
        options = self.options
        assert self.vae is not None
        assert self.features is not None
        recipe = f"{self.plan.recipe} batch={options.batch} peak={options.peak} seed={SEED} widths={options.widths}"
        recipe += f" encoder={encoder_digest(self.vae)} features={self.features.digest}"
        recipe += f" alignment={options.alignment} looks={options.looks}"
        named = [*self.aligned.named_parameters(), *self.text_encoder.named_parameters()]
        outer = [parameter for name, parameter in named if name.startswith(OUTER)]
        inner = [parameter for name, parameter in named if not name.startswith(OUTER)]
        optimiser = Muon(inner, outer, peak=options.peak, decay=0.01)
        average = MovingAverage(self.parameters, 0.999)
        folder = self.plan.work / "checkpoints"
        return Run(folder, "denoiser", recipe, self.parameters, optimiser, average, options.seconds, options.save_every)

    def losses_of(
        self, unet: Any, z: Tensor, tokens: Tensor, t: Tensor, eps: Tensor, features: Tensor, focus: Tensor
    ) -> dict[str, Tensor]:
        """Return what to descend, and its parts: the mean squared errors of v, of v in the focus, and of the guessed features.

        `unet` is `aligned`, maybe compiled; `z` are latents of unit variance, `features` those of their pictures, and `focus`,
        `(n, 32, 32)`, is true where a named look shows.
        """
        a = self.alphas[t].view(-1, 1, 1, 1)
        with mixed_precision(self.device):
            states = self.text_encoder(tokens).last_hidden_state
            predicted, guess = unet((a.sqrt() * z + (1 - a).sqrt() * eps), t, states)
        errors = (predicted.float() - (a.sqrt() * eps - (1 - a).sqrt() * z)).square().mean(dim=1)
        squared = errors.mean(dim=(1, 2))
        focused = (errors * focus).mean(dim=(1, 2))
        seen = focus.float().mean(dim=(1, 2)).sum().clamp_min(1e-6)
        alignment = (guess.float() - features).square().mean()
        weight = loss_weight(self.alphas, t)
        loss = ((squared + FOCUSED * focused) * weight).mean() + self.options.alignment * alignment
        return {"loss": loss, "mse": squared.mean(), "focused": focused.sum() / seen, "alignment": alignment}

    def random_inputs(self) -> tuple[Tensor, ...]:
        """Return inputs of `losses_of` of random numbers, a batch of empty captions."""
        size, side = self.options.batch, LATENT_SIDE
        z, eps = torch.randn((2, size, self.options.latent_channels, side, side), device=self.device)
        t = torch.randint(len(self.alphas), (size,), device=self.device)
        features = torch.randn((size, COMPONENTS, 8, 8), device=self.device)
        focus = torch.zeros((size, side, side), dtype=torch.bool, device=self.device)
        return z, self.empty.expand(size, -1).contiguous(), t, eps, features, focus

    def compile(self) -> Any:
        """Return `aligned` compiled. It is tried on random latents, so that this can happen before there are real ones."""
        inputs = self.random_inputs()
        return compiled(self.aligned, lambda f: self.losses_of(f, *inputs)["loss"], self.parameters, wanted=self.options.compile)

    def wait_for_vae(self) -> None:
        folder = self.plan.work / "vae"
        while not folder.exists():
            time.sleep(0.5)
        self.vae = AutoencoderKL.from_pretrained(folder).to(self.device, memory_format=torch.channels_last).eval()
        self.features = features_of(self.plan, self.device)
        self.latents = f"{encoder_digest(self.vae)}-{self.features.digest}"

    def _encoded(self, fields: Tensors) -> Tensors:
        assert self.vae is not None
        assert self.features is not None
        with mixed_precision(self.device):
            mean, std = posterior(self.vae, normalised(fields["pixels"]), batch=400)
        kept = {"tokens": fields["tokens"], "focus": fields["focus"]}
        return {"mean": mean.half(), "std": std.half(), "features": self.features(fields["pixels"]), **kept}

    def read_latents(self, path: Path) -> Arrays:
        """Return what `_encoded` makes of the shard at `path`, from the file that an earlier call wrote, if there is one."""
        kept = self.plan.work / "latents" / self.latents / path.parent.name / path.name
        if not kept.exists():
            fields = {key: torch.from_numpy(value) for key, value in read_fields(*RENDERED)(path).items()}
            save_shard(kept, {key: value.numpy() for key, value in self._encoded(fields).items()})
        return read_fields("mean", "std", "features", "tokens", "focus")(kept)

    def inputs(self, store: Store, dice: Dice) -> tuple[Tensor, ...]:
        """Return latents, caption tokens, timesteps, noise, features and focus of a random batch."""
        batch, size = store.batch(self.options.batch, dice, self.options.looks), self.options.batch
        mean = joined(batch, "mean").float()
        z = mean + joined(batch, "std").float() * dice.normal(*mean.shape)
        every = joined(batch, "tokens")
        rows = torch.arange(size, device=self.device)
        tokens = every[rows, dice.below(every.shape[1], size)].long()
        dropped = dice.chance(DROPPED, size, 1)
        t = self.timesteps(size, dice)
        noise, features = dice.normal(*mean.shape), joined(batch, "features").float()
        return z, torch.where(dropped, self.empty, tokens), t, noise, features, joined(batch, "focus")

    def timesteps(self, size: int, dice: Dice) -> Tensor:
        mean, deviation = SHAPES
        middle = (mean + deviation * dice.normal(size)).long().clamp(0, len(self.alphas) - 1)
        return torch.where(dice.chance(0.5, size), middle, dice.below(len(self.alphas), size))

    def train(self) -> Run:
        """Train to the end of the budget, from the last checkpoint if there is one."""
        unet = self.compile()
        self.wait_for_vae()
        run = self._run()
        run.resume()
        if self.options.keep_latents:
            store = Store(self.plan, self.device, self.read_latents)
        else:
            store = Store(self.plan, self.device, read_fields(*RENDERED), self._encoded)
        store.grow()
        dice = Dice(self.device, SEED + run.step)
        print(f"denoiser: {store.counts} pictures encoded after {run.elapsed:.0f} s", flush=True)
        run.begin()
        meter = Meter(self.options.log_every)
        while run.share < 1:
            losses = self.losses_of(unet, *self.inputs(store, dice))
            run.descend(losses["loss"], rate_at(run.share, run.step, peak=self.options.peak))
            meter.add(self.options.batch, **losses)
            if meter.due:
                run.log(**meter.read(), pictures=sum(store.counts.values()))
                store.grow(limit=16)
            if run.save_if_due():
                self.export(run, 4)
        run.save()
        return run

    def export(self, run: Run, per_domain: int) -> None:
        """Write the averaged weights and a sheet of samples for captions of unseen pictures."""
        vae = AutoencoderKL.from_pretrained(self.plan.work / "vae")  # read anew: its decoder may have been trained on
        with run.average.applied(self.parameters):
            parts = {
                "vae": vae.to(self.device),
                "unet": self.unet,
                "text_encoder": self.text_encoder,
                "tokenizer": self.tokenizer,
                "scheduler": self.scheduler,
            }
            write_model(parts, self.plan, self.result / "world-128")
            self._sample(parts, per_domain)

    @torch.no_grad()
    def _sample(self, parts: dict[str, Any], per_domain: int) -> None:
        captions = [
            domain.caption(domain.sample(UNSEEN + i).attributes) for domain in self.plan.domains.values() for i in range(per_domain)
        ]
        seeds = [torch.Generator().manual_seed(i) for i in range(len(captions))]
        pipeline = pipeline_of({**parts, "scheduler": build_scheduler()})
        started = time.monotonic()
        made = []
        for i in range(0, len(captions), 12):
            made += pipeline(
                captions[i : i + 12],
                num_inference_steps=self.options.sample_steps,
                guidance_scale=GUIDANCE,
                generator=seeds[i : i + 12],
                height=128,
                width=128,
            ).images
        print(f"{len(made)} samples in {time.monotonic() - started:.1f} s", flush=True)
        captioned_sheet(made, captions).save(self.result / "samples.png")


def main() -> None:
    parser = stage_options(__doc__, seconds=560, batch=BATCH, peak=PEAK)
    parser.add_argument("--latent-channels", type=int, default=LATENT_CHANNELS)
    parser.add_argument("--widths", type=int, nargs="+", default=WIDTHS)
    parser.add_argument("--start", type=Path, help="folder of a model to start from, maybe one of latents of half the side")
    parser.add_argument("--looks", type=float, default=0.0, help="share of each batch that shows a named look, at least")
    parser.add_argument("--alignment", type=float, default=ALIGNMENT, help="weight of the guess of features")
    parser.add_argument("--keep-latents", action=argparse.BooleanOptionalAction, default=not torch.cuda.is_available())
    parser.add_argument("--sample-steps", type=int, default=50)
    options = parser.parse_args()
    use_fast_kernels()
    stage = Stage(Plan.of(options), options)
    run = stage.train()
    stage.export(run, 12)


if __name__ == "__main__":
    main()

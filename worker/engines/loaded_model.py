"""The loaded model: its facts for the API, the first use of its device, and the plan of its memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Protocol

import structlog
import torch

from s2edit_core.concepts.conditioning import prompt_keys_values
from s2edit_core.device_faults import free_memory, raising_device_faults
from s2edit_core.errors import ModelUnusable
from s2edit_core.request.domains import attribute_words_of
from s2edit_core.unet.backbone import Backbone
from s2edit_core.unet.recorded import SIZES
from s2edit_core.unet.rows import Row, Rows
from s2edit_jobs.setting_rules import missing_gpu
from s2edit_jobs.stores.model_facts import ModelFacts

log = structlog.get_logger(__name__)
SPARE = 0.1
"""The share of the free memory that a plan leaves: for fragments, and for what was not measured."""


def model_facts(backbone: Backbone) -> ModelFacts:
    """Return what the API needs to know of the model."""
    width = int(backbone.text_encoder.get_input_embeddings().weight.shape[1])  # type: ignore[operator]
    layers = tuple((int(layer.to_k.weight.shape[0]), int(layer.to_k.weight.shape[1])) for layer in backbone.layers)
    return ModelFacts(
        fingerprint=backbone.fingerprint,
        legacy_fingerprint=backbone.fingerprints.legacy,
        width=width,
        layers=layers,
        subjects=backbone.card.subjects,
        attribute_words=attribute_words_of(backbone.card.domains),
        domains=backbone.card.domains,
    )


def choose_device(name: str) -> str:
    """Return the torch device that `S2EDIT_DEVICE` names. Raise `ModelUnusable` if this machine has none such."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if (problem := missing_gpu(name, gpus)) is not None:
        raise ModelUnusable(problem)
    return ("cuda" if gpus else "cpu") if name == "auto" else name


def prove_device(backbone: Backbone) -> None:
    """Evaluate one row, so that a device that is lost, full or computes no numbers fails before a job is claimed for it.

    Raise `DeviceFault` or `NumbersNotFinite`.
    """
    with raising_device_faults():
        backbone.evaluate(_blank_rows(backbone, 1))


class Meter(Protocol):
    """Measures the memory of a device."""

    def free(self) -> int:
        """Return the bytes that this process could take beyond those that it holds now."""

    def peak(self, work: Callable[[], object]) -> int:
        """Do `work`, and return the most bytes that it held at a time beyond those that were held before."""


class CudaMeter:
    def __init__(self, device: torch.device) -> None:
        self._device = device

    def free(self) -> int:
        unused = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(self._device)
        return int(torch.cuda.mem_get_info(self._device)[0]) + int(unused)

    def peak(self, work: Callable[[], object]) -> int:
        free_memory()
        torch.cuda.reset_peak_memory_stats(self._device)
        before = torch.cuda.memory_allocated(self._device)
        work()
        torch.cuda.synchronize(self._device)
        return int(torch.cuda.max_memory_allocated(self._device) - before)


@dataclass(frozen=True)
class MemoryPlan:
    """What the memory of a device allows: `free` bytes beside the model, and the measured peaks of work.

    `passes` are those of UNet passes by their number of rows, with and without gradients, and `job` is that of the auto-encoder,
    which each job may use at any time.
    """

    free: int
    passes: Mapping[int, int]
    job: int

    def choose(self, most_jobs: int) -> tuple[int, int]:
        """Return the rows of the largest pass and the jobs at a time, at most `most_jobs`.

        A pass is never larger than memory allows beside the jobs that could fill it. At least one row and one job.
        """
        room = self.free * (1 - SPARE)
        for rows in sorted(self.passes, reverse=True):
            jobs = min(most_jobs, int((room - self.passes[rows]) // max(1, self.job)))
            if jobs >= min(most_jobs, rows):
                return rows, jobs
        least = min(self.passes, default=1)
        return least, max(1, min(most_jobs, int((room - self.passes.get(least, 0)) // max(1, self.job))))


def fit_device(backbone: Backbone, jobs: int) -> int | None:
    """Prove the device, and limit passes to what it has memory for. Return the jobs at a time, at most `jobs`.

    Only CUDA devices are measured: return None for others. The CPU needs no proof. Raise as `prove_device`.
    """
    if backbone.device.type != "cpu":
        prove_device(backbone)
    if backbone.device.type != "cuda":
        return None
    plan = plan_memory(backbone, CudaMeter(backbone.device))
    rows, allowed = plan.choose(jobs)
    backbone.pass_limit.most = rows
    log.info("the device's memory is measured", action="memory_planned", **asdict(plan), rows=rows, jobs=allowed)
    return allowed


def plan_memory(backbone: Backbone, meter: Meter) -> MemoryPlan:
    """Measure the peaks of passes and of the auto-encoder. Sizes that cannot fit, by the peak of the last one, are left out.

    Raise `DeviceFault`.
    """
    learns = backbone.dtype != torch.float16
    found: dict[int, int] = {}
    with raising_device_faults():
        frame = torch.zeros(3, backbone.frame_size, backbone.frame_size)
        job = meter.peak(lambda: backbone.decode_latent(backbone.encode_image(frame)))
        free = meter.free()
        for rows in (size for size in SIZES if size <= backbone.max_rows):
            if any(peak * rows / last > free * (1 - SPARE) for last, peak in list(found.items())[-1:]):
                break
            kinds = (False, True) if learns else (False,)
            found[rows] = max(_peak_of_pass(backbone, meter, rows, gradients=kind) for kind in kinds)
    return MemoryPlan(free, found, job)


def _peak_of_pass(backbone: Backbone, meter: Meter, rows: int, *, gradients: bool) -> int:
    blank = _blank_rows(backbone, rows, gradients=gradients)
    return meter.peak(lambda: backbone.evaluate(blank))


def _blank_rows(backbone: Backbone, count: int, *, gradients: bool = False) -> Rows:
    side = backbone.frame_size // backbone.latent_scale
    channels: int = backbone.unet.config.in_channels  # type: ignore[union-attr, assignment]
    latent = torch.zeros(channels, side, side, device=backbone.device)
    prompt = prompt_keys_values(backbone, "", {})
    return tuple(Row(latent, 1, prompt, target=latent if gradients else None) for _ in range(count))

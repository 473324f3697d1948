"""The precision of the UNet's weights and activations. Latents, ε, losses and the schedule stay in float32 or better."""

from __future__ import annotations

from typing import Literal, get_args

import torch

Precision = Literal["auto", "fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
BF16_CAPABILITY = (8, 0)
"""The CUDA compute capability from which bf16 is computed by the hardware."""


def choose_dtype(precision: str, device: str | torch.device) -> torch.dtype:
    """Return the dtype that `precision` means on `device`. "auto" is bf16 on GPUs that compute it, and fp32 elsewhere.

    fp16 can only edit: its gradients vanish, so `Backbone.evaluate` refuses rows that learn. Raises `ValueError` for another name.
    """
    if precision not in get_args(Precision):
        raise ValueError(f"a precision must be one of {', '.join(get_args(Precision))}, not {precision!r}")
    if precision != "auto":
        return DTYPES[precision]
    device = torch.device(device)
    capable = device.type == "cuda" and torch.cuda.get_device_capability(device) >= BF16_CAPABILITY
    return torch.bfloat16 if capable else torch.float32


def use_tensor_cores() -> None:
    """Let CUDA round the factors of float32 products and convolutions to TF32, with 10 bits of mantissa, in the whole process.

    On an H100 that is eight times the rate of float32.
    """
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.allow_tf32 = True

"""Recognise exceptions which mean that the device has failed or is out of memory, whatever was computed.

torch raises `OutOfMemoryError` and `AcceleratorError`, which are `RuntimeError`s. For errors of cuBLAS, cuDNN and similar libraries
it raises plain `RuntimeError`s, which only their messages identify. CUDA reports an error asynchronously, at the next
synchronisation with the device. After most errors the CUDA context is lost, and every further call of the process fails.
"""

from __future__ import annotations

import errno
import gc
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import torch

from s2edit_core.errors import DeviceFault, DeviceOutOfMemory

NO_MEMORY = re.compile(
    r"out of memory|_STATUS_ALLOC_FAILED|can't allocate memory|(?:cannot|unable to) allocate memory", re.IGNORECASE
)
"""In the messages of CUDA, HIP, XPU and MPS, of cuBLAS and cuDNN, and of torch's allocator on the CPU."""
DEVICE_FAILED = re.compile(
    r"\b(?:CUDA|HIP|cu(?:BLAS|DNN|FFT|SOLVER|SPARSE|RAND)|NCCL|MIOpen|roc(?:BLAS|SOLVER)|XPU|MPS|Metal)\b[\w ]{0,20} (?:error|fail)"
    r"|\b(?:CU(?:BLAS|DNN|SOLVER|SPARSE)|MIOPEN|ROCBLAS|HIPBLAS)_STATUS_"
    r"|Triton Error \[(?:CUDA|HIP)"
    r"|device-side assert|unspecified launch failure|uncorrectable ECC|UR_RESULT_ERROR|\bPI_ERROR_"
    r"|No (?:CUDA|HIP|XPU) (?:GPUs|devices) are available|driver shutting down|Command buffer execution failed",
    re.IGNORECASE,
)
"""In the messages of drivers and of the libraries beside torch."""

Result = TypeVar("Result")


def fault_of(error: BaseException) -> DeviceFault | None:
    """Return the failure of the device or of the host's memory that `error` reports, or None for every other error."""
    if isinstance(error, DeviceFault):
        return error
    if _is_out_of_memory(error):
        return DeviceOutOfMemory(f"there is too little memory ({type(error).__name__}): use a device or machine with more")
    if isinstance(error, torch.AcceleratorError) or (isinstance(error, RuntimeError) and DEVICE_FAILED.search(str(error))):
        return DeviceFault(f"the device has failed ({type(error).__name__}): start a new process, or use another device")
    return None


@contextmanager
def raising_device_faults() -> Iterator[None]:
    """Raise `DeviceFault` in place of what torch raises for one, with torch's error as its cause."""
    try:
        yield
    except Exception as error:
        fault = fault_of(error)
        if fault is None or fault is error:
            raise
        raise fault from error


def with_freed_memory(compute: Callable[[], Result]) -> Result:
    """Return `compute()`. If it runs out of memory, free unused memory and try once more. Raise `DeviceOutOfMemory`."""
    with raising_device_faults():
        try:
            return compute()
        except Exception as error:
            if not _is_out_of_memory(error):
                raise
        free_memory()  # outside the handler: the error's traceback holds the tensors of what has failed
        return compute()


def free_memory() -> None:
    """Return unused memory to the device."""
    gc.collect()
    if torch.accelerator.is_available():
        torch.accelerator.memory.empty_cache()


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    if isinstance(error, MemoryError | torch.OutOfMemoryError | DeviceOutOfMemory):
        return True
    return isinstance(error, RuntimeError) and NO_MEMORY.search(str(error)) is not None

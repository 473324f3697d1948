"""Which exceptions count as faults of the device."""

from __future__ import annotations

import errno

import pytest
import torch

from s2edit_core.device_faults import fault_of, raising_device_faults, with_freed_memory
from s2edit_core.errors import DeviceFault, DeviceOutOfMemory, NumbersNotFinite, PromptInvalid

STICKY = [
    torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors might be asynchronous"),
    torch.AcceleratorError("CUDA error: device-side assert triggered"),
    torch.AcceleratorError("CUDA error: unspecified launch failure"),
    torch.AcceleratorError("CUDA error: uncorrectable ECC error encountered"),
    torch.AcceleratorError("CUDA error: the launch timed out and was terminated"),
    torch.AcceleratorError("HIP error: hipErrorNoBinaryForGpu"),
    RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, opa, opb, m, n, k)`"),
    RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"),
    RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
    RuntimeError("cuFFT error: CUFFT_EXEC_FAILED"),
    RuntimeError("cusolver error: CUSOLVER_STATUS_INTERNAL_ERROR, when calling `cusolverDnCreate(handle)`"),
    RuntimeError("NCCL error in: ProcessGroupNCCL.cpp:1970, unhandled cuda error"),
    RuntimeError("CUDA driver error: invalid argument"),
    RuntimeError("MPS backend error: the command buffer was aborted"),
    RuntimeError("Triton Error [CUDA]: device-side assert triggered"),
    RuntimeError("No CUDA GPUs are available"),
    RuntimeError("level_zero backend failed with error: 20 (UR_RESULT_ERROR_DEVICE_LOST)"),
    DeviceFault("lost"),
]
NO_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    torch.AcceleratorError("CUDA error: out of memory\nCUDA kernel errors might be asynchronous"),
    RuntimeError("HIP out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("XPU out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("MPS backend out of memory (MPS allocated: 18.09 GB)"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000000 bytes."),
    MemoryError(),
    OSError(errno.ENOMEM, "Cannot allocate memory"),
    DeviceOutOfMemory("too little"),
]
OTHERS = [
    RuntimeError("The size of tensor a (64) must match the size of tensor b (32) at non-singleton dimension 3"),
    RuntimeError("Expected all tensors to be on the same device, but found at least two devices, cuda:0 and cpu!"),
    ValueError("CUDA error"),
    PromptInvalid("a prompt about CUDA error and out of memory", field="prompt"),
    NumbersNotFinite("not finite"),
    OSError(errno.ENOSPC, "No space left on device"),
    KeyError("out of memory"),
    KeyboardInterrupt(),
]


def test_torch_really_raises_what_the_list_of_messages_expects() -> None:
    with pytest.raises(RuntimeError) as failed:
        torch.empty(10**15)
    assert isinstance(fault_of(failed.value), DeviceOutOfMemory)


@pytest.mark.parametrize("error", STICKY, ids=str)
def test_a_failed_device_is_a_sticky_fault(error: Exception) -> None:
    fault = fault_of(error)
    assert type(fault) is DeviceFault
    assert fault.sticky


@pytest.mark.parametrize("error", NO_MEMORY, ids=repr)
def test_too_little_memory_is_a_fault_that_passes(error: Exception) -> None:
    fault = fault_of(error)
    assert isinstance(fault, DeviceOutOfMemory)
    assert not fault.sticky


@pytest.mark.parametrize("error", OTHERS, ids=repr)
def test_everything_else_is_no_fault(error: BaseException) -> None:
    assert fault_of(error) is None


@pytest.mark.parametrize("error", [*STICKY, *NO_MEMORY, *OTHERS], ids=repr)
def test_the_guard_changes_faults_alone(error: BaseException) -> None:
    fault = fault_of(error)
    with pytest.raises(BaseException) as raised, raising_device_faults():  # noqa: PT011 - the very one, below
        raise error
    if fault is None or fault is error:
        assert raised.value is error
    else:
        assert type(raised.value) is type(fault)
        assert raised.value.__cause__ is error
        assert "CUDA" not in str(raised.value), "the message does not repeat the library's"


def test_a_computation_is_tried_again_once_memory_was_freed() -> None:
    tries: list[int] = []

    def compute() -> int:
        tries.append(1)
        if len(tries) < 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return len(tries)

    assert with_freed_memory(compute) == 2


def test_but_not_a_third_time() -> None:
    tries: list[int] = []

    def compute() -> None:
        tries.append(1)
        raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(DeviceOutOfMemory):
        with_freed_memory(compute)
    assert len(tries) == 2

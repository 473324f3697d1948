"""Which messages of exceptions the log keeps, and what is scrubbed from them."""

from __future__ import annotations

import builtins
import errno
import json
import socket
import ssl
from collections.abc import Callable

import botocore.exceptions
import kombu.exceptions
import pytest
import redis
import torch
from PIL import Image, UnidentifiedImageError

from s2edit_core.errors import PromptInvalid
from s2edit_jobs.error_messages import MAX_CHARACTERS, message_of
from s2edit_jobs.logs import describe
from s2edit_jobs.records.errors import ArtifactsUnavailable

USER = "canaryuser77"
PROMPT = "canaryword a woman"


def raised(error: Exception) -> Exception:
    """Return the error with a traceback of this module."""
    try:
        raise error
    except Exception as caught:
        return caught


def by(call: Callable[[], object]) -> BaseException:
    """Return what a call raises."""
    try:
        call()
    except Exception as caught:
        return caught
    raise AssertionError("nothing was raised")


def client_error(message: str) -> botocore.exceptions.ClientError:
    return botocore.exceptions.ClientError({"Error": {"Code": "AccessDenied", "Message": message}}, "PutObject")


KEPT: dict[str, tuple[Exception, str]] = {
    "CUDA": (
        torch.AcceleratorError("CUDA error: an illegal memory access was encountered\nCUDA kernel errors"),
        "illegal memory access",
    ),
    "memory": (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1 GiB free"),
        "Tried to allocate 2.00 GiB",
    ),
    "cuBLAS": (
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm( handle, m)`"),
        "cublasSgemm( handle, m)",
    ),
    "cuDNN": (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), "CUDNN_STATUS_INTERNAL_ERROR"),
    "S3 refuses": (client_error("Access Denied"), "(AccessDenied) when calling the PutObject operation: Access Denied"),
    "S3 is away": (
        botocore.exceptions.EndpointConnectionError(
            endpoint_url=f"http://store:9000/bucket/t/app/u/{USER}/edits/e_1/x.png?X-Amz-Signature=ab"
        ),
        "http://store:9000/…",
    ),
    "Redis is away": (redis.ConnectionError("Error 111 connecting to 127.0.0.1:6379. Connection refused."), "127.0.0.1:6379"),
    "Redis has a wrong type": (
        redis.ResponseError(f"WRONGTYPE of s2edit:line:app/{USER} in script"),
        "WRONGTYPE of s2edit:… in script",
    ),
    "Celery's broker": (
        kombu.exceptions.OperationalError("Error 111 connecting to redis://:hunter2@host:6379/0"),
        "redis://host:6379/…",
    ),
    "the disk": (
        OSError(errno.ENOSPC, "No space left on device", f"/data/artifacts/t/app/u/{USER}/x.png"),
        "[Errno 28] No space left on device",
    ),
    "the network": (socket.gaierror(-2, "Name or service not known"), "Errno -2"),
    "TLS": (ssl.SSLError(1, "certificate verify failed"), "Errno 1"),
}


@pytest.mark.parametrize("name", KEPT)
def test_what_a_library_says_is_kept(name: str) -> None:
    error, expected = KEPT[name]
    message = message_of(raised(error))
    assert message is not None
    assert expected in message
    assert expected in describe(raised(error))
    for secret in (USER, "hunter2", "Signature=ab"):
        assert secret not in message


def test_torch_s_own_errors_are_kept_wherever_they_come_from() -> None:
    shapes = by(lambda: torch.nn.functional.linear(torch.zeros(2, 3), torch.zeros(4, 5)))
    assert "DefaultCPUAllocator" in str(message_of(by(lambda: torch.empty(10**15))))
    assert message_of(shapes) is None, "raised by C++ from our own frame, and not known to be torch's"
    inside = by(lambda: torch.nn.Linear(3, 4)(torch.zeros(2, 5)))
    assert "cannot be multiplied" in str(message_of(inside))


DROPPED: dict[str, Callable[[], BaseException]] = {
    "a bug": lambda: raised(RuntimeError(f"about {PROMPT}")),
    "a value": lambda: raised(ValueError(PROMPT)),
    "a key": lambda: raised(KeyError(PROMPT)),
    "an input": lambda: raised(PromptInvalid(f"no subject in {PROMPT!r}", field="prompt")),
    "JSON": lambda: by(lambda: json.loads(f'{{"prompt": "{PROMPT}')),
    "a picture": lambda: by(lambda: Image.open(__file__)),
    "an unknown picture": lambda: raised(UnidentifiedImageError(PROMPT)),
    "text": lambda: by(lambda: f"{PROMPT}é".encode("ascii")),
    "a file of ours": lambda: raised(OSError(f"could not read {PROMPT}")),
    "a key that is missing": lambda: raised(FileNotFoundError(f"t/app/u/{USER}")),
    "our own error": lambda: raised(ArtifactsUnavailable(f"t/app/u/{USER}")),
    "a type": lambda: by(lambda: int(PROMPT)),
}


@pytest.mark.parametrize("name", DROPPED)
def test_what_may_quote_a_user_is_not(name: str) -> None:
    error = DROPPED[name]()
    assert "canary" not in str(message_of(error))
    assert "canary" not in describe(error).splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"CUDA at /data/t/app/u/{USER}/edits/e_1 failed", "CUDA at /… failed"),
        ("CUDA /pytorch/aten/src/ATen/native/cuda/Scatter.cu:115: failed", "CUDA /…/Scatter.cu:115: failed"),
        (f"CUDA t/app/u/{USER}/x failed", "CUDA t/… failed"),
        (f"CUDA https://u:p@host:1/t/app?user={USER}", "CUDA https://host:1/…"),
        (f"CUDA \"{PROMPT}\" and '{PROMPT}'", "CUDA \"…\" and '…'"),
        ("CUDA password=hunter2 next", "CUDA password=… next"),
    ],
)
def test_what_could_name_a_user_is_scrubbed(text: str, expected: str) -> None:
    assert message_of(RuntimeError(text)) == expected


def test_a_long_message_is_cut() -> None:
    message = message_of(torch.AcceleratorError("CUDA " + "x" * 10_000 + "\n" * 50 + "end"))
    assert message is not None
    assert len(message) <= MAX_CHARACTERS


def test_the_cause_of_an_error_of_ours_is_told() -> None:
    try:
        raise ArtifactsUnavailable("the object store does not answer") from client_error("Access Denied")
    except ArtifactsUnavailable as error:
        text = describe(error)
    assert "Access Denied" in text
    assert text.index("Access Denied") < text.index("ArtifactsUnavailable")
    assert text.splitlines()[-1] == "s2edit_jobs.records.errors.ArtifactsUnavailable"


def test_nothing_is_said_of_nothing() -> None:
    assert message_of(None) is None
    assert message_of(builtins.MemoryError()) is None

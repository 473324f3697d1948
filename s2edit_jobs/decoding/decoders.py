"""The pool of decoder processes (`decoder_process.py`), as the API and the worker use it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from multiprocessing import Pipe
from pathlib import Path
from typing import Any, NamedTuple

from s2edit_core import errors
from s2edit_core.errors import ImageInvalid, InvalidInput
from s2edit_core.request.picture_limits import CEILING_PIXELS, MAX_FILE_BYTES
from s2edit_core.request.spec import MaskMode
from s2edit_jobs.decoding.decoder_process import too_costly

ANSWER_TIMEOUT_S = 60.0
"""Seconds after which a process that has neither answered nor died is killed: it uses no CPU time, so SIGPROF does not end it."""
EXIT_TIMEOUT_S = 2.0
"""Seconds to wait for a process to exit before killing it."""
LIMIT_SIGNALS = (-signal.SIGPROF, -signal.SIGKILL)
"""Exit statuses of a process that ran out of CPU time or was killed by the kernel's out-of-memory killer."""
MAX_ANSWER_BYTES = 65_536
SECRETS = ("S2EDIT_", "AWS_")
"""Prefixes of environment variables that the processes do not inherit."""
Modes = Mapping[str, MaskMode]
AUTO: Modes = {}
ROOT = Path(__file__).resolve().parents[2]


class _Decoder:
    """One decoder process. It exits when the connection closes, so also when this process dies."""

    def __init__(self, large: threading.Semaphore) -> None:
        """Start the process. `large` is the semaphore of the one process that may use much memory."""
        self.usable = True
        self._large = large
        self._connection, its = Pipe()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "s2edit_jobs.decoding.decoder_process", str(its.fileno())],
                cwd=ROOT,
                env={
                    **environment,
                    "OPENBLAS_NUM_THREADS": "1",
                    "OMP_NUM_THREADS": "1",
                },  # each thread counts against the memory limit
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
                start_new_session=True,
            )
        finally:
            its.close()

    def ask(self, name: str, data: bytes, **how: Any) -> dict[str, Any]:
        """Send a file and return the answer. `how` holds further fields of `decoder_process.DecodeRequest`.

        Raise `OSError` or `EOFError` if the process dies, `TimeoutError` if it hangs.
        """
        self.usable = False  # until it has answered
        self._connection.send_bytes(json.dumps({"name": name, "file_bytes": len(data), **how}).encode())
        self._connection.send_bytes(data)
        answer = self._answer()
        if "takes_bytes" in answer:
            with self._large:
                self._connection.send_bytes(b"take it")
                answer = self._answer()
        self.usable = True
        return answer

    def _answer(self) -> dict[str, Any]:
        if not self._connection.poll(ANSWER_TIMEOUT_S):
            raise TimeoutError
        answer: dict[str, Any] = json.loads(self._connection.recv_bytes(MAX_ANSWER_BYTES))
        return answer

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> int:
        """Stop the process, by SIGKILL if it does not exit by itself. Return its exit status as `Popen` does."""
        self._connection.close()
        try:
            return self._process.wait(EXIT_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class _CheckedFile(NamedTuple):
    """The answer for a file: width and height of the photo as used, Exif orientation, pixel count before scaling down."""

    size: Sequence[int]
    orientation: int
    sent_pixels: int


def _check_file(
    decoder: _Decoder,
    name: str,
    data: bytes,
    size: Sequence[int] | None,
    mode: MaskMode = "auto",
    *,
    max_pixels: int | None = None,
    person: bool = False,
    sent_pixels: int | None = None,
) -> _CheckedFile:
    """Check one file. Raise `InvalidInput`; afterwards `decoder.usable` may be False."""
    if len(data) > MAX_FILE_BYTES:
        raise too_costly(name)
    try:
        answer = decoder.ask(name, data, size=size, mode=mode, max_pixels=max_pixels, person=person, sent_pixels=sent_pixels)
    except TimeoutError:
        decoder.end()
        raise too_costly(name) from None
    except (OSError, EOFError):
        if decoder.end() in LIMIT_SIGNALS:
            raise too_costly(name) from None
        raise ImageInvalid(
            f"the {name} is damaged: save it again and send the new file", field=name, reason="image_damaged"
        ) from None
    if "size" in answer:
        return _CheckedFile(**answer)
    kind: type[InvalidInput] = getattr(errors, answer["kind"])
    raise kind(answer["message"], field=answer["field"], reason=answer["reason"])


def _mask_orientations(
    decoder: _Decoder, size: Sequence[int], masks: Mapping[str, bytes], modes: Modes, *, person: bool, sent_pixels: int | None
) -> dict[str, int]:
    """Check the masks and return their Exif orientations by name. Raise as `_check_file`."""
    return {
        name: _check_file(
            decoder, name, data, size, modes.get(name, "auto"), person=person and name == "mask", sent_pixels=sent_pixels
        ).orientation
        for name, data in masks.items()
    }


class DecoderPool:
    """A thread-safe pool of at most `size` processes, which start on demand and are reused."""

    def __init__(self, size: int) -> None:
        self._slots = threading.BoundedSemaphore(size)
        self._large = threading.Semaphore(1)
        self._idle: list[_Decoder] = []

    def check(
        self,
        photo: bytes,
        masks: Mapping[str, bytes],
        modes: Modes = AUTO,
        *,
        max_pixels: int | None = None,
        person: bool = True,
    ) -> dict[str, int]:
        """Check that the engine can use a photo and its masks. Return the Exif orientation (1..8) of each file by name.

        A photo with more than `max_pixels` pixels is checked as if scaled down. `modes` holds the mask mode by name, `auto` where
        missing. `person` says whether `mask` marks a person rather than an attribute.

        Raise `ImageInvalid` or `MaskInvalid` as decoding in this process would. Raise `ImageInvalid` also if decoding exceeds the
        limits or crashes.
        """
        with self._borrowed() as decoder:
            seen = _check_file(decoder, "image", photo, None, max_pixels=max_pixels)
            turned = _mask_orientations(decoder, seen.size, masks, modes, person=person, sent_pixels=seen.sent_pixels)
            return {"image": seen.orientation, **turned}

    def check_masks(
        self,
        size: Sequence[int],
        masks: Mapping[str, bytes],
        modes: Modes = AUTO,
        *,
        person: bool = True,
        sent_pixels: int | None = None,
    ) -> dict[str, int]:
        """Check masks without their photo, as `check` does.

        `size` is the photo's width and height as used, `sent_pixels` its pixel count before scaling down.
        """
        with self._borrowed() as decoder:
            return _mask_orientations(decoder, size, masks, modes, person=person, sent_pixels=sent_pixels)

    def sent_size(self, photo: bytes) -> tuple[int, int]:
        """Return width and height of the photo as sent, with its orientation applied. Raise as `check`."""
        with self._borrowed() as decoder:
            width, height = _check_file(decoder, "image", photo, None, max_pixels=CEILING_PIXELS).size
            return width, height

    @contextmanager
    def _borrowed(self) -> Iterator[_Decoder]:
        with self._slots:
            decoder = self._live_decoder()
            try:
                yield decoder
            finally:
                if decoder.usable:
                    self._idle.append(decoder)

    def _live_decoder(self) -> _Decoder:
        """Return an idle process that is alive, or start one. The kernel may have killed an idle process."""
        while self._idle:
            decoder = self._idle.pop()
            if decoder.alive:
                return decoder
            decoder.end()
        return _Decoder(self._large)

    def close(self) -> None:
        """Stop the idle processes."""
        while self._idle:
            self._idle.pop().end()


@lru_cache(maxsize=1)
def _pool_of_process(pid: int) -> DecoderPool:  # noqa: ARG001  a forked process must not share its parent's connections
    return DecoderPool(os.cpu_count() or 1)


def decoders() -> DecoderPool:
    """Return the pool of this process."""
    return _pool_of_process(os.getpid())

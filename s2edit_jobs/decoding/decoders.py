"""Pictures of strangers are decoded in processes of their own: one that dies of a picture takes only that picture with it.

The API asks for what a look at the file leaves open, and the worker, before its own process decodes a job's pictures, for all.
"""

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
from s2edit_core.request.limits import CEILING_PIXELS, MAX_FILE_BYTES
from s2edit_core.request.spec import MaskMode
from s2edit_jobs.decoding.decoder_process import too_costly

WALL_S = 60.0
"""A process that answers neither with a verdict nor with its end by then is ended: it waits for something."""
END_S = 2.0
COSTLY = (-signal.SIGPROF, -signal.SIGKILL)
"""How a process ends that has used up its time, or whom the system ends for want of memory."""
MAX_ANSWER_BYTES = 65_536
SECRETS = ("S2EDIT_", "AWS_")
"""Beginnings of the names of variables that the processes do not get."""
Modes = Mapping[str, MaskMode]
AUTO: Modes = {}
ROOT = Path(__file__).resolve().parents[2]


class _Decoder:
    """One process of `decoder_process.py`. It ends when its connection is closed, so also when this process dies."""

    def __init__(self, large: threading.Semaphore) -> None:
        """`large` is held by the one process that takes much memory."""
        self.usable = True
        self._large = large
        self._connection, its = Pipe()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(SECRETS)}
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "s2edit_jobs.decoding.decoder_process", str(its.fileno())],
                cwd=ROOT,
                env={**environment, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},  # each thread would take memory
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(its.fileno(),),
                start_new_session=True,
            )
        finally:
            its.close()

    def ask(self, name: str, data: bytes, **how: Any) -> dict[str, Any]:
        """The answer. Raises `OSError` or `EOFError` when the process dies of it, `TimeoutError` when it hangs.

        `how`: the fields of `decoder_process.Asked`.
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
        if not self._connection.poll(WALL_S):
            raise TimeoutError
        answer: dict[str, Any] = json.loads(self._connection.recv_bytes(MAX_ANSWER_BYTES))
        return answer

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> int:
        """How it ended, as `Popen` tells it; by force if it has not by itself."""
        self._connection.close()
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


class _Seen(NamedTuple):
    """The photo's width and height as it is used, the orientation of the file, and how many pixels it has."""

    size: Sequence[int]
    orientation: int
    sent_pixels: int


def _verdict(
    decoder: _Decoder,
    name: str,
    data: bytes,
    size: Sequence[int] | None,
    mode: MaskMode = "auto",
    *,
    max_pixels: int | None = None,
    person: bool = False,
    sent_pixels: int | None = None,
) -> _Seen:
    """What the decoder says of a file. Raises `InvalidInput`; then the decoder may be no longer usable."""
    if len(data) > MAX_FILE_BYTES:
        raise too_costly(name)
    try:
        answer = decoder.ask(name, data, size=size, mode=mode, max_pixels=max_pixels, person=person, sent_pixels=sent_pixels)
    except TimeoutError:
        decoder.end()
        raise too_costly(name) from None
    except (OSError, EOFError):
        if decoder.end() in COSTLY:
            raise too_costly(name) from None
        raise ImageInvalid(
            f"the {name} is damaged: save it again and send the new file", field=name, reason="image_damaged"
        ) from None
    if "size" in answer:
        return _Seen(**answer)
    kind: type[InvalidInput] = getattr(errors, answer["kind"])
    raise kind(answer["message"], field=answer["field"], reason=answer["reason"])


def _turned(
    decoder: _Decoder, size: Sequence[int], masks: Mapping[str, bytes], modes: Modes, *, person: bool, sent_pixels: int | None
) -> dict[str, int]:
    """The orientation of each mask. Raises as `_verdict`."""
    return {
        name: _verdict(
            decoder, name, data, size, modes.get(name, "auto"), person=person and name == "mask", sent_pixels=sent_pixels
        ).orientation
        for name, data in masks.items()
    }


class Decoders:
    """At most `size` processes, started when they are needed and kept. Any number of threads may ask."""

    def __init__(self, size: int) -> None:
        self._places = threading.BoundedSemaphore(size)
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
        """Hold a photo and the masks for it, by name, to what the engine can use; how each file is turned, 1..8 as in Exif.

        A photo of more than `max_pixels` counts as scaled down to so many. `modes` say how masks are read, by name; one that is
        not named is read in mode `auto`. `person`: whether `mask` marks a person, rather than an attribute. Raises `ImageInvalid`
        or `MaskInvalid`, as decoding here would; `ImageInvalid` too where decoding takes too much.
        """
        with self._one() as decoder:
            seen = _verdict(decoder, "image", photo, None, max_pixels=max_pixels)
            turned = _turned(decoder, seen.size, masks, modes, person=person, sent_pixels=seen.sent_pixels)
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
        """The same for masks alone, by the photo's width and height, and its pixels before it was scaled down to them."""
        with self._one() as decoder:
            return _turned(decoder, size, masks, modes, person=person, sent_pixels=sent_pixels)

    def sent_size(self, photo: bytes) -> tuple[int, int]:
        """Width and height of the photo as it was sent, upright. Raises as `check`."""
        with self._one() as decoder:
            width, height = _verdict(decoder, "image", photo, None, max_pixels=CEILING_PIXELS).size
            return width, height

    @contextmanager
    def _one(self) -> Iterator[_Decoder]:
        with self._places:
            decoder = self._taken()
            try:
                yield decoder
            finally:
                if decoder.usable:
                    self._idle.append(decoder)

    def _taken(self) -> _Decoder:
        """One that lives: the system may have ended an idle one."""
        while self._idle:
            decoder = self._idle.pop()
            if decoder.alive:
                return decoder
            decoder.end()
        return _Decoder(self._large)

    def close(self) -> None:
        """End those that have nothing to do."""
        while self._idle:
            self._idle.pop().end()


@lru_cache(maxsize=1)
def _of_process(pid: int) -> Decoders:  # noqa: ARG001  a fork must not speak over its parent's connections
    return Decoders(os.cpu_count() or 1)


def decoders() -> Decoders:
    """The ones of this process."""
    return _of_process(os.getpid())

"""A process that does nothing but decode pictures of strangers: what a decoder of C might do with them ends here.

It has no secrets in its environment, and the system ends it when it takes too much. `decoders.py` beside it starts it
and speaks with it: what is to be decoded and how as JSON, then the picture's bytes. The answer is JSON: nothing that comes back
is executed.

A picture gets time and memory by the pixels that its header announces (`s2edit_core/request/limits.py`), so one that lies about its
size ends like one that is damaged. Before it takes much memory, the process asks for it.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

from s2edit_core.errors import ImageInvalid, InvalidInput
from s2edit_core.pictures.files import check_photo, declared_picture, use_one_thread
from s2edit_core.pictures.mask_files import check_mask_file
from s2edit_core.request.limits import CPU_S, MAX_MEMORY_BYTES, MEMORY_BYTES, cpu_s, memory_bytes, memory_bytes_to_read
from s2edit_core.request.spec import MaskMode

LARGE_BYTES = 2 * MEMORY_BYTES
"""Who needs more waits until nobody else does. Photos of 12 megapixels need less, unless they are WebP."""


def confine() -> None:
    """From here on the process can neither grow nor write files nor leave a memory image behind."""
    for limit, most in (
        (resource.RLIMIT_DATA, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(limit, (min(most, MEMORY_BYTES), most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end closes the connection
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    use_one_thread()


@dataclass(frozen=True, slots=True)
class Asked:
    """A photo to be held to what the engine can use, or, with the `size` of its photo, a mask, read by `mode`.

    `person`: whether the mask marks one. `sent_pixels`: of its photo before it was scaled down.
    """

    name: str
    size: tuple[int, int] | None
    sent_pixels: int | None
    max_pixels: int | None
    mode: MaskMode
    person: bool
    file_bytes: int

    @classmethod
    def from_json(cls, data: bytes) -> Asked:
        values = json.loads(data)
        return cls(**{**values, "size": tuple(values["size"]) if values["size"] else None})


def check(asked: Asked, data: bytes, take: Callable[[int], None]) -> dict[str, object]:
    """The photo's size, scaled down if it may be, how the file says that it is turned, and its pixels. Raises `InvalidInput`.

    `take` is called with the bytes of memory that decoding may take, before it takes them.
    """
    with _capped(asked.name):
        found = declared_picture(data, asked.name)
        pixels, photo_pixels = found.size[0] * found.size[1], asked.size[0] * asked.size[1] if asked.size else 0
        _allow(cpu_s(max(pixels, photo_pixels)), memory_bytes(found.format, pixels, len(data), photo_pixels), take)
        if asked.size is None:
            size, orientation = check_photo(data, asked.max_pixels)
        else:
            size, person = asked.size, asked.person
            orientation = check_mask_file(data, size, asked.name, asked.mode, person=person, sent_pixels=asked.sent_pixels)
    return {"size": size, "orientation": orientation, "sent_pixels": pixels}


def _allow(seconds: float, memory: int, take: Callable[[int], None]) -> None:
    """Widen the limits of the picture at hand."""
    left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
    take(memory)
    _limit_memory(memory)
    signal.setitimer(signal.ITIMER_PROF, left + seconds - CPU_S)


def _limit_memory(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (most, MAX_MEMORY_BYTES))


@contextmanager
def _capped(name: str) -> Iterator[None]:
    """One picture's share. Raises `ImageInvalid` where memory does not suffice; where time does not, nobody is left to do so."""
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    except MemoryError:
        raise too_costly(name) from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def too_costly(name: str) -> ImageInvalid:
    message = f"the {name} takes too much time or memory to decode: send it smaller, or as a plain JPEG or PNG"
    return ImageInvalid(message, field=name, reason="image_too_costly")


def main(connection: Connection) -> None:
    """Serve until the other side is gone."""
    confine()

    def take(memory: int) -> None:
        if memory > LARGE_BYTES:
            connection.send_bytes(json.dumps({"takes_bytes": memory}).encode())
            connection.recv_bytes()

    while True:
        try:
            asked = Asked.from_json(connection.recv_bytes())
            _limit_memory(memory_bytes_to_read(asked.file_bytes))
            data = connection.recv_bytes()
        except EOFError:
            return
        try:
            answer = check(asked, data, take)
        except InvalidInput as error:
            answer = {"kind": type(error).__name__, "message": str(error), "field": error.field, "reason": error.reason}
        except EOFError:
            return
        del data
        _limit_memory(MEMORY_BYTES)
        connection.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))

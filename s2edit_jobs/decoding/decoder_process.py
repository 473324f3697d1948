"""A process that only decodes untrusted pictures, so that an exploit or crash of a C decoder stays inside it.

Its environment holds no secrets, and the kernel kills it when it exceeds its limits. `decoders.py` starts it and talks to it over a
pipe: a `DecodeRequest` as JSON, then the picture's bytes. The answer is JSON, so the parent executes nothing that comes back.

The limits for a picture depend on the pixels that its header declares (`s2edit_core/request/picture_limits.py`). A file that
understates its size therefore ends like a damaged one. Before decoding a large picture, the process asks the parent for permission.
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
from s2edit_core.request.picture_limits import CPU_S, MAX_MEMORY_BYTES, MEMORY_BYTES, cpu_s, memory_bytes, memory_bytes_to_read
from s2edit_core.request.spec import MaskMode

LARGE_BYTES = 2 * MEMORY_BYTES
"""Only one process at a time may use more memory than this. Photos of 12 megapixels need less, except WebP."""


def confine() -> None:
    """Apply the resource limits for good: a cap on memory, no file writes, no core dumps."""
    for limit, most in (
        (resource.RLIMIT_DATA, MAX_MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(limit, (min(most, MEMORY_BYTES), most))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the parent, which closes the connection
    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    use_one_thread()


@dataclass(frozen=True, slots=True)
class DecodeRequest:
    """A photo to check, or, if `size` is set, a mask.

    For a mask, `size` is the width and height of its photo as used, `sent_pixels` the photo's pixel count before scaling down,
    `mode` how to read the mask, and `person` whether it marks a person.
    """

    name: str
    size: tuple[int, int] | None
    sent_pixels: int | None
    max_pixels: int | None
    mode: MaskMode
    person: bool
    file_bytes: int

    @classmethod
    def from_json(cls, data: bytes) -> DecodeRequest:
        values = json.loads(data)
        return cls(**{**values, "size": tuple(values["size"]) if values["size"] else None})


def check(request: DecodeRequest, data: bytes, reserve: Callable[[int], None]) -> dict[str, object]:
    """Decode and check one file. Return its size after scaling, its Exif orientation and its pixel count. Raise `InvalidInput`.

    `reserve` is called with the bytes of memory that decoding may need, before decoding starts.
    """
    with _limited(request.name):
        found = declared_picture(data, request.name)
        pixels, photo_pixels = found.size[0] * found.size[1], request.size[0] * request.size[1] if request.size else 0
        _allow(cpu_s(max(pixels, photo_pixels)), memory_bytes(found.format, pixels, len(data), photo_pixels), reserve)
        if request.size is None:
            size, orientation = check_photo(data, request.max_pixels)
        else:
            size, person = request.size, request.person
            orientation = check_mask_file(data, size, request.name, request.mode, person=person, sent_pixels=request.sent_pixels)
    return {"size": size, "orientation": orientation, "sent_pixels": pixels}


def _allow(seconds: float, memory: int, reserve: Callable[[int], None]) -> None:
    """Set the limits for the current picture."""
    left, _ = signal.setitimer(signal.ITIMER_PROF, 0)
    reserve(memory)
    _limit_memory(memory)
    signal.setitimer(signal.ITIMER_PROF, left + seconds - CPU_S)


def _limit_memory(most: int) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (most, MAX_MEMORY_BYTES))


@contextmanager
def _limited(name: str) -> Iterator[None]:
    """Limit CPU time and memory for one picture.

    Raise `ImageInvalid` if memory runs out. If time runs out, SIGPROF kills the process.
    """
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        yield
    except MemoryError:
        raise too_costly(name) from None
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def too_costly(name: str) -> ImageInvalid:
    message = f"decoding the {name} takes too much time or memory: send a smaller picture, or a plain JPEG or PNG"
    return ImageInvalid(message, field=name, reason="image_too_costly")


def main(connection: Connection) -> None:
    """Answer requests until the parent closes the connection."""
    confine()

    def reserve(memory: int) -> None:
        if memory > LARGE_BYTES:
            connection.send_bytes(json.dumps({"takes_bytes": memory}).encode())
            connection.recv_bytes()

    while True:
        try:
            request = DecodeRequest.from_json(connection.recv_bytes())
            _limit_memory(memory_bytes_to_read(request.file_bytes))
            data = connection.recv_bytes()
        except EOFError:
            return
        try:
            answer = check(request, data, reserve)
        except InvalidInput as error:
            answer = {"kind": type(error).__name__, "message": str(error), "field": error.field, "reason": error.reason}
        except EOFError:
            return
        del data
        _limit_memory(MEMORY_BYTES)
        connection.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))

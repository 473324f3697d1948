"""A process that does nothing but decode pictures of strangers: what a decoder of C might do with them ends here.

It has no secrets in its environment, and the system ends it when it takes too much. `s2edit_jobs/decoders.py` starts it and speaks
with it: what is to be decoded and how as JSON, then the picture's bytes. The answer is JSON: nothing that comes back is executed.
"""

from __future__ import annotations

import json
import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

from s2edit_core.errors import ImageInvalid, InvalidInput
from s2edit_core.mask_files import check_mask_file
from s2edit_core.pictures import check_photo
from s2edit_core.spec import MaskMode

CPU_S = 1.0
"""Of one picture; then the system ends the process, wherever it is."""
MEMORY_BYTES = 256 * 2**20
"""Of everything that the process can write to; what it touches of that and of its libraries stays below it too."""


def confine() -> None:
    """From here on the process can neither grow nor write files nor leave a memory image behind."""
    for limit, value in (
        (resource.RLIMIT_DATA, MEMORY_BYTES),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):
        resource.setrlimit(limit, (value, value))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end closes the connection
    signal.signal(signal.SIGPROF, signal.SIG_DFL)


def check(name: str, data: bytes, size: tuple[int, int] | None, mode: MaskMode, *, person: bool) -> tuple[tuple[int, int], int]:
    """Hold a photo, or a mask for a photo of `size`, to what the engine can use. Raises `InvalidInput`.

    The photo's size, and how the file says that it is turned.
    """
    with _capped(name):
        return check_photo(data) if size is None else (size, check_mask_file(data, size, name, mode, person=person))


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
    while True:
        try:
            name, size, mode, person = json.loads(connection.recv_bytes())
            data = connection.recv_bytes()
        except EOFError:
            return
        try:
            found, orientation = check(name, data, tuple(size) if size else None, mode, person=person)
            answer: dict[str, object] = {"size": found, "orientation": orientation}
        except InvalidInput as error:
            answer = {"kind": type(error).__name__, "message": str(error), "field": error.field, "reason": error.reason}
        del data
        connection.send_bytes(json.dumps(answer).encode())


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))

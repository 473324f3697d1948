"""One walk over the chunks of a PNG: it yields what there is of a damaged file, and its callers decide."""

from __future__ import annotations

import pytest

from s2edit_core.errors import ImageInvalid
from s2edit_core.pictures.colour_codes import ColourCodes, unread_colours
from s2edit_core.pictures.containers import read_header
from s2edit_core.pictures.metadata import without_metadata
from s2edit_core.pictures.png_chunks import PNG_MAGIC, png_chunks
from tests.hostile.build import PIXELS, SIZE, chunk, header

HEAD, BODY, END = header(SIZE), chunk(b"IDAT", PIXELS), chunk(b"IEND")
P3 = chunk(b"cICP", b"\x0c\x0d\0\1")
SOUND = PNG_MAGIC + HEAD + P3 + BODY + END
KINDS = [b"IHDR", b"cICP", b"IDAT", b"IEND"]


def test_a_sound_file_is_the_sum_of_its_chunks() -> None:
    chunks = list(png_chunks(SOUND, 9))
    assert [chunk.kind for chunk in chunks] == KINDS
    assert all(chunk.is_sound for chunk in chunks)
    assert PNG_MAGIC + b"".join(chunk.whole for chunk in chunks) == SOUND
    assert [bytes(chunk.body) for chunk in chunks[1:]] == [b"\x0c\x0d\0\1", PIXELS, b""]
    assert [chunk.kind for chunk in png_chunks(SOUND + P3, 9)] == KINDS, "what follows the end is no part of the picture"
    assert [chunk.kind for chunk in png_chunks(SOUND, 2)] == KINDS[:2]


def test_wherever_a_file_is_cut_all_of_it_is_yielded_and_only_the_last_chunk_is_incomplete() -> None:
    for end in range(len(PNG_MAGIC), len(SOUND)):
        chunks = list(png_chunks(SOUND[:end], 9))
        assert [chunk.kind for chunk in chunks] == KINDS[: len(chunks)]
        assert all(chunk.is_sound for chunk in chunks[:-1])
        shown = PNG_MAGIC + b"".join(chunk.whole for chunk in chunks)
        assert SOUND[:end].startswith(shown)
        assert end - len(shown) < 8, "all but the beginning of a chunk"
        if chunks and len(shown) < end:
            assert chunks[-1].is_complete


@pytest.mark.parametrize("data", [b"", PNG_MAGIC[:5], PNG_MAGIC, PNG_MAGIC + b"\0\0\0\1IDA"])
def test_of_no_chunk_none_is_yielded(data: bytes) -> None:
    assert list(png_chunks(data, 9)) == []


@pytest.mark.parametrize(
    ("data", "colours", "rewritten", "plain"),
    [
        (SOUND, True, True, True),
        (SOUND + b"more", True, True, False),
        (SOUND[: -len(END)], True, False, False),
        (SOUND[:-1], True, False, False),
        (SOUND[: -len(END) - 5], True, False, False),
        (PNG_MAGIC + HEAD + P3[:-1], True, False, False),
        (PNG_MAGIC + HEAD + P3[:-5], False, False, False),
        (PNG_MAGIC + HEAD + chunk(b"cICP", b"\x0c\x0d\0\1", crc=7) + BODY + END, True, True, False),
        (PNG_MAGIC + HEAD + BODY + P3 + END, False, True, True),
        (PNG_MAGIC + HEAD + chunk(b"tEXt", b"a\0b", length=2**32 - 1) + P3 + BODY + END, False, False, False),
    ],
    ids=["sound", "more", "no end", "cut end", "cut pixels", "cut checksum", "cut codes", "checksum", "codes last", "long"],
)
def test_what_each_reader_does_with_a_damaged_file(data: bytes, colours: bool, rewritten: bool, plain: bool) -> None:
    """Colours are read from what there is, since decoding judges the file. A rewriter needs all chunks. A header that is trusted
    without decoding needs them sound, too.
    """
    assert ColourCodes.of(data) == (ColourCodes(12, 13) if colours else None)
    assert unread_colours(data) is None
    try:
        assert without_metadata(data, 1).endswith(END)
        found = True
    except ImageInvalid:
        found = False
    assert found == rewritten
    assert (read_header(data) is not None) == plain

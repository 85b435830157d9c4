"""A stream over reads of ranges: the bytes, and which reads they take."""

import io
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import pytest

from al3spark.errors import FileChangedError
from al3spark.store.streams import BLOCK_BYTES, FIRST_BYTES, open_ranges

DATA = os.urandom(FIRST_BYTES + 3 * BLOCK_BYTES + 5)


@dataclass
class Ranges:
    """What was read, in order, and by which thread; reads at and after `broken_from` fail."""

    asked: list[tuple[int, int]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    broken_from: int = len(DATA)

    def read(self, offset: int, length: int) -> bytes:
        self.asked.append((offset, length))
        self.threads.add(threading.get_ident())
        if offset >= self.broken_from:
            raise FileChangedError("changed")
        return DATA[offset : offset + length]


@pytest.fixture
def ranges() -> Ranges:
    return Ranges()


@pytest.fixture
def stream(ranges: Ranges) -> Iterator[BinaryIO]:
    with open_ranges(ranges.read, len(DATA)) as opened:
        yield opened


def test_reading_on_gives_all_bytes_once_and_sends_ahead(stream: BinaryIO, ranges: Ranges) -> None:
    assert b"".join(iter(lambda: stream.read(100_000), b"")) == DATA
    second = FIRST_BYTES + BLOCK_BYTES
    assert ranges.asked == [
        (0, FIRST_BYTES),
        (FIRST_BYTES, BLOCK_BYTES),
        (second, BLOCK_BYTES),
        (second + BLOCK_BYTES, BLOCK_BYTES),
        (second + 2 * BLOCK_BYTES, 5),
    ]
    assert len(ranges.threads) == 2


def test_a_look_here_and_there_reads_little_and_nothing_ahead(stream: BinaryIO, ranges: Ranges) -> None:
    stream.seek(-8, io.SEEK_END)
    assert stream.read(8) == DATA[-8:]
    stream.seek(3 << 20)
    assert stream.read(10) == DATA[3 << 20 :][:10]
    assert ranges.asked == [(len(DATA) - 8, 8), (3 << 20, FIRST_BYTES)]


def test_a_step_back_or_aside_leaves_what_was_sent_for(stream: BinaryIO) -> None:
    assert stream.read(FIRST_BYTES + 10) == DATA[: FIRST_BYTES + 10]  # the third block is on its way
    for offset in (7, 2 * BLOCK_BYTES, FIRST_BYTES + 9, len(DATA) - 3):
        stream.seek(offset)
        assert stream.read(3) == DATA[offset : offset + 3]


def test_what_is_small_is_read_at_once(ranges: Ranges) -> None:
    with open_ranges(ranges.read, BLOCK_BYTES) as stream:
        stream.seek(-3, io.SEEK_END)
        assert stream.read() == DATA[BLOCK_BYTES - 3 : BLOCK_BYTES]
        stream.seek(0)
        assert stream.read() == DATA[:BLOCK_BYTES]
    assert ranges.asked == [(0, BLOCK_BYTES)]


def test_beyond_the_end_there_is_nothing(stream: BinaryIO, ranges: Ranges) -> None:
    stream.seek(len(DATA) + 10)
    assert (stream.read(5), ranges.asked) == (b"", [])


def test_what_fails_on_its_way_is_raised_where_it_is_read() -> None:
    ranges = Ranges(broken_from=FIRST_BYTES + BLOCK_BYTES)
    with open_ranges(ranges.read, len(DATA)) as stream:
        assert stream.read(ranges.broken_from) == DATA[: ranges.broken_from]
        with pytest.raises(FileChangedError):
            stream.read(1)

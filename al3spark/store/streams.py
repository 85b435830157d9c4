"""A file as a seekable stream over reads of ranges, for stores where each read takes a while.

In: a function that reads a range, and the size. Out: a binary file.
Promises: what fits into a block of 4 MiB is read at once; who reads on and on finds the next block on its way
already; at most two blocks are held.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

FIRST_BYTES = 1 << 20  # read where somebody looks for the first time: maybe only for a footer
BLOCK_BYTES = 4 << 20
BUFFER_BYTES = 1 << 16


def open_ranges(read: Callable[[int, int], bytes], size: int) -> BinaryIO:
    """A stream of `size` bytes; `read(offset, length)` gives a range, and may be called from a thread."""
    return io.BufferedReader(_RangeStream(read, size), BUFFER_BYTES)


class _RangeStream(io.RawIOBase):
    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read_range, self._size, self._at = read, size, 0
        self._start, self._block = 0, b""
        self._ahead: tuple[int, Future[bytes]] | None = None  # where it begins, and what it will be
        self._reader: ThreadPoolExecutor | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        if self._at >= self._size:
            return 0
        if not self._start <= self._at < self._start + len(self._block):
            self._load()
        view = memoryview(buffer).cast("B")
        data = memoryview(self._block)[self._at - self._start :][: len(view)]
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def close(self) -> None:
        if self._reader:
            self._reader.shutdown(wait=False, cancel_futures=True)
        super().close()

    def _load(self) -> None:
        """Take the block at the position; if it is the one after the last, send for the next."""
        if self._size <= BLOCK_BYTES:
            self._start, self._block = 0, self._read_range(0, self._size)
            return
        goes_on = self._block and self._at == self._start + len(self._block)
        ahead, self._ahead = self._ahead, None
        if ahead and ahead[0] == self._at:
            block = ahead[1].result()
        else:
            length = BLOCK_BYTES if goes_on else FIRST_BYTES
            block = self._read_range(self._at, min(length, self._size - self._at))
        self._start, self._block = self._at, block
        after = self._start + len(block)
        if goes_on and after < self._size:
            self._reader = self._reader or ThreadPoolExecutor(1)
            length = min(BLOCK_BYTES, self._size - after)
            self._ahead = after, self._reader.submit(self._read_range, after, length)

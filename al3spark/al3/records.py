"""Records as they lie in a window: their keys, and their bytes as a matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from al3spark.al3.cells import BLANK
from al3spark.al3.dictionary import KINDS, Layout

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

HEADER = 30
PADDING = bytes([BLANK]) * 1000  # stands behind every window, so that a matrix can be cut out at any record
_FIELD_ENDS = np.array([0, 4, 7, 8, 9, 10, 12, 16, 26, 27, 28, 29, 30])  # what names a parent is one


@dataclass(frozen=True, slots=True)
class Keys:
    """What identifies n records and where they hang.

    Shapes: int64[n]. `files`: number of the file in the split. `offsets`, `messages`, `transactions`,
    `parents`: bytes of the original file, -1 for null. `lengths`: as the headers say. `starts`: expanded
    offsets. `maps`: which of the gatherer's offset maps leads from `starts` back to the original file.
    `contexts`: what the transaction is about, -1 without one.
    """

    files: Ints
    offsets: Ints
    lengths: Ints
    messages: Ints
    transactions: Ints
    parents: Ints
    starts: Ints
    maps: Ints
    contexts: Ints

    def __getitem__(self, at: Ints | slice) -> "Keys":
        return Keys(*(getattr(self, name)[at] for name in self.__slots__))


def join_keys(parts: Sequence[Keys]) -> Keys:
    """Put keys one behind the other."""
    return Keys(*(np.concatenate([getattr(part, name) for part in parts]) for name in Keys.__slots__))


@dataclass(frozen=True, slots=True)
class Window:
    """The expanded bytes that records lie in, padded with `PADDING`; `has_nuls`: a NUL is among them."""

    data: bytes
    has_nuls: bool = False

    def cut(self, positions: Ints, width: int) -> Bytes:
        """Cut `width` bytes out at each position: uint8[n, width]."""
        count = len(self.data) - width + 1
        cells: npt.NDArray[np.void] = np.ndarray((count,), f"V{width}", self.data, strides=(1,))
        return cells[positions].view(np.uint8).reshape(len(positions), width)

    def matrix(self, positions: Ints, width: int) -> Bytes:
        """Cut bytes out likewise, NUL as blank (FORMAT.md, Separators)."""
        matrix = self.cut(positions, width)
        if self.has_nuls:
            matrix[matrix == 0] = BLANK
        return matrix


def cut_headers(window: Window, positions: Ints, sizes: Ints) -> Bytes:
    """Cut out the headers of records, of which `sizes` bytes are there. Shape: uint8[n, 30].

    Blank is what a control group does not have, and a field that the end of the file cuts.
    """
    headers = window.matrix(positions, HEADER)
    if int(sizes.min()) < HEADER:
        whole = _FIELD_ENDS[np.searchsorted(_FIELD_ENDS, np.minimum(sizes, HEADER), side="right") - 1]
        blank_tails(headers, whole)
    headers[(headers[:, 0] >= ord("0")) & (headers[:, 0] < ord("5")), 10:] = BLANK
    return headers


def blank_tails(matrix: Bytes, sizes: Ints) -> None:
    """Blank each row from its size on, in place."""
    width = matrix.shape[1]
    short = sizes[sizes < width]
    for size in np.unique(short).tolist() if len(short) else ():
        matrix[sizes == size, size:] = BLANK


def whole_sizes(layout: Layout) -> Ints:
    """Give by the length of a record how many of its bytes hold whole values: int64[1000].

    Of a text or code that the record ends inside of, what is there counts.
    """
    whole = np.minimum(np.arange(1000), layout.length)
    for element in layout.elements:
        if KINDS[element.kind] != "string" or element.kind == "time_hhmm":
            whole[element.start + 1 : element.end] = element.start
    return whole

"""The bytes of equal records by element, and the text in them.

In: the bytes of n records of one group, one row each. Out: which columns of bytes hold anything at all, the
cells of an element, and strings. Promises: what comes out shares no memory with what went in. Raises nothing.
"""

import codecs
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

BLANK, UNSENT = ord(" "), ord("?")

# cp1252 where it has a letter, latin-1 where it has none.
_LETTERS = "".join(
    bytes([code]).decode("cp1252", errors="ignore") or bytes([code]).decode("latin-1") for code in range(256)
)


@dataclass(frozen=True, slots=True)
class Cells:
    """The bytes of one element in n records. Shape: `rows` uint8[n, w]."""

    rows: Bytes
    is_ascii: bool

    def columns(self) -> Bytes:
        """Give the same bytes as uint8[w, n]."""
        return self.rows.T.copy()

    def part(self, start: int, end: int) -> "Cells":
        """Give some columns of the element."""
        return Cells(self.rows[:, start:end], self.is_ascii)


@dataclass(frozen=True, slots=True)
class Matrix:
    """The bytes of n records. Shape: `rows` uint8[n, w].

    `filled`, `foreign`: w + 1 counts each: in front of a column, how many hold anything but blanks, and how
    many hold a byte that is not ASCII.
    """

    rows: Bytes
    filled: tuple[int, ...]
    foreign: tuple[int, ...]

    def cells(self, start: int, end: int) -> Cells | None:
        """Give the cells of an element; None if all are blank."""
        if self.filled[start] == self.filled[end]:
            return None
        return Cells(self.rows[:, start:end], self.foreign[start] == self.foreign[end])


def examine(rows: Bytes) -> Matrix:
    """See which columns hold anything."""
    lowest, highest = rows.min(axis=0), rows.max(axis=0)
    filled, foreign = (lowest != BLANK) | (highest != BLANK), highest >= 0x80
    return Matrix(rows, *((0, *np.cumsum(columns).tolist()) for columns in (filled, foreign)))


def decode_text(cells: Cells, null: Mask | None = None) -> pa.Array:
    """Make strings, trailing blanks cut: null where nothing is left, and where `null` bool[n] says so."""
    count, width = cells.rows.shape
    rows = cells.rows.view(f"V{width}").copy().view(np.uint8)
    offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
    texts = pa.Array.from_buffers(pa.string(), count, [None, pa.py_buffer(offsets), pa.py_buffer(rows)])
    if (rows[:, -1] == BLANK).any():
        texts = pc.ascii_rtrim(texts, " ")
        offsets = np.frombuffer(texts.buffers()[1], np.int32, count + 1)
        nothing = offsets[1:] == offsets[:-1]
        null = nothing if null is None else nothing | null
    if null is not None and null.any():
        _, starts, data = texts.buffers()
        texts = pa.Array.from_buffers(pa.string(), count, [bitmap(~null), starts, data])
    return texts if cells.is_ascii else _decode_letters(texts, rows, null)


def bitmap(valid: Mask) -> pa.Buffer:
    """Pack a mask as Arrow does."""
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


def _decode_letters(texts: pa.Array, rows: Bytes, null: Mask | None) -> pa.Array:
    """Put in strings for rows that are not ASCII."""
    width = rows.shape[1]
    foreign = np.zeros(len(rows), bool)
    foreign[np.flatnonzero(rows >= 0x80) // width] = True
    if null is not None:
        foreign &= ~null
    if not foreign.any():
        return texts
    letters = codecs.charmap_decode(rows[foreign].tobytes(), "strict", _LETTERS)[0]
    decoded = [letters[at : at + width].rstrip(" ") for at in range(0, len(letters), width)]
    return pc.replace_with_mask(texts, pa.array(foreign), pa.array(decoded, pa.string()))

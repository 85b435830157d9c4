"""Records that may be shifted, or no records at all: any of their elements can hold anything.

In: n records of one group, as a matrix. Out: which of them have a value or a header field that does not fit;
columns without what these hold. Where they are hidden (`Dictionary.hides_odd`), nothing is told of them but
their keys. Raises nothing. Source: FORMAT.md, Records (Header).
"""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.cells import BLANK, examine
from al3spark.al3.decoding import decode_group, read_integers
from al3spark.al3.dictionary import Layout
from al3spark.al3.records import HEADER, Ints, Window, blank_tails, whole_sizes

Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_CODES = np.arange(256)
_DIGIT = (ord("0") <= _CODES) & (ord("9") >= _CODES)
_LETTER = (ord("A") <= _CODES) & (ord("Z") >= _CODES)
_CLASSES = {"9": _DIGIT, "A": _LETTER, "X": _DIGIT | _LETTER}
_FORMS = ((10, "A9"), (16, "9XXX"), (20, "A9"))  # level, parent's designator, parent's level
_ITERATIONS = (12, 22)


def find_odd(rows: Bytes, header_length: int, invalid: Iterable[Mask] = ()) -> Mask:
    """Say which records are odd: bool[n]. `invalid`: of some elements, which values do not fit, bool[n] each.

    Shape: `rows` uint8[n, at least the header].
    """
    odd = np.zeros(len(rows), bool)
    for mask in invalid:
        odd |= mask
    if header_length == HEADER:
        for start, form in _FORMS:
            cells = rows[:, start : start + len(form)]
            fits = np.logical_and.reduce([_CLASSES[kind][cells[:, at]] for at, kind in enumerate(form)])
            odd |= ~(fits | (cells == BLANK).all(axis=1))
        for start in _ITERATIONS:
            columns = rows[:, start : start + 4].T.copy()
            blank = (columns == BLANK).all(axis=0)
            odd |= ~(read_integers(columns, blank)[1] | blank)
    return odd


def find_odd_records(
    window: Window, positions: Ints, contents: Ints, layout: Layout | None, pivot: int
) -> Mask:
    """Say which records of one group are odd; all are without a layout. Shapes: int64[n]; gives bool[n]."""
    if layout is None or not len(positions):
        return np.ones(len(positions), bool)
    rows = window.matrix(positions, layout.length)
    blank_tails(rows, whole_sizes(layout)[contents])
    decoded = decode_group(layout, examine(rows), pivot)
    return find_odd(rows, layout.header_length, (invalid for _, invalid in decoded.invalid))


def without_odd(arrays: tuple[pa.Array, ...], odd: Mask) -> tuple[pa.Array, ...]:
    """Make the values of odd records null."""
    if not odd.any():
        return arrays
    fits = pa.array(~odd)
    return tuple(pc.if_else(fits, array, pa.scalar(None, array.type)) for array in arrays)

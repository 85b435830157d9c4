"""The columns that every table starts with: keys of the record, and the fields of its header.

In: keys and bytes of n records. Out: Arrow columns as `tables.LEADING_FIELDS` names them, and which rows have
a number that does not fit. Raises nothing. Source: FORMAT.md, Records (Header).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from al3spark.al3.blocks import find_runs, repeat_values
from al3spark.al3.cells import BLANK, Cells, Matrix, decode_text
from al3spark.al3.decoding import numbers, read_integers
from al3spark.al3.faults import nullable
from al3spark.al3.records import Keys

Mask = npt.NDArray[np.bool_]

KEY_COLUMNS = 6  # columns that come from where a record is, not from what it holds
_FLAGS = (7, 9, 26, 27, 28, 29)


@dataclass(frozen=True, slots=True)
class Leading:
    """Columns; `invalid`: for a header field, as (name, start), which rows do not fit: bool[n]."""

    arrays: tuple[pa.Array, ...]
    invalid: tuple[tuple[str, int, Mask], ...]


def decode_leading(keys: Keys, matrix: Matrix, header_length: int, file_ids: pa.Array) -> Leading:
    """Decode keys and headers of n records, whose headers have `header_length` bytes."""
    invalid = []

    def text(start: int, end: int) -> pa.Array:
        cells = matrix.cells(start, end) if end <= header_length else None
        return decode_text(cells) if cells else pa.nulls(len(matrix.rows), pa.string())

    def iteration(name: str, start: int) -> pa.Array:
        cells = matrix.cells(start, start + 4) if start < header_length else None
        if cells is None:
            return pa.nulls(len(matrix.rows), pa.int32())
        columns = cells.columns()
        blank = (columns == BLANK).all(axis=0)
        values, fits = read_integers(columns, blank)
        if (bad := ~(fits | blank)).any():
            invalid.append((name, start, bad))
        return numbers(values.astype(np.int32), pa.int32(), ~fits)

    files, which = find_runs(keys.files)
    arrays = (
        repeat_values(file_ids.take(pa.array(files)), which),
        pa.array(keys.offsets),
        pa.array(keys.lengths.astype(np.int32)),
        nullable(keys.messages),
        nullable(keys.transactions),
        nullable(keys.parents),
        text(8, 9),
        text(10, 12),
        iteration("iteration", 12),
        text(16, 20),
        text(20, 22),
        iteration("parent_iteration", 22),
        _decode_flags(matrix, header_length),
    )
    return Leading(arrays, tuple(invalid))


def _decode_flags(matrix: Matrix, header_length: int) -> pa.Array:
    places = [place for place in _FLAGS if place < header_length]
    found = [cells for place in places if (cells := matrix.cells(place, place + 1))]
    if not found:
        return pa.nulls(len(matrix.rows), pa.string())
    rows = np.ascontiguousarray(matrix.rows[:, places])
    return decode_text(Cells(rows, all(cells.is_ascii for cells in found)))

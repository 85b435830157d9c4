"""Rows of a table as CSV text: RFC 4180, UTF-8 without BOM, lines that end in CRLF.

In: Arrow batches. Out: bytes. Null is an empty field, empty text is "". Text is in quotes, names of columns
only where they must be. Dates and timestamps are ISO 8601 (2026-01-02, "2026-01-02T03:04:05.000000", with Z
where they are UTC), decimals have all digits of their scale (in quotes if these are more than 6), binary is
base64, booleans are true and false. No I/O.
"""

import csv
import io
from base64 import b64encode
from collections.abc import Iterable, Sequence

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

LINE_END = b"\r\n"
MOST_PLACES = 6  # of decimals that Arrow never writes as 1E-7
MOST_OF_A_VALUE = 48  # with what is around it; of text, beside its bytes twice
STAND_INS = range(0xF0000, 0x10FFFE)  # for private use: of so many, one is in no text


def header_line(names: Sequence[str]) -> bytes:
    """The first line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerow(names)
    return text.getvalue().encode()


def text_lines(rows: pa.RecordBatch) -> bytes:
    """A line for each row."""
    columns = [_as_text(column) for column in rows.columns]
    stand_in = _find_stand_in(column for column in columns if pa.types.is_string(column.type))
    if stand_in:  # so that each newline that is left ends a line
        columns = [
            pc.replace_substring(column, "\n", stand_in) if pa.types.is_string(column.type) else column
            for column in columns
        ]
    sink = pa.BufferOutputStream()
    options = pa.csv.WriteOptions(include_header=False, batch_size=max(rows.num_rows, 1))
    pa.csv.write_csv(pa.RecordBatch.from_arrays(columns, names=rows.schema.names), sink, options)
    data: bytes = sink.getvalue().to_pybytes().replace(b"\n", LINE_END)
    return data.replace(stand_in.encode(), b"\n") if stand_in else data


def most_bytes(rows: pa.RecordBatch) -> int:
    """At most so many bytes are the lines of these rows; the same for the same rows."""
    texts = (column for column in rows.columns if pa.types.is_string(column.type) or _is_binary(column.type))
    inside = sum(int(pc.sum(pc.binary_length(column)).as_py() or 0) for column in texts)
    return 2 * inside + int(rows.num_rows) * (int(rows.num_columns) * MOST_OF_A_VALUE + len(LINE_END))


def _is_binary(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind))


def _as_text(column: pa.Array) -> pa.Array:
    """What is written as it is, or text."""
    if pa.types.is_timestamp(column.type):
        return pc.replace_substring(column.cast(pa.string()), " ", "T")
    if pa.types.is_decimal(column.type) and column.type.scale > MOST_PLACES:
        return pa.array(
            [f"{value:f}" if value is not None else None for value in column.to_pylist()], pa.string()
        )
    if _is_binary(column.type):
        values = column.to_pylist()
        return pa.array(
            [b64encode(value).decode() if value is not None else None for value in values], pa.string()
        )
    return column


def _find_stand_in(columns: Iterable[pa.Array]) -> str:
    """A character that no text holds, if any text holds a newline; else ''."""
    texts = list(columns)
    if not any(_holds(text, "\n") for text in texts):
        return ""
    return next(chr(code) for code in STAND_INS if not any(_holds(text, chr(code)) for text in texts))


def _holds(column: pa.Array, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring(column, pattern)).as_py())

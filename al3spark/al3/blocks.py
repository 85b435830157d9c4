"""Blocks: rows of one table on their way from the parse to the files.

In: Arrow columns of n rows. Out: record batches, the bytes as which they cross the shuffle, and the rows that
files hold.
Promises: a value that repeats from row to row (`file_id`, what the transaction is about) is in a block once a
run, in a dictionary, which files and catalogs know nothing of; the bytes of equal blocks are equal.
Raises: `pa.ArrowException` or OSError for bytes that `pack` did not make.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

_CODEC = "lz4_raw"
_SIZE_BYTES = 8


@dataclass(frozen=True, slots=True)
class Block:
    """Rows of one table; `rows_by_file` counts them by the number of their file."""

    table: str
    batch: pa.RecordBatch
    rows_by_file: tuple[tuple[int, int], ...] = ()


def block_schema(schema: pa.Schema, context: Iterable[str]) -> pa.Schema:
    """Give the schema of the blocks of a group's table; `context`: its columns about the transaction."""
    repeated = {"file_id", *context}
    return pa.schema(
        [
            field.with_type(pa.dictionary(pa.int32(), field.type)) if field.name in repeated else field
            for field in schema
        ]
    )


def find_runs(numbers: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Give the number of each run of equal ones, and which run each of n >= 1 rows is in. Shape: int64[n]."""
    begins = np.append(True, numbers[1:] != numbers[:-1])
    return numbers[begins], np.cumsum(begins) - 1


def repeat_values(values: pa.Array, which: npt.NDArray[np.int64]) -> pa.DictionaryArray:
    """Make a column of values, by the number of each row's value. Shape: int64[n]."""
    return pa.DictionaryArray.from_arrays(which.astype(np.int32), values)


def plain_column(column: pa.Array) -> pa.Array:
    """Give the column of a block with a value in each row."""
    return column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column


def plain_rows(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Give the rows of a block as files hold them."""
    columns = [plain_column(column) for column in batch.columns]
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields))


def pack(batch: pa.RecordBatch) -> bytes:
    """Make bytes of a block, a fifth as many as it has in memory.

    Compressed as a whole: column by column, as Arrow does it, takes twice as long to undo.
    """
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as stream:
        stream.write_batch(batch)
    data = sink.getvalue()
    compressed: bytes = pa.compress(data, _CODEC, asbytes=True)
    return len(data).to_bytes(_SIZE_BYTES, "little") + compressed


def unpack(packed: pa.Buffer) -> pa.RecordBatch:
    """Give the block that was packed."""
    size = int.from_bytes(packed[:_SIZE_BYTES], "little")
    return pa.ipc.open_stream(pa.decompress(packed[_SIZE_BYTES:], size, _CODEC)).read_next_batch()

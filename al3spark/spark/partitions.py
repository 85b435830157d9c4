"""Deal rows to the folders of a table by what their transactions are about.

In: a batch of rows, names of partition columns. Out: a batch for each folder, without those columns, and the
name of the folder as Hive has it (`line_of_business=AUTOP/transaction_effective_month=2026-01-01`). Promises:
every row is in one of them, in the order in which it came. Raises nothing.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.blocks import plain_column
from al3spark.al3.dictionary import BY_MONTH, BY_YEAR

_DATE = "transaction_effective_date"
NULL = "__HIVE_DEFAULT_PARTITION__"
# Beside letters and digits; what is not ASCII stays as it is: Spark takes each %XX for a letter.
_ESCAPED = re.compile(r"[^-_.~ A-Za-z0-9\x80-\U0010ffff]")


def without_partitions(schema: pa.Schema, columns: tuple[str, ...]) -> pa.Schema:
    """Give the schema of the files of a table: what its folders say is not in them."""
    if not is_partitioned(schema):
        return schema
    return pa.schema([each for each in schema if each.name not in columns], schema.metadata)


def is_partitioned(schema: pa.Schema) -> bool:
    """Whether a table has what its rows could be dealt by."""
    return _DATE in schema.names


def deal(batch: pa.RecordBatch, columns: tuple[str, ...]) -> Iterator[tuple[str, pa.RecordBatch]]:
    """Give the rows of each folder, folders in the order of their names."""
    if not columns or not is_partitioned(batch.schema):
        yield "", batch
        return
    values = [_values(batch, column).dictionary_encode(null_encoding="encode") for column in columns]
    keys = np.zeros(batch.num_rows, np.int64)
    for each in values:
        keys = keys * len(each.dictionary) + each.indices.to_numpy(zero_copy_only=False)
    _, firsts, which = np.unique(keys, return_index=True, return_inverse=True)
    rest = batch.select([name for name in batch.schema.names if name not in columns])
    folders = {_folder(columns, values, first): number for number, first in enumerate(firsts.tolist())}
    for folder, number in sorted(folders.items()):
        yield folder, rest if len(folders) == 1 else rest.take(pa.array(np.flatnonzero(which == number)))


def _values(batch: pa.RecordBatch, column: str) -> pa.Array:
    values = plain_column(batch[_DATE if column in (BY_MONTH, BY_YEAR) else column])
    if column == BY_MONTH:
        return pc.floor_temporal(values, unit="month")
    return pc.year(values) if column == BY_YEAR else values


def _folder(columns: tuple[str, ...], values: list[pa.DictionaryArray], row: int) -> str:
    named: Mapping[str, object] = {
        column: each[row].as_py() for column, each in zip(columns, values, strict=True)
    }
    return "/".join(
        f"{column}={NULL if value is None else _escape(str(value))}" for column, value in named.items()
    )


def _escape(value: str) -> str:
    return _ESCAPED.sub(lambda found: quote(found[0], safe=""), value)

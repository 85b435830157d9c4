"""What the types of our columns are called elsewhere.

In: an Arrow type. Out: its name in a dialect of SQL or in Spark's JSON. A `timestamp` without a zone is what
was sent; one with a zone is a moment, in UTC. Raises: StoreError for a type that no table of ours has.
"""

from __future__ import annotations

from typing import Literal

import pyarrow as pa

from al3spark.errors import StoreError

Naming = Literal["spark", "athena", "duckdb", "json"]

_COLUMNS: tuple[Naming, ...] = ("spark", "athena", "duckdb", "json")
_NAMES = {
    pa.string(): ("STRING", "string", "VARCHAR", "string"),
    pa.int64(): ("BIGINT", "bigint", "BIGINT", "long"),
    pa.int32(): ("INT", "int", "INTEGER", "integer"),
    pa.date32(): ("DATE", "date", "DATE", "date"),
    pa.timestamp("us"): ("TIMESTAMP_NTZ", "timestamp", "TIMESTAMP", "timestamp_ntz"),
    pa.timestamp("us", "UTC"): ("TIMESTAMP", "timestamp", "TIMESTAMP WITH TIME ZONE", "timestamp"),
    pa.bool_(): ("BOOLEAN", "boolean", "BOOLEAN", "boolean"),
    pa.binary(): ("BINARY", "binary", "BLOB", "binary"),
}


def type_name(kind: pa.DataType, naming: Naming) -> str:
    """Name a type: in SQL of Spark, of Athena (and so of Glue and Hive) or of DuckDB, or as Spark's JSON."""
    if pa.types.is_decimal128(kind):
        name = f"decimal({kind.precision},{kind.scale})"
        return name.upper() if naming in ("spark", "duckdb") else name
    if kind not in _NAMES:
        raise StoreError(f"type {kind} is none that a table of al3spark has")
    return _NAMES[kind][_COLUMNS.index(naming)]

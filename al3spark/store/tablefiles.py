"""Parquet files of tables, as all that write them begin them.

In: a file that is being staged, and a schema whose metadata can hold a `comment`, as those of its fields can.
Out: a Parquet writer. Promises: comments are in the Arrow schema of the file and in what Spark keeps of a
schema, so that its DESCRIBE shows them; what else a schema carries about itself is left out.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from al3spark.errors import StoreError
from al3spark.store.typenames import type_name

COMMENT = b"comment"
SPARK_SCHEMA = "org.apache.spark.sql.parquet.row.metadata"


def begin_parquet(
    file: BinaryIO | Any, schema: pa.Schema, kept: Mapping[bytes, bytes] | None = None
) -> pq.ParquetWriter:
    """Begin a Parquet file of a table; `kept`: what its Arrow schema tells beside comments."""
    told = (schema.metadata or {}).get(COMMENT)
    plain = schema.with_metadata({**({COMMENT: told} if told else {}), **(kept or {})} or None)
    parquet = pq.ParquetWriter(file, plain, compression="zstd", compression_level=1)
    if described := spark_schema(plain):
        parquet.add_key_value_metadata({SPARK_SCHEMA: described})
    return parquet


def spark_schema(schema: pa.Schema) -> str:
    """A schema with its comments as Spark's JSON; "" if no column has one, or Spark may not know a type.

    Source: what Spark itself writes with the files of a DataFrame.
    """
    if not any(COMMENT in (field.metadata or {}) for field in schema):
        return ""
    try:
        fields = [_spark_field(field) for field in schema]
    except StoreError:
        return ""
    return json.dumps({"type": "struct", "fields": fields}, separators=(",", ":"))


def _spark_field(field: pa.Field) -> dict[str, Any]:
    comment = (field.metadata or {}).get(COMMENT)
    return {
        "name": field.name,
        "type": type_name(field.type, "json"),
        "nullable": field.nullable,
        "metadata": {"comment": comment.decode()} if comment else {},
    }

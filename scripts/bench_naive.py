"""What scripts/bench peers compares al3spark with: a job as a good engineer writes it in a day.

It uses what Spark brings: Spark reads the files whole (`binaryFile`), Python parses them record by record in
an Arrow UDF, each record becomes a row with its keys and its values as an array of strings, the rows are
cached, and one filtered write per group turns the strings into typed columns. It is no straw man: rows leave
Python in Arrow batches of some thousand, the JVM casts the strings, the cache is Spark's own. Like the parser
in bench_baseline.py it takes valid files that are not squeezed, and tells no faults.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
from bench_baseline import iterate_rows, make_plans
from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as everybody names it

from al3spark.al3.dictionary import Layout, load_dictionary
from al3spark.al3.tables import LEADING_FIELDS, UNMAPPED_SCHEMA, layout_schema
from al3spark.spark.reading import identify

_ROW = pa.schema(
    [
        *(pa.field(field.name, field.type) for field in LEADING_FIELDS),
        ("table_name", pa.string()),
        ("values", pa.list_(pa.string())),
        ("raw", pa.binary()),
    ]
)
_SQL_TYPES = {
    pa.string(): "string",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.date32(): "date",
    pa.timestamp("us"): "timestamp_ntz",
    pa.bool_(): "boolean",
    pa.binary(): "binary",
    pa.list_(pa.string()): "array<string>",
}
_ROWS = 8192


def run_naive(spark: SparkSession, source: Path, destination: Path) -> None:
    """Read all files below `source`, and write a folder for each table."""
    layouts = {layout.table: layout for layout in load_dictionary().layouts}
    files = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(str(source))
    row_type = ", ".join(f"`{field.name}` {_SQL_TYPES[field.type]}" for field in _ROW)
    rows = files.select("content").mapInArrow(parse_files, row_type).cache()
    try:
        for name in sorted(row["table_name"] for row in rows.select("table_name").distinct().collect()):
            table = rows.where(F.col("table_name") == name).select(*_columns(layouts.get(name)))
            table.write.parquet(str(destination / name))
    finally:
        rows.unpersist(blocking=True)


def parse_files(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Parse whole files, one a row, to rows of all tables."""
    plans = make_plans(load_dictionary())
    rows = []
    for batch in batches:
        for content in batch.column(0):
            data = content.as_py()
            for name, _, row in iterate_rows(data, identify(data), plans):
                leading = row[: len(LEADING_FIELDS)]
                values = [
                    value if value is None or value.__class__ is str else str(value)
                    for value in row[len(LEADING_FIELDS) : -1]
                ]
                rows.append([*leading, name, values, row[-1]])
                if len(rows) == _ROWS:
                    yield _to_batch(rows)
                    rows = []
    if rows:
        yield _to_batch(rows)


def _to_batch(rows: list[list[object]]) -> pa.RecordBatch:
    columns = zip(*rows, strict=True)
    arrays = [pa.array(column, kind) for column, kind in zip(columns, _ROW.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=_ROW)


def _columns(layout: Layout | None) -> list[Column]:
    leading = [F.col(field.name) for field in LEADING_FIELDS]
    values, raw = F.col("values"), F.col("raw")
    schema = layout_schema(layout) if layout else UNMAPPED_SCHEMA
    fields = list(schema)[len(LEADING_FIELDS) : -1]
    typed = [values[at].cast(_sql_type(field.type)).alias(field.name) for at, field in enumerate(fields)]
    return [*leading, *typed, raw.alias(schema.names[-1])]


def _sql_type(kind: pa.DataType) -> str:
    return f"decimal({kind.precision},{kind.scale})" if pa.types.is_decimal(kind) else _SQL_TYPES[kind]

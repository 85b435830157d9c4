"""CREATE TABLE statements for the tables of a destination, with a comment on each table and column.

In: columns with comments, a dialect and where the tables are. Out: SQL statements. No I/O.
Promises: a statement is valid wherever it is repeated; every name is quoted, so that none is a reserved word;
a line break ends a line of SQL, never one in a comment.
Athena takes one statement at a time, and its DDL is Hive's. Spark cannot look for partitions of a table whose
folder is not there. A DuckDB table holds its rows itself.
"""

from collections.abc import Collection, Iterable, Iterator
from typing import Literal

import pyarrow as pa

from al3spark.al3.comments import comment_of
from al3spark.catalogs.schemas import Planned
from al3spark.errors import RequestError
from al3spark.store.typenames import type_name

Dialect = Literal["spark", "athena", "duckdb"]

Fields = tuple[pa.Field, ...]


def ddl_statements(
    planned: Planned,
    dialect: Dialect,
    location: str | None = None,
    there: Collection[str] = (),
) -> Iterator[str]:
    """Give the statements for all tables. `location`: the URI of the destination; `there`: its tables so far.

    RequestError: the dialect needs a location, or has no use for one.
    """
    if dialect == "duckdb" and location:
        raise RequestError(
            "--location is for spark and athena; a table of DuckDB holds its rows itself: INSERT INTO name "
            "BY NAME SELECT * FROM read_parquet(...) fills it, `al3spark views --dialect duckdb` reads files"
        )
    if dialect == "athena" and not (location and location.startswith(("s3://", "s3a://", "s3n://"))):
        raise RequestError("athena needs to know where in S3 the tables are: --location s3://bucket/prefix/")
    for table, schema in planned.schemas.items():
        folders = planned.folders[table]
        where = f"{location.rstrip('/')}/{table}/" if location else None
        yield _WRITERS[dialect](table, schema, folders, where)
        if dialect == "athena" or (dialect == "spark" and table in there):
            yield f"MSCK REPAIR TABLE {_ticks(table)}"
        if dialect == "duckdb":
            yield from _duckdb_comments(table, schema, folders)


def _spark(table: str, schema: pa.Schema, folders: Fields, where: str | None) -> str:
    clauses = [
        f"CREATE TABLE IF NOT EXISTS {_ticks(table)} (",
        ",\n".join(_columns([*schema, *folders], "spark")),
        ")",
        "USING parquet",
        f"PARTITIONED BY ({', '.join(_ticks(field.name) for field in folders)})",
        *([f"LOCATION {_escaped(where)}"] if where else []),
        f"COMMENT {_escaped(comment_of(schema))}",
    ]
    return "\n".join(clauses)


def _athena(table: str, schema: pa.Schema, folders: Fields, where: str | None) -> str:
    partitions = ", ".join(column.strip() for column in _columns(folders, "athena"))
    bucket_and_key = (where or "").partition("://")[2]
    clauses = [
        f"CREATE EXTERNAL TABLE IF NOT EXISTS {_ticks(table)} (",
        ",\n".join(_columns(schema, "athena")),
        ")",
        f"COMMENT {_escaped(comment_of(schema))}",
        f"PARTITIONED BY ({partitions})",
        "STORED AS PARQUET",
        f"LOCATION {_escaped(f's3://{bucket_and_key}')}",
    ]
    return "\n".join(clauses)


def _duckdb(table: str, schema: pa.Schema, folders: Fields, where: str | None) -> str:
    fields = [*schema, *folders]
    columns = [f"    {_quotes(field.name)} {type_name(field.type, 'duckdb')}" for field in fields]
    return "\n".join([f"CREATE TABLE IF NOT EXISTS {_quotes(table)} (", ",\n".join(columns), ")"])


def _duckdb_comments(table: str, schema: pa.Schema, folders: Fields) -> Iterator[str]:
    yield f"COMMENT ON TABLE {_quotes(table)} IS {_doubled(comment_of(schema))}"
    for field in [*schema, *folders]:
        column = f"{_quotes(table)}.{_quotes(field.name)}"
        yield f"COMMENT ON COLUMN {column} IS {_doubled(comment_of(field))}"


_WRITERS = {"spark": _spark, "athena": _athena, "duckdb": _duckdb}


def _columns(fields: Iterable[pa.Field], dialect: Literal["spark", "athena"]) -> Iterator[str]:
    for field in fields:
        comment = f" COMMENT {_escaped(told)}" if (told := comment_of(field)) else ""
        yield f"    {_ticks(field.name)} {type_name(field.type, dialect)}{comment}"


def _ticks(name: str) -> str:
    return f"`{name}`"


def _quotes(name: str) -> str:
    return f'"{name}"'


def _escaped(text: str) -> str:
    """A literal of Spark and Hive."""
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _doubled(text: str) -> str:
    """A literal of standard SQL."""
    escaped = text.replace("'", "''")
    return f"'{escaped}'"

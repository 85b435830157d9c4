"""Views over the tables, as SQL of Spark, Athena (Trino) and DuckDB.

In: where the tables are, which of them have files, and the dictionary. Out: SQL statements: a view of each
table, `current_files`, and the curated views, whose SQL is in `sql/`: one text, which all dialects run. The
only I/O is reading it.
Promises: no statement names a table or a column that is not there. A table without files gets an empty view;
a curated view that needs what the dictionary does not have is left out, and a comment says why. In `sql/`
every table has an alias of its own and every column its alias: what a view needs is read from its SQL.
Leaves to others: Athena's tables, which `CREATE TABLE` statements make.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.resources import files
from typing import Literal, get_args

import pyarrow as pa

from al3spark.al3.dictionary import Dictionary
from al3spark.al3.tables import table_schemas
from al3spark.store.files_table import FILES_SCHEMA, FILES_TABLE
from al3spark.store.typenames import type_name

Dialect = Literal["spark", "athena", "duckdb"]
DIALECTS: tuple[Dialect, ...] = get_args(Dialect)
CURRENT_FILES = "current_files"
CURATED = ("policy_transactions", "coverages", "vehicles_drivers", "premium_by_policy")
"""The views of `sql/` that read tables of groups."""

_CREATE: Mapping[Dialect, str] = {
    "spark": "CREATE OR REPLACE TEMPORARY VIEW",
    "athena": "CREATE OR REPLACE VIEW",
    "duckdb": "CREATE OR REPLACE VIEW",
}
_READ: Mapping[Dialect, str] = {
    "spark": "USING parquet OPTIONS (path '{uri}', mergeSchema 'true')",
    "duckdb": "AS SELECT * FROM read_parquet('{uri}/**/*.parquet', "
    "union_by_name = true, hive_partitioning = true)",
}
_PARTITION = pa.field("ingest_date", pa.date32())
_TABLE = re.compile(r"\b(?:FROM|JOIN) (\w+) AS (\w+)")
_WITH = re.compile(r"\b(\w+) AS \(")
_COLUMN = re.compile(r"\b(\w+)\.(\w+)")

Schemas = Mapping[str, pa.Schema]


def read_sql(view: str) -> str:
    """The SELECT of a view, with a comment before it; the same for all dialects."""
    return files("al3spark.catalogs").joinpath("sql", f"{view}.sql").read_text(encoding="utf-8").rstrip()


def find_needs(sql: str) -> dict[str, set[str]]:
    """Which columns of which tables a SELECT reads, other views among them."""
    own = set(_WITH.findall(sql))
    tables = {alias: table for table, alias in _TABLE.findall(sql) if table not in own}
    needs: dict[str, set[str]] = {table: set() for table in tables.values()}
    for alias, column in _COLUMN.findall(sql):
        if alias in tables:
            needs[tables[alias]].add(column)
    return needs


def view_statements(root: str, tables: Iterable[str], dialect: Dialect, dictionary: Dictionary) -> list[str]:
    """The statements that make all views, in an order in which they can run; comments stand in front of one.

    `tables`: those below `root` that have files.
    """
    schemas = {**table_schemas(dictionary.layouts), FILES_TABLE: FILES_SCHEMA}
    unmet = {view: list(_find_unmet(view, schemas)) for view in CURATED}
    chosen = [view for view in CURATED if not unmet[view]]
    notes = "".join(
        f"-- {view} is left out: {', '.join(reasons)}\n" for view, reasons in unmet.items() if reasons
    )
    views = [_create(view, read_sql(view), dialect) for view in (CURRENT_FILES, *chosen)]
    statements = [*_table_views(root, set(tables), chosen, schemas, dialect), *views]
    return [f"{notes}{statements[0]}", *statements[1:]]


def _find_unmet(view: str, schemas: Schemas) -> Iterator[str]:
    """What a view needs and the dictionary does not have."""
    if view in schemas:
        yield f"the dictionary has a table {view}"
    for table, columns in find_needs(read_sql(view)).items():
        if table == CURRENT_FILES:
            continue  # it has what every batch writes
        if table not in schemas:
            yield f"the dictionary has no table {table}"
        else:
            missing = sorted(columns - {"job_id", *schemas[table].names})
            yield from (f"{table} has no column {column}" for column in missing)


def _table_views(
    root: str, tables: set[str], views: Iterable[str], schemas: Schemas, dialect: Dialect
) -> Iterator[str]:
    """A view of each table that has files or that a view needs."""
    if dialect == "athena":
        return
    needed = {FILES_TABLE}.union(*(find_needs(read_sql(view)) for view in views)) & schemas.keys()
    where = _as_glob(root.rstrip("/"), dialect)
    for table in sorted(tables | needed):
        if table in tables:
            how = _READ[dialect].format(uri=f"{where}/{table}")
        else:
            how = f"AS SELECT {_nulls(schemas[table], dialect)} WHERE FALSE"
        yield f"{_CREATE[dialect]} {table} {how}"


def _as_glob(root: str, dialect: Dialect) -> str:
    r"""Write a place so that a glob in a text of SQL stands for it, whatever characters it has.

    DuckDB takes [*] for a *. Spark (Hadoop) takes \*, and a text of its SQL has each backslash twice.
    """
    if dialect == "spark":
        return re.sub(r"[\[\]{}*?]", r"\\\\\g<0>", root).replace("'", "\\'")
    return re.sub(r"[\[*?]", r"[\g<0>]", root).replace("'", "''")


def _nulls(schema: pa.Schema, dialect: Dialect) -> str:
    """Give a null for each column of a table."""
    quote = "`" if dialect == "spark" else '"'
    job_id = [] if "job_id" in schema.names else [pa.field("job_id", pa.string())]
    return ", ".join(
        f"CAST(NULL AS {type_name(field.type, dialect)}) AS {quote}{field.name}{quote}"
        for field in (*job_id, *schema, _PARTITION)
    )


def _create(view: str, sql: str, dialect: Dialect) -> str:
    """Make a CREATE of a file of `sql/`, behind the comment that it begins with."""
    start = re.search(r"^(?!--)", sql, re.MULTILINE)
    at = start.start() if start else 0
    return f"{sql[:at]}{_CREATE[dialect]} {view} AS\n{sql[at:]}"

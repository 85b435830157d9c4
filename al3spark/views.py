"""Views over the tables, as SQL that Spark and DuckDB run alike.

In: a destination's URI and the names of its tables. Out: SQL statements. No I/O.
"""

from collections.abc import Iterable
from typing import Literal

from al3spark.store.files_table import FILES_SCHEMA

Dialect = Literal["spark", "duckdb"]

# Ranks break ties of rows that a crash or a compaction shows twice, so that each content is there once.
CURRENT_FILES_SQL = f"""
WITH versions AS (
    SELECT file_id, ROW_NUMBER() OVER (PARTITION BY file_path ORDER BY finished_at DESC, job_id DESC) AS age
    FROM files
    WHERE status LIKE 'succeeded%' OR duplicate_of IS NOT NULL
),
replaced AS (
    SELECT replaces AS old_id, MAX(finished_at) AS replaced_at
    FROM files
    WHERE replaces IS NOT NULL
    GROUP BY replaces
),
committed AS (
    SELECT files.*, ROW_NUMBER() OVER (PARTITION BY file_id ORDER BY finished_at DESC, job_id DESC) AS age
    FROM files
    WHERE status LIKE 'succeeded%'
)
SELECT {", ".join(FILES_SCHEMA.names)}
FROM committed LEFT JOIN replaced ON file_id = old_id
WHERE age = 1
    AND (replaced_at IS NULL OR replaced_at <= finished_at)
    AND file_id IN (SELECT file_id FROM versions WHERE age = 1)
"""
"""The rows of a table or view `files` whose rows in the other tables count now; for Spark and DuckDB alike.

At most one row for each file_id, hence for (job_id, file_id), on which to join. What a path holds is the
content of the newest of its rows that succeeded or were skipped as `duplicate_of`: a version that failed, or
whose plan is not published, leaves the one before it current. What some path holds is current, in the newest
of its ingests that succeeded, unless a later row `replaces` it (names its file_id: a plan removed its rows).
"""

_READ = {
    "spark": "CREATE OR REPLACE TEMPORARY VIEW {name} USING parquet "
    "OPTIONS (path '{uri}', mergeSchema 'true')",
    "duckdb": "CREATE OR REPLACE VIEW {name} AS SELECT * FROM read_parquet('{uri}/**/*.parquet', "
    "union_by_name = true, hive_partitioning = true)",
}
_CREATE = {
    "spark": "CREATE OR REPLACE TEMPORARY VIEW current_files AS",
    "duckdb": "CREATE OR REPLACE VIEW current_files AS",
}


def view_statements(root: str, tables: Iterable[str], dialect: Dialect) -> list[str]:
    """One statement for a view of each table below `root`, and the last for `current_files`."""
    where = root.rstrip("/").replace("'", "\\'" if dialect == "spark" else "''")
    read = [_READ[dialect].format(name=table, uri=f"{where}/{table}") for table in tables]
    return [*read, f"{_CREATE[dialect]}{CURRENT_FILES_SQL.rstrip()}"]

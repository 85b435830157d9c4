"""Compare tables that two programs made of the same files.

In: tables by name, in any order of rows. Out: what differs, as `table` or `table.column`. Promises: equal
means the same tables, the same rows of each, and equal cells of equal types; `errors` aside, which only
al3spark has.
"""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from al3spark.al3.tables import ERRORS_TABLE
from al3spark.store.files_table import FILES_TABLE

Tables = dict[str, pa.Table]

_OURS = (ERRORS_TABLE, FILES_TABLE)
_KEY = (("file_id", "ascending"), ("record_offset", "ascending"))


def find_differences(expected: Tables, got: Tables) -> list[str]:
    """Name what differs: a table whose rows or columns do, else those of its columns whose cells do."""
    names = sorted((expected.keys() | got.keys()) - set(_OURS))
    return [what for name in names for what in _differ(name, expected.get(name), got.get(name))]


def _differ(name: str, expected: pa.Table | None, got: pa.Table | None) -> Iterator[str]:
    if expected is None or got is None or _shape(expected) != _shape(got):
        yield name
    else:
        expected, got = expected.sort_by(list(_KEY)), got.sort_by(list(_KEY))
        for column in expected.column_names:
            if not expected[column].equals(got[column]):
                yield f"{name}.{column}"


def _shape(table: pa.Table) -> tuple[object, ...]:
    return table.num_rows, table.column_names, table.schema.types


def read_tables(destination: Path) -> Tables:
    """All tables below a folder, one to each of its folders, without `job_id`."""
    tables = {}
    for folder in sorted(destination.iterdir()):
        files = [] if folder.name.startswith("_") else sorted(folder.rglob("*.parquet"))
        if files:
            table = pa.concat_tables([pq.ParquetFile(file).read() for file in files])
            kept = [name for name in table.column_names if name != "job_id"]
            tables[folder.name] = table.select(kept).cast(_nullable(table.select(kept).schema))
    return tables


def _nullable(schema: pa.Schema) -> pa.Schema:
    return pa.schema([pa.field(field.name, field.type) for field in schema])

"""Tables of a destination, made without a batch: what the tests of rewriting and of orphans share."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from al3spark.parquet.rewriting import (
    compact,
    plan_compaction,
)
from al3spark.store.files_table import FILES_SCHEMA
from al3spark.store.places import Place
from al3spark.store.publish import Plan, run_plan, write_plan
from al3spark.store.staging import StagedFile

ROOT = Path(__file__).parent.parent
SCHEMA = pa.schema(
    [
        pa.field("job_id", pa.string(), nullable=False),
        pa.field("file_id", pa.string()),
        ("record_offset", pa.int64()),
        ("name", pa.string()),
    ]
)
DAY = "ingest_date=2026-01-02"
A, B, C, D = (letter * 32 for letter in "abcd")

Row = tuple[Any, ...]
# What makes queries of a few rows quick in Spark.
IN_ONE_TASK = {
    "spark.sql.adaptive.enabled": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.constraintPropagation.enabled": "false",
    "spark.sql.shuffle.partitions": "1",
}


def open_quick_session(spark: Any) -> Any:
    """A session beside that of the tests, which has no views and is for queries of a few rows."""
    session = spark.newSession()
    for name, value in IN_ONE_TASK.items():
        session.conf.set(name, value)
    return session


def rows_of(*pairs: tuple[str, str | None], schema: pa.Schema = SCHEMA, each: int = 2) -> pa.Table:
    """`each` rows of each (job_id, file_id); values of further columns tell them apart."""
    rows = [(job_id, file_id, number) for job_id, file_id in pairs for number in range(each)]
    values = [
        {"job_id": job_id, "file_id": file_id, "record_offset": number, "name": f"{file_id}-{number}"}
        for job_id, file_id, number in rows
    ]
    return pa.Table.from_pylist(values, schema)


def ledger_of(job_id: str, *file_ids: str, status: str = "succeeded") -> pa.Table:
    rows = [
        {
            "job_id": job_id,
            "file_path": f"/in/{each}",
            "file_id": each,
            "status": status,
            "size": 1,
            "version": "1",
        }
        for each in file_ids
    ]
    return pa.Table.from_pylist(rows, FILES_SCHEMA)


def stage(place: Place, job_id: str, number: int, name: str, rows: pa.Table) -> StagedFile:
    with place.stage(name, job_id, number, 0) as file:
        with pq.ParquetWriter(file, rows.schema, compression="zstd") as parquet:
            parquet.write_table(rows)
        return file.finish()


def put_parquet(place: Place, name: str, rows: pa.Table) -> None:
    """Write a file at once, as somebody else would."""
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink)
    place.write_document(name, sink.getvalue().to_pybytes())


def publish(
    place: Place, job_id: str, number: int, tables: Mapping[str, pa.Table], removals: Sequence[str] = ()
) -> Plan:
    """Publish one file for each folder `<table>/<partition>`, as a batch does."""
    staged = tuple(
        stage(place, job_id, number, f"{folder}/part-{job_id}-{number:06}-00000.parquet", rows)
        for folder, rows in tables.items()
    )
    plan = Plan(job_id, number, 1, staged, tuple(removals))
    write_plan(place, plan)
    assert run_plan(place, plan) == "published"
    return plan


def ingest(place: Place, job_id: str, *file_ids: str, number: int = 0) -> Plan:
    """A chunk with two tables, and its rows of `files`."""
    pairs = [(job_id, file_id) for file_id in file_ids]
    tables = {
        f"policies/{DAY}": rows_of(*pairs),
        f"vehicles/{DAY}": rows_of(*pairs, each=3),
        f"files/{DAY}": ledger_of(job_id, *file_ids),
    }
    return publish(place, job_id, number, tables)


def names(place: Place, prefix: str = "") -> list[str]:
    return [file.name for file in place.list_files() if file.name.startswith(prefix)]


def load(place: Place, name: str) -> pa.Table:
    with place.open_stream(name) as stream, pq.ParquetFile(stream) as parquet:
        return parquet.read()


def load_metadata(place: Place, name: str) -> pq.FileMetaData:
    with place.open_stream(name) as stream, pq.ParquetFile(stream) as parquet:
        return parquet.metadata


def size_of(place: Place, name: str) -> int:
    found = place.find(name)
    assert found
    return found.size


def read(place: Place, table: str) -> list[Row]:
    """All rows that are there, in the order of the files."""
    return [
        tuple(row.values()) for name in names(place, f"{table}/") for row in load(place, name).to_pylist()
    ]


def read_sorted(place: Place) -> dict[str, list[str]]:
    """All rows of all tables, as text in order: equal for equal sets of rows."""
    return {table: sorted(map(repr, read(place, table))) for table in ("policies", "vehicles", "files")}


def leftovers(place: Place) -> list[str]:
    return list(place.list_names("_al3spark/staging/"))


def compact_all(place: Place, job_id: str, table: str | None = None) -> list[str]:
    merges = plan_compaction(place, table)
    return [
        compact(place, job_id, number, 1, merge, lambda: None).final_name
        for number, merge in enumerate(merges)
    ]


def forget_plans(place: Place) -> None:
    """As cleaning does with jobs of long ago."""
    for name in list(place.list_names("_al3spark/jobs/")):
        place.remove(name)


def add_orphan(place: Place, job_id: str, rows: pa.Table, table: str = "policies") -> str:
    """A file that is visible although no plan published it."""
    name = f"{table}/{DAY}/part-{job_id}-000007-00000.parquet"
    assert place.publish(stage(place, job_id, 7, name, rows))
    return name

"""The write stage inside Spark's tasks: sorted blocks to staged Parquet files, one a table.

In: blocks, sorted by table, folder, split and number. Out: a row for each staged file, which says how many
rows of which split it holds; totals pass through. Promises: one file is open at a time; what is dropped is
never visible.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext

from al3spark.al3.blocks import plain_rows, unpack
from al3spark.al3.comments import file_schemas
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.tables import JOB_FIELD
from al3spark.errors import BatchError, StoreError
from al3spark.spark.partitions import without_partitions
from al3spark.spark.tasks import TOTALS, Batches, Task, sum_bytes
from al3spark.store.places import Place
from al3spark.store.staging import StagedWriter
from al3spark.store.tablefiles import begin_parquet

STAGED = (
    "table_name string, final_name string, token string, size bigint, rows bigint, "
    "splits string, totals binary"
)
ROW_GROUP_BYTES = 64 << 20
_STAGED_SCHEMA = pa.schema(
    [
        ("table_name", pa.string()),
        ("final_name", pa.string()),
        ("token", pa.string()),
        ("size", pa.int64()),
        ("rows", pa.int64()),
        ("splits", pa.string()),
        ("totals", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class WriteTask:
    """Everything that a write task needs to know."""

    place: Place
    dictionary: Dictionary
    job_id: str
    chunk: int
    ingest_date: str
    partition_by: tuple[str, ...] = ()

    @property
    def schemas(self) -> dict[str, pa.Schema]:
        """What the files of each table hold."""
        return {
            table: without_partitions(schema, self.partition_by)
            for table, schema in file_schemas(self.dictionary.layouts).items()
        }


def make_write(task: WriteTask) -> Task:
    """Make the function of the write stage: sorted blocks to staged Parquet files, one a table."""
    schemas = task.schemas

    def write(blocks: Batches) -> Batches:
        open_file: _TableFile | None = None
        pa.default_memory_pool().release_unused()  # what a parse in this process kept for the next one
        try:
            for batch in blocks:
                for table, folder, split_id, rows, payload in zip(
                    *(batch.column(name) for name in ("table_name", "folder", "split_id", "rows", "payload")),
                    strict=True,
                ):
                    name, where = table.as_py(), folder.as_py()
                    if name == TOTALS:
                        yield _staged_row(TOTALS, totals=payload.as_py())
                        continue
                    if open_file and (open_file.table, open_file.folder) != (name, where):
                        yield open_file.finish()
                        open_file = None
                    if open_file is None:
                        open_file = _TableFile(task, name, where, schemas[name])
                    open_file.add(split_id.as_py(), rows.as_py(), payload.as_buffer())
            if open_file:
                yield open_file.finish()
                open_file = None
        finally:
            if open_file:
                open_file.abandon()

    return write


class _TableFile:
    """A Parquet file of one folder of one table that a write task is staging."""

    def __init__(self, task: WriteTask, table: str, folder: str, schema: pa.Schema) -> None:
        context = TaskContext.get()
        part, attempt = (context.partitionId(), context.taskAttemptId()) if context else (0, 0)
        self.table, self.folder = table, folder
        self._final_name = final_name(table, task.ingest_date, task.job_id, task.chunk, f"{part:05}", folder)
        self._job_id = task.job_id
        self._file: StagedWriter = task.place.stage(self._final_name, task.job_id, task.chunk, attempt)
        self._parquet = begin_parquet(self._file, schema)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._rows: Counter[int] = Counter()
        self._sums: Counter[int] = Counter()

    def add(self, split_id: int, rows: int, payload: pa.Buffer) -> None:
        batch = plain_rows(unpack(payload))
        if batch.num_rows != rows:
            raise BatchError(f"a block of split {split_id} lost rows on its way: {batch.num_rows} of {rows}")
        self._rows[split_id] += rows
        self._sums[split_id] += sum_bytes(payload)
        self._waiting.append(batch)
        self._waiting_bytes += batch.nbytes
        if self._waiting_bytes >= ROW_GROUP_BYTES:
            self._write()

    def finish(self) -> pa.RecordBatch:
        self._write()
        self._parquet.close()
        staged = self._file.finish()
        return _staged_row(
            self.table,
            staged.final_name,
            staged.token,
            staged.size,
            self._rows.total(),
            [(split_id, rows, self._sums[split_id]) for split_id, rows in sorted(self._rows.items())],
        )

    def abandon(self) -> None:
        with contextlib.suppress(StoreError, OSError, pa.ArrowException):
            self._parquet.close()  # else it writes its end when it is collected, to a file that is closed
        self._file.abandon()

    def _write(self) -> None:
        if self._waiting:
            write_rows(self._parquet, pa.Table.from_batches(self._waiting), self._job_id)
            self._waiting, self._waiting_bytes = [], 0


def final_name(table: str, ingest_date: str, job_id: str, chunk: int, part: str, folder: str = "") -> str:
    """Name a file of a table, or of a folder below its day; no other plan ever uses the name."""
    below = f"{folder}/" if folder else ""
    return f"{table}/ingest_date={ingest_date}/{below}part-{job_id}-{chunk:06}-{part}.parquet"


def write_rows(parquet: pq.ParquetWriter, rows: pa.Table, job_id: str) -> None:
    """Write rows of one job as one row group."""
    job = pa.chunked_array([pa.repeat(pa.scalar(job_id), rows.num_rows)])
    parquet.write_table(rows.add_column(0, JOB_FIELD, job), row_group_size=rows.num_rows)


def _staged_row(
    table: str,
    name: str = "",
    token: str = "",
    size: int = 0,
    rows: int = 0,
    splits: Iterable[tuple[int, int, int]] = (),
    totals: bytes | None = None,
) -> pa.RecordBatch:
    values = [table, name, token, size, rows, json.dumps(list(splits)), totals]
    columns = [pa.array([value], field.type) for value, field in zip(values, _STAGED_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_STAGED_SCHEMA)

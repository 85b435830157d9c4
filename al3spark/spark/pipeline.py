"""Parse, shuffle by table, write: the Spark jobs of a batch.

In: splits of one source. Out: staged files that nobody can see yet, and the totals of every file. Promises:
the rows in the staged files of each table and split are those that the parse counted, and every file's bytes
and records add up; otherwise BatchError. Nothing of Spark is used but `range`, `mapInArrow`, one SQL hint and
`collect`, so the same code runs on 3.5 and 4.x, classic and Connect.
"""

import json
import re
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, Row, SparkSession

from al3spark.al3.faults import ERRORS_SCHEMA
from al3spark.al3.tables import ERRORS_TABLE
from al3spark.errors import Al3Error, BatchError, StoreError, SumsError, TasksFailedError
from al3spark.spark.connect import check_server
from al3spark.spark.fingerprints import FINGERPRINTS, make_fingerprint
from al3spark.spark.isolation import parse_isolated
from al3spark.spark.running import is_cancelled
from al3spark.spark.splits import InputFile, Split, pack_splits
from al3spark.spark.tasks import (
    BLOCKS,
    TOTALS,
    ParseTask,
    SplitTotals,
    Task,
    make_parse,
    make_validate,
    parse_split,
    tell_briefly,
)
from al3spark.spark.writing import STAGED, WriteTask, make_write
from al3spark.store.staging import StagedFile

_FINGERPRINT_BYTES = 16 << 20  # of a task: it reads and digests only
_INDETERMINATE = re.compile("indeterminate output was failed and retried")  # Spark 4.1 and newer see it
_UNSTARTED = re.compile(r"Cannot run program .*")
_RAISED = re.compile(r"^((?:\w+\.)*\w+Error): (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class StagedTable:
    """A staged file and what it holds."""

    table: str
    file: StagedFile
    rows: int


@dataclass(frozen=True, slots=True)
class ChunkResult:
    """What the tasks of a chunk did."""

    staged: tuple[StagedTable, ...]
    totals: tuple[SplitTotals, ...]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What is known of a file, or of a member of an archive, before it is parsed."""

    number: int
    member: str
    file_id: str
    size: int
    transcoded: bool
    code: str
    message: str
    retryable: bool


def fingerprint_files(
    spark: SparkSession, task: ParseTask, files: Sequence[InputFile]
) -> tuple[Fingerprint, ...]:
    """Read files, and every member of archives, for their ids; in the order of the files."""
    if not files:
        return ()
    splits = pack_splits(files, _FINGERPRINT_BYTES)
    found = _collect(spark, _each(spark, len(splits), make_fingerprint(task, splits), FINGERPRINTS))
    return tuple(sorted((Fingerprint(**row.asDict()) for row in found), key=lambda print_: print_.number))


def run_chunk(
    spark: SparkSession, parse: ParseTask, write: WriteTask, splits: Sequence[Split]
) -> ChunkResult:
    """Parse the splits of a chunk and stage its tables. The ids of the splits count from 0 in the chunk."""
    parse_one = parse_isolated if parse.isolated else parse_split
    blocks = _each(spark, len(splits), make_parse(parse, tuple(splits), parse_one), BLOCKS)
    view = f"al3spark_{uuid.uuid4().hex}"
    blocks.createOrReplaceTempView(view)
    try:
        query = f"SELECT /*+ REBALANCE(table_name) */ * FROM {view} SORT BY table_name, split_id, block_no"
        rows = _collect(spark, spark.sql(query).mapInArrow(tell_briefly(make_write(write)), STAGED))
    finally:
        with suppress(PySparkException, Py4JError, ConnectionError):  # what went wrong before counts
            spark.catalog.dropTempView(view)
    totals = tuple(
        SplitTotals.from_bytes(bytes(row["totals"])) for row in rows if row["table_name"] == TOTALS
    )
    written = [row for row in rows if row["table_name"] != TOTALS]
    sent = {(split.split_id, table): count for split in totals for table, count in split.rows}
    kept: Counter[tuple[int, str]] = Counter()
    unlike = Counter({(split.split_id, table): added for split in totals for table, added in split.sums})
    for row in written:
        for split_id, count, added in json.loads(row["splits"]):
            kept[split_id, row["table_name"]] += count
            unlike[split_id, row["table_name"]] -= added
    check_sums(len(splits), totals, sent, kept)
    for split_id, table in sorted(each for each, difference in unlike.items() if difference):
        raise SumsError(f"split {split_id}: other rows were written to {table} than it sent")
    return ChunkResult(
        tuple(
            StagedTable(
                row["table_name"], StagedFile(row["final_name"], row["token"], row["size"]), row["rows"]
            )
            for row in written
        ),
        totals,
    )


def validate_files(
    spark: SparkSession, task: ParseTask, splits: Sequence[Split], places_per_code: int
) -> tuple[tuple[SplitTotals, ...], pa.Table]:
    """Parse and write nothing: the totals, and the first faults of each code in each split."""
    checked = _each(spark, len(splits), make_validate(task, tuple(splits), places_per_code), BLOCKS)
    rows = _collect(spark, checked)
    totals = [SplitTotals.from_bytes(bytes(row["payload"])) for row in rows if row["table_name"] == TOTALS]
    batches = [
        pa.ipc.read_record_batch(pa.py_buffer(bytes(row["payload"])), ERRORS_SCHEMA)
        for row in rows
        if row["table_name"] == ERRORS_TABLE
    ]
    return tuple(sorted(totals, key=lambda split: split.split_id)), pa.Table.from_batches(
        batches, ERRORS_SCHEMA
    )


def check_sums(
    splits: int,
    totals: Sequence[SplitTotals],
    sent: dict[tuple[int, str], int],
    kept: Counter[tuple[int, str]],
) -> None:
    """Raise BatchError unless every split reported, all rows arrived (SumsError) and every file adds up."""
    reported = sorted(split.split_id for split in totals)
    if reported != list(range(splits)):
        raise BatchError(f"{splits} splits were to be parsed, totals came of {len(reported)}")
    for split_id, table in sorted(sent.keys() | kept.keys()):
        if sent.get((split_id, table), 0) != kept[split_id, table]:
            due = sent.get((split_id, table), 0)
            raise SumsError(
                f"split {split_id} sent {due} rows to {table}, {kept[split_id, table]} were written"
            )
    for split in totals:
        for file in split.files:
            if file.imbalance and not file.failed:
                raise BatchError(f"{file.path} does not add up: {file.imbalance}")


def _collect(spark: SparkSession, frame: DataFrame) -> list[Row]:
    """Run the job. Al3Error: its tasks failed. Of what Spark raises, only that it was cancelled is left."""
    try:
        return frame.collect()
    except (PySparkException, Py4JError) as error:
        if is_cancelled(error):
            raise
        check_server(spark, error)
        if _INDETERMINATE.search(str(error)):
            raise SumsError("Spark parsed lost output again, and the files had changed") from error
        raise _as_ours(error) from error


def _as_ours(error: Exception) -> Al3Error:
    """Say what made tasks fail: the last exception that a worker names; of a strange one only its class."""
    named = _RAISED.findall(str(error))
    kind, text = named[-1] if named else ("", "")
    if kind == "al3spark.errors.StoreError":
        return StoreError(text)
    if kind == "al3spark.errors.BatchError":
        return BatchError(text)
    unstarted = _UNSTARTED.search(str(error))  # a worker whose Python is not there
    return TasksFailedError(f"tasks failed: {kind or (unstarted and unstarted[0]) or type(error).__name__}")


def _each(spark: SparkSession, count: int, task: Task, schema: str) -> DataFrame:
    """Run a function on the numbers 0 to `count` - 1, one task each."""
    return spark.range(0, count, 1, count).mapInArrow(tell_briefly(task), schema)

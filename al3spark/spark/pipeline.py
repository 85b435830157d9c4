"""Parse, shuffle by table, write: the Spark jobs of a batch.

In: splits of one source. Out: staged files that nobody can see yet, and the totals of every file. Promises:
the rows in the staged files of each table and split are those that the parse counted, and every file's bytes
and records add up; otherwise BatchError. Nothing of Spark is used but `range`, `mapInArrow`, one SQL hint,
one setting and `collect`, so the same code runs on 3.5 and 4.x, classic and Connect.
"""

import json
import uuid
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
from py4j.protocol import Py4JError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from al3spark.al3.blocks import unpack
from al3spark.al3.faults import ERRORS_SCHEMA
from al3spark.al3.tables import ERRORS_TABLE
from al3spark.al3.totals import FileTotals
from al3spark.errors import BatchError, SumsError
from al3spark.spark.isolation import choose_parse
from al3spark.spark.jobs import collect, each_number
from al3spark.spark.session import ADVISORY_SIZE
from al3spark.spark.splits import Split
from al3spark.spark.tasks import (
    BLOCKS,
    TOTALS,
    ParseTask,
    SplitTotals,
    make_parse,
    make_validate,
    tell_briefly,
)
from al3spark.spark.writing import STAGED, WriteTask, make_write
from al3spark.store.staging import StagedFile

LEAST_PART, MOST_PART = 64 << 20, 128 << 20  # 128 MiB of blocks make a file of some 30 MB
_PACKED = 0.3  # bytes of blocks for one of a file


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

    @property
    def files(self) -> tuple[FileTotals, ...]:
        """The totals of each file, in the order of the splits."""
        return add_parts(self.totals)


def add_parts(splits: Sequence[SplitTotals]) -> tuple[FileTotals, ...]:
    """Give the totals of each file, in the order of the splits: those of its parts together."""
    files: dict[str, FileTotals] = {}
    for split in sorted(splits, key=lambda split: split.split_id):
        for totals in split.files:
            known = files.get(totals.path)
            files[totals.path] = known.plus(totals) if known else totals
    return tuple(files.values())


def choose_part_bytes(size: int, cores: int) -> int:
    """Choose how many bytes of blocks a write task takes, for files of `size` bytes together.

    More where each core has enough to do all the same: larger files of tables are better to read.
    """
    return max(LEAST_PART, min(MOST_PART, int(size * _PACKED) // (2 * cores)))


def run_chunk(
    spark: SparkSession, parse: ParseTask, write: WriteTask, splits: Sequence[Split], cores: int = 1
) -> ChunkResult:
    """Parse the splits of a chunk and stage its tables. The ids of the splits count from 0 in the chunk.

    `cores`: how many tasks run side by side. Sets `ADVISORY_SIZE`, which `open_session` puts back.
    """
    spark.conf.set(ADVISORY_SIZE, str(choose_part_bytes(sum(split.size for split in splits), cores)))
    blocks = each_number(spark, len(splits), make_parse(parse, tuple(splits), choose_parse(parse)), BLOCKS)
    view = f"al3spark_{uuid.uuid4().hex}"
    blocks.createOrReplaceTempView(view)
    try:
        query = (
            f"SELECT /*+ REBALANCE(table_name, folder) */ * FROM {view} "
            "SORT BY table_name, folder, split_id, block_no"
        )
        rows = collect(spark, spark.sql(query).mapInArrow(tell_briefly(make_write(write)), STAGED))
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
    check = make_validate(task, tuple(splits), places_per_code, choose_parse(task))
    rows = collect(spark, each_number(spark, len(splits), check, BLOCKS))
    totals = [SplitTotals.from_bytes(bytes(row["payload"])) for row in rows if row["table_name"] == TOTALS]
    batches = [
        unpack(pa.py_buffer(bytes(row["payload"]))) for row in rows if row["table_name"] == ERRORS_TABLE
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

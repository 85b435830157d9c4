"""What runs inside Spark's tasks: fingerprint files, parse splits, write tables.

Rows cross from parse to write as packed blocks, with table, folder, split and number.
Promises: the blocks of a split are identical on every attempt (no clock, no attempt id in them); the last one
of each split holds its totals, against which the driver checks what was written.
"""

import gc
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import pyarrow as pa

from al3spark.al3.archives import Limits
from al3spark.al3.blocks import Block, pack
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.inflating import UnreadableError
from al3spark.al3.parsing import SplitParser
from al3spark.al3.tables import ERRORS_TABLE
from al3spark.al3.totals import FileTotals
from al3spark.errors import Al3Error, StoreError
from al3spark.spark.partitions import deal
from al3spark.spark.reading import Failure, as_failure, read_files
from al3spark.spark.splits import Sealed, Split
from al3spark.store.places import Readable
from al3spark.store.retrying import Patience, RetryPlan

Batches = Iterator[pa.RecordBatch]
Task = Callable[[Batches], Batches]

TOTALS = "_totals"
BLOCKS = "table_name string, folder string, split_id int, block_no int, rows bigint, payload binary"

_BLOCK_SCHEMA = pa.schema(
    [
        ("table_name", pa.string()),
        ("folder", pa.string()),
        ("split_id", pa.int32()),
        ("block_no", pa.int32()),
        ("rows", pa.int64()),
        ("payload", pa.binary()),
    ]
)


@dataclass(frozen=True, slots=True)
class ParseTask:
    """Everything that a parse task needs to know."""

    place: Readable
    dictionary: Dictionary
    pivot: int
    window: int
    limits: Limits
    retry: RetryPlan = field(default_factory=RetryPlan)
    isolated: bool = False  # each file in a child process
    partition_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SplitTotals:
    """What a split sent: rows by table, what became of each file, and how often reading was tried again.

    `sums`: of the bytes that it sent, by table: rows of two versions of a file can be as many.
    """

    split_id: int
    rows: tuple[tuple[str, int], ...]
    files: tuple[FileTotals, ...]
    retries: int = 0
    sums: tuple[tuple[str, int], ...] = ()

    def to_bytes(self) -> bytes:
        """For the way to the driver."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "SplitTotals":
        """Read what `to_bytes` made."""
        fields = json.loads(data)
        files = tuple(
            FileTotals(
                **{**file, "fault_counts": tuple((code, count) for code, count in file["fault_counts"])}
            )
            for file in fields["files"]
        )
        rows = tuple((table, count) for table, count in fields["rows"])
        sums = tuple((table, number) for table, number in fields["sums"])
        return cls(fields["split_id"], rows, files, fields["retries"], sums)


def parse_split(task: ParseTask, split: Split) -> Iterator[Block | SplitTotals]:
    """Parse the files of a split; the totals come last."""
    parser, patience = SplitParser(task.dictionary, task.pivot), Patience(task.retry)
    rows: Counter[str] = Counter()
    for blocks in _parse_files(task, split, parser, patience):
        for block in blocks:
            rows[block.table] += block.batch.num_rows
            yield block
    yield SplitTotals(split.split_id, tuple(sorted(rows.items())), parser.totals(), patience.retries)


def _parse_files(
    task: ParseTask, split: Split, parser: SplitParser, patience: Patience
) -> Iterator[Iterable[Block]]:
    for file, opened in read_files(task.place, split.files, task.limits, task.window, patience):
        if isinstance(opened, Failure):
            parser.fail(file.path, file.file_id, opened.code, opened.message, opened.retryable)
            continue
        try:
            yield from (
                [block]
                for block in parser.parse(file.path, opened.file_id, opened.form, opened.windows, file.part)
            )
        except (StoreError, UnreadableError) as error:
            failure = as_failure(error)
            parser.fail(file.path, opened.file_id, failure.code, failure.message, failure.retryable)
    yield parser.flush()


ParseSplit = Callable[[ParseTask, Split], Iterator[Block | SplitTotals]]


def make_parse(task: ParseTask, splits: tuple[Split, ...], parse_one: ParseSplit = parse_split) -> Task:
    """Make the function of the parse stage: ids of splits to blocks."""
    sealed = Sealed.seal(splits)

    def parse(ids: Batches) -> Batches:
        for batch in ids:
            for split_id in batch.column(0).to_pylist():
                sums: Counter[str] = Counter()
                number = 0
                for block in parse_one(task, sealed.open(split_id)):
                    if isinstance(block, SplitTotals):
                        yield _as_row(split_id, number, replace(block, sums=tuple(sorted(sums.items()))))
                        continue
                    for folder, rows in deal(block.batch, task.partition_by):
                        row = _as_row(split_id, number, Block(block.table, rows), folder)
                        sums[block.table] += sum_bytes(row.column("payload")[0].as_buffer())
                        number += 1
                        yield row

    return parse


def sum_bytes(payload: pa.Buffer) -> int:
    """Add up the bytes of a block, eight at a time: 30 GB/s, where a CRC takes as long as the parse."""
    return int(np.frombuffer(payload, "<u8", len(payload) // 8).sum())


def make_validate(
    task: ParseTask, splits: tuple[Split, ...], places_per_code: int, parse_one: ParseSplit = parse_split
) -> Task:
    """Make the function that parses and keeps only totals and the first faults of each code."""
    sealed = Sealed.seal(splits)

    def validate(ids: Batches) -> Batches:
        for batch in ids:
            for split_id in batch.column(0).to_pylist():
                told: Counter[str] = Counter()
                for number, block in enumerate(parse_one(task, sealed.open(split_id))):
                    if isinstance(block, SplitTotals):
                        yield _as_row(split_id, number, block)
                    elif block.table == ERRORS_TABLE:
                        few = _first_of_each(block.batch, told, places_per_code)
                        if few.num_rows:
                            yield _as_row(split_id, number, Block(block.table, few))

    return validate


def _as_row(split_id: int, number: int, block: Block | SplitTotals, folder: str = "") -> pa.RecordBatch:
    if isinstance(block, SplitTotals):
        values = [TOTALS, folder, split_id, number, len(block.files), block.to_bytes()]
    else:
        values = [block.table, folder, split_id, number, block.batch.num_rows, pack(block.batch)]
    columns = [pa.array([value], field.type) for value, field in zip(values, _BLOCK_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_BLOCK_SCHEMA)


def tell_briefly(task: Task) -> Task:
    """Let an error of ours leave a task without the long way that it came.

    Spark Connect 3.5 cuts what a task told after 2,048 characters, and the error stands at the end.
    """

    def run(batches: Batches) -> Batches:
        spare_modules()
        try:
            yield from task(batches)
        except Al3Error as error:
            raise error.with_traceback(None) from None

    return run


def spare_modules() -> None:
    """Let the garbage collector pass over what is there now: modules, above all.

    Spark collects after each task. Looking at every object of every module takes a worker 35 ms of CPU.
    """
    if not gc.get_freeze_count():
        gc.freeze()


def _first_of_each(errors: pa.RecordBatch, told: Counter[str], most: int) -> pa.RecordBatch:
    keep = []
    for number, code in enumerate(errors.column("code").to_pylist()):
        told[code] += 1
        if told[code] <= most:
            keep.append(number)
    return errors.take(pa.array(keep, pa.int64()))

"""What runs inside Spark's tasks: fingerprint files, parse splits, write tables.

Rows cross from parse to write as *blocks*: serialized record batches with table, split and number. Promises:
the blocks of a split are identical on every attempt (no clock, no attempt id in them); the last one of each
split holds its totals, against which the driver checks what was written.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark import TaskContext

from al3spark.al3.archives import Limits, UnreadableError, is_archive, iter_members
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.gathering import Block
from al3spark.al3.parsing import FileTotals, SplitParser
from al3spark.al3.tables import ERRORS_TABLE, table_schemas
from al3spark.errors import BatchError, StoreError
from al3spark.spark.reading import Failure, as_failure, read_files, scan, stream
from al3spark.spark.splits import InputFile, Split
from al3spark.store.places import Place
from al3spark.store.retrying import Patience, RetryPlan
from al3spark.store.staging import StagedWriter

Batches = Iterator[pa.RecordBatch]
Task = Callable[[Batches], Batches]

TOTALS = "_totals"
BLOCKS = "table_name string, split_id int, block_no int, rows bigint, payload binary"
STAGED = (
    "table_name string, final_name string, token string, size bigint, rows bigint, "
    "splits string, totals binary"
)
FINGERPRINTS = (
    "number int, member string, file_id string, size bigint, transcoded boolean, "
    "code string, message string, retryable boolean"
)
JOB_FIELD = pa.field("job_id", pa.string(), nullable=False)
ROW_GROUP_BYTES = 64 << 20

_BLOCK_SCHEMA = pa.schema(
    [
        ("table_name", pa.string()),
        ("split_id", pa.int32()),
        ("block_no", pa.int32()),
        ("rows", pa.int64()),
        ("payload", pa.binary()),
    ]
)
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
_FINGERPRINT_SCHEMA = pa.schema(
    [
        ("number", pa.int32()),
        ("member", pa.string()),
        ("file_id", pa.string()),
        ("size", pa.int64()),
        ("transcoded", pa.bool_()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("retryable", pa.bool_()),
    ]
)


@dataclass(frozen=True, slots=True)
class ParseTask:
    """Everything that a parse task needs to know."""

    place: Place
    dictionary: Dictionary
    pivot: int
    window: int
    limits: Limits
    retry: RetryPlan = field(default_factory=RetryPlan)
    isolated: bool = False  # each file in a child process


@dataclass(frozen=True, slots=True)
class WriteTask:
    """Everything that a write task needs to know."""

    place: Place
    dictionary: Dictionary
    job_id: str
    chunk: int
    ingest_date: str


@dataclass(frozen=True, slots=True)
class SplitTotals:
    """What a split sent: rows by table, what became of each file, and how often reading was tried again."""

    split_id: int
    rows: tuple[tuple[str, int], ...]
    files: tuple[FileTotals, ...]
    retries: int = 0

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
        return cls(fields["split_id"], rows, files, fields["retries"])


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
                [block] for block in parser.parse(file.path, opened.file_id, opened.form, opened.windows)
            )
        except (StoreError, UnreadableError) as error:
            failure = as_failure(error)
            parser.fail(file.path, opened.file_id, failure.code, failure.message, failure.retryable)
    yield parser.flush()


ParseSplit = Callable[[ParseTask, Split], Iterator[Block | SplitTotals]]


def make_parse(task: ParseTask, splits: tuple[Split, ...], parse_one: ParseSplit = parse_split) -> Task:
    """Make the function of the parse stage: ids of splits to blocks."""

    def parse(ids: Batches) -> Batches:
        for batch in ids:
            for split_id in batch.column(0).to_pylist():
                for number, block in enumerate(parse_one(task, splits[split_id])):
                    yield _as_row(split_id, number, block)

    return parse


def make_validate(task: ParseTask, splits: tuple[Split, ...], places_per_code: int) -> Task:
    """Make the function that parses and keeps only totals and the first faults of each code."""

    def validate(ids: Batches) -> Batches:
        for batch in ids:
            for split_id in batch.column(0).to_pylist():
                told: Counter[str] = Counter()
                for number, block in enumerate(parse_split(task, splits[split_id])):
                    if isinstance(block, SplitTotals):
                        yield _as_row(split_id, number, block)
                    elif block.table == ERRORS_TABLE:
                        few = _first_of_each(block.batch, told, places_per_code)
                        if few.num_rows:
                            yield _as_row(split_id, number, Block(block.table, few))

    return validate


def make_write(task: WriteTask) -> Task:
    """Make the function of the write stage: sorted blocks to staged Parquet files, one a table."""
    schemas = table_schemas(task.dictionary.layouts)

    def write(blocks: Batches) -> Batches:
        open_file: _TableFile | None = None
        try:
            for batch in blocks:
                for table, split_id, rows, payload in zip(
                    *(batch.column(name) for name in ("table_name", "split_id", "rows", "payload")),
                    strict=True,
                ):
                    name = table.as_py()
                    if name == TOTALS:
                        yield _staged_row(TOTALS, totals=payload.as_py())
                        continue
                    if open_file and open_file.table != name:
                        yield open_file.finish()
                        open_file = None
                    if open_file is None:
                        open_file = _TableFile(task, name, schemas[name])
                    open_file.add(split_id.as_py(), rows.as_py(), payload.as_buffer())
            if open_file:
                yield open_file.finish()
                open_file = None
        finally:
            if open_file:
                open_file.abandon()

    return write


def make_fingerprint(task: ParseTask, files: tuple[InputFile, ...]) -> Task:
    """Make the function that gives each file, or each member of an archive, its id, its size and its form."""

    def fingerprint(ids: Batches) -> Batches:
        for batch in ids:
            for number in batch.column(0).to_pylist():
                yield from _fingerprint_rows(task, number, files[number])

    return fingerprint


def _fingerprint_rows(task: ParseTask, number: int, file: InputFile) -> Batches:
    def row(
        member: str = "", failure: Failure | None = None, found: tuple[str, bool, int] = ("", False, 0)
    ) -> pa.RecordBatch:
        told = (failure.code, failure.message, failure.retryable) if failure else ("", "", False)
        values = [number, member, found[0], found[2], found[1], *told]
        return pa.RecordBatch.from_arrays(
            [pa.array([value], field.type) for value, field in zip(values, _FINGERPRINT_SCHEMA, strict=True)],
            schema=_FINGERPRINT_SCHEMA,
        )

    try:
        if not is_archive(file.name):
            file_id, form, size = scan(stream(task.place, file, task.window, Patience(task.retry)))
            yield row(found=(file_id, form.transcoded, size))
            return
        with task.place.open_stream(file.name, file.version) as archive:
            for member, windows in iter_members(task.place.uri(file.name), archive, task.limits, task.window):
                try:
                    file_id, form, size = scan(windows)
                    yield row(member.path, found=(file_id, form.transcoded, size))
                except UnreadableError as error:
                    yield row(member.path, as_failure(error))
    except StoreError as error:
        yield row(failure=as_failure(error))


class _TableFile:
    """A Parquet file of one table that a write task is staging."""

    def __init__(self, task: WriteTask, table: str, schema: pa.Schema) -> None:
        context = TaskContext.get()
        part, attempt = (context.partitionId(), context.taskAttemptId()) if context else (0, 0)
        self.table = table
        self._final_name = final_name(table, task.ingest_date, task.job_id, task.chunk, f"{part:05}")
        self._schema = schema
        self._job_id = task.job_id
        self._file: StagedWriter = task.place.stage(self._final_name, task.job_id, task.chunk, attempt)
        self._parquet = open_parquet(self._file, schema)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_bytes = 0
        self._rows: Counter[int] = Counter()

    def add(self, split_id: int, rows: int, payload: pa.Buffer) -> None:
        batch = pa.ipc.read_record_batch(payload, self._schema)
        if batch.num_rows != rows:
            raise BatchError(f"a block of split {split_id} lost rows on its way: {batch.num_rows} of {rows}")
        self._rows[split_id] += rows
        self._waiting.append(batch)
        self._waiting_bytes += len(payload)
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
            sorted(self._rows.items()),
        )

    def abandon(self) -> None:
        with contextlib.suppress(StoreError, OSError, pa.ArrowException):
            self._parquet.close()  # else it writes its end when it is collected, to a file that is closed
        self._file.abandon()

    def _write(self) -> None:
        if self._waiting:
            write_rows(self._parquet, pa.Table.from_batches(self._waiting), self._job_id)
            self._waiting, self._waiting_bytes = [], 0


def final_name(table: str, ingest_date: str, job_id: str, chunk: int, part: str) -> str:
    """Name a file of a table; no other plan ever uses the name."""
    return f"{table}/ingest_date={ingest_date}/part-{job_id}-{chunk:06}-{part}.parquet"


def open_parquet(file: StagedWriter, schema: pa.Schema) -> pq.ParquetWriter:
    """Begin a Parquet file with `job_id` in front of a table's columns."""
    return pq.ParquetWriter(file, pa.schema([JOB_FIELD, *schema]), compression="zstd", compression_level=1)


def write_rows(parquet: pq.ParquetWriter, rows: pa.Table, job_id: str) -> None:
    """Write rows of one job as one row group."""
    job = pa.chunked_array([pa.repeat(pa.scalar(job_id), rows.num_rows)])
    parquet.write_table(rows.add_column(0, JOB_FIELD, job), row_group_size=rows.num_rows)


def _as_row(split_id: int, number: int, block: Block | SplitTotals) -> pa.RecordBatch:
    if isinstance(block, SplitTotals):
        values = [TOTALS, split_id, number, len(block.files), block.to_bytes()]
    else:
        values = [block.table, split_id, number, block.batch.num_rows, block.batch.serialize().to_pybytes()]
    columns = [pa.array([value], field.type) for value, field in zip(values, _BLOCK_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_BLOCK_SCHEMA)


def _staged_row(
    table: str,
    name: str = "",
    token: str = "",
    size: int = 0,
    rows: int = 0,
    splits: Iterable[tuple[int, int]] = (),
    totals: bytes | None = None,
) -> pa.RecordBatch:
    values = [table, name, token, size, rows, json.dumps(list(splits)), totals]
    columns = [pa.array([value], field.type) for value, field in zip(values, _STAGED_SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=_STAGED_SCHEMA)


def _first_of_each(errors: pa.RecordBatch, told: Counter[str], most: int) -> pa.RecordBatch:
    keep = []
    for number, code in enumerate(errors.column("code").to_pylist()):
        told[code] += 1
        if told[code] <= most:
            keep.append(number)
    return errors.take(pa.array(keep, pa.int64()))

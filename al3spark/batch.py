"""One batch, from request to manifest: lock, recover, plan, run chunks, publish.

In: a checked request and a Spark session. Out: the manifest, as a mapping. Promises: a chunk is published as
a whole or not at all; what a killed batch left is repaired by the next one; running the same request again
goes on where it stopped. Raises: RequestError, StoreError, BatchError; nothing of the chunk at hand is
published then.
"""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from al3spark.al3.archives import Limits
from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.budget import find_breach
from al3spark.config import REPROCESS_FAILED, Archive, BatchRequest, Options
from al3spark.errors import BatchError, CancelledError, RequestError, TasksFailedError
from al3spark.manifest import (
    FAILED,
    ChunkRecord,
    JobRecord,
    Stop,
    compose_manifest,
    count_statuses,
    find_troubles,
    make_file_rows,
    make_skip_rows,
)
from al3spark.monitoring import Counts, StatusBoard, mark_dead
from al3spark.planning import Selection, Skipped, drop_known, drop_young, identify_inputs, list_inputs
from al3spark.spark.pipeline import ChunkResult, StagedTable, run_chunk
from al3spark.spark.session import cancel_jobs, count_cores, watch_tasks
from al3spark.spark.splits import InputFile, Split, choose_split_bytes, cut_chunks, pack_splits
from al3spark.spark.tasks import ParseTask, WriteTask, final_name
from al3spark.store.documents import new_job_id, write_manifest
from al3spark.store.ledger import FILES_SCHEMA, FILES_TABLE, Ledger, load_ledger
from al3spark.store.lock import Lock, acquire
from al3spark.store.places import Place, open_place
from al3spark.store.publish import Plan, run_plan, settle_job, write_plan
from al3spark.store.retrying import RetryPlan

MIB = 1 << 20
LEAST_CHUNK = 4096 * MIB
PROBE = "_al3spark/probe"
MOST_ATTEMPTS = 3  # of a chunk: as it is, file by file if its tasks died, and without what changed meanwhile
UNWIRED = ("parallelism", "on_changed", "archive", "on_finish", "log_format")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request whose places and dictionary were found good, before Spark starts."""

    request: BatchRequest
    source: Place
    destination: Place
    dictionary: Dictionary

    @property
    def parse_task(self) -> ParseTask:
        """What parse tasks need to know."""
        options = self.request.options
        return ParseTask(
            self.source,
            self.dictionary,
            options.century_pivot,
            options.window_kib << 10,
            Limits(),
            RetryPlan(options.max_attempts, options.retry_delay_s),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a batch is, for people. Units: bytes to parse; `fraction` of all work, 0 to 1."""

    step: str
    files: int = 0
    bytes: int = 0
    fraction: float = 0.0


Report = Callable[[Progress], None]


def prepare(request: BatchRequest, writes: bool = True) -> Prepared:
    """Open both places and load the dictionary; with `writes`, see that the destination can be written.

    Raises: RequestError, StoreError, DictionaryError, which say what is wrong.
    """
    dictionary = load_dictionary(*request.options.dictionaries)
    source, destination = open_place(request.source.uri), open_place(request.destination.uri)
    _refuse_overlaps(request, source)
    _refuse_unwired(request.options)
    if not request.source.files:
        next(iter(source.list_files(request.source.pattern)), None)
    if writes:
        destination.write_document(PROBE, b"")
        destination.remove(PROBE)
    return Prepared(request, source, destination, dictionary)


def preview(prepared: Prepared) -> Selection:
    """Say what a run would read and what it would skip, as far as that shows without reading files."""
    return _select_listed(prepared, load_ledger(prepared.destination))


def _refuse_unwired(options: Options) -> None:
    """Raise RequestError for options that do nothing yet."""
    asked = [name for name in UNWIRED if getattr(options, name) != getattr(Options(), name)]
    if options.reprocess not in (None, REPROCESS_FAILED):
        asked.append("reprocess of a job")
    if asked:
        raise RequestError(f"not supported yet by this version: {', '.join(asked)}")


def _refuse_overlaps(request: BatchRequest, source: Place) -> None:
    """Raise RequestError if a file that is read is, or will be, among those that are written."""
    archive = request.options.archive or Archive()
    written = {
        "destination": request.destination.uri,
        "archive": archive.succeeded,
        "archive of failed files": archive.failed,
    }
    for name, uri in written.items():
        if uri is None or not source.overlaps(place := open_place(uri)):
            continue
        files = [open_place(source.uri(each)) for each in request.source.files]
        if not files or any(file.overlaps(place) for file in files):
            raise RequestError(f"source and {name} overlap: {request.source.uri}, {uri}")


def _select_listed(prepared: Prepared, ledger: Ledger) -> Selection:
    """Choose from a listing what to read, as far as that shows without reading files."""
    asked, options = prepared.request.source, prepared.request.options
    listed = list_inputs(prepared.source, asked.pattern, asked.files)
    known = drop_known(listed, ledger, options.reprocess == REPROCESS_FAILED)
    young = drop_young(known.files, options.min_age_s, time.time_ns())
    return Selection(young.files, known.skipped + young.skipped)


def run_batch(prepared: Prepared, spark: SparkSession, report: Report) -> dict[str, Any]:
    """Run a batch to its end and give the manifest, which is also at the destination then."""
    started = datetime.now(UTC)
    job_id = new_job_id(started, secrets.token_hex(3))
    with acquire(prepared.destination, job_id) as lock:
        mark_dead(prepared.destination, lock.taken_over)
        board = StatusBoard(prepared.destination, job_id, lambda: cancel_jobs(spark), lambda: lock.lost)
        run = _Run(prepared, spark, report, lock, board, job_id, started, count_cores(spark))
        with board:
            try:
                return run.carry_out()
            except BaseException as error:
                settle_job(prepared.destination, job_id)
                cancelled = board.is_cancelled or isinstance(error, KeyboardInterrupt | CancelledError)
                board.end("cancelled" if cancelled else "failed")
                board.check()
                raise


@dataclass(frozen=True, slots=True)
class _Run:
    prepared: Prepared
    spark: SparkSession
    report: Report
    lock: Lock
    board: StatusBoard
    job_id: str
    started: datetime
    cores: int

    @property
    def ingest_date(self) -> str:
        return (self.prepared.request.options.ingest_date or self.started.date()).isoformat()

    def carry_out(self) -> dict[str, Any]:
        self.report(Progress("listing"))
        selection, ledger = self._select()
        chunks = self._cut(selection.files)
        work = sum(file.size for file in selection.files) or 1
        skips = len(selection.skipped)
        counts = Counts(len(selection.files) + skips, skipped=skips, total_bytes=work, chunks=len(chunks))
        self.board.begin(counts)
        records: list[ChunkRecord] = []
        contents: dict[str, str] = {}
        done = 0
        for number, chunk in enumerate(chunks):
            self.board.check()
            size = sum(split.size for split in chunk)
            counts = replace(counts, chunk=number + 1, chunk_bytes=size, published_bytes=done)
            self.board.counts = counts

            def tell(part: float, done: int = done, size: int = size) -> None:
                self.board.parsed(part)
                self.report(Progress("parsing", len(selection.files), work, (done + part * size) / work))

            ended = self._run_chunk(number, chunk, ledger, contents, count_statuses(records), tell)
            if isinstance(ended, Stop):
                return self._end(selection, records, replace(ended, unread=work - done - size))
            records.append(ended)
            contents |= ended.contents
            done += size
            counts = _count_chunk(counts, ended, done)
            self.board.published(counts, find_troubles(ended))
        found = tuple(each for record in records for each in record.skipped)
        selection = replace(selection, skipped=selection.skipped + found)
        records += self._publish_skips(len(chunks), selection, records)
        self.report(Progress("done", len(selection.files), work, 1.0))
        return self._end(selection, records)

    def _end(
        self, selection: Selection, records: Sequence[ChunkRecord], stop: Stop | None = None
    ) -> dict[str, Any]:
        """Leave the manifest, and nothing that is staged."""
        self.lock.check()
        settle_job(self.prepared.destination, self.job_id)
        manifest = compose_manifest(self._job_record(), selection, records, datetime.now(UTC), stop)
        write_manifest(self.prepared.destination, self.job_id, manifest)
        self.board.end(manifest["status"])
        return manifest

    def _select(self) -> tuple[Selection, Ledger]:
        """Choose what to read."""
        ledger = load_ledger(self.prepared.destination)
        again = self.prepared.request.options.reprocess == REPROCESS_FAILED
        fresh = _select_listed(self.prepared, ledger)
        self.report(Progress("identifying", len(fresh.files), sum(file.size for file in fresh.files)))
        chosen = identify_inputs(self.spark, self.prepared.parse_task, fresh.files, ledger, again)
        return replace(chosen, skipped=fresh.skipped + chosen.skipped), ledger

    def _cut(self, files: Sequence[InputFile]) -> tuple[tuple[Split, ...], ...]:
        options = self.prepared.request.options
        split_bytes = choose_split_bytes(files, self.cores, options.split_mib * MIB)
        chunk_bytes = (options.chunk_mib or 0) * MIB or max(LEAST_CHUNK, 4 * self.cores * split_bytes)
        return cut_chunks(pack_splits(files, split_bytes), chunk_bytes)

    def _run_chunk(
        self,
        number: int,
        chunk: Sequence[Split],
        ledger: Ledger,
        contents: Mapping[str, str],
        before: Counter[str],
        tell: Callable[[float], None],
    ) -> ChunkRecord | Stop:
        """Parse, write and publish one chunk, or stop: then nothing of it is published.

        `contents`: path by file_id of what this batch published; `before`: how its files ended so far.
        """
        started = datetime.now(UTC)
        task = WriteTask(
            self.prepared.destination, self.prepared.dictionary, self.job_id, number, self.ingest_date
        )
        splits = tuple(replace(split, split_id=position) for position, split in enumerate(chunk))
        doubles: tuple[Skipped, ...] = ()
        parse = self.prepared.parse_task
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                with watch_tasks(self.spark, self.job_id, len(splits), tell):
                    result = run_chunk(self.spark, parse, task, splits)
            except TasksFailedError:
                self.board.check()
                if parse.isolated:
                    raise
                parse = replace(parse, isolated=True)
                continue
            stop = self._find_stop(number, result, before)
            failed, found = _find_failed(result), _find_doubles(result, splits, ledger, contents)
            if not stop and not failed and not found:
                return replace(self._publish(number, splits, result, started, attempt), skipped=doubles)
            for staged in result.staged:
                self.prepared.destination.discard(staged.file)
            if stop:
                return stop
            doubles += found
            splits = _without(splits, failed, {each.file.path for each in found})
        raise BatchError(
            f"chunk {number}: files changed again while it was repeated; run it again when they are still"
        )

    def _find_stop(self, number: int, result: ChunkResult, before: Counter[str]) -> Stop | None:
        """Compare what failed, in this chunk and before, with what may fail."""
        files = [file for split in result.totals for file in split.files]
        failures = tuple((file.path, f"{file.failed}: {file.reason}") for file in files if file.failed)
        failed, parsed = before[FAILED] + len(failures), before.total() + len(files)
        reason = find_breach(self.prepared.request.options, failed, parsed)
        return Stop(number, reason, failures) if reason else None

    def _publish(
        self, number: int, splits: Sequence[Split], result: ChunkResult, started: datetime, attempts: int
    ) -> ChunkRecord:
        finished = datetime.now(UTC)
        files = [file for split in splits for file in split.files]
        totals = {totals.path: totals for split in result.totals for totals in split.files}
        rows = make_file_rows(self.job_id, files, totals, started, finished, attempts)
        staged = (*result.staged, self._stage_files(number, rows))
        self._run_plan(number, staged)
        counts: Counter[str] = Counter()
        for each in totals.values():
            counts.update(dict(each.fault_counts))
        retries = sum(split.retries for split in result.totals)
        return ChunkRecord(
            number, started, datetime.now(UTC), staged, rows, tuple(counts.items()), retries=retries
        )

    def _publish_skips(
        self, number: int, selection: Selection, records: Sequence[ChunkRecord]
    ) -> tuple[ChunkRecord, ...]:
        """Put into the ledger what was not read, so that the next run need not look again."""
        now = datetime.now(UTC)
        rows = make_skip_rows(self.job_id, selection, records, self.started, now)
        if not rows.num_rows:
            return ()
        staged = (self._stage_files(number, rows),)
        self._run_plan(number, staged)
        return (ChunkRecord(number, now, datetime.now(UTC), staged, rows),)

    def _stage_files(self, number: int, rows: pa.Table) -> StagedTable:
        name = final_name(FILES_TABLE, self.ingest_date, self.job_id, number, "driver")
        with self.prepared.destination.stage(name, self.job_id, number, 0) as file:
            with pq.ParquetWriter(file, FILES_SCHEMA, compression="zstd") as parquet:
                parquet.write_table(rows)
            return StagedTable(FILES_TABLE, file.finish(), rows.num_rows)

    def _run_plan(self, number: int, staged: Sequence[StagedTable]) -> None:
        self.lock.check()
        plan = Plan(self.job_id, number, self.lock.epoch, tuple(each.file for each in staged))
        write_plan(self.prepared.destination, plan)
        if run_plan(self.prepared.destination, plan) != "published":
            raise BatchError(
                f"chunk {number}: a staged file was lost, nothing of the chunk is published; run it again"
            )

    def _job_record(self) -> JobRecord:
        return JobRecord(
            self.job_id,
            self.prepared.request,
            self.prepared.dictionary.version,
            self.spark.version,
            self.cores,
            self.started,
        )


def _count_chunk(counts: Counts, record: ChunkRecord, published_bytes: int) -> Counts:
    """Count what a chunk decided."""
    ended = count_statuses([record])
    return replace(
        counts,
        completed=counts.completed + ended.total() - ended[FAILED],
        failed=counts.failed + ended[FAILED],
        skipped=counts.skipped + len(record.skipped),
        published_bytes=published_bytes,
        part=0.0,
        chunk_bytes=0,
    )


def _find_failed(result: ChunkResult) -> dict[str, tuple[str, str, bool]]:
    """Find files that failed after rows of them had left their task: those rows must not be published.

    Gives what there is to tell instead, by path: code and message of the fault, and whether waiting can help.
    """
    return {
        file.path: (file.failed, file.reason, file.retryable)
        for split in result.totals
        for file in split.files
        if file.failed and file.rows
    }


def _find_doubles(
    result: ChunkResult, splits: Sequence[Split], ledger: Ledger, contents: Mapping[str, str]
) -> tuple[Skipped, ...]:
    """Find files whose content turned out to be ingested already, or to be that of a file before them."""
    files = {file.path: file for split in splits for file in split.files}
    first = dict(contents)
    doubles = []
    for totals in sorted(result.totals, key=lambda split: split.split_id):
        for ended in totals.files:
            if ended.failed:
                continue
            if original := first.get(ended.file_id) or ledger.path_of(ended.file_id):
                file = replace(files[ended.path], file_id=ended.file_id)
                doubles.append(Skipped(file, "same content", duplicate_of=original))
            else:
                first[ended.file_id] = ended.path
    return tuple(doubles)


def _without(
    splits: Sequence[Split], failed: Mapping[str, tuple[str, str, bool]], doubles: Collection[str]
) -> tuple[Split, ...]:
    """Leave out doubles; of files that failed only the fault is to be told."""
    return tuple(
        replace(
            split,
            files=tuple(
                replace(file, failure=failed.get(file.path, file.failure))
                for file in split.files
                if file.path not in doubles
            ),
        )
        for split in splits
    )

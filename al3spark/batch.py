"""One batch, from request to manifest: lock, recover, plan, run chunks, publish.

In: a checked request and a Spark session. Out: the manifest, as a mapping. Promises: a chunk is published as
a whole or not at all; what a killed batch left is repaired by the next one; running the same request again
goes on where it stopped. Raises: RequestError, StoreError, BatchError; nothing of the chunk at hand is
published then.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from al3spark.budget import find_breach
from al3spark.config import REPROCESS_FAILED
from al3spark.errors import BatchError, CancelledError, TasksFailedError
from al3spark.judging import count_chunk, find_doubles, find_failed, without
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
from al3spark.planning import Selection, Skipped, identify_inputs
from al3spark.preparing import Prepared, select_listed
from al3spark.reporting import Progress, open_metrics, run_hook
from al3spark.spark.pipeline import ChunkResult, StagedTable, run_chunk
from al3spark.spark.session import cancel_jobs, count_cores, watch_tasks
from al3spark.spark.splits import InputFile, Split, choose_split_bytes, cut_chunks, pack_splits
from al3spark.spark.writing import WriteTask, final_name
from al3spark.store.documents import job_folder, new_job_id, write_manifest
from al3spark.store.ledger import FILES_SCHEMA, FILES_TABLE, Ledger, load_ledger
from al3spark.store.lock import Lock, acquire
from al3spark.store.publish import Plan, run_plan, settle_job, write_plan

MIB = 1 << 20
LEAST_CHUNK = 4096 * MIB
METRICS = "metrics.prom"
MOST_ATTEMPTS = 3  # of a chunk: as it is, file by file if its tasks died, and without what changed meanwhile


Report = Callable[[Progress], None]


def run_batch(prepared: Prepared, spark: SparkSession, report: Report) -> dict[str, Any]:
    """Run a batch to its end and give the manifest, which is also at the destination then.

    The command `on_finish` runs when all is done, however it ended; if it fails, `report` is told.
    """
    started = datetime.now(UTC)
    job_id = new_job_id(started, secrets.token_hex(3))
    status = "failed"
    try:
        manifest = _run_locked(prepared, spark, report, job_id, started)
        status = manifest["status"]
        return manifest
    except CancelledError:
        status = "cancelled"
        raise
    finally:
        if command := prepared.request.options.on_finish:
            where = prepared.destination.uri(f"{job_folder(job_id)}/manifest.json")
            if trouble := run_hook(command, job_id, status, where):
                report(Progress(trouble))


def _run_locked(
    prepared: Prepared, spark: SparkSession, report: Report, job_id: str, started: datetime
) -> dict[str, Any]:
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
            counts = count_chunk(counts, ended, done)
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
        metrics = f"{job_folder(self.job_id)}/{METRICS}"
        self.prepared.destination.write_document(metrics, open_metrics(manifest).encode())
        self.board.end(manifest["status"])
        return manifest

    def _select(self) -> tuple[Selection, Ledger]:
        """Choose what to read."""
        ledger = load_ledger(self.prepared.destination)
        again = self.prepared.request.options.reprocess == REPROCESS_FAILED
        fresh = select_listed(self.prepared, ledger)
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
            failed, found = find_failed(result), find_doubles(result, splits, ledger, contents)
            if not stop and not failed and not found:
                return replace(self._publish(number, splits, result, started, attempt), skipped=doubles)
            for staged in result.staged:
                self.prepared.destination.discard(staged.file)
            if stop:
                return stop
            doubles += found
            splits = without(splits, failed, {each.file.path for each in found})
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
        self.board.check()
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

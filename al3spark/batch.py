"""One batch, from request to manifest: lock, recover, plan, run chunks, publish.

In: a checked request and a Spark session. Out: the manifest, as a mapping. Promises: a chunk is published as
a whole or not at all; what a killed batch left is repaired by the next one; running the same request again
goes on where it stopped. Raises: RequestError, StoreError, BatchError; nothing of the chunk at hand is
published then.
"""

import secrets
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from pyspark.sql import SparkSession

from al3spark.archiving import Archiver
from al3spark.catalogs.evolution import note_schemas
from al3spark.chunks import ChunkRunner
from al3spark.config import CSV, REPLACE, REPROCESS_FAILED
from al3spark.errors import Al3Error, CancelledError, StoreError
from al3spark.exports.exporting import export_batch
from al3spark.file_rows import ChunkRecord, count_statuses
from al3spark.finishing import tell_end, updating_catalog
from al3spark.judging import count_chunk
from al3spark.manifest import JobRecord, Stop, compose_manifest, find_troubles
from al3spark.monitoring import Counts, StatusBoard, mark_dead
from al3spark.parquet.turnover import Turnover
from al3spark.planning import Selection, identify_inputs
from al3spark.preparing import Prepared, select_listed
from al3spark.reporting import Progress, open_metrics
from al3spark.reprocessing import Rerun, find_rerun
from al3spark.spark.running import cancel_jobs, count_task_seconds, is_interrupted
from al3spark.spark.session import count_cores
from al3spark.spark.splits import InputFile, Split, choose_split_bytes, cut_chunks, pack_splits
from al3spark.spark.tasks import ParseTask
from al3spark.store.documents import job_folder, new_job_id, write_manifest
from al3spark.store.ledger import Ledger, load_ledger
from al3spark.store.lock import Lock, acquire
from al3spark.store.publish import settle_job

MIB = 1 << 20
LEAST_CHUNK = 4096 * MIB
METRICS = "metrics.prom"

Report = Callable[[Progress], None]


def run_batch(prepared: Prepared, spark: SparkSession, report: Report) -> dict[str, Any]:
    """Run a batch to its end and give the manifest, which is also at the destination then.

    Then the catalog is brought up to date, if nobody took the lock, and whoever `on_finish` names is told,
    however it ended. If one of these fails, `report` is told.
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
        for trouble in tell_end(prepared, job_id, status):
            report(Progress(trouble))


def _run_locked(
    prepared: Prepared, spark: SparkSession, report: Report, job_id: str, started: datetime
) -> dict[str, Any]:
    lock = acquire(prepared.destination, job_id)
    with updating_catalog(prepared, lock, lambda trouble: report(Progress(trouble))), lock:
        mark_dead(prepared.destination, job_id)
        note_schemas(prepared.destination, prepared.tables)
        board = StatusBoard(prepared.destination, job_id, lambda: cancel_jobs(spark), lambda: lock.lost)
        run = _Run(prepared, spark, report, lock, board, job_id, started, count_cores(spark))
        with board:
            try:
                return run.carry_out()
            except BaseException as error:
                with suppress(StoreError):  # what went wrong before counts; the next run settles the rest
                    settle_job(prepared.destination, job_id)
                if is_interrupted():
                    board.cancel("interrupted")
                cancelled = board.is_cancelled or isinstance(error, KeyboardInterrupt | CancelledError)
                with suppress(StoreError):
                    board.end("cancelled" if cancelled and not lock.lost else "failed", _tell(error))
                if lock.lost:  # nobody cancelled it, whichever thread was first to see the other owner
                    lock.check()
                board.check()
                raise


def _tell(error: BaseException) -> str:
    """Say in a line what a job broke off at; of what is no error of ours only its class."""
    return str(error) if isinstance(error, Al3Error) else type(error).__name__


@dataclass(frozen=True, slots=True)
class _Work:
    """What there is to do. `ledger`: without what is read again."""

    selection: Selection
    ledger: Ledger
    parse: ParseTask
    rerun: Rerun | None = None


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
        work = self._find_work()
        selection, runner = work.selection, self._make_runner(work)
        chunks = self._cut(selection.files, whole=work.rerun is not None)
        size = sum(file.size for file in selection.files) or 1
        skips = len(selection.skipped)
        counts = Counts(len(selection.files) + skips, skipped=skips, total_bytes=size, chunks=len(chunks))
        self.board.begin(counts)
        records: list[ChunkRecord] = []
        done = 0
        for number, chunk in enumerate(chunks):
            self.board.check()
            open_bytes = sum(split.size for split in chunk)
            counts = replace(counts, chunk=number + 1, chunk_bytes=open_bytes, published_bytes=done)
            self.board.counts = counts

            def tell(part: float, done: int = done, open_bytes: int = open_bytes) -> None:
                self.board.parsed(part)
                self.report(
                    Progress("parsing", len(selection.files), size, (done + part * open_bytes) / size)
                )

            ended = runner.run(number, chunk, count_statuses(records), tell)
            if isinstance(ended, Stop):
                return self._end(selection, records, runner, replace(ended, unread=size - done - open_bytes))
            records.append(ended)
            done += open_bytes
            counts = count_chunk(counts, ended, done)
            self.board.published(counts, find_troubles(ended))
        found = tuple(each for record in records for each in record.skipped)
        selection = replace(selection, skipped=selection.skipped + found)
        records += runner.publish_skips(len(chunks), selection, records, self.started)
        self.report(Progress("done", len(selection.files), size, 1.0))
        return self._end(selection, records, runner)

    def _end(
        self,
        selection: Selection,
        records: Sequence[ChunkRecord],
        runner: ChunkRunner,
        stop: Stop | None = None,
    ) -> dict[str, Any]:
        """Leave the manifest, and nothing that is staged."""
        self.lock.check()
        settle_job(self.prepared.destination, self.job_id)
        job = self._job_record()
        manifest = compose_manifest(job, selection, records, datetime.now(UTC), runner.moved, stop)
        write_manifest(self.prepared.destination, self.job_id, manifest)
        metrics = f"{job_folder(self.job_id)}/{METRICS}"
        self.prepared.destination.write_document(metrics, open_metrics(manifest).encode())
        asked = self.prepared.request.destination
        if asked.format == CSV:
            self.report(Progress("writing csv"))
            export_batch(self.prepared.destination, asked.uri, self.lock, self._check)
        self.board.end(manifest["status"], stop.reason if stop else None)
        return manifest

    def _check(self) -> None:
        """Raise CancelledError if the job shall end; for work without Spark."""
        self.board.check()
        if is_interrupted():
            raise CancelledError("interrupted")

    def _find_work(self) -> _Work:
        """Choose what to read."""
        ledger = load_ledger(self.prepared.destination)
        parse = self.prepared.parse_task
        asked = self.prepared.request.options.reprocess
        if asked not in (None, REPROCESS_FAILED):
            return self._find_work_again(str(asked), ledger)
        fresh = select_listed(self.prepared, ledger)
        self._tell_identifying(fresh.files)
        chosen = identify_inputs(
            self.spark, parse, fresh.files, ledger, asked == REPROCESS_FAILED, self._split_bytes(fresh.files)
        )
        return _Work(replace(chosen, skipped=fresh.skipped + chosen.skipped), ledger, parse)

    def _find_work_again(self, job_id: str, ledger: Ledger) -> _Work:
        """Choose what a job published."""
        rerun = find_rerun(self.prepared.destination, job_id, ledger, self.prepared.readable_places)
        parse = replace(self.prepared.parse_task, place=rerun.place)
        ledger = ledger.without(held.file_id for held in rerun.again.values())
        self._tell_identifying(rerun.files)
        chosen = identify_inputs(self.spark, parse, rerun.files, None, False, self._split_bytes(rerun.files))
        files = tuple(file for file in chosen.files if file.path in rerun.again)
        return _Work(Selection(files, (), chosen.archives), ledger, parse, rerun)

    def _tell_identifying(self, files: Sequence[InputFile]) -> None:
        self.report(Progress("identifying", len(files), sum(file.size for file in files)))

    def _make_runner(self, work: _Work) -> ChunkRunner:
        asked, rerun = self.prepared.request.options, work.rerun
        turnover = Turnover(work.ledger, asked.on_changed == REPLACE, rerun.again if rerun else {})
        turnover.claim(each.file.file_id for each in work.selection.skipped if each.duplicate_of)
        succeeded, failed = (None, None) if rerun else self.prepared.archives
        return ChunkRunner(
            self.prepared,
            self.spark,
            self.cores,
            self.lock,
            self.board,
            self.job_id,
            self.ingest_date,
            work.parse,
            work.ledger,
            turnover,
            Archiver(self.prepared.source, succeeded, failed, self.job_id, rerun.archived if rerun else {}),
        )

    def _cut(self, files: Sequence[InputFile], whole: bool) -> tuple[tuple[Split, ...], ...]:
        """Cut into chunks; `whole`: into one, for what is to be published at once."""
        options = self.prepared.request.options
        split_bytes = self._split_bytes(files)
        chunk_bytes = (options.chunk_mib or 0) * MIB or max(LEAST_CHUNK, 4 * self.cores * split_bytes)
        splits = pack_splits(files, split_bytes)
        return cut_chunks(splits, sum(split.size for split in splits) if whole else chunk_bytes)

    def _split_bytes(self, files: Sequence[InputFile]) -> int:
        return choose_split_bytes(files, self.cores, self.prepared.request.options.split_mib * MIB)

    def _job_record(self) -> JobRecord:
        return JobRecord(
            self.job_id,
            self.prepared.request,
            self.prepared.dictionary.version,
            self.spark.version,
            self.cores,
            self.started,
            count_task_seconds(self.spark, self.job_id),
            self.prepared.tables.digest,
        )

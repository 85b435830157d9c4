"""One batch, from request to manifest: lock, recover, plan, run chunks, publish.

In: a checked request and a Spark session. Out: the manifest, as a mapping. Promises: a chunk is published as
a whole or not at all; what a killed batch left is repaired by the next one; running the same request again
goes on where it stopped. Raises: RequestError, StoreError, BatchError; nothing of the chunk at hand is
published then.
"""

import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import SparkSession

from al3spark.al3.archives import Limits
from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.config import REPROCESS_FAILED, BatchRequest
from al3spark.errors import BatchError, RequestError
from al3spark.manifest import ChunkRecord, JobRecord, compose_manifest, make_file_rows, make_skip_rows
from al3spark.planning import Selection, drop_known, identify_inputs, list_inputs
from al3spark.spark.pipeline import ChunkResult, StagedTable, run_chunk
from al3spark.spark.session import count_cores, watch_tasks
from al3spark.spark.splits import InputFile, Split, choose_split_bytes, cut_chunks, pack_splits
from al3spark.spark.tasks import ParseTask, WriteTask, final_name
from al3spark.store.documents import new_job_id, write_manifest, write_status
from al3spark.store.ledger import FILES_SCHEMA, FILES_TABLE, Ledger, load_ledger
from al3spark.store.lock import Lock, acquire
from al3spark.store.places import Place, open_place
from al3spark.store.publish import Plan, run_plan, write_plan

MIB = 1 << 20
LEAST_CHUNK = 4096 * MIB
PROBE = "_al3spark/probe"


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
            self.source, self.dictionary, options.century_pivot, options.window_kib << 10, Limits()
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
    source, destination = open_place(request.source), open_place(request.destination)
    if source.overlaps(destination):
        raise RequestError(f"source and destination overlap: {request.source}, {request.destination}")
    next(iter(source.list_files(request.options.pattern)), None)
    if writes:
        destination.write_document(PROBE, b"")
        destination.remove(PROBE)
    return Prepared(request, source, destination, dictionary)


def preview(prepared: Prepared) -> Selection:
    """Say what a run would read and what it would skip, as far as that shows without reading files."""
    options = prepared.request.options
    listed = list_inputs(prepared.source, options.pattern)
    return drop_known(listed, load_ledger(prepared.destination), options.reprocess == REPROCESS_FAILED)


def run_batch(prepared: Prepared, spark: SparkSession, report: Report) -> dict[str, Any]:
    """Run a batch to its end and give the manifest, which is also at the destination then."""
    started = datetime.now(UTC)
    job_id = new_job_id(started, secrets.token_hex(3))
    with acquire(prepared.destination, job_id) as lock:
        run = _Run(prepared, spark, report, lock, job_id, started, count_cores(spark))
        try:
            return run.carry_out()
        except BaseException as error:
            prepared.destination.discard_staged(job_id)
            run.write_status("cancelled" if isinstance(error, KeyboardInterrupt) else "failed")
            raise


@dataclass(frozen=True, slots=True)
class _Run:
    prepared: Prepared
    spark: SparkSession
    report: Report
    lock: Lock
    job_id: str
    started: datetime
    cores: int

    @property
    def ingest_date(self) -> str:
        return (self.prepared.request.options.ingest_date or self.started.date()).isoformat()

    def carry_out(self) -> dict[str, Any]:
        self.write_status("processing")
        self.report(Progress("listing"))
        selection, ledger = self._select()
        chunks = self._cut(selection.files)
        work = sum(file.size for file in selection.files) or 1
        records: list[ChunkRecord] = []
        done = 0
        for number, chunk in enumerate(chunks):
            size = sum(split.size for split in chunk)

            def tell(part: float, done: int = done, size: int = size) -> None:
                self.report(Progress("parsing", len(selection.files), work, (done + part * size) / work))

            records.append(self._run_chunk(number, chunk, ledger, tell))
            done += size
        records += self._publish_skips(len(chunks), selection, records)
        manifest = compose_manifest(self._job_record(), selection, records, datetime.now(UTC))
        write_manifest(self.prepared.destination, self.job_id, manifest)
        self.write_status(manifest["status"])
        self.report(Progress("done", len(selection.files), work, 1.0))
        return manifest

    def write_status(self, status: str) -> None:
        """Leave a word on how the job is doing."""
        now = datetime.now(UTC).isoformat()
        document = {
            "job_id": self.job_id,
            "status": status,
            "started_at": self.started.isoformat(),
            "at": now,
        }
        write_status(self.prepared.destination, self.job_id, document)

    def _select(self) -> tuple[Selection, Ledger]:
        """Choose what to read."""
        options = self.prepared.request.options
        listed = list_inputs(self.prepared.source, options.pattern)
        ledger = load_ledger(self.prepared.destination)
        again = options.reprocess == REPROCESS_FAILED
        fresh = drop_known(listed, ledger, again)
        self.report(Progress("identifying", len(fresh.files), sum(file.size for file in fresh.files)))
        chosen = identify_inputs(self.spark, self.prepared.parse_task, fresh.files, ledger, again)
        return replace(chosen, skipped=fresh.skipped + chosen.skipped), ledger

    def _cut(self, files: Sequence[InputFile]) -> tuple[tuple[Split, ...], ...]:
        options = self.prepared.request.options
        split_bytes = choose_split_bytes(files, self.cores, options.split_mib * MIB)
        chunk_bytes = (options.chunk_mib or 0) * MIB or max(LEAST_CHUNK, 4 * self.cores * split_bytes)
        return cut_chunks(pack_splits(files, split_bytes), chunk_bytes)

    def _run_chunk(
        self, number: int, chunk: Sequence[Split], ledger: Ledger, tell: Callable[[float], None]
    ) -> ChunkRecord:
        """Parse, write and publish one chunk."""
        started = datetime.now(UTC)
        task = WriteTask(
            self.prepared.destination, self.prepared.dictionary, self.job_id, number, self.ingest_date
        )
        splits = tuple(replace(split, split_id=position) for position, split in enumerate(chunk))
        for attempt in (1, 2):
            with watch_tasks(self.spark, self.job_id, len(splits), tell):
                result = run_chunk(self.spark, self.prepared.parse_task, task, splits)
            faulty = _find_faulty(result, splits, ledger)
            if not faulty:
                return self._publish(number, splits, result, started, attempt)
            for staged in result.staged:
                self.prepared.destination.discard(staged.file)
            splits = _without(splits, faulty)
        raise BatchError(
            f"chunk {number}: files changed again while it was repeated; run it again when they are still"
        )

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
        return ChunkRecord(number, started, datetime.now(UTC), staged, rows, tuple(counts.items()))

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


def _find_faulty(
    result: ChunkResult, splits: Sequence[Split], ledger: Ledger
) -> dict[str, tuple[str, str] | None]:
    """Find files whose rows must not be published although rows of them have left their task.

    Gives the fault of each path, or None if its content turned out to be known already.
    """
    faulty: dict[str, tuple[str, str] | None] = {}
    seen: set[str] = set()
    for split in result.totals:
        for file in split.files:
            if file.failed:
                if file.rows:
                    faulty[file.path] = (file.failed, file.reason)
            elif file.file_id in seen or ledger.path_of(file.file_id):
                faulty[file.path] = None
            seen.add(file.file_id)
    return faulty


def _without(splits: Sequence[Split], faulty: dict[str, tuple[str, str] | None]) -> tuple[Split, ...]:
    """Leave out what is known; of the others only the fault is to be told."""
    return tuple(
        replace(
            split,
            files=tuple(
                replace(file, failure=faulty[file.path]) if file.path in faulty else file
                for file in split.files
                if faulty.get(file.path, ()) is not None
            ),
        )
        for split in splits
    )

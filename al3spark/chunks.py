"""One chunk of a batch: parse it, judge what came of it, publish it; and what is told of files not read.

In: splits, or what was skipped. Out: a ChunkRecord of what was published, or a Stop: then nothing was.
Promises: each chunk is one plan; rows that go because of what it publishes go by the same plan; source files
are moved after it. Raises: StoreError, BatchError, CancelledError; nothing of the chunk is published then.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from pyspark.sql import SparkSession

from al3spark.al3.totals import FileTotals
from al3spark.archiving import Archiver, Move, Moved
from al3spark.budget import find_breach
from al3spark.errors import BatchError, SumsError, TasksFailedError
from al3spark.file_rows import (
    FAILED,
    ChunkRecord,
    Links,
    Skip,
    choose_skips,
    make_file_rows,
    make_skip_rows,
)
from al3spark.judging import find_crowded, find_doubles, find_failed, find_unlike, without
from al3spark.manifest import Stop
from al3spark.monitoring import StatusBoard
from al3spark.parquet.rewriting import Rewrite, rewrite_without
from al3spark.parquet.turnover import Turnover
from al3spark.planning import Selection, Skipped
from al3spark.preparing import Prepared
from al3spark.spark.pipeline import ChunkResult, StagedTable, run_chunk
from al3spark.spark.running import read_task_seconds, watch_tasks
from al3spark.spark.slowest import FileTime, find_slowest
from al3spark.spark.splits import Split, whole_files
from al3spark.spark.tasks import ParseTask
from al3spark.spark.writing import WriteTask, final_name
from al3spark.store.files_table import FILES_SCHEMA, FILES_TABLE
from al3spark.store.ledger import Held, Ledger
from al3spark.store.lock import Lock
from al3spark.store.publish import Plan, run_plan, write_plan
from al3spark.store.tablefiles import begin_parquet

MOST_ATTEMPTS = 3  # of a chunk: as it is, file by file if its tasks died, and without what changed meanwhile


@dataclass(slots=True)
class ChunkRunner:
    """Run the chunks of one batch, one after the other.

    `contents`: path by file_id of what this batch published so far. `moved`: what came of moving source
    files.
    """

    prepared: Prepared
    spark: SparkSession
    cores: int
    lock: Lock
    board: StatusBoard
    job_id: str
    ingest_date: str
    parse: ParseTask
    ledger: Ledger
    turnover: Turnover
    archiver: Archiver
    contents: dict[str, str] = field(default_factory=dict)
    moved: Moved = field(default_factory=Moved)

    def run(
        self, number: int, chunk: Sequence[Split], before: Counter[str], tell: Callable[[float], None]
    ) -> ChunkRecord | Stop:
        """Parse, write and publish one chunk, or stop. `before`: how files of the batch ended so far."""
        started = datetime.now(UTC)
        write = WriteTask(
            self.prepared.destination,
            self.prepared.dictionary,
            self.job_id,
            number,
            self.ingest_date,
            self.parse.partition_by,
        )
        splits = tuple(replace(split, split_id=position) for position, split in enumerate(chunk))
        doubles: tuple[Skipped, ...] = ()
        parse = self.parse
        for attempt in range(1, MOST_ATTEMPTS + 1):
            try:
                with watch_tasks(self.spark, self.job_id, len(splits), tell):
                    result = run_chunk(self.spark, parse, write, splits, self.cores)
            except TasksFailedError:
                self.board.check()
                if parse.isolated:
                    raise
                parse = replace(parse, isolated=True)
                continue
            except SumsError:
                if attempt == MOST_ATTEMPTS:
                    raise
                continue
            most = self.prepared.request.options.max_partitions
            if wrong := find_unlike(result, self.turnover.again) or find_crowded(
                result, parse.partition_by, most
            ):
                raise BatchError(wrong)
            stop = self._find_stop(number, result, before)
            failed, found = find_failed(result), find_doubles(result, splits, self.ledger, self.contents)
            if not stop and not failed and not found:
                record = self._publish(number, splits, result, started, attempt)
                return replace(record, skipped=doubles, slowest=self._find_slowest(splits))
            for staged in result.staged:
                self.prepared.destination.discard(staged.file)
            if stop:
                return stop
            doubles += found
            self.turnover.claim(each.file.file_id for each in found)
            splits = without(splits, failed, {each.file.path for each in found})
        raise BatchError(
            f"chunk {number}: files changed again while it was repeated; run it again when they are still"
        )

    def _find_slowest(self, splits: Sequence[Split]) -> tuple[FileTime, ...] | None:
        seconds = read_task_seconds(self.spark, self.job_id, len(splits))
        return None if seconds is None else find_slowest(splits, seconds)

    def publish_skips(
        self, number: int, selection: Selection, records: Sequence[ChunkRecord], started: datetime
    ) -> tuple[ChunkRecord, ...]:
        """Put into the ledger what was not read, so that the next run need not look again; move it, too."""
        skips = choose_skips(selection, records)
        known = [each for each in selection.skipped if each.known and not each.young]
        more, moves = self._move_known(known)
        skips += more
        moves += [Move(skip.file, target) for skip in skips if (target := self._target(skip))]
        now = self._now()
        gone = self.turnover.replace(
            {skip.file.path: skip.file.file_id for skip in skips if skip.duplicate_of}
        )
        links = Links(_ids(gone), self._places_of(moves))
        rows = make_skip_rows(self.job_id, skips, started, now, links)
        published: tuple[ChunkRecord, ...] = ()
        if rows.num_rows:
            staged, removed = self._carry_out(number, (), rows, gone)
            record = ChunkRecord(number, now, datetime.now(UTC), staged, rows, replaced_rows=removed)
            published = (record,)
        self._move(moves)
        return published

    def _find_stop(self, number: int, result: ChunkResult, before: Counter[str]) -> Stop | None:
        """Compare what failed, in this chunk and before, with what may fail."""
        files = result.files
        failures = tuple((file.path, f"{file.failed}: {file.reason}") for file in files if file.failed)
        failed, parsed = before[FAILED] + len(failures), before.total() + len(files)
        reason = find_breach(self.prepared.request.options, failed, parsed)
        return Stop(number, reason, failures) if reason else None

    def _publish(
        self, number: int, splits: Sequence[Split], result: ChunkResult, started: datetime, attempts: int
    ) -> ChunkRecord:
        files = whole_files(splits)
        totals = {totals.path: totals for totals in result.files}
        contents = {path: ended.file_id for path, ended in totals.items() if not ended.failed}
        gone = self.turnover.replace(contents)
        moves = [
            Move(file, target, _fault(totals[file.path]))
            for file in files
            if not totals[file.path].retryable
            and (target := self.archiver.target(file, bool(totals[file.path].failed)))
        ]
        links = Links(_ids(gone), self._places_of(moves))
        rows = make_file_rows(self.job_id, files, totals, started, self._now(), attempts, links)
        staged, removed = self._carry_out(number, result.staged, rows, gone)
        self.contents |= {file_id: path for path, file_id in contents.items()}
        self._move(moves)
        faults: Counter[str] = Counter()
        for ended in totals.values():
            faults.update(dict(ended.fault_counts))
        retries = sum(split.retries for split in result.totals)
        return ChunkRecord(
            number, started, datetime.now(UTC), staged, rows, tuple(faults.items()), (), retries, removed
        )

    def _carry_out(
        self, number: int, staged: Sequence[StagedTable], rows: pa.Table, gone: Mapping[str, Held]
    ) -> tuple[tuple[StagedTable, ...], int]:
        """Publish tables and rows of `files`, and remove the rows of what goes; give how many these were."""
        destination = self.prepared.destination
        pairs = {(held.job_id, held.file_id) for held in gone.values()}
        rewrite = rewrite_without(destination, self.job_id, number, pairs) if pairs else Rewrite((), (), 0)
        staged = (*staged, self._stage_files(number, rows))
        self.lock.check()
        self.board.check()
        files = (*(each.file for each in staged), *rewrite.staged)
        plan = Plan(self.job_id, number, self.lock.epoch, files, rewrite.removals)
        write_plan(destination, plan)
        if run_plan(destination, plan) != "published":
            raise BatchError(
                f"chunk {number}: a staged file was lost, nothing of the chunk is published; run it again"
            )
        self.ledger = self.ledger.without(file_id for _, file_id in pairs)
        return staged, rewrite.rows

    def _stage_files(self, number: int, rows: pa.Table) -> StagedTable:
        name = final_name(FILES_TABLE, self.ingest_date, self.job_id, number, "driver")
        with self.prepared.destination.stage(name, self.job_id, number, 0) as file:
            with begin_parquet(file, FILES_SCHEMA) as parquet:
                parquet.write_table(rows)
            return StagedTable(FILES_TABLE, file.finish(), rows.num_rows)

    def _now(self) -> datetime:
        """A time after that of every row in the ledger, whatever other machines' clocks said."""
        return max(datetime.now(UTC), self.ledger.newest + timedelta(microseconds=1))

    def _places_of(self, moves: Iterable[Move]) -> dict[str, str]:
        """Where files are archived, or are about to be, by path."""
        return {**self.archiver.moved, **{move.file.path: move.target for move in moves}}

    def _target(self, skip: Skip) -> str | None:
        return self.archiver.target(skip.file, skip.failed)

    def _move_known(self, known: Sequence[Skipped]) -> tuple[list[Skip], list[Move]]:
        """Of files of earlier runs that are still here: rows for those without a target, moves for others."""
        if not self.archiver.is_on or not known:
            return [], []
        last = self.ledger.last_rows([each.file.path for each in known], "archived_to", "reason")
        skips, moves = [], []
        for each, row in zip(known, last, strict=True):
            target, reason = row or (None, None)
            failed = each.reason == "failed before"
            if target:
                moves.append(Move(each.file, target, reason or "" if failed else ""))
            elif self.archiver.target(each.file, failed):
                skips.append(Skip(each.file, f"{each.reason}, archived now", failed=failed))
        return skips, moves

    def _move(self, moves: Iterable[Move]) -> None:
        self.moved = self.moved.plus(self.archiver.move(moves))


def _ids(gone: Mapping[str, Held]) -> dict[str, str]:
    return {path: held.file_id for path, held in gone.items()}


def _fault(totals: FileTotals) -> str:
    return f"{totals.failed}: {totals.reason}" if totals.failed else ""

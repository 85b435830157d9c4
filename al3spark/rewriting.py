"""Parquet files that are written again: merged when small, without the rows of older versions; and orphans.

In: a destination whose lock the caller holds. Out: staged files and the names that they replace, for a plan;
which files nobody committed; and CURRENT_FILES_SQL, the rule by which queries see committed and current rows.
Promises: rows keep their job_id and file_id, and none is lost or doubled by a crash: the plan is carried out
whole or taken back whole. Memory: a few row groups (64 MiB of Arrow each), however large the files. Names end
in `r<n>`: such a file may hold rows of any job, all others hold rows of the job in their name only.
What readers see meanwhile: a plan publishes before it removes, so that no row is ever missing; between the
two the rows of a rewritten file are there twice, and no rule on (job_id, file_id) can tell the two apart.
That lasts milliseconds on a disk for a merge, as long as its plan runs for a replacement, and after a crash
until the next recovery. For the `files` table it is harmless: the rule takes one of equal rows. In other
tables a query of that moment must drop equal rows (of groups: of equal file_id and record_offset) or be run
again, as must one that had listed a file which is gone when it opens it. Removing first would show too
little, which nobody can notice.
Leaves to others: when to compact or replace, and the lock.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from al3spark.al3.tables import ERRORS_TABLE
from al3spark.errors import BatchError, StoreError
from al3spark.store.documents import JOBS, read_document
from al3spark.store.ledger import FILES_SCHEMA, FILES_TABLE
from al3spark.store.places import Place
from al3spark.store.publish import PLAN_NAME, Plan, plan_name, read_plan, run_plan, write_plan
from al3spark.store.staging import StagedFile

Pairs = dict[str, npt.NDArray[np.bytes_]]  # job_id -> its file_ids, sorted
Fate = Literal["live", "dead", "open"]

TARGET_BYTES = 128 << 20
ROW_GROUP_BYTES = 64 << 20
BATCH_ROWS = 1 << 14
WORKERS = 8
DATA_FILES = "*/ingest_date=*/part-*.parquet"
DATA_NAME = re.compile(r"([^/]+)/(ingest_date=[^/]+)/part-(.+)-\d{6,}-([^/-]+)\.parquet")
# How a plan ended -> what became of what it publishes, and of what it removes.
FATES: dict[str, tuple[Fate, Fate | None]] = {"published": ("live", "dead"), "rolled_back": ("dead", None)}

# Ranks break ties of rows that a crash or a compaction shows twice, so that each content is there once.
CURRENT_FILES_SQL = f"""
WITH versions AS (
    SELECT file_id, ROW_NUMBER() OVER (PARTITION BY file_path ORDER BY finished_at DESC, job_id DESC) AS age
    FROM files
    WHERE status LIKE 'succeeded%' OR duplicate_of IS NOT NULL
),
replaced AS (
    SELECT replaces AS old_id, MAX(finished_at) AS replaced_at
    FROM files
    WHERE replaces IS NOT NULL
    GROUP BY replaces
),
committed AS (
    SELECT files.*, ROW_NUMBER() OVER (
        PARTITION BY file_id ORDER BY finished_at DESC, job_id DESC, archived_to DESC NULLS LAST
    ) AS age
    FROM files
    WHERE status LIKE 'succeeded%'
)
SELECT {", ".join(FILES_SCHEMA.names)}
FROM committed LEFT JOIN replaced ON file_id = old_id
WHERE age = 1
    AND (replaced_at IS NULL OR replaced_at <= finished_at)
    AND file_id IN (SELECT file_id FROM versions WHERE age = 1)
"""
"""The rows of a table or view `files` whose rows in the other tables count now; for Spark and DuckDB alike.

At most one row for each file_id, hence for (job_id, file_id), on which to join. What a path holds is the
content of the newest of its rows that succeeded or were skipped as `duplicate_of`: a version that failed, or
whose plan is not published, leaves the one before it current. What some path holds is current, in the newest
of its ingests that succeeded, unless a later row `replaces` it (names its file_id: a plan removed its rows).
"""


@dataclass(frozen=True, slots=True)
class Merge:
    """Small files of one partition (`ingest_date=...`) of one table, to become one. `size`: their bytes."""

    table: str
    partition: str
    inputs: tuple[str, ...]
    size: int


@dataclass(frozen=True, slots=True)
class Rewrite:
    """What a plan is to publish and to remove so that `rows` rows are gone."""

    staged: tuple[StagedFile, ...]
    removals: tuple[str, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class _DataFile:
    name: str
    size: int
    table: str
    partition: str
    job_id: str
    part: str

    def may_hold(self, job_ids: Collection[str]) -> bool:
        return self.part.startswith("r") or self.job_id in job_ids


def plan_compaction(
    place: Place, table: str | None = None, target_bytes: int = TARGET_BYTES, least_files: int = 2
) -> tuple[Merge, ...]:
    """Choose what to merge, in one table or in all, `files` too: committed files below half the target size.

    In the order of their names, never across partitions, up to the target size. Files of open plans and
    orphans stay as they are. StoreError: something cannot be read.
    """
    merges = []
    small = [
        file
        for file in _list_data_files(place)
        if table in (None, file.table) and file.size < target_bytes / 2
    ]
    fates = _judge(place, small)
    committed = [file for file in small if fates[file.name] == "live"]
    for (name, partition), files in groupby(committed, lambda file: (file.table, file.partition)):
        for part in _pack(files, target_bytes):
            if len(part) >= max(least_files, 2):
                inputs = tuple(file.name for file in part)
                merges.append(Merge(name, partition, inputs, sum(file.size for file in part)))
    return tuple(merges)


def compact(
    place: Place, job_id: str, number: int, epoch: int, merge: Merge, check: Callable[[], None]
) -> StagedFile:
    """Merge files by plan `number` of a job, one plan a merge, so that rows are doubled as briefly as can be.

    `check` raises if the lock is lost. Gives the file that was published. BatchError: a column has another
    type in another file (the plan is not written then: its number is free); or the staged file was lost.
    """
    staged = stage_merge(place, job_id, number, merge)
    check()
    plan = Plan(job_id, number, epoch, (staged,), merge.inputs)
    write_plan(place, plan)
    if run_plan(place, plan) != "published":
        raise BatchError(
            f"{place.uri(staged.final_name)}: was lost while it was staged; nothing is merged, run it again"
        )
    return staged


def stage_merge(place: Place, job_id: str, number: int, merge: Merge) -> StagedFile:
    """Write all rows of the inputs, in their order, into one staged file with the columns of all of them.

    BatchError: see `compact`.
    """
    schemas, rows = [], 0
    for name in merge.inputs:
        with _open_parquet(place, name) as parquet:
            schemas.append(parquet.schema_arrow)
            rows += parquet.metadata.num_rows
    schema = _unify(place, merge.inputs, schemas)
    batches = (_conform(batch, schema) for name in merge.inputs for batch in _read(place, name))
    return _stage(place, f"{merge.table}/{merge.partition}", job_id, number, 0, schema, batches, rows)


def rewrite_without(
    place: Place,
    job_id: str,
    number: int,
    pairs: Iterable[tuple[str, str]],
    tables: Collection[str] | None = None,
    ingest_dates: Collection[str] | None = None,
) -> Rewrite:
    """Stage every file that holds rows of these (job_id, file_id) without them, for plan `number` of a job.

    A file that would be empty is only removed. `tables` and `ingest_dates` (`2026-01-02`) say where to look,
    None: everywhere; never in `files`, whose rows stay as history. What is staged already when an error is
    raised is discarded with its job.
    """
    wanted = _group(pairs)
    files = [
        file
        for file in _list_data_files(place)
        if file.table != FILES_TABLE
        and (tables is None or file.table in tables)
        and (ingest_dates is None or file.partition.partition("=")[2] in ingest_dates)
        and file.may_hold(wanted)
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        counts = list(pool.map(lambda file: _count_rows(place, file.name, wanted), files))
    affected = [(file, rows, gone) for file, (rows, gone) in zip(files, counts, strict=True) if gone]
    staged = []
    for serial, (file, rows, gone) in enumerate(affected):
        if gone < rows:
            with _open_parquet(place, file.name) as parquet:
                schema = parquet.schema_arrow
            kept = (batch.filter(pc.invert(_find(batch, wanted))) for batch in _read(place, file.name))
            folder = f"{file.table}/{file.partition}"
            staged.append(_stage(place, folder, job_id, number, serial, schema, kept, rows - gone))
    removals = tuple(file.name for file, _, _ in affected)
    return Rewrite(tuple(staged), removals, sum(gone for _, _, gone in affected))


def find_orphans(place: Place) -> tuple[str, ...]:
    """Data files that no query may count and no plan will touch, for `clean` to remove; mostly none.

    Only names as this project makes them. A plan on record decides: it was rolled back, or published and has
    removed the file. Where the plan was cleaned away, the rows decide: not one of them has a `succeeded` row
    with its (job_id, file_id) in `files` (for `errors`: any row with its job_id). So nothing of an open plan,
    nothing of `files` on the word of rows, and nothing at all on their word while `files` has no such row.
    """
    fates = _judge(place, list(_list_data_files(place)))
    return tuple(name for name, fate in fates.items() if fate == "dead")


def _list_data_files(place: Place) -> Iterator[_DataFile]:
    for file in place.list_files(DATA_FILES):
        if found := DATA_NAME.fullmatch(file.name):
            yield _DataFile(file.name, file.size, *found.groups())


def _pack(files: Iterable[_DataFile], target_bytes: int) -> Iterator[list[_DataFile]]:
    """Cut files, in their order, into lists of at most the target size."""
    part: list[_DataFile] = []
    for file in files:
        if part and sum(each.size for each in part) + file.size > target_bytes:
            yield part
            part = []
        part.append(file)
    yield part


def _judge(place: Place, files: Sequence[_DataFile]) -> dict[str, Fate]:
    """Tell committed files from orphans, by plans and where there is none by rows; see `find_orphans`."""
    told = _read_fates(place)
    unknown = [file for file in files if file.name not in told and file.table != FILES_TABLE]
    known = _load_succeeded(place) if unknown else {}
    if any(len(ids) for ids in known.values()):
        with ThreadPoolExecutor(WORKERS) as pool:
            committed = list(pool.map(lambda file: _is_committed(place, file, known), unknown))
        told |= {file.name: "dead" for file, fine in zip(unknown, committed, strict=True) if not fine}
    return {file.name: told.get(file.name, "live") for file in files}


def _read_fates(place: Place) -> dict[str, Fate]:
    """What the plans on record say of the files in them. A name is in the `publish` of one plan at most."""
    found = [PLAN_NAME.fullmatch(name) for name in place.list_names(f"{JOBS}/")]
    keys = [(match["job"], int(match["number"])) for match in found if match and not match["rest"]]
    with ThreadPoolExecutor(WORKERS) as pool:
        plans = list(pool.map(lambda key: (read_plan(place, *key), _read_outcome(place, *key)), keys))
    ends: dict[Fate, set[str]] = {"live": set(), "dead": set(), "open": set()}
    for plan, outcome in plans:
        if isinstance(plan, Plan):
            published, removed = FATES.get(outcome, ("open", "open"))
            ends[published].update(staged.final_name for staged in plan.publish)
            if removed:
                ends[removed].update(plan.removals)
    return {name: fate for fate, names in ends.items() for name in names}  # of two fates the last counts


def _read_outcome(place: Place, job_id: str, number: int) -> str:
    """How a plan ended; '' if it is open, as far as is known."""
    done = read_document(place, plan_name(job_id, number, ".done"))
    return str(done.get("outcome", "")) if done else ""


def _load_succeeded(place: Place) -> Pairs:
    """The file_ids that succeeded, for each job that has a row in `files`."""

    def pairs() -> Iterator[tuple[str, str | None]]:
        columns = ["job_id", "file_id", "status"]
        for name in place.list_names(f"{FILES_TABLE}/"):
            for batch in _read(place, name, columns) if name.endswith(".parquet") else ():
                fine = pc.starts_with(batch["status"], "succeeded")
                ids = pc.if_else(fine, batch["file_id"], None)
                yield from zip(batch["job_id"].to_pylist(), ids.to_pylist(), strict=True)

    return _group(pairs())


def _group(pairs: Iterable[tuple[str, str | None]]) -> Pairs:
    ids: dict[str, list[bytes]] = {}
    for job_id, file_id in pairs:
        ids.setdefault(job_id, []).extend([file_id.encode()] if file_id else [])
    return {job_id: np.sort(np.array(ids.pop(job_id), "S")) for job_id in list(ids)}


def _is_committed(place: Place, file: _DataFile, known: Pairs) -> bool:
    if file.table == ERRORS_TABLE:
        return any(
            set(batch["job_id"].to_pylist()) & known.keys() for batch in _read(place, file.name, ["job_id"])
        )
    return _count_rows(place, file.name, known)[1] > 0


def _count_rows(place: Place, name: str, pairs: Pairs) -> tuple[int, int]:
    """Rows of a file, and how many of them belong to the pairs; reads what the statistics do not rule out."""
    with _open_parquet(place, name) as parquet:
        info = parquet.metadata
        groups = [group for group in range(info.num_row_groups) if _may_hold(info.row_group(group), pairs)]
        batches = parquet.iter_batches(BATCH_ROWS, groups, ["job_id", "file_id"]) if groups else ()
        return info.num_rows, sum(_find(batch, pairs).true_count for batch in batches)


def _may_hold(group: pq.RowGroupMetaData, pairs: Pairs) -> bool:
    columns = {column.path_in_schema: column for column in map(group.column, range(group.num_columns))}
    limits = [columns[name].statistics for name in ("job_id", "file_id")]
    (low_job, high_job), (low, high) = (
        (each.min, each.max) if each and each.has_min_max else ("", "\U0010ffff") for each in limits
    )
    return any(
        low_job <= job_id <= high_job
        and np.searchsorted(ids, low.encode()) < np.searchsorted(ids, high.encode(), side="right")
        for job_id, ids in pairs.items()
    )


def _find(batch: pa.RecordBatch, pairs: Pairs) -> pa.BooleanArray:
    """Which rows belong to the pairs."""
    found = pa.array(np.zeros(batch.num_rows, bool))
    encoded = batch["file_id"].dictionary_encode()
    values = np.array(encoded.dictionary.to_pylist(), "S")
    for job_id in batch["job_id"].unique().to_pylist():
        ids = pairs.get(job_id)
        if ids is not None and len(ids) and len(values):
            near = np.searchsorted(ids, values).clip(max=len(ids) - 1)
            hits = pa.array(ids[near] == values).take(encoded.indices).fill_null(False)
            found = pc.or_(found, pc.and_(hits, pc.equal(batch["job_id"], job_id)))
    return found


def _unify(place: Place, names: Sequence[str], schemas: Sequence[pa.Schema]) -> pa.Schema:
    """All columns by name: those of the last file in its order, then what only older ones have."""
    first: dict[str, tuple[str, pa.Field]] = {}
    for name, schema in zip(reversed(names), reversed(schemas), strict=True):
        for field in schema:
            where, known = first.setdefault(field.name, (name, field))
            if known.type != field.type:
                raise BatchError(
                    f"{place.uri(name)}: column {field.name} is {field.type}, but {known.type} in "
                    f"{place.uri(where)}; files of different types are not merged"
                )
    return pa.schema(
        field.with_nullable(
            any(name not in schema.names or schema.field(name).nullable for schema in schemas)
        )
        for name, (_, field) in first.items()
    )


def _conform(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [
        batch[field.name] if field.name in batch.schema.names else pa.nulls(batch.num_rows, field.type)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _stage(
    place: Place,
    folder: str,
    job_id: str,
    number: int,
    serial: int,
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    rows: int,
) -> StagedFile:
    """Write `rows` rows. BatchError: there are more or fewer."""
    name, written = f"{folder}/part-{job_id}-{number:06}-r{serial:05}.parquet", 0
    with place.stage(name, job_id, number, 0) as file:
        with pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as parquet:
            for group in _gather(batches):
                parquet.write_table(group, row_group_size=group.num_rows)
                written += group.num_rows
        if written != rows:
            raise BatchError(f"{place.uri(name)}: would get {written} rows of {rows}")
        return file.finish()


def _gather(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """Row groups of at least 64 MiB of Arrow, but for the last one."""
    waiting: list[pa.RecordBatch] = []
    size = 0
    for batch in batches:
        if batch.num_rows:
            waiting.append(batch)
            size += batch.nbytes
        if size >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting, size = [], 0
    if waiting:
        yield pa.Table.from_batches(waiting)


def _read(place: Place, name: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    with _open_parquet(place, name) as parquet:
        yield from parquet.iter_batches(BATCH_ROWS, columns=columns)


@contextlib.contextmanager
def _open_parquet(place: Place, name: str) -> Iterator[pq.ParquetFile]:
    """StoreError: it is not Parquet, or damaged."""
    try:
        with place.open_stream(name) as stream, pq.ParquetFile(stream) as parquet:
            yield parquet
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{place.uri(name)}: cannot be read as Parquet") from error

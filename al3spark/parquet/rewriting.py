"""Parquet files that are written again: merged when small, or without the rows of older versions.

In: a destination whose lock the caller holds. Out: staged files and the names that they replace, for a plan.
Promises: rows keep their job_id and file_id, and none is lost or doubled by a crash: the plan is carried out
whole or taken back whole. Memory: a few row groups (64 MiB of Arrow each), however large the files.
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

from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from al3spark.errors import BatchError
from al3spark.parquet.datafiles import (
    DataFile,
    count_rows,
    find_rows,
    group_pairs,
    list_data_files,
    list_jobs_in,
    open_parquet,
    read_batches,
    unify_schemas,
)
from al3spark.parquet.origins import keep_origins, origins_of, tells_origins
from al3spark.parquet.orphans import judge_files
from al3spark.store.files_table import FILES_TABLE
from al3spark.store.places import Place
from al3spark.store.publish import Plan, run_plan, write_plan
from al3spark.store.staging import StagedFile
from al3spark.store.tablefiles import begin_parquet

TARGET_BYTES = 128 << 20
ROW_GROUP_BYTES = 64 << 20
WORKERS = 8


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
        for file in list_data_files(place)
        if table in (None, file.table) and file.size < target_bytes / 2
    ]
    fates = judge_files(place, small)
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

    The file keeps which of them the rows of a job had (origins.py). BatchError: see `compact`.
    """
    schemas, rows = [], 0
    for name in merge.inputs:
        with open_parquet(place, name) as parquet:
            schemas.append(parquet.schema_arrow)
            rows += parquet.metadata.num_rows
    schema = unify_schemas(place, merge.inputs, schemas, "files of different types are not merged")
    if any(each.names != schema.names or tells_origins(each) for each in schemas):
        jobs = (list_jobs_in(place, name) for name in merge.inputs)
        schema = keep_origins(schema, zip(schemas, jobs, strict=True))
    batches = (_conform(batch, schema) for name in merge.inputs for batch in read_batches(place, name))
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
    wanted = group_pairs(pairs)
    files = [
        file
        for file in list_data_files(place)
        if file.table != FILES_TABLE
        and (tables is None or file.table in tables)
        and (ingest_dates is None or file.ingest_date in ingest_dates)
        and file.may_hold(wanted)
    ]
    with ThreadPoolExecutor(WORKERS) as pool:
        counts = list(pool.map(lambda file: count_rows(place, file.name, wanted), files))
    affected = [(file, rows, gone) for file, (rows, gone) in zip(files, counts, strict=True) if gone]
    staged = []
    for serial, (file, rows, gone) in enumerate(affected):
        if gone < rows:
            with open_parquet(place, file.name) as parquet:
                schema = parquet.schema_arrow
            kept = (
                batch.filter(pc.invert(find_rows(batch, wanted))) for batch in read_batches(place, file.name)
            )
            folder = f"{file.table}/{file.partition}"
            staged.append(_stage(place, folder, job_id, number, serial, schema, kept, rows - gone))
    removals = tuple(file.name for file, _, _ in affected)
    return Rewrite(tuple(staged), removals, sum(gone for _, _, gone in affected))


def _pack(files: Iterable[DataFile], target_bytes: int) -> Iterator[list[DataFile]]:
    """Cut files, in their order, into lists of at most the target size."""
    part: list[DataFile] = []
    for file in files:
        if part and sum(each.size for each in part) + file.size > target_bytes:
            yield part
            part = []
        part.append(file)
    yield part


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
        with begin_parquet(file, schema, origins_of(schema)) as parquet:
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

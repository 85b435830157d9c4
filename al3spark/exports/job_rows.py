"""The rows that a job published and that are still there, table by table.

In: a destination, on which somebody may be at work, and a job. Out: batches of rows with the columns that the
job wrote, and after them those that only the names of folders tell (`ingest_date`, text); the same rows and
columns however the Parquet files are laid out. Only committed rows count: of a file that has a `succeeded`
row of the job in `files`, and faults of files that have any.
Raises: RequestError for a job that is not there, FileChangedError if a file is gone meanwhile: look again.
"""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.tables import ERRORS_TABLE
from al3spark.errors import BatchError, RequestError
from al3spark.parquet.datafiles import (
    DataFile,
    Pairs,
    find_rows,
    group_pairs,
    holds_job,
    open_parquet,
    read_batches,
    read_job,
    watching,
)
from al3spark.parquet.origins import columns_of
from al3spark.parquet.snapshots import list_files_of_a_moment
from al3spark.store.documents import list_jobs
from al3spark.store.files_table import FILES_TABLE
from al3spark.store.places import Place

WORKERS = 8
NULL_FOLDER = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True, slots=True)
class JobTable:
    """A table, and the files that may hold rows of a job."""

    name: str
    files: tuple[DataFile, ...]
    schema: pa.Schema


@dataclass(frozen=True, slots=True)
class JobRows:
    """What a job published, at one moment."""

    place: Place
    job_id: str
    tables: tuple[JobTable, ...]
    ids: Pairs
    paths: pa.ChunkedArray

    def read(self, table: JobTable) -> Iterator[pa.RecordBatch]:
        """The rows of a table, in the order of the files."""
        for file in table.files:
            with watching(self.place, file.name):
                for batch in read_job(self.place, file.name, self.job_id):
                    yield _conform(self._choose(batch, table.name), file, table.schema)

    def _choose(self, batch: pa.RecordBatch, table: str) -> pa.RecordBatch:
        if table == FILES_TABLE:
            return batch
        if table == ERRORS_TABLE:
            return batch.filter(pc.is_in(batch["file_path"], self.paths))
        return batch.filter(find_rows(batch, self.ids))


def find_job(place: Place, job_id: str | None) -> JobRows:
    """Find what a job published, or the newest that published anything."""
    files = list_files_of_a_moment(place)
    ledger = [file for file in files if file.table == FILES_TABLE]
    with ThreadPoolExecutor(WORKERS) as pool:
        find = partial(_find_last, place)
        job = _choose_newest(place, pool.map(find, ledger)) if job_id is None else job_id
        told = pool.map(partial(_read_ledger, place, job), ledger)
        rows = {file: batches for file, batches in zip(ledger, told, strict=True) if batches}
        if not rows and job not in list_jobs(place):
            raise RequestError(f"{place.uri('')}: no job {job}; `al3spark jobs` lists them")
        days = {file.ingest_date for file in rows}  # a job writes to one
        near = [file for file in files if file.ingest_date in days]
        held = pool.map(partial(_holds, place, job), near)
        own = [file for file, holds in zip(near, held, strict=True) if holds]
        parts = [(name, tuple(each)) for name, each in groupby(own, lambda file: file.table)]
        tables = tuple(pool.map(lambda part: _open(place, job, *part), parts))
    batches = [batch for each in rows.values() for batch in each]
    paths = pa.chunked_array([batch["file_path"] for batch in batches], pa.string())
    return JobRows(place, job, tables, group_pairs((job, each) for each in _succeeded(batches)), paths)


def _choose_newest(place: Place, last: Iterable[tuple[int, str] | None]) -> str:
    """Name the job of the last row of `files`."""
    found = max(filter(None, last), default=None)
    if found is None:
        raise RequestError(f"{place.uri('')}: no job has published anything here")
    return found[1]


def _find_last(place: Place, file: DataFile) -> tuple[int, str] | None:
    found = []
    with watching(place, file.name):
        for batch in read_batches(place, file.name, ["finished_at", "job_id"]):
            times = batch["finished_at"].cast(pa.int64()).fill_null(0).to_pylist()
            found.append(max(zip(times, batch["job_id"].to_pylist(), strict=True)))
    return max(found, default=None)


def _read_ledger(place: Place, job_id: str, file: DataFile) -> list[pa.RecordBatch]:
    """The rows of a job in a file of `files`."""
    if not file.may_hold([job_id]):
        return []
    with watching(place, file.name):
        batches = read_job(place, file.name, job_id, ["job_id", "file_path", "file_id", "status"])
        return [batch for batch in batches if batch.num_rows]


def _succeeded(batches: Iterable[pa.RecordBatch]) -> Iterator[str]:
    for batch in batches:
        yield from batch.filter(pc.starts_with(batch["status"], "succeeded"))["file_id"].to_pylist()


def _holds(place: Place, job_id: str, file: DataFile) -> bool:
    """Whether a file has rows of a job."""
    if file.has_one_job:
        return file.job_id == job_id
    with watching(place, file.name):
        return holds_job(place, file.name, job_id)


def _open(place: Place, job_id: str, name: str, files: tuple[DataFile, ...]) -> JobTable:
    """Find the columns of a table, as the job wrote them. BatchError: two files differ in a type."""
    fields: dict[str, pa.Field] = {}
    for file in files:
        with watching(place, file.name), open_parquet(place, file.name) as parquet:
            schema = parquet.schema_arrow
        for column in columns_of(schema, job_id):
            kind = schema.field(column).type
            if fields.setdefault(column, pa.field(column, kind)).type != kind:
                raise BatchError(f"{place.uri(file.name)}: column {column} is {kind}, elsewhere it is not")
    for column in (column for file in files for column in _read_folders(file)):
        fields.setdefault(column, pa.field(column, pa.string()))
    return JobTable(name, files, pa.schema(fields.values()))


def _read_folders(file: DataFile) -> dict[str, str | None]:
    """What the names of folders tell."""
    return {name: None if value == NULL_FOLDER else value for name, value in file.folder_values}


def _conform(batch: pa.RecordBatch, file: DataFile, schema: pa.Schema) -> pa.RecordBatch:
    """Bring columns into order; a column that the file has not is that of its folder, or null."""
    told = _read_folders(file)
    columns = [
        batch[field.name]
        if field.name in batch.schema.names
        else pa.repeat(pa.scalar(told.get(field.name), field.type), batch.num_rows)
        for field in schema
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)

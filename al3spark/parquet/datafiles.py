"""The Parquet files of the tables: which there are, and which rows they hold.

In: a destination. Out: names and what they tell, batches of rows, rows of given (job_id, file_id). Memory: a
batch, however large a file is. Names end in `r<n>` where a file may hold rows of any job; all others hold
rows of the job in their name only. Raises: StoreError for a file that is no Parquet.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from al3spark.errors import BatchError, FileChangedError, StoreError
from al3spark.store.naming import DATA_NAME
from al3spark.store.places import Place

Pairs = dict[str, npt.NDArray[np.bytes_]]  # job_id -> its file_ids, sorted

BATCH_ROWS = 1 << 14
DATA_FILES = "ingest_date=*/**/part-*.parquet"


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file by its name. `size` in bytes; `partition`: its folders; `part`: what ends its name."""

    name: str
    size: int
    table: str
    partition: str
    job_id: str
    part: str

    @property
    def ingest_date(self) -> str:
        """The day of its partition."""
        return self.folder_values[0][1]

    @property
    def folder_values(self) -> tuple[tuple[str, str], ...]:
        """What its folders stand for: names of columns and their values."""
        parts = (folder.partition("=") for folder in self.partition.split("/"))
        return tuple((name, unquote(value)) for name, _, value in parts)

    @property
    def folder_names(self) -> tuple[str, ...]:
        """The columns that its folders stand for."""
        return tuple(name for name, _ in self.folder_values)

    @property
    def has_one_job(self) -> bool:
        """Whether all its rows are of the job in its name."""
        return not self.part.startswith("r")

    def may_hold(self, job_ids: Collection[str]) -> bool:
        """Whether it can hold rows of these jobs."""
        return not self.has_one_job or self.job_id in job_ids


def list_data_files(place: Place, table: str = "*") -> Iterator[DataFile]:
    """The data files of a table, or of all, that have names as this project makes them, sorted by name."""
    for file in place.list_files(f"{table}/{DATA_FILES}"):
        if found := DATA_NAME.fullmatch(file.name):
            yield DataFile(file.name, file.size, *found.groups())


def group_pairs(pairs: Iterable[tuple[str, str | None]]) -> Pairs:
    """Sort (job_id, file_id) for lookups; a job without any file_id is there too."""
    ids: dict[str, list[bytes]] = {}
    for job_id, file_id in pairs:
        ids.setdefault(job_id, []).extend([file_id.encode()] if file_id else [])
    return {job_id: np.sort(np.array(ids.pop(job_id), "S")) for job_id in list(ids)}


def count_rows(place: Place, name: str, pairs: Pairs) -> tuple[int, int]:
    """Rows of a file, and how many of them belong to the pairs; reads what the statistics do not rule out."""
    with open_parquet(place, name) as parquet:
        info = parquet.metadata
        groups = [group for group in range(info.num_row_groups) if _may_hold(info.row_group(group), pairs)]
        batches = parquet.iter_batches(BATCH_ROWS, groups, ["job_id", "file_id"]) if groups else ()
        return info.num_rows, sum(find_rows(batch, pairs).true_count for batch in batches)


def _may_hold(group: pq.RowGroupMetaData, pairs: Pairs) -> bool:
    (low_job, high_job), (low, high) = (_limits(group, name) for name in ("job_id", "file_id"))
    return any(
        low_job <= job_id <= high_job
        and np.searchsorted(ids, low.encode()) < np.searchsorted(ids, high.encode(), side="right")
        for job_id, ids in pairs.items()
    )


def _limits(group: pq.RowGroupMetaData, name: str) -> tuple[str, str]:
    """Between which texts all values of a column are, as far as the statistics tell."""
    columns = map(group.column, range(group.num_columns))
    told = next(column for column in columns if column.path_in_schema == name).statistics
    return (told.min, told.max) if told and told.has_min_max else ("", "\U0010ffff")


def find_rows(batch: pa.RecordBatch, pairs: Pairs) -> pa.BooleanArray:
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


def read_batches(place: Place, name: str, columns: list[str] | None = None) -> Iterator[pa.RecordBatch]:
    """The rows of a file, bit by bit. StoreError: it cannot be read."""
    with open_parquet(place, name) as parquet:
        yield from parquet.iter_batches(BATCH_ROWS, columns=columns)


def read_rows_of(place: Place, table: str, job_id: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a job in a table, bit by bit, with these columns and `job_id`."""
    for file in list_data_files(place, table):
        if file.may_hold([job_id]):
            yield from read_job(place, file.name, job_id, ["job_id", *columns])


def read_job(
    place: Place, name: str, job_id: str, columns: list[str] | None = None
) -> Iterator[pa.RecordBatch]:
    """The rows of one job in a file; reads what the statistics do not rule out."""
    with open_parquet(place, name) as parquet:
        groups = _groups_of(parquet.metadata, job_id)
        for batch in parquet.iter_batches(BATCH_ROWS, groups, columns) if groups else ():
            yield batch.filter(pc.equal(batch["job_id"], job_id))


def holds_job(place: Place, name: str, job_id: str) -> bool:
    """Whether a file holds rows of a job."""
    return any(batch.num_rows for batch in read_job(place, name, job_id, ["job_id"]))


def _groups_of(info: pq.FileMetaData, job_id: str) -> list[int]:
    """The row groups that can hold rows of a job."""
    limits = [_limits(info.row_group(group), "job_id") for group in range(info.num_row_groups)]
    return [group for group, (low, high) in enumerate(limits) if low <= job_id <= high]


def list_jobs_in(place: Place, name: str) -> set[str]:
    """The jobs that have rows in a file."""
    found: set[str] = set()
    for batch in read_batches(place, name, ["job_id"]):
        found.update(batch["job_id"].unique().to_pylist())
    return found


def unify_schemas(place: Place, names: Sequence[str], schemas: Sequence[pa.Schema], rule: str) -> pa.Schema:
    """All columns by name: those of the last file in its order, then what only older ones have.

    Comments are those of the last file that has any. BatchError: a column has another type in another file,
    which is against the `rule`.
    """
    first: dict[str, tuple[str, pa.Field]] = {}
    for name, schema in zip(reversed(names), reversed(schemas), strict=True):
        for field in schema:
            where, known = first.setdefault(field.name, (name, field))
            if known.type != field.type:
                raise BatchError(
                    f"{place.uri(name)}: column {field.name} is {field.type}, but {known.type} in "
                    f"{place.uri(where)}; {rule}"
                )
            first[field.name] = where, known.with_metadata(known.metadata or field.metadata)
    fields = [
        field.with_nullable(
            any(name not in schema.names or schema.field(name).nullable for schema in schemas)
        )
        for name, (_, field) in first.items()
    ]
    told = [schema.metadata for schema in schemas if schema.metadata]
    return pa.schema(fields, told[-1] if told else None)


@contextlib.contextmanager
def open_parquet(place: Place, name: str) -> Iterator[pq.ParquetFile]:
    """Open a file. StoreError: it is not Parquet, or damaged."""
    try:
        with place.open_stream(name) as stream, pq.ParquetFile(stream) as parquet:
            yield parquet
    except (pa.ArrowInvalid, OSError) as error:
        raise StoreError(f"{place.uri(name)}: cannot be read as Parquet") from error


@contextlib.contextmanager
def watching(place: Place, name: str) -> Iterator[None]:
    """Tell a file that is gone from one that cannot be read. FileChangedError: it is gone."""
    try:
        yield
    except StoreError as error:
        if place.find(name):
            raise
        raise FileChangedError(f"{place.uri(name)}: gone since it was listed") from error

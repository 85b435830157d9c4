"""The Parquet files of the `files` table: their schema, and what is read of them.

In: a place that has the table. Out: an `Excerpt` of each stretch of rows, single columns of a row group, and
what one job published.
Promises: a few files are read at a time, and of their rows only what lookups need is kept; a file that no
batch wrote is a StoreError with its name.
Leaves to others: what the rows say of a path or a content when taken together (`ledger`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from al3spark.errors import StoreError
from al3spark.store.digests import Digests, Integers, digest_texts, digest_versions, parse_ids
from al3spark.store.places import Place
from al3spark.store.tablefiles import COMMENT

FILES_TABLE = "files"


def _column(name: str, kind: pa.DataType, comment: str, nullable: bool = True) -> pa.Field:
    return pa.field(name, kind, nullable, {COMMENT: comment.encode()})


FILES_SCHEMA = pa.schema(
    [
        _column("job_id", pa.string(), "The batch that wrote the row", nullable=False),
        _column("file_path", pa.string(), "The file as it was listed", nullable=False),
        _column("file_id", pa.string(), "Digest of the content, null if it could not be read"),
        _column("status", pa.string(), "succeeded, succeeded_with_faults, failed or skipped", nullable=False),
        _column("reason", pa.string(), "Why it failed or was skipped"),
        _column("duplicate_of", pa.string(), "The file that has the same content"),
        _column("replaces", pa.string(), "file_id of the content whose rows went for these"),
        _column("archived_to", pa.string(), "Where the file was moved"),
        _column("size", pa.int64(), "Bytes of the file"),
        _column("version", pa.string(), "ETag or time of the file, null if it is worth another try"),
        _column("expanded_size", pa.int64(), "Bytes of the content once it is expanded"),
        _column("record_bytes", pa.int64(), "Bytes of it that are records"),
        _column("separator_bytes", pa.int64(), "Bytes of it that separate records"),
        _column("unreadable_bytes", pa.int64(), "Bytes of it that are neither, each span a row in errors"),
        _column("messages", pa.int64(), "How many 1MHG it holds"),
        _column("transactions", pa.int64(), "How many 2TRG it holds"),
        _column("records", pa.int64(), "How many records it holds, rows of all tables together"),
        _column("faults", pa.int64(), "How many rows of errors it has"),
        _column("started_at", pa.timestamp("us", tz="UTC"), "When its chunk began"),
        _column("finished_at", pa.timestamp("us", tz="UTC"), "When its rows were made"),
        _column("attempts", pa.int64(), "How often its chunk was parsed"),
    ],
    {COMMENT: b"The input files, one row for each file and each attempt that matters"},
)
STATUSES = ("succeeded", "succeeded_with_faults", "failed", "skipped")
SUCCEEDED = 2  # so many of them, from the first
COLUMNS = [
    "file_path",
    "size",
    "version",
    "file_id",
    "status",
    "duplicate_of",
    "replaces",
    "finished_at",
]
BATCH_ROWS = 1 << 14
READERS = 4

RowGroup = tuple[Place, str, int]  # where it is, the file, and its number in the file


@dataclass(frozen=True, slots=True)
class Excerpt:
    """What is kept of the rows of a part of a row group. `finished`: microseconds since 1970.

    `contents`: digests of the rows in `rows`, which are those with a file_id that tell what is where.
    """

    group: RowGroup
    paths: Digests
    versions: Integers  # of size and version
    statuses: npt.NDArray[np.int8]
    finished: Integers
    sizes: Integers
    rows: Integers
    contents: Digests
    replacing: Integers  # rows that name a content whose rows they replaced
    replaced: Digests


def list_parts(place: Place) -> list[str]:
    """The Parquet files of the table."""
    return [name for name in place.list_names(f"{FILES_TABLE}/") if name.endswith(".parquet")]


def read_parts(place: Place, names: Sequence[str]) -> Iterator[Excerpt]:
    """Read files of the table, a few at a time, so that what is read does not pile up."""
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(names), READERS):
            for excerpts in pool.map(partial(_read_part, place), names[start : start + READERS]):
                yield from excerpts


def _read_part(place: Place, name: str) -> list[Excerpt]:
    with _open(place, name) as file:
        return [
            _condense((place, name, group), rows)
            for group in range(file.num_row_groups)
            for rows in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=COLUMNS)
        ]


@contextmanager
def _open(place: Place, name: str) -> Iterator[pq.ParquetFile]:
    """StoreError: it is not a file of the table."""
    try:
        with place.open_stream(name) as stream, pq.ParquetFile(stream) as file:
            yield file
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise StoreError(f"{place.uri(name)}: not a file of the ledger ({error})") from error


def _condense(group: RowGroup, batch: pa.RecordBatch) -> Excerpt:
    """Keep what lookups need. ValueError: content that no batch writes."""
    paths, sizes, versions = (batch[name].to_pylist() for name in ("file_path", "size", "version"))
    statuses = pc.index_in(batch["status"], pa.array(STATUSES)).fill_null(-1).to_numpy()
    if (statuses < 0).any():
        raise ValueError("an unknown status")
    tells = (statuses < SUCCEEDED) | batch["duplicate_of"].is_valid().to_numpy(False)
    rows = np.flatnonzero(tells & batch["file_id"].is_valid().to_numpy(False))
    replacing = np.flatnonzero(batch["replaces"].is_valid().to_numpy(False))
    return Excerpt(
        group,
        digest_texts(paths),
        digest_versions(sizes, versions),
        statuses.astype(np.int8),
        batch["finished_at"].cast(pa.int64()).fill_null(0).to_numpy(),
        batch["size"].fill_null(-1).to_numpy(),
        rows,
        parse_ids(batch["file_id"].take(pa.array(rows)).to_pylist()),
        replacing,
        parse_ids(batch["replaces"].take(pa.array(replacing)).to_pylist()),
    )


@lru_cache(maxsize=4)
def read_columns(group: RowGroup, columns: tuple[str, ...]) -> pa.Table:
    """Columns of a row group; kept, because the next row that is asked for is often beside the last."""
    place, name, number = group
    with place.open_stream(name) as stream, pq.ParquetFile(stream) as file:
        return file.read_row_group(number, columns=list(columns))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A file that a job published."""

    path: str
    file_id: str


def list_outcomes(place: Place, job_id: str) -> Iterator[Outcome]:
    """The files that a job published, from its own rows; StoreError: a file of the table cannot be read."""
    columns = ["job_id", "file_path", "file_id", "status"]
    for name in list_parts(place):
        with _open(place, name) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                wanted = pc.and_(
                    pc.equal(batch["job_id"], job_id), pc.starts_with(batch["status"], "succeeded")
                )
                rows = batch.filter(wanted)
                for path, file_id in zip(
                    rows["file_path"].to_pylist(), rows["file_id"].to_pylist(), strict=True
                ):
                    yield Outcome(path, file_id)

"""A job as a zip: a CSV file for each table that it wrote rows to, and its manifest.

In: a destination and a job. Out: `csv/<job_id>.zip` at the destination, or a file on this machine. Promises:
the same job gives the same bytes; the zip appears at once, whole or not at all; memory is bounded (sorting.py
says how). Rows that were replaced since are not in it: they are counted, as far as the manifest tells.
Leaves to others: the lock, which is needed to write to the destination and not to read it.
Raises: RequestError, StoreError, BatchError.
"""

from __future__ import annotations

import os
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, BinaryIO, cast

import pyarrow as pa

from al3spark.al3.tables import ERRORS_TABLE
from al3spark.errors import BatchError, FileChangedError, StoreError
from al3spark.exports.csv_text import header_line, most_bytes, text_lines
from al3spark.exports.job_rows import JobRows, JobTable, find_job
from al3spark.exports.sorting import sort_rows
from al3spark.store.disks import disk_errors
from al3spark.store.documents import ROOT_MANIFEST, job_folder, read_manifest
from al3spark.store.files_table import FILES_TABLE
from al3spark.store.lock import Lock
from al3spark.store.naming import export_name
from al3spark.store.places import Place
from al3spark.store.staging import StagedWriter

ATTEMPTS = 3
LINES_ROWS = 1 << 13  # that are made text at a time
NO_TIME = (1980, 1, 1, 0, 0, 0)
UNIX, MODE = 3, 0o644 << 16
MOST_OF_SMALL = 2_000_000_000  # bytes, before they are compressed
# In tables of groups (file_id, record_offset) is the key; in these all columns together make the order total.
ORDER = {FILES_TABLE: ("file_path",), ERRORS_TABLE: ("file_path", "byte_offset", "code")}
GROUP_ORDER = ("file_id", "record_offset")


@dataclass(frozen=True, slots=True)
class Exported:
    """What a zip holds. `tables`: rows by table; `missing`: rows that the manifest has and the tables not.

    `has_manifest`: False if there is none any more, or not yet.
    """

    job_id: str
    where: str
    size: int
    tables: dict[str, int]
    missing: int
    has_manifest: bool


def export_to_destination(
    place: Place, job_id: str | None, lock: Lock, check: Callable[[], None] = lambda: None
) -> Exported:
    """Leave the zip at the destination, whose lock the caller holds. `check` raises if it is to end."""
    job = find_job(place, job_id)
    name = export_name(job.job_id)
    with place.stage(name, lock.job_id, 0, 0) as file:
        tables = _write_zip(job, file, check)
        staged = file.finish()
    lock.check()
    if not place.publish(staged):
        raise BatchError(f"{place.uri(name)}: was lost while it was staged; run it again")
    return _tell(job, place.uri(name), staged.size, tables)


def export_batch(place: Place, root: str, lock: Lock, check: Callable[[], None]) -> None:
    """Leave the zip of a batch that has published its tables. BatchError: that did not work; they are there.

    `root`: the destination as the request names it.
    """
    try:
        export_to_destination(place, lock.job_id, lock, check)
    except (StoreError, BatchError) as error:
        raise BatchError(
            f"{lock.job_id}: all its tables are published, its CSV files are not: {error}; "
            f"`al3spark export {root} --format csv --job {lock.job_id}` makes them"
        ) from error


def export_to_file(place: Place, job_id: str | None, path: Path) -> Exported:
    """Write the zip to a file on this machine; nobody needs to hold the lock."""
    for _ in range(ATTEMPTS - 1):
        with suppress(FileChangedError):  # by a compaction, or a plan that replaces rows
            return _export_to_file(place, job_id, path)
    return _export_to_file(place, job_id, path)


def _export_to_file(place: Place, job_id: str | None, path: Path) -> Exported:
    job = find_job(place, job_id)
    with _whole_file(path) as file:
        tables = _write_zip(job, file, lambda: None)
        size = file.tell()
    return _tell(job, str(path), size, tables)


def _tell(job: JobRows, where: str, size: int, tables: dict[str, int]) -> Exported:
    manifest = read_manifest(job.place, job.job_id)
    wrote = {name: each["rows"] for name, each in (manifest or {}).get("tables", {}).items()}
    missing = sum(rows - tables.get(name, 0) for name, rows in wrote.items())
    return Exported(job.job_id, where, size, tables, max(missing, 0), bool(manifest))


def _write_zip(job: JobRows, file: BinaryIO | StagedWriter, check: Callable[[], None]) -> dict[str, int]:
    """Write the manifest, if there is one, and the tables by name; give the rows of each."""
    counts: dict[str, int] = {}
    manifest = job.place.read(f"{job_folder(job.job_id)}/manifest.json")
    with zipfile.ZipFile(cast(BinaryIO, _OneWay(file)), "w") as archive:  # it needs no more than this
        if manifest:
            with _entry(archive, ROOT_MANIFEST) as entry:
                entry.write(manifest)
        for table in job.tables:
            if count := _write_table(job, table, archive, check):
                counts[table.name] = count
    return counts


@dataclass(frozen=True, slots=True)
class _OneWay:
    """A file without a way back, as a staged one is, so that a zip has the same bytes everywhere."""

    file: BinaryIO | StagedWriter

    def write(self, data: bytes) -> int:
        return self.file.write(data)

    def flush(self) -> None:
        self.file.flush()


def _write_table(job: JobRows, table: JobTable, archive: zipfile.ZipFile, check: Callable[[], None]) -> int:
    """Write the rows of a table in order, if there are any; give how many."""
    names = table.schema.names
    keys = [*ORDER[table.name], *names] if table.name in ORDER else GROUP_ORDER
    count = most = 0

    def read() -> Iterator[pa.RecordBatch]:
        nonlocal most
        for batch in _checked(job.read(table), check):
            most += most_bytes(batch)
            yield batch

    batches = sort_rows(read(), list(dict.fromkeys(keys)))
    first = next(batches, None)  # when all is read
    if first is None:
        return 0
    with _entry(archive, f"{table.name}.csv", most) as entry:
        entry.write(header_line(names))
        for batch in _checked(chain([first], batches), check):
            count += batch.num_rows
            for start in range(0, batch.num_rows, LINES_ROWS):
                entry.write(text_lines(batch.slice(start, LINES_ROWS)))
    return count


@contextmanager
def _entry(archive: zipfile.ZipFile, name: str, most_bytes: int = 0) -> Iterator[IO[bytes]]:
    """A file in the zip, of no time. The form for large files only where it must be: not all know it."""
    info = zipfile.ZipInfo(name, NO_TIME)
    info.compress_type, info.external_attr, info.create_system = zipfile.ZIP_DEFLATED, MODE, UNIX
    with archive.open(info, "w", force_zip64=most_bytes > MOST_OF_SMALL) as entry:
        yield entry


def _checked(batches: Iterable[pa.RecordBatch], check: Callable[[], None]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        check()
        yield batch


@contextmanager
def _whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file that is under its name, in place of what was, once it is whole; else there is nothing."""
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with disk_errors(path):
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)

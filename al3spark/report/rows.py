"""What the tables `files` and `errors` say of one job, in few numbers.

In: a destination and a job. Out: counts, and the first rows of what is worth a look. Promises: both tables
are read once, batch by batch; what is kept does not grow with them. Raises: StoreError.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import nlargest
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.tables import ERRORS_TABLE
from al3spark.parquet.datafiles import read_rows_of
from al3spark.store.files_table import FILES_TABLE
from al3spark.store.places import Place

MOST_FAILED = 100
MOST_FAULTY = 20
SPOTS_PER_CODE = 5
MOST_WHERES = 2000  # a sender can make up groups
MOST_REASONS = 20

_ARCHIVE = "archive:"  # its members are the files that count

_FILE_COLUMNS = ("file_path", "status", "reason", "size", "records", "faults", "archived_to")
_FAULT_COLUMNS = (
    "file_path",
    "severity",
    "category",
    "code",
    "message",
    "group_code",
    "element",
    "record_offset",
    "byte_offset",
    "raw",
)


@dataclass(frozen=True, slots=True)
class FailedFile:
    """A file without rows, and why."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class FaultyFile:
    """A file whose rows are there, and faults too. `archived_to`: where it was moved, if it was."""

    path: str
    faults: int
    archived_to: str | None = None


@dataclass(slots=True)
class FilesDigest:
    """What `files` says: how many ended how, and those to look at. `reasons`: why files were skipped."""

    statuses: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    records: int = 0
    bytes: int = 0
    failed: list[FailedFile] = field(default_factory=list)
    faulty: list[FaultyFile] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a fault is. `where`: group and element; `raw`: the shape of the value; offsets from 0."""

    code: str
    where: str
    record_offset: int | None
    byte_offset: int | None
    message: str
    raw: str | None


@dataclass(slots=True)
class ErrorsDigest:
    """What `errors` says. `wheres`: faults by (code, group and element); `spots`: the first, by file."""

    codes: Counter[tuple[str, str, str]] = field(default_factory=Counter)  # category, code, severity
    wheres: Counter[tuple[str, str]] = field(default_factory=Counter)
    codes_by_file: dict[str, Counter[str]] = field(default_factory=dict)
    spots: dict[str, list[Spot]] = field(default_factory=dict)


def digest_files(place: Place, job_id: str) -> FilesDigest:
    """Read the rows of a job in `files`."""
    digest = FilesDigest()
    for batch in read_rows_of(place, FILES_TABLE, job_id, _FILE_COLUMNS):
        digest.statuses.update(_count(batch, "status"))
        ended_well = batch.filter(pc.starts_with(batch["status"], "succeeded"))
        digest.records += pc.sum(ended_well["records"]).as_py() or 0
        digest.bytes += pc.sum(ended_well["size"]).as_py() or 0
        failed = batch.filter(pc.equal(batch["status"], "failed"))
        room = MOST_FAILED - len(digest.failed)
        digest.failed += [FailedFile(*each) for each in _rows(failed[:room], "file_path", "reason")]
        skipped = batch.filter(pc.equal(batch["status"], "skipped"))
        reasons = _count(skipped, "reason").items()
        _add(
            digest.reasons,
            {reason: count for reason, count in reasons if not reason.startswith(_ARCHIVE)},
            MOST_REASONS,
        )
        digest.faulty = nlargest(
            MOST_FAULTY, [*digest.faulty, *_most_faulty(ended_well)], key=lambda file: file.faults
        )
    return digest


def _most_faulty(rows: pa.RecordBatch) -> Iterator[FaultyFile]:
    with_faults = rows.filter(pc.greater(rows["faults"], 0))
    if with_faults.num_rows:
        most = pc.select_k_unstable(with_faults, MOST_FAULTY, [("faults", "descending")])
        for path, faults, archived_to in _rows(with_faults.take(most), "file_path", "faults", "archived_to"):
            yield FaultyFile(path, faults, archived_to)


def digest_errors(place: Place, job_id: str, files: Collection[str]) -> ErrorsDigest:
    """Read the rows of a job in `errors`; of `files`, also where their first faults are."""
    digest = ErrorsDigest()
    wanted = pa.array(list(files), pa.string())
    for batch in read_rows_of(place, ERRORS_TABLE, job_id, _FAULT_COLUMNS):
        if not batch.num_rows:
            continue
        digest.codes.update(_count(batch, "category", "code", "severity"))
        wheres = _count(batch, "code", "group_code", "element")
        named = ((code, _where(group, element), count) for (code, group, element), count in wheres.items())
        _add(digest.wheres, {(code, where): count for code, where, count in named if where}, MOST_WHERES)
        _look_at_files(digest, batch.filter(pc.is_in(batch["file_path"], wanted)))
    return digest


def _look_at_files(digest: ErrorsDigest, rows: pa.RecordBatch) -> None:
    for (path, code), count in _count(rows, "file_path", "code").items():
        codes = digest.codes_by_file.setdefault(path, Counter())
        room = SPOTS_PER_CODE - codes[code]
        codes[code] += count
        if room > 0:
            here = pc.and_(pc.equal(rows["file_path"], path), pc.equal(rows["code"], code))
            spots = [_spot(row) for row in rows.filter(here)[:room].to_pylist()]
            digest.spots.setdefault(path, []).extend(spots)


def _spot(row: dict[str, Any]) -> Spot:
    where = _where(row["group_code"], row["element"])
    return Spot(row["code"], where, row["record_offset"], row["byte_offset"], row["message"], row["raw"])


def _where(group: str | None, element: str | None) -> str:
    return ".".join(name for name in (group, element) if name)


def _count(rows: pa.RecordBatch, *names: str) -> dict[Any, int]:
    """Count the rows by a column, or by several: then the keys are tuples."""
    if not rows.num_rows:
        return {}
    counted = (
        pa.Table.from_batches([rows.select(list(names))]).group_by(list(names)).aggregate([([], "count_all")])
    )
    keys: Iterable[Any] = zip(*(counted[name].to_pylist() for name in names), strict=True)
    keys = keys if len(names) > 1 else (key for (key,) in keys)
    return dict(zip(keys, counted["count_all"].to_pylist(), strict=True))


def _add(counts: Counter[Any], more: dict[Any, int], most: int) -> None:
    """Add counts, but no new key where there are as many as that."""
    for key, count in more.items():
        if key in counts or len(counts) < most:
            counts[key] += count


def _rows(batch: pa.RecordBatch, *names: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(batch[name].to_pylist() for name in names), strict=True)

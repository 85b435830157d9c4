"""The rows of `files` that a batch writes: one for each file that it parsed, or had a reason not to read.

In: the totals of files, what was skipped, and the records of chunks that are published. Out: an Arrow table
with FILES_SCHEMA. No I/O.
Promises: a file that is worth another try has no row that would keep the next batch from it.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from al3spark.al3.totals import FileTotals
from al3spark.planning import Selection, Skipped
from al3spark.spark.pipeline import StagedTable
from al3spark.spark.slowest import FileTime
from al3spark.spark.splits import InputFile
from al3spark.store.files_table import FILES_SCHEMA

SUCCEEDED, WITH_FAULTS, FAILED, SKIPPED = "succeeded", "succeeded_with_faults", "failed", "skipped"

_COUNTS = (
    "expanded_size",
    "record_bytes",
    "separator_bytes",
    "unreadable_bytes",
    "messages",
    "transactions",
    "records",
    "faults",
)


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """A published chunk: its files by table, its rows of `files`, and duplicates that its parse found.

    `slowest`: its slowest files; None where Spark does not tell.
    """

    number: int
    started: datetime
    finished: datetime
    staged: tuple[StagedTable, ...]
    files: pa.Table
    fault_counts: tuple[tuple[str, int], ...] = ()
    skipped: tuple[Skipped, ...] = ()
    retries: int = 0
    replaced_rows: int = 0
    slowest: tuple[FileTime, ...] | None = ()


@dataclass(frozen=True, slots=True)
class Links:
    """What rows of `files` say beside their own file, by path: content that it replaces, where it goes."""

    replaces: Mapping[str, str] = field(default_factory=dict)
    archived_to: Mapping[str, str] = field(default_factory=dict)

    def of(self, path: str) -> dict[str, str | None]:
        """The columns of one row."""
        return {"replaces": self.replaces.get(path), "archived_to": self.archived_to.get(path)}


@dataclass(frozen=True, slots=True)
class Skip:
    """A row of `files` for a file that was not read. `failed`: it, or a member of it, failed."""

    file: InputFile
    reason: str
    duplicate_of: str | None = None
    failed: bool = False


def make_file_rows(
    job_id: str,
    files: Sequence[InputFile],
    totals: Mapping[str, FileTotals],
    started: datetime,
    finished: datetime,
    attempts: int,
    links: Links,
) -> pa.Table:
    """Make the rows of files that were parsed, or could not be."""
    rows = []
    for file in files:
        ended = totals[file.path]
        rows.append(
            {
                "job_id": job_id,
                "file_path": file.path,
                "file_id": ended.file_id or None,
                "status": FAILED if ended.failed else WITH_FAULTS if ended.faults else SUCCEEDED,
                "reason": f"{ended.failed}: {ended.reason}" if ended.failed else None,
                "size": file.listed_size,
                "version": None if ended.retryable else file.version,
                "started_at": started,
                "finished_at": finished,
                "attempts": attempts,
                **links.of(file.path),
                **{name: getattr(ended, name) for name in _COUNTS},
            }
        )
    return pa.Table.from_pylist(rows, FILES_SCHEMA)


def choose_skips(selection: Selection, records: Sequence[ChunkRecord]) -> list[Skip]:
    """Choose what gets a row: duplicates, and archives whose members are on record.

    An archive with a member that is worth another try gets none, so that the next batch opens it again; nor
    does one that broke off, for it has a row of its own; nor a duplicate of a file that failed, so that the
    next batch reads the duplicate.
    """
    columns = ("file_path", "status", "version")
    ended = [
        row
        for record in records
        for row in zip(*(record.files[name].to_pylist() for name in columns), strict=True)
    ]
    again = [path for path, _, version in ended if version is None]
    own = {path for path, _, _ in ended}
    failed = {path for path, status, _ in ended if status == FAILED}
    skips = [
        Skip(each.file, each.reason, each.duplicate_of)
        for each in selection.skipped
        if not each.known and each.duplicate_of not in failed
    ]
    for archive in selection.archives:
        inside = f"{archive.path}!"
        if archive.path not in own and not any(path.startswith(inside) for path in again):
            broken = any(path.startswith(inside) for path in failed)
            skips.append(Skip(archive, "archive: its members are files of their own", failed=broken))
    return skips


def make_skip_rows(
    job_id: str, skips: Sequence[Skip], started: datetime, finished: datetime, links: Links
) -> pa.Table:
    """Make the rows of files that were not read."""
    rows = [
        {
            "job_id": job_id,
            "file_path": skip.file.path,
            "file_id": skip.file.file_id or None,
            "status": SKIPPED,
            "reason": skip.reason,
            "duplicate_of": skip.duplicate_of,
            "size": skip.file.listed_size,
            "version": skip.file.version,
            "started_at": started,
            "finished_at": finished,
            **links.of(skip.file.path),
        }
        for skip in skips
    ]
    return pa.Table.from_pylist(rows, FILES_SCHEMA)


def count_statuses(records: Sequence[ChunkRecord]) -> Counter[str]:
    """Count the rows of `files` by status."""
    return Counter(status for record in records for status in record.files["status"].to_pylist())

"""What a report tells of one job, as values. Units: bytes, seconds. Raises nothing."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from al3spark.operations import RUNNING
from al3spark.report.again import Asked
from al3spark.report.rows import (
    FailedFile,
    Spot,
)

STALLED = "stalled"
FILE_STATUSES = ("succeeded", "succeeded_with_faults", "failed", "skipped", "remaining")


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What a job wrote into a table. `size`: bytes of Parquet."""

    name: str
    rows: int
    files: int
    size: int


@dataclass(frozen=True, slots=True)
class CodeFacts:
    """Faults of one code. `wheres`: groups and elements with the most of them, and how many."""

    code: str
    category: str
    severity: str
    count: int
    wheres: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file with faults: how many by code, and where the first of each are."""

    path: str
    faults: int
    archived_to: str | None
    codes: tuple[tuple[str, int], ...]
    spots: tuple[Spot, ...]


@dataclass(frozen=True, slots=True)
class SlowFile:
    """A file that took long. `seconds`: of task time; `shared`: by bytes, with other files of its task."""

    path: str
    seconds: float
    size: int
    tasks: int
    shared: bool


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report tells. Units: bytes, seconds.

    `status`: that of the job, or `stalled`. `reason`: why it broke off or was stopped, "" if nobody knows.
    `tables`: None where no manifest tells. `points`: seconds since `started`, and bytes dealt with until
    then. `slowest`: None where Spark did not tell.
    """

    destination: str
    job_id: str
    status: str
    reason: str
    stopped_chunk: int | None
    seen: datetime
    created: datetime
    started: datetime | None
    ended: datetime | None
    heartbeat: datetime
    source: str
    asked: Asked
    versions: tuple[tuple[str, str], ...]
    percent: float
    total_bytes: int
    bytes: int
    bytes_per_second: float
    rows: int
    files: tuple[tuple[str, int], ...]
    skip_reasons: tuple[tuple[str, int], ...]
    too_young: int
    min_age_s: int
    not_archived: tuple[FailedFile, ...]
    failed: tuple[FailedFile, ...]
    tables: tuple[TableFacts, ...] | None
    codes: tuple[CodeFacts, ...]
    faulty: tuple[FileFacts, ...]
    points: tuple[tuple[float, int], ...]
    slowest: tuple[SlowFile, ...] | None

    @property
    def is_running(self) -> bool:
        """Whether there is more to come."""
        return self.status in RUNNING

    @property
    def is_unfinished(self) -> bool:
        """Whether all was published, and what comes after that was not done: CSV files, a last word."""
        over = self.status == "cancelled" or (self.status == "failed" and bool(self.reason))
        return over and self.tables is not None and self.stopped_chunk is None

    @property
    def seconds(self) -> float:
        """How long it took, or has taken so far."""
        return ((self.ended or self.seen) - self.created).total_seconds()

    @property
    def faults(self) -> int:
        """How many faults there are."""
        return sum(each.count for each in self.codes)

    def count(self, status: str) -> int:
        """How many files ended so."""
        return dict(self.files).get(status, 0)

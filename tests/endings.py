"""How files ended, for the tests of what a batch leaves on record: made of values, without Spark."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa

from al3spark.al3.totals import FileTotals
from al3spark.file_rows import ChunkRecord, Links, make_file_rows
from al3spark.spark.splits import InputFile

JOB = "batch-20260102-abc123"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=10)


def file(name: str, size: int = 100, **more: Any) -> InputFile:
    """A file as it was listed."""
    return InputFile(f"/in/{name}", name, size, size, f"v-{name}", **more)


def ended(name: str, **more: Any) -> FileTotals:
    """What came of parsing it."""
    return FileTotals(f"/in/{name}", f"id-{name}", **more)


def file_rows(*totals: FileTotals, attempts: int = 1) -> pa.Table:
    """Rows of files that were parsed."""
    files = [file(each.path.removeprefix("/in/")) for each in totals]
    return make_file_rows(JOB, files, {each.path: each for each in totals}, BEGAN, ENDED, attempts, Links())


def record(*totals: FileTotals, number: int = 0, **more: Any) -> ChunkRecord:
    """A chunk of files that were parsed."""
    return ChunkRecord(number, BEGAN, ENDED, (), file_rows(*totals), **more)


FINE = ended("fine")
FAULTY = ended("faulty", fault_counts=(("GROUP_UNMAPPED", 1), ("VALUE_INVALID", 2)))
BAD = ended("bad", failed="FILE_NOT_AL3", reason="no AL3 record in it", fault_counts=(("FILE_NOT_AL3", 1),))
GONE = ended(
    "gone",
    failed="FILE_CHANGED",
    reason="the file changed",
    retryable=True,
    fault_counts=(("FILE_CHANGED", 1),),
)

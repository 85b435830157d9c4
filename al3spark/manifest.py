"""The manifest: what a batch was asked, what came of it, and what another run would do.

In: what was chosen, and the record of each chunk. Out: a mapping for JSON. No I/O.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import pyarrow.compute as pc

import al3spark
from al3spark.al3.faults import KINDS
from al3spark.archiving import Moved
from al3spark.config import BatchRequest
from al3spark.file_rows import FAILED, SUCCEEDED, WITH_FAULTS, ChunkRecord, count_statuses
from al3spark.monitoring import Trouble
from al3spark.planning import Selection
from al3spark.spark.slowest import keep_slowest

MOST_FAILURES = 100


@dataclass(frozen=True, slots=True)
class Stop:
    """A chunk that was not published because too many files failed, and ended the job.

    `failures`: path and reason of its files that failed. `unread`: bytes of the chunks after it.
    """

    chunk: int
    reason: str
    failures: tuple[tuple[str, str], ...]
    unread: int = 0


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is true of a whole job."""

    job_id: str
    request: BatchRequest
    dictionary: str
    spark: str
    cores: int
    started: datetime
    task_seconds: float | None = None  # of all tasks together, where Spark tells
    schemas: str = ""  # a digest


def find_troubles(record: ChunkRecord) -> list[Trouble]:
    """Name the files of a chunk that failed."""
    rows = record.files.filter(pc.equal(record.files["status"], FAILED)).slice(0, MOST_FAILURES)
    told = zip(rows["file_path"].to_pylist(), rows["reason"].to_pylist(), strict=True)
    return [Trouble(path, reason.partition(": ")[2], reason.partition(": ")[0]) for path, reason in told]


def compose_manifest(
    job: JobRecord,
    selection: Selection,
    records: Sequence[ChunkRecord],
    finished: datetime,
    moved: Moved,
    stop: Stop | None = None,
) -> dict[str, Any]:
    """Make the manifest of a batch that came to its end, or was stopped because too many files failed."""
    statuses = count_statuses(records)
    known = sum(each.known for each in selection.skipped)
    skipped = sum(not each.known for each in selection.skipped) + known
    failed, succeeded = statuses[FAILED], statuses[SUCCEEDED] + statuses[WITH_FAULTS]
    failed += len(stop.failures) if stop else 0
    processed = failed + succeeded
    doubles = sum(len(record.skipped) for record in records)
    remaining = len(selection.files) - processed - doubles if stop else 0
    seconds = max((finished - job.started).total_seconds(), 0.001)
    size = sum(file.size for file in selection.files) - (stop.unread if stop else 0)
    return {
        "job_id": job.job_id,
        "status": "completed"
        if not failed
        else "partial_success"
        if not stop and (succeeded or skipped)
        else "failed",
        "stopped": {"chunk": stop.chunk, "reason": stop.reason} if stop else None,
        "request": _as_json(asdict(job.request)),
        "versions": {
            "al3spark": al3spark.__version__,
            "dictionary": job.dictionary,
            "schemas": job.schemas,
            "spark": job.spark,
        },
        "started_at": job.started.isoformat(),
        "finished_at": finished.isoformat(),
        "summary": {
            "total": processed + skipped + remaining,
            "processed": processed,
            "succeeded": succeeded,
            "succeeded_with_faults": statuses[WITH_FAULTS],
            "failed": failed,
            "skipped": skipped,
            "too_young": sum(each.young for each in selection.skipped),
            "remaining": remaining,
            "bytes": size,
            "duration_seconds": round(seconds, 3),
            "task_seconds": job.task_seconds,
            "vcpu_hours": round(seconds * job.cores / 3600, 6),
            "files_per_second": round(processed / seconds, 3),
            "mb_per_second": round(size / 1e6 / seconds, 3),
            "retries": sum(record.retries for record in records),
            "replaced_rows": sum(record.replaced_rows for record in records),
            "archived": moved.files,
            "failure_rate": round(failed / processed, 6) if processed else 0.0,
        },
        "tables": _by_table(records),
        "faults": _by_code(records),
        "failed_files": _failures(records, stop),
        "slowest_files": _slowest(records),
        "not_archived": [{"file": path, "reason": reason} for path, reason in moved.left[:MOST_FAILURES]],
        "checkpoints": [
            {
                "chunk": record.number,
                "started_at": record.started.isoformat(),
                "finished_at": record.finished.isoformat(),
                "files": record.files.num_rows,
            }
            for record in records
        ],
        "artifacts": [f"_al3spark/jobs/{job.job_id}/plan-{record.number:06}.json" for record in records],
        "remediation": _remedy(records, failed, stop),
    }


def _by_table(records: Sequence[ChunkRecord]) -> dict[str, dict[str, int]]:
    tables: dict[str, Counter[str]] = {}
    for record in records:
        for staged in record.staged:
            tables.setdefault(staged.table, Counter()).update(
                rows=staged.rows, files=1, bytes=staged.file.size
            )
    return {table: dict(tables[table]) for table in sorted(tables)}


def _by_code(records: Sequence[ChunkRecord]) -> dict[str, dict[str, int]]:
    """Count faults by category, and in it by code."""
    counts: Counter[str] = Counter()
    for record in records:
        counts.update(dict(record.fault_counts))
    categories: dict[str, dict[str, int]] = {}
    for code, count in sorted(counts.items()):
        categories.setdefault(KINDS[code].category, {})[code] = count
    return categories


def _failures(records: Sequence[ChunkRecord], stop: Stop | None) -> list[dict[str, str]]:
    """Name the first files that failed."""
    failed = [
        {"file": row["file_path"], "reason": row["reason"]}
        for record in records
        for row in record.files.filter(pc.equal(record.files["status"], FAILED)).to_pylist()
    ]
    failed += [{"file": path, "reason": reason} for path, reason in stop.failures] if stop else []
    return failed[:MOST_FAILURES]


def _slowest(records: Sequence[ChunkRecord]) -> list[dict[str, Any]] | None:
    """Name the slowest files: seconds of task time, shared by bytes where a task read several files."""
    told = [record.slowest for record in records]
    if None in told:
        return None
    return [
        {
            "file": time.path,
            "task_seconds": round(time.seconds, 3),
            "bytes": time.size,
            "tasks": time.tasks,
            "shared": time.shared,
        }
        for time in keep_slowest(time for times in told for time in times or ())
    ]


def _remedy(records: Sequence[ChunkRecord], failed: int, stop: Stop | None) -> dict[str, Any]:
    """Say what running the request again would do for the files that failed."""
    if stop:
        return {"can_retry": True, "retry_strategy": "resume", "manual_intervention_required": True}
    rows = [record.files.filter(pc.equal(record.files["status"], FAILED)) for record in records]
    waiting = sum(table["version"].null_count for table in rows)
    return {
        "can_retry": waiting > 0,
        "retry_strategy": "failed_files_only" if waiting else "none",
        "manual_intervention_required": failed > waiting,
    }


def _as_json(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    if isinstance(value, tuple | list):
        return [_as_json(each) for each in value]
    return value.isoformat() if isinstance(value, date) else value

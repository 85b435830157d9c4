"""What an operator does with a destination: see its jobs, cancel one, page through errors, repair, clean up.

In: a destination. Out: mappings for JSON; text is made of them elsewhere. Needs no Spark. Raises:
RequestError for a job that is not there, StoreError, BatchError where somebody else holds the lock.
"""

import secrets
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from al3spark.errors import RequestError
from al3spark.exports.exporting import export_to_destination, export_to_file
from al3spark.monitoring import mark_dead, request_cancel
from al3spark.parquet.datafiles import list_data_files, read_rows_of
from al3spark.parquet.orphans import find_orphans
from al3spark.parquet.rewriting import compact, plan_compaction
from al3spark.store.documents import job_folder, list_jobs, new_job_id, read_manifest, read_status
from al3spark.store.lock import acquire
from al3spark.store.places import Place

RUNNING = ("queued", "processing")
STALE_AFTER_S = 30.0
PAGE_ROWS = 20
_LONG = "bytes_over_time"
_SHOWN = (
    "severity",
    "code",
    "file_path",
    "group_code",
    "element",
    "record_offset",
    "byte_offset",
    "message",
    "raw",
)


def list_status(place: Place) -> list[dict[str, Any]]:
    """Give the status of every job, the newest last; without what is long (`_LONG`)."""
    found = [read_status(place, job_id) for job_id in list_jobs(place)]
    known = [
        {name: value for name, value in _judge(status).items() if name != _LONG}
        for status in found
        if status and "progress" in status
    ]
    return sorted(known, key=lambda status: status["created_at"])


def find_status(place: Place, job_id: str | None) -> dict[str, Any]:
    """Give the status of a job, or of the newest."""
    if job_id is None:
        jobs = list_status(place)
        if not jobs:
            raise RequestError(f"{place.uri('')}: no job has run here")
        job_id = jobs[-1]["job_id"]
    status = read_status(place, job_id)
    if not status or "progress" not in status:
        raise RequestError(f"{place.uri('')}: no job {job_id}; `al3spark jobs` lists them")
    return _judge(status)


def find_manifest(place: Place, job_id: str | None) -> dict[str, Any] | None:
    """Give the manifest of a job, or of the last that wrote one; None if it came to none."""
    return read_manifest(place, job_id)


def cancel_job(place: Place, job_id: str) -> dict[str, Any]:
    """Ask a running job to end. RequestError: it is over already."""
    status = find_status(place, job_id)
    if status["status"] not in RUNNING:
        raise RequestError(f"{job_id} is not running: {status['status']}")
    request_cancel(place, job_id)
    return {"job_id": job_id, "requested": True}


def read_errors(place: Place, job_id: str | None, code: str | None, page: int) -> dict[str, Any]:
    """Give one page of the `errors` rows of a job, or of the newest; pages count from 1."""
    job = find_status(place, job_id)["job_id"]
    first, seen = (page - 1) * PAGE_ROWS, 0
    rows: list[dict[str, Any]] = []
    for batch in _error_batches(place, job, code):
        if seen + batch.num_rows > first and len(rows) < PAGE_ROWS:
            rows += batch.slice(max(first - seen, 0), PAGE_ROWS - len(rows)).to_pylist()
        seen += batch.num_rows
    return {"job_id": job, "page": page, "pages": -(-seen // PAGE_ROWS), "rows": seen, "errors": rows}


def recover_destination(place: Place) -> dict[str, Any]:
    """Bring to an end what dead jobs left: their plans, their staged files, their status."""
    job_id = new_job_id(datetime.now(UTC), secrets.token_hex(3))
    with acquire(place, job_id) as lock:
        mark_dead(place, job_id)
        return {
            "published": list(lock.recovery.published),
            "rolled_back": list(lock.recovery.rolled_back),
            "discarded": lock.recovery.discarded,
            "taken_over": list(lock.taken_over),
        }


def clean_destination(place: Place, older_than_days: int) -> dict[str, Any]:
    """Remove the documents of jobs that ended that long ago, and data files that nobody committed.

    Recovery has closed all plans before.
    """
    job_id = new_job_id(datetime.now(UTC), secrets.token_hex(3))
    limit = (datetime.now(UTC) - timedelta(days=older_than_days)).isoformat()
    removed: list[str] = []
    with acquire(place, job_id) as lock:
        mark_dead(place, job_id)
        orphans = find_orphans(place)
        lock.check()
        for name in orphans:
            place.remove(name)
        for status in list_status(place):
            if (status["completed_at"] or status["heartbeat_at"]) < limit and status["status"] not in RUNNING:
                for name in list(place.list_names(f"{job_folder(status['job_id'])}/")):
                    place.remove(name)
                removed.append(status["job_id"])
    return {"removed": removed, "orphans": list(orphans)}


def list_tables(place: Place) -> list[str]:
    """Name the tables that have files. RequestError: no job has run here."""
    found = sorted({file.table for file in list_data_files(place)})
    if not found and not list_jobs(place):
        raise RequestError(f"{place.uri('')}: no job has run here")
    return found


def compact_destination(place: Place, table: str | None) -> dict[str, Any]:
    """Merge small Parquet files, each partition of each table by a plan of its own."""
    job_id = new_job_id(datetime.now(UTC), secrets.token_hex(3))
    merged: list[dict[str, Any]] = []
    with acquire(place, job_id) as lock:
        mark_dead(place, job_id)
        for number, merge in enumerate(plan_compaction(place, table)):
            compact(place, job_id, number, lock.epoch, merge, lock.check)
            merged.append({"table": merge.table, "partition": merge.partition, "files": len(merge.inputs)})
    return {"job_id": job_id, "merged": merged}


def export_tables(place: Place, job_id: str | None, path: Path | None) -> dict[str, Any]:
    """Make a zip of CSV files of a job, or of the newest: at the destination, or on this machine."""
    if path:
        return asdict(export_to_file(place, job_id, path))
    if next(place.list_names("_al3spark/"), None) is None:  # a lock would be the first thing there
        raise RequestError(f"{place.uri('')}: no job has run here")
    owner = new_job_id(datetime.now(UTC), secrets.token_hex(3))
    with acquire(place, owner) as lock:
        mark_dead(place, owner)
        return asdict(export_to_destination(place, job_id, lock))


def _judge(status: dict[str, Any]) -> dict[str, Any]:
    """Add whether a running job still shows life."""
    age = (datetime.now(UTC) - datetime.fromisoformat(status["heartbeat_at"])).total_seconds()
    return {**status, "stalled": status["status"] in RUNNING and age > STALE_AFTER_S}


def _error_batches(place: Place, job_id: str, code: str | None) -> Iterator[pa.RecordBatch]:
    for batch in read_rows_of(place, "errors", job_id, _SHOWN):
        yield batch.filter(pc.equal(batch["code"], code)) if code else batch

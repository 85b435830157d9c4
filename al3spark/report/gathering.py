"""Gather what a report tells of one job, whatever became of it.

In: a destination and a job. Out: `Facts`. Sources: the job's status and manifest, and its rows in `files` and
`errors`. A job that runs, or broke off, has no manifest: then the tables tell what it published. Documents of
earlier versions lack what they did not know. Promises: memory does not grow with the job. Raises:
RequestError for a job that is not there, StoreError, also where a document is damaged. Needs no Spark.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from al3spark.al3.faults import KINDS
from al3spark.errors import StoreError
from al3spark.operations import find_manifest, find_status
from al3spark.report.again import find_asked
from al3spark.report.facts import FILE_STATUSES, STALLED, CodeFacts, Facts, FileFacts, SlowFile, TableFacts
from al3spark.report.rows import (
    MOST_FAILED,
    ErrorsDigest,
    FailedFile,
    FilesDigest,
    Spot,
    digest_errors,
    digest_files,
)
from al3spark.report.source import find_source
from al3spark.store.documents import job_folder
from al3spark.store.places import Place

MOST_NAMED = 8  # places of a code by group and element


def gather_facts(place: Place, job_id: str | None, now: datetime | None = None) -> Facts:
    """Gather the facts of a job, or of the newest."""
    status = find_status(place, job_id)
    job_id = status["job_id"]
    manifest = find_manifest(place, job_id) or {}
    files = digest_files(place, job_id)
    errors = digest_errors(place, job_id, [file.path for file in files.faulty])
    try:
        return _compose(place, status, manifest, files, errors, now or datetime.now(UTC))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        where = place.uri(job_folder(job_id))
        raise StoreError(f"{where}: manifest.json or status.json is damaged: {error!r}") from error


def _compose(
    place: Place,
    status: Mapping[str, Any],
    manifest: Mapping[str, Any],
    files: FilesDigest,
    errors: ErrorsDigest,
    now: datetime,
) -> Facts:
    request, summary = manifest.get("request") or {}, manifest.get("summary") or {}
    stopped, progress = manifest.get("stopped") or {}, status["progress"]
    failed = [FailedFile(each["file"], each["reason"]) for each in manifest.get("failed_files") or ()]
    slowest = _slowest(manifest.get("slowest_files"))
    paths = [file.path for file in failed]
    paths += [file.path for file in files.failed]
    paths += [file.path for file in files.faulty]
    paths += [file.path for file in slowest or ()]
    return Facts(
        destination=place.uri(""),
        job_id=status["job_id"],
        status=STALLED if status["stalled"] else status["status"],
        reason=status.get("reason") or stopped.get("reason") or "",
        stopped_chunk=stopped.get("chunk"),
        seen=now,
        created=_moment(status["created_at"]),
        started=_maybe(status["started_at"]),
        ended=_maybe(status["completed_at"]),
        heartbeat=_moment(status["heartbeat_at"]),
        source=find_source((request.get("source") or {}).get("uri", ""), paths),
        asked=find_asked(request),
        versions=tuple((manifest.get("versions") or {}).items()),
        percent=progress["percent"],
        total_bytes=progress["total_bytes"],
        bytes=summary.get("bytes", progress["bytes"]),
        bytes_per_second=_rate(status, summary),
        rows=files.records,
        files=_files(summary, progress, files),
        skip_reasons=tuple(files.reasons.most_common()),
        too_young=summary.get("too_young", 0),
        min_age_s=(request.get("options") or {}).get("min_age_s", 0),
        not_archived=tuple(
            FailedFile(each["file"], each["reason"]) for each in manifest.get("not_archived") or ()
        ),
        failed=tuple(failed or files.failed)[:MOST_FAILED],
        tables=_tables(manifest["tables"]) if "tables" in manifest else None,
        codes=_codes(manifest.get("faults"), errors),
        faulty=_faulty(files, errors),
        points=tuple((seconds, size) for seconds, size in status.get("bytes_over_time") or ()),
        slowest=slowest,
    )


def _rate(status: Mapping[str, Any], summary: Mapping[str, Any]) -> float:
    """Bytes a second: of the whole job, or while it runs of the last minute."""
    if summary or not status["completed_at"]:
        return float(1e6 * summary.get("mb_per_second", status["mb_per_second"]))
    seconds = (_moment(status["completed_at"]) - _moment(status["created_at"])).total_seconds()
    return float(status["progress"]["bytes"] / seconds) if seconds > 0 else 0.0


def _files(
    summary: Mapping[str, int], progress: Mapping[str, int], files: FilesDigest
) -> tuple[tuple[str, int], ...]:
    """Count files by status, in the order of `FILE_STATUSES`; those that nobody has are left out."""
    if summary:
        faulty = summary["succeeded_with_faults"]
        counts = {**summary, "succeeded": summary["succeeded"] - faulty}
    else:
        told = {name: progress[name] for name in ("failed", "skipped", "remaining")}
        counts = {**files.statuses, **told}
    return tuple((name, counts[name]) for name in FILE_STATUSES if counts.get(name, 0) > 0)


def _tables(tables: Mapping[str, Mapping[str, int]]) -> tuple[TableFacts, ...]:
    found = [TableFacts(name, each["rows"], each["files"], each["bytes"]) for name, each in tables.items()]
    return tuple(sorted(found, key=lambda table: -table.rows))


def _codes(told: Mapping[str, Mapping[str, int]] | None, errors: ErrorsDigest) -> tuple[CodeFacts, ...]:
    """The manifest tells all; the rows of a file that was replaced later are gone from the table."""
    counts: Counter[tuple[str, str, str]] = Counter()
    if told is None:
        counts = errors.codes
    else:
        severities = {code: severity for _, code, severity in errors.codes}
        for category, codes in told.items():
            for code, count in codes.items():
                kind = KINDS.get(code)
                counts[category, code, kind.severity if kind else severities.get(code, "error")] = count
    wheres: dict[str, Counter[str]] = {}
    for (code, where), count in errors.wheres.items():
        wheres.setdefault(code, Counter())[where] += count
    return tuple(
        CodeFacts(code, category, severity, count, tuple(wheres.get(code, Counter()).most_common(MOST_NAMED)))
        for (category, code, severity), count in counts.most_common()
    )


def _faulty(files: FilesDigest, errors: ErrorsDigest) -> tuple[FileFacts, ...]:
    return tuple(
        FileFacts(
            file.path,
            file.faults,
            file.archived_to,
            tuple(errors.codes_by_file.get(file.path, Counter()).most_common()),
            tuple(sorted(errors.spots.get(file.path, ()), key=_position)),
        )
        for file in files.faulty
    )


def _position(spot: Spot) -> int:
    return next((each for each in (spot.byte_offset, spot.record_offset) if each is not None), -1)


def _slowest(told: list[dict[str, Any]] | None) -> tuple[SlowFile, ...] | None:
    if told is None:
        return None
    return tuple(
        SlowFile(each["file"], each["task_seconds"], each["bytes"], each["tasks"], each["shared"])
        for each in told
    )


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _maybe(text: str | None) -> datetime | None:
    return _moment(text) if text else None

"""The manifest, made of values; without Spark."""

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from al3spark.al3.totals import FileTotals
from al3spark.archiving import Moved
from al3spark.config import BatchRequest, Destination, Options, Source
from al3spark.file_rows import ChunkRecord
from al3spark.manifest import JobRecord, compose_manifest
from al3spark.planning import Selection, Skipped
from al3spark.spark.pipeline import StagedTable
from al3spark.store.staging import StagedFile
from tests.endings import BAD, BEGAN, ENDED, FAULTY, FINE, GONE, JOB, ended, file, record

NOTHING = Selection((), ())


def manifest(selection: Selection = NOTHING, *records: ChunkRecord) -> dict[str, Any]:
    request = BatchRequest(Source("/in"), Destination("/out"), Options(ingest_date=date(2026, 1, 2)))
    return compose_manifest(
        JobRecord(JOB, request, "0123456789abcdef", "4.3.0", 2, BEGAN), selection, records, ENDED, Moved()
    )


@pytest.mark.parametrize(
    ("totals", "skipped", "expected"),
    [
        ((), 0, "completed"),
        ((FINE, FAULTY), 0, "completed"),
        ((), 1, "completed"),
        ((FINE, BAD), 0, "partial_success"),
        ((BAD,), 1, "partial_success"),
        ((BAD, GONE), 0, "failed"),
    ],
)
def test_a_batch_has_a_status(totals: tuple[FileTotals, ...], skipped: int, expected: str) -> None:
    skips = (Skipped(file("old"), "ingested before", known=True),) * skipped
    assert manifest(Selection((), skips), record(*totals))["status"] == expected


def test_the_summary_counts_files_and_divides_by_time() -> None:
    files = tuple(file(name, 1_000_000) for name in ("fine", "faulty", "bad", "gone"))
    skips = (
        Skipped(file("old"), "ingested before", known=True),
        Skipped(file("copy"), "same content", "/in/fine"),
    )
    summary = manifest(Selection(files, skips), record(FINE, FAULTY), record(BAD, GONE, number=1))["summary"]
    expected = {
        "total": 6,
        "processed": 4,
        "succeeded": 2,
        "succeeded_with_faults": 1,
        "failed": 2,
        "skipped": 2,
        "bytes": 4_000_000,
        "duration_seconds": 10.0,
        "vcpu_hours": 0.005556,
        "files_per_second": 0.4,
        "mb_per_second": 0.4,
        "failure_rate": 0.5,
    }
    assert {name: summary[name] for name in expected} == expected


def test_the_manifest_tells_what_was_asked_and_by_what_it_was_done() -> None:
    made = manifest()
    assert made["job_id"] == JOB
    assert made["request"]["options"]["ingest_date"] == "2026-01-02"
    assert made["request"]["options"]["century_pivot"] == 50
    assert made["versions"] == {
        "al3spark": made["versions"]["al3spark"],
        "dictionary": "0123456789abcdef",
        "schemas": "",
        "spark": "4.3.0",
    }
    assert (made["started_at"], made["finished_at"]) == (
        "2026-01-02T03:04:05+00:00",
        "2026-01-02T03:04:15+00:00",
    )


def test_tables_are_added_up_over_chunks() -> None:
    def staged(table: str, rows: int, size: int) -> StagedTable:
        return StagedTable(table, StagedFile(f"{table}/part", "token", size), rows)

    first = replace(
        record(FINE), staged=(staged("policies", 3, 30), staged("policies", 2, 20), staged("files", 1, 9))
    )
    second = replace(record(FAULTY, number=1), staged=(staged("policies", 1, 10),))
    assert manifest(NOTHING, first, second)["tables"] == {
        "files": {"rows": 1, "files": 1, "bytes": 9},
        "policies": {"rows": 6, "files": 3, "bytes": 60},
    }


def test_faults_are_counted_by_category_and_code() -> None:
    first = record(FINE, fault_counts=(("VALUE_INVALID", 2), ("GROUP_UNMAPPED", 1)))
    second = record(FAULTY, number=1, fault_counts=(("VALUE_INVALID", 3), ("FILE_EMPTY", 1)))
    assert manifest(NOTHING, first, second)["faults"] == {
        "file": {"FILE_EMPTY": 1},
        "structure": {"GROUP_UNMAPPED": 1},
        "value": {"VALUE_INVALID": 5},
    }


def test_failed_files_are_named_up_to_a_hundred() -> None:
    many = [ended(str(number), failed="FILE_EMPTY", reason="the file has no bytes") for number in range(150)]
    named = manifest(NOTHING, record(FINE), record(*many, number=1))["failed_files"]
    assert len(named) == 100
    assert named[0] == {"file": "/in/0", "reason": "FILE_EMPTY: the file has no bytes"}


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        ((FINE,), (False, "none", False)),
        ((FINE, BAD), (False, "none", True)),
        ((FINE, GONE), (True, "failed_files_only", False)),
        ((BAD, GONE), (True, "failed_files_only", True)),
    ],
)
def test_the_remedy_says_what_another_run_would_do(
    totals: tuple[FileTotals, ...], expected: tuple[object, ...]
) -> None:
    remedy = manifest(NOTHING, record(*totals))["remediation"]
    found = (remedy["can_retry"], remedy["retry_strategy"], remedy["manual_intervention_required"])
    assert found == expected


def test_every_chunk_is_a_checkpoint_with_its_plan() -> None:
    made = manifest(NOTHING, record(FINE, BAD), record(FAULTY, number=1))
    assert [(each["chunk"], each["files"]) for each in made["checkpoints"]] == [(0, 2), (1, 1)]
    assert made["artifacts"] == [
        f"_al3spark/jobs/{JOB}/plan-000000.json",
        f"_al3spark/jobs/{JOB}/plan-000001.json",
    ]


def test_a_manifest_is_json() -> None:
    made = manifest(Selection((file("fine"),), ()), record(FINE, BAD))
    assert json.loads(json.dumps(made)) == made

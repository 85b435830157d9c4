"""What a batch leaves on record, made of values; without Spark."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from al3spark.al3.totals import FileTotals
from al3spark.archiving import Moved
from al3spark.config import BatchRequest, Destination, Options, Source
from al3spark.manifest import (
    ChunkRecord,
    JobRecord,
    Links,
    choose_skips,
    compose_manifest,
    make_file_rows,
    make_skip_rows,
)
from al3spark.planning import Selection, Skipped
from al3spark.spark.pipeline import StagedTable
from al3spark.spark.splits import InputFile
from al3spark.store.files_table import FILES_SCHEMA
from al3spark.store.staging import StagedFile

JOB = "batch-20260102-abc123"
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
ENDED = BEGAN + timedelta(seconds=10)
NOTHING = Selection((), ())


def file(name: str, size: int = 100, **more: Any) -> InputFile:
    return InputFile(f"/in/{name}", name, size, size, f"v-{name}", **more)


def ended(name: str, **more: Any) -> FileTotals:
    return FileTotals(f"/in/{name}", f"id-{name}", **more)


def file_rows(*totals: FileTotals, attempts: int = 1) -> pa.Table:
    """Rows of files that were parsed."""
    files = [file(each.path.removeprefix("/in/")) for each in totals]
    return make_file_rows(JOB, files, {each.path: each for each in totals}, BEGAN, ENDED, attempts, Links())


def record(*totals: FileTotals, number: int = 0, **more: Any) -> ChunkRecord:
    return ChunkRecord(number, BEGAN, ENDED, (), file_rows(*totals), **more)


def manifest(selection: Selection = NOTHING, *records: ChunkRecord) -> dict[str, Any]:
    request = BatchRequest(Source("/in"), Destination("/out"), Options(ingest_date=date(2026, 1, 2)))
    return compose_manifest(
        JobRecord(JOB, request, "0123456789abcdef", "4.3.0", 2, BEGAN), selection, records, ENDED, Moved()
    )


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


# Rows of files that were parsed


def test_a_file_without_faults_succeeded() -> None:
    totals = replace(
        FINE,
        size=90,
        expanded_size=130,
        record_bytes=100,
        separator_bytes=20,
        unreadable_bytes=10,
        messages=1,
        transactions=2,
        records=9,
    )
    rows = file_rows(totals, attempts=2)
    assert rows.schema == FILES_SCHEMA
    assert rows.to_pylist() == [
        {
            "job_id": JOB,
            "file_path": "/in/fine",
            "file_id": "id-fine",
            "status": "succeeded",
            "reason": None,
            "duplicate_of": None,
            "replaces": None,
            "archived_to": None,
            "size": 100,  # as listed, so that a listing finds it again
            "version": "v-fine",
            "expanded_size": 130,
            "record_bytes": 100,
            "separator_bytes": 20,
            "unreadable_bytes": 10,
            "messages": 1,
            "transactions": 2,
            "records": 9,
            "faults": 0,
            "started_at": BEGAN,
            "finished_at": ENDED,
            "attempts": 2,
        }
    ]


@pytest.mark.parametrize(
    ("totals", "expected"),
    [
        (FAULTY, ("succeeded_with_faults", None, "v-faulty", 3)),
        (BAD, ("failed", "FILE_NOT_AL3: no AL3 record in it", "v-bad", 1)),
        (
            GONE,
            ("failed", "FILE_CHANGED: the file changed", None, 1),
        ),  # no version: the next batch tries again
    ],
)
def test_a_file_with_faults_says_how_it_ended(totals: FileTotals, expected: tuple[object, ...]) -> None:
    (row,) = file_rows(totals).to_pylist()
    assert (row["status"], row["reason"], row["version"], row["faults"]) == expected


def test_a_file_that_was_never_read_has_no_id() -> None:
    assert file_rows(replace(GONE, file_id=""))["file_id"].to_pylist() == [None]


# Rows of files that were not


def skip_rows(selection: Selection, *records: ChunkRecord) -> list[tuple[Any, ...]]:
    rows = make_skip_rows(JOB, choose_skips(selection, records), BEGAN, ENDED, Links())
    assert rows.schema == FILES_SCHEMA
    names = ("file_path", "status", "reason", "duplicate_of", "version")
    return list(zip(*(rows[name].to_pylist() for name in names), strict=True))


def test_a_duplicate_has_a_row_that_names_the_other() -> None:
    copy = Skipped(file("copy", file_id="id-fine"), "same content", duplicate_of="/in/fine")
    assert skip_rows(Selection((), (copy,)), record(FINE)) == [
        ("/in/copy", "skipped", "same content", "/in/fine", "v-copy")
    ]


def test_what_the_ledger_knows_has_no_new_row() -> None:
    known = Skipped(file("old"), "ingested before", known=True)
    assert skip_rows(Selection((), (known,)), record(FINE)) == []


@pytest.mark.parametrize("original", [BAD, GONE])
def test_a_duplicate_of_a_file_that_failed_has_no_row_so_that_it_is_read_next_time(
    original: FileTotals,
) -> None:
    copy = Skipped(file("copy"), "same content", duplicate_of=original.path)
    assert skip_rows(Selection((), (copy,)), record(FINE, original)) == []


def test_an_archive_has_a_row_once_its_members_are_on_record() -> None:
    archive = file("z.zip")
    assert skip_rows(
        Selection((), (), (archive,)), record(ended("z.zip!a"), ended("z.zip!b", failed="FILE_NOT_AL3"))
    ) == [("/in/z.zip", "skipped", "archive: its members are files of their own", None, "v-z.zip")]


def test_an_archive_with_a_member_that_is_worth_another_try_has_no_row() -> None:
    archives = (file("y.zip"), file("z.zip"))
    again = ended("z.zip!b", failed="FILE_UNREADABLE", retryable=True)
    rows = skip_rows(Selection((), (), archives), record(ended("y.zip!a"), ended("z.zip!a"), again))
    assert [path for path, *_ in rows] == ["/in/y.zip"]


# The manifest


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

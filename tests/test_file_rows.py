"""The rows of `files`, made of values; without Spark."""

from dataclasses import replace
from typing import Any

import pytest

from al3spark.al3.totals import FileTotals
from al3spark.file_rows import ChunkRecord, Links, choose_skips, make_skip_rows
from al3spark.planning import Selection, Skipped
from al3spark.store.files_table import FILES_SCHEMA
from tests.endings import BAD, BEGAN, ENDED, FAULTY, FINE, GONE, JOB, ended, file, file_rows, record

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


@pytest.mark.parametrize("retryable", [True, False])
def test_an_archive_that_broke_off_after_its_first_members_has_its_own_row_only(retryable: bool) -> None:
    broken = ended("z.zip", failed="FILE_UNREADABLE", retryable=retryable)
    assert skip_rows(Selection((), (), (file("z.zip"),)), record(ended("z.zip!a"), broken)) == []

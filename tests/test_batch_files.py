"""Which files a batch reads and which it skips, files that change under its eyes, and large ones."""

import gzip
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from al3spark.batch import Progress
from al3spark.spark.reading import WHOLE_BYTES
from tests.al3.samples import zipped
from tests.batches import (
    ChangingPlace,
    al3,
    append,
    faults,
    ingest,
    published_files,
    put,
    read_rows,
    ready,
    run,
    staged_files,
    statuses,
)

pytestmark = [pytest.mark.spark, pytest.mark.newest, pytest.mark.usefixtures("spark")]


# What is read and what is skipped


def test_of_equal_files_one_is_read_and_the_other_names_it(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(1), "c.al3": al3(2)})
    manifest = ingest(source, destination)
    assert [manifest["summary"][name] for name in ("total", "succeeded", "skipped")] == [3, 2, 1]
    assert statuses(destination, source) == {"a.al3": "succeeded", "b.al3": "skipped", "c.al3": "succeeded"}
    skipped = [
        row[1:]
        for row in read_rows(destination, "files", "status", "reason", "duplicate_of")
        if row[0] == "skipped"
    ]
    assert skipped == [("same content", f"{source}/a.al3")]
    assert sorted(read_rows(destination, "policies", "policy_number")) == [("P0000001",), ("P0000002",)]


def test_a_copy_of_what_an_earlier_batch_read_is_skipped(source: Path, destination: Path) -> None:
    ingest(put(source, {"a.al3": al3(1)}), destination)
    manifest = ingest(put(source, {"b.al3": al3(1)}), destination)
    assert [manifest["summary"][name] for name in ("succeeded", "skipped")] == [0, 2]
    assert statuses(destination, source) == {"a.al3": "succeeded", "b.al3": "skipped"}
    assert len(read_rows(destination, "policies", "policy_number")) == 1


@pytest.mark.parametrize("first", ["a.al3", "a.al3.gz"])
def test_a_file_and_its_compressed_copy_are_one_content(source: Path, destination: Path, first: str) -> None:
    files = {"a.al3": al3(1), "a.al3.gz": gzip.compress(al3(1))}
    ingest(put(source, {first: files.pop(first)}), destination)
    second = ingest(put(source, files), destination)
    assert [second["summary"][name] for name in ("succeeded", "skipped")] == [0, 2]
    assert statuses(destination, source, second["job_id"]) == dict.fromkeys(files, "skipped")
    assert ingest(source, destination)["checkpoints"] == []


def test_a_compressed_copy_in_the_same_batch_is_skipped(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1), "a.al3.gz": gzip.compress(al3(1))})
    assert ingest(source, destination)["summary"]["skipped"] == 1
    assert statuses(destination, source) == {"a.al3": "succeeded", "a.al3.gz": "skipped"}
    assert len(read_rows(destination, "policies", "policy_number")) == 1


def test_a_file_that_was_touched_but_is_equal_is_skipped(source: Path, destination: Path) -> None:
    ingest(put(source, {"a.al3": al3(1)}), destination)
    os.utime(source / "a.al3", (1, 1))
    second = ingest(source, destination)
    assert statuses(destination, source, second["job_id"]) == {"a.al3": "skipped"}
    assert len(read_rows(destination, "policies", "policy_number")) == 1


def test_a_second_run_reads_and_writes_nothing(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1), "same.al3": al3(1), "z.zip": zipped({"b.al3": al3(2)}), "text.txt": b"?"})
    ingest(source, destination)
    before = published_files(destination)
    second = ingest(source, destination)
    assert [second["summary"][name] for name in ("processed", "skipped")] == [0, 4]
    assert (second["status"], second["checkpoints"]) == ("completed", [])
    assert published_files(destination) == before


def test_a_file_that_failed_is_read_again_only_when_asked_for(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1), "text.txt": b"nothing of AL3"})
    first, second = ingest(source, destination), ingest(source, destination)
    third = ingest(source, destination, reprocess="failed")
    assert [each["summary"]["failed"] for each in (first, second, third)] == [1, 0, 1]
    assert [each["status"] for each in (first, second, third)] == [
        "partial_success",
        "completed",
        "partial_success",
    ]


def test_the_last_word_on_a_file_counts_whatever_the_partition(source: Path, destination: Path) -> None:
    put(source, {"text.txt": b"nothing of AL3"})
    ingest(source, destination, ingest_date=date(2026, 1, 2))
    info = (source / "text.txt").stat()
    (source / "text.txt").write_bytes(al3(1)[:14])
    os.utime(source / "text.txt", ns=(info.st_mtime_ns, info.st_mtime_ns))
    again = ingest(source, destination, ingest_date=date(2026, 1, 1), reprocess="failed")
    assert again["summary"]["succeeded"] == 1
    assert ingest(source, destination, reprocess="failed")["checkpoints"] == []


def test_an_archive_with_a_damaged_member_gives_the_others(source: Path, destination: Path) -> None:
    data = bytearray(zipped({"a.al3": al3(1), "b.al3": al3(2)}))
    data[data.index(b"P0000001")] ^= 1
    put(source, {"z.zip": bytes(data)})
    ingest(source, destination)
    ended = {"z.zip": "skipped", "z.zip!a.al3": "failed", "z.zip!b.al3": "succeeded"}
    assert statuses(destination, source) == ended
    assert faults(destination, source) == [("z.zip!a.al3", "FILE_UNREADABLE")]
    assert read_rows(destination, "policies", "policy_number") == [("P0000002",)]
    again = ingest(source, destination, reprocess="failed")
    assert statuses(destination, source, again["job_id"]) == {"z.zip": "skipped", "z.zip!a.al3": "failed"}


def test_hidden_files_are_no_input_and_a_pattern_chooses(source: Path, destination: Path) -> None:
    put(
        source,
        {
            "a.al3": al3(1),
            "b.dat": al3(2),
            "deep/er/c.al3": al3(3),
            ".d.al3": al3(4),
            "_e.al3": al3(5),
            "_tmp/f.al3": al3(6),
        },
    )
    ingest(source, destination, pattern="*.al3")
    assert statuses(destination, source) == {"a.al3": "succeeded", "deep/er/c.al3": "succeeded"}


def test_a_source_can_be_one_file(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2)})
    ingest(source / "a.al3", destination)
    assert statuses(destination, source) == {"a.al3": "succeeded"}


def test_an_empty_folder_is_a_batch_without_files(source: Path, destination: Path) -> None:
    source.mkdir()
    manifest = ingest(source, destination)
    assert (manifest["status"], manifest["summary"]["total"]) == ("completed", 0)
    assert published_files(destination) == []


# Files that change while they are read


def at_step(step: str, action: Callable[[], None]) -> Callable[[Progress], None]:
    """A report that does something when a batch gets to a step."""
    return lambda progress: action() if progress.step == step else None


def test_a_file_that_changed_after_it_was_listed_fails_and_the_next_run_reads_it(
    source: Path, destination: Path
) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2, 3)})
    run(ready(source, destination), at_step("identifying", lambda: append(source / "b.al3")))
    assert statuses(destination, source) == {"a.al3": "succeeded", "b.al3": "failed"}
    columns = ("file_path", "code", "retryable")
    assert read_rows(destination, "errors", *columns) == [(f"{source}/b.al3", "FILE_CHANGED", True)]
    assert dict(read_rows(destination, "files", "status", "version"))["failed"] is None
    second = ingest(source, destination)
    assert statuses(destination, source, second["job_id"]) == {"b.al3": "succeeded"}
    assert len(read_rows(destination, "policies", "policy_number")) == 3


def test_a_copy_of_a_file_that_changed_while_it_was_read_is_read_by_the_next_run(
    source: Path, destination: Path, tmp_path: Path
) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(1)})
    (notes := tmp_path / "notes").mkdir()
    prepared = ready(source, destination)
    run(replace(prepared, source=ChangingPlace(prepared.source, "a.al3", 2, notes)))
    assert statuses(destination, source) == {"a.al3": "failed"}
    (source / "a.al3").unlink()
    ingest(source, destination)
    assert read_rows(destination, "policies", "policy_number") == [("P0000001",)]


def test_an_archive_that_changed_while_it_was_read_is_read_by_the_next_run(
    source: Path, destination: Path, tmp_path: Path
) -> None:
    data = zipped({"a.al3": al3(1), "b.al3": al3(2)})
    put(source, {"z.zip": data, "p.al3": al3(3)})
    (notes := tmp_path / "notes").mkdir()
    prepared = ready(source, destination)
    run(replace(prepared, source=ChangingPlace(prepared.source, "z.zip", 2, notes)))
    assert faults(destination, source) == [("z.zip!a.al3", "FILE_CHANGED"), ("z.zip!b.al3", "FILE_CHANGED")]
    assert read_rows(destination, "policies", "policy_number") == [("P0000003",)]
    second = ingest(source, destination)
    ended = {"z.zip": "skipped", "z.zip!a.al3": "succeeded", "z.zip!b.al3": "succeeded"}
    assert statuses(destination, source, second["job_id"]) == ended


# Files that are too large to be read whole

SOME = 20  # policies in a part of a large file


@pytest.fixture(scope="module")
def large() -> bytes:
    """Messages whose last record lies beyond what is read whole."""
    part = al3(*range(SOME))
    return part * (WHOLE_BYTES // len(part) + 1)


def test_a_large_file_is_read_as_a_stream_and_its_copy_is_not(
    source: Path, destination: Path, large: bytes
) -> None:
    put(source, {"a.al3": large, "b.al3": al3(1), "c.al3": large})
    manifest = ingest(source, destination)
    assert statuses(destination, source) == {"a.al3": "succeeded", "b.al3": "succeeded", "c.al3": "skipped"}
    messages = len(large) // len(al3(*range(SOME)))
    assert manifest["tables"]["policies"]["rows"] == messages * SOME + 1
    columns = ("file_path", "size", "record_bytes", "messages", "transactions", "attempts")
    assert (f"{source}/a.al3", len(large), len(large), messages, messages * SOME, 1) in read_rows(
        destination, "files", *columns
    )


def test_a_large_file_that_changes_before_it_is_identified_fails_and_is_read_by_the_next_run(
    source: Path, destination: Path
) -> None:
    put(source, {"a.al3": bytes(WHOLE_BYTES + 1), "b.al3": al3(1)})
    run(ready(source, destination), at_step("identifying", lambda: append(source / "a.al3")))
    columns = ("file_path", "code", "retryable")
    assert read_rows(destination, "errors", *columns) == [(f"{source}/a.al3", "FILE_CHANGED", True)]
    assert dict(read_rows(destination, "files", "status", "version"))["failed"] is None
    put(source, {"a.al3": al3(2)})
    second = ingest(source, destination)
    assert statuses(destination, source, second["job_id"]) == {"a.al3": "succeeded"}


def test_a_large_file_that_changes_while_it_is_parsed_leaves_no_row_and_the_rest_is_published(
    source: Path, destination: Path, tmp_path: Path, large: bytes
) -> None:
    put(source, {"a.al3": large, "b.al3": al3(1)})
    (notes := tmp_path / "notes").mkdir()
    prepared = ready(source, destination)
    last = (len(large) - 1) // (4 << 20) * (4 << 20)
    changing = ChangingPlace(prepared.source, "a.al3", 2, notes, offset=last)
    manifest = run(replace(prepared, source=changing))
    assert statuses(destination, source) == {"a.al3": "failed", "b.al3": "succeeded"}
    assert set(read_rows(destination, "files", "attempts")) == {(2,)}
    assert read_rows(destination, "policies", "policy_number") == [("P0000001",)]
    columns = ("file_path", "code", "retryable")
    assert read_rows(destination, "errors", *columns) == [(f"{source}/a.al3", "FILE_CHANGED", True)]
    assert dict(read_rows(destination, "files", "status", "version"))["failed"] is None
    assert manifest["remediation"]["can_retry"] is True
    assert staged_files(destination) == []

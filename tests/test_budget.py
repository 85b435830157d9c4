"""How many files may fail: the counting, and what a batch that stops leaves behind."""

import json
from pathlib import Path

import pytest

from al3spark.budget import find_breach
from al3spark.config import Options
from al3spark.store.documents import list_jobs, read_manifest, read_status
from al3spark.store.places import open_place
from tests.batches import al3, al3spark, ingest, published_files, put, staged_files, statuses


@pytest.mark.parametrize(
    ("options", "failed", "parsed", "expected"),
    [
        (Options(), 1000, 1000, ""),
        (Options(on_error="fail"), 0, 1000, ""),
        (Options(on_error="fail"), 1, 1000, "1 file failed, and on_error is fail"),
        (Options(on_error="fail"), 2, 2, "2 files failed, and on_error is fail"),
        (Options(max_failed_files=10), 10, 10, ""),
        (Options(max_failed_files=10), 11, 1000, "11 files failed, and max_failed_files is 10"),
        (Options(max_failed_files=0), 0, 5, ""),
        (Options(max_failed_files=0), 1, 5, "1 file failed, and max_failed_files is 0"),
        (Options(max_failed_ratio=0.1), 19, 19, ""),
        (Options(max_failed_ratio=0.1), 2, 20, ""),
        (Options(max_failed_ratio=0.1), 3, 20, "3 of 20 files failed, and max_failed_ratio is 0.1"),
        (Options(max_failed_ratio=0.0), 1, 20, "1 of 20 files failed, and max_failed_ratio is 0"),
        (Options(max_failed_ratio=1.0), 20, 20, ""),
    ],
)
def test_a_batch_stops_when_more_failed_than_may(
    options: Options, failed: int, parsed: int, expected: str
) -> None:
    assert find_breach(options, failed, parsed) == expected


BAD = b"Dear all,\nplease find the download attached.\n"
MIB = 1 << 20


def big(number: int) -> bytes:
    """A good file that fills a chunk of 1 MiB."""
    return al3(number) + b"\r\n" * (MIB // 2)


@pytest.fixture
def destination(tmp_path: Path, spark: object) -> Path:
    return tmp_path / "out"


@pytest.mark.spark
def test_on_error_fail_publishes_nothing_of_the_chunk_with_the_failed_file(
    tmp_path: Path, destination: Path
) -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1), "b.txt": BAD, "c.al3": al3(2)})
    manifest = ingest(source, destination, on_error="fail")
    assert manifest["status"] == "failed"
    assert manifest["stopped"] == {"chunk": 0, "reason": "1 file failed, and on_error is fail"}
    assert manifest["failed_files"] == [
        {"file": f"{source}/b.txt", "reason": "FILE_NOT_AL3: no AL3 record in it"}
    ]
    summary = manifest["summary"]
    assert {name: summary[name] for name in ("total", "succeeded", "failed", "skipped", "remaining")} == {
        "total": 3,
        "succeeded": 0,
        "failed": 1,
        "skipped": 0,
        "remaining": 2,
    }
    assert published_files(destination) == staged_files(destination) == []


@pytest.mark.spark
def test_what_was_published_before_the_stop_stays_and_the_manifest_says_so(
    tmp_path: Path, destination: Path
) -> None:
    files = {
        "a.al3": big(1),
        "b.txt": BAD,
        "c.al3": big(2),
        "d.txt": BAD + b".",
        "e.al3": big(3),
        "f.al3": big(4),
    }
    source = put(tmp_path / "in", files)
    manifest = ingest(source, destination, max_failed_files=1, chunk_mib=1, split_mib=1)
    assert manifest["status"] == "failed"
    assert manifest["stopped"]["reason"] == "2 files failed, and max_failed_files is 1"
    published = statuses(destination, source)
    assert published["a.al3"] == "succeeded"
    assert "e.al3" not in published
    assert len(manifest["checkpoints"]) == manifest["stopped"]["chunk"] >= 1
    place = open_place(str(destination))
    [job] = list_jobs(place)
    status = read_status(place, job)
    assert read_manifest(place, job) == read_manifest(place) == manifest
    assert status is not None
    assert status["status"] == "failed"


@pytest.mark.spark
def test_a_stopped_batch_goes_on_when_more_may_fail(tmp_path: Path, destination: Path) -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1), "b.txt": BAD, "c.al3": al3(2)})
    ingest(source, destination, max_failed_files=0)
    manifest = ingest(source, destination, max_failed_files=1)
    assert (manifest["status"], manifest["stopped"]) == ("partial_success", None)
    assert statuses(destination, source) == {"a.al3": "succeeded", "b.txt": "failed", "c.al3": "succeeded"}


@pytest.mark.spark
def test_a_failure_of_an_earlier_batch_does_not_count(tmp_path: Path, destination: Path) -> None:
    source = put(tmp_path / "in", {"a.txt": BAD})
    ingest(source, destination)
    put(source, {"b.al3": al3(1)})
    assert ingest(source, destination, on_error="fail")["status"] == "completed"


@pytest.mark.newest
@pytest.mark.spark
def test_the_command_ends_with_1_and_says_why_it_stopped(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1), "b.txt": BAD})
    document = {
        "source": {"type": "local", "path": str(source)},
        "destination": {"uri": f"{tmp_path}/out"},
        "options": {"on_error": "fail", "min_age_s": 3600, "master": "local[1]"},
    }
    request = tmp_path / "batch.json"
    request.write_text(json.dumps(document))
    ended = al3spark("ingest", "--request", request, "--min-age-s", 0)
    assert ended.returncode == 1
    assert ended.stdout.splitlines()[1] == (
        "stopped: 1 file failed, and on_error is fail; nothing of chunk 0 is published"
    )

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from al3spark.errors import StoreError
from al3spark.store.documents import (
    list_jobs,
    new_job_id,
    read_document,
    read_manifest,
    read_status,
    write_manifest,
    write_status,
)
from al3spark.store.places import Place, open_place


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path))


def test_job_id_holds_day_and_token() -> None:
    assert new_job_id(datetime(2026, 1, 2, 23, 59, tzinfo=UTC), "abc123") == "batch-20260102-abc123"


def test_status_is_replaced(place: Place) -> None:
    write_status(place, "job-a", {"status": "processing", "file": "café.al3"})
    write_status(place, "job-a", {"status": "completed"})
    assert read_status(place, "job-a") == {"status": "completed"}


def test_nothing_was_written_yet(place: Place) -> None:
    assert (read_status(place, "job-a"), read_manifest(place), list_jobs(place)) == (None, None, ())


def test_last_manifest_is_at_the_root_too(place: Place, tmp_path: Path) -> None:
    write_manifest(place, "job-a", {"job_id": "job-a"})
    write_manifest(place, "job-b", {"job_id": "job-b"})
    assert read_manifest(place, "job-a") == {"job_id": "job-a"}
    assert read_manifest(place) == {"job_id": "job-b"}
    assert (tmp_path / "_manifest.json").read_text() == '{\n  "job_id": "job-b"\n}\n'


def test_jobs_are_listed_by_name(place: Place) -> None:
    for job_id in ("batch-20260103-a", "batch-20260102-b"):
        write_status(place, job_id, {})
        write_manifest(place, job_id, {})
    assert list_jobs(place) == ("batch-20260102-b", "batch-20260103-a")


@pytest.mark.parametrize(
    ("data", "reason"), [(b"{", "not JSON"), (b"[1]", "not a JSON object"), (b"\xff", "not JSON")]
)
def test_damaged_document_is_named(place: Place, tmp_path: Path, data: bytes, reason: str) -> None:
    place.write_document("x.json", data)
    with pytest.raises(StoreError, match=f"^{re.escape(str(tmp_path))}/x.json: {reason}"):
        read_document(place, "x.json")


def test_document_whose_writer_died_at_once_is_empty(place: Place) -> None:
    place.write_document("x.json", b"")
    assert read_document(place, "x.json") == {}

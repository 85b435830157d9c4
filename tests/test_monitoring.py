import json
import threading
import time
from importlib.resources import files
from pathlib import Path

import jsonschema
import pytest

from al3spark.errors import CancelledError
from al3spark.monitoring import Counts, StatusBoard, Trouble, cancel_name, request_cancel
from al3spark.store.documents import read_status
from al3spark.store.places import Place, open_place

JOB = "batch-20260102-abc123"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path))


def read_valid(place: Place) -> dict:
    status = read_status(place, JOB)
    assert status is not None
    jsonschema.validate(status, json.loads(files("al3spark").joinpath("status.schema.json").read_text()))
    return status


def test_status_fits_its_schema_at_every_step(place: Place) -> None:
    with StatusBoard(place, JOB, stop=lambda: None) as board:
        assert read_valid(place)["status"] == "queued"
        board.begin(Counts(total_files=4, total_bytes=1000, chunk_bytes=600, chunk=1, chunks=2))
        assert read_valid(place)["status"] == "processing"
        board.parsed(0.5)
        board.write()
        assert read_valid(place)["progress"]["percent"] == 30.0
        trouble = Trouble("/in/a.al3", "the file has no bytes", "FILE_EMPTY")
        board.published(
            Counts(4, 2, 1, 0, total_bytes=1000, published_bytes=600, chunk=2, chunks=2), [trouble]
        )
        status = read_valid(place)
        assert status["progress"]["remaining"] == 1
        assert status["last_checkpoint"]["chunk"] == 2
        assert status["errors"] == [
            {"file": "/in/a.al3", "error": "the file has no bytes", "code": "FILE_EMPTY", "offset": None}
        ]
        board.end("partial_success")
    status = read_valid(place)
    assert status["status"] == "partial_success"
    assert status["completed_at"] is not None
    assert status["estimated_completion"] is None


def test_a_job_that_breaks_off_says_why_and_one_that_ends_well_does_not(place: Place) -> None:
    board = StatusBoard(place, JOB, stop=lambda: None)
    board.begin(Counts(total_files=1, total_bytes=10))
    board.end("failed", "the disk is full")
    assert read_valid(place)["reason"] == "the disk is full"
    board.cancel("cancelled on request")
    board.end("cancelled", "the Spark job was cancelled")
    assert read_valid(place)["reason"] == "cancelled on request"
    board.end("completed")
    assert read_valid(place)["reason"] is None


def test_bytes_over_time_fit_the_schema_however_long_a_job_runs(place: Place) -> None:
    board = StatusBoard(place, JOB, stop=lambda: None)
    assert board.document()["bytes_over_time"] == []
    now = iter(range(10_000))
    board.pace.clock = lambda: float(next(now))
    board.begin(Counts(total_files=1, total_bytes=1000, chunk_bytes=1000))
    for step in range(1000):
        board.parsed(step / 1000)
        board.document()
    board.parsed(1.0)
    board.write()
    points = read_valid(place)["bytes_over_time"]
    assert (points[0], points[-1][1]) == ([0.0, 0], 1000)
    assert len(points) > 100


def test_status_is_fresh_within_two_seconds(place: Place) -> None:
    with StatusBoard(place, JOB, stop=lambda: None) as board:
        board.begin(Counts(total_files=1, total_bytes=10))
        first = read_valid(place)["beat"]
        time.sleep(2)
        assert read_valid(place)["beat"] > first
        board.end("completed")


def test_cancel_document_stops_the_job_until_it_ends(place: Place) -> None:
    stopped = []
    asked = threading.Event()

    def stop() -> None:
        stopped.append(True)
        asked.set()

    with StatusBoard(place, JOB, stop=stop) as board:
        board.check()
        request_cancel(place, JOB)
        assert asked.wait(5)
        with pytest.raises(CancelledError, match="cancelled on request"):
            board.check()
        time.sleep(2.5)
        assert len(stopped) >= 2
    assert place.read(cancel_name(JOB)) is not None


def test_job_that_was_taken_over_is_stopped(place: Place) -> None:
    asked = threading.Event()
    with StatusBoard(place, JOB, stop=asked.set, lost=lambda: True) as board:
        assert asked.wait(5)
        with pytest.raises(CancelledError, match="taken over"):
            board.check()


def test_rate_and_end_are_estimated_from_the_last_minute(place: Place) -> None:
    board = StatusBoard(place, JOB, stop=lambda: None)
    board.begin(Counts(total_files=2, total_bytes=10_000_000, chunk_bytes=10_000_000))
    time.sleep(0.3)
    board.parsed(0.5)
    status = board.document()
    assert 1 < status["mb_per_second"] < 17
    assert status["estimated_completion"] > status["heartbeat_at"]

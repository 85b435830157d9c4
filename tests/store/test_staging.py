import gc
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.errors import StoreError
from al3spark.store.places import Place, open_place
from al3spark.store.staging import StagedFile, StagedWriter

Fork = Callable[..., Any]  # see conftest.py

ROWS = pa.table({"n": [1, 2, 3]})


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(f"{tmp_path}/out")


def stage(place: Place, name: str = "t/part-0", data: bytes = b"data", job_id: str = "job-a") -> StagedFile:
    with place.stage(name, job_id, 1, 2) as writer:
        writer.write(data)
        return writer.finish()


def test_staged_file_is_published_whole(place: Place) -> None:
    staged = stage(place)
    assert (staged.final_name, staged.size) == ("t/part-0", 4)
    assert (place.is_staged(staged), place.is_published(staged), list(place.list_files())) == (
        True,
        False,
        [],
    )
    assert place.publish(staged) is True
    assert (place.is_staged(staged), place.is_published(staged)) == (False, True)
    assert place.read("t/part-0") == b"data"


def test_publishing_again_changes_nothing(place: Place) -> None:
    staged = stage(place)
    assert [place.publish(staged), place.publish(staged)] == [True, True]


def test_lost_file_is_not_published(place: Place) -> None:
    staged = stage(place)
    place.discard(staged)
    place.discard(staged)
    assert place.publish(staged) is False
    assert (place.is_staged(staged), place.is_published(staged)) == (False, False)


def test_attempts_do_not_meet(place: Place) -> None:
    first, second = stage(place, data=b"first"), stage(place, data=b"second")
    assert first.token != second.token
    place.publish(second)
    assert place.read("t/part-0") == b"second"
    assert place.is_staged(first)


def test_staged_files_of_a_job_are_discarded(place: Place) -> None:
    mine, other = stage(place), stage(place, job_id="job-b")
    stage(place)
    assert place.staged_jobs() == ("job-a", "job-b")
    assert (place.discard_staged("job-a"), place.discard_staged("job-a")) == (2, 0)
    assert (place.is_staged(mine), place.is_staged(other)) == (False, True)
    assert place.staged_jobs() == ("job-b",)


def test_parquet_is_written_into_a_staged_file(place: Place) -> None:
    with place.stage("t/part.parquet", "job-a", 0, 0) as sink:
        with pq.ParquetWriter(sink, ROWS.schema) as writer:
            writer.write_table(ROWS)
        staged = sink.finish()
    place.publish(staged)
    with place.open_stream("t/part.parquet") as stream:
        assert pq.read_table(stream).equals(ROWS)
    assert staged.size == next(place.list_files()).size


def test_finish_works_after_close(place: Place) -> None:
    writer = place.stage("t/x", "job-a", 0, 0)
    writer.write(b"abc")
    writer.close()
    assert writer.closed
    assert writer.finish().size == 3


def test_writer_that_fails_midway_leaves_nothing(place: Place) -> None:
    def fail(writer: StagedWriter) -> None:
        writer.write(b"abc")
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), place.stage("t/x", "job-a", 0, 0) as writer:
        fail(writer)
    assert list(place.list_names("")) == []


def test_writer_that_is_never_finished_leaves_nothing(place: Place) -> None:
    with place.stage("t/x", "job-a", 0, 0) as writer:
        writer.write(b"abc")
        writer.close()
    assert list(place.list_names("")) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_parquet_writer_that_is_dropped_publishes_nothing(place: Place) -> None:
    sink = place.stage("t/part.parquet", "job-a", 0, 0)
    writer = pq.ParquetWriter(sink, ROWS.schema)
    writer.write_table(ROWS)
    del writer, sink
    gc.collect()
    assert list(place.list_files()) == []
    assert place.discard_staged("job-a") == 1


def test_abandoned_file_is_gone_and_a_second_time_too(place: Place) -> None:
    writer = place.stage("t/x", "job-a", 0, 0)
    writer.abandon()
    writer.abandon()
    assert list(place.list_names("")) == []


# In a process of its own: the limit would hold for what the tests print, too.
FILL_THE_DISK = """
import resource, sys
import pyarrow as pa, pyarrow.parquet as pq
from al3spark.errors import StoreError
from al3spark.store.places import open_place

resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
rows = pa.table({"n": [1, 2, 3]})
try:
    with open_place(sys.argv[1]).stage("t/x", "job-a", 0, 0) as sink:
        with pq.ParquetWriter(sink, rows.schema) as writer:
            for _ in range(10_000):
                writer.write_table(rows)
        sink.finish()
except StoreError as error:
    sys.exit(str(error))
"""


def test_full_disk_is_a_store_error_through_the_parquet_writer_too(tmp_path: Path, place: Place) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FILL_THE_DISK, tmp_path / "out"], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith(place.uri("_al3spark/staging/job-a/000000-0-"))
    assert ended.stderr.endswith("-x: File too large\n")
    assert list(place.list_names("")) == []


def test_file_is_staged_although_a_recovery_removes_its_folder(
    place: Place, tmp_path: Path, fork: Fork
) -> None:
    folder = tmp_path / "out/_al3spark/staging/job-a"
    folder.mkdir(parents=True)
    writer = fork(lambda: stage(place).size, stop_at=0)  # stopped before the file is opened
    assert writer.wait_until_stopped()
    folder.rmdir()
    writer.wake()
    assert writer.wait() == "4"


@pytest.mark.parametrize("name", ["../x", "/x", ""])
def test_staged_file_stays_below_the_root(place: Place, name: str) -> None:
    with pytest.raises(StoreError, match="not a name below it"):
        place.stage(name, "job-a", 0, 0)

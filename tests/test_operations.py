import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.cli import main
from al3spark.display import status_lines
from al3spark.errors import RequestError
from al3spark.monitoring import Counts, StatusBoard
from al3spark.operations import cancel_job, clean_destination, find_status, list_status, read_errors
from al3spark.store.documents import read_status
from al3spark.store.places import Place, open_place
from tests.batches import ROOT, al3, ingest, put, put_fatal_hook

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return open_place(str(tmp_path))


def leave_status(place: Place, job_id: str, status: str) -> None:
    board = StatusBoard(place, job_id, stop=lambda: None)
    board.begin(Counts(total_files=3, failed=1, total_bytes=100, chunks=1))
    if status == "processing":
        board.write()
    else:
        board.end(status)


def test_jobs_are_listed_in_order_with_their_status(place: Place) -> None:
    leave_status(place, "batch-20260102-bbbbbb", "completed")
    leave_status(place, "batch-20260102-aaaaaa", "failed")
    found = [(each["job_id"], each["status"], each["stalled"]) for each in list_status(place)]
    assert found == [
        ("batch-20260102-bbbbbb", "completed", False),
        ("batch-20260102-aaaaaa", "failed", False),
    ]
    assert find_status(place, None)["job_id"] == "batch-20260102-aaaaaa"


def test_job_without_a_sign_of_life_is_stalled(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_status(place, "batch-20260102-abc123", "processing")
    assert not find_status(place, None)["stalled"]
    monkeypatch.setattr("al3spark.operations.STALE_AFTER_S", -1.0)
    assert find_status(place, None)["stalled"]


def test_only_a_running_job_can_be_cancelled(place: Place) -> None:
    leave_status(place, "batch-20260102-abc123", "completed")
    with pytest.raises(RequestError, match="batch-20260102-abc123 is not running: completed"):
        cancel_job(place, "batch-20260102-abc123")
    with pytest.raises(RequestError, match="no job batch-20260102-ffffff"):
        cancel_job(place, "batch-20260102-ffffff")


def test_clean_removes_documents_of_old_jobs_only(place: Place) -> None:
    leave_status(place, "batch-20260102-abc123", "completed")
    assert clean_destination(place, 1) == {"removed": [], "orphans": []}
    assert clean_destination(place, 0) == {"removed": ["batch-20260102-abc123"], "orphans": []}
    assert read_status(place, "batch-20260102-abc123") is None


def test_a_status_says_why_a_job_broke_off(place: Place) -> None:
    board = StatusBoard(place, "batch-20260102-abc123", stop=lambda: None)
    board.begin(Counts(total_bytes=100))
    board.end("failed", "the disk is full")
    assert status_lines(find_status(place, None))[0] == "batch-20260102-abc123: failed: the disk is full"


def test_a_list_of_jobs_leaves_out_what_is_long(place: Place) -> None:
    leave_status(place, "batch-20260102-abc123", "completed")
    assert "bytes_over_time" not in list_status(place)[0]
    assert find_status(place, None)["bytes_over_time"][0] == [0.0, 0]


@pytest.mark.parametrize("command", ["status", "errors", "report"])
def test_destination_without_jobs_is_one_line(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([command, str(tmp_path)])
    assert ended.value.code == 2
    assert capsys.readouterr().err == f"al3spark: {tmp_path}: no job has run here\n"


@pytest.mark.newest
@pytest.mark.spark
def test_errors_are_paged_and_chosen_by_code(tmp_path: Path, spark: "SparkSession") -> None:
    bad = {f"{number:02}.txt": b"no AL3 at all" + b"!" * number for number in range(23)}
    manifest = ingest(put(tmp_path / "in", {**bad, "e.al3": b""}), tmp_path / "out")
    place = open_place(str(tmp_path / "out"))
    first, second = (read_errors(place, None, None, page) for page in (1, 2))
    assert [first["rows"], first["pages"], len(first["errors"]), len(second["errors"])] == [24, 2, 20, 4]
    shown = [each["file_path"] for page in (first, second) for each in page["errors"]]
    assert len(set(shown)) == 24
    only = read_errors(place, manifest["job_id"], "FILE_EMPTY", 1)
    assert [each["code"] for each in only["errors"]] == ["FILE_EMPTY"]


@pytest.mark.newest
@pytest.mark.spark
def test_compaction_keeps_rows_and_leaves_one_file_a_partition(
    tmp_path: Path, spark: "SparkSession", capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(3):
        put(tmp_path / "in", {f"{number}.al3": al3(number)})
        ingest(tmp_path / "in", tmp_path / "out")
    before = spark.read.parquet(str(tmp_path / "out" / "policies")).count()
    assert len(list((tmp_path / "out" / "policies").rglob("*.parquet"))) == 3
    with pytest.raises(SystemExit):
        main(["compact", str(tmp_path / "out"), "--json"])
    merged = {each["table"] for each in json.loads(capsys.readouterr().out)["merged"]}
    assert {"policies", "files", "transactions"} <= merged
    assert len(list((tmp_path / "out" / "policies").rglob("*.parquet"))) == 1
    assert spark.read.parquet(str(tmp_path / "out" / "policies")).count() == before
    assert ingest(tmp_path / "in", tmp_path / "out")["summary"]["skipped"] == 3


def start(source: Path, destination: Path, *options: str, **environment: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "al3spark.cli", "ingest", source, destination, "--min-age-s", "0"]
    return subprocess.Popen(
        [*map(str, command), *options],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.newest
@pytest.mark.spark
def test_cancel_ends_a_running_job_and_publishes_nothing_more(tmp_path: Path) -> None:
    source = put(tmp_path / "in", {f"{number}.al3": al3(*range(number, 4000)) for number in range(4)})
    job = start(source, tmp_path / "out", "--window-kib", "4", "--master", "local[1]")
    place = open_place(str(tmp_path / "out"))
    while not any(each["status"] == "processing" for each in list_status(place)):
        assert job.poll() is None
        time.sleep(0.2)
    (running,) = list_status(place)
    cancel_job(place, running["job_id"])
    out, err = job.communicate(timeout=30)
    assert (out, job.returncode) == ("", 130)
    assert err.splitlines()[-1] == "al3spark: cancelled on request"
    assert find_status(place, None)["status"] == "cancelled"
    assert list((tmp_path / "out").glob("policies/**/*.parquet")) == []


@pytest.mark.newest
@pytest.mark.spark
def test_file_that_kills_its_worker_costs_only_itself(tmp_path: Path) -> None:
    good = {f"{number:03}.al3": al3(number) for number in range(500)}
    source = put(tmp_path / "in", {**good, "exits.al3": al3(999)})
    hook = f"{put_fatal_hook(tmp_path / 'hook')}{os.pathsep}{ROOT}"
    manifest = json.loads(
        start(source, tmp_path / "out", "--json", PYTHONPATH=hook).communicate(timeout=280)[0]
    )
    assert manifest["status"] == "partial_success"
    assert [manifest["summary"][name] for name in ("succeeded", "failed")] == [500, 1]
    (failed,) = manifest["failed_files"]
    assert failed["file"].endswith("exits.al3")
    assert failed["reason"] == "FILE_CRASHED_WORKER: its parser died: exit code 77"


@pytest.mark.spark
@pytest.mark.parametrize("dialect", ["spark", "duckdb"])
def test_views_of_a_destination_are_sql_that_runs(
    dialect: str, tmp_path: Path, spark: "SparkSession", capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "it's here"
    ingest(put(tmp_path / "in", {"a.al3": al3(1, 2), "b.al3": b"no AL3 at all"}), folder)
    put(tmp_path / "in", {"a.al3": al3(3)})
    ingest(tmp_path / "in", folder)
    with pytest.raises(SystemExit):
        main(["views", str(folder), "--dialect", dialect])
    statements = [each for each in capsys.readouterr().out.split(";\n") if each]
    columns = "policy_number, ingest_date IS NOT NULL"
    query = f"SELECT {columns} FROM policies JOIN current_files USING (job_id, file_id)"
    if dialect == "spark":
        for each in statements:
            spark.sql(each)
        found = [tuple(row) for row in spark.sql(query).collect()]
    else:
        with duckdb.connect() as session:
            for each in statements:
                session.execute(each)
            found = session.execute(query).fetchall()
    assert found == [("P0000003", True)]
    made = [each.partition(" VIEW ")[2].split()[0] for each in statements]
    assert {path.name for path in folder.glob("[a-z]*")} < set(made)
    assert made[-5:] == [
        "current_files",
        "policy_transactions",
        "coverages",
        "vehicles_drivers",
        "premium_by_policy",
    ]


@pytest.mark.newest
@pytest.mark.spark
def test_clean_removes_what_nobody_committed(
    tmp_path: Path, spark: "SparkSession", capsys: pytest.CaptureFixture[str]
) -> None:
    ingest(put(tmp_path / "in", {"a.al3": al3(1)}), tmp_path / "out")
    (file,) = tmp_path.glob("out/policies/*/*.parquet")
    rows = pq.ParquetFile(file).read()
    at = rows.column_names.index("job_id")
    alien = rows.set_column(at, rows.field(at), pa.array(["batch-20260102-ffffff"] * rows.num_rows))
    orphan = file.with_name("part-batch-20260102-ffffff-000000-00000.parquet")
    pq.write_table(alien, orphan)
    with pytest.raises(SystemExit):
        main(["clean", str(tmp_path / "out"), "--older-than", "1"])
    name = orphan.relative_to(tmp_path / "out")
    assert capsys.readouterr().out.splitlines() == [
        "documents of 0 jobs removed",
        "1 orphans removed",
        f"  {name}",
    ]
    assert (file.exists(), orphan.exists()) == (True, False)

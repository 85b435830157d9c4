"""What is gathered of a job: of real batches, and of jobs made of values."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from al3spark.al3.building import build_file
from al3spark.errors import RequestError, StoreError
from al3spark.monitoring import Counts, mark_dead
from al3spark.report import rows as report_rows
from al3spark.report.facts import CodeFacts, Facts, SlowFile, TableFacts
from al3spark.report.gathering import gather_facts
from al3spark.report.rows import FailedFile, Spot
from al3spark.spark.slowest import FileTime
from al3spark.store.documents import job_folder, read_status, to_json
from al3spark.store.places import Place, open_place
from tests.al3.samples import DICTIONARY, message
from tests.batches import al3, ingest, put
from tests.endings import BAD, FAULTY, FINE, JOB, ended, file_rows
from tests.report.jobs import fault, leave_faults, leave_job, leave_rows, leave_status

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HOSTILE = '<script>alert(1)<"script>/it\'s\n"new".al3'
BROKEN = al3(4).replace(b"00000011500+", b"00SMITH1500+")


@pytest.fixture(scope="module")
def batch(tmp_path_factory: pytest.TempPathFactory, spark: "SparkSession") -> tuple[Path, Facts]:
    """A folder of files of every kind, and what is told of the batch that read them."""
    folder = tmp_path_factory.mktemp("batch")
    files = {
        "good.al3": al3(1, 2),
        "copy.al3": al3(1, 2),
        HOSTILE: BROKEN,
        "unmapped.al3": build_file(message([5, 6], vehicles=2), DICTIONARY),
        "empty.al3": b"",
        "letter.txt": b"Dear agent, this is no AL3.",
    }
    manifest = ingest(put(folder / "in", files), folder / "out")
    return folder / "in", gather_facts(open_place(str(folder / "out")), manifest["job_id"])


@pytest.mark.spark
@pytest.mark.newest
def test_files_are_counted_by_status(batch: tuple[Path, Facts]) -> None:
    source, facts = batch
    assert facts.files == (
        ("succeeded", 1),
        ("succeeded_with_faults", 2),
        ("failed", 2),
        ("skipped", 1),
    )
    assert (facts.status, facts.reason, facts.source) == ("partial_success", "", str(source))
    assert facts.failed == (
        FailedFile(f"{source}/empty.al3", "FILE_EMPTY: the file has no bytes"),
        FailedFile(f"{source}/letter.txt", "FILE_NOT_AL3: no AL3 record in it"),
    )
    assert facts.skip_reasons == (("same content", 1),)


@pytest.mark.spark
@pytest.mark.newest
def test_rows_by_table_are_those_of_the_manifest_and_add_up(batch: tuple[Path, Facts]) -> None:
    _, facts = batch
    assert facts.tables is not None
    rows = {table.name: table.rows for table in facts.tables}
    assert (rows["policies"], rows["auto_coverages"], rows["unmapped_groups"]) == (5, 14, 4)
    assert facts.rows == sum(rows.values()) - rows["files"] - rows["errors"]
    assert facts.tables == tuple(sorted(facts.tables, key=lambda table: -table.rows))


@pytest.mark.spark
@pytest.mark.newest
def test_faults_are_counted_by_code_with_where_they_are(batch: tuple[Path, Facts]) -> None:
    _, facts = batch
    codes = {each.code: each for each in facts.codes}
    assert codes["VALUE_INVALID"] == CodeFacts(
        "VALUE_INVALID", "value", "error", 1, (("5BPI.current_term_amount", 1),)
    )
    assert codes["GROUP_UNMAPPED"] == CodeFacts("GROUP_UNMAPPED", "structure", "warning", 1, (("5ZZZ", 1),))
    assert (codes["FILE_EMPTY"].count, codes["FILE_NOT_AL3"].wheres) == (1, ())
    assert facts.faults == 4


@pytest.mark.spark
@pytest.mark.newest
def test_faults_by_file_have_their_offsets(batch: tuple[Path, Facts]) -> None:
    source, facts = batch
    files = {file.path: file for file in facts.faulty}
    shown = open_place(str(source)).uri(HOSTILE)
    assert set(files) == {shown, f"{source}/unmapped.al3"}
    (spot,) = files[shown].spots
    at = BROKEN.index(b"00SMITH1500+")
    assert (spot.code, spot.where, spot.byte_offset) == ("VALUE_INVALID", "5BPI.current_term_amount", at)
    assert (spot.record_offset, spot.raw) == (BROKEN.index(b"5BPI285"), "99AAAAA9999+")
    assert files[shown].codes == (("VALUE_INVALID", 1),)


@pytest.mark.spark
@pytest.mark.newest
def test_slowest_files_are_those_that_were_read_with_seconds_of_tasks(batch: tuple[Path, Facts]) -> None:
    source, facts = batch
    assert facts.slowest is not None
    assert {Path(file.path).name for file in facts.slowest} >= {"copy.al3", "unmapped.al3"}
    assert all(file.path.startswith(f"{source}/") for file in facts.slowest)
    assert sum(file.seconds for file in facts.slowest) > 0
    assert [file.seconds for file in facts.slowest] == sorted(
        (file.seconds for file in facts.slowest), reverse=True
    )


@pytest.mark.spark
@pytest.mark.newest
def test_progress_over_time_ends_with_all_bytes(batch: tuple[Path, Facts]) -> None:
    _, facts = batch
    assert facts.points[0] == (0.0, 0)
    assert facts.points[-1][1] == facts.total_bytes
    assert facts.ended is not None
    assert facts.seconds > 0


@pytest.mark.spark
@pytest.mark.newest
def test_a_batch_that_was_stopped_names_reason_chunk_and_files(tmp_path: Path, spark: "SparkSession") -> None:
    source = put(tmp_path / "in", {"a.al3": al3(1), "b.txt": b"no AL3"})
    ingest(source, tmp_path / "out", on_error="fail")
    facts = gather_facts(open_place(str(tmp_path / "out")), None)
    assert (facts.status, facts.stopped_chunk) == ("failed", 0)
    assert facts.reason == "1 file failed, and on_error is fail"
    assert [file.path for file in facts.failed] == [f"{source}/b.txt"]
    assert facts.files == (("failed", 1), ("remaining", 1))
    assert (facts.tables, facts.codes, facts.faulty, facts.rows) == ((), (), (), 0)


def test_a_job_of_any_place_is_told_whole(place: Place) -> None:
    faults = [fault("/in/faulty", "VALUE_INVALID", group_code="5BPI", element="x", byte_offset=7)] * 2
    slow = FileTime("/in/faulty", 2.5, 100, 1, shared=True)
    leave_job(place, FINE, FAULTY, BAD, faults=faults, slowest=(slow,), points=[(0.0, 0), (9.0, 200)])
    facts = gather_facts(place, JOB)
    assert facts.destination == place.uri("")
    assert facts.tables == (TableFacts("policies", 10, 1, 1000),)
    assert facts.slowest == (SlowFile("/in/faulty", 2.5, 100, 1, shared=True),)
    assert facts.points == ((0.0, 0), (9.0, 200))
    assert facts.faulty[0].spots == (Spot("VALUE_INVALID", "5BPI.x", None, 7, "it is so", None),) * 2
    assert gather_facts(place, None).job_id == JOB


def test_a_destination_without_jobs_and_a_job_that_is_not_there_are_one_line(tmp_path: Path) -> None:
    place = open_place(str(tmp_path))
    with pytest.raises(RequestError, match=r"^\S+: no job has run here$"):
        gather_facts(place, None)
    with pytest.raises(RequestError, match="no job batch-20260102-ffffff"):
        gather_facts(place, "batch-20260102-ffffff")


@pytest.fixture
def disk(tmp_path: Path) -> Place:
    return open_place(str(tmp_path))


def test_a_job_that_runs_is_told_by_its_status_and_what_it_published(disk: Place) -> None:
    fine = ended("fine", records=30)
    leave_rows(disk, "files", file_rows(fine, FAULTY))
    leave_faults(disk, [fault("/in/faulty", "VALUE_INVALID")])
    counts = Counts(9, completed=2, skipped=3, total_bytes=1000, chunk_bytes=500, part=0.5, chunk=2, chunks=3)
    leave_status(disk, "processing", counts)
    facts = gather_facts(disk, None)
    assert (facts.status, facts.is_running, facts.ended) == ("processing", True, None)
    assert facts.files == (("succeeded", 1), ("succeeded_with_faults", 1), ("skipped", 3), ("remaining", 4))
    assert (facts.rows, facts.bytes, facts.percent) == (30, 250, 25.0)
    assert (facts.tables, facts.slowest, facts.source) == (None, None, "")
    assert facts.codes == (CodeFacts("VALUE_INVALID", "value", "error", 1),)


def test_a_job_that_died_is_stalled_and_then_failed_with_a_reason(
    disk: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_status(disk, "processing")
    monkeypatch.setattr("al3spark.operations.STALE_AFTER_S", -1.0)
    assert gather_facts(disk, JOB).status == "stalled"
    mark_dead(disk, "batch-20260102-ffffff")
    facts = gather_facts(disk, JOB)
    assert (facts.status, facts.reason) == ("failed", "its process ended without a last word")


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_job_that_broke_off_tells_why(disk: Place, status: str) -> None:
    leave_status(disk, status, reason="tasks failed: MemoryError")
    facts = gather_facts(disk, JOB)
    assert (facts.status, facts.reason) == (status, "tasks failed: MemoryError")


def test_a_job_of_an_earlier_version_lacks_only_what_it_did_not_know(disk: Place) -> None:
    manifest = leave_job(disk, FINE)
    status = read_status(disk, JOB) or {}
    for name in ("reason", "bytes_over_time"):
        del status[name]
    for name in ("slowest_files", "stopped", "not_archived"):
        del manifest[name]
    del manifest["summary"]["too_young"]
    disk.write_document(f"{job_folder(JOB)}/status.json", to_json(status))
    disk.write_document(f"{job_folder(JOB)}/manifest.json", to_json(manifest))
    facts = gather_facts(disk, JOB)
    assert (facts.points, facts.slowest, facts.reason, facts.too_young) == ((), None, "", 0)
    assert (facts.status, facts.files) == ("completed", (("succeeded", 1),))


def test_rows_of_other_jobs_do_not_count(disk: Place) -> None:
    leave_job(disk, FINE)
    faults = [fault("/in/fine", "VALUE_INVALID")]
    leave_faults(disk, faults, "r00000", job_id="batch-20260102-ffffff")
    assert report_rows.digest_errors(disk, JOB, ["/in/fine"]) == report_rows.ErrorsDigest()
    leave_faults(disk, faults, "r00001")
    assert report_rows.digest_errors(disk, JOB, ["/in/fine"]).codes.total() == 1


def test_what_is_kept_does_not_grow_with_the_job(disk: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report_rows, "MOST_FAULTY", 3)
    monkeypatch.setattr(report_rows, "MOST_FAILED", 4)
    monkeypatch.setattr(report_rows, "MOST_WHERES", 5)
    faulty = [ended(f"f{number}", fault_counts=(("VALUE_INVALID", number),)) for number in range(1, 30)]
    bad = [ended(f"b{number}", failed="FILE_EMPTY", reason="the file has no bytes") for number in range(9)]
    faults = [
        fault(f"/in/f{number}", "VALUE_INVALID", group_code="5BPI", element=f"e{number}", byte_offset=at)
        for number in range(1, 30)
        for at in range(number)
    ]
    leave_job(disk, *faulty, *bad, faults=faults)
    files = report_rows.digest_files(disk, JOB)
    assert [file.path for file in files.faulty] == ["/in/f29", "/in/f28", "/in/f27"]
    assert len(files.failed) == 4
    errors = report_rows.digest_errors(disk, JOB, [file.path for file in files.faulty])
    assert set(errors.spots) == set(errors.codes_by_file) == {"/in/f29", "/in/f28", "/in/f27"}
    assert [spot.byte_offset for spot in errors.spots["/in/f29"]] == [0, 1, 2, 3, 4]
    assert errors.codes_by_file["/in/f29"] == {"VALUE_INVALID": 29}
    assert len(errors.wheres) == 5
    assert sum(errors.codes.values()) == len(faults)


def test_time_of_a_running_job_is_counted_to_now(disk: Place) -> None:
    leave_status(disk, "processing")
    facts = gather_facts(disk, JOB, datetime(2026, 1, 2, 3, 5, 5, tzinfo=UTC))
    assert facts.seconds == 60.0


@pytest.mark.parametrize("damage", [{"summary": {"bytes": 1}}, {"tables": {"policies": 5}}, {"request": "x"}])
def test_a_document_that_is_not_as_it_was_written_is_a_store_error(
    place: Place, damage: dict[str, object]
) -> None:
    manifest = {**leave_job(place, FINE), **damage}
    place.write_document(f"{job_folder(JOB)}/manifest.json", to_json(manifest))
    with pytest.raises(StoreError, match=r"manifest\.json or status\.json is damaged: "):
        gather_facts(place, JOB)

"""A job as a zip of CSV files: what is in it, the same bytes every time, whole or not at all."""

import csv
import io
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from al3spark.al3.faults import ERRORS_SCHEMA
from al3spark.errors import BatchError, FileChangedError, RequestError
from al3spark.exports import exporting, sorting
from al3spark.exports.exporting import Exported, export_to_destination, export_to_file
from al3spark.parquet import datafiles
from al3spark.parquet.rewriting import rewrite_without
from al3spark.store.documents import write_manifest
from al3spark.store.lock import acquire
from al3spark.store.places import Place
from al3spark.store.publish import Plan, run_plan, write_plan
from tests.tables import (
    DAY,
    SCHEMA,
    A,
    B,
    C,
    D,
    add_orphan,
    compact_all,
    forget_plans,
    ingest,
    ledger_of,
    leftovers,
    names,
    publish,
    rows_of,
)

WIDER = pa.schema([SCHEMA.field("job_id"), ("extra", pa.string()), *list(SCHEMA)[1:]])
CSV = dict[str, list[list[str]]]
on_disk = pytest.mark.parametrize("kind", ["disk"], indirect=True)


@pytest.fixture
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where to write a zip on this machine."""
    return tmp_path_factory.mktemp("exported") / "job.zip"


def at_destination(place: Place, job_id: str | None = None) -> Exported:
    with acquire(place, "job-export") as lock:
        return export_to_destination(place, job_id, lock)


def contents(path: Path | bytes) -> CSV:
    """The rows of each file of a zip, the header first; nothing is wrong with the zip."""
    with zipfile.ZipFile(io.BytesIO(path) if isinstance(path, bytes) else path) as archive:
        assert archive.testzip() is None
        texts = {each: archive.read(each).decode() for each in archive.namelist() if each.endswith(".csv")}
    return {
        name.removesuffix(".csv"): list(csv.reader(io.StringIO(text, newline=""), strict=True))
        for name, text in texts.items()
    }


def export(place: Place, file: Path, job_id: str | None = None) -> CSV:
    export_to_file(place, job_id, file)
    return contents(file)


def faults_of(job_id: str, *faults: tuple[str, int | None, str]) -> pa.Table:
    """Rows of `errors`: path, byte offset, code."""
    schema = pa.schema([pa.field("job_id", pa.string()), *ERRORS_SCHEMA])
    rows = [
        {"job_id": job_id, "file_path": path, "byte_offset": at, "code": code} for path, at, code in faults
    ]
    return pa.Table.from_pylist(rows, schema)


# What is in it


def test_each_table_is_a_file_with_the_rows_of_the_job_in_order(place: Place, file: Path) -> None:
    ingest(place, "job-a", C)
    ingest(place, "job-b", D, B)
    assert export(place, file, "job-b") == {
        "files": [
            [*ledger_of("job-b").column_names, "ingest_date"],
            ["job-b", f"/in/{B}", B, "succeeded", *[""] * 4, "1", "1", *[""] * 11, "2026-01-02"],
            ["job-b", f"/in/{D}", D, "succeeded", *[""] * 4, "1", "1", *[""] * 11, "2026-01-02"],
        ],
        "policies": [
            ["job_id", "file_id", "record_offset", "name", "ingest_date"],
            ["job-b", B, "0", f"{B}-0", "2026-01-02"],
            ["job-b", B, "1", f"{B}-1", "2026-01-02"],
            ["job-b", D, "0", f"{D}-0", "2026-01-02"],
            ["job-b", D, "1", f"{D}-1", "2026-01-02"],
        ],
        "vehicles": [
            ["job_id", "file_id", "record_offset", "name", "ingest_date"],
            *(["job-b", each, f"{n}", f"{each}-{n}", "2026-01-02"] for each in (B, D) for n in range(3)),
        ],
    }


@on_disk
def test_the_newest_job_is_taken_if_none_is_named(place: Place, file: Path) -> None:
    ingest(place, "job-b", B)
    later = ledger_of("job-a", A).to_pylist()
    later[0]["finished_at"] = 1
    publish(
        place,
        "job-a",
        0,
        {
            f"policies/{DAY}": rows_of(("job-a", A)),
            f"files/{DAY}": pa.Table.from_pylist(later, ledger_of("job-a").schema),
        },
    )
    assert export_to_file(place, None, file).job_id == "job-a"


@on_disk
def test_the_manifest_is_in_it_as_it_is_at_the_destination(place: Place, file: Path) -> None:
    ingest(place, "job-a", A)
    write_manifest(place, "job-a", {"job_id": "job-a", "tables": {"policies": {"rows": 2}}})
    exported = export_to_file(place, "job-a", file)
    with zipfile.ZipFile(file) as archive:
        assert archive.read("_manifest.json") == place.read("_al3spark/jobs/job-a/manifest.json")
        assert archive.namelist()[0] == "_manifest.json"
    assert exported == Exported(
        "job-a", str(file), file.stat().st_size, {"files": 1, "policies": 2, "vehicles": 3}, 0, True
    )


@on_disk
def test_faults_are_in_order_and_only_of_files_of_the_job(place: Place, file: Path) -> None:
    faults = faults_of(
        "job-a",
        ("/in/b", 7, "VALUE_INVALID"),
        ("/in/a", None, "TRAILER_MISSING"),
        ("/in/a", 10, "VALUE_INVALID"),
        ("/in/a", 10, "GROUP_UNMAPPED"),
        ("/in/a", 9, "VALUE_INVALID"),
        ("/in/uncommitted", 9, "VALUE_INVALID"),
    )
    tables = {f"errors/{DAY}": faults, f"files/{DAY}": ledger_of("job-a", "a", "b", status="failed")}
    publish(place, "job-a", 0, tables)
    found = [(row[2], row[11], row[5]) for row in export(place, file)["errors"][1:]]
    assert found == [
        ("/in/a", "9", "VALUE_INVALID"),
        ("/in/a", "10", "GROUP_UNMAPPED"),
        ("/in/a", "10", "VALUE_INVALID"),
        ("/in/a", "", "TRAILER_MISSING"),
        ("/in/b", "7", "VALUE_INVALID"),
    ]


@on_disk
def test_columns_that_only_folders_tell_are_the_last(place: Place, file: Path) -> None:
    tables = {
        f"policies/{DAY}/line=A%2FB%3D%C3%9C/name=other": rows_of(("job-a", A), each=1),
        f"policies/{DAY}/line=__HIVE_DEFAULT_PARTITION__/name=other": rows_of(("job-a", B), each=1),
        f"files/{DAY}": ledger_of("job-a", A, B),
    }
    publish(place, "job-a", 0, tables)
    assert export(place, file)["policies"] == [
        ["job_id", "file_id", "record_offset", "name", "ingest_date", "line"],
        ["job-a", A, "0", f"{A}-0", "2026-01-02", "A/B=\u00dc"],
        ["job-a", B, "0", f"{B}-0", "2026-01-02", ""],
    ]


@on_disk
def test_rows_that_nobody_committed_are_not_in_it(place: Place, file: Path) -> None:
    ingest(place, "job-a", A)
    add_orphan(place, "job-a", rows_of(("job-a", B)))
    forget_plans(place)
    assert [row[1] for row in export(place, file)["policies"][1:]] == [A, A]


@on_disk
def test_rows_that_were_replaced_are_counted(place: Place, file: Path) -> None:
    ingest(place, "job-a", A, B)
    write_manifest(
        place, "job-a", {"tables": {"files": {"rows": 2}, "policies": {"rows": 4}, "vehicles": {"rows": 6}}}
    )
    replace(place, "job-b", ("job-a", A))
    exported = export_to_file(place, "job-a", file)
    assert (exported.tables, exported.missing) == ({"files": 2, "policies": 2, "vehicles": 3}, 5)
    replace(place, "job-c", ("job-a", B))
    assert set(export(place, file, "job-a")) == {"files"}


def replace(place: Place, job_id: str, *pairs: tuple[str, str]) -> None:
    rewrite = rewrite_without(place, job_id, 0, pairs)
    plan = Plan(job_id, 0, 1, rewrite.staged, rewrite.removals)
    write_plan(place, plan)
    assert run_plan(place, plan) == "published"


@on_disk
def test_a_job_that_wrote_nothing_has_only_its_manifest(place: Place, file: Path) -> None:
    write_manifest(place, "job-a", {"tables": {}})
    assert export_to_file(place, "job-a", file).tables == {}
    with zipfile.ZipFile(file) as archive:
        assert archive.namelist() == ["_manifest.json"]


@pytest.mark.parametrize("job_id", ["job-x", None])
@on_disk
def test_without_rows_no_job_is_chosen(place: Place, file: Path, job_id: str | None) -> None:
    write_manifest(place, "job-a", {"tables": {}})
    with pytest.raises(RequestError, match="no job"):
        export_to_file(place, job_id, file)
    assert not file.exists()


@pytest.mark.parametrize("job_id", ["job-x", "../job-a", ""])
@on_disk
def test_a_job_that_is_not_there_is_wrong_usage(place: Place, file: Path, job_id: str) -> None:
    ingest(place, "job-a", A)
    with pytest.raises(RequestError, match=f"no job {job_id};"):
        export_to_file(place, job_id, file)
    assert not file.exists()


# The same bytes


def test_the_same_job_gives_the_same_bytes_whatever_the_layout(place: Place, file: Path) -> None:
    for number, file_id in enumerate((D, A, C)):
        ingest(place, "job-a", file_id, number=number)
    publish(
        place,
        "job-b",
        0,
        {f"policies/{DAY}": rows_of(("job-b", B), schema=WIDER), f"files/{DAY}": ledger_of("job-b", B)},
    )
    export_to_file(place, "job-a", file)
    before = file.read_bytes()
    compact_all(place, "job-z")
    assert len(names(place, "policies/")) == 1
    export_to_file(place, "job-a", file)
    assert file.read_bytes() == before
    publish(
        place, "job-c", 0, {f"policies/{DAY}": rows_of(("job-c", B)), f"files/{DAY}": ledger_of("job-c", B)}
    )
    compact_all(place, "job-y")
    replace(place, "job-d", ("job-c", B))
    export_to_file(place, "job-a", file)
    assert file.read_bytes() == before
    assert export(place, file, "job-b")["policies"][0] == [*WIDER.names, "ingest_date"]


@on_disk
def test_many_runs_give_the_bytes_of_one(place: Place, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [f"{number * 7919 % 1000:032}" for number in range(300)]
    ingest(place, "job-a", *ids)
    export_to_file(place, "job-a", file)
    before = file.read_bytes()
    monkeypatch.setattr(sorting, "RUN_BYTES", 5000)
    monkeypatch.setattr(sorting, "BLOCK_BYTES", 500)
    monkeypatch.setattr(exporting, "LINES_ROWS", 7)
    export_to_file(place, "job-a", file)
    assert contents(file) == contents(before)


@on_disk
def test_rows_of_another_job_after_those_of_a_full_run_change_nothing(
    place: Place, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Merged, both are in one row group, which is read in batches: the last ones have no row of the job."""
    monkeypatch.setattr(sorting, "RUN_BYTES", 500)
    monkeypatch.setattr(datafiles, "BATCH_ROWS", 10)
    ingest(place, "job-a", *(f"{number:032}" for number in range(20)))
    ingest(place, "job-b", *(f"{number:032}" for number in range(20, 40)))
    export_to_file(place, "job-a", file)
    before = file.read_bytes()
    compact_all(place, "job-z")
    export_to_file(place, "job-a", file)
    assert file.read_bytes() == before


# At the destination


def staged_zips(place: Place) -> int:
    if place.uri("").startswith("s3:"):
        return len(place.staged_jobs())
    return len([name for name in leftovers(place) if name.endswith(".zip")])


def test_the_zip_is_at_the_destination_and_no_table(place: Place, file: Path) -> None:
    ingest(place, "job-a", A)
    exported = at_destination(place)
    assert exported.where == place.uri("csv/job-a.zip")
    data = place.read("csv/job-a.zip")
    export_to_file(place, None, file)
    assert data == file.read_bytes()
    at_destination(place)  # in the place of the first
    assert place.read("csv/job-a.zip") == data
    assert export(place, file).keys() == {"files", "policies", "vehicles"}
    assert leftovers(place) == []


def test_what_stops_it_leaves_nothing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop() -> None:
        raise BatchError("stopped")

    ingest(place, "job-a", A)
    with acquire(place, "job-export") as lock, pytest.raises(BatchError, match="stopped"):
        export_to_destination(place, "job-a", lock, stop)
    assert names(place, "csv/") == []
    assert staged_zips(place) == 0


def test_what_a_dead_export_staged_is_discarded(place: Place) -> None:
    ingest(place, "job-a", A)
    file = place.stage("csv/job-a.zip", "job-dead", 0, 0)
    file.write(b"half a zip")
    file.close()
    assert staged_zips(place) == 1
    with acquire(place, "job-next") as lock:
        assert lock.recovery.discarded == 1
    assert staged_zips(place) == 0


def test_a_zip_that_was_discarded_meanwhile_is_told(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    ingest(place, "job-a", A)
    with acquire(place, "job-export") as lock:
        monkeypatch.setattr(
            lock, "check", lambda: [place.discard_staged(each) for each in place.staged_jobs()]
        )
        with pytest.raises(BatchError, match=r"csv/job-a\.zip: was lost while it was staged"):
            export_to_destination(place, "job-a", lock)


# While somebody else is at work


def test_a_file_that_goes_meanwhile_makes_it_look_again(
    place: Place, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(place, "job-a", A)
    ingest(place, "job-b", B)
    find_job, times = exporting.find_job, []

    def find_and_compact(*asked: Any) -> Any:
        times.append(1)
        found = find_job(*asked)
        if len(times) == 1:
            compact_all(place, "job-z")
        return found

    monkeypatch.setattr(exporting, "find_job", find_and_compact)
    assert [row[1] for row in export(place, file, "job-a")["policies"][1:]] == [A, A]
    assert len(times) == 2
    assert list(file.parent.iterdir()) == [file]


@on_disk
def test_files_that_go_again_and_again_are_told(
    place: Place, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(place, "job-a", A)
    find_job = exporting.find_job

    def find_and_lose(*asked: Any) -> Any:
        found = find_job(*asked)
        name = f"vehicles/{DAY}/part-job-a-000000-00000.parquet"
        data = place.read(name)
        assert data
        place.remove(name)
        monkeypatch.setattr(
            exporting, "find_job", lambda *more: (place.write_document(name, data), find_and_lose(*more))[1]
        )
        return found

    monkeypatch.setattr(exporting, "find_job", find_and_lose)
    file.write_bytes(b"what was there")
    with pytest.raises(FileChangedError, match="gone since it was listed"):
        export_to_file(place, "job-a", file)
    assert file.read_bytes() == b"what was there"
    assert list(file.parent.iterdir()) == [file]

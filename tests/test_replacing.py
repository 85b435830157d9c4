"""Rows that take the place of others: changed files, jobs that are run again, and what readers see of it."""

import gzip
import os
import threading
import zipfile
from collections.abc import Mapping
from pathlib import Path

import duckdb
import pytest

from al3spark.catalogs.views import CURRENT_FILES, read_sql
from al3spark.errors import BatchError, RequestError
from tests.batches import (
    al3,
    ingest,
    put,
    read_rows,
    read_tables,
    staged_files,
    statuses,
)

# All batches here run in the one session.
pytestmark = [pytest.mark.spark, pytest.mark.newest, pytest.mark.usefixtures("spark")]


def policies(destination: Path) -> list[int]:
    """The policy numbers in the table, whoever wrote them."""
    return sorted(int(number[1:]) for (number,) in read_rows(destination, "policies", "policy_number"))


def current_policies(destination: Path) -> list[int]:
    """Those that queries count, by the rule of `current_files`."""
    with duckdb.connect() as connection:
        for table in ("files", "policies"):
            pattern = destination / table / "*/*.parquet"
            connection.execute(
                f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{pattern}', union_by_name = true)"
            )
        rows = connection.execute(
            f"SELECT policy_number FROM policies JOIN ({read_sql(CURRENT_FILES)}) USING (job_id, file_id)"
        ).fetchall()
    return sorted(int(number[1:]) for (number,) in rows)


def replaced(destination: Path) -> list[tuple[str, str | None, str | None]]:
    rows = read_rows(destination, "files", "finished_at", "status", "file_id", "replaces")
    return [row[1:] for row in sorted(rows, key=lambda row: row[0])]


def id_of(destination: Path, source: Path, name: str) -> str:
    (found,) = {
        file_id
        for path, file_id, status in read_rows(destination, "files", "file_path", "file_id", "status")
        if path == f"{source}/{name}" and status == "succeeded"
    }
    return str(found)


def test_a_changed_file_is_added_or_replaces_its_older_rows(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2)})
    ingest(source, destination)
    put(source, {"a.al3": al3(3)})
    added = ingest(source, destination)
    assert (policies(destination), current_policies(destination)) == ([1, 2, 3], [2, 3])
    assert added["summary"]["replaced_rows"] == 0

    put(source, {"a.al3": al3(4)})
    manifest = ingest(source, destination, on_changed="replace")
    assert (policies(destination), current_policies(destination)) == ([1, 2, 4], [2, 4])
    assert manifest["summary"]["replaced_rows"] > 5
    assert [each[2] for each in replaced(destination)].count(None) == 3
    assert staged_files(destination) == []


def test_a_file_that_is_put_back_is_read_again_only_where_its_rows_are_gone(
    source: Path, destination: Path
) -> None:
    for number, how, expected in [
        (1, "add", [1]),
        (2, "replace", [2]),
        (1, "replace", [1]),
        (2, "add", [1, 2]),
        (1, "add", [1, 2]),
    ]:
        put(source, {"a.al3": al3(number)})
        ingest(source, destination, on_changed=how)
        assert policies(destination) == expected
        assert current_policies(destination) == [number]


def test_rows_stay_while_another_file_has_their_content(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1), "copy.al3": al3(1)})
    ingest(source, destination)
    put(source, {"a.al3": al3(2)})
    ingest(source, destination, on_changed="replace")
    assert (policies(destination), current_policies(destination)) == ([1, 2], [1, 2])
    put(source, {"copy.al3": al3(2)})  # a duplicate now: its old rows go by the plan of what was skipped
    ingest(source, destination, on_changed="replace")
    assert (policies(destination), current_policies(destination)) == ([2], [2])


def test_a_changed_file_that_fails_leaves_the_older_rows(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1)})
    ingest(source, destination)
    put(source, {"a.al3": b"Dear agent, this is no download.\r\n"})
    assert ingest(source, destination, on_changed="replace")["status"] == "failed"
    assert (policies(destination), current_policies(destination)) == ([1], [1])


def archives() -> Mapping[str, bytes]:
    return {"c.al3.gz": gzip.compress(al3(5, 6))}


def put_all(source: Path) -> Path:
    put(source, {"a.al3": al3(1, 2), "b.al3": al3(3), **archives()})
    with zipfile.ZipFile(source / "d.zip", "w") as archive:
        archive.writestr("inner.al3", al3(7))
        archive.writestr("notes.txt", "no AL3")
    return source


def test_a_job_is_run_again_in_place(source: Path, destination: Path) -> None:
    first = ingest(put_all(source), destination)
    put(source, {"e.al3": al3(8)})
    ingest(source, destination)
    before = read_tables(destination)
    again = ingest(source, destination, reprocess=first["job_id"])
    after = read_tables(destination)
    assert {name: rows for name, rows in after.items() if name not in ("files", "errors")} == {
        name: rows for name, rows in before.items() if name not in ("files", "errors")
    }
    assert current_policies(destination) == policies(destination) == [1, 2, 3, 5, 6, 7, 8]
    jobs = {job for (job,) in read_rows(destination, "policies", "job_id")}
    assert (first["job_id"] in jobs, again["job_id"] in jobs, len(jobs)) == (False, True, 2)
    assert (again["status"], again["summary"]["succeeded"], len(again["checkpoints"])) == ("completed", 4, 2)
    with pytest.raises(RequestError, match=r"has written nothing that is still in the tables$"):
        ingest(source, destination, reprocess=first["job_id"])


def test_a_job_is_not_run_again_if_a_source_is_gone_or_changed(source: Path, destination: Path) -> None:
    first = ingest(put_all(source), destination)
    before = read_tables(destination)
    stamp = (source / "b.al3").stat()
    (source / "b.al3").rename(source.parent / "b.al3")
    with pytest.raises(BatchError, match=rf"1 of the files of {first['job_id']} are neither .*/in/b.al3$"):
        ingest(source, destination, reprocess=first["job_id"])
    put(source, {"b.al3": al3(9)})
    os.utime(source / "b.al3", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with pytest.raises(BatchError, match=r"1 files are not what they were.*/in/b.al3 \(has another content"):
        ingest(source, destination, reprocess=first["job_id"])
    assert read_tables(destination) == before
    (source.parent / "b.al3").rename(source / "b.al3")
    assert ingest(source, destination, reprocess=first["job_id"])["status"] == "completed"


def test_a_job_is_run_again_from_where_the_archive_put_its_files(source: Path, destination: Path) -> None:
    archive = source.parent / "archive"
    first = ingest(put_all(source), destination, archive=archived(archive))
    assert [path.name for path in source.rglob("*") if path.is_file()] == ["d.zip"]
    before = policies(destination)
    again = ingest(source, destination, archive=archived(archive), reprocess=first["job_id"])
    assert (again["status"], policies(destination), current_policies(destination)) == (
        "completed",
        before,
        before,
    )
    moved = read_rows(destination, "files", "job_id", "file_path", "archived_to")
    assert {row[1:] for row in moved if row[0] == again["job_id"] and row[2]} == {
        row[1:] for row in moved if row[0] == first["job_id"] and row[2]
    }


def archived(folder: Path, failed: Path | None = None) -> object:
    from al3spark.config import Archive

    return Archive(str(folder), str(failed) if failed else None)


def test_a_reader_in_a_loop_never_sees_what_is_not_committed(source: Path, destination: Path) -> None:
    """While files are published, replaced and read again, each query sees a state between two chunks."""
    put(source, {f"{number}.al3": al3(number) for number in range(1, 6)})
    first = ingest(source, destination)
    seen: list[list[int]] = []
    over = threading.Event()

    def read() -> None:
        while not over.is_set():
            try:
                seen.append(current_policies(destination))
            except duckdb.IOException:  # a file that was listed is gone: a reader lists again
                continue

    reader = threading.Thread(target=read)
    reader.start()
    try:
        put(source, {"6.al3": al3(6)})
        ingest(source, destination)
        ingest(source, destination, reprocess=first["job_id"])
        put(source, {"1.al3": al3(11)})
        ingest(source, destination, on_changed="replace")
    finally:
        over.set()
        reader.join()
    states = [[1, 2, 3, 4, 5], [1, 2, 3, 4, 5, 6], [2, 3, 4, 5, 6, 11]]
    assert len(seen) > 20
    assert [each for each in map(distinct, seen) if each not in states] == []
    assert current_policies(destination) == states[-1]  # the last query of the loop may be older


def distinct(found: list[int]) -> list[int]:
    """Between publish and removal of a rewritten file its rows are there twice (see rewriting.py)."""
    return sorted(set(found))


def test_statuses_of_what_was_replaced_are_history(source: Path, destination: Path) -> None:
    put(source, {"a.al3": al3(1)})
    ingest(source, destination)
    put(source, {"a.al3": al3(2)})
    ingest(source, destination, on_changed="replace")
    assert statuses(destination, source) == {"a.al3": "succeeded"}
    assert [row[0] for row in replaced(destination)] == ["succeeded", "succeeded"]
    first, second = (row[1] for row in replaced(destination))
    assert replaced(destination)[1][2] == first != second

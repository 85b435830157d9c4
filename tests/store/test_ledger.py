import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.errors import StoreError
from al3spark.store.files_table import FILES_SCHEMA
from al3spark.store.ledger import Held, Ledger, load_ledger, no_ledger
from al3spark.store.places import Place
from tests.tables import put_parquet

A, B, C = "a" * 32, "0123456789abcdef" * 2, "c" * 32


def row(path: str, status: str = "succeeded", day: int = 1, **more: Any) -> dict[str, Any]:
    finished = datetime(2026, 1, day, tzinfo=UTC)
    return {
        "job_id": "job-a",
        "file_path": path,
        "status": status,
        "size": 100,
        "version": "v1",
        "finished_at": finished,
        **more,
    }


def write(place: Place, name: str, *rows: dict[str, Any], row_group_size: int | None = None) -> None:
    table = pa.Table.from_pylist(list(rows), FILES_SCHEMA)
    with place.stage(f"files/ingest_date=2026-01-02/{name}.parquet", "job-a", 0, 0) as sink:
        pq.write_table(table, sink, row_group_size=row_group_size)
        place.publish(sink.finish())


def known(ledger: Ledger, *asked: tuple[str, int, str]) -> list[str | None]:
    paths, sizes, versions = zip(*asked, strict=True)
    return ledger.known(paths, np.array(sizes), versions)


@pytest.mark.parametrize("empty", [no_ledger(), "load"])
def test_empty_ledger_knows_nothing(place: Place, empty: Ledger | str) -> None:
    ledger = load_ledger(place) if isinstance(empty, str) else empty
    assert known(ledger, ("/in/a", 100, "v1")) == [None]
    assert ledger.known([], np.array([], np.int64), []) == []
    assert ledger.sizes_known(np.array([100])).tolist() == [False]
    assert (ledger.path_of(A), ledger.paths_of([])) == (None, [])


def test_path_size_and_version_must_be_equal(place: Place) -> None:
    write(place, "1", row("/in/a", file_id=A), row("/in/b", "failed", size=0, version="v2"))
    ledger = load_ledger(place)
    asked = [
        ("/in/a", 100, "v1"),
        ("/in/b", 0, "v2"),
        ("/in/a", 101, "v1"),
        ("/in/a", 100, "v2"),
        ("/in/c", 100, "v1"),
    ]
    assert known(ledger, *asked) == ["succeeded", "failed", None, None, None]


def test_last_attempt_counts_wherever_it_is_stored(place: Place) -> None:
    write(place, "1", row("/in/a", "succeeded_with_faults", day=3), row("/in/b", "failed", day=1))
    write(place, "2", row("/in/a", "failed", day=2), row("/in/b", "succeeded", day=4, file_id=B))
    assert known(load_ledger(place), ("/in/a", 100, "v1"), ("/in/b", 100, "v1")) == [
        "succeeded_with_faults",
        "succeeded",
    ]


def test_only_sizes_of_what_succeeded_are_known(place: Place) -> None:
    write(
        place,
        "1",
        row("/in/a", file_id=A, size=5),
        row("/in/b", "failed", size=7),
        row("/in/c", "skipped", size=9, file_id=A, duplicate_of="/in/a"),
        row("/in/d", "succeeded_with_faults", size=3, file_id=B),
    )
    assert load_ledger(place).sizes_known(np.array([9, 7, 5, 5, 3, 0])).tolist() == [
        False,
        False,
        True,
        True,
        True,
        False,
    ]


def test_versions_are_known_with_their_sizes(place: Place) -> None:
    write(
        place,
        "1",
        row("/in/a", file_id=A, size=5, version="v1"),
        row("/in/b", "failed", size=7, version="v2"),
    )
    known = load_ledger(place).versions_known(np.array([5, 5, 7, 6]), ["v1", "v2", "v2", "v1"])
    assert known.tolist() == [True, False, True, False]


def test_content_is_found_under_the_path_that_came_first(place: Place) -> None:
    write(place, "1", row("/in/later", day=5, file_id=A), row("/in/b", day=2, file_id=B))
    write(place, "2", row("/in/first", day=3, file_id=A), row("/in/c", "failed", day=1, file_id=C))
    ledger = load_ledger(place)
    assert (ledger.path_of(A), ledger.path_of(B), ledger.path_of(C)) == ("/in/first", "/in/b", None)


def test_paths_are_found_in_every_row_group(place: Place) -> None:
    ids = [f"{n:032x}" for n in range(1000)]
    rows = [row(f"/in/{n}", file_id=ids[n]) for n in range(1000)]
    write(place, "1", *rows[:700], row_group_size=64)
    write(place, "2", *rows[700:], row_group_size=64)
    assert load_ledger(place).paths_of([*reversed(ids), "f" * 32]) == [
        f"/in/{n}" for n in reversed(range(1000))
    ] + [None]


def test_only_the_last_version_of_a_path_is_known(place: Place) -> None:
    write(place, "1", row("/in/a", file_id=A), row("/in/a", day=2, file_id=B, version="v2"))
    ledger = load_ledger(place)
    assert known(ledger, ("/in/a", 100, "v1"), ("/in/a", 100, "v2")) == [None, "succeeded"]
    assert ledger.paths_of([A, B]) == ["/in/a", "/in/a"]


def test_a_path_holds_its_newest_content_that_is_there(place: Place) -> None:
    write(
        place,
        "1",
        row("/in/a", file_id=A, job_id="job-1"),
        row("/in/a", "failed", day=3, version="v2", file_id=C),
        row("/in/b", file_id=B, job_id="job-2"),
        row("/in/b", "skipped", day=2, file_id=A, duplicate_of="/in/a", version="v2"),
        row("/in/c", "skipped", day=2, reason="archive: its members are files of their own"),
    )
    ledger = load_ledger(place)
    held = Held(A, "job-1", "/in/a")
    assert ledger.held_by(["/in/a", "/in/b", "/in/c", "/in/d"]) == [held, held, None, None]
    assert ledger.holders([A, B, C]) == [2, 0, 0]
    without = ledger.without([A])
    assert (without.path_of(A), without.path_of(B), without.held_by(["/in/a"])) == (None, "/in/b", [None])


def test_what_was_replaced_is_not_there_until_it_comes_back(place: Place) -> None:
    write(place, "1", row("/in/a", file_id=A, size=5), row("/in/a", day=2, file_id=B, replaces=A))
    ledger = load_ledger(place)
    assert (ledger.paths_of([A, B]), ledger.sizes_known(np.array([5])).tolist()) == ([None, "/in/a"], [False])
    write(place, "2", row("/in/a", day=3, file_id=A, size=5, replaces=B, job_id="job-3"))
    ledger = load_ledger(place)
    assert ledger.paths_of([A, B]) == ["/in/a", None]
    assert ledger.held_by(["/in/a"]) == [Held(A, "job-3", "/in/a")]
    assert ledger.newest == datetime(2026, 1, 3, tzinfo=UTC)


def test_a_content_that_a_job_replaced_by_itself_is_there(place: Place) -> None:
    write(place, "1", row("/in/a", file_id=A), row("/in/b", day=2, file_id=A, replaces=A, job_id="job-b"))
    assert load_ledger(place).held_by(["/in/a"]) == [Held(A, "job-b", "/in/b")]


def test_the_last_row_tells_where_a_file_was_moved(place: Place) -> None:
    write(place, "1", row("/in/a", file_id=A, archived_to="/archive/1/a"), row("/in/b", file_id=B))
    assert load_ledger(place).last_rows(["/in/a", "/in/b", "/in/c"], "archived_to", "status") == [
        ("/archive/1/a", "succeeded"),
        (None, "succeeded"),
        None,
    ]


def test_path_that_is_not_ascii_is_found(place: Place) -> None:
    write(place, "1", row("/in/café Ü.al3", file_id=A))
    assert known(load_ledger(place), ("/in/café Ü.al3", 100, "v1")) == ["succeeded"]


def test_other_files_beside_the_table_are_left_alone(place: Place) -> None:
    place.write_document("files/_SUCCESS", b"")
    place.write_document("files/readme.txt", b"")
    assert known(load_ledger(place), ("/in/a", 100, "v1")) == [None]


def test_damaged_file_of_the_table_is_named(place: Place) -> None:
    place.write_document("files/part-1.parquet", b"PAR1 not really")
    with pytest.raises(StoreError, match=r"files/part-1\.parquet: not a file of the ledger"):
        load_ledger(place)


def test_table_without_the_columns_is_named(place: Place) -> None:
    put_parquet(place, "files/x.parquet", pa.table({"file_path": ["/in/a"]}))
    with pytest.raises(StoreError, match=r"files/x\.parquet: not a file of the ledger"):
        load_ledger(place)


@pytest.mark.parametrize("wrong", [{"status": "perhaps"}, {"file_id": "abc"}, {"file_id": "z" * 32}])
def test_values_that_no_batch_writes_are_refused(place: Place, wrong: dict[str, Any]) -> None:
    write(place, "1", row("/in/a", **{"file_id": A, **wrong}))
    with pytest.raises(StoreError, match="not a file of the ledger"):
        load_ledger(place)


MILLIONS = """
    import resource, sys, time
    import numpy as np, pyarrow as pa, pyarrow.compute as pc, pyarrow.parquet as pq
    from al3spark.store.files_table import FILES_SCHEMA
    from al3spark.store.ledger import load_ledger
    from al3spark.store.places import open_place

    place = open_place(sys.argv[1])
    start = time.process_time()
    ledger = load_ledger(place)
    took = time.process_time() - start  # of all threads: the machine may have other work
    numbers = range(0, 5_000_000, 1000)
    paths = [f"/mnt/efs/carrier-0017/incoming/2026/01/15/policy-download-{n}.al3" for n in numbers]
    found = ledger.known(paths, np.array(numbers), [str(n) for n in numbers])
    assert found == ["succeeded"] * 5000, found[:10]
    assert took < 30, took
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert peak_kib < 1 << 20, peak_kib
"""


@pytest.mark.slow
def test_five_million_rows_load_in_30_seconds_and_one_gib(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    for part in range(50):
        numbers = pa.array(range(part * 100_000, (part + 1) * 100_000))
        rows = {
            "job_id": ["job-a"] * 100_000,
            "file_path": [
                f"/mnt/efs/carrier-0017/incoming/2026/01/15/policy-download-{n}.al3"
                for n in numbers.to_pylist()
            ],
            "file_id": [f"{n * 0x9E3779B97F4A7C15 & (1 << 128) - 1:032x}" for n in numbers.to_pylist()],
            "status": ["succeeded"] * 100_000,
            "size": numbers,
            "version": numbers.cast(pa.string()),
            "finished_at": pa.array([datetime(2026, 1, 2, tzinfo=UTC)] * 100_000, pa.timestamp("us", "UTC")),
        }
        columns = [rows.get(field.name, pa.nulls(100_000, field.type)) for field in FILES_SCHEMA]
        pq.write_table(pa.table(columns, schema=FILES_SCHEMA), tmp_path / f"files/part-{part}.parquet")
    subprocess.run([sys.executable, "-c", textwrap.dedent(MILLIONS), str(tmp_path)], check=True)

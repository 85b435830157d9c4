"""The rule by which queries count rows, by DuckDB and by Spark."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.store.files_table import FILES_SCHEMA
from al3spark.views import CURRENT_FILES_SQL
from tests.tables import DAY, Row


def fact(
    at: int, job_id: str, path: str, file_id: str | None, status: str = "succeeded", **more: str
) -> dict[str, object]:
    """A row of `files` that was finished at a second."""
    finished = datetime(2026, 1, 2, 0, 0, at, tzinfo=UTC)
    return {
        "job_id": job_id,
        "file_path": path,
        "file_id": file_id,
        "status": status,
        "finished_at": finished,
        **more,
    }


# What is in `files`, and the (job_id, file_id, file_path) that are current. Every case has paths and contents
# of its own, so that all can be in one table.
CASES: dict[str, tuple[list[dict[str, object]], set[tuple[str, str, str]]]] = {
    "files that succeeded are current": (
        [fact(1, "j1", "a/x", "a1"), fact(1, "j1", "a/y", "a2", "succeeded_with_faults")],
        {("j1", "a1", "a/x"), ("j1", "a2", "a/y")},
    ),
    "failed and skipped files are not": (
        [fact(1, "j1", "b/x", "b1", "failed"), fact(1, "j1", "b/y.zip", None, "skipped", reason="archive")],
        set(),
    ),
    "the newest version of a path is current, whatever the order of rows": (
        [fact(2, "j2", "c/x", "c2"), fact(3, "j3", "c/x", "c3"), fact(1, "j1", "c/x", "c1")],
        {("j3", "c3", "c/x")},
    ),
    "a version that failed leaves the one before it current": (
        [
            fact(1, "j1", "d/x", "d1"),
            fact(2, "j2", "d/x", "d2", "failed"),
            fact(3, "j3", "d/x", None, "failed"),
        ],
        {("j1", "d1", "d/x")},
    ),
    "a duplicate adds nothing": (
        [fact(1, "j1", "e/x", "e1"), fact(2, "j2", "e/y", "e1", "skipped", duplicate_of="e/x")],
        {("j1", "e1", "e/x")},
    ),
    "a content stays current while another path holds it": (
        [
            fact(1, "j1", "f/x", "f1"),
            fact(2, "j2", "f/y", "f1", "skipped", duplicate_of="f/x"),
            fact(3, "j3", "f/x", "f2"),
        ],
        {("j1", "f1", "f/x"), ("j3", "f2", "f/x")},
    ),
    "a path whose content became that of another path has no current version of its own": (
        [
            fact(1, "j1", "g/x", "g1"),
            fact(1, "j1", "g/y", "g2"),
            fact(2, "j2", "g/x", "g2", "skipped", duplicate_of="g/y"),
        ],
        {("j1", "g2", "g/y")},
    ),
    "a path that went back to its first content has that as current": (
        [
            fact(1, "j1", "h/x", "h1"),
            fact(2, "j2", "h/x", "h2"),
            fact(3, "j3", "h/x", "h1", "skipped", duplicate_of="h/x"),
        ],
        {("j1", "h1", "h/x")},
    ),
    "a version that was replaced is not current, even if another path holds it": (
        [
            fact(1, "j1", "i/x", "i1"),
            fact(2, "j2", "i/y", "i1", "skipped", duplicate_of="i/x"),
            fact(3, "j3", "i/x", "i2", replaces="i1"),
        ],
        {("j3", "i2", "i/x")},
    ),
    "a file that was processed again is current in the later job only": (
        [fact(1, "j1", "k/x", "k1"), fact(2, "j2", "k/x", "k1", replaces="k1")],
        {("j2", "k1", "k/x")},
    ),
    "a content that came back after it was replaced is current again": (
        [
            fact(1, "j1", "l/x", "l1"),
            fact(2, "j2", "l/x", "l2", replaces="l1"),
            fact(3, "j3", "l/x", "l1", replaces="l2"),
        ],
        {("j3", "l1", "l/x")},
    ),
    "a file that failed when it was processed again is gone": (
        [fact(1, "j1", "m/x", "m1"), fact(2, "j2", "m/x", None, "failed", replaces="m1")],
        set(),
    ),
    "a content that two jobs ingested is current once": (
        [fact(1, "j1", "n/x", "n1"), fact(2, "j2", "n/y", "n1")],
        {("j2", "n1", "n/y")},
    ),
    "rows that a compaction shows twice count once": (
        [fact(1, "j1", "o/x", "o1"), fact(1, "j1", "o/x", "o1"), fact(1, "j1", "o/y", "o2")],
        {("j1", "o1", "o/x"), ("j1", "o2", "o/y")},
    ),
}


@pytest.fixture
def query() -> Callable[[Path, str], list[Row]]:
    """query(parquet file of `files`, what to select from `current_files`), by DuckDB."""
    duckdb = pytest.importorskip("duckdb")

    def run(path: Path, what: str) -> list[Row]:
        with duckdb.connect() as session:
            session.execute(
                f"CREATE VIEW files AS SELECT * FROM read_parquet('{path}', hive_partitioning = true)"
            )
            session.execute(f"CREATE VIEW current_files AS {CURRENT_FILES_SQL}")
            return list(session.execute(f"SELECT {what} FROM current_files").fetchall())

    return run


@pytest.mark.parametrize(("facts", "expected"), CASES.values(), ids=CASES.keys())
def test_current_files_by_duckdb(
    tmp_path: Path,
    query: Callable[[Path, str], list[Row]],
    facts: list[dict[str, object]],
    expected: set[tuple[str, str, str]],
) -> None:
    (tmp_path / DAY).mkdir()
    pq.write_table(pa.Table.from_pylist(facts, FILES_SCHEMA), tmp_path / DAY / "part.parquet")
    found = query(tmp_path / DAY / "part.parquet", "job_id, file_id, file_path")
    assert sorted(found) == sorted(expected)


@pytest.mark.spark
def test_current_files_by_spark(tmp_path: Path, spark: Any) -> None:
    facts = [fact for facts, _ in CASES.values() for fact in facts]
    (tmp_path / "files" / DAY).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(facts, FILES_SCHEMA), tmp_path / "files" / DAY / "part.parquet")
    spark.read.parquet(str(tmp_path / "files")).createOrReplaceTempView("files")
    found = spark.sql(CURRENT_FILES_SQL)
    assert found.columns == FILES_SCHEMA.names
    assert {(row["job_id"], row["file_id"], row["file_path"]) for row in found.collect()} == {
        pair for _, expected in CASES.values() for pair in expected
    }
    assert found.count() == sum(len(expected) for _, expected in CASES.values())
    spark.catalog.dropTempView("files")

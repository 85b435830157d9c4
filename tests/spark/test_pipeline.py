"""Parse, shuffle and write in Spark: what is staged, and that it does not depend on how the work was cut."""

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from al3spark.al3.archives import Limits
from al3spark.al3.blocks import Block, pack
from al3spark.al3.tables import UNMAPPED_TABLE, table_schemas
from al3spark.al3.totals import FileTotals
from al3spark.errors import BatchError, TasksFailedError
from al3spark.sampling import write_sample
from al3spark.spark import identifying, jobs, pipeline, tasks
from al3spark.spark.identifying import identify_files
from al3spark.spark.pipeline import ChunkResult, check_sums, choose_part_bytes, run_chunk, validate_files
from al3spark.spark.session import open_session
from al3spark.spark.splits import InputFile, Split
from al3spark.spark.tasks import Batches, ParseTask, SplitTotals, Task
from al3spark.spark.writing import WriteTask
from al3spark.store.places import Place, open_place
from tests.al3.samples import DICTIONARY
from tests.batches import Tables, al3, comparable, put

KIB, MIB = 1 << 10, 1 << 20
JOB, DAY = "batch-20260102-abc123", "2026-01-02"


@pytest.fixture
def session(spark: SparkSession) -> Iterator[SparkSession]:
    """The session of the tests, with the settings of the job."""
    with open_session() as session:
        yield session


def parse_task(source: Path, window: int = 4 * MIB) -> ParseTask:
    return ParseTask(open_place(str(source)), DICTIONARY, 50, window, Limits())


def write_task(destination: Path) -> WriteTask:
    return WriteTask(open_place(str(destination)), DICTIONARY, JOB, 0, DAY)


def inputs(place: Place) -> tuple[InputFile, ...]:
    return tuple(
        InputFile(place.uri(file.name), file.name, file.size, file.size, file.version)
        for file in place.list_files()
    )


def deal(files: tuple[InputFile, ...], count: int) -> tuple[Split, ...]:
    """Cut a listing into some splits of about equally many files."""
    cuts = [len(files) * number // count for number in range(count + 1)]
    return tuple(Split(number, files[start:end]) for number, (start, end) in enumerate(pairwise(cuts)))


def staged_tables(result: ChunkResult, destination: Path) -> list[tuple[str, pa.Table]]:
    """Table and content of every staged file."""
    return [(each.table, pq.ParquetFile(destination / each.file.token).read()) for each in result.staged]


def as_sets(result: ChunkResult, destination: Path) -> Tables:
    parts: dict[str, list[pa.Table]] = {}
    for table, rows in staged_tables(result, destination):
        parts.setdefault(table, []).append(rows)
    return {table: comparable(pa.concat_tables(rows)) for table, rows in parts.items()}


# The same files give the same tables


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Plain and squeezed files of all habits, and one in three damaged; archives are left out."""
    made = tmp_path_factory.mktemp("corpus")
    write_sample(made / "in", 24, 60, seed=3, damage=0.3)
    for archive in [*made.rglob("*.gz"), *made.rglob("*.zip")]:
        archive.unlink()
    return made / "in"


def cut_and_run(
    spark: SparkSession, corpus: Path, destination: Path, splits: int, window: int
) -> ChunkResult:
    files = inputs(open_place(str(corpus)))
    return run_chunk(spark, parse_task(corpus, window), write_task(destination), deal(files, splits))


@pytest.fixture(scope="module")
def one_split(spark: SparkSession, corpus: Path) -> Tables:
    destination = corpus.parent / "out"
    with open_session() as session:
        return as_sets(cut_and_run(session, corpus, destination, 1, 64 * MIB), destination)


@pytest.mark.spark
@pytest.mark.parametrize(("splits", "window"), [(1, 4 * KIB), (7, 4 * KIB), (7, 64 * MIB)])
def test_neither_splits_nor_windows_change_the_tables(
    session: SparkSession, corpus: Path, one_split: Tables, destination: Path, splits: int, window: int
) -> None:
    result = cut_and_run(session, corpus, destination, splits, window)
    assert len(result.totals) == splits
    assert as_sets(result, destination) == one_split


@pytest.mark.spark
def test_the_corpus_that_is_compared_holds_much_of_everything(one_split: Tables, corpus: Path) -> None:
    assert len(one_split) >= 15
    assert len(one_split["errors"]) >= 10
    assert len(inputs(open_place(str(corpus)))) >= 14


@pytest.mark.spark
def test_inside_a_parquet_file_rows_follow_split_and_block(
    session: SparkSession, corpus: Path, destination: Path
) -> None:
    result = cut_and_run(session, corpus, destination, 7, 4 * KIB)
    places = {
        file.file_id: (split.split_id, number)
        for split in result.totals
        for number, file in enumerate(split.files)
    }
    files = [(table, rows.to_pylist()) for table, rows in staged_tables(result, destination)]
    splits = [[places[row["file_id"]][0] for row in rows] for _, rows in files]
    assert [found == sorted(found) for found in splits] == [True] * len(files)
    assert max(len(set(found)) for found in splits) == 7
    # In the tables of groups blocks are in the order of the records, so that shows the order of the blocks.
    groups = [rows for table, rows in files if table not in ("errors", UNMAPPED_TABLE)]
    records = [[(*places[row["file_id"]], row["record_offset"]) for row in rows] for rows in groups]
    assert [found == sorted(found) for found in records] == [True] * len(groups)


@pytest.mark.spark
def test_every_table_comes_in_one_file_where_it_is_small(
    session: SparkSession, corpus: Path, destination: Path
) -> None:
    result = cut_and_run(session, corpus, destination, 7, 64 * MIB)
    assert set(Counter(each.table for each in result.staged).values()) == {1}


# What is checked before a chunk counts as done


def totals(split_id: int, *files: FileTotals, **rows: int) -> SplitTotals:
    return SplitTotals(split_id, tuple(rows.items()), files)


def test_sums_that_agree_raise_nothing() -> None:
    check_sums(2, (totals(1), totals(0)), {(0, "policies"): 3}, Counter({(0, "policies"): 3}))


@pytest.mark.parametrize(
    ("reported", "sent", "kept", "message"),
    [
        ((0,), {}, {}, "2 splits were to be parsed, totals came of 1"),
        ((0, 0), {}, {}, "2 splits were to be parsed, totals came of 2"),
        ((0, 1, 1), {}, {}, "2 splits were to be parsed, totals came of 3"),
        (
            (0, 1),
            {(1, "policies"): 3},
            {(1, "policies"): 2},
            "split 1 sent 3 rows to policies, 2 were written",
        ),
        ((0, 1), {(1, "policies"): 3}, {}, "split 1 sent 3 rows to policies, 0 were written"),
        ((0, 1), {}, {(1, "policies"): 3}, "split 1 sent 0 rows to policies, 3 were written"),
        (
            (0, 1),
            {(0, "policies"): 1, (1, "policies"): 2},
            {(0, "policies"): 2, (1, "policies"): 1},
            "split 0 sent 1 rows to policies, 2 were written",
        ),
    ],
)
def test_splits_and_rows_that_do_not_agree_are_an_error(
    reported: tuple[int, ...],
    sent: dict[tuple[int, str], int],
    kept: dict[tuple[int, str], int],
    message: str,
) -> None:
    with pytest.raises(BatchError) as caught:
        check_sums(2, tuple(totals(number) for number in reported), sent, Counter(kept))
    assert str(caught.value) == message


BALANCED = FileTotals(
    "/in/a",
    "f" * 32,
    size=10,
    expanded_size=14,
    record_bytes=8,
    separator_bytes=2,
    unreadable_bytes=4,
    literal_bytes=6,
    coded_bytes=4,
    run_bytes=8,
    records=3,
    rows=3,
)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record_bytes": 7}, "covered bytes: 13 of 14"),
        ({"separator_bytes": 3}, "covered bytes: 15 of 14"),
        ({"unreadable_bytes": 0}, "covered bytes: 10 of 14"),
        ({"size": 11}, "stored bytes: 10 of 11"),
        ({"run_bytes": 7}, "expanded bytes: 13 of 14"),
        ({"rows": 2}, "rows: 2 of 3"),
    ],
)
def test_a_file_that_does_not_add_up_is_an_error(change: dict[str, int], message: str) -> None:
    check_sums(1, (totals(0, BALANCED),), {}, Counter())
    with pytest.raises(BatchError) as caught:
        check_sums(1, (totals(0, replace(BALANCED, **change)),), {}, Counter())
    assert str(caught.value) == f"/in/a does not add up: {message}"


def test_a_file_that_failed_need_not_add_up() -> None:
    check_sums(1, (totals(0, replace(BALANCED, rows=0, failed="FILE_CHANGED")),), {}, Counter())


@pytest.mark.spark
def test_a_chunk_leaves_no_view_behind(session: SparkSession, tmp_path: Path, destination: Path) -> None:
    put(tmp_path / "in", {"a.al3": al3(1)})
    files = inputs(open_place(str(tmp_path / "in")))
    run_chunk(session, parse_task(tmp_path / "in"), write_task(destination), deal(files, 1))
    assert [table.name for table in session.catalog.listTables() if table.name.startswith("al3spark")] == []


# Tasks that fail, and validation


def break_down(*_given: object) -> Callable[..., Iterator[pa.RecordBatch]]:
    def fail(_ids: object) -> Iterator[pa.RecordBatch]:
        raise RuntimeError("of a kind that nobody knows")
        yield

    return fail


@pytest.mark.spark
def test_tasks_that_fail_before_the_parse_end_it_in_one_line(
    session: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, {"a.al3": al3(1)})
    files = inputs(open_place(str(tmp_path)))
    monkeypatch.setattr(identifying, "make_fingerprint", break_down)
    monkeypatch.setattr(identifying, "make_survey", break_down)
    monkeypatch.setattr(pipeline, "make_validate", break_down)
    with pytest.raises(TasksFailedError, match=r"^tasks failed: RuntimeError$"):
        identify_files(session, parse_task(tmp_path), files, MIB)
    monkeypatch.setattr(identifying, "WHOLE_BYTES", 1)
    with pytest.raises(TasksFailedError, match=r"^tasks failed: RuntimeError$"):
        identify_files(session, parse_task(tmp_path), files, MIB)
    with pytest.raises(TasksFailedError, match=r"^tasks failed: RuntimeError$"):
        validate_files(session, parse_task(tmp_path), deal(files, 1), 3)


def test_a_worker_that_cannot_be_started_is_told_with_the_reason() -> None:
    reason = 'Cannot run program "/x/python": error=13, Permission denied'
    error = jobs._as_ours(RuntimeError(f"Job aborted: java.io.IOException: {reason}\n\tat java.base"))
    assert str(error) == f"tasks failed: {reason}"


@pytest.mark.spark
def test_validation_gives_totals_in_order_and_the_first_faults(session: SparkSession, tmp_path: Path) -> None:
    put(tmp_path, {"a.al3": al3(1), "b.txt": b"no AL3", "c.txt": b"none either"})
    found, faults = validate_files(
        session, parse_task(tmp_path), deal(inputs(open_place(str(tmp_path))), 3), 1
    )
    assert [split.split_id for split in found] == [0, 1, 2]
    assert sorted(faults.column("file_path").to_pylist()) == [f"{tmp_path}/b.txt", f"{tmp_path}/c.txt"]


@pytest.mark.parametrize(
    ("size", "cores", "mib"), [(0, 2, 64), (800 * MIB, 2, 64), (1200 * MIB, 2, 90), (4096 * MIB, 2, 128)]
)
def test_files_are_larger_where_all_cores_have_enough_to_do(size: int, cores: int, mib: int) -> None:
    assert choose_part_bytes(size, cores) // MIB == mib
    assert choose_part_bytes(size, 100 * cores) == 64 * MIB


# Many blocks

BLOCKS, BLOCK_BYTES = 600, 4 * MIB


def big_blocks(*_: object) -> Task:
    """Instead of a parse: 600 blocks of 4 MiB, and their totals."""
    rows = BLOCK_BYTES // KIB
    schema = table_schemas(DICTIONARY.layouts)[UNMAPPED_TABLE]

    def emit(ids: Batches) -> Batches:
        raw = pa.array([os.urandom(KIB) for _ in range(rows)], pa.binary())
        numbers = pa.array(range(rows), pa.int64())
        columns = {"file_id": pa.array(["f"] * rows), "record_offset": numbers, "raw": raw}
        columns["record_length"] = numbers.cast(pa.int32())
        batch = pa.RecordBatch.from_arrays(
            [columns.get(field.name, pa.nulls(rows, field.type)) for field in schema], schema=schema
        )
        added = tasks.sum_bytes(pa.py_buffer(pack(batch)))
        for _ in ids:
            for number in range(BLOCKS):
                yield tasks._as_row(0, number, Block(UNMAPPED_TABLE, batch))
            sent, sums = ((UNMAPPED_TABLE, BLOCKS * rows),), ((UNMAPPED_TABLE, BLOCKS * added),)
            yield tasks._as_row(0, BLOCKS, SplitTotals(0, sent, (), sums=sums))

    return emit


def watched(make_write: Callable[[WriteTask], Task], notes: Path) -> Callable[[WriteTask], Task]:
    """Write as ever, and note how many blocks a batch had, and how much memory the worker took at most."""

    def make(task: WriteTask) -> Task:
        def watch(batches: Batches) -> Batches:
            blocks, most, peak = 0, 0, 0
            for batch in batches:
                yield batch
                blocks += batch.num_rows
                most = max(most, batch.num_rows)
                peak = max(peak, int(Path("/proc/self/statm").read_text().split()[1]))
            memory = peak * os.sysconf("SC_PAGESIZE") // MIB
            (notes / str(os.getpid())).write_text(f"{blocks} {most} {memory}")

        write = make_write(task)
        return lambda batches: write(watch(batches))

    return make


@pytest.mark.spark
@pytest.mark.slow
def test_600_blocks_in_one_task_overflow_nothing_and_take_bounded_memory(
    session: SparkSession, destination: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (notes := tmp_path / "notes").mkdir()
    (tmp_path / "in").mkdir()
    monkeypatch.setattr(pipeline, "make_parse", big_blocks)
    monkeypatch.setattr(pipeline, "make_write", watched(pipeline.make_write, notes))
    result = run_chunk(session, parse_task(tmp_path / "in"), write_task(destination), (Split(0, ()),))
    assert sum(each.rows for each in result.staged) == BLOCKS * BLOCK_BYTES // KIB
    noted = [tuple(map(int, note.read_text().split())) for note in notes.iterdir()]
    assert max(blocks for blocks, _, _ in noted) >= BLOCKS  # one task had them all
    assert max(most for _, most, _ in noted) <= 16
    assert max(memory for _, _, memory in noted) < 768

"""What runs inside tasks, called as a task would call it; without Spark."""

import gc
import json
import pickle
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from al3spark.al3.blocks import Block, plain_rows, unpack
from al3spark.al3.building import squeeze
from al3spark.al3.tables import table_schemas
from al3spark.al3.totals import FileTotals
from al3spark.errors import BatchError, StoreError
from al3spark.spark import tasks, writing
from al3spark.spark.reading import identify
from al3spark.spark.tasks import (
    TOTALS,
    SplitTotals,
    make_parse,
    make_validate,
    parse_split,
    sum_bytes,
    tell_briefly,
)
from al3spark.spark.writing import WriteTask, final_name, make_write
from al3spark.store.places import open_place
from tests.al3.samples import DICTIONARY
from tests.batches import al3, append, put, staged_files
from tests.spark.inputs import ids, parse_task, rows, split_of

SCHEMAS = table_schemas(DICTIONARY.layouts)


@pytest.fixture
def write_task(tmp_path: Path) -> WriteTask:
    return WriteTask(open_place(str(tmp_path / "out")), DICTIONARY, "batch-20260102-abc123", 4, "2026-01-02")


def block(table: str, split_id: int, number: int, values: list[dict[str, object]]) -> pa.RecordBatch:
    batch = pa.RecordBatch.from_pylist(values, SCHEMAS[table])
    return tasks._as_row(split_id, number, Block(table, batch))


def fault(offset: int) -> dict[str, object]:
    return {"file_id": "f", "file_path": "p", "code": "VALUE_INVALID", "byte_offset": offset}


# Parsing a split


def test_a_split_ends_with_its_totals(source: Path) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2, 3)})
    *blocks, totals = parse_split(parse_task(source), split_of(source, split_id=7))
    assert {block.table for block in blocks if isinstance(block, Block)} == {name for name, _ in totals.rows}
    assert totals.split_id == 7
    assert dict(totals.rows)["policies"] == 3
    assert [(file.path, file.file_id, file.records, file.failed) for file in totals.files] == [
        (f"{source}/a.al3", identify(al3(1)), 10, ""),
        (f"{source}/b.al3", identify(al3(2, 3)), 18, ""),
    ]


def test_a_file_that_cannot_be_read_costs_no_other(source: Path) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2), "c.al3": al3(3)})
    split = split_of(source)
    append(source / "b.al3")
    *_, totals = parse_split(parse_task(source), split)
    assert dict(totals.rows)["policies"] == 2
    assert [(file.failed, file.retryable, file.rows) for file in totals.files] == [
        ("", False, 10),
        ("FILE_CHANGED", True, 0),
        ("", False, 10),
    ]


def test_a_known_failure_is_passed_on_with_whether_waiting_can_help(source: Path) -> None:
    split = split_of(put(source, {"a.al3": al3(1)}))
    failed = replace(split.files[0], failure=("FILE_UNREADABLE", "timed out", True))
    errors, totals = parse_split(parse_task(source), replace(split, files=(failed,)))
    assert isinstance(errors, Block)
    assert errors.batch.select(["code", "message", "retryable"]).to_pylist() == [
        {"code": "FILE_UNREADABLE", "message": "timed out", "retryable": True}
    ]
    assert [(file.failed, file.reason, file.retryable) for file in totals.files] == [
        ("FILE_UNREADABLE", "timed out", True)
    ]


@pytest.mark.parametrize("window", [4 << 10, 64 << 20])
def test_the_blocks_of_a_split_are_identical_on_every_attempt(source: Path, window: int) -> None:
    put(source, {"a.al3": al3(1) + b"\x80 no record" + al3(2), "b.al3": squeeze(al3(3, 4)), "c": b"no AL3"})
    parse = make_parse(parse_task(source, window), (split_of(source),))
    assert rows(parse(ids(0))) == rows(parse(ids(0)))


def test_an_attempt_in_another_process_gives_the_same_blocks(source: Path) -> None:
    put(source, {"a.al3": al3(1), "b.al3": squeeze(al3(3, 4))})
    task, split = parse_task(source), split_of(source)
    copies = pickle.loads(pickle.dumps((task, split)))
    assert rows(make_parse(*(copies[0], (copies[1],)))(ids(0))) == rows(make_parse(task, (split,))(ids(0)))


def test_blocks_are_numbered_within_their_split(source: Path) -> None:
    put(source, {"a.al3": al3(1), "b.al3": al3(2)})
    splits = (split_of(source, "a.al3"), split_of(source, "b.al3", split_id=1))
    found = rows(make_parse(parse_task(source), splits)(ids(1, 0)))
    numbers = [(row["split_id"], row["block_no"]) for row in found]
    assert numbers == [(1, number) for number in range(10)] + [(0, number) for number in range(10)]
    assert [row["table_name"] for row in found].count(TOTALS) == 2


def test_a_block_holds_as_many_rows_as_it_says(source: Path) -> None:
    put(source, {"a.al3": al3(1, 2)})
    for row in rows(make_parse(parse_task(source), (split_of(source),))(ids(0))):
        if row["table_name"] != TOTALS:
            found = plain_rows(unpack(pa.py_buffer(row["payload"])))
            assert found.num_rows == row["rows"]
            assert found.schema == SCHEMAS[str(row["table_name"])]


def test_totals_survive_the_way_to_the_driver() -> None:
    file = FileTotals("/in/a", "f" * 32, 1, 2, 3, fault_counts=(("VALUE_INVALID", 2),), retryable=True)
    totals = SplitTotals(3, (("errors", 2), ("policies", 1)), (file, FileTotals("/in/b", "")))
    assert SplitTotals.from_bytes(totals.to_bytes()) == totals


# Validating


def test_validation_keeps_totals_and_the_first_faults_of_each_code(source: Path) -> None:
    put(source, {f"{number}.txt": b"no AL3" for number in range(5)} | {"z.al3": b""})
    found = rows(make_validate(parse_task(source), (split_of(source),), 2)(ids(0)))
    assert [row["table_name"] for row in found] == ["errors", TOTALS]
    kept = unpack(pa.py_buffer(found[0]["payload"]))
    assert kept.column("code").to_pylist() == ["FILE_NOT_AL3", "FILE_NOT_AL3", "FILE_EMPTY"]
    totals = SplitTotals.from_bytes(bytes(found[1]["payload"]))  # type: ignore[call-overload]
    assert sum(file.faults for file in totals.files) == 6


# Writing


def test_tables_are_staged_one_after_the_other_with_row_counts_by_split(write_task: WriteTask) -> None:
    blocks = [
        block("errors", 0, 0, [fault(1), fault(2)]),
        block("errors", 3, 0, [fault(3)]),
        block("unmapped_groups", 3, 1, [{"file_id": "f", "record_offset": 0, "record_length": 30}]),
    ]
    found = rows(make_write(write_task)(iter(blocks)))
    sums = [sum_bytes(payload) for each in blocks for payload in [each.column("payload")[0].as_buffer()]]
    assert [(row["table_name"], row["rows"], json.loads(str(row["splits"]))) for row in found] == [
        ("errors", 3, [[0, 2, sums[0]], [3, 1, sums[1]]]),
        ("unmapped_groups", 1, [[3, 1, sums[2]]]),
    ]
    assert len(set(sums)) == 3
    place = Path(write_task.place.uri("x")).parent
    assert [(place / str(row["token"])).stat().st_size for row in found] == [row["size"] for row in found]


def test_totals_pass_through_to_the_driver(write_task: WriteTask) -> None:
    totals = SplitTotals(0, (), ())
    (found,) = rows(make_write(write_task)(iter([tasks._as_row(0, 0, totals)])))
    assert (found["table_name"], found["totals"]) == (TOTALS, totals.to_bytes())


def test_blocks_are_gathered_into_row_groups(write_task: WriteTask, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block("errors", 0, number, [fault(number)]) for number in range(5)]
    payload = blocks[0].column("payload")[0].as_buffer()
    size = unpack(payload).nbytes
    monkeypatch.setattr(writing, "ROW_GROUP_BYTES", 2 * size)
    (found,) = rows(make_write(write_task)(iter(blocks)))
    file = pq.ParquetFile(Path(write_task.place.uri("x")).parent / str(found["token"]))
    groups = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    assert groups == [2, 2, 1]


def test_a_row_group_gathers_64_mib() -> None:
    assert writing.ROW_GROUP_BYTES == 64 * 1024 * 1024


def test_a_block_that_lost_rows_stops_the_task_and_leaves_nothing_staged(write_task: WriteTask) -> None:
    good, bad = block("errors", 0, 0, [fault(1)]), block("errors", 2, 1, [fault(2)])
    bad = bad.set_column(4, "rows", pa.array([2], pa.int64()))
    with pytest.raises(BatchError, match="a block of split 2 lost rows on its way: 1 of 2"):
        rows(make_write(write_task)(iter([good, bad])))
    assert staged_files(Path(write_task.place.uri("x")).parent) == []


def test_a_final_name_has_partition_job_chunk_and_part() -> None:
    name = final_name("policies", "2026-01-02", "batch-20260102-abc123", 4, "00007")
    assert name == "policies/ingest_date=2026-01-02/part-batch-20260102-abc123-000004-00007.parquet"


def test_job_id_comes_first(write_task: WriteTask) -> None:
    (found,) = rows(make_write(write_task)(iter([block("errors", 0, 0, [fault(1)])])))
    file = pq.ParquetFile(Path(write_task.place.uri("x")).parent / str(found["token"]))
    assert file.schema_arrow.names == ["job_id", *SCHEMAS["errors"].names]
    assert file.read().column("job_id").to_pylist() == ["batch-20260102-abc123"]


def test_an_error_of_ours_leaves_a_task_without_its_way() -> None:
    def fail(batches: object, depth: int = 50) -> Iterator[pa.RecordBatch]:
        try:
            if depth:
                yield from fail(batches, depth - 1)
            raise KeyError("x" * 2000)
        except KeyError as error:
            raise StoreError("s3://bucket/key: denied", retryable=True) from error

    with pytest.raises(StoreError) as raised:
        list(tell_briefly(fail)(iter(())))
    told = traceback.format_exception(raised.value)
    assert told[-1] == "al3spark.errors.StoreError: s3://bucket/key: denied\n"
    assert len("".join(told)) < 1000
    assert raised.value.retryable


def test_a_worker_has_its_modules_looked_at_for_garbage_once_only() -> None:
    gc.unfreeze()
    try:
        assert list(tell_briefly(lambda batches: batches)(iter(()))) == []
        assert gc.get_freeze_count() > 10_000
    finally:
        gc.unfreeze()

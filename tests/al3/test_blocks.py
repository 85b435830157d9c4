"""Blocks: what repeats is there once, and nothing is lost on the way."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from al3spark.al3.blocks import block_schema, find_runs, pack, plain_column, plain_rows, repeat_values, unpack
from al3spark.al3.dictionary import CONTEXT_COLUMNS, load_dictionary
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import Form
from al3spark.al3.tables import ERRORS_TABLE, UNMAPPED_TABLE, table_schemas
from al3spark.sampling import sample_bytes

PLAIN = pa.schema(
    [pa.field("file_id", pa.string(), nullable=False), ("policy_number", pa.string()), ("name", pa.string())]
)


def block(rows: int) -> pa.RecordBatch:
    which = np.arange(rows) % 2
    columns = [
        repeat_values(pa.array(["f" * 32]), np.zeros(rows, np.int64)),
        repeat_values(pa.array(["P-0001", None]), which),
        pa.array([f"name {number}" for number in range(rows)], pa.string()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=block_schema(PLAIN, ["policy_number"]))


@pytest.mark.parametrize("rows", [0, 1, 2, 5000])
def test_rows_come_out_as_they_went_in(rows: int) -> None:
    sent = block(rows)
    found = unpack(pa.py_buffer(pack(sent)))
    assert found.equals(sent)
    expected = [
        {"file_id": "f" * 32, "policy_number": None if row % 2 else "P-0001", "name": f"name {row}"}
        for row in range(rows)
    ]
    assert plain_rows(found).equals(pa.RecordBatch.from_pylist(expected, PLAIN))


def test_equal_blocks_have_equal_bytes() -> None:
    assert pack(block(100)) == pack(block(100))


@pytest.mark.parametrize("numbers", [[7], [3, 3, 3], [0, 0, 5, 5, 5, 2, 0], [-1, 4, -1]])
def test_runs_are_found(numbers: list[int]) -> None:
    values, which = find_runs(np.array(numbers, np.int64))
    assert values[which].tolist() == numbers
    assert all(one != other for one, other in pairwise(values.tolist()))


def test_a_value_that_repeats_is_there_once() -> None:
    assert len(block(5000)["file_id"].dictionary) == 1
    assert plain_column(block(5000)["file_id"]).to_pylist() == ["f" * 32] * 5000


def test_bytes_that_are_no_block_are_refused() -> None:
    packed = pack(block(100))
    for wrong in (packed[: len(packed) // 2], packed[:8] + b"\xff" * 100):
        with pytest.raises((pa.ArrowException, OSError)):
            unpack(pa.py_buffer(wrong))


def test_parsed_blocks_have_each_file_and_transaction_once_and_the_schemas_of_their_tables() -> None:
    dictionary = load_dictionary()
    parser = SplitParser(dictionary)
    data = sample_bytes(300_000, seed=1)
    blocks = [*parser.parse("/in/a", "a" * 32, Form(), [data]), *parser.flush()]
    contexts = {layout.table: layout.context_columns for layout in dictionary.layouts}
    contexts[UNMAPPED_TABLE] = tuple(CONTEXT_COLUMNS)
    schemas = table_schemas(dictionary.layouts)
    transactions = data.count(b"2TRG")
    assert len({block.table for block in blocks}) > 20
    for each in blocks:
        assert plain_rows(each.batch).schema == schemas[each.table]
        if each.table == ERRORS_TABLE:  # rare, and one of a kind
            continue
        assert each.batch["file_id"].dictionary.to_pylist() == ["a" * 32]
        for name in contexts[each.table]:
            assert len(each.batch[name].dictionary) <= transactions + 1

"""What the tests of the samples share: the dictionary, and a parse of whole files."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from al3spark.al3.blocks import plain_rows
from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import detect_form
from al3spark.al3.totals import FileTotals

Tables = dict[str, list[dict[str, Any]]]
Parse = Callable[[bytes], tuple[Tables, FileTotals]]


@pytest.fixture(scope="session")
def dictionary() -> Dictionary:
    return load_dictionary()


@pytest.fixture(scope="session")
def parse(dictionary: Dictionary) -> Parse:
    """Parse one file: rows by table, and the totals."""

    def parse_file(data: bytes) -> tuple[Tables, FileTotals]:
        parser = SplitParser(dictionary)
        blocks = [*parser.parse("sample.al3", "0" * 32, detect_form(data), [data]), *parser.flush()]
        batches: dict[str, list[pa.RecordBatch]] = {}
        for block in blocks:
            batches.setdefault(block.table, []).append(plain_rows(block.batch))
        tables = {name: pa.Table.from_batches(parts).to_pylist() for name, parts in batches.items()}
        return tables, parser.totals()[0]

    return parse_file

"""Whole files and all that must come of them: tests/golden/<case>/, null columns left out."""

import json
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.al3.samples import Parsed, parse, windows

GOLDEN = Path(__file__).parents[1] / "golden"
CASES = sorted(case.name for case in GOLDEN.iterdir() if case.is_dir())


def plain(value: object) -> object:
    """A value as JSON can hold it."""
    if isinstance(value, bytes):
        return value.decode("latin-1")
    return str(value) if isinstance(value, date | Decimal) else value


def readable(parsed: Parsed) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Rows by table and faults, in the order of the file, without what is null or names the file."""
    tables: dict[str, list[dict[str, Any]]] = {
        table: [
            {name: plain(value) for name, value in row.items() if value is not None and name[:5] != "file_"}
            for row in rows.to_pylist()
        ]
        for table, rows in parsed.tables.items()
    }
    faults = tables.pop("errors", [])
    for rows in tables.values():
        rows.sort(key=lambda row: row["record_offset"])
    return tables, sorted(
        faults, key=lambda row: (row.get("byte_offset", 0), row["code"], row.get("element", ""))
    )


def expected(case: str, name: str) -> Any:
    return json.loads((GOLDEN / case / name).read_text("utf-8"))


@pytest.mark.parametrize("size", [5, 1 << 20])
@pytest.mark.parametrize("case", CASES)
def test_file_gives_the_rows_and_faults_of_its_case(case: str, size: int) -> None:
    rows, faults = readable(parse(windows((GOLDEN / case / "input.al3").read_bytes(), size)))
    assert rows == expected(case, "rows.json")
    assert faults == expected(case, "faults.json")


@pytest.mark.parametrize("case", CASES)
def test_case_says_where_it_comes_from(case: str) -> None:
    assert (GOLDEN / case / "origin.txt").read_text("utf-8").startswith("Synthetic: ")


def test_destroyed_transaction_leaves_no_row_of_the_second_policy_under_the_first() -> None:
    rows = expected("destroyed_transaction", "rows.json")
    second = (GOLDEN / "destroyed_transaction" / "input.al3").read_bytes().index(b"~lost~")
    after = [row for table in rows.values() for row in table if row["record_offset"] > second]
    assert len(after) == 7
    assert not [
        row for row in after if row.keys() & {"transaction_offset", "parent_offset", "message_offset"}
    ]
    assert [row["policy_number"] for row in rows["policies"] if "transaction_offset" in row] == ["P-1001"]

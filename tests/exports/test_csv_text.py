"""Rows as CSV text: other readers find the values that went in."""

import csv
import io
from base64 import b64decode
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al3spark.exports.csv_text import header_line, text_lines


def lines(values: list[Any], kind: pa.DataType) -> bytes:
    return text_lines(pa.record_batch({"value": pa.array(values, kind), "last": pa.array([1] * len(values))}))


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (pa.string(), "plain", b'"plain"'),
        (pa.string(), "", b'""'),
        (pa.string(), None, b""),
        (pa.string(), 'a "b"', b'"a ""b"""'),
        (pa.string(), "a\r\nb\nc\rd", b'"a\r\nb\nc\rd"'),
        (pa.string(), "a,b;\tc", b'"a,b;\tc"'),
        (pa.string(), "MU\u00d1OZ \U000f0000", b'"MU\xc3\x91OZ \xf3\xb0\x80\x80"'),
        (pa.string(), "\U000f0000\n\U000f0001", b'"\xf3\xb0\x80\x80\n\xf3\xb0\x80\x81"'),
        (pa.int32(), -7, b"-7"),
        (pa.int64(), None, b""),
        (pa.decimal128(18, 2), Decimal("115.00"), b"115.00"),
        (pa.decimal128(18, 5), Decimal("-0.00010"), b"-0.00010"),
        (pa.decimal128(18, 0), Decimal("999999999999999999"), b"999999999999999999"),
        (pa.date32(), date(1902, 3, 4), b"1902-03-04"),
        (
            pa.timestamp("us"),
            datetime.fromisoformat("2026-01-02T03:04:05.900000"),
            b'"2026-01-02T03:04:05.900000"',
        ),
        (
            pa.timestamp("us", tz="UTC"),
            datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            b'"2026-01-02T03:04:05.000000Z"',
        ),
        (pa.bool_(), True, b"true"),
        (pa.bool_(), False, b"false"),
        (pa.binary(), b"\x00\xff\r\n", b'"AP8NCg=="'),
        (pa.binary(), b"", b'""'),
        (pa.binary(), None, b""),
    ],
)
def test_value_as_text(kind: pa.DataType, value: object, text: bytes) -> None:
    assert lines([value], kind) == text + b",1\r\n"


@pytest.mark.parametrize("scale", range(7, 19))
def test_decimals_of_many_places_have_all_their_digits(scale: int) -> None:
    """As Arrow and Python write them, 0E-7 or -1.2E-7, not every reader takes them."""
    values = [Decimal(value).scaleb(-scale) for value in (0, 1, -1, -12, 10**18 - 1)]
    whole, places = divmod(10**18 - 1, 10**scale)
    zeros = "0" * scale
    assert lines([*values, None], pa.decimal128(18, scale)).decode().split(",1\r\n") == [
        f'"0.{zeros}"',
        f'"0.{zeros[1:]}1"',
        f'"-0.{zeros[1:]}1"',
        f'"-0.{zeros[2:]}12"',
        f'"{whole}.{places}"',
        "",
        "",
    ]


def test_names_are_quoted_where_they_must_be() -> None:
    assert header_line(["job_id", "a,b", 'a"b']) == b'job_id,"a,b","a""b"\r\n'


def test_no_rows_are_no_lines() -> None:
    assert lines([], pa.string()) == b""


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_any_text_comes_back_from_pythons_csv(values: list[str]) -> None:
    text = lines(values, pa.string()).decode()
    assert [row[0] for row in csv.reader(io.StringIO(text, newline=""), strict=True)] == values


@given(st.lists(st.binary()))
def test_any_bytes_come_back(values: list[bytes]) -> None:
    text = lines(values, pa.binary()).decode()
    assert [b64decode(row[0]) for row in csv.reader(io.StringIO(text, newline=""))] == values


def test_duckdb_reads_what_was_written(tmp_path: Path) -> None:
    rows: list[tuple[Any, ...]] = [
        (
            "a\nb\r\nc",
            'say "x", y',
            Decimal("1.10"),
            date(2026, 1, 2),
            datetime.fromisoformat("2026-01-02T03:04:05"),
            True,
        ),
        ("MU\u00d1OZ", "", Decimal("-0.05"), None, None, False),
        (
            None,
            "\u4e2d",
            None,
            date(1951, 12, 31),
            datetime.fromisoformat("1999-12-31T23:59:59.900000"),
            None,
        ),
    ]
    kinds = [pa.string(), pa.string(), pa.decimal128(18, 2), pa.date32(), pa.timestamp("us"), pa.bool_()]
    columns = {f"c{n}": pa.array([row[n] for row in rows], kind) for n, kind in enumerate(kinds)}
    batch = pa.record_batch(columns)
    (tmp_path / "t.csv").write_bytes(header_line(batch.schema.names) + text_lines(batch))
    kinds_there = ("VARCHAR", "VARCHAR", "DECIMAL(18, 2)", "DATE", "TIMESTAMP", "BOOLEAN")
    types = {f"c{n}": kind for n, kind in enumerate(kinds_there)}
    read = duckdb.sql(f"FROM read_csv('{tmp_path}/t.csv', columns = {types}, allow_quoted_nulls = false)")
    assert read.fetchall() == rows

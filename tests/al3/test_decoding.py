from datetime import date, datetime
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al3spark.al3.building import Record, build_record
from al3spark.al3.cells import examine
from al3spark.al3.decoding import DECODERS, DecodedGroup, decode_group
from al3spark.al3.dictionary import KINDS, NAME_PARTS, Element, Layout

HEADER = b"2XXX020   "
LENGTHS = {"timestamp": 13, "name": 60, "date_yymmdd": 6, "date_ccyymmdd": 8, "flag": 1}  # of other kinds: 4


def moment(*parts: int) -> datetime:
    return datetime(*parts)  # noqa: DTZ001 - AL3 sends no zone


def layout_of(*elements: tuple[str, int, int, str]) -> Layout:
    """A control group of elements of `text`, or what is given: name, start, length, kind."""
    return Layout("2XXX", "x", "", tuple(Element("2XXX", *element) for element in elements))


def decode_records(layout: Layout, *records: bytes, pivot: int = 50) -> DecodedGroup:
    matrix = np.frombuffer(b"".join(records), np.uint8).reshape(len(records), layout.length)
    decoded = decode_group(layout, examine(matrix), pivot)
    for array in decoded.arrays:
        array.validate(full=True)
    return decoded


def decode(kind: str, *cells: bytes, scale: int = 0, pivot: int = 50) -> tuple[list[object], list[int]]:
    """Decode cells of one kind: the values, and the rows that do not fit."""
    layout = Layout("2XXX", "x", "", (Element("2XXX", "x", 10, len(cells[0]), kind, scale),))
    decoded = decode_records(layout, *[HEADER + cell for cell in cells], pivot=pivot)
    invalid = [row for _, rows in decoded.invalid for row in np.flatnonzero(rows).tolist()]
    return decoded.arrays[0].to_pylist(), invalid


def test_every_kind_has_a_decoder() -> None:
    assert DECODERS.keys() == KINDS.keys()


@pytest.mark.parametrize(
    ("kind", "scale", "cell", "value"),
    [
        *[
            (kind, 0, cell, value)
            for kind in ("text", "code", "phone", "reserved", "gap")
            for cell, value in [
                (b"AUTOP", "AUTOP"),
                (b"A    ", "A"),
                (b"  A  ", "  A"),
                (b"A B C", "A B C"),
                (b"A?   ", "A?"),
                (b"00000", "00000"),
                (b"A\r\nB ", "A\r\nB"),
                (b"M\xdcLL ", "MÜLL"),
                (b"\x80\x92  \x99", "€\u2019  ™"),
                (b"\x81\x8d\x8f\x90\x9d", "\x81\x8d\x8f\x90\x9d"),
                (b"\xff    ", "ÿ"),
                (b"A\xa0   ", "A\xa0"),
                (b"X", "X"),
                (b"\xe9", "é"),
            ]
        ],
        ("text", 0, b"?A   ", "?A"),
        ("reserved", 0, b"??A  ", "??A"),
        ("gap", 0, b"????A", "????A"),
        ("text", 0, b"???? ", "????"),
        ("integer", 0, b"0", 0),
        ("integer", 0, b"00042", 42),
        ("integer", 0, b"99999", 99999),
        ("integer", 0, b"   42", 42),
        ("integer", 0, b"42   ", 42),
        ("integer", 0, b" 42  ", 42),
        ("integer", 0, b"999999999", 999999999),
        ("integer", 0, b"9999999999", 9999999999),
        ("integer", 0, b"999999999999999999", 999999999999999999),
        ("decimal", 2, b"00150", Decimal("1.50")),
        ("decimal", 0, b"150", Decimal(150)),
        ("decimal", 18, b"123456789012345678", Decimal("0.123456789012345678")),
        ("decimal", 5, b"  1", Decimal("0.00001")),
        ("amount", 2, b"00000011500+", Decimal("115.00")),
        ("amount", 2, b"00000011500-", Decimal("-115.00")),
        ("amount", 2, b"00000011500 ", Decimal("115.00")),
        ("amount", 2, b"      11500-", Decimal("-115.00")),
        ("amount", 2, b"11500      -", Decimal("-115.00")),
        ("amount", 2, b"00000000000+", Decimal("0.00")),
        ("amount", 2, b"00000000000-", Decimal("0.00")),
        ("amount", 0, b"7-", Decimal(-7)),
        ("amount", 2, b"999999999999999999-", Decimal("-9999999999999999.99")),
        ("flag", 0, b"Y", True),
        ("flag", 0, b"N", False),
        ("date_ccyymmdd", 0, b"20240229", date(2024, 2, 29)),
        ("date_ccyymmdd", 0, b"20000229", date(2000, 2, 29)),
        ("date_ccyymmdd", 0, b"19000228", date(1900, 2, 28)),
        ("date_ccyymmdd", 0, b"00010101", date(1, 1, 1)),
        ("date_ccyymmdd", 0, b"99991231", date(9999, 12, 31)),
        ("date_ccyymmdd", 0, b"19691231", date(1969, 12, 31)),
        ("date_yymmdd", 0, b"510101", date(1951, 1, 1)),
        ("date_yymmdd", 0, b"501231", date(2050, 12, 31)),
        ("date_yymmdd", 0, b"000101", date(2000, 1, 1)),
        ("month_mmyy", 0, b"0924", date(2024, 9, 1)),
        ("month_mmyy", 0, b"1251", date(1951, 12, 1)),
        ("month_mmyy", 0, b"0100", date(2000, 1, 1)),
        ("time_hhmm", 0, b"0000", "00:00"),
        ("time_hhmm", 0, b"2359", "23:59"),
        ("timestamp", 0, b"202601020304056", moment(2026, 1, 2, 3, 4, 5, 600_000)),
        ("timestamp", 0, b"20260102030405 ", moment(2026, 1, 2, 3, 4, 5)),
        ("timestamp", 0, b"202601020304   ", moment(2026, 1, 2, 3, 4)),
        ("timestamp", 0, b"000101010000000", moment(1, 1, 1)),
        ("timestamp", 0, b"999912312359599", moment(9999, 12, 31, 23, 59, 59, 900_000)),
        ("timestamp", 0, b"9912312359599", moment(1999, 12, 31, 23, 59, 59, 900_000)),
    ],
)
def test_value_is_what_was_sent(kind: str, scale: int, cell: bytes, value: object) -> None:
    assert decode(kind, cell, scale=scale) == ([value], [])


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        *[
            (kind, cell)
            for kind in ("text", "code", "reserved", "gap")
            for cell in (b"     ", b"?????", b" ", b"?")
        ],
        *[(kind, cell) for kind in ("code", "phone") for cell in (b"?    ", b"?ABCD", b"?\xe9")],
        *[(kind, cell) for kind in ("integer", "decimal") for cell in (b"    ", b"????", b"?   ", b"?123")],
        *[("amount", cell) for cell in (b"     ", b"?????", b"????+", b"?    ")],
        *[("flag", cell) for cell in (b" ", b"?")],
        *[("date_ccyymmdd", cell) for cell in (b"        ", b"00000000", b"????????", b"?       ")],
        *[("date_yymmdd", cell) for cell in (b"      ", b"000000", b"??????", b"?     ")],
        *[("month_mmyy", cell) for cell in (b"    ", b"0000", b"????")],
        *[("time_hhmm", cell) for cell in (b"    ", b"????", b"?   ")],
        *[("timestamp", cell * size) for cell in (b" ", b"0", b"?") for size in (13, 15)],
    ],
)
def test_blank_and_not_sent_are_null_and_fit(kind: str, cell: bytes) -> None:
    assert decode(kind, cell) == ([None], [])


@pytest.mark.parametrize(
    ("kind", "cell"),
    [
        *[
            ("integer", cell)
            for cell in (b"12A4", b"1 23", b"-123", b"1.23", b"123+", b"12?4", b"\xb2\xb3\xb9 ", b"1\x002")
        ],
        *[("decimal", cell) for cell in (b"12A4", b"1 23", b"123-", b"1.23", b"12?4")],
        *[
            ("amount", cell)
            for cell in (b"1234A", b"12345", b"12A4+", b"+1234", b"1 23-", b"    +", b"0000?", b"-   ")
        ],
        *[("flag", cell) for cell in (b"X", b"y", b"1", b"0")],
        *[
            ("date_ccyymmdd", cell)
            for cell in (
                *(b"20240230", b"20230229", b"19000229", b"20241301", b"20240001", b"20240100", b"20240132"),
                *(b"2024011 ", b" 2024011", b"2024-1-1", b"00000101", b"2024010?", b"99999999", b"20240431"),
            )
        ],
        *[
            ("date_yymmdd", cell)
            for cell in (b"240230", b"230229", b"241301", b"24010 ", b"2401AB", b"240100")
        ],
        *[("month_mmyy", cell) for cell in (b"1324", b"0024", b"09 4", b"A924")],
        *[("time_hhmm", cell) for cell in (b"2400", b"1260", b"12 0", b"9:30", b"130 ", b"AB30")],
        *[
            ("timestamp", cell)
            for cell in (
                *(
                    b"202602300304056",
                    b"202601022404056",
                    b"202601020360056",
                    b"202601020304606",
                    b"20260102030405x",
                ),
                *(
                    b"20260102       ",
                    b"2026010203     ",
                    b"000001010000000",
                    b"2602300304056",
                    b"26010203     ",
                ),
            )
        ],
    ],
)
def test_value_that_does_not_fit_its_kind_is_null_and_reported(kind: str, cell: bytes) -> None:
    assert decode(kind, cell) == ([None], [0])


def test_rows_are_decoded_each_for_itself() -> None:
    cells = (b"00042", b"     ", b"x    ", b"?????", b"   7 ", b"99999")
    assert decode("integer", *cells) == ([42, None, None, None, 7, 99999], [2])


def test_text_rows_are_decoded_each_for_itself() -> None:
    cells = (b"AB ", b"   ", b"\xe9\xe8 ", b"???", b"?  ", b" \x80 ", b"ABC")
    assert decode("text", *cells) == (["AB", None, "éè", None, "?", " €", "ABC"], [])


def test_rows_of_one_byte_are_decoded_each_for_itself() -> None:
    assert decode("code", b"A", b" ", b"\xe9", b"?", b"Z") == (["A", None, "é", None, "Z"], [])


@pytest.mark.parametrize(
    ("pivot", "years"),
    [(50, (2050, 1951, 2000)), (0, (1950, 1951, 2000)), (99, (2050, 2051, 2000)), (49, (1950, 1951, 2000))],
)
def test_pivot_decides_the_century(pivot: int, years: tuple[int, ...]) -> None:
    dates = decode("date_yymmdd", b"500101", b"510101", b"000101", pivot=pivot)[0]
    months = decode("month_mmyy", b"0150", b"0151", b"0100", pivot=pivot)[0]
    times = decode("timestamp", b"5001010000000", b"5101010000000", b"0001010000000", pivot=pivot)[0]
    assert dates == months == [date(year, 1, 1) for year in years]
    assert times == [moment(year, 1, 1) for year in years]


@pytest.mark.parametrize("kind", ["date_ccyymmdd", "timestamp"])
def test_pivot_does_not_touch_years_of_four_digits(kind: str) -> None:
    cell = b"19500101" if kind == "date_ccyymmdd" else b"195001010000000"
    assert [value.year for value in decode(kind, cell, pivot=99)[0]] == [1950]


@pytest.mark.parametrize(
    ("cell", "whole", "parts"),
    [
        ("CSMITH & SONS", "SMITH & SONS", ("C", None, None, None, None, None)),
        (
            f"P{'DR':8}{'ANNA MARIA':27}{'MÜLLER':20}JR",
            f"{'DR':8}{'ANNA MARIA':27}{'MÜLLER':20}JR",
            ("P", "DR", "ANNA MARIA", None, "MÜLLER", "JR"),
        ),
        (
            f"F{'DR':8}{'ANNA':16}{'MARIA':11}{'MÜLLER':20}JR",
            f"{'DR':8}{'ANNA':16}{'MARIA':11}{'MÜLLER':20}JR",
            ("F", "DR", "ANNA", "MARIA", "MÜLLER", "JR"),
        ),
        (
            f"P{'':8}{'ANNA MARIA LUISA CHRISTINE':27}{'MAIER':20}",
            f"{'':8}{'ANNA MARIA LUISA CHRISTINE':27}{'MAIER'}",
            ("P", None, "ANNA MARIA LUISA CHRISTINE", None, "MAIER", None),
        ),
        (f"P{'':8}{'ANNA':27}", f"{'':8}ANNA", ("P", None, "ANNA", None, None, None)),
        (
            f"P{'?' * 8}{'ANNA':27}{'?' * 20}",
            f"{'?' * 8}{'ANNA':27}{'?' * 20}",
            ("P", None, "ANNA", None, None, None),
        ),
        ("X WHATEVER", " WHATEVER", ("X", None, None, None, None, None)),
        (" SMITH", "SMITH", (None, None, None, None, None, None)),
        ("P", None, ("P", None, None, None, None, None)),
        ("", None, (None,) * 6),
        ("?" * 60, None, (None,) * 6),
        ("?SMITH", None, (None,) * 6),
        ("C" + "?" * 59, None, ("C", None, None, None, None, None)),
    ],
)
def test_name_is_split_by_its_format_code(
    cell: str, whole: str | None, parts: tuple[str | None, ...]
) -> None:
    decoded = decode_records(layout_of(("x", 10, 60, "name")), HEADER + cell.encode("latin-1").ljust(60))
    columns = tuple(array.to_pylist()[0] for array in decoded.arrays)
    assert columns == (whole, *parts)
    assert decoded.invalid == ()


def test_names_of_different_formats_are_split_each_by_its_own() -> None:
    cells = [f"P{'':8}{'ANNA':27}{'SMITH':20}", f"F{'':8}{'OTTO':16}{'K':11}{'MAIER':20}", "CFIRM", ""]
    decoded = decode_records(
        layout_of(("x", 10, 60, "name")), *[HEADER + cell.ljust(60).encode() for cell in cells]
    )
    columns = dict(zip(["x", *NAME_PARTS], [array.to_pylist() for array in decoded.arrays], strict=True))
    assert columns["format"] == ["P", "F", "C", None]
    assert columns["first"] == ["ANNA", "OTTO", None, None]
    assert columns["middle"] == [None, "K", None, None]
    assert columns["last"] == ["SMITH", "MAIER", None, None]


NEWER = Element("2XXX", "new", 10, 8, "date_ccyymmdd", element_id="2XXX02")
OLDER = Element("2XXX", "old", 18, 6, "date_yymmdd", element_id="2XXX01", superseded_by="2XXX02")


@pytest.mark.parametrize(
    ("cells", "newer", "older"),
    [
        (b"20240101230202", date(2024, 1, 1), date(2023, 2, 2)),
        (b"        230202", date(2023, 2, 2), date(2023, 2, 2)),
        (b"00000000230202", date(2023, 2, 2), date(2023, 2, 2)),
        (b"????????230202", date(2023, 2, 2), date(2023, 2, 2)),
        (b"20240101      ", date(2024, 1, 1), None),
        (b"              ", None, None),
    ],
)
def test_superseded_value_fills_the_newer_one_where_that_is_null(
    cells: bytes, newer: date | None, older: date | None
) -> None:
    decoded = decode_records(Layout("2XXX", "x", "", (NEWER, OLDER)), HEADER + cells)
    assert [array.to_pylist() for array in decoded.arrays] == [[newer], [older]]


def test_superseded_value_fills_row_by_row() -> None:
    cells = (b"20240101230202", b"        230202", b"20240101      ", b"              ")
    decoded = decode_records(Layout("2XXX", "x", "", (NEWER, OLDER)), *[HEADER + each for each in cells])
    assert decoded.arrays[0].to_pylist() == [date(2024, 1, 1), date(2023, 2, 2), date(2024, 1, 1), None]


def test_superseded_value_that_does_not_fit_fills_nothing() -> None:
    decoded = decode_records(Layout("2XXX", "x", "", (NEWER, OLDER)), HEADER + b"        230230")
    assert [array.to_pylist() for array in decoded.arrays] == [[None], [None]]
    assert [element.name for element, _ in decoded.invalid] == ["old"]


def test_elements_are_decoded_in_their_order() -> None:
    layout = layout_of(
        ("a", 10, 2, "code"), ("b", 12, 3, "integer"), ("unnamed_15", 15, 2, "gap"), ("c", 17, 1, "flag")
    )
    decoded = decode_records(layout, HEADER + b"XY007zzY", HEADER + b"XY0x7  Q")
    assert [array.to_pylist() for array in decoded.arrays] == [
        ["XY", "XY"],
        [7, None],
        ["zz", None],
        [True, None],
    ]
    assert [(element.name, rows.tolist()) for element, rows in decoded.invalid] == [
        ("b", [False, True]),
        ("c", [False, True]),
    ]


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_column_of_nothing_has_the_type_of_its_kind(kind: str) -> None:
    length = LENGTHS.get(kind, 4)
    layout = layout_of(("x", 10, length, kind))
    empty = decode_records(layout, HEADER + b" " * length)
    full = decode_records(layout, HEADER + b"0" * length)
    assert [array.type for array in empty.arrays] == [array.type for array in full.arrays]
    assert all(array.null_count == 1 for array in empty.arrays)


TEXTS = st.text(st.characters(codec="cp1252", exclude_characters="\0"), max_size=12)


def fixed(
    kind: str, length: int, values: st.SearchStrategy[object], scale: int = 0
) -> st.SearchStrategy[object]:
    return st.tuples(st.just((kind, length, scale)), st.lists(values, min_size=1, max_size=20))


PIVOTED = st.dates(date(1951, 1, 1), date(2050, 12, 31))
CASES = st.one_of(
    fixed(
        "text", 12, TEXTS.map(lambda text: text.rstrip(" ")).filter(lambda text: text.strip("?") or not text)
    ),
    fixed("code", 12, TEXTS.map(lambda text: text.rstrip(" ")).filter(lambda text: not text.startswith("?"))),
    fixed("integer", 18, st.integers(0, 10**18 - 1)),
    fixed("integer", 3, st.integers(0, 999)),
    fixed("decimal", 7, st.decimals(0, Decimal("999.9999"), places=4), 4),
    fixed("amount", 19, st.decimals(-(10**16) + 1, 10**16 - 1, places=2), 2),
    fixed("date_ccyymmdd", 8, st.dates()),
    fixed("date_yymmdd", 6, PIVOTED),
    fixed("month_mmyy", 4, PIVOTED.map(lambda day: day.replace(day=1))),
    fixed("time_hhmm", 4, st.times().map(lambda time: f"{time:%H:%M}")),
    fixed(
        "timestamp",
        15,
        st.datetimes().map(lambda at: at.replace(microsecond=at.microsecond // 100_000 * 100_000)),
    ),
    fixed("flag", 1, st.booleans()),
)


@given(CASES)
def test_built_values_are_decoded_as_they_were(case: tuple[tuple[str, int, int], list[object]]) -> None:
    (kind, length, scale), values = case
    layout = Layout("2XXX", "x", "", (Element("2XXX", "x", 10, length, kind, scale),))
    decoded = decode_records(
        layout, *[build_record(Record("2XXX", {"x": value}), layout) for value in values]
    )
    assert decoded.arrays[0].to_pylist() == [None if value == "" else value for value in values]
    assert decoded.invalid == ()


@pytest.mark.parametrize("kind", sorted(KINDS))
@given(data=st.data())
def test_any_bytes_are_decoded_to_a_value_or_null(kind: str, data: st.DataObject) -> None:
    length = LENGTHS.get(kind, 4)
    digits = st.text("0123456789 +-?YN\0é", min_size=length, max_size=length).map(
        lambda text: text.encode("latin-1")
    )
    cells = data.draw(st.lists(digits | st.binary(min_size=length, max_size=length), min_size=1, max_size=8))
    layout = layout_of(("x", 10, length, kind))
    together = decode_records(layout, *[HEADER + cell for cell in cells])
    apart = [decode_records(layout, HEADER + cell) for cell in cells]
    for number, array in enumerate(together.arrays):
        assert array.to_pylist() == [each.arrays[number].to_pylist()[0] for each in apart]
    invalid = together.invalid[0][1].tolist() if together.invalid else [False] * len(cells)
    assert invalid == [bool(each.invalid) for each in apart]
    assert not any(pa.array(invalid).filter(together.arrays[0].is_valid()).to_pylist())

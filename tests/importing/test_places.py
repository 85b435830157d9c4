import pytest

from al3spark.importing.maps import Columns, ImportMap
from al3spark.importing.places import Places, read_number
from al3spark.importing.rows import Entry

RANGES = Columns(start="Pos")
ENDS = Columns(start="From", end="To")
LENGTHS = Columns(start="From", length="Len")
RUNNING = Columns(length="Len")


def place(how: ImportMap, group: str = "5ABC", **cells: str) -> tuple[int, int]:
    return Places(how).read(Entry(1, group, cells))


def complaint(how: ImportMap, **cells: str) -> str:
    with pytest.raises(ValueError, match=r"\S") as caught:
        place(how, **cells)
    return str(caught.value)


@pytest.mark.parametrize(
    "text", ["31-90", " 31 - 90", "31\u201390", "31..90", "31 to 90", "31:90", "31.0-90.0"]
)
def test_range_in_one_column(text: str) -> None:
    assert place(ImportMap(RANGES, 1), start=text.strip()) == (30, 60)


def test_one_position_in_a_column_of_ranges_is_one_byte() -> None:
    assert place(ImportMap(RANGES, 1), start="31") == (30, 1)


def test_start_and_end() -> None:
    assert place(ImportMap(ENDS, 1), start="31", end="90") == (30, 60)
    assert place(ImportMap(ENDS, 0), start="30", end="89") == (30, 60)


def test_end_can_be_the_byte_after_the_last() -> None:
    assert place(ImportMap(ENDS, 0, end_is="next"), start="30", end="90") == (30, 60)


def test_start_and_length() -> None:
    assert place(ImportMap(LENGTHS, 1), start="31", length="60") == (30, 60)
    assert place(ImportMap(LENGTHS, 0), start="30", length="60") == (30, 60)


@pytest.mark.parametrize(("group", "header"), [("5ABC", 30), ("2ABC", 10), ("CVX1", 30)])
def test_positions_can_count_from_the_end_of_the_header(group: str, header: int) -> None:
    assert place(ImportMap(LENGTHS, 1, counts_in="body"), group, start="1", length="4") == (header, 4)
    assert place(ImportMap(ENDS, 0, counts_in="body"), group, start="0", end="3") == (header, 4)


@pytest.mark.parametrize(("counts_in", "first"), [("record", 0), ("body", 30)])
def test_elements_without_a_start_follow_each_other(counts_in: str, first: int) -> None:
    places = Places(ImportMap(RUNNING, counts_in=counts_in))
    found = [places.read(Entry(1, group, {"length": "4"})) for group in ("5ABC", "5ABC", "5DEF", "5ABC")]
    assert found == [(first, 4), (first + 4, 4), (first, 4), (first + 8, 4)]


@pytest.mark.parametrize(
    ("how", "cells", "text"),
    [
        (ImportMap(LENGTHS, 1), {"length": "4"}, "has no start"),
        (ImportMap(LENGTHS, 1), {"start": "31"}, "has neither an end nor a length"),
        (ImportMap(LENGTHS, 1), {"start": "0", "length": "4"}, "starts at 0, but positions count from 1"),
        (ImportMap(LENGTHS, 1), {"start": "31", "length": "0"}, "has length 0"),
        (ImportMap(ENDS, 1), {"start": "31", "end": "29"}, "has length -1"),
        (
            ImportMap(LENGTHS, 1),
            {"start": "31-90", "length": "59"},
            "has length 59, but its positions make 60",
        ),
        (ImportMap(LENGTHS, 1), {"start": "x", "length": "4"}, "has start 'x', which is not a whole number"),
        (
            ImportMap(RANGES, 1),
            {"start": "31-Jan"},
            "has start '31-Jan': a spreadsheet made a date of it, format its column as text",
        ),
    ],
)
def test_place_that_cannot_be_says_why(how: ImportMap, cells: dict[str, str], text: str) -> None:
    assert complaint(how, **cells) == text


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("7", 7),
        ("0007", 7),
        ("12.0", 12),
        ("12,00", 12),
        ("1,024", 1024),
        ("1.024", 1024),
        ("1 024", 1024),
        ("'7", 7),
    ],
)
def test_number_as_spreadsheets_write_it(text: str, number: int) -> None:
    assert read_number("length", text) == number


@pytest.mark.parametrize("text", ["", "-1", "1.5", "4 bytes", "1,02", "IV", "٣"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a whole number"):
        read_number("length", text)

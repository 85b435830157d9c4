from collections.abc import Iterator
from datetime import date

import numpy as np
import pytest

from al3spark.al3.blocks import Block
from al3spark.al3.building import Record, Separator, build_file, build_record, squeeze, transcode
from al3spark.al3.dictionary import Dictionary, Element, Layout
from al3spark.al3.faults import FaultLog
from al3spark.al3.gathering import BATCH_BYTES, Gatherer
from al3spark.al3.records import PADDING, Keys, Window
from al3spark.al3.squeeze import OffsetMap
from tests.al3.samples import Parsed, parse, windows

NOTES = Layout(
    "5NOT",
    "notes",
    "",
    (
        Element("5NOT", "code", 30, 4, "code", element_id="5NOT01"),
        Element("5NOT", "limit", 34, 5, "integer", element_id="5NOT02"),
        Element("5NOT", "day", 39, 8, "date_ccyymmdd"),
        Element("5NOT", "at", 47, 4, "time_hhmm"),
        Element("5NOT", "unnamed_51", 51, 3, "gap"),
        Element("5NOT", "remark", 54, 10, "text"),
        Element("5NOT", "agreed", 64, 1, "flag"),
    ),
)
HEADS = Layout("2TRG", "transactions", "", (Element("2TRG", "function", 10, 3, "code"),))
DICTIONARY = Dictionary((HEADS, NOTES), (), "")
TRG = b"2TRG013   FMG"
BODY = b"ABCD" + b"00042" + b"20240229" + b"2359" + b"gap" + b"REMARK    " + b"Y"
ELEMENTS = ("code", "limit", "day", "at", "unnamed_51", "remark", "agreed")
VALUES = ("ABCD", 42, date(2024, 2, 29), "23:59", "gap", "REMARK", True)


def note(body: bytes, header: bytes = b"   B10001" + b" " * 14, group: bytes = b"5NOT") -> bytes:
    return group + b"%03d" % (30 + len(body)) + header + body


def parse_records(*records: bytes) -> Parsed:
    return parse(TRG + b"".join(records), dictionary=DICTIONARY)


def test_record_becomes_a_row_of_its_table() -> None:
    parsed = parse_records(note(BODY))
    assert parsed.rows("notes", *ELEMENTS) == [VALUES]
    assert parsed.rows("notes", "extra_bytes") == [(None,)]
    assert parsed.rows("transactions", "function") == [("FMG",)]
    assert parsed.faults() == []


LEADING = (
    *("record_offset", "record_length", "message_offset", "transaction_offset", "parent_offset"),
    *("group_version", "processing_level", "iteration", "parent_group", "parent_level", "parent_iteration"),
    "header_flags",
)


def test_header_becomes_the_leading_columns() -> None:
    records = [
        build_record(Record("5NOT", level="B1", iteration=1, version="8", parent=("5BIS", "F2", 7)), NOTES),
        build_record(Record("5NOT"), NOTES),
    ]
    parsed = parse_records(*records)
    assert parsed.rows("notes", *LEADING) == [
        (13, 65, None, 0, None, "8", "B1", 1, "5BIS", "F2", 7, None),
        (78, 65, None, 0, None, None, None, None, None, None, None, None),
    ]


def test_control_group_has_no_level_iteration_or_parent_whatever_its_bytes() -> None:
    longer = b"2TRG030 8 FMG" + b"B" * 17
    parsed = parse(longer, dictionary=DICTIONARY)
    assert parsed.rows("transactions", *LEADING[5:]) == [("8", *[None] * 6)]
    assert parsed.rows("transactions", "extra_bytes") == [(b"B" * 17,)]


@pytest.mark.parametrize(
    ("header", "flags"),
    [
        (b"   B10001" + b" " * 14, None),
        (b"x  B10001" + b" " * 14, "x"),
        (b"  yB10001" + b" " * 14, " y"),
        (b"   B10001" + b" " * 10 + b"C   ", "  C"),
        (b"a bB10001" + b" " * 10 + b"cdef", "abcdef"),
        (b"\0\0\0B10001" + b"\0" * 14, None),
        (b"   B10001" + b" " * 12 + b"\r\n", "    \r\n"),
    ],
)
def test_header_flags_are_the_bytes_that_are_blank_in_every_source(header: bytes, flags: str | None) -> None:
    assert parse_records(note(BODY, header)).rows("notes", "header_flags") == [(flags,)]


def test_header_ends_with_its_own_bytes_though_they_look_like_a_line_end() -> None:
    parsed = parse_records(note(b"", b"   B10001" + b" " * 12 + b"\r\n"))
    assert parsed.rows("notes", "header_flags", "extra_bytes") == [("    \r\n", None)]


def test_nul_is_a_blank_in_header_and_values() -> None:
    header = b"\0\0\0B1\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
    parsed = parse_records(note(BODY.replace(b" ", b"\0").replace(b"00042", b"42\0\0\0"), header))
    assert parsed.rows("notes", *ELEMENTS) == [VALUES]
    assert parsed.rows("notes", *LEADING[4:]) == [(None, None, "B1", None, None, None, None, None)]
    assert parsed.faults() == []


@pytest.mark.parametrize(
    ("header", "element", "offset"),
    [
        (b"   B100x1" + b" " * 14, "iteration", 25),
        (b"   B1-001" + b" " * 14, "iteration", 25),
        (b"   B10001" + b"5BISB1?001    ", "parent_iteration", 35),
    ],
)
@pytest.mark.parametrize("group", [b"5NOT", b"5ZZZ"])
def test_iteration_that_is_no_number_is_null_and_reported(
    header: bytes, element: str, offset: int, group: bytes
) -> None:
    parsed = parse_records(note(BODY, header, group))
    table = "notes" if group == b"5NOT" else "unmapped_groups"
    assert parsed.rows(table, element) == [(None,)]
    columns = ("code", "group_code", "element", "record_offset", "byte_offset", "byte_length")
    assert ("VALUE_INVALID", group.decode(), element, 13, offset, 4) in parsed.rows("errors", *columns)


@pytest.mark.parametrize("count", range(len(ELEMENTS) + 1))
def test_record_may_end_after_any_element(count: int) -> None:
    end = [30, 34, 39, 47, 51, 54, 64, 65][count]
    parsed = parse_records(note(BODY[: end - 30]))
    assert parsed.rows("notes", *ELEMENTS) == [VALUES[:count] + (None,) * (7 - count)]
    assert parsed.faults() == []


@pytest.mark.parametrize(
    ("end", "element", "values"),
    [
        (32, "code", ("AB", *[None] * 6)),
        (35, "limit", ("ABCD", *[None] * 6)),
        (38, "limit", ("ABCD", *[None] * 6)),
        (40, "day", ("ABCD", 42, *[None] * 5)),
        (46, "day", ("ABCD", 42, *[None] * 5)),
        (48, "at", (*VALUES[:3], *[None] * 4)),
        (50, "at", (*VALUES[:3], *[None] * 4)),
        (57, "remark", (*VALUES[:5], "REM", None)),
    ],
)
def test_record_that_ends_inside_an_element_keeps_text_only_and_is_reported(
    end: int, element: str, values: tuple[object, ...]
) -> None:
    parsed = parse_records(note(BODY[: end - 30]), note(BODY))
    assert parsed.rows("notes", *ELEMENTS) == [values, VALUES]
    start = next(each.start for each in NOTES.elements if each.name == element)
    columns = ("code", "group_code", "element", "record_offset", "byte_offset", "byte_length", "raw")
    assert parsed.rows("errors", *columns) == [
        ("GROUP_TOO_SHORT", "5NOT", element, 13, 13 + start, end - start, None)
    ]


def test_record_that_ends_inside_a_gap_is_no_fault() -> None:
    parsed = parse_records(note(BODY[:22]))
    assert parsed.rows("notes", *ELEMENTS) == [(*VALUES[:4], "g", None, None)]
    assert parsed.faults() == []


@pytest.mark.parametrize(
    ("after", "extra"),
    [
        (b"more", b"more"),
        (b"    ", b"    "),
        (b"\r\n", None),
        (b"\n", None),
        (b"\r", None),
        (b"more\r\n", b"more"),
        (b"more\n", b"more"),
        (b"\r\nmore", b"\r\nmore"),
        (b"\n\r\n", b"\n"),
        (b"\xfa\xe9\0", b"\xfa\xe9\0"),
    ],
)
def test_bytes_beyond_the_layout_are_kept_but_for_a_line_end(after: bytes, extra: bytes | None) -> None:
    parsed = parse_records(note(BODY + after), note(BODY))
    assert parsed.rows("notes", "record_length", "extra_bytes") == [(65 + len(after), extra), (65, None)]
    assert parsed.rows("notes", *ELEMENTS) == [VALUES, VALUES]


@pytest.mark.parametrize("count", range(len(ELEMENTS) + 1))
def test_line_end_inside_the_length_is_no_part_of_an_element(count: int) -> None:
    end = [30, 34, 39, 47, 51, 54, 64, 65][count]
    parsed = parse_records(note(BODY[: end - 30] + b"\r\n"))
    assert parsed.rows("notes", *ELEMENTS) == [VALUES[:count] + (None,) * (7 - count)]
    assert parsed.rows("notes", "record_length", "extra_bytes") == [(end + 2, None)]
    assert parsed.faults() == []


def test_group_without_a_layout_is_kept_whole() -> None:
    header = b" 8 B10001" + b"5NOTF20002    "
    parsed = parse_records(note(b"any\0 thing\r\n", header, b"CVH1"), note(b"", group=b"9XYZ"))
    assert parsed.rows("unmapped_groups", "group_code", "raw") == [
        ("CVH1", note(b"any\0 thing\r\n", header, b"CVH1")),
        ("9XYZ", note(b"", group=b"9XYZ")),
    ]
    assert parsed.rows("unmapped_groups", *LEADING[5:]) == [
        ("8", "B1", 1, "5NOT", "F2", 2, None),
        (None, "B1", 1, None, None, None, None),
    ]


def test_control_group_without_a_layout_has_a_short_header() -> None:
    parsed = parse_records(b"2ABC040 5 " + b"B10001" + b"5BISB10001abcd    " + b"rest..")
    assert parsed.rows("unmapped_groups", *LEADING[5:]) == [("5", *[None] * 6)]


def test_record_cut_off_by_the_end_of_the_file_is_kept_as_it_is() -> None:
    parsed = parse_records(note(BODY), note(BODY)[:40])
    assert parsed.rows("notes", "record_offset") == [(13,)]
    assert parsed.rows("unmapped_groups", "group_code", "record_offset", "record_length", "raw") == [
        ("5NOT", 78, 65, note(BODY)[:40])
    ]


@pytest.mark.parametrize(
    ("left", "columns"),
    [
        (8, (None, None, None, None, None, None)),
        (9, ("8", None, None, None, None, None)),
        (11, ("8", None, None, None, None, None)),
        (14, ("8", "B1", None, None, None, None)),
        (19, ("8", "B1", 1234, None, None, None)),
        (25, ("8", "B1", 1234, None, None, None)),
        (26, ("8", "B1", 1234, "5NOT", "F2", 5678)),
    ],
)
def test_header_field_that_the_end_of_the_file_cuts_is_null_and_no_fault(
    left: int, columns: tuple[object, ...]
) -> None:
    first = note(BODY, b" 8 F25678" + b" " * 14)
    last = note(BODY, b" 8 B11234" + b"5NOTF25678    ")
    parsed = parse_records(first, last[:left])
    assert parsed.rows("unmapped_groups", *LEADING[5:-1]) == [columns]
    assert parsed.rows("unmapped_groups", "parent_offset") == [(13 if left >= 26 else None,)]
    assert parsed.faults() == [("RECORD_TRUNCATED", 78)]


WRONG = note(BODY.replace(b"00042", b"4 x2 ").replace(b"20240229", b"20240230"))
COLUMNS = ("code", "message", "group_code", "element", "element_id", "byte_offset", "byte_length", "raw")


def test_value_that_does_not_fit_is_reported_with_its_place_and_shape() -> None:
    parsed = parse_records(note(BODY), WRONG)
    assert parsed.rows("notes", "limit", "day") == [(42, date(2024, 2, 29)), (None, None)]
    assert parsed.rows("errors", *COLUMNS) == [
        ("VALUE_INVALID", "is no integer", "5NOT", "limit", "5NOT02", 112, 5, "9 A9 "),
        ("VALUE_INVALID", "is no date_ccyymmdd", "5NOT", "day", None, 117, 8, "99999999"),
    ]
    assert parsed.rows("errors", "record_offset", "severity") == [(78, "error"), (78, "error")]


def test_place_of_a_value_is_one_of_the_original_file() -> None:
    squeezed = squeeze(TRG + note(BODY) + WRONG + note(BODY) * 3)
    for size in (30, 1000):
        parsed = parse(windows(squeezed, size), dictionary=DICTIONARY)
        places = [each[-3] for each in parsed.rows("errors", *COLUMNS)]
        assert [squeezed[at : at + 4] for at in places] == [b"4 x2", b"2024"]
    parsed = parse(transcode(TRG + note(BODY.replace(b"REM", b"R\xc9M")) + WRONG), dictionary=DICTIONARY)
    assert [each[-3:-1] for each in parsed.rows("errors", *COLUMNS)] == [(113, 5), (118, 8)]


@pytest.mark.parametrize("separator", list(Separator))
def test_separators_do_not_change_values(separator: Separator) -> None:
    values = dict(zip(ELEMENTS, VALUES, strict=True))
    built = build_file([Record("2TRG"), Record("5NOT", values)] * 3, DICTIONARY, separator)
    parsed = parse(built, dictionary=DICTIONARY)
    assert parsed.rows("notes", *ELEMENTS, "extra_bytes") == [(*VALUES, None)] * 3
    assert parsed.faults() == []


def keys(count: int, files: int = 0, maps: int = 0) -> Keys:
    numbers = np.arange(count)
    nothing = np.full(count, -1)
    lengths = np.full(count, 65)
    return Keys(
        np.full(count, files),
        numbers,
        lengths,
        nothing,
        nothing,
        nothing,
        numbers,
        np.full(count, maps),
        nothing,
    )


def add_notes(gatherer: Gatherer, count: int, file: int = 0) -> Iterator[Block]:
    record = note(BODY)
    window = Window(record * count + PADDING)
    sizes = np.full(count, len(record))
    number = gatherer.misfits.add_map(OffsetMap(*[np.zeros(1, np.int64)] * 4))
    yield from gatherer.add(b"5NOT", window, np.arange(count) * 65, sizes, keys(count, file, number))


def test_small_files_share_a_batch() -> None:
    gatherer = Gatherer(DICTIONARY, FaultLog(), file_ids=["a", "b", "c"])
    blocks = [block for file in (0, 2) for block in add_notes(gatherer, 3 + file, file)]
    assert blocks == []
    (block,) = gatherer.flush()
    assert (block.table, block.rows_by_file) == ("notes", ((0, 3), (2, 5)))
    assert block.batch["file_id"].to_pylist() == ["a"] * 3 + ["c"] * 5
    assert list(gatherer.flush()) == []


def test_batches_are_of_bounded_size_and_hold_every_row_in_order() -> None:
    gatherer = Gatherer(DICTIONARY, FaultLog(), file_ids=["a"])
    blocks = [block for _ in range(5) for block in add_notes(gatherer, 7000)]
    assert [block.batch.num_rows for block in blocks] == [8192, 8192, 8192, 8192]
    blocks += gatherer.flush()
    assert sum(block.batch.num_rows for block in blocks) == 35000
    offsets = [offset for block in blocks for offset in block.batch["record_offset"].to_pylist()]
    assert offsets == list(range(7000)) * 5
    assert gatherer._pending_bytes == 0


def test_bytes_beyond_the_layout_stay_with_their_record_over_batches() -> None:
    records = [note(BODY + b"%d" % number) if number % 3 else note(BODY) for number in range(20000)]
    parsed = parse(windows(TRG + b"".join(records), 100_000), dictionary=DICTIONARY)
    extras = [extra for _, extra in sorted(parsed.rows("notes", "record_offset", "extra_bytes"))]
    assert extras == [b"%d" % number if number % 3 else None for number in range(20000)]


def test_rows_of_wide_groups_come_in_smaller_batches() -> None:
    elements = [Element("5WID", f"e{start}", start, 3, "amount", 2) for start in range(30, 999, 3)]
    gatherer = Gatherer(
        Dictionary((Layout("5WID", "wide", "", tuple(elements)),), (), ""), FaultLog(), file_ids=["a"]
    )
    window = Window(b"5WID999" + b" " * 992 + PADDING)
    number = gatherer.misfits.add_map(OffsetMap(*[np.zeros(1, np.int64)] * 4))
    positions, sizes = np.zeros(2000, np.int64), np.full(2000, 999)
    blocks = list(gatherer.add(b"5WID", window, positions, sizes, keys(2000, 0, number)))
    assert blocks
    assert all(block.batch.nbytes <= 1.5 * BATCH_BYTES for block in blocks)


def test_unmapped_records_come_in_batches_of_bounded_size() -> None:
    gatherer = Gatherer(DICTIONARY, FaultLog(), file_ids=["a"])
    window = Window(b"5ZZZ999" + b" " * 992 + PADDING)
    number = gatherer.misfits.add_map(OffsetMap(*[np.zeros(1, np.int64)] * 4))
    positions, sizes = np.zeros(1000, np.int64), np.full(1000, 999)
    counts = [
        sum(
            block.batch.num_rows
            for block in gatherer.add_unmapped(window, positions, sizes, keys(1000, 0, number))
        )
        for _ in range(10)
    ]
    assert counts == [0, 0, 0, 0, 5000, 0, 0, 0, 0, 5000]


def test_too_much_that_waits_is_given_out_between_windows() -> None:
    gatherer = Gatherer(DICTIONARY, FaultLog(), file_ids=["a"])
    assert list(add_notes(gatherer, 10)) == []
    assert list(gatherer.relieve()) == []
    gatherer.misfits.add_map(OffsetMap(*[np.zeros(3 << 20, np.int64)] * 4))
    assert [block.batch.num_rows for block in gatherer.relieve()] == [10]
    assert list(gatherer.relieve()) == []


def test_window_cuts_padded_rows_out() -> None:
    window = Window(b"abc\0efg" + PADDING, has_nuls=True)
    rows = window.matrix(np.array([0, 2, 6]), 4)
    assert [row.tobytes() for row in rows] == [b"abc ", b"c ef", b"g   "]

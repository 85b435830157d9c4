import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from al3spark.al3.building import Record, Separator, build_file, build_record, squeeze, transcode
from al3spark.al3.dictionary import Element, Layout
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import Form
from al3spark.al3.totals import FileTotals
from tests.al3.samples import DICTIONARY, Parsed, as_sets, cut, message, of_file, parse, windows

ROOT = Path(__file__).parents[2]

# Names as they are given to the builder -> the seven columns that come back.
NAMES = (
    ("SMITH & SONS", ("SMITH & SONS", "C", None, None, None, None, None)),
    ("X" * 59, ("X" * 59, "C", None, None, None, None, None)),
    (
        {"format": "P", "prefix": "DR", "first": "ANNA", "middle": "B", "last": "MÜLLER", "suffix": "III"},
        (f"{'DR':8}{'ANNA B':27}{'MÜLLER':20}III", "P", "DR", "ANNA B", None, "MÜLLER", "III"),
    ),
    (
        {
            "format": "F",
            "prefix": "P" * 8,
            "first": "F" * 16,
            "middle": "M" * 11,
            "last": "L" * 20,
            "suffix": "S" * 4,
        },
        (
            "P" * 8 + "F" * 16 + "M" * 11 + "L" * 20 + "S" * 4,
            *("F", "P" * 8, "F" * 16, "M" * 11, "L" * 20, "S" * 4),
        ),
    ),
    ({"format": "X", "whole": " as it is"}, (" as it is", "X", None, None, None, None, None)),
    (None, (None,) * 7),
)


def texts(length: int) -> tuple[object, ...]:
    return ("X" * length, "é", "0", "A B"[:length].rstrip(), " A"[-length:], "€", None)


def whole_numbers(length: int) -> tuple[int | None, ...]:
    return (0, 10**length - 1, 7, 10 ** (length - 1), None)


def values_of(element: Element) -> tuple[object, ...]:
    """Values of one element, its edges among them."""
    most, least = Decimal(10 ** (element.length - 1) - 1), Decimal(1).scaleb(-element.scale)
    by_kind: dict[str, tuple[object, ...]] = {
        "integer": whole_numbers(element.length),
        "decimal": (Decimal(10**element.length - 1).scaleb(-element.scale), least, Decimal(0), None),
        "amount": (
            most.scaleb(-element.scale),
            -most.scaleb(-element.scale),
            least,
            -least,
            Decimal(0),
            None,
        ),
        "flag": (True, False, None),
        "date_yymmdd": (date(1951, 1, 1), date(2050, 12, 31), date(2000, 2, 29), date(1999, 10, 9), None),
        "date_ccyymmdd": (date(1, 1, 1), date(9999, 12, 31), date(2000, 2, 29), date(1969, 12, 31), None),
        "month_mmyy": (date(1951, 1, 1), date(2050, 12, 1), date(2000, 10, 1), None),
        "time_hhmm": ("00:00", "23:59", "09:05", None),
        "timestamp": (*map(datetime.fromisoformat, ("1951-01-01", "2050-12-31T23:59:59.900")), None),
    }
    return by_kind.get(element.kind, texts(element.length))


def records_of(layout: Layout) -> Iterator[tuple[Record, dict[str, object]]]:
    """Records of one group, with the columns that must come back; every value of every element is in them."""
    for number in range(14):
        values: dict[str, object] = {}
        columns: dict[str, object] = {}
        for place, element in enumerate(layout.elements):
            if element.kind == "name":
                values[element.name], parts = NAMES[(number + place) % len(NAMES)]
                columns |= dict(zip(element.columns, parts, strict=True))
            else:
                choices = values_of(element)
                values[element.name] = columns[element.name] = choices[(number + place) % len(choices)]
        for newer, older in layout.replacements:
            new, old = layout.elements[newer].name, layout.elements[older].name
            columns[new] = columns[old] if columns[new] is None else columns[new]
        yield Record(layout.group, values), columns


@pytest.mark.parametrize("layout", DICTIONARY.layouts, ids=lambda layout: layout.group)
def test_built_values_of_every_element_of_the_dictionary_come_back(layout: Layout) -> None:
    records = list(records_of(layout))
    parsed = parse(build_file([record for record, _ in records], DICTIONARY))
    names = [column for element in layout.elements for column in element.columns]
    expected = [tuple(columns[name] for name in names) for _, columns in records]
    assert parsed.rows(layout.table, *names) == expected
    assert not [code for code, _ in parsed.faults() if code in ("VALUE_INVALID", "GROUP_TOO_SHORT")]
    assert parsed.totals[0].imbalance == ""


@pytest.mark.parametrize("layout", DICTIONARY.layouts, ids=lambda layout: layout.group)
def test_every_group_of_the_dictionary_may_end_after_any_element(layout: Layout) -> None:
    ends = [element.end for element in layout.elements]
    name = {"format": "P", "first": "ANNA", "last": "SMITH"}
    full = {
        element.name: name if element.kind == "name" else values_of(element)[1 if element.length < 2 else 0]
        for element in layout.elements
    }
    records = [
        Record(
            layout.group,
            {each.name: full[each.name] for each in layout.elements if each.end <= end},
            length=end,
        )
        for end in ends
    ]
    parsed = parse(build_file(records, DICTIONARY))
    assert [code for code, _ in parsed.faults() if code in ("VALUE_INVALID", "GROUP_TOO_SHORT")] == []
    newer = {layout.elements[each].name for each, _ in layout.replacements}
    for element in layout.elements:
        present = [value is not None for (value,) in parsed.rows(layout.table, element.name)]
        if element.name not in newer:
            assert present == [element.end <= end for end in ends]


@pytest.mark.parametrize("group", ["2TRG", "5BIS", "5BPI", "6CVA", "9BIS"])
def test_header_fields_come_back(group: str) -> None:
    layout = DICTIONARY.layout(group)
    assert layout is not None
    control = group == "2TRG"
    header = {} if control else {"level": "W1", "iteration": 1001, "parent": ("5VEH", "R1", 9999)}
    built = build_record(Record(group, version="D", **header), layout)
    names = (
        "group_version",
        "processing_level",
        "iteration",
        "parent_group",
        "parent_level",
        "parent_iteration",
    )
    expected = ("D", *[None] * 5) if control else ("D", "W1", 1001, "5VEH", "R1", 9999)
    assert parse(built).rows(layout.table, *names) == [expected]


FILE = build_file(message(range(1, 4), vehicles=2), DICTIONARY)


def without_offsets(parsed: Parsed) -> dict[str, list[tuple[object, ...]]]:
    """All tables but for what differs between two codings of one file."""
    tables = {}
    for table, rows in parsed.tables.items():
        same = [each for each in rows.column_names if not each.endswith("_offset") and each != "byte_length"]
        tables[table] = rows.select(same)
    return as_sets(Parsed(tables, ()))


def test_sample_file_is_free_of_faults_but_for_its_unknown_group() -> None:
    parsed = parse(FILE)
    assert [code for code, _ in parsed.faults()] == ["GROUP_UNMAPPED"]
    assert {table: rows.num_rows for table, rows in parsed.tables.items()} == {
        "auto_coverages": 12,
        "errors": 1,
        "insured_addresses": 3,
        "insureds": 3,
        "locations": 3,
        "message_trailers": 1,
        "messages": 1,
        "policies": 3,
        "transactions": 3,
        "unmapped_groups": 6,
        "vehicles": 6,
    }


def test_children_join_their_parents_by_offset() -> None:
    parsed = parse(FILE)
    vehicles = dict(parsed.rows("vehicles", "record_offset", "iteration"))
    premiums = parsed.rows("auto_coverages", "parent_offset", "parent_iteration", "full_term_premium")
    assert all(vehicles[offset] == iteration for offset, iteration, _ in premiums)
    assert [premium for _, _, premium in premiums] == [Decimal("0.25"), None, Decimal("0.50"), None] * 3
    insureds = dict(parsed.rows("insureds", "record_offset", "insureds_name_last"))
    owners = parsed.rows("policies", "parent_offset", "policy_number")
    assert [(insureds[offset], number) for offset, number in owners] == [
        ("SMITH", "P0000001"),
        ("MÜLLER", "P0000002"),
        ("SMITH", "P0000003"),
    ]
    assert parsed.rows("policies", "policy_effective_date") == [(date(2024, 2, 29),)] * 3


CODED = {
    "FA": squeeze(FILE),
    "B3": squeeze(FILE, b"\xb3"),
    "transcoded": transcode(FILE),
    "C3 BA": transcode(squeeze(FILE)),
    "C2 B3": transcode(squeeze(FILE, b"\xb3")),
    "C3 BA in latin-1": squeeze(FILE, b"\xc3\xba"),
}


@pytest.mark.parametrize("form", sorted(CODED))
@pytest.mark.parametrize("size", [100, 1 << 30])
def test_coded_file_gives_the_rows_of_the_plain_one(form: str, size: int) -> None:
    assert without_offsets(parse(windows(CODED[form], size))) == without_offsets(parse(FILE))


@pytest.mark.parametrize("form", sorted(CODED))
def test_record_offset_is_where_the_record_lies_in_the_stored_file(form: str) -> None:
    stored = CODED[form]
    parsed = parse(stored)
    for table, designator, count in (
        ("transactions", b"2TRG", 3),
        ("vehicles", b"5VEH", 6),
        ("messages", b"1MHG", 1),
    ):
        places = {offset for (offset,) in parsed.rows(table, "record_offset")}
        assert len(places) == count
        assert {stored[at : at + 4] for at in places} == {designator}


@pytest.mark.parametrize("separator", list(Separator))
def test_separator_habit_changes_no_value(separator: Separator) -> None:
    built = build_file(message(range(1, 4), vehicles=2), DICTIONARY, separator)
    parsed, plain = parse(built), parse(FILE)
    for table in ("insureds", "policies", "vehicles", "auto_coverages"):
        names = [field.name for field in plain.tables[table].schema][13:]
        assert parsed.rows(table, *names) == plain.rows(table, *names)
    assert [code for code, _ in parsed.faults()] == ["GROUP_UNMAPPED"]


def test_run_may_cross_the_border_of_two_records() -> None:
    first = b"5AAA050" + b" " * 23 + b"x" + b" " * 19
    second = b"00AB020   0000000000"
    records = b"2TRG010   " + first + b" " * 30 + b"5AAA050" + b" " * 23 + b"0" * 20 + second + second
    squeezed = squeeze(records)
    assert squeezed.count(b"\xfa31 ") == 1
    assert b"\xfa160AB" in squeezed
    assert parse(squeezed).rows("unmapped_groups", "raw") == parse(records).rows("unmapped_groups", "raw")
    offsets = [offset for (offset,) in parse(squeezed).rows("unmapped_groups", "record_offset")]
    assert len(set(offsets)) == 4
    assert parse(squeezed).totals[0].imbalance == ""


DAMAGED = (
    b"\xef\xbb\xbf"
    + squeeze(FILE[:365] + b"2TRG003 garbage" + FILE[365:3000])
    + b"\0\r\n"
    + FILE
    + b"\x1a"
    + transcode(FILE[:700])
)


@pytest.mark.parametrize("size", [1, 7, 64, 4096])
def test_windows_do_not_change_rows_and_faults(size: int) -> None:
    whole = parse(DAMAGED)
    assert {"BYTES_UNREADABLE", "LENGTH_INVALID", "TRANSACTION_UNCERTAIN"} <= {
        code for code, _ in whole.faults()
    }
    piecemeal = parse(windows(DAMAGED, size))
    assert as_sets(piecemeal) == as_sets(whole)
    assert piecemeal.totals == whole.totals


CORPUS = [
    FILE,
    *CODED.values(),
    DAMAGED,
    b"",
    b"no AL3 at all",
    FILE[:-300],
    *(
        build_file(message([4, 5], unit, vehicles=30), DICTIONARY, each)
        for each in Separator
        for unit in "12"
    ),
]


def test_windows_of_4_kib_and_of_64_mib_give_equal_tables() -> None:
    small = parse(*[windows(file, 4 << 10) for file in CORPUS])
    large = parse(*[windows(file, 64 << 20) for file in CORPUS])
    assert as_sets(small) == as_sets(large)
    assert small.totals == large.totals


def test_files_parsed_together_or_apart_give_equal_tables() -> None:
    together = parse(*CORPUS)
    for number, file in enumerate(CORPUS):
        assert of_file(together, f"f{number}") == of_file(parse(file, name="g"), "g0")


def test_order_of_the_files_does_not_change_their_rows() -> None:
    forward, backward = parse(*CORPUS), parse(*reversed(CORPUS))
    for number in range(len(CORPUS)):
        assert of_file(forward, f"f{number}") == of_file(backward, f"f{len(CORPUS) - 1 - number}")


def test_parse_gives_equal_blocks_every_time() -> None:
    def blocks() -> list[tuple[str, object, object]]:
        parser = SplitParser(DICTIONARY)
        every = [block for file in CORPUS for block in parser.parse("f", "f", Form(), windows(file, 5000))]
        return [(block.table, block.batch, block.rows_by_file) for block in (*every, *parser.flush())]

    assert blocks() == blocks()


def test_totals_tell_what_became_of_a_file() -> None:
    built = build_file(message([1]), DICTIONARY, Separator.CRLF) + b"garbage\xff"
    (totals,) = parse(squeeze(built)).totals
    assert totals.size == len(squeeze(built))
    assert totals.expanded_size == len(built)
    assert totals.separator_bytes == 22
    assert totals.unreadable_bytes == 8
    assert totals.record_bytes == len(built) - 30
    assert totals.literal_bytes + totals.run_bytes == len(built)
    assert totals.literal_bytes + totals.coded_bytes == totals.size
    assert (totals.messages, totals.transactions, totals.records, totals.rows) == (1, 1, 11, 11)
    assert dict(totals.fault_counts) == {"BYTES_UNREADABLE": 1, "GROUP_UNMAPPED": 1}
    assert (totals.faults, totals.failed, totals.imbalance) == (2, "", "")


@pytest.mark.parametrize(
    ("totals", "imbalance"),
    [
        (FileTotals("", "", size=3, expanded_size=3, literal_bytes=3, record_bytes=3, records=1, rows=1), ""),
        (
            FileTotals("", "", size=3, literal_bytes=1, coded_bytes=1, expanded_size=1, record_bytes=1),
            "stored bytes: 2 of 3",
        ),
        (FileTotals("", "", expanded_size=3, record_bytes=3), "expanded bytes: 0 of 3"),
        (
            FileTotals(
                "", "", size=9, literal_bytes=9, expanded_size=9, separator_bytes=1, unreadable_bytes=2
            ),
            "covered bytes: 3 of 9",
        ),
        (FileTotals("", "", records=2, rows=1), "rows: 1 of 2"),
        (FileTotals("", "", records=2, size=1), "stored bytes: 0 of 1; rows: 0 of 2"),
    ],
)
def test_imbalance_says_which_sum_does_not_add_up(totals: FileTotals, imbalance: str) -> None:
    assert totals.imbalance == imbalance


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "FILE_EMPTY"),
        (b"Dear reader, this is no AL3 file.\n", "FILE_NOT_AL3"),
        (b"HELLO WORLD 1234", "FILE_NOT_AL3"),
        (b"0123456789" * 100, "FILE_NOT_AL3"),
        (b"\r\n \0", "FILE_NOT_AL3"),
        (b"PK\x03\x04" + bytes(range(256)), "FILE_NOT_AL3"),
        ("Sehr geehrte Damen und Herren, dies ist kein Vertrag über 100 €".encode(), "FILE_NOT_AL3"),
        (b"\xef\xbb\xbf", "FILE_NOT_AL3"),
    ],
)
def test_file_that_is_none_is_one_fault_and_no_row(data: bytes, code: str) -> None:
    parsed = parse(data)
    assert set(parsed.tables) == {"errors"}
    assert parsed.rows("errors", "code", "file_id", "file_path", "record_offset") == [
        (code, "f0", "f0", None)
    ]
    (totals,) = parsed.totals
    assert (totals.failed, totals.records, totals.size, totals.imbalance) == (code, 0, len(data), "")


def test_file_that_could_not_be_read_is_a_fault_of_its_own() -> None:
    parser = SplitParser(DICTIONARY)
    list(parser.parse("good", "id0", Form(), [FILE]))
    parser.fail("bad", "id1", "FILE_UNREADABLE", "permission denied")
    errors = [block.batch for block in parser.flush() if block.table == "errors"]
    (row,) = [row for batch in errors for row in batch.to_pylist() if row["code"] == "FILE_UNREADABLE"]
    assert (row["file_id"], row["file_path"], row["message"]) == ("id1", "bad", "permission denied")
    assert [(totals.path, totals.failed) for totals in parser.totals()] == [
        ("good", ""),
        ("bad", "FILE_UNREADABLE"),
    ]


def test_file_that_changed_while_it_was_read_fails_with_the_rows_it_has() -> None:
    def broken() -> Iterator[bytes]:
        yield FILE[:3000]
        raise OSError("no such device")

    parser = SplitParser(DICTIONARY)
    with pytest.raises(OSError, match="no such device"):
        list(parser.parse("f", "id", Form(), broken()))
    parser.fail("f", "id", "FILE_CHANGED", "it changed", retryable=True)
    rows = sum(block.batch.num_rows for block in parser.flush() if block.table != "errors")
    (totals,) = parser.totals()
    assert (totals.failed, totals.rows) == ("FILE_CHANGED", rows)
    assert rows > 0


@pytest.mark.parametrize("left", [7, 30, 100])
def test_truncated_last_record_is_kept_and_reported(left: int) -> None:
    data = FILE[:161] + FILE[161 : 161 + left]
    parsed = parse(data)
    assert parsed.rows("unmapped_groups", "group_code", "record_length", "raw") == [("2TRG", 204, data[161:])]
    columns = ("code", "group_code", "record_offset", "byte_offset", "byte_length")
    assert ("RECORD_TRUNCATED", "2TRG", 161, 161, left) in parsed.rows("errors", *columns)
    assert "GROUP_UNMAPPED" not in dict(parsed.faults())
    assert parsed.totals[0].imbalance == ""


def test_truncated_record_of_a_squeezed_file_has_original_places() -> None:
    data = squeeze(FILE)[:150]
    parsed = parse(data)
    ((offset, length),) = parsed.rows_of("RECORD_TRUNCATED", "byte_offset", "byte_length")
    assert (offset + length, data[offset : offset + 4]) == (150, b"5BPI")


def test_unknown_group_is_one_fault_with_its_count() -> None:
    columns = ("code", "group_code", "record_offset", "message")
    text = "the dictionary does not describe this group: 6 records are kept in unmapped_groups"
    for size in (50, 1 << 20):
        errors = parse(windows(FILE, size)).rows("errors", *columns)
        assert errors == [("GROUP_UNMAPPED", "5ZZZ", FILE.index(b"5ZZZ"), text)]


def test_unreadable_bytes_are_one_fault_with_their_place() -> None:
    data = FILE[:161] + b"garbage" + FILE[161:]
    columns = ("record_offset", "byte_offset", "byte_length", "group_code", "raw")
    for size in (1, 50, 1 << 20):
        assert parse(windows(data, size)).rows_of("BYTES_UNREADABLE", *columns) == [
            (None, 161, 7, None, None)
        ]


@pytest.mark.parametrize("size", [100, 1 << 20])
@pytest.mark.parametrize(("at", "byte"), [(0, b"5"), (0, b"3"), (1, b"X"), (2, b"B"), (3, b"O")])
def test_broken_designator_of_a_transaction_leaves_no_row_under_the_one_before(
    at: int, byte: bytes, size: int
) -> None:
    place = FILE.index(b"2TRG", 400)
    parsed = parse(windows(FILE[: place + at] + byte + FILE[place + at + 1 :], size))
    next_one = FILE.index(b"2TRG", place + 1)
    rows = [
        row
        for table in parsed.tables
        if table != "errors"
        for row in parsed.rows(table, "record_offset", "transaction_offset")
    ]
    assert {transaction for offset, transaction in rows if place <= offset < next_one} == {None}
    assert ("TRANSACTION_UNCERTAIN", place) in parsed.faults()


@pytest.mark.parametrize("size", [100, 1 << 20])
def test_record_that_swallows_a_transaction_leaves_no_row_under_the_one_before(size: int) -> None:
    place = FILE.index(b"2TRG", 400)
    swallower = FILE.rindex(b"6CVA", 0, place)
    parsed = parse(windows(FILE[:swallower] + b"6CVA445" + FILE[swallower + 7 :], size))
    next_one = FILE.index(b"2TRG", place + 1)
    rows = [
        row
        for table in parsed.tables
        if table != "errors"
        for row in parsed.rows(table, "record_offset", "transaction_offset")
    ]
    assert {transaction for offset, transaction in rows if place <= offset < next_one} == {None}


def test_invalid_length_is_a_fault_with_its_place() -> None:
    data = FILE[:161] + b"5BPI012" + b" " * 30 + FILE[161:]
    errors = parse(data).rows("errors", "code", "record_offset", "byte_offset", "byte_length")
    assert ("LENGTH_INVALID", 161, 165, 3) in errors
    squeezed = squeeze(data)
    place = squeezed.index(b"5BPI012")
    assert ("LENGTH_INVALID", place, place + 4, 3) in parse(squeezed).rows(
        "errors", "code", "record_offset", "byte_offset", "byte_length"
    )
    assert ("BYTES_UNREADABLE", None, 161, 37) in errors


@pytest.mark.parametrize("size", [50, 1 << 20])
def test_message_that_ends_in_garbage_may_have_had_a_trailer(size: int) -> None:
    without = FILE[:-20]
    assert ("TRAILER_MISSING", 0) in parse(windows(without, size)).faults()
    assert ("TRAILER_MISSING", 0) not in parse(windows(without + b"garbage", size)).faults()


def test_pivot_reaches_the_values() -> None:
    record = Record("5BPI", {"policy_effective_date_superseded": date(1960, 1, 1)})
    built = build_file([Record("2TRG"), record], DICTIONARY)
    assert parse(built).rows("policies", "policy_effective_date") == [(date(1960, 1, 1),)]
    assert parse(built, pivot=70).rows("policies", "policy_effective_date") == [(date(2060, 1, 1),)]


def test_dictionary_without_any_layout_keeps_everything_raw() -> None:
    bare = type(DICTIONARY)((), (), "")
    parsed = parse(FILE, dictionary=bare)
    rows = sorted(parsed.rows("unmapped_groups", "record_offset", "transaction_offset", "raw"))
    assert b"".join(raw for _, _, raw in rows) == FILE
    assert [transaction for _, transaction, _ in rows[:3]] == [None, 161, 161]


def test_file_may_be_cut_at_any_byte() -> None:
    small = build_file(message([1]), DICTIONARY, Separator.CRLF)
    whole = as_sets(parse(small))
    ends = [0, *range(150, 190), *range(355, 380), len(small)]
    for at in ends:
        assert as_sets(parse(cut(small, [at]))) == whole


STREAM = """
import sys
from tests.al3.samples import DICTIONARY, message
from al3spark.al3.building import Record, build_file, squeeze
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import Form

records = message([1], vehicles=2000)
part = build_file(records[5:-1], DICTIONARY)
head = build_file(records[:5], DICTIONARY)
if sys.argv[1] == "squeezed":
    part = squeeze(part)
if sys.argv[1] == "unmapped":
    part = part.replace(b"5VEH", b"5VEX").replace(b"6CVA", b"6CVX")
if sys.argv[1] == "faulty":
    part = part.replace(b"00000000025+", b"  ILL       ").replace(b"5LAGL1", b"5LAGXX")
if sys.argv[1] == "short":
    part = build_file([*records[1:2], Record("5RMK", {"remarks_text": "A"}, "F2", 1)], DICTIONARY) * 1000
total = int(sys.argv[2]) << 20

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) >> 10

def stream():
    yield head
    for done in range(0, total, len(part)):
        if done < total // 4:
            early[0] = peak()
        yield part

early, rows = [0], 0
parser = SplitParser(DICTIONARY)
for block in parser.parse("f", "f", Form(), stream()):
    rows += block.batch.num_rows
for block in parser.flush():
    rows += block.batch.num_rows
totals, = parser.totals()
assert totals.imbalance == "" and totals.size >= total
assert (totals.transactions == 1) == (sys.argv[1] != "short")
print(early[0], peak(), rows)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from /proc")
@pytest.mark.parametrize("form", ["plain", "squeezed", "unmapped", "faulty", "short"])
def test_memory_stays_flat_over_a_large_transaction_and_over_many_without_a_policy(form: str) -> None:
    """AL3SPARK_STREAM_MIB sets the size of the file; 200 by itself."""
    size = os.environ.get("AL3SPARK_STREAM_MIB", "200")
    done = subprocess.run(
        [sys.executable, "-c", STREAM, form, size], cwd=ROOT, capture_output=True, text=True, check=True
    )
    early, late, rows = map(int, done.stdout.split())
    assert rows > 1000 * int(size)
    assert late < 512
    assert late < early + 40

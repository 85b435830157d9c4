from collections import Counter
from collections.abc import Iterable

import pytest

from al3spark.al3.building import Record, Separator, build_file
from al3spark.al3.coverage import MOST_SHAPES, Observer, Seen
from al3spark.al3.dictionary import Dictionary, Element, Layout
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import Form
from tests.al3.samples import DICTIONARY

# One group with a gap of 5 bytes: 30-33 number, 34-38 gap, 39-42 text.
GAPPED = Layout(
    "5QQQ",
    "notes",
    "Notes",
    (
        Element("5QQQ", "number", 30, 4, "integer", element_id="5QQQ01"),
        Element("5QQQ", "unnamed_34", 34, 5, "gap"),
        Element("5QQQ", "note", 39, 4, "text"),
    ),
)
NOTES = Dictionary((GAPPED,), (("5QQQ", "Notes"),), "1")


def note(body: bytes, version: str = " ") -> Record:
    return Record("5QQQ", level="F1", iteration=1, version=version, raw=body)


def look(*files: bytes, dictionary: Dictionary = NOTES) -> Seen:
    parser, observer = SplitParser(dictionary), Observer(dictionary)
    for number, data in enumerate(files):
        for block in parser.parse(f"f{number}", f"f{number}", Form(), [data]):
            observer.look(block)
    for block in parser.flush():
        observer.look(block)
    return observer.seen


def seen_of(records: Iterable[Record], separator: Separator = Separator.NONE) -> Seen:
    return look(build_file(records, NOTES, separator))


def test_records_are_counted_by_group_version_and_length() -> None:
    seen = seen_of(
        [note(b"0001     text"), note(b"0001     text"), note(b"0001", "7"), Record("1MHG", raw=b"")]
    )
    assert seen.records == {("5QQQ", "", 43): 2, ("5QQQ", "7", 34): 1, ("1MHG", "", 10): 1}
    assert not seen.extra
    assert not seen.filled
    assert not seen.misfits


def test_bytes_behind_the_layout_are_counted() -> None:
    seen = seen_of([note(b"0001     textmore"), note(b"0001     text    ")])
    assert (seen.records, seen.extra) == ({("5QQQ", "", 47): 2}, {("5QQQ", "", 47): 8})


def test_line_end_inside_a_length_is_not_behind_the_layout() -> None:
    seen = seen_of([note(b"0001     text")], Separator.CRLF_INSIDE)
    assert (seen.records, seen.extra) == ({("5QQQ", "", 45): 1}, {})


def test_gaps_that_hold_something_are_counted() -> None:
    bodies = [b"0001     text", b"0001abcdetext", b"0001?????text", b"0001 b", b"0001"]
    assert seen_of(map(note, bodies)).filled == {("5QQQ", 34): 2}


def test_values_that_do_not_fit_are_counted_with_their_shapes() -> None:
    seen = seen_of([note(b"1 2 "), note(b"SMIT"), note(b"JOHN"), note(b"0001"), note(b"00")])
    assert seen.misfits == {
        ("5QQQ", "number", "VALUE_INVALID"): 3,
        ("5QQQ", "number", "GROUP_TOO_SHORT"): 1,
    }
    assert seen.shapes[("5QQQ", "number", "VALUE_INVALID")] == {"AAAA": 2, "9 9 ": 1}


def test_shapes_that_are_remembered_are_bounded() -> None:
    signs = b"!\"#$%&'()*+,-./:;<=>"
    bodies = [bytes((first, second, 65, 65)) for first in signs for second in signs]
    misfit = ("5QQQ", "number", "VALUE_INVALID")
    seen = seen_of(map(note, bodies))
    assert (seen.misfits[misfit], len(seen.shapes[misfit])) == (400, MOST_SHAPES)


def test_record_that_its_file_cuts_off_says_nothing_of_its_layout() -> None:
    seen = look(build_file([note(b"0001     text"), note(b"0002     text")], NOTES)[:-3])
    assert (seen.records, seen.cut_off) == ({("5QQQ", "", 43): 1}, 1)


def test_other_faults_are_no_values() -> None:
    seen = look(build_file([note(b"0001     text")], NOTES), b"no AL3", b"")
    assert (seen.records.total(), seen.misfits) == (1, {})


@pytest.mark.parametrize("count", [1, 3])
def test_counts_add_up_over_splits(count: int) -> None:
    data = build_file([note(b"SMITab   textmore"), note(b"00")], NOTES)[:-1]
    data += build_file([note(b"0001     text")], NOTES)
    whole, parts = look(*[data] * count), Seen()
    for _ in range(count):
        parts.add(Seen.from_bytes(look(data).to_bytes()))
    assert parts == whole
    assert whole.records.total() >= count


def test_counts_survive_the_way_to_the_driver() -> None:
    seen = look(build_file([note(b"SMITab   textmore"), note(b"00")], NOTES), dictionary=NOTES)
    assert Seen.from_bytes(seen.to_bytes()) == seen
    assert isinstance(Seen.from_bytes(seen.to_bytes()).records, Counter)


def test_all_groups_of_the_starter_can_be_looked_at() -> None:
    records = [Record(layout.group) for layout in DICTIONARY.layouts if layout.group != "3MTG"]
    seen = look(build_file(records, DICTIONARY), dictionary=DICTIONARY)
    assert {(group, length) for group, _, length in seen.records} == {
        (layout.group, layout.length) for layout in DICTIONARY.layouts if layout.group != "3MTG"
    }

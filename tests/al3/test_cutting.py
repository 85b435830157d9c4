"""Files cut into parts: what the parts give together is what the whole file gives, wherever it is cut."""

from collections.abc import Iterable, Sequence
from functools import reduce
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from al3spark.al3.blocks import plain_rows
from al3spark.al3.building import Record, Separator, build_file
from al3spark.al3.composing import Composition
from al3spark.al3.cutting import Surveyor
from al3spark.al3.parsing import SplitParser
from al3spark.al3.squeeze import Expander, Form, detect_form
from al3spark.al3.totals import FileTotals
from al3spark.al3.trails import LOOKAHEAD, Part
from tests.al3.samples import DICTIONARY, Parsed, as_sets, message, parse, policy, windows
from tests.al3.test_damage import damaged_files

KNOWN = frozenset(group.encode() for group, _ in DICTIONARY.titles)
DESCRIBED = frozenset(layout.group.encode() for layout in DICTIONARY.layouts)


def bytes_from(data: bytes, start: int, stop: int, window: int) -> tuple[list[bytes], bool]:
    """The windows of a range and what is looked ahead to, and whether they reach the end of the file."""
    end = min(stop + LOOKAHEAD, len(data))
    return windows(data[start:end], window), end == len(data)


def compose(data: bytes, edges: Iterable[int], grid: int = 1, window: int = 1 << 20) -> Composition:
    """Survey a file by ranges that begin at the edges, and walk again what must be."""
    surveyor = Surveyor(KNOWN, DESCRIBED, grid)
    bounds = [0, *edges, len(data)]
    surveys = []
    for start, stop in pairwise(bounds):
        parts, final = bytes_from(data, start, stop, window)
        surveys.append(surveyor.survey(parts, start, stop, final))
    composed = Composition(len(data), surveys)
    while composed.lacking:
        standing, stop = composed.lacking
        parts, final = bytes_from(data, standing.offset, stop, window)
        composed.add(surveyor.walk(parts, standing, stop, final))
    return composed


def parse_parts(data: bytes, parts: Sequence[Part], window: int = 1 << 20) -> Parsed:
    """Parse each part with a parser of its own."""
    batches: dict[str, list[pa.RecordBatch]] = {}
    totals = []
    for part in parts:
        parser = SplitParser(DICTIONARY)
        given_windows = windows(data[part.start : part.end], window)
        for block in (*parser.parse("f0", "f0", Form(), given_windows, part), *parser.flush()):
            batches.setdefault(block.table, []).append(plain_rows(block.batch))
        totals += parser.totals()
    for each in totals:
        assert each.imbalance == ""
    tables = {table: pa.Table.from_batches(some) for table, some in sorted(batches.items())}
    return Parsed(tables, (reduce(FileTotals.plus, totals),))


def assert_same(data: bytes, parts: Sequence[Part], whole: Parsed, window: int = 1 << 20) -> None:
    assert parts[0].start == 0
    assert [part.stop for part in parts[:-1]] == [part.start for part in parts[1:]]
    assert parts[-1].stop == len(data)
    found = parse_parts(data, parts, window)
    assert as_sets(found) == as_sets(whole)
    assert found.totals == whole.totals


def remark(text: bytes) -> Record:
    return Record("5RMK", level="F2", iteration=1, parent=("5BPI", "F1", 1), raw=text)


def chain(records: Sequence[Record], separator: Separator = Separator.CRLF) -> bytes:
    return build_file(records, DICTIONARY, separator)


def with_remarks(*texts: bytes) -> list[Record]:
    """A message whose second policy holds remarks."""
    records = message([1, 2, 3])
    second = [at for at, record in enumerate(records) if record.group == "2TRG"][1]
    at = next(at for at, record in enumerate(records) if at > second and record.group == "5BPI")
    return [*records[: at + 1], *map(remark, texts), *records[at + 1 :]]


SHORT = chain([Record("5LAG", {"city": "X"}, "L1", 1, ("5BPI", "F1", 1), length=174)] * 4, Separator.NONE)
FAKE = chain(policy(7)[:3], Separator.NONE)
CONTENTS = {
    **{separator.name: chain(message([1, 2, 3]), separator) for separator in Separator},
    "several messages": chain(message([1, 2]) + message([3], unit="2") + message([4, 5], vehicles=2)),
    "no trailers": chain(message([1])[:-1] + message([2])[:-1] + message([3])),
    "no messages": chain(policy(1) + policy(2) + policy(3)),
    "wrong trailers": chain([*message([1, 2])[:-2], *message([3], unit="2")[3:], *message([4])]),
    "remarks with records": chain(with_remarks(SHORT, b"x" + SHORT, b"xy" + SHORT)),
    "remarks with transactions": chain(with_remarks(FAKE, b"x" + FAKE[:700], b"xyz" + FAKE[:650])),
    "remarks without separators": chain(with_remarks(SHORT, b"x" + SHORT), Separator.NONE),
    "damage": chain(message([1])) + b"garbage, much of it " * 9 + chain(message([2, 3])),
    "damage inside": chain(message([1, 2, 3])).replace(b"5BPI285", b"5BPI2x5", 2),
    "two damages": b"#~" * 99 + chain(message([1, 2])).replace(b"9BIS177", b"9BIS999", 1) + b"~" * 300,
    "a 2TRG that is broken": chain(message([1, 2, 3])).replace(b"2TRG204", b"2TXG204", 2),
    "the end is missing": chain(message([1, 2, 3]))[:-600],
    "little": chain([*message([1])[:6], remark(FAKE + SHORT[:200]), *message([2])[1:]]),
    "much between": chain(message([1])) + b"\r\n\0" * 700 + chain(message([2])) + b"\x1a" * 50,
}

EVERYWHERE = "little"  # here a range begins at every offset


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTENTS)
def test_cuts_do_not_depend_on_where_a_range_begins(name: str) -> None:
    data = CONTENTS[name]
    expected = compose(data, ())
    assert expected.cuts or name == "two damages"
    for edge in range(1, len(data), 1 if name == EVERYWHERE else 23):
        composed = compose(data, (edge,))
        assert composed.cuts == (expected.cuts if composed.standing.opened else []), edge


@pytest.mark.parametrize("size", [1, 7, 100, 331, 1000, 2500])
@pytest.mark.parametrize("name", CONTENTS)
def test_nor_on_how_many_ranges_there_are(name: str, size: int) -> None:
    data = CONTENTS[name]
    edges = range(size, len(data), size) if size > 1 else range(400, 900)
    composed = compose(data, edges)
    assert composed.cuts == (compose(data, ()).cuts if composed.standing.opened else [])


def test_a_file_that_does_not_begin_with_al3_is_left_as_it_is() -> None:
    data = b"~" * 300 + CONTENTS["CRLF"]
    assert compose(data, (400,)).cuts == compose(data, ()).cuts != []
    assert compose(data, (299,)).parts == ()


@pytest.mark.parametrize("name", CONTENTS)
def test_parts_give_what_the_whole_gives_at_every_cut(name: str) -> None:
    data = CONTENTS[name]
    whole = parse(data)
    composed = compose(data, ())
    assert_same(data, composed.parts or [Part(0, len(data), len(data))], whole)
    for offset, trail in composed.cuts:
        parts = [Part(0, offset, len(data)), Part(offset, len(data), len(data), trail)]
        assert_same(data, parts, whole)


@pytest.mark.parametrize("window", [64, 1000, 5000])
@pytest.mark.parametrize("name", CONTENTS)
def test_windows_change_nothing(name: str, window: int) -> None:
    data = CONTENTS[name]
    composed = compose(data, range(900, len(data), 900), window=window)
    assert composed.cuts == compose(data, ()).cuts
    if composed.parts:
        assert_same(data, composed.parts, parse(data), window)


@pytest.mark.parametrize(
    ("grid", "expected"), [(1, 8), (3000, 3), (100_000, 0)], ids=["each", "some", "none"]
)
def test_there_are_as_many_parts_as_the_grid_asks_for(grid: int, expected: int) -> None:
    data = chain([record for number in range(8) for record in message([number])])
    assert 6000 < len(data) < 18000
    composed = compose(data, range(1000, len(data), 1000), grid)
    if grid == 1:
        expected = data.count(b"1MHG") + data.count(b"2TRG")
    assert len(composed.parts) == expected


def test_a_part_carries_what_went_before() -> None:
    data = chain(message([1, 2]))
    (_, first), (offset, second) = compose(data, ()).cuts
    assert data[offset : offset + 4] == b"2TRG"
    assert (second.message, second.start, second.counts_groups) == (0, 0, True)
    assert (first.records, second.records) == (1, 10)
    assert second.size == 161 + sum(len(line) for line in chain(policy(1)).split(b"\r\n"))
    assert {code: count for code, _, _, count in second.met}[b"6CVA"] == 2


@given(damaged_files(), st.lists(st.integers(1, 20_000), max_size=4), st.integers(1, 4000))
def test_damaged_files_are_cut_alike(data: bytes, edges: list[int], grid: int) -> None:
    expander = Expander(detect_form(data))
    expander.feed(data, final=True)
    assume(not expander.coded_bytes and not expander.form.transcoded)
    composed = compose(data, sorted({edge for edge in edges if edge < len(data)}), grid, window=700)
    if composed.parts:
        assert_same(data, composed.parts, parse(data), window=600)

"""Valid files, damaged: the parse never raises, covers every byte, and does not depend on windows."""

import re
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from al3spark.al3.building import Record, Separator, build_file, squeeze, transcode
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.squeeze import detect_form
from al3spark.al3.totals import FileTotals
from tests.al3.samples import DICTIONARY, Parsed, cut, expand_plainly, message, parse, policy

# 500 examples of each property by itself, 2,000 in CI.
THOROUGH = settings(
    max_examples=10 * settings.default.max_examples, suppress_health_check=[HealthCheck.too_slow]
)

MESSAGES: tuple[list[Record], ...] = (
    message([1, 2]),
    message([1], unit="2", vehicles=3),
    message([1]) + message([2, 3], unit="2"),
    policy(2) + policy(3),
    [*message([1, 2])[:-1], *message([3])],
)
CODINGS = (
    lambda data: data,
    squeeze,
    lambda data: squeeze(data, b"\xb3"),
    lambda data: squeeze(data, b"\xc3\xba", 4),
    transcode,
    lambda data: transcode(squeeze(data)),
    lambda data: b"\xef\xbb\xbf" + transcode(squeeze(data, b"\xb3")) + b"\x1a",
)
# Only the layouts that occur: it takes longer to prepare all than to parse.
LAYOUTS = Dictionary(
    tuple(
        layout
        for layout in DICTIONARY.layouts
        if layout.group in {record.group for records in MESSAGES for record in records}
    ),
    (),
    "",
)
_PLACES = re.compile(rb"[0-9][A-Z]{3}[0-9]{3}|\xfa|\xb3|\xc3\xba")
GARBAGE = (
    b"",
    b"\0",
    b"\r\n",
    b"garbage",
    b"\xfa",
    b"\xfaFF ",
    b"\xc3\xba400",
    b"2TRG",
    b"2TRG204",
    b"5BPI001",
    b"\xff" * 40,
)


@st.composite
def reordered_records(draw: st.DrawFn) -> list[Record]:
    """The records of a file, in which some change places, are missing or come twice."""
    records = list(draw(st.sampled_from(MESSAGES)))
    for how in draw(st.lists(st.sampled_from(["swap", "drop", "double"]), max_size=2)):
        here, there = (draw(st.integers(0, len(records) - 1)) for _ in range(2))
        if how == "swap":
            records[here], records[there] = records[there], records[here]
        elif how == "drop":
            del records[here]
        else:
            records.insert(there, records[here])
    return records


@st.composite
def coded_files(draw: st.DrawFn) -> bytes:
    """A file in one of the ways in which files are stored."""
    separator = draw(st.sampled_from(list(Separator)))
    return draw(st.sampled_from(CODINGS))(build_file(draw(reordered_records()), DICTIONARY, separator))


def place_in(draw: st.DrawFn, data: bytes) -> int:
    """Somewhere in the data; half of the time in a header or an escape."""
    places = [match.start() for match in _PLACES.finditer(data)]
    if places and draw(st.booleans()):
        return min(draw(st.sampled_from(places)) + draw(st.integers(0, 29)), len(data))
    return draw(st.integers(0, len(data)))


@st.composite
def damaged_files(draw: st.DrawFn) -> bytes:
    """A valid file that was damaged in up to four ways."""
    data = draw(coded_files())
    hows = st.sampled_from(["cut", "delete", "remove", "flip", "double", "splice", "insert"])
    for how in draw(st.lists(hows, min_size=1, max_size=4)):
        at, end = sorted(place_in(draw, data) for _ in range(2))
        if how == "cut":
            data = data[:end]
        elif how == "delete":
            data = data[:at] + data[at + 1 :]
        elif how == "remove":
            data = data[:at] + data[end:]
        elif how == "flip":
            data = data[:at] + draw(st.binary(min_size=1, max_size=2)) + data[at + 1 :]
        elif how == "double":
            data = data[:end] + data[at:end][:2000] + data[end:]
        elif how == "splice":
            other = draw(coded_files())
            data = data[:at] + other[place_in(draw, other) :][:3000] + data[at:]
        else:
            data = data[:at] + draw(st.sampled_from(GARBAGE)) + data[at:]
    return data


CUTS = st.one_of(
    st.lists(st.integers(0, 20000), max_size=6),
    st.integers(1, 400).map(lambda size: list(range(size, 8000, size * 3))),
)


def rows_of_both(parsed: Parsed) -> tuple[dict[str, pa.Table], dict[str, pa.Table]]:
    """The rows of the two files by table, in the order of the file, without what names it."""
    files: tuple[dict[str, pa.Table], dict[str, pa.Table]] = {}, {}
    for table, rows in parsed.tables.items():
        keys = [
            "file_id",
            "record_offset",
            *(["code", "byte_offset", "element"] if table == "errors" else []),
        ]
        ordered = rows.sort_by([(key, "ascending") for key in keys])
        count = ordered["file_id"].to_pylist().count("f0")
        own = ordered.drop_columns([each for each in ("file_id", "file_path") if each in rows.column_names])
        for tables, part in zip(files, (own.slice(0, count), own.slice(count)), strict=True):
            if part.num_rows:
                tables[table] = part
    return files


def spans_of(tables: dict[str, pa.Table]) -> list[tuple[int, int]]:
    """Where records and unreadable bytes lie, as the rows say."""
    spans: list[tuple[int, int]] = []
    for table, rows in tables.items():
        if table == "errors":
            rows = rows.filter(pc.field("code") == "BYTES_UNREADABLE")
            starts, lengths = rows["byte_offset"], rows["byte_length"]
        else:
            starts, lengths = rows["record_offset"], rows["record_length"]
        spans += [
            (start, start + length)
            for start, length in zip(starts.to_pylist(), lengths.to_pylist(), strict=True)
        ]
    return sorted(spans)


def check_cover(data: bytes, totals: FileTotals, tables: dict[str, pa.Table]) -> None:
    """Records and unreadable bytes follow each other, and what lies between them are separators."""
    if totals.failed:
        assert set(tables) == {"errors"}
        return
    records = [at for name in tables.keys() - {"errors"} for at in tables[name]["record_offset"].to_pylist()]
    assert len(records) == len(set(records))
    if totals.coded_bytes:  # an escape may stand for the end of an unreadable span and the start of a record
        return
    spans = spans_of(tables)
    starts = [start for start, _ in spans]
    assert len(starts) == len(set(starts))
    ends = [0, *(min(end, len(data)) for _, end in spans)]
    gaps = [data[end:start] for end, start in zip(ends, [*starts, len(data)], strict=True)]
    assert all(end <= start for end, start in zip(ends, [*starts, len(data)], strict=True))
    assert not b"".join(gaps).replace(b"\xef\xbb\xbf", b"").strip(bytes(range(0x30)))
    assert sum(map(len, gaps)) == totals.separator_bytes


def check_links(tables: dict[str, pa.Table]) -> None:
    """A parent is an earlier record of the same transaction; transactions and messages are what they say."""
    names = ("record_offset", "message_offset", "transaction_offset", "parent_offset")
    rows = {
        offset: links
        for table in tables.keys() - {"errors"}
        for offset, *links in zip(*(tables[table][name].to_pylist() for name in names), strict=True)
    }
    for offset, (message_at, transaction, parent) in rows.items():
        assert message_at is None or (message_at <= offset and rows[message_at][0] == message_at)
        assert transaction is None or (transaction <= offset and rows[transaction][1] == transaction)
        assert parent is None or (parent < offset and rows[parent][1] == transaction is not None)


def check(data: bytes, cuts: Sequence[int]) -> None:
    parsed = parse(data, cut(data, {at for at in cuts if at < len(data)}), dictionary=LAYOUTS)
    whole, piecemeal = parsed.totals
    assert whole.imbalance == piecemeal.imbalance == ""
    assert replace(piecemeal, path="", file_id="") == replace(whole, path="", file_id="")
    tables, again = rows_of_both(parsed)
    assert tables.keys() == again.keys()
    for table, rows in tables.items():
        assert rows.equals(again[table]), table
    assert sum(rows.num_rows for table, rows in tables.items() if table != "errors") == whole.records
    assert whole.size == len(data)
    if not data.isascii():
        assert whole.expanded_size == len(expand_plainly(data, detect_form(data).transcoded)[0])
    check_cover(data, whole, tables)
    check_links(tables)


@THOROUGH
@example(
    b"\xfaFF 1MHG161\xfa5A   W100015V\xc3\xba400EHR10001    BI\xfa1C \xfa09025+"
    b"\xfaB4 6CVA213   W100025VEHR10001    COMP\xfaB3 5ZZZ042",
    [],
)
@given(damaged_files(), CUTS)
def test_damaged_file_stays_covered_and_parses_the_same_however_it_is_cut(
    data: bytes, cuts: list[int]
) -> None:
    check(data, cuts)


@given(coded_files(), CUTS)
def test_file_of_reordered_records_stays_covered(data: bytes, cuts: list[int]) -> None:
    check(data, cuts)


@given(st.binary(max_size=300), CUTS)
def test_any_bytes_stay_covered(data: bytes, cuts: list[int]) -> None:
    check(data, cuts)

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al3spark.al3.building import Record, Separator, build_file, build_record, squeeze, transcode
from al3spark.al3.dictionary import Dictionary, Element, Layout, load_dictionary

NOTE = Layout(
    "5RMK",
    "remarks",
    "Remarks",
    (Element("5RMK", "id", 30, 3, "integer"), Element("5RMK", "note", 33, 8, "text")),
)
CONTROL = Layout("2TRG", "transactions", "", (Element("2TRG", "function", 10, 3, "code"),))
MESSAGE = Layout(
    "1MHG", "messages", "", (Element("1MHG", "gap", 10, 87, "text"), Element("1MHG", "unit", 97, 1, "code"))
)
TRAILER = Layout("3MTG", "trailers", "", (Element("3MTG", "total_data_in_message", 10, 8, "integer"),))
DICTIONARY = Dictionary((MESSAGE, CONTROL, TRAILER, NOTE), (), "")


def encode(kind: str, length: int, value: object, scale: int = 0) -> bytes:
    layout = Layout("2XXX", "x", "", (Element("2XXX", "x", 10, length, kind, scale),))
    return build_record(Record("2XXX", {"x": value}), layout)[10:]


def expand(data: bytes, escape: bytes = b"\xfa", fills: bytes = b" ?0") -> bytes:
    """Expand as plainly as can be (FORMAT.md, Compression)."""
    expanded, at, width = b"", 0, len(escape)
    while at < len(data):
        count, fill = data[at + width : at + width + 2], data[at + width + 2 : at + width + 3]
        if data.startswith(escape, at) and len(count) == 2 and count.isalnum() and fill and fill in fills:
            try:
                expanded += int(count, 16) * fill
                at += width + 3
                continue
            except ValueError:
                pass
        expanded += data[at : at + 1]
        at += 1
    return expanded


@pytest.mark.parametrize(
    ("kind", "length", "scale", "value", "expected"),
    [
        ("text", 6, 0, "Mäi €", b"M\xe4i \x80 "),
        ("text", 4, 0, "", b"    "),
        ("code", 3, 0, "NB", b"NB "),
        ("phone", 14, 0, "5551234567", b"5551234567    "),
        ("reserved", 2, 0, "x", b"x "),
        ("gap", 2, 0, "y", b"y "),
        ("integer", 4, 0, 12, b"0012"),
        ("integer", 4, 0, 0, b"0000"),
        ("integer", 4, 0, 9999, b"9999"),
        ("decimal", 5, 2, Decimal("1.5"), b"00150"),
        ("decimal", 5, 2, 7, b"00700"),
        ("decimal", 18, 18, Decimal("0.123456789012345678"), b"123456789012345678"),
        ("amount", 12, 2, Decimal("115.00"), b"00000011500+"),
        ("amount", 12, 2, Decimal("-115"), b"00000011500-"),
        ("amount", 5, 0, -7, b"0007-"),
        ("amount", 5, 2, Decimal("-0"), b"0000+"),
        ("flag", 1, 0, True, b"Y"),
        ("flag", 1, 0, False, b"N"),
        ("date_ccyymmdd", 8, 0, date(2026, 1, 2), b"20260102"),
        ("date_ccyymmdd", 8, 0, date(987, 1, 2), b"09870102"),
        ("date_yymmdd", 6, 0, date(2026, 1, 2), b"260102"),
        ("date_yymmdd", 6, 0, date(1951, 12, 31), b"511231"),
        ("month_mmyy", 4, 0, date(2026, 9, 1), b"0926"),
        ("time_hhmm", 4, 0, "23:05", b"2305"),
        ("timestamp", 15, 0, datetime.fromisoformat("2026-01-02T03:04:05.600"), b"202601020304056"),
        ("timestamp", 13, 0, datetime.fromisoformat("1999-12-31T23:59:59"), b"9912312359590"),
    ],
)
def test_value_is_encoded_as_its_kind_asks(
    kind: str, length: int, scale: int, value: object, expected: bytes
) -> None:
    assert encode(kind, length, value, scale) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Acme Ltd", "CAcme Ltd"),
        ({"format": "C", "whole": "Acme Ltd"}, "CAcme Ltd"),
        ({"format": "Z", "whole": "As it is"}, "ZAs it is"),
        (
            {"format": "P", "prefix": "Dr", "first": "Ann", "last": "Lee", "suffix": "Jr"},
            "PDr      Ann                        Lee                 Jr",
        ),
        (
            {"format": "P", "first": "Ann", "middle": "Bo", "last": "Lee"},
            "P        Ann Bo                     Lee",
        ),
        (
            {"format": "F", "prefix": "Dr", "first": "Ann", "middle": "Bo", "last": "Lee", "suffix": "Jr"},
            "FDr      Ann             Bo         Lee                 Jr",
        ),
        ({"format": "F", "first": None, "last": "Lee"}, "F                                   Lee"),
    ],
)
def test_name_is_laid_out_by_its_format(value: object, expected: str) -> None:
    assert encode("name", 60, value) == expected.ljust(60).encode()


@pytest.mark.parametrize(
    ("kind", "length"), [("integer", 4), ("amount", 5), ("date_yymmdd", 6), ("flag", 1), ("name", 60)]
)
def test_none_is_blank(kind: str, length: int) -> None:
    assert encode(kind, length, None) == b" " * length


def test_bytes_are_put_as_they_are() -> None:
    assert encode("integer", 4, b"?\0") == b"?\0  "


@pytest.mark.parametrize(
    ("kind", "length", "scale", "value"),
    [
        ("text", 3, 0, "four"),
        ("text", 3, 0, "\0"),
        ("text", 3, 0, "\u0416"),
        ("text", 3, 0, 12),
        ("code", 3, 0, b"four"),
        ("integer", 3, 0, 1000),
        ("integer", 3, 0, -1),
        ("integer", 3, 0, True),
        ("integer", 3, 0, "12"),
        ("integer", 3, 0, Decimal("1.5")),
        ("decimal", 3, 2, Decimal("10")),
        ("decimal", 3, 2, Decimal("1.234")),
        ("decimal", 3, 2, Decimal("1.00000000000000000000000000000000001")),
        ("decimal", 3, 2, Decimal("-1")),
        ("decimal", 3, 2, Decimal("NaN")),
        ("decimal", 3, 2, 1.5),
        ("amount", 4, 2, Decimal("10")),
        ("amount", 4, 2, Decimal("Infinity")),
        ("flag", 1, 0, "Y"),
        ("date_ccyymmdd", 8, 0, "20260102"),
        ("date_ccyymmdd", 8, 0, datetime.fromisoformat("2026-01-02T00:00:00")),
        ("date_yymmdd", 6, 0, date(2100, 1, 1)),
        ("date_yymmdd", 6, 0, date(1899, 12, 31)),
        ("month_mmyy", 4, 0, date(2026, 9, 2)),
        ("time_hhmm", 4, 0, "24:00"),
        ("time_hhmm", 4, 0, "2305"),
        ("timestamp", 15, 0, datetime.fromisoformat("2026-01-02T03:04:05.050")),
        ("timestamp", 15, 0, datetime(2026, 1, 2, tzinfo=UTC)),
        ("timestamp", 15, 0, date(2026, 1, 2)),
        ("name", 60, 0, {"first": "Ann"}),
        ("name", 60, 0, {"format": "PP", "whole": "Ann"}),
        ("name", 60, 0, {"format": "P", "first": "A" * 28}),
        ("name", 60, 0, {"format": "P", "first": "Ann", "whole": "Ann"}),
        ("name", 60, 0, {"format": "C", "first": "Ann"}),
        ("name", 60, 0, {"format": "P", "nick": "Ann"}),
        ("name", 60, 0, "A" * 60),
    ],
)
def test_value_that_does_not_fit_is_refused(kind: str, length: int, scale: int, value: object) -> None:
    with pytest.raises(
        ValueError, match=f"^2XXX.x has {length} bytes of kind {kind}: the value does not fit"
    ):
        encode(kind, length, value, scale)


def test_refusal_does_not_carry_the_value() -> None:
    with pytest.raises(ValueError, match=r"^2XXX\.x has 8 bytes of kind text") as caught:
        encode("text", 8, "secret\u0416")
    assert "secret" not in str(caught.value)
    assert caught.value.__context__ is None


def test_control_group_has_a_short_header() -> None:
    record = Record("2TRG", {"function": "FMG"}, version="7")
    assert build_record(record, CONTROL) == b"2TRG013 7 FMG"


def test_data_group_has_a_long_header() -> None:
    record = Record("5RMK", {"id": 1, "note": "hello"}, "F2", 3, ("5BPI", "F1", 1001), "B")
    assert build_record(record, NOTE) == b"5RMK041 B F200035BPIF11001    001hello   "


def test_data_group_without_parent_has_blanks_there() -> None:
    assert build_record(Record("5RMK"), NOTE) == b"5RMK041" + b" " * 34


def test_record_may_end_early() -> None:
    assert build_record(Record("5RMK", {"id": 1}, length=33), NOTE) == b"5RMK033" + b" " * 23 + b"001"


def test_record_may_end_inside_an_element_without_value() -> None:
    assert build_record(Record("5RMK", {"id": 1}, length=35), NOTE) == b"5RMK035" + b" " * 23 + b"001  "


def test_record_may_be_its_header_only() -> None:
    assert build_record(Record("5RMK", length=30), NOTE) == b"5RMK030" + b" " * 23


def test_tail_makes_a_record_longer() -> None:
    assert build_record(Record("2TRG", {"function": "FMG"}, tail=b"xy"), CONTROL) == b"2TRG015   FMGxy"


def test_longer_record_is_filled_with_tail_and_blanks() -> None:
    assert build_record(Record("2TRG", length=17, tail=b"xy"), CONTROL) == b"2TRG017      xy  "


def test_raw_body_needs_no_layout() -> None:
    assert build_record(Record("CVH1", raw=b"\0anything"), None) == b"CVH1039" + b" " * 23 + b"\0anything"


def test_raw_body_goes_before_a_layout() -> None:
    assert build_record(Record("2TRG", raw=b"F"), CONTROL) == b"2TRG011   F"


@pytest.mark.parametrize(
    ("record", "message"),
    [
        (Record("5RMK", {"nte": "x"}), "5RMK has no element nte"),
        (Record("5RMK", {"id": 1}, raw=b"001"), "5RMK has no element id"),
        (
            Record("5RMK", {"note": "x"}, length=40),
            "5RMK.note has 8 bytes of kind text: the value does not fit",
        ),
        (Record("5RMK", length=29), "the body of 5RMK has 0 bytes, more than -1"),
        (Record("5RMK", length=41, tail=b"x"), "the body of 5RMK has 12 bytes, more than 11"),
        (Record("5RMK", length=1000), "5RMK: a designator has 4 bytes and a record at most 999"),
        (Record("5RMK2", raw=b""), "5RMK2: a designator has 4 bytes and a record at most 999"),
        (Record("5RMK", iteration=10_000), "the header of 5RMK takes 4 printable ASCII characters there"),
        (Record("5RMK", level="B12"), "the header of 5RMK takes 2 printable ASCII characters there"),
        (Record("5RMK", version="\0"), "the header of 5RMK takes 1 printable ASCII characters there"),
        (
            Record("5RMK", parent=("5BPÜ", "F1", 1)),
            "the header of 5RMK takes 4 printable ASCII characters there",
        ),
        (
            Record("2TRG", level="B1", raw=b""),
            "2TRG is a control group: it has no level, iteration and parent",
        ),
        (
            Record("2TRG", iteration=1, raw=b""),
            "2TRG is a control group: it has no level, iteration and parent",
        ),
    ],
)
def test_record_that_cannot_be_is_refused(record: Record, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        build_record(record, NOTE)


def test_file_is_its_records_one_after_the_other() -> None:
    records = (Record("2TRG", {"function": "FMG"}), Record("CVH1", raw=b"x"))
    assert build_file(records, DICTIONARY) == b"2TRG013   FMGCVH1031" + b" " * 23 + b"x"


def test_line_end_can_follow_each_group_outside_its_length() -> None:
    records = (Record("2TRG", {"function": "FMG"}), Record("2TRG", {"function": "SYN"}))
    assert build_file(records, DICTIONARY, Separator.CRLF) == b"2TRG013   FMG\r\n2TRG013   SYN\r\n"


def test_line_end_can_be_counted_in_the_length_of_each_group() -> None:
    records = (Record("2TRG", {"function": "FMG"}), Record("2TRG", length=11, tail=b""))
    assert build_file(records, DICTIONARY, Separator.CRLF_INSIDE) == b"2TRG015   FMG\r\n2TRG013    \r\n"


@pytest.mark.parametrize(
    ("separator", "trailer"),
    [
        (Separator.NONE, b"3MTG018   00000129"),
        (Separator.CRLF, b"3MTG018   00000129\r\n"),
        (Separator.CRLF_INSIDE, b"3MTG020   00000135\r\n"),
    ],
)
def test_trailer_counts_the_characters_of_its_message(separator: Separator, trailer: bytes) -> None:
    records = (Record("1MHG"), Record("2TRG"), Record("3MTG"))
    assert build_file(records, DICTIONARY, separator).endswith(trailer)


def test_trailer_counts_the_groups_of_its_message_where_the_header_says_so() -> None:
    records = (Record("1MHG"), Record("1MHG", {"unit": "1"}), Record("2TRG"), Record("3MTG"))
    assert build_file(records, DICTIONARY).endswith(b"3MTG018   00000003")


def test_every_message_has_its_own_total() -> None:
    message = (Record("1MHG", {"unit": "1"}), Record("2TRG"), Record("3MTG"))
    assert build_file([*message, *message], DICTIONARY).count(b"3MTG018   00000003") == 2


@pytest.mark.parametrize(("total", "expected"), [(7, b"00000007"), (None, b"        ")])
def test_total_that_is_given_stays(total: int | None, expected: bytes) -> None:
    records = (Record("1MHG"), Record("3MTG", {"total_data_in_message": total}))
    assert build_file(records, DICTIONARY).endswith(b"3MTG018   " + expected)


def test_raw_trailer_stays() -> None:
    assert build_file([Record("3MTG", raw=b"????????")], DICTIONARY) == b"3MTG018   ????????"


def test_starter_dictionary_builds_every_group_blank() -> None:
    dictionary = load_dictionary()
    records = [
        Record(layout.group, {"total_data_in_message": None} if layout.group == "3MTG" else {})
        for layout in dictionary.layouts
    ]
    assert len(build_file(records, dictionary)) == sum(layout.length for layout in dictionary.layouts)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", b""),
        (b"A    B", b"A    B"),
        (b"A     B", b"A\xfa05 B"),
        (b"?????", b"\xfa05?"),
        (b"000000", b"\xfa060"),
        (b"00000?????     ", b"\xfa050\xfa05?\xfa05 "),
        (b" " * 48, b"\xfa30 "),
        (b" " * 171, b"\xfaAB "),
        (b" " * 255, b"\xfaFF "),
        (b" " * 256, b"\xfaFF \xfa01 "),
        (b"0" * 510, b"\xfaFF0\xfaFF0"),
        (b"AAAAAAAA", b"AAAAAAAA"),
    ],
)
def test_runs_are_squeezed(data: bytes, expected: bytes) -> None:
    assert squeeze(data) == expected


def test_minimum_says_which_runs_are_worth_it() -> None:
    assert squeeze(b"A  B   C", minimum=3) == b"A  B\xfa03 C"


@pytest.mark.parametrize("escape", [b"\xb3", b"\xc3\xba"])
def test_escape_can_be_another(escape: bytes) -> None:
    assert squeeze(b"A     B", escape) == b"A" + escape + b"05 B"


@pytest.mark.parametrize(
    "data", [b"Per\xfa Ltd", b"\xfa", b"\xfaA", b"\xfaG0 ", b"\xfa     ", b"\xfaA00000", b"\xfa\xfa00000"]
)
def test_letter_that_looks_like_an_escape_stays_where_it_is_plain(data: bytes) -> None:
    assert expand(squeeze(data)) == data


@pytest.mark.parametrize("data", [b"\xfa30 ", b"\xfaab?", b"\xfa000 ", b"\xfa12345", b"\xfa99     "])
def test_letter_that_would_be_taken_for_an_escape_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"^the escape at byte 6 might be taken for a compressed run$"):
        squeeze(b"      " + data)


def test_letter_is_plain_where_the_escape_is_another() -> None:
    assert squeeze(b"\xfa30      ", b"\xb3") == b"\xfa30\xb306 "


@given(
    st.lists(
        st.sampled_from(
            [
                b" ",
                b"?",
                b"0",
                b" " * 7,
                b"?" * 260,
                b"0" * 40,
                b"\xfa",
                b"\xc3",
                b"\xba",
                b"A",
                b"f",
                b"9",
                b"x",
            ]
        )
    ),
    st.sampled_from([b"\xfa", b"\xb3", b"\xc3\xba"]),
    st.sampled_from([b" ?0", bytes(range(256))]),
)
def test_squeeze_is_undone_by_any_reader_or_refused(pieces: list[bytes], escape: bytes, fills: bytes) -> None:
    data = b"".join(pieces)
    try:
        squeezed = squeeze(data, escape)
    except ValueError:
        return
    assert expand(squeezed, escape, fills) == data
    assert len(squeezed) <= len(data)


def test_transcoded_bytes_are_utf8() -> None:
    assert transcode(b"M\xe4i\xfa05 ") == "Mäiú05 ".encode()


def test_squeezed_and_transcoded_bytes_have_the_long_escape() -> None:
    data = b"M\xe4i     "
    assert transcode(squeeze(data)) == squeeze(transcode(data), b"\xc3\xba")

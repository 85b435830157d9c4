from dataclasses import astuple
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al3spark.al3.building import squeeze, transcode
from al3spark.al3.squeeze import Expander, Form, FormScan, RangeScan, detect_form
from tests.al3.samples import cut, expand_plainly

PLAIN, TRANSCODED = Form(), Form(transcoded=True)

# One of everything, and pairs that touch.
MIXED = (
    b"\xfa30 \xfa05?ab\xb302 \xfaFFx\xfa0G \xfa\xfa030z"
    b"\xc3\xba02 \xc3\xba\xc3\xa9\xe2\x80\x99\xc2\xb301?\xc2\xb3\xfa1"
)


def expand(windows: list[bytes], form: Form) -> tuple[bytes, Expander]:
    expander = Expander(form)
    pieces = [piece for window in windows for piece in expander.feed(window)]
    pieces += expander.feed(b"", final=True)
    return b"".join(pieces), expander


def scan(windows: list[bytes]) -> Form:
    scanner = FormScan()
    for window in windows:
        scanner.feed(window)
    scanner.feed(b"", final=True)
    return scanner.form


def origins_of(expander: Expander) -> list[int]:
    return expander.offsets.locate(np.arange(expander.expanded_size)).tolist()


@pytest.mark.parametrize(
    ("escape", "form"),
    [
        (b"\xfa", PLAIN),
        (b"\xb3", PLAIN),
        (b"\xc3\xba", PLAIN),
        (b"\xc3\xba", TRANSCODED),
        (b"\xc2\xb3", TRANSCODED),
        (b"\xfa", TRANSCODED),
    ],
)
@pytest.mark.parametrize(
    ("code", "run"),
    [
        (b"30 ", b" " * 48),
        (b"05?", b"?????"),
        (b"0a0", b"0" * 10),
        (b"0A0", b"0" * 10),
        (b"fF ", b" " * 255),
        (b"01 ", b" "),
        (b"00 ", b""),
    ],
)
def test_escape_becomes_its_run(escape: bytes, form: Form, code: bytes, run: bytes) -> None:
    expanded, expander = expand([b"a" + escape + code + b"z"], form)
    assert expanded == b"a" + run + b"z"
    assert origins_of(expander) == [0, *[1] * len(run), 4 + len(escape)]
    assert (expander.literal_bytes, expander.coded_bytes, expander.run_bytes) == (
        2,
        len(escape) + 3,
        len(run),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"M\xfaller",
        b"JES\xfaS",
        b"\xfaFAx",
        b"\xfa30x",
        b"\xfa3 x",
        b"\xfaG0 x",
        b"\xfa3G x",
        b"\xfa30\n",
        b"\xfa301",
        b"\xfa",
        b"\xfa3",
        b"\xfa30",
        b"3\xb3",
        b"\xb3FAx",
        b"\xc3\xbaFAx",
        b"\xc3",
    ],
)
def test_real_letter_is_left_alone(data: bytes) -> None:
    expanded, expander = expand([data], PLAIN)
    assert expanded == data
    assert expander.coded_bytes == 0


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("MÜLLER", b"M\xdcLLER"),
        ("JESúS", b"JES\xfaS"),
        ("ú3 x", b"\xfa3 x"),
        ("m³", b"m\xb3"),
        ("€\u2019\u2013Ž", b"\x80\x92\x96\x8e"),
        ("\x81\x9d", b"\x81\x9d"),
        ("ÿ", b"\xff"),
        ("ő", "ő".encode()),
        ("日", "日".encode()),
    ],
)
def test_transcoded_letter_becomes_one_byte_and_others_stay(data: str, expected: bytes) -> None:
    assert expand([data.encode()], TRANSCODED)[0] == expected


def test_original_offset_of_a_transcoded_letter_is_its_first_byte() -> None:
    _, expander = expand(["aé\u2019z".encode()], TRANSCODED)
    assert origins_of(expander) == [0, 1, 3, 6]


def test_offset_after_the_last_byte_is_the_stored_size() -> None:
    _, expander = expand([b"ab\xfa10 "], PLAIN)
    assert expander.offsets.locate(np.array([18])).tolist() == [6]


@pytest.mark.parametrize("form", [PLAIN, TRANSCODED])
@pytest.mark.parametrize("at", range(len(MIXED) + 1))
def test_window_may_cut_an_escape_at_any_place(at: int, form: Form) -> None:
    expanded, origins = expand_plainly(MIXED, form.transcoded)
    cut_once, expander = expand(cut(MIXED, [at]), form)
    assert cut_once == expanded
    assert origins_of(expander) == origins


@pytest.mark.parametrize("form", [PLAIN, TRANSCODED])
def test_windows_may_be_single_bytes(form: Form) -> None:
    expanded, origins = expand_plainly(MIXED, form.transcoded)
    piecemeal, expander = expand(cut(MIXED, range(len(MIXED))), form)
    assert piecemeal == expanded
    assert origins_of(expander) == origins


PIECES = st.sampled_from(
    [
        *(
            b"\xfa",
            b"\xb3",
            b"\xc3\xba",
            b"\xc2\xb3",
            b"\xc3",
            b"\xba",
            b"\xe2",
            b"\x80",
            b"\xe2\x80\x99",
            b"\xc3\xa9",
        ),
        *(b"0", b"1", b"A", b"f", b" ", b"?", b"xyz", b"10 ", b"\0", b"\r\n"),
        *(b"\xfa05 ", b"\xfa00 ", b"\xb30a0", b"\xc3\xba0A?", b"\xc2\xb3020", b"\xef\xbb\xbf"),
    ]
)
CODED = st.lists(PIECES, max_size=30).map(b"".join)
CUTS = st.lists(st.integers(0, 60), max_size=5)


@given(CODED, CUTS, st.booleans())
def test_expansion_and_origins_are_those_of_a_plain_expansion(
    data: bytes, cuts: list[int], coded: bool
) -> None:
    expected, origins = expand_plainly(data, coded)
    expanded, expander = expand(cut(data, [min(at, len(data)) for at in cuts]), Form(coded))
    assert expanded == expected
    assert origins_of(expander) == origins
    assert expander.literal_bytes + expander.coded_bytes == len(data)
    assert expander.expanded_size == len(expanded)


@given(CODED, CUTS)
def test_form_does_not_depend_on_windows(data: bytes, cuts: list[int]) -> None:
    assert scan(cut(data, [min(at, len(data)) for at in cuts])) == detect_form(data)


@given(
    st.lists(st.sampled_from([b" " * 9, b"?" * 300, b"0" * 7, b"A", b"  ", b"\xdc"]), max_size=12).map(
        b"".join
    )
)
def test_squeezed_bytes_expand_to_what_they_were(data: bytes) -> None:
    assert expand([squeeze(data)], PLAIN)[0] == data
    assert expand([squeeze(data, b"\xb3")], PLAIN)[0] == data
    assert expand([transcode(squeeze(data))], TRANSCODED)[0] == data


@pytest.mark.parametrize(
    ("data", "transcoded"),
    [
        (b"", False),
        (b"plain", False),
        (b"M\xdcLLER", False),
        (b"\xfa30 and \xfa20?", False),
        (b"\xb330 and \xb320?", False),
        ("MÜLLER".encode(), True),
        (b"\xc3\xba30 and \xc3\xba20?", True),
        ("\u2019".encode(), True),
        ("日本".encode(), False),
        (b"\xef\xbb\xbfplain", False),
        ("\ufeffMÜLLER".encode(), True),
        ("ééé".encode() + b"\xff", True),
        (b"\xc3\xa9\xff", False),
        ("é".encode() + b"\xc3", False),
    ],
)
def test_form_is_transcoded_where_letters_in_utf8_outnumber_other_high_bytes(
    data: bytes, transcoded: bool
) -> None:
    assert detect_form(data) == Form(transcoded)


@pytest.mark.parametrize("at", range(8))
def test_mark_at_the_start_counts_for_no_form_however_it_is_cut(at: int) -> None:
    assert scan(cut(b"\xef\xbb\xbf1MHG\xff", [at])) == PLAIN


def test_plain_windows_pass_uncopied() -> None:
    window = bytes(bytearray(b"5BPI" * 1_000_000))
    expander = Expander(TRANSCODED)
    assert [each is window for each in expander.feed(window)] == [True]
    assert [each is window for each in expander.feed(window, final=True)] == [True]
    assert expander.offsets is Expander(PLAIN).offsets


def test_nothing_comes_of_nothing() -> None:
    expander = Expander(PLAIN)
    assert expander.feed(b"") == []
    assert expander.feed(b"", final=True) == []


@pytest.mark.parametrize("before", range((1 << 20) - 5, (1 << 20) + 2))
def test_escape_may_lie_where_a_large_window_is_expanded_in_pieces(before: int) -> None:
    many = b"\xff" * 40_000  # that could be escapes
    expander = Expander(TRANSCODED)
    pieces = expander.feed(b"x" * before + b"\xc3\xba03 y" + many, final=True)
    assert len(pieces) == 2
    assert b"".join(pieces) == b"x" * before + b"   y" + many
    assert expander.offsets.locate(np.array([before, before + 2, before + 3])).tolist() == [
        before,
        before,
        before + 5,
    ]


def test_window_with_few_escapes_is_expanded_as_a_whole() -> None:
    (piece,) = Expander(PLAIN).feed(b"x" * (3 << 20) + b"\xfaFF " * 4 + b"\xff" * 9000, final=True)
    assert len(piece) == (3 << 20) + 4 * 255 + 9000


def test_piece_of_a_window_is_of_bounded_size() -> None:
    sizes = [len(piece) for piece in Expander(PLAIN).feed(b"\xfaFF " * (3 << 17), final=True)]
    assert sum(sizes) == 255 * (3 << 17)
    assert max(sizes) <= 64 << 20


@pytest.mark.parametrize("offset", range(70))
def test_map_without_what_lies_before_an_offset_leads_the_same_way_from_there_on(offset: int) -> None:
    expander = expand([MIXED], PLAIN)[1]
    asked = np.arange(offset, expander.expanded_size)
    shorter = expander.offsets.since(offset)
    assert shorter.locate(asked).tolist() == expander.offsets.locate(asked).tolist()
    assert max(map(len, astuple(shorter))) <= len(expander.offsets.start)


def test_map_of_nothing_but_a_run_leads_into_the_run() -> None:
    offsets = expand([b"xy\xfa05 z"], PLAIN)[1].offsets.since(4)
    assert len(offsets.start) == 1
    assert offsets.locate(np.arange(4, 8)).tolist() == [2, 2, 2, 6]


def test_map_forgets_what_lies_before_an_offset() -> None:
    expander = expand([b"\xfa05 " * 100], PLAIN)[1]
    assert len(expander.offsets.start) == 101
    assert len(expander.offsets.since(500).start) <= 2


def scan_ranges(data: bytes, edges: list[int], window: int) -> tuple[int, int, int]:
    """What the ranges of a file, cut at the edges, add up to."""
    found = []
    for start, stop in pairwise([0, *edges, len(data)]):
        ranged = RangeScan(stop - start, start == 0)
        for at in range(start, min(stop + 40, len(data)), window):
            ranged.feed(data[at : min(at + window, stop + 40)])
        ranged.feed(b"", final=True)
        found.append(ranged)
    return tuple(sum(getattr(each, name) for each in found) for name in ("characters", "strays", "escapes"))


@pytest.mark.parametrize("data", [MIXED, b"\xef\xbb\xbf" + MIXED, b"plain " * 9 + MIXED[:7], b"plain"])
@pytest.mark.parametrize("window", [1, 5, 1000])
def test_ranges_add_up_to_what_is_known_of_the_whole(data: bytes, window: int) -> None:
    whole = FormScan()
    whole.feed(data)
    whole.feed(b"", final=True)
    squeezed = expand([data], PLAIN)[1].coded_bytes > 0
    for edge in range(3, len(data)):
        characters, strays, escapes = scan_ranges(data, [edge], window)
        assert (characters, strays) == (whole.characters, whole.strays), edge
        assert bool(escapes) == squeezed, edge

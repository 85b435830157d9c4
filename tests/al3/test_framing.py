from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from al3spark.al3.framing import Framer
from tests.al3.samples import cut

HEAD, TRAILER = b"1MHG010   ", b"3MTG010   "
TRANSACTION = b"2TRG012   ab"
POLICY = b"5BPI035" + b" " * 23 + b"hello"
CARRIER = b"CVH1031" + b" " * 23 + b"x"


KNOWN = frozenset([b"1MHG", b"2TRG", b"3MTG", b"5BPI"])


@dataclass
class Framed:
    """What all windows of a file held, in expanded offsets of the file."""

    records: list[tuple[int, int]] = field(default_factory=list)
    spans: list[tuple[int, int]] = field(default_factory=list)
    followed_by: list[int] = field(default_factory=list)  # index of the record after each span
    bad_lengths: list[int] = field(default_factory=list)
    truncated: bool = False
    record_bytes: int = 0
    separator_bytes: int = 0
    unreadable_bytes: int = 0
    opened: bool = False


def frame(*windows: bytes) -> Framed:
    framer, all_of_it = Framer(KNOWN), Framed()
    for number, window in enumerate([*windows, b""]):
        frames = framer.feed(window, final=number == len(windows))
        all_of_it.followed_by += (len(all_of_it.records) + frames.span_at).tolist()
        starts = (frames.base + frames.starts).tolist()
        all_of_it.records += list(zip(starts, frames.lengths.tolist(), strict=True))
        all_of_it.spans += list(zip(frames.span_starts.tolist(), frames.span_ends.tolist(), strict=True))
        all_of_it.bad_lengths += frames.bad_lengths.tolist()
        all_of_it.truncated |= frames.truncated
        all_of_it.opened = framer.opened
    all_of_it.record_bytes = framer.record_bytes
    all_of_it.separator_bytes = framer.separator_bytes
    all_of_it.unreadable_bytes = framer.unreadable_bytes
    return all_of_it


@pytest.mark.parametrize(
    ("data", "records"),
    [
        (HEAD + TRANSACTION + POLICY + TRAILER, [(0, 10), (10, 12), (22, 35), (57, 10)]),
        (HEAD + b"\r\n" + TRANSACTION + b"\r\n" + POLICY + b"\r\n", [(0, 10), (12, 12), (26, 35)]),
        (b"1MHG012   \r\n2TRG014   ab\r\n" + TRAILER, [(0, 12), (12, 14), (26, 10)]),
        (HEAD + b"\n" + TRANSACTION + b"\r" + TRAILER, [(0, 10), (11, 12), (24, 10)]),
    ],
)
def test_records_are_found_with_every_separator_habit(data: bytes, records: list[tuple[int, int]]) -> None:
    framed = frame(data)
    assert framed.records == records
    assert framed.spans == []
    assert framed.record_bytes == sum(length for _, length in records)
    assert framed.separator_bytes == len(data) - framed.record_bytes


@pytest.mark.parametrize(
    "padding",
    [
        b"\0\0\0",
        b"\x1a",
        b"\r\n\x1a\0",
        b" " * 40,
        b" " * 9000,
        b"\t!/",
        b"\xef\xbb\xbf",
        b"\r\n\xef\xbb\xbf\0",
    ],
)
def test_what_lies_between_groups_is_a_separator(padding: bytes) -> None:
    framed = frame(padding + HEAD + padding + POLICY + padding)
    assert framed.records == [(len(padding), 10), (10 + 2 * len(padding), 35)]
    assert framed.separator_bytes == 3 * len(padding)
    assert framed.spans == []


def test_designators_that_start_with_a_letter_have_the_long_header() -> None:
    assert frame(HEAD + CARRIER + TRAILER).records == [(0, 10), (10, 31), (41, 10)]
    assert frame(HEAD + b"CVH1029" + b" " * 22 + TRAILER).records == [(0, 10), (39, 10)]


def test_messages_may_follow_each_other_in_one_file() -> None:
    framed = frame((HEAD + TRANSACTION + TRAILER) * 2)
    assert framed.records == [(0, 10), (10, 12), (22, 10), (32, 10), (42, 12), (54, 10)]


@pytest.mark.parametrize("opening", [HEAD, TRANSACTION, TRAILER, POLICY, CARRIER])
def test_file_may_open_with_any_group(opening: bytes) -> None:
    assert frame(opening + POLICY).records == [(0, len(opening)), (len(opening), 35)]


@pytest.mark.parametrize("opening", [HEAD, TRANSACTION, TRAILER])
def test_control_group_of_the_envelope_opens_a_file_though_garbage_follows(opening: bytes) -> None:
    framed = frame(opening + b"garbage")
    assert framed.records == [(0, len(opening))]
    assert framed.spans == [(len(opening), len(opening) + 7)]


@pytest.mark.parametrize(
    "text",
    [
        b"Dear reader, this is no AL3 file at all.\n" * 9,
        b"HELLO WORLD",
        b"ABCD123 IS A PART NUMBER",
        b"0123456789" * 50,
        b"\xff" * 100,
        b"5BP",
        b"5BPI",
    ],
)
def test_file_without_a_header_that_leads_to_another_is_one_unreadable_span(text: bytes) -> None:
    framed = frame(text)
    assert (framed.records, framed.spans, framed.opened) == ([], [(0, len(text))], False)


@pytest.mark.parametrize(
    ("garbage", "bad_lengths"),
    [
        (b"garbage", []),
        (b"0123456789" * 50, []),
        (b"x", []),
        (b"0", [22]),
        (b"GARBAGE", [22]),
        (b"5BPI029" + b" " * 22, [22]),
        (b"2TRG009  ", [22]),
        (b"5BPIxxx", [22]),
        (b"5BPI   ", [22]),
        (b"2TR\xff012   ab", []),
        (b"5bpi035" + b" " * 28, []),
        (b"\xef\xbb1", []),
        (b"junk5BPI040 more junk", []),
    ],
)
def test_walk_resumes_at_the_next_header_that_leads_to_another(
    garbage: bytes, bad_lengths: list[int]
) -> None:
    framed = frame(HEAD + TRANSACTION + garbage + POLICY + TRAILER)
    end = 22 + len(garbage)
    assert framed.records == [(0, 10), (10, 12), (end, 35), (end + 35, 10)]
    assert (framed.spans, framed.followed_by) == ([(22, end)], [2])
    assert framed.bad_lengths == bad_lengths
    assert framed.unreadable_bytes == len(garbage)


def test_walk_resumes_at_the_last_record_of_a_file() -> None:
    framed = frame(HEAD + b"garbage" + TRAILER + b"\r\n\x1a")
    assert framed.records == [(0, 10), (17, 10)]
    assert framed.separator_bytes == 3


def test_header_that_leads_nowhere_does_not_end_the_search() -> None:
    framed = frame(HEAD + b"garbage 2TRG050 and on it goes" + POLICY + TRAILER)
    assert framed.records == [(0, 10), (40, 35), (75, 10)]
    assert framed.spans == [(10, 40)]


def test_garbage_at_the_end_is_a_span_that_no_record_follows() -> None:
    framed = frame(HEAD + b"garbage")
    assert (framed.spans, framed.followed_by) == ([(10, 17)], [1])


def test_wrong_length_is_believed_and_costs_what_follows_it() -> None:
    framed = frame(HEAD + b"2TRG020   ab" + POLICY.replace(b" ", b"x") + TRAILER)
    assert framed.records == [(0, 10), (10, 20), (57, 10)]
    assert framed.spans == [(30, 57)]


def test_search_gives_up_on_a_header_whose_successor_is_too_far_away() -> None:
    lost = HEAD + b"garbage" + POLICY
    assert frame(lost + b" " * 4095 + POLICY + POLICY).records[1] == (17, 35)
    assert frame(lost + b" " * 4096 + POLICY + POLICY).records[1] == (4148, 35)


@pytest.mark.parametrize("left", range(1, 35))
def test_last_record_may_run_past_the_end(left: int) -> None:
    framed = frame(HEAD + POLICY[:left])
    whole_header = left >= 7
    assert framed.truncated is whole_header
    assert framed.records == ([(0, 10), (10, 35)] if whole_header else [(0, 10)])
    assert framed.spans == ([] if whole_header else [(10, 10 + left)])
    assert framed.bad_lengths == []
    assert framed.record_bytes + framed.unreadable_bytes == 10 + left


def test_only_record_may_run_past_the_end() -> None:
    framed = frame(b"1MHG161   AB")
    assert (framed.records, framed.truncated, framed.record_bytes) == ([(0, 161)], True, 12)


@pytest.mark.parametrize("data", [b"", b"\r\n", b" " * 5000, b"\xef\xbb\xbf"])
def test_file_of_separators_has_no_records(data: bytes) -> None:
    framed = frame(data)
    assert (framed.records, framed.spans, framed.separator_bytes) == ([], [], len(data))


SMALL = (
    b"\xef\xbb\xbf"
    + HEAD
    + b"\r\n"
    + TRANSACTION
    + b"junk2TRG050\0\0"
    + POLICY
    + b"\0\x1a "
    + CARRIER
    + b"5BPI003"
    + TRAILER
    + b"\r\n"
    + HEAD
    + POLICY[:20]
)


@pytest.mark.parametrize("at", range(len(SMALL) + 1))
@pytest.mark.parametrize("data", [SMALL, b"no file, no AL3 5BPI035 at all" * 6], ids=["damaged", "text"])
def test_window_may_end_anywhere(data: bytes, at: int) -> None:
    assert frame(*cut(data, [min(at, len(data))])) == frame(data)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16])
def test_windows_may_be_tiny(size: int) -> None:
    assert frame(*cut(SMALL, range(size, len(SMALL), size))) == frame(SMALL)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 16, 40])
def test_span_is_given_in_the_window_of_the_record_that_follows_it(size: int) -> None:
    framer, given_at = Framer(KNOWN), []
    for window in cut(SMALL, range(size, len(SMALL), size)):
        frames = framer.feed(window)
        given_at += [frames.span_at[each] < len(frames.starts) for each in range(len(frames.span_at))]
    assert given_at == [True, True]


def test_small_damaged_file_is_what_the_tests_of_windows_need() -> None:
    framed = frame(SMALL)
    assert framed.records == [(3, 10), (15, 12), (40, 35), (78, 31), (116, 10), (128, 10), (138, 35)]
    assert framed.spans == [(27, 40), (109, 116)]
    assert framed.bad_lengths == [109]
    assert framed.truncated


PARTS = st.one_of(
    st.sampled_from(
        [HEAD, TRANSACTION, POLICY, CARRIER, TRAILER, b"\r\n", b"\0\x1a", b"\xef\xbb\xbf", b" " * 4096]
    ),
    st.sampled_from([b"5BPI003", b"junk 5BPI040 x", b"5BPI999", POLICY[:9], b"2TRG", b"\xef", b"0000000"]),
    st.binary(max_size=12),
)


@given(st.lists(PARTS, max_size=12).map(b"".join), st.lists(st.integers(0, 300), max_size=6))
def test_every_byte_is_covered_whatever_the_bytes_and_windows(data: bytes, cuts: list[int]) -> None:
    framed = frame(data)
    ends = [(start, min(start + length, len(data))) for start, length in framed.records]
    covered = sorted(ends + framed.spans)
    between = zip(
        [0, *(end for _, end in covered)], [*(start for start, _ in covered), len(data)], strict=True
    )
    assert all(start <= end for start, end in covered)
    gaps = [data[end:start] for end, start in between]
    assert all(not gap.replace(b"\xef\xbb\xbf", b"").strip(bytes(range(0x30))) for gap in gaps)
    assert sum(map(len, gaps)) == framed.separator_bytes
    assert framed.record_bytes + framed.separator_bytes + framed.unreadable_bytes == len(data)
    assert frame(*cut(data, [min(at, len(data)) for at in cuts])) == framed


def test_what_is_held_back_between_windows_is_a_few_kib() -> None:
    framer = Framer(KNOWN)
    window = b"5BPI035 " + b" " * 4000 + b"x" * 60 + b"ABCD123"
    held = 0
    for _ in range(300):
        framer.feed(window)
        held = max(held, len(framer._held))
    assert held < 6000


@pytest.mark.parametrize("separator", [b"", b"\r\n", b"\n", b"\xef\xbb\xbf", b" \0\r\n ", b"  " * 40])
def test_hot_loop_and_careful_walk_find_the_same(separator: bytes) -> None:
    data = HEAD + (TRANSACTION + separator + POLICY + b"\n" + CARRIER + separator * 2) * 500 + TRAILER
    assert len(frame(data).records) == 1502
    assert frame(*cut(data, range(40, len(data), 40))) == frame(data)


RUNS = st.builds(
    lambda separator, records, times: (separator + separator.join(records)) * times,
    st.sampled_from([b"", b"\r\n", b"\n", b"\0", b"    ", b"     "]),
    st.lists(st.sampled_from([TRANSACTION, POLICY, CARRIER]), min_size=1, max_size=3),
    st.integers(1, 40),
)


@given(st.lists(st.one_of(RUNS, RUNS, PARTS), max_size=8).map(b"".join), st.binary(min_size=1, max_size=9))
def test_hot_loop_and_careful_walk_find_the_same_in_damaged_files(data: bytes, damage: bytes) -> None:
    for each in (data, data[: len(data) // 2] + damage + data[len(data) // 2 :]):
        whole = HEAD + each
        assert frame(*cut(whole, range(40, len(whole), 40))) == frame(whole)


@pytest.mark.parametrize("size", [999, 1500, 2100, 3300])
def test_records_of_the_greatest_length_are_not_taken_before_they_are_there(size: int) -> None:
    longest = b"5BPI999" + b"x" * 992
    data = HEAD + longest * 12 + TRAILER
    framed = frame(*cut(data, range(size, len(data), size)))
    assert framed.records == [(0, 10), *((10 + 999 * at, 999) for at in range(12)), (11998, 10)]


def test_parent_reference_in_a_damaged_record_is_no_header() -> None:
    child = b"5PAYxxx   F20001" + b"5BPIF11001    " + b"A" * 50  # BPIF, 110: and 110 bytes on stands a header
    filler = b"5BPI047   " + b"B" * 37
    assert (child + filler).index(b"BPIF110") + 110 == len(child + filler)
    framed = frame(HEAD + TRANSACTION + child + filler + POLICY + TRAILER)
    assert framed.spans == [(22, 22 + len(child))]


def test_group_that_was_met_in_the_file_resumes_the_walk_if_one_header_follows() -> None:
    unknown = b"ZZZ1040" + b"." * 33
    framed = frame(HEAD + unknown + b"junk!" + unknown + b"5BPI035 oops" + POLICY + TRAILER)
    assert framed.spans[0] == (50, 55)
    assert framed.records[2] == (55, 40)


def test_group_that_nobody_knows_resumes_the_walk_only_if_two_headers_follow() -> None:
    unknown = b"ZZZ1040" + b"." * 33
    assert frame(HEAD + b"junk!" + unknown + POLICY + TRAILER).spans == [(10, 15)]
    broken = unknown + b"5BPI035 oops"
    assert frame(HEAD + b"junk!" + broken + POLICY + TRAILER).spans == [(10, 15 + len(broken))]

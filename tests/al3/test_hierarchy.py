from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from al3spark.al3.building import Record, build_record
from al3spark.al3.dictionary import header_length
from al3spark.al3.faults import FaultLog
from al3spark.al3.hierarchy import Headers, Linker, Links

SHIFT = 1000  # original offsets differ from expanded ones, as in a squeezed file
SPAN = 20  # bytes of an unreadable span
FILES = pa.array(["file"])

Item = Record | None  # None: an unreadable span


def control(group: str, body: bytes = b"") -> Record:
    return Record(group, raw=body)


def data(group: str, level: str, iteration: int | None, parent: tuple[str, str, int] | None = None) -> Record:
    return Record(group, level=level, iteration=iteration, parent=parent, raw=b"x")


MHG, TRG, MTG = control("1MHG"), control("2TRG"), control("3MTG")
BIS = data("5BIS", "B1", 1)
BPI = data("5BPI", "F1", 1, ("5BIS", "B1", 1))
LAG = data("5LAG", "L1", 1, ("5BPI", "F1", 1))
VEH = data("5VEH", "R1", 1, ("5LAG", "L1", 1))
CVA = data("6CVA", "W1", 1, ("5VEH", "R1", 1))


@dataclass
class Linked:
    """Where records hang: numbers of items, None for null. `faults`: code and number of the item."""

    messages: list[int | None] = field(default_factory=list)
    transactions: list[int | None] = field(default_factory=list)
    parents: list[int | None] = field(default_factory=list)
    faults: list[tuple[str, int]] = field(default_factory=list)
    counts: tuple[int, int] = (0, 0)


def link(*windows: list[Item]) -> Linked:
    """Link items window by window, as the parser does."""
    log, linked, items = FaultLog(), Linked(), [item for window in windows for item in window]
    linker = Linker(0, log)
    numbers = {}  # original offset -> number of the item
    start, number, links = 0, 0, []
    for window in windows:
        records, starts, span_at = [], [], []
        for item in window:
            numbers[start + SHIFT] = number
            number += 1
            if item is None:
                span_at.append(len(records))
                start += SPAN
            else:
                records.append(build_record(item, None))
                starts.append(start)
                start += len(records[-1])
        if records:
            links.append(link_window(linker, records, starts, span_at))
        elif span_at:
            linker.skip()
    linker.finish()
    numbers[-1] = None
    for each in links:
        linked.messages += [numbers[at] for at in each.message.tolist()]
        linked.transactions += [numbers[at] for at in each.transaction.tolist()]
        linked.parents += [numbers[at] for at in each.parent.tolist()]
    batch = log.take(FILES, FILES)
    if batch:
        places = zip(batch["code"].to_pylist(), batch["record_offset"].to_pylist(), strict=True)
        linked.faults = sorted((code, numbers[at]) for code, at in places)
    linked.counts = linker.messages, linker.transactions
    assert len(linked.parents) == len([item for item in items if item is not None])
    return linked


def link_window(linker: Linker, records: list[bytes], starts: list[int], span_at: list[int]) -> Links:
    window = b"".join(records)
    lengths = np.array([len(record) for record in records])

    def numbers(begin: int, end: int) -> np.ndarray:
        blank = b" " * (end - begin)
        fields = [
            record[begin:end] if header_length(record[:4].decode()) >= end else blank for record in records
        ]
        return np.array([int.from_bytes(each, "little") for each in fields])

    headers = Headers(
        *[numbers(*place) for place in ((0, 4), (10, 12), (12, 16), (16, 20), (20, 22), (22, 26))],
        np.array(starts) + SHIFT,
        np.array(starts),
        lengths,
        np.array([header_length(record[:4].decode()) == 30 for record in records]),
    )
    return linker.link(headers, np.array(span_at, np.int64), window, np.cumsum(lengths) - lengths)


def test_records_of_a_message_know_it_and_their_transaction() -> None:
    linked = link([MHG, TRG, BIS, TRG, BIS, MTG])
    assert linked.messages == [0, 0, 0, 0, 0, 0]
    assert linked.transactions == [None, 1, 1, 3, 3, None]
    assert linked.counts == (1, 2)
    assert linked.faults == []


def test_chain_of_parents_is_followed_level_by_level() -> None:
    linked = link([MHG, TRG, BIS, BPI, LAG, VEH, CVA, CVA, MTG])
    assert linked.parents == [None, None, None, 2, 3, 4, 5, 5, None]
    assert linked.faults == []


def test_second_message_in_a_file_has_records_of_its_own() -> None:
    linked = link([MHG, TRG, BIS, MTG, MHG, TRG, BIS, BPI, MTG])
    assert linked.messages == [0, 0, 0, 0, 4, 4, 4, 4, 4]
    assert linked.transactions == [None, 1, 1, None, None, 5, 5, 5, None]
    assert linked.parents == [None, None, None, None, None, None, None, 6, None]
    assert linked.counts == (2, 2)


def test_control_groups_belong_to_the_transaction_before_them() -> None:
    assert link([MHG, TRG, control("2TCG"), BIS, MTG]).transactions == [None, 1, 1, 1, None]


@pytest.mark.parametrize("level", ["L1", "R1"])
def test_same_designator_and_iteration_at_another_level_is_another_parent(level: str) -> None:
    first, second = data("5FOR", "L1", 1), data("5FOR", "R1", 1)
    linked = link([TRG, first, second, data("5AOI", "W1", 1, ("5FOR", level, 1))])
    assert linked.parents[3] == (1 if level == "L1" else 2)


def test_last_record_with_the_name_before_the_child_is_the_parent() -> None:
    again = replace(LAG, raw=b"again")
    linked = link([TRG, LAG, VEH, again, VEH, LAG])
    assert linked.parents[2] == 1
    assert linked.parents[4] == 3


def test_child_may_come_long_after_its_parent() -> None:
    second = data("5LAG", "L1", 2)
    linked = link([TRG, LAG, second, VEH, replace(VEH, parent=("5LAG", "L1", 2))])
    assert linked.parents[3:] == [1, 2]


def test_parent_that_comes_after_its_child_is_missing() -> None:
    linked = link([TRG, VEH, LAG])
    assert linked.parents[1] is None
    assert ("PARENT_MISSING", 1) in linked.faults


def test_record_is_not_its_own_parent() -> None:
    itself = data("5LAG", "L1", 1, ("5LAG", "L1", 1))
    linked = link([TRG, itself, itself])
    assert linked.parents == [None, None, 1]
    assert linked.faults == [("PARENT_MISSING", 1)]


def test_parent_of_another_iteration_is_taken_with_a_warning() -> None:
    first, second = data("5LAG", "L1", 1), data("5LAG", "L1", 2)
    linked = link([TRG, first, second, replace(VEH, parent=("5LAG", "L1", 7))])
    assert linked.parents[3] == 2
    assert linked.faults == [("PARENT_ITERATION_MISMATCH", 3)]


@pytest.mark.parametrize("parent", [("5LAG", "L2", 1), ("5LOC", "L1", 1), ("5LAG", "  ", 1)])
def test_parent_of_another_level_or_group_is_missing(parent: tuple[str, str, int]) -> None:
    linked = link([TRG, data("5LAG", "L1", 1), replace(VEH, parent=parent)])
    assert linked.parents[2] is None
    assert linked.faults == [("PARENT_MISSING", 2)]


def test_parent_is_never_one_of_an_earlier_transaction() -> None:
    linked = link([MHG, TRG, BIS, TRG, BPI, replace(BPI, parent=("5BIS", "B1", 2)), MTG])
    assert linked.parents[4:6] == [None, None]
    assert linked.faults == [("PARENT_MISSING", 4), ("PARENT_MISSING", 5)]
    assert link([TRG, BIS, TRG], [BPI]).parents[3] is None


def test_extension_without_a_named_parent_hangs_at_the_group_it_extends() -> None:
    other = data("5BIS", "B1", 2)
    linked = link([TRG, BIS, other, data("9BIS", "B1", 1), data("9BIS", "B1", 2)])
    assert linked.parents[3:] == [1, 2]
    assert linked.faults == []


@pytest.mark.parametrize("extension", [data("9BIS", "B1", 2), data("9BIS", "B2", 1), data("9AOI", "B1", 1)])
def test_extension_without_a_group_to_extend_has_no_parent_and_no_fault(extension: Record) -> None:
    linked = link([TRG, BIS, extension])
    assert linked.parents[2] is None
    assert linked.faults == []


def test_extension_that_names_a_parent_hangs_there() -> None:
    linked = link([TRG, BIS, BPI, data("9BIS", "B1", 1, ("5BPI", "F1", 1))])
    assert linked.parents[3] == 2


def test_records_before_any_transaction_are_outside_of_one() -> None:
    linked = link([MHG, BIS, BPI, TRG, BIS, MTG])
    assert linked.transactions == [None, None, None, 3, 3, None]
    assert linked.parents == [None] * 6
    assert linked.faults == [("RECORD_OUTSIDE_TRANSACTION", 1), ("RECORD_OUTSIDE_TRANSACTION", 2)]


def test_records_after_a_trailer_are_outside_of_message_and_transaction() -> None:
    linked = link([MHG, TRG, BIS, MTG, BPI, TRG, BIS])
    assert linked.messages == [0, 0, 0, 0, None, None, None]
    assert linked.transactions == [None, 1, 1, None, None, 5, 5]
    assert linked.faults == [("RECORD_OUTSIDE_TRANSACTION", 4)]


def test_file_without_a_message_header_still_has_transactions() -> None:
    linked = link([TRG, BIS, BPI])
    assert linked.messages == [None, None, None]
    assert linked.transactions == [0, 0, 0]
    assert linked.faults == []


def test_unreadable_span_makes_message_transaction_and_parent_unknown_until_the_next_of_each() -> None:
    linked = link([MHG, TRG, BIS, None, BPI, LAG, TRG, BIS, BPI, MTG, MHG, TRG, BIS, MTG])
    assert linked.messages == [0, 0, 0, *[None] * 6, 10, 10, 10, 10]
    assert linked.transactions == [None, 1, 1, None, None, 6, 6, 6, None, None, 11, 11, None]
    assert linked.parents == [None] * 7 + [7] + [None] * 5
    assert linked.faults == [("TRANSACTION_UNCERTAIN", 4)]


def test_each_unreadable_span_that_may_hide_a_transaction_is_one_fault() -> None:
    linked = link([MHG, TRG, BIS, None, BPI, None, LAG, VEH, None, TRG, None, BIS, MTG])
    assert linked.faults == [("TRANSACTION_UNCERTAIN", at) for at in (4, 6, 11)]


@pytest.mark.parametrize("after", [TRG, MHG, MTG])
def test_unreadable_span_right_before_a_control_group_of_the_envelope_hides_no_transaction(
    after: Record,
) -> None:
    linked = link([MHG, TRG, BIS, None, after])
    assert ("TRANSACTION_UNCERTAIN", 4) not in linked.faults


def test_records_after_a_trailer_that_an_unreadable_span_precedes_are_outside_of_a_transaction() -> None:
    assert link([MHG, TRG, BIS, None, MTG, BIS]).faults == [("RECORD_OUTSIDE_TRANSACTION", 5)]


def test_unreadable_span_before_a_trailer_leaves_its_message_unknown() -> None:
    linked = link([MHG, TRG, None, control("3MTG", b"00000099")])
    assert linked.messages == [0, 0, None]
    assert linked.faults == []


def test_unreadable_span_at_the_start_leaves_message_and_transaction_unknown() -> None:
    linked = link([None, BIS, TRG, BIS])
    assert linked.messages == [None, None, None]
    assert linked.transactions == [None, 2, 2]
    assert linked.faults == [("TRANSACTION_UNCERTAIN", 1)]


def test_unreadable_span_at_the_end_of_a_window_is_not_forgotten() -> None:
    linked = link([MHG, TRG, BIS, None], [BPI], [TRG, BIS, BPI])
    assert linked.transactions == [None, 1, 1, None, 5, 5, 5]
    assert linked.parents == [None, None, None, None, None, None, 6]


def test_message_without_a_trailer_is_a_warning() -> None:
    assert link([MHG, TRG, BIS, MHG, TRG, BIS, MTG]).faults == [("TRAILER_MISSING", 0)]
    assert link([MHG, TRG, BIS]).faults == [("TRAILER_MISSING", 0)]
    assert link([MHG, TRG], [BIS], [MHG, TRG, MTG]).faults == [("TRAILER_MISSING", 0)]


def test_message_whose_trailer_may_be_in_an_unreadable_span_is_no_fault() -> None:
    assert link([MHG, TRG, BIS, None]).faults == []
    assert link([MHG, TRG, BIS, None, MHG, TRG, MTG]).faults == []


GROUPS = control("1MHG", b" " * 87 + b"1")
CHARACTERS = control("1MHG", b" " * 87 + b"2")


@pytest.mark.parametrize(
    ("head", "total", "fits"),
    [
        (GROUPS, b"00000004", True),
        (GROUPS, b"4       ", True),
        (GROUPS, b"0000004\0", True),
        (GROUPS, b"0000003\0", False),
        (GROUPS, b"00000003", False),
        (GROUPS, b"00000157", False),
        (CHARACTERS, b"00000157", True),  # 98 + 10 + 31 + 18
        (CHARACTERS, b"00000004", False),
        (MHG, b"00000069", True),  # 10 + 10 + 31 + 18: too short for byte 97
        (GROUPS, b"        ", True),
        (GROUPS, b"????????", True),
        (GROUPS, b"", True),
    ],
)
def test_trailer_tells_how_much_there_is_in_its_message(head: Record, total: bytes, fits: bool) -> None:
    linked = link([head, TRG, BIS, control("3MTG", total)])
    assert linked.faults == ([] if fits else [("TRAILER_COUNT_MISMATCH", 3)])


def test_short_message_header_does_not_take_its_count_unit_from_the_next_record() -> None:
    assert link([MHG, control("2TRG", b"1" * 200), control("3MTG", b"00000238")]).faults == []


def test_trailer_counts_its_own_message_only() -> None:
    end = control("3MTG", b"00000004")
    assert link([GROUPS, TRG, BIS, end, GROUPS, TRG, BIS, end]).faults == []
    assert link([GROUPS, TRG], [BIS, end, GROUPS], [TRG, BIS], [end]).faults == []


def test_trailer_may_count_what_lies_between_the_groups() -> None:
    log = FaultLog()
    records = [build_record(each, None) for each in (MHG, TRG, control("3MTG", b"00000042"))]
    link_window(Linker(0, log), records, [0, 12, 24], [])  # CRLF after each group: 10 + 2 + 10 + 2 + 18
    assert log.pending == 0


def test_second_trailer_is_not_compared() -> None:
    end = control("3MTG", b"00000003")
    assert link([GROUPS, TRG, end, control("3MTG", b"00000099")]).faults == []


def test_fault_names_the_group_and_its_place() -> None:
    log = FaultLog()
    records = [build_record(each, None) for each in (TRG, VEH)]
    link_window(Linker(0, log), records, [0, 10], [])
    batch = log.take(FILES, FILES)
    assert batch is not None
    assert batch.select(
        ["code", "group_code", "record_offset", "byte_offset", "byte_length"]
    ).to_pylist() == [
        {
            "code": "PARENT_MISSING",
            "group_code": "5VEH",
            "record_offset": 1010,
            "byte_offset": 1010,
            "byte_length": 31,
        }
    ]


def link_plainly(items: list[Item]) -> Linked:
    """Link record by record, as FORMAT.md (Hierarchy) reads; of a message no more than its offset."""
    linked = Linked()
    message: int | str | None = None
    transaction: int | str | None = None
    seen: list[tuple[str, str, int | None, int]] = []
    pending = False
    for number, item in enumerate(items):
        if item is None:
            message = transaction = "unknown"
            pending = True
            continue
        if item.group == "1MHG":
            message, transaction = number, None
        elif item.group == "2TRG":
            transaction, seen = number, []
        elif item.group == "3MTG":
            transaction = None
        elif pending:
            linked.faults.append(("TRANSACTION_UNCERTAIN", number))
        elif transaction is None:
            linked.faults.append(("RECORD_OUTSIDE_TRANSACTION", number))
        pending = False
        linked.messages.append(message if isinstance(message, int) else None)
        linked.transactions.append(transaction if isinstance(transaction, int) else None)
        linked.parents.append(
            find_plainly(item, number, seen, linked) if isinstance(transaction, int) else None
        )
        if item.group == "3MTG":
            message = None
        seen.append((item.group, item.level, item.iteration, number))
    linked.faults.sort()
    return linked


def find_plainly(
    item: Record, number: int, seen: list[tuple[str, str, int | None, int]], linked: Linked
) -> int | None:
    extends = item.parent is None and item.group.startswith("9")
    wanted = ("5" + item.group[1:], item.level, item.iteration) if extends else item.parent
    if wanted is None:
        return None
    exact = [each for each in seen if each[:3] == wanted]
    if exact or extends:
        return exact[-1][3] if exact else None
    near = [each for each in seen if each[:2] == wanted[:2]]
    linked.faults.append(("PARENT_ITERATION_MISMATCH" if near else "PARENT_MISSING", number))
    return near[-1][3] if near else None


NAMES = st.tuples(st.sampled_from(["5BIS", "5LAG", "CVH1"]), st.sampled_from(["B1", "L1"]), st.integers(1, 3))
ITEMS = st.one_of(
    st.sampled_from([MHG, TRG, TRG, MTG, None, control("2TCG")]),
    st.builds(lambda name, parent: data(*name, parent), NAMES, st.none() | NAMES),
    st.builds(lambda iteration: data("9BIS", "B1", iteration), st.integers(1, 3)),
)


@given(st.lists(ITEMS, max_size=30), st.sets(st.integers(1, 29), max_size=5))
def test_links_are_those_of_a_plain_walk_however_windows_are_cut(items: list[Item], cuts: set[int]) -> None:
    # The framer gives a span in the window of the record that follows it.
    places = [0, *(at for at in sorted(cuts) if at < len(items) and items[at - 1] is not None), len(items)]
    linked = link(*[items[start:end] for start, end in pairwise(places)])
    expected = link_plainly(items)
    assert linked.messages == expected.messages
    assert linked.transactions == expected.transactions
    assert linked.parents == expected.parents
    assert [fault for fault in linked.faults if not fault[0].startswith("TRAILER")] == expected.faults
    assert linked.faults == link(items).faults


def test_what_is_carried_on_does_not_grow_with_the_transaction() -> None:
    linker = Linker(0, FaultLog())
    records = [build_record(each, None) for each in (BIS, BPI, LAG, VEH, CVA)]
    link_window(linker, [build_record(TRG, None)], [0], [])
    for window in range(1, 200):
        link_window(linker, records, [window * 1000 + 50 * at for at in range(5)], [])
    assert len(linker._seen.groups) == 6

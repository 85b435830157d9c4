from datetime import date
from typing import Any

import pytest

from al3spark.al3.building import Record, build_file
from al3spark.al3.parsing import SplitParser
from al3spark.al3.privacy import protect
from al3spark.al3.squeeze import Form
from tests.al3.samples import DICTIONARY, Parsed, as_sets, parse, windows

COLUMNS = (
    "policy_number",
    "line_of_business",
    "transaction_function",
    "business_purpose",
    "transaction_kind",
    "transaction_effective_date",
)
NOTHING = (None,) * 6


def transaction(**values: object) -> Record:
    purpose = {"transaction_function": "FMG", "cycle_business_purpose": "RWL"}
    return Record("2TRG", {**purpose, **values}, length=212)


def policy(number: str, line: str = "AUTOP") -> Record:
    return Record("5BPI", {"policy_number": number, "line_of_business_code": line}, "F1", 1, length=285)


def remark(text: str = "A") -> Record:
    return Record("5RMK", {"remarks_text": text}, "F2", 1, length=195)


def insured() -> Record:
    return Record("5BIS", level="B1", iteration=1, length=150)


def parsed(*records: Record, cut: int | None = None) -> Parsed:
    data = build_file(records, DICTIONARY)
    return parse(windows(data, cut) if cut else data)


def contexts(found: Parsed, table: str) -> list[Any]:
    return found.rows(table, *COLUMNS)


def test_records_before_and_behind_the_policy_have_its_number_and_line() -> None:
    found = parsed(transaction(), insured(), policy("P1", "HOME"), remark())
    expected = ("P1", "HOME", "FMG", "RWL", "renewal", None)
    assert contexts(found, "insureds") == contexts(found, "remarks") == [expected]


def test_each_transaction_has_its_own() -> None:
    found = parsed(transaction(), insured(), policy("P1"), transaction(), policy("P2"), insured())
    assert [row[0] for row in contexts(found, "insureds")] == ["P1", "P2"]


def test_the_first_policy_of_a_transaction_counts_and_each_keeps_its_own_number() -> None:
    found = parsed(transaction(), policy("P1", "AUTOP"), policy("P2", "HOME"), remark())
    assert [row[0] for row in contexts(found, "remarks")] == ["P1"]
    assert found.rows("policies", "policy_number", "line_of_business") == [("P1", "AUTOP"), ("P2", "AUTOP")]


def test_transaction_without_a_policy_has_none_and_no_fault() -> None:
    found = parsed(transaction(cycle_business_purpose="COM"), remark(), transaction(), policy("P2"))
    assert contexts(found, "remarks") == [(None, None, "FMG", "COM", "commission", None)]
    assert found.rows_of("POLICY_NOT_FOUND") == []


def test_records_outside_a_transaction_have_no_context() -> None:
    found = parsed(
        Record("1MHG", length=161), insured(), transaction(), policy("P1"), Record("3MTG", length=20)
    )
    assert contexts(found, "insureds") == contexts(found, "messages") == [NOTHING]
    assert contexts(found, "message_trailers") == [NOTHING]


def test_nothing_is_known_behind_an_unreadable_span() -> None:
    data = (
        build_file([transaction(), policy("P1")], DICTIONARY) + b"~lost~" + build_file([remark()], DICTIONARY)
    )
    assert contexts(parse(data), "remarks") == [NOTHING]


def test_policy_behind_an_unreadable_span_is_not_that_of_the_transaction_before_it() -> None:
    head = build_file([transaction(), insured()], DICTIONARY)
    found = parse(head + b"~lost~" + build_file([policy("P1")], DICTIONARY))
    assert contexts(found, "insureds") == [(None, None, "FMG", "RWL", "renewal", None)]
    assert found.rows("policies", "policy_number", "transaction_function") == [("P1", None)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"transaction_effective_date": date(2025, 3, 1)}, date(2025, 3, 1)),
        ({"transaction_effective_date_superseded": date(2024, 2, 29)}, date(2024, 2, 29)),
        (
            {
                "transaction_effective_date": date(2025, 3, 1),
                "transaction_effective_date_superseded": date(2024, 2, 29),
            },
            date(2025, 3, 1),
        ),
        ({}, None),
    ],
)
def test_the_newer_effective_date_counts_and_the_older_one_where_it_is_missing(
    values: dict[str, object], expected: date | None
) -> None:
    found = parsed(transaction(**values), remark())
    assert found.rows("remarks", "transaction_effective_date") == [(expected,)]
    assert found.rows("transactions", "transaction_effective_date") == [(expected,)]


@pytest.mark.parametrize(
    ("function", "purpose", "kind"),
    [
        ("FMG", "NBS", "new_business"),
        ("PMG", "PCH", "change"),
        ("FMG", "RWL", "renewal"),
        ("FMG", "XLC", "cancellation"),
        ("FMG", "XLN", "cancellation"),
        ("FMG", "REI", "reinstatement"),
        ("FMG", "RWQ", "quote"),
        ("DBR", None, "billing"),
        ("DBS", "COM", "commission"),
        ("MEM", "PMT", "billing"),
        ("MEM", "CLI", "claim"),
        ("SYN", "NBS", "sync"),
        ("FMG", "SYN", "sync"),
        ("FMG", "REW", "other"),
        (None, None, "other"),
        ("?", "NBS", "new_business"),
    ],
)
def test_kind_of_a_transaction_follows_its_function_and_purpose(
    function: str | None, purpose: str | None, kind: str
) -> None:
    found = parsed(transaction(transaction_function=function, cycle_business_purpose=purpose), remark())
    assert found.rows("remarks", "transaction_kind") == [(kind,)]


def with_bytes(record: Record, start: int, cells: bytes) -> bytes:
    built = build_file([record], DICTIONARY)
    return built[:start] + cells + built[start + len(cells) :]


SHIFTED_POLICY = with_bytes(policy("ANNA SMITH", "SMITH"), 80, b"NO DAY")
SHIFTED_TRANSACTION = with_bytes(transaction(), 160, b"NO DAY")
POLICY_WITHOUT_HEADER = with_bytes(policy("ANNA SMITH"), 10, b"SM")


@pytest.mark.parametrize(
    ("start", "number", "function"),
    [
        (build_file([transaction()], DICTIONARY) + SHIFTED_POLICY, "ANNA SMITH", "FMG"),
        (build_file([transaction()], DICTIONARY) + POLICY_WITHOUT_HEADER, "ANNA SMITH", "FMG"),
        (SHIFTED_TRANSACTION + build_file([policy("P1")], DICTIONARY), "P1", "FMG"),
    ],
)
def test_what_may_be_shifted_says_nothing_of_others_where_odd_records_are_hidden(
    start: bytes, number: str, function: str
) -> None:
    data = start + build_file([remark()], DICTIONARY)
    ((kept_number, _, kept_function, *_),) = contexts(parse(data), "remarks")
    assert (kept_number, kept_function) == (number, function)
    hidden = protect(DICTIONARY, {"untyped": "drop"})
    ((told_number, _, told_function, *_),) = contexts(parse(data, dictionary=hidden), "remarks")
    odd = (number, None) if start.startswith(SHIFTED_TRANSACTION) else (None, function)
    assert (told_number, told_function) == odd


@pytest.mark.parametrize("size", [40, 161, 700, 5000])
def test_windows_change_nothing(size: int) -> None:
    records = [
        record
        for number in range(20)
        for record in (
            transaction(),
            *[insured()] * (number % 4),
            *([policy(f"P{number}")] if number % 3 else []),
            remark(),
        )
    ]
    data = build_file(records, DICTIONARY)
    assert as_sets(parse(windows(data, size))) == as_sets(parse(data))


def test_files_do_not_mix() -> None:
    first = build_file([transaction(), remark()], DICTIONARY)
    second = build_file([policy("P2"), remark()], DICTIONARY)
    assert [row[0] for row in contexts(parse(first, second), "remarks")] == [None, None]


def test_table_without_elements_has_a_context_too() -> None:
    found = parsed(transaction(), Record("5ZZZ", level="F2", iteration=1, raw=b"A"), policy("P1"))
    assert contexts(found, "unmapped_groups") == [("P1", "AUTOP", "FMG", "RWL", "renewal", None)]


@pytest.mark.parametrize("size", [1 << 20, 4 << 20, 1 << 30])
@pytest.mark.parametrize(("count", "is_found"), [(43000, True), (43100, False)])
def test_policy_is_looked_for_within_eight_mib_of_the_transaction(
    count: int, is_found: bool, size: int
) -> None:
    data = build_file([transaction()], DICTIONARY) + build_file([remark()], DICTIONARY) * count
    found = parse(windows(data + build_file([policy("P1"), remark()], DICTIONARY), size))
    numbers = set(contexts(found, "remarks"))
    assert {row[0] for row in numbers} == {"P1" if is_found else None}
    assert found.rows_of("POLICY_NOT_FOUND", "record_offset", "severity") == (
        [] if is_found else [(0, "warning")]
    )


def test_only_the_window_of_the_open_transaction_waits_for_its_policy() -> None:
    parser = SplitParser(DICTIONARY)
    window = build_file([transaction(), remark(), remark()], DICTIONARY) * 2000
    rows = [sum(block.batch.num_rows for block in parser.parse("f", "f", Form(), [window] * 12))]
    rows += [sum(block.batch.num_rows for block in parser.flush())]
    assert sum(rows) == 12 * 6000
    assert rows[0] >= 10 * 6000 - 3 * 8192  # less what waits to fill a batch, in each of two tables


def test_windows_change_nothing_where_policies_come_late_or_never() -> None:
    lone, short = [transaction(), remark()], [transaction(), policy("P1"), remark()]
    late = [transaction(), *[remark()] * 9000, policy("P2"), remark()]
    data = build_file([*lone * 3000, *late, *short * 2000, *lone * 3000, *late], DICTIONARY)
    expected = as_sets(parse(data))
    assert as_sets(parse(windows(data, 300_000))) == expected
    assert as_sets(parse(windows(data, 1_500_000))) == expected


def test_what_waits_too_long_is_told_once() -> None:
    data = build_file([transaction()], DICTIONARY) + build_file([remark()], DICTIONARY) * 100_000
    found = parse(windows(data, 1 << 20))
    assert found.rows_of("POLICY_NOT_FOUND", "record_offset") == [(0,)]
    assert found.tables["remarks"].num_rows == 100_000


def test_policy_that_ends_early_says_what_it_holds() -> None:
    found = parsed(transaction(), Record("5BPI", {"policy_number": "P1"}, "F1", 1, length=55), remark())
    assert contexts(found, "remarks")[0][:2] == ("P1", None)

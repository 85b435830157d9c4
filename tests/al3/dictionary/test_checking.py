import pytest

from al3spark.al3.dictionary.checking import (
    Described,
    Known,
    Problem,
    check_elements,
    check_groups,
    check_references,
    check_tables,
)
from al3spark.al3.dictionary.layouts import Element

NAME_RULE = "a lower-case letter, then lower-case letters, digits and _"


def known(*groups: tuple[str, str]) -> dict[str, Known]:
    return {group: Known("g.csv", line, group, table, "") for line, (group, table) in enumerate(groups, 2)}


def described(*elements: Element) -> list[Described]:
    return [Described("e.csv", line, element) for line, element in enumerate(elements, 2)]


def element_problems(*elements: Element) -> list[str]:
    return [str(problem) for problem in check_elements(described(*elements))]


def test_problem_of_a_whole_file_has_no_line() -> None:
    assert str(Problem("g.csv", 0, "is not UTF-8")) == "g.csv: is not UTF-8"


@pytest.mark.parametrize("group", ["5BP", "5bpi", "5BPI2", "5BP-", ""])
def test_group_that_is_no_designator_is_a_problem(group: str) -> None:
    message = f"{group!r} is not a group: 4 characters, digits and capital letters"
    assert [str(problem) for problem in check_groups([Known("g.csv", 2, group, "", "")])] == [
        f"g.csv line 2: {message}"
    ]
    assert element_problems(Element(group, "id", 30, 1, "code")) == [f"e.csv line 2: {message}"]


def test_group_that_is_there_twice_is_a_problem() -> None:
    rows = [Known("g.csv", 2, "5BPI", "policies", ""), Known("g.csv", 3, "5BPI", "other", "")]
    assert [str(problem) for problem in check_groups(rows)] == [
        "g.csv line 3: 5BPI is there twice (first in line 2)"
    ]


@pytest.mark.parametrize("table", ["Policies", "_policies", "5bpi", "po-licies", "po licies", "../x"])
def test_table_that_is_no_plain_name_is_a_problem(table: str) -> None:
    assert [str(problem) for problem in check_groups([Known("g.csv", 2, "5BPI", table, "")])] == [
        f"g.csv line 2: 5BPI has table {table!r}, which is not a table name: {NAME_RULE}"
    ]


@pytest.mark.parametrize("table", ["csv", "errors", "files", "unmapped_groups"])
def test_reserved_table_is_a_problem(table: str) -> None:
    assert [str(problem) for problem in check_groups([Known("g.csv", 2, "5BPI", table, "")])] == [
        f"g.csv line 2: 5BPI has table {table}, which is reserved "
        "(so are csv, errors, files, unmapped_groups)"
    ]


def test_table_of_two_groups_is_a_problem() -> None:
    assert [
        str(problem) for problem in check_tables(known(("5BPI", "policies"), ("5BIS", "policies")), {})
    ] == ["g.csv line 3: 5BIS has table policies, as 5BPI has (g.csv line 2)"]


def test_groups_without_table_are_no_problem() -> None:
    assert list(check_tables(known(("5BPI", ""), ("5BIS", "")), {})) == []


def test_described_group_without_table_is_a_problem() -> None:
    rows = {"5BPI": described(Element("5BPI", "id", 30, 1, "code"))}
    assert [str(problem) for problem in check_tables(known(("5BPI", "")), rows)] == [
        "g.csv line 2: 5BPI has elements (e.csv) but no table: name one"
    ]


def test_described_group_that_is_not_known_is_a_problem() -> None:
    rows = {"5BPI": described(Element("5BPI", "id", 30, 1, "code"))}
    assert [str(problem) for problem in check_tables({}, rows)] == [
        "e.csv line 2: 5BPI has elements but no row in groups.csv: add one with its table and name"
    ]


@pytest.mark.parametrize("kind", ["texts", "", "gap"])
def test_unknown_kind_is_a_problem(kind: str) -> None:
    assert element_problems(Element("5BPI", "id", 30, 1, kind)) == [
        f"e.csv line 2: 5BPI.id has kind {kind!r}; known are amount, code, date_ccyymmdd, date_yymmdd, "
        "decimal, flag, integer, month_mmyy, name, phone, reserved, text, time_hhmm, timestamp"
    ]


@pytest.mark.parametrize("name", ["Id", "1st", "a-b", "a b", "", "_a", "é"])
def test_element_that_is_no_plain_name_is_a_problem(name: str) -> None:
    assert element_problems(Element("5BPI", name, 30, 1, "code")) == [
        f"e.csv line 2: 5BPI.{name} is not an element name: {NAME_RULE}"
    ]


def test_element_named_like_a_gap_is_a_problem() -> None:
    assert element_problems(Element("5BPI", "unnamed_30", 30, 1, "code")) == [
        "e.csv line 2: 5BPI.unnamed_30 has a name that is kept for the gaps between elements"
    ]


@pytest.mark.parametrize("name", ["job_id", "record_offset", "iteration", "header_flags", "extra_bytes"])
def test_element_named_like_a_column_of_every_table_is_a_problem(name: str) -> None:
    assert element_problems(Element("5BPI", name, 30, 1, "code")) == [
        f"e.csv line 2: 5BPI.{name} makes the column {name}, which every table has already"
    ]


@pytest.mark.parametrize(
    ("group", "name"), [("5ZZZ", "policy_number"), ("5BPI", "transaction_kind"), ("2TRG", "line_of_business")]
)
def test_element_named_like_a_context_column_of_another_group_is_a_problem(group: str, name: str) -> None:
    assert element_problems(Element(group, name, 30, 1, "code")) == [
        f"e.csv line 2: {group}.{name} makes the column {name}, which every table has already"
    ]


@pytest.mark.parametrize(("group", "name"), [("5BPI", "policy_number"), ("2TRG", "business_purpose")])
def test_group_that_says_it_may_have_an_element_named_like_a_context_column(group: str, name: str) -> None:
    assert element_problems(Element(group, name, 30, 1, "code")) == []


@pytest.mark.parametrize(
    ("element", "message"),
    [
        (Element("2TRG", "name", 7, 4, "text"), "2TRG.name starts at 7, inside its header (0-9)"),
        (Element("5BPI", "name", 29, 4, "text"), "5BPI.name starts at 29, inside its header (0-29)"),
        (
            Element("5BPI", "name", 990, 10, "text"),
            "5BPI.name ends at 1000, but no record is longer than 999",
        ),
    ],
)
def test_element_outside_the_body_of_a_record_is_a_problem(element: Element, message: str) -> None:
    assert element_problems(element) == [f"e.csv line 2: {message}"]


def test_element_that_ends_with_the_longest_record_is_no_problem() -> None:
    assert element_problems(Element("5BPI", "name", 990, 9, "text")) == []


def test_element_inside_another_is_a_problem() -> None:
    elements = (Element("2TRG", "name", 13, 4, "text"), Element("2TRG", "id", 10, 10, "code"))
    assert element_problems(*elements) == ["e.csv line 2: 2TRG.name starts at 13, inside 2TRG.id (10-19)"]


def test_every_element_inside_a_long_one_is_a_problem() -> None:
    elements = (
        Element("2TRG", "id", 10, 10, "code"),
        Element("2TRG", "a", 11, 2, "text"),
        Element("2TRG", "b", 15, 2, "text"),
        Element("2TRG", "c", 20, 2, "text"),
    )
    assert element_problems(*elements) == [
        "e.csv line 3: 2TRG.a starts at 11, inside 2TRG.id (10-19)",
        "e.csv line 4: 2TRG.b starts at 15, inside 2TRG.id (10-19)",
    ]


def test_positions_that_could_not_be_read_cause_no_further_problems() -> None:
    first = Described("e.csv", 2, Element("2TRG", "first", 0, 9, "flag"), measured=False)
    second = Described("e.csv", 3, Element("2TRG", "second", 0, 9, "flag"), measured=False)
    assert list(check_elements([first, second])) == []


@pytest.mark.parametrize(
    ("kind", "length", "allowed"),
    [
        ("text", 0, "1 to 999"),
        ("integer", 0, "1 to 18"),
        ("integer", 19, "1 to 18"),
        ("decimal", 19, "1 to 18"),
        ("amount", 1, "2 to 19"),
        ("amount", 20, "2 to 19"),
        ("date_yymmdd", 8, "6"),
        ("date_ccyymmdd", 6, "8"),
        ("month_mmyy", 6, "4"),
        ("time_hhmm", 6, "4"),
        ("timestamp", 14, "13 or 15"),
        ("flag", 2, "1"),
        ("name", 61, "60"),
    ],
)
def test_length_that_cannot_work_is_a_problem(kind: str, length: int, allowed: str) -> None:
    assert element_problems(Element("5BPI", "x", 30, length, kind)) == [
        f"e.csv line 2: 5BPI.x has length {length}; kind {kind} needs {allowed}"
    ]


@pytest.mark.parametrize(
    ("kind", "length"),
    [("integer", 18), ("decimal", 18), ("amount", 19), ("amount", 2), ("timestamp", 13), ("timestamp", 15)],
)
def test_longest_and_shortest_lengths_are_no_problem(kind: str, length: int) -> None:
    assert element_problems(Element("5BPI", "x", 30, length, kind)) == []


@pytest.mark.parametrize(
    ("kind", "scale", "most"), [("amount", 19, 18), ("decimal", 19, 18), ("integer", 2, 0)]
)
def test_scale_that_the_kind_cannot_have_is_a_problem(kind: str, scale: int, most: int) -> None:
    assert element_problems(Element("5BPI", "x", 30, 9, kind, scale)) == [
        f"e.csv line 2: 5BPI.x has scale {scale}; kind {kind} takes at most {most}"
    ]


def test_element_that_is_there_twice_is_a_problem() -> None:
    elements = (Element("5BPI", "x", 30, 1, "code"), Element("5BPI", "x", 31, 1, "code"))
    assert element_problems(*elements) == ["e.csv line 3: 5BPI.x makes the column x, as 5BPI.x does (line 2)"]


def test_element_named_like_a_part_of_a_name_is_a_problem() -> None:
    elements = (Element("5BIS", "who_first", 90, 9, "text"), Element("5BIS", "who", 30, 60, "name"))
    assert element_problems(*elements) == [
        "e.csv line 3: 5BIS.who makes the column who_first, as 5BIS.who_first does (line 2)"
    ]


def test_name_that_is_there_twice_is_one_problem() -> None:
    elements = (Element("5BIS", "who", 30, 60, "name"), Element("5BIS", "who", 90, 60, "name"))
    assert element_problems(*elements) == [
        "e.csv line 3: 5BIS.who makes the column who, as 5BIS.who does (line 2)"
    ]


def test_element_id_that_is_there_twice_is_a_problem() -> None:
    elements = (
        Element("5BPI", "x", 30, 1, "code", element_id="5BPI01"),
        Element("5BPI", "y", 31, 1, "code", element_id="5BPI01"),
    )
    assert element_problems(*elements) == [
        "e.csv line 3: 5BPI.y has element id 5BPI01, as 5BPI.x has (line 2)"
    ]


@pytest.mark.parametrize("reference", ["", "5BPI02", "5CNR08", "5BPI02_AND_5BPI02"])
def test_reference_that_is_found_or_cannot_be_checked_is_no_problem(reference: str) -> None:
    older = Element("5BPI", "x", 30, 1, "code", superseded_by=reference)
    newer = Element("5BPI", "y", 31, 1, "code", element_id="5BPI02")
    rows = {"5BPI": described(older, newer)}
    assert list(check_references(rows, rows, known(("5BPI", "policies"), ("5CNR", "")))) == []


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("5BPI03", "5BPI.x is superseded by 5BPI03, but 5BPI has no such element id"),
        ("5CNR08", "5BPI.x is superseded by 5CNR08, but 5CNR is no known group"),
        ("5BPI02_AND_BPI03", "5BPI.x is superseded by BPI03, but BPI0 is no known group"),
    ],
)
def test_reference_that_is_not_found_is_a_problem(reference: str, message: str) -> None:
    older = Element("5BPI", "x", 30, 1, "code", superseded_by=reference)
    newer = Element("5BPI", "y", 31, 1, "code", element_id="5BPI02")
    rows = {"5BPI": described(older, newer)}
    found = check_references(rows, rows, known(("5BPI", "policies")))
    assert [str(problem) for problem in found] == [f"e.csv line 2: {message}"]

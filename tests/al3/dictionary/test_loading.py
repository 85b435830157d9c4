import csv
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

import al3spark
from al3spark.al3.dictionary import Element, TransactionKind, load_dictionary
from al3spark.al3.dictionary.loading import fill_gaps
from al3spark.errors import DictionaryError

PACKAGE = Path(al3spark.__file__).parent
GROUPS = "group,table,name\n"
ELEMENTS = "group,element,start,length,kind\n"


def overlay(directory: Path, groups: str | None = None, elements: str | None = None) -> Path:
    directory.mkdir(exist_ok=True)
    for name, text in (("groups.csv", groups), ("elements.csv", elements)):
        if text is not None:
            (directory / name).write_text(text, encoding="utf-8")
    return directory


def problems(*directories: Path) -> list[str]:
    with pytest.raises(DictionaryError) as caught:
        load_dictionary(*directories)
    return str(caught.value).replace(str(directories[-1]), "mine").splitlines()


def test_starter_describes_54_groups_and_knows_155() -> None:
    dictionary = load_dictionary()
    described = [
        element for layout in dictionary.layouts for element in layout.elements if element.kind != "gap"
    ]
    assert (len(dictionary.layouts), len(dictionary.titles), len(described)) == (54, 155, 1136)


def test_starter_is_sorted_by_group() -> None:
    groups = [layout.group for layout in load_dictionary().layouts]
    assert groups == sorted(groups)


def test_starter_row_becomes_an_element() -> None:
    layout = load_dictionary().layout("5BPI")
    assert layout is not None
    assert (layout.table, layout.title, layout.length) == ("policies", "Basic Policy Information", 330)
    assert layout.elements[10] == Element(
        group="5BPI",
        name="current_term_amount",
        start=111,
        length=12,
        kind="amount",
        scale=2,
        ref_id="FPREM",
        element_id="5BPI11",
        confidence="high",
        sources="ABCSW",
    )


def test_starter_title_is_known_for_a_group_that_is_not_described() -> None:
    dictionary = load_dictionary()
    assert dictionary.layout("6ARU") is None
    assert dict(dictionary.titles)["6ARU"] == "Agriculture Rating and Underwriting"


def test_starter_policy_dates_replace_each_other() -> None:
    layout = load_dictionary().layout("5BPI")
    assert layout is not None
    names = {
        (layout.elements[newer].name, layout.elements[older].name) for newer, older in layout.replacements
    }
    assert names == {
        ("billing_account_number", "billing_account_number_superseded"),
        ("policy_effective_date", "policy_effective_date_superseded"),
        ("policy_expiration_date", "policy_expiration_date_superseded"),
        ("rate_date", "rate_date_superseded"),
    }


def test_gap_between_elements_is_filled() -> None:
    layout = load_dictionary().layout("5BPI")
    assert layout is not None
    gaps = [element for element in layout.elements if element.kind == "gap"]
    assert gaps == [Element("5BPI", "unnamed_297", 297, 9, "gap")]


def test_gap_after_the_header_is_filled() -> None:
    described = Element("5XXX", "id", 34, 2, "code")
    assert fill_gaps("5XXX", [described]) == (Element("5XXX", "unnamed_30", 30, 4, "gap"), described)


def test_elements_without_gaps_are_only_sorted() -> None:
    first, second = Element("2XXX", "id", 10, 2, "code"), Element("2XXX", "name", 12, 5, "text")
    assert fill_gaps("2XXX", [second, first]) == (first, second)


def test_overlay_adds_a_group(tmp_path: Path) -> None:
    mine = overlay(
        tmp_path,
        GROUPS + "CVH1,home_extras,Home Extras\n",
        ELEMENTS + "CVH1,note,40,5,text\nCVH1,code,30,2,code\n",
    )
    layout = load_dictionary(mine).layout("CVH1")
    assert layout is not None
    assert (layout.table, layout.title) == ("home_extras", "Home Extras")
    assert [element.name for element in layout.elements] == ["code", "unnamed_32", "note"]


def test_overlay_keeps_the_groups_sorted(tmp_path: Path) -> None:
    mine = overlay(tmp_path, GROUPS + "0AAA,first,First\n", ELEMENTS + "0AAA,code,10,2,code\n")
    dictionary = load_dictionary(mine)
    assert dictionary.layouts[0].group == "0AAA"
    assert dictionary.titles[0] == ("0AAA", "First")


def test_overlay_replaces_all_elements_of_a_group_and_leaves_the_others(tmp_path: Path) -> None:
    starter = load_dictionary()
    merged = load_dictionary(overlay(tmp_path, elements=ELEMENTS + "5PAY,plan,30,2,code\n"))
    layout = merged.layout("5PAY")
    assert layout is not None
    assert layout.elements == (Element("5PAY", "plan", 30, 2, "code"),)
    assert (layout.table, layout.title) == ("payment_plans", "Payment Plan Information")
    assert merged.layout("5BPI") == starter.layout("5BPI")


def test_overlay_of_groups_only_renames_a_table(tmp_path: Path) -> None:
    starter = load_dictionary().layout("5PAY")
    merged = load_dictionary(overlay(tmp_path, groups=GROUPS + "5PAY,plans,Plans\n")).layout("5PAY")
    assert starter is not None
    assert merged == replace(starter, table="plans", title="Plans")


def test_overlay_may_swap_two_tables(tmp_path: Path) -> None:
    mine = overlay(tmp_path, groups=GROUPS + "5BPI,drivers,A\n5DRV,policies,B\n")
    dictionary = load_dictionary(mine)
    assert [
        (layout.group, layout.table) for layout in dictionary.layouts if layout.group in ("5BPI", "5DRV")
    ] == [
        ("5BPI", "drivers"),
        ("5DRV", "policies"),
    ]


def test_last_overlay_wins(tmp_path: Path) -> None:
    first = overlay(tmp_path / "first", elements=ELEMENTS + "5PAY,one,30,2,code\n")
    last = overlay(tmp_path / "last", elements=ELEMENTS + "5PAY,two,30,2,code\n")
    layout = load_dictionary(first, str(last)).layout("5PAY")
    assert layout is not None
    assert [element.name for element in layout.elements] == ["two"]


def test_overlay_may_drop_an_element_that_the_starter_points_to(tmp_path: Path) -> None:
    mine = overlay(
        tmp_path, elements=ELEMENTS + "5IIG,value,30,9,integer\n"
    )  # 6HRU points to 5IIG07 and 5IIG11
    assert load_dictionary(mine).layout("5IIG") is not None


def test_overlay_may_come_from_a_spreadsheet(tmp_path: Path) -> None:
    header = b"\xef\xbb\xbfstart,length, kind,element,group,scale\r\n"
    rows = b'30,5,amount, fee ,5PAY,2\r\n,,,,,\r\n35,4,text,"note",5PAY,\r\n'
    (tmp_path / "elements.csv").write_bytes(header + rows)
    layout = load_dictionary(tmp_path).layout("5PAY")
    assert layout is not None
    assert layout.elements == (
        Element("5PAY", "fee", 30, 5, "amount", 2),
        Element("5PAY", "note", 35, 4, "text"),
    )


def test_version_is_sixteen_hex_digits() -> None:
    version = load_dictionary().version
    assert len(version) == 16
    assert int(version, 16) >= 0


@pytest.mark.parametrize(
    ("groups", "elements"),
    [
        (GROUPS + "5PAY,plans,Payment Plan Information\n", None),
        (GROUPS + "5PAY,payment_plans,Plans\n", None),
        (GROUPS + "6ARU,,Agriculture\n", None),
        (None, ELEMENTS + "5PAY,plan,30,2,code\n"),
    ],
    ids=["table", "title", "title of a group that is not described", "elements"],
)
def test_version_changes_with_the_content(tmp_path: Path, groups: str | None, elements: str | None) -> None:
    assert load_dictionary(overlay(tmp_path, groups, elements)).version != load_dictionary().version


def test_version_does_not_depend_on_the_order_of_rows(tmp_path: Path) -> None:
    for name in ("groups.csv", "elements.csv"):
        header, *rows = (PACKAGE / "al3" / "dictionary" / name).read_text(encoding="utf-8").splitlines()
        (tmp_path / name).write_text("\n".join([header, *reversed(rows)]), encoding="utf-8")
    assert load_dictionary(tmp_path) == load_dictionary()


def test_starter_loads_out_of_a_zip(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "al3spark.zip", "w") as archive:
        for name in ("__init__.py", "errors.py", "al3/__init__.py"):
            archive.write(PACKAGE / name, f"al3spark/{name}")
        for path in (PACKAGE / "al3" / "dictionary").glob("*.*"):
            archive.write(path, f"al3spark/al3/dictionary/{path.name}")
    code = "from al3spark.al3 import dictionary as d; print(d.__file__, d.load_dictionary().version)"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path / "al3spark.zip")},
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    file, version = ran.stdout.split()
    assert file == str(tmp_path / "al3spark.zip" / "al3spark" / "al3" / "dictionary" / "__init__.py")
    assert version == load_dictionary().version


def test_missing_directory_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path / "gone") == ["mine: is not a directory"]


def test_directory_without_either_file_is_a_problem(tmp_path: Path) -> None:
    assert problems(tmp_path) == ["mine: holds neither groups.csv nor elements.csv nor transaction_kinds.csv"]


def test_missing_columns_are_problems(tmp_path: Path) -> None:
    assert problems(overlay(tmp_path, "group,name\n", "group,element,start\n")) == [
        "mine/elements.csv line 1: column kind is missing (required: group, element, start, length, kind)",
        "mine/elements.csv line 1: column length is missing (required: group, element, start, length, kind)",
        "mine/groups.csv line 1: column table is missing (required: group, table, name)",
    ]


def test_unknown_and_doubled_columns_are_problems(tmp_path: Path) -> None:
    assert problems(overlay(tmp_path, "group,table,name,tabel,name\n")) == [
        "mine/groups.csv line 1: column 'name' is there 2 times",
        "mine/groups.csv line 1: column 'tabel' is not known (known: group, table, name, lengths_seen)",
    ]


def test_empty_file_lacks_every_column(tmp_path: Path) -> None:
    assert problems(overlay(tmp_path, "")) == [
        "mine/groups.csv line 1: column group is missing (required: group, table, name)",
        "mine/groups.csv line 1: column name is missing (required: group, table, name)",
        "mine/groups.csv line 1: column table is missing (required: group, table, name)",
    ]


def test_row_with_too_few_or_too_many_fields_is_a_problem(tmp_path: Path) -> None:
    assert problems(overlay(tmp_path, GROUPS + "5PAY,plans\n\n5BPI,policies,Policy,Basic\n")) == [
        "mine/groups.csv line 2: has 2 fields, the first line has 3",
        "mine/groups.csv line 4: has 4 fields, the first line has 3",
    ]


def test_file_that_is_not_utf8_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_bytes(b"group,table,name\n5PAY,plans,Pl\xe4ne\n")
    assert problems(tmp_path) == ["mine/groups.csv: is not UTF-8: save it as CSV UTF-8"]


def test_quote_that_never_closes_is_a_problem(tmp_path: Path) -> None:
    assert problems(overlay(tmp_path, GROUPS + '5PAY,plans,"Plans\n5BPI,policies,Policy\n')) == [
        "mine/groups.csv line 3: is not CSV: unexpected end of data"
    ]


@pytest.mark.parametrize(
    ("column", "row"),
    [
        ("start '3x'", "5PAY,plan,3x,2,code,\n"),
        ("start ''", "5PAY,plan,,2,code,\n"),
        ("length '-2'", "5PAY,plan,30,-2,code,\n"),
        ("length '\u0662'", "5PAY,plan,30,\u0662,code,\n"),
        ("scale '2.0'", "5PAY,plan,30,2,code,2.0\n"),
    ],
)
def test_number_that_is_none_is_a_problem(tmp_path: Path, column: str, row: str) -> None:
    assert problems(overlay(tmp_path, elements="group,element,start,length,kind,scale\n" + row)) == [
        f"mine/elements.csv line 2: 5PAY.plan has {column}, which is not a whole number"
    ]


def test_all_problems_of_all_directories_are_listed_at_once(tmp_path: Path) -> None:
    first = overlay(tmp_path / "1", GROUPS + "5PAY,files,Plans\n", ELEMENTS + "5PAY,Plan,3x,2,codes\n")
    last = overlay(
        tmp_path / "2", elements=ELEMENTS + "5BPI,since,29,2,code\n5BPI,until,30,6,date_ccyymmdd\n"
    )
    with pytest.raises(DictionaryError) as caught:
        load_dictionary(first, last)
    assert str(caught.value).replace(str(tmp_path), "").splitlines() == [
        "/1/elements.csv line 2: 5PAY.Plan has kind 'codes'; known are amount, code, date_ccyymmdd, "
        "date_yymmdd, decimal, flag, integer, month_mmyy, name, phone, reserved, text, time_hhmm, timestamp",
        "/1/elements.csv line 2: 5PAY.Plan has start '3x', which is not a whole number",
        "/1/elements.csv line 2: 5PAY.Plan is not an element name: "
        "a lower-case letter, then lower-case letters, digits and _",
        "/1/groups.csv line 2: 5PAY has table files, which is reserved "
        "(so are csv, errors, files, unmapped_groups)",
        "/2/elements.csv line 2: 5BPI.since starts at 29, inside its header (0-29)",
        "/2/elements.csv line 3: 5BPI.until has length 6; kind date_ccyymmdd needs 8",
        "/2/elements.csv line 3: 5BPI.until starts at 30, inside 5BPI.since (29-30)",
    ]


def test_sources_explain_every_letter_that_the_starter_uses() -> None:
    directory = PACKAGE / "al3" / "dictionary"
    with (directory / "elements.csv").open(encoding="utf-8", newline="") as file:
        letters = {letter for row in csv.DictReader(file) for letter in row["sources"]}
    table = [
        line for line in (directory / "SOURCES.md").read_text(encoding="utf-8").splitlines() if "|" in line
    ]
    assert sorted(letters) == ["A", "B", "C", "D", "I", "S", "W"]
    assert all(any(letter in line.split("|")[1] for line in table) for letter in letters)


KINDS = "transaction_function,business_purpose,transaction_kind\n"


def test_kinds_of_transactions_of_a_directory_replace_those_of_the_starter(tmp_path: Path) -> None:
    (tmp_path / "transaction_kinds.csv").write_text(KINDS + ",REW,rewrite\nMEM,,memo\n")
    loaded = load_dictionary(tmp_path)
    assert loaded.kinds == (TransactionKind("", "REW", "rewrite"), TransactionKind("MEM", "", "memo"))
    assert loaded.layouts == load_dictionary().layouts
    assert loaded.version != load_dictionary().version


def test_kinds_of_transactions_stay_where_a_directory_says_nothing_of_them(tmp_path: Path) -> None:
    mine = overlay(tmp_path, GROUPS + "5XYZ,,Something\n")
    assert load_dictionary(mine).kinds == load_dictionary().kinds != ()


def test_kinds_of_transactions_are_checked(tmp_path: Path) -> None:
    (tmp_path / "transaction_kinds.csv").write_text(KINDS + "fmg,TOOLONG,New Business\n")
    assert problems(tmp_path) == [
        "mine/transaction_kinds.csv line 2: has business_purpose 'TOOLONG': at most 3 digits and capital "
        "letters, or nothing for any",
        "mine/transaction_kinds.csv line 2: has transaction_function 'fmg': at most 3 digits and capital "
        "letters, or nothing for any",
        "mine/transaction_kinds.csv line 2: has transaction_kind 'New Business', which is no plain name: a "
        "lower-case letter, then lower-case letters, digits and _",
    ]

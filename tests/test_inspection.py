"""One file as a tree: what hangs below what, what is hidden, and files that are no plain AL3."""

import gzip
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from al3spark.al3.building import Record, Separator, build_file
from al3spark.errors import StoreError
from al3spark.inspection import inspect_file, tree_lines
from tests.al3.samples import DICTIONARY, message, policy, zipped

RECORDS = message([1])
TREE = """\
  1MHG messages at 0
      count_unit_code: 1
    2TRG transactions at 161
        transaction_function: FMG
        transaction_sequence_number: 1
      5BIS insureds at 365 B1 1
          insureds_name: ***
          insureds_name_format: P
          insureds_name_first: ***
          insureds_name_last: ***
        9BIS insured_addresses at 515 B1 1
            city: SPRINGFIELD
            zip_code: 000001234
        5BPI policies at 692 F1 1
            policy_number: P0000001
            line_of_business_code: AUTOP
            policy_effective_date_superseded: 2024-02-29
            current_term_amount: 115.00
            policy_effective_date: 2024-02-29
          5LAG locations at 977 L1 1
              city: SPRINGFIELD
            5VEH vehicles at 1151 R1 1
                vehicle_make: MAKE
                cost_new: 20000
              6CVA auto_coverages at 1352 W1 1
                  coverage_code_personal_automobile: BI
                  full_term_premium: 0.25
              6CVA auto_coverages at 1604 W1 2
                  coverage_code_personal_automobile: COMP
              5ZZZ unmapped_groups at 1817 W1 2
                  raw: ***
    3MTG message_trailers at 1859
        total_data_in_message: 11
  GROUP_UNMAPPED at 1817: 5ZZZ the dictionary does not describe this group: 1 records are kept in unmapped_groups
"""  # noqa: E501 - as it is shown


def inspect(path: Path, show_pii: bool = False) -> list[dict[str, Any]]:
    return list(inspect_file(path, DICTIONARY, 50, show_pii))


def inspect_records(folder: Path, *records: Record, show_pii: bool = False) -> dict[str, Any]:
    """The tree of a file with one transaction, by group: the values of the last record of each."""
    path = folder / "one.al3"
    path.write_bytes(build_file([RECORDS[0], RECORDS[1], *records, RECORDS[-1]], DICTIONARY))
    (tree,) = inspect(path, show_pii)
    found = {}
    waiting = list(tree["groups"])
    while waiting:
        group = waiting.pop(0)
        found[group["group"]] = group["values"]
        waiting += group["groups"]
    return found


def test_a_file_is_a_tree_of_messages_transactions_and_groups(tmp_path: Path) -> None:
    path = tmp_path / "one.al3"
    path.write_bytes(build_file(RECORDS, DICTIONARY))
    (tree,) = inspect(path)
    assert "\n".join(tree_lines(tree)) + "\n" == f"{path}\n{TREE}"


def test_a_tree_is_json(tmp_path: Path) -> None:
    path = tmp_path / "one.al3"
    path.write_bytes(build_file(RECORDS, DICTIONARY))
    (tree,) = inspect(path)
    assert json.loads(json.dumps(tree)) == tree
    (transaction, trailer) = tree["groups"][0]["groups"]
    assert trailer == {
        "group": "3MTG",
        "table": "message_trailers",
        "offset": 1859,
        "length": 20,
        "values": {"total_data_in_message": 11},
        "groups": [],
    }
    assert [group["group"] for group in transaction["groups"]] == ["5BIS"]


def test_several_messages_stand_side_by_side(tmp_path: Path) -> None:
    path = tmp_path / "two.al3"
    path.write_bytes(build_file([*message([1]), *message([2, 3])], DICTIONARY, Separator.CRLF))
    (tree,) = inspect(path)
    assert [group["group"] for group in tree["groups"]] == ["1MHG", "1MHG"]
    assert [len(group["groups"]) for group in tree["groups"]] == [2, 3]


def test_what_identifies_people_is_shown_on_demand_only(tmp_path: Path) -> None:
    insured = policy(1)[1]
    assert inspect_records(tmp_path, insured)["5BIS"]["insureds_name_last"] == "***"
    assert inspect_records(tmp_path, insured, show_pii=True)["5BIS"]["insureds_name_last"] == "SMITH"


def test_a_superseded_element_is_hidden_where_the_newer_one_is(tmp_path: Path) -> None:
    driver = Record("5DRV", {"date_of_birth_superseded": date(1980, 5, 17)}, "F2", 1)
    values = inspect_records(tmp_path, driver)["5DRV"]
    assert {name: value for name, value in values.items() if "birth" in name} == {
        "date_of_birth_superseded": "**/**/1980",
        "date_of_birth": "**/**/1980",
    }


def test_record_with_a_value_that_does_not_fit_is_hidden(tmp_path: Path) -> None:
    built = build_file(policy(1)[3:4], DICTIONARY)
    path = tmp_path / "a.al3"
    path.write_bytes(built[:80] + b"NO DAY" + built[86:])
    (hidden,), (shown,) = inspect(path), inspect(path, show_pii=True)
    assert hidden["groups"][0]["values"] == {}
    assert shown["groups"][0]["values"]["policy_number"] == "P0000001"
    assert "policy_effective_date_superseded" in [fault.get("element") for fault in hidden["faults"]]


def test_groups_that_hang_very_deep_are_shown(tmp_path: Path) -> None:
    chain = [Record("5RMK", {}, "F2", n, ("5RMK", "F2", n - 1)) for n in range(2, 1501)]
    path = tmp_path / "deep.al3"
    path.write_bytes(build_file([*policy(1)[:1], Record("5RMK", {}, "F2", 1), *chain], DICTIONARY))
    (tree,) = inspect(path)
    assert tree["faults"] == []
    assert json.dumps(tree).count('"group": "5RMK"') == 1500
    assert len(tree_lines(tree)) > 1500


def test_bytes_that_nobody_knows_are_hidden(tmp_path: Path) -> None:
    layout = DICTIONARY.layout("5BPI")
    assert layout is not None
    gap = next(element for element in layout.elements if element.kind == "gap")
    records = [Record("5BPI", {gap.name: "A"}, "F1", 1, tail=b"ANNA SMITH"), policy(1)[-1]]
    hidden = inspect_records(tmp_path, *records)
    assert hidden["5BPI"] == {gap.name: "***", "extra_bytes": "***"}
    assert hidden["5ZZZ"] == {"raw": "***"}
    shown = inspect_records(tmp_path, *records, show_pii=True)
    assert shown["5BPI"] == {gap.name: "A", "extra_bytes": "ANNA SMITH"}
    assert shown["5ZZZ"]["raw"].endswith("nobody knows")


def test_a_fault_shows_the_shape_of_a_value_only(tmp_path: Path) -> None:
    path = tmp_path / "one.al3"
    data = build_file(RECORDS, DICTIONARY)
    path.write_bytes(data.replace(b"00000011500+", b"00SMITH1500+"))
    (tree,) = inspect(path)
    (fault,) = [fault for fault in tree["faults"] if fault["code"] == "VALUE_INVALID"]
    assert (fault["element"], fault["raw"]) == ("current_term_amount", "99AAAAA9999+")
    assert "SMITH" not in json.dumps(tree)


def test_the_century_pivot_counts(tmp_path: Path) -> None:
    path = tmp_path / "one.al3"
    path.write_bytes(build_file(RECORDS, DICTIONARY))
    (tree,) = inspect_file(path, DICTIONARY, 10, show_pii=False)
    assert "policy_effective_date_superseded: 1924-02-29" in "\n".join(tree_lines(tree))


def test_each_member_of_an_archive_is_a_tree_of_its_own(tmp_path: Path) -> None:
    data = build_file(RECORDS, DICTIONARY)
    path = tmp_path / "all.zip"
    path.write_bytes(
        zipped({"a.al3": data, "b.zip": zipped({"c.al3": data}), "d.al3.gz": gzip.compress(data)})
    )
    trees = inspect(path)
    assert [tree["file"] for tree in trees] == [f"{path}!a.al3", f"{path}!b.zip!c.al3", f"{path}!d.al3.gz"]
    assert [tree["groups"] == trees[0]["groups"] != [] for tree in trees] == [True, True, True]


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("a.zip", b"this is no zip", "FILE_UNREADABLE"),
        ("a.al3.gz", gzip.compress(build_file(RECORDS, DICTIONARY))[:-20], "FILE_UNREADABLE"),
        ("a.txt", b"Dear agent, please find enclosed the download of today.\r\n", "FILE_NOT_AL3"),
        ("a.al3", b"", "FILE_EMPTY"),
    ],
)
def test_a_file_that_is_no_al3_is_a_fault(tmp_path: Path, name: str, data: bytes, code: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    (tree,) = inspect(path)
    assert (tree["groups"], [fault["code"] for fault in tree["faults"]]) == ([], [code])
    first, second = tree_lines(tree)
    assert first == str(path)
    assert second.startswith(f"  {code}: ")


def test_a_link_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "elsewhere" / "one.al3"
    path.parent.mkdir()
    path.write_bytes(build_file(RECORDS, DICTIONARY))
    link = tmp_path / "link"
    link.symlink_to(path)
    (tree,) = inspect(link)
    assert tree["file"] == str(link)
    assert tree["groups"] == inspect(path)[0]["groups"] != []


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"none\.al3: No such file or directory"):
        inspect(tmp_path / "none.al3")

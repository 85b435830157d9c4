"""What stays as the loaded dictionary has it; 5DRV and 5PAY are groups of the starter."""

import pytest

from al3spark.importing.converting import Converted
from al3spark.importing.keeping import Taken
from tests.importing.exports import convert_rows


def element(converted: Converted, start: int) -> dict[str, object]:
    (found,) = (each for each in converted.elements if each.start == start)
    return {
        name: getattr(found, name) for name in ("name", "kind", "scale", "element_id", "superseded_by", "pii")
    }


def noted(converted: Converted, words: str) -> list[str]:
    notes = [note["where"] for note in converted.report["notes"] if words in note["text"]]
    return notes[0] if notes else []


def test_element_at_the_same_place_keeps_its_name() -> None:
    converted = convert_rows("5DRV,Agency No.,30,4,N")
    assert element(converted, 30)["name"] == "agency_drivers_number"
    assert noted(converted, "names of the loaded") == ["5DRV.agency_drivers_number (Agency No.)"]


def test_name_of_the_file_is_taken_on_demand() -> None:
    converted = convert_rows("5DRV,Agency No.,30,4,N", taken=Taken(names=True))
    assert element(converted, 30)["name"] == "agency_no"


@pytest.mark.parametrize(
    "row", ["5DRV,Agency No.,30,5,N", "5DRV,Agency No.,31,4,N", "5DRV,Agency No.,30,4,N,5DRV99"]
)
def test_element_at_another_place_or_of_another_id_has_the_name_of_the_file(row: str) -> None:
    (found,) = convert_rows(row).elements
    assert found.name == "agency_no"


def test_name_moves_with_the_element_that_the_file_calls_so() -> None:
    converted = convert_rows("5LAG,County,94,19,AN", "5LAG,City,300,19,AN")
    assert [each.name for each in converted.elements] == ["county", "city"]


def test_name_stays_where_both_elements_are_at_places_that_are_known() -> None:
    converted = convert_rows("5DRV,Date of Birth,140,6,D", "5DRV,Birth,160,8,D")
    assert [each.name for each in converted.elements] == ["date_of_birth_superseded", "date_of_birth"]


@pytest.mark.parametrize(
    ("row", "kind", "scale"),
    [
        ("5DRV,Driver,38,60,AN", "name", 0),
        ("5DRV,Abroad,192,1,A", "flag", 0),
        ("5DRV,Birth,160,8,N", "date_ccyymmdd", 0),
        ("5PAY,Deposit,34,12,N", "amount", 2),
        ("5PAY,Deposit,34,12,N,,,,2", "amount", 2),
        ("5PAY,Deposit,34,12,AN,,,,0", "amount", 2),
        ("5DRV,Birth,160,8,N,,,,0", "date_ccyymmdd", 0),
    ],
)
def test_kind_stays_where_the_file_only_tells_text_from_numbers(row: str, kind: str, scale: int) -> None:
    converted = convert_rows(row)
    assert [(each.kind, each.scale) for each in converted.elements] == [(kind, scale)]


@pytest.mark.parametrize(
    ("row", "kind", "scale"),
    [
        ("5DRV,Driver,38,60,reserved", "reserved", 0),
        ("5PAY,Deposit,34,12,N,,,,3", "decimal", 3),
        ("5PAY,Deposit,34,12,N,,,,0", "integer", 0),
        ("5PAY,Deposit,34,12,$,,,,0", "amount", 0),
    ],
)
def test_kind_of_the_file_counts_where_it_says_more(row: str, kind: str, scale: int) -> None:
    converted = convert_rows(row)
    assert [(each.kind, each.scale) for each in converted.elements] == [(kind, scale)]


def test_kind_of_the_file_is_taken_on_demand() -> None:
    converted = convert_rows("5DRV,Driver,38,60,AN", taken=Taken(kinds=True))
    assert element(converted, 38)["kind"] == "text"


def test_ids_and_tags_that_the_file_lacks_are_taken_over() -> None:
    converted = convert_rows("5DRV,Born,140,6,D", "5DRV,Birth,160,8,D")
    assert element(converted, 140)["superseded_by"] == "5DRV14"
    assert element(converted, 160) == {
        "name": "date_of_birth",
        "kind": "date_ccyymmdd",
        "scale": 0,
        "element_id": "5DRV14",
        "superseded_by": "",
        "pii": "birth_date",
    }


@pytest.mark.parametrize(
    "row",
    [
        "5DRV,Number,98,5,N",
        "5DRV,Head of the Number,90,10,AN",
        "5DRV,Social Security Number,300,11,AN",
        "5DRV,Number,300,11,AN,04",
    ],
    ids=["a part of its bytes", "bytes around it", "the same name elsewhere", "the same id elsewhere"],
)
def test_what_was_personal_stays_so(row: str) -> None:
    (found,) = convert_rows(row).elements
    assert found.pii in ("ssn", "name")


@pytest.mark.parametrize(
    ("said", "tag"), [("N", ""), ("no", ""), ("Name", "name"), ("driver license", "driver_license")]
)
def test_file_decides_what_is_personal_where_it_says_so(said: str, tag: str) -> None:
    converted = convert_rows(f"5DRV,Number,98,9,N,,,{said}")
    assert element(converted, 98)["pii"] == tag


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ("5DRV,Number,98,9,N,,,N", ["5DRV.social_security_number (ssn to none)"]),
        ("5DRV,Number,98,9,N,,,name", ["5DRV.social_security_number (ssn to name)"]),
        ("5DRV,Number,98,9,N,,,ssn", []),
        ("5DRV,Agency No.,30,4,N,,,name", []),
    ],
)
def test_tag_that_the_file_changes_or_takes_away_is_noted(row: str, where: list[str]) -> None:
    assert noted(convert_rows(row), "tags of personal data are changed") == where


def test_tags_that_are_lost_are_noted() -> None:
    converted = convert_rows("5DRV,Agency No.,30,4,N", "5DRV,Home Phone,300,10,N")
    assert noted(converted, "lose their tag") == [
        "5DRV.drivers_name (name)",
        "5DRV.social_security_number (ssn)",
        "5DRV.drivers_license_number (driver_license)",
        "5DRV.date_of_birth_superseded (birth_date)",
        "5DRV.date_of_birth (birth_date)",
    ]
    assert noted(converted, "look personal") == ["5DRV.home_phone"]


@pytest.mark.parametrize(
    ("said", "newer"),
    [
        ("5QQQ02", "5QQQ02"),
        ("2", "5QQQ02"),
        ("02", "5QQQ02"),
        ("Second", "5QQQ02"),
        ("5QQQ02_AND_5QQQ03", "5QQQ02_AND_5QQQ03"),
        ("2 and 3", "5QQQ02_AND_5QQQ03"),
        ("Fire and Water", "5QQQ03"),
        ("5DRV14", "5DRV14"),
        ("6ARU07", "6ARU07"),
    ],
)
def test_newer_element_is_found_however_it_is_named(said: str, newer: str) -> None:
    rows = ("5QQQ,First,30,1,AN,1," + said, "5QQQ,Second,31,1,AN,2", "5QQQ,Fire and Water,32,1,AN,3")
    assert element(convert_rows(*rows), 30)["superseded_by"] == newer


@pytest.mark.parametrize("said", ["yes", "5QQQ09", "9", "2 and 9", "Release 7"])
def test_newer_element_that_is_not_there_is_left_out_and_noted(said: str) -> None:
    converted = convert_rows("5QQQ,First,30,1,AN,1," + said, "5QQQ,Second,31,1,AN,2")
    assert element(converted, 30)["superseded_by"] == ""
    assert noted(converted, "superseded_by that names no element") == ["5QQQ.first"]

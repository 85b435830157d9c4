from dataclasses import replace
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from al3spark.al3.building import Record, build_file
from al3spark.al3.dictionary import load_dictionary
from al3spark.al3.privacy import find_tag
from al3spark.errors import DictionaryError
from al3spark.importing.converting import convert
from al3spark.importing.files import write_dictionary
from al3spark.importing.keeping import Taken
from al3spark.importing.maps import Columns, Group, ImportMap
from tests.al3.samples import parse
from tests.importing.exports import HEAD, SMALL, STARTER, convert_licensee, convert_rows

ELEMENTS = [
    ("2PTC", "count_of_pets", 10, 3, "integer", 0),
    ("2PTC", "sent_at", 13, 4, "time_hhmm", 0),
    ("2PTC", "tag_numbers", 17, 25, "text", 0),
    ("5DRV", "agency_drivers_number", 30, 4, "integer", 0),
    ("5DRV", "company_drivers_number", 34, 4, "integer", 0),
    ("5DRV", "drivers_name", 38, 60, "name", 0),
    ("5DRV", "social_security_number", 98, 9, "integer", 0),
    ("5DRV", "drivers_license_number", 107, 25, "text", 0),
    ("5DRV", "licensed_state", 132, 2, "code", 0),
    ("5DRV", "date_licensed_superseded", 134, 6, "date_yymmdd", 0),
    ("5DRV", "date_of_birth_superseded", 140, 6, "date_yymmdd", 0),
    ("5DRV", "date_of_birth", 160, 8, "date_ccyymmdd", 0),
    ("5DRV", "date_licensed", 176, 8, "date_ccyymmdd", 0),
    ("5DRV", "international_drivers_license", 192, 1, "flag", 0),
    ("5DRV", "points", 193, 2, "integer", 0),
    ("5PET", "pets_name", 30, 20, "text", 0),
    ("5PET", "species_code", 50, 3, "code", 0),
    ("5PET", "weight_lb", 53, 5, "decimal", 1),
    ("5PET", "vet_bill", 58, 12, "amount", 2),
    ("5PET", "vet_bill_5pet05", 70, 12, "amount", 2),
    ("5PET", "element_iteration", 82, 4, "integer", 0),
    ("5PET", "last_visit", 90, 15, "timestamp", 0),
    ("5PET", "filler", 105, 5, "reserved", 0),
    ("CVX1", "clinic_and_address", 30, 60, "text", 0),
    ("CVX1", "element_1st_visit", 90, 4, "month_mmyy", 0),
]


TAGS = ", ".join(sorted({each.pii for layout in STARTER.layouts for each in layout.elements} - {""}))


def complaint(*rows: str, how: ImportMap = SMALL) -> list[str]:
    with pytest.raises(DictionaryError) as caught:
        convert("\n".join([HEAD, *rows]).encode(), "x.csv", how, STARTER, Taken())
    return str(caught.value).splitlines()


def test_export_of_a_licensee_becomes_elements() -> None:
    found = convert_licensee().elements
    names = ("group", "name", "start", "length", "kind", "scale")
    assert [tuple(getattr(each, name) for name in names) for each in found] == ELEMENTS


def test_export_of_a_licensee_says_what_is_personal_and_superseded() -> None:
    found = {f"{each.group}.{each.name}": each for each in convert_licensee().elements}
    assert {label: each.pii for label, each in found.items() if each.pii} == {
        "5DRV.drivers_name": "name",
        "5DRV.social_security_number": "ssn",
        "5DRV.drivers_license_number": "driver_license",
        "5DRV.date_of_birth_superseded": "birth_date",
        "5DRV.date_of_birth": "birth_date",
        "CVX1.clinic_and_address": "address",
    }
    assert {label: each.superseded_by for label, each in found.items() if each.superseded_by} == {
        "5DRV.date_licensed_superseded": "5DRV16",
        "5DRV.date_of_birth_superseded": "5DRV14",
    }
    assert {each.sources for each in found.values()} == {"L"}


def test_export_of_a_licensee_becomes_groups() -> None:
    assert [(row.group, row.table, row.title) for row in convert_licensee().groups] == [
        ("2PTC", "pet_control", "Pet Control"),
        ("5DRV", "drivers", "Driver Information"),
        ("5PET", "pets_of_the_household", "Pets of the Household"),
        ("6ARU", "", "Agriculture Rating and Underwriting"),
        ("CVX1", "vet_extras_of_the_carrier", "Vet Extras of the Carrier"),
    ]


def test_report_counts_what_was_left_out() -> None:
    report = convert_licensee().report
    assert report["left_out"] == {
        "above the head": 2,
        "the head again": 1,
        "headings": 2,
        "as the map says": 1,
        "without element and position": 1,
        "of headers": 3,
    }
    states = {group["group"]: (group["state"], group["gaps"]) for group in report["groups"]}
    assert states == {
        "2PTC": ("new", []),
        "5DRV": (
            "changed",
            [{"start": 146, "length": 14}, {"start": 168, "length": 8}, {"start": 184, "length": 8}],
        ),
        "5PET": ("new", [{"start": 86, "length": 4}]),
        "CVX1": ("new", []),
    }
    assert (report["named_only"], len(report["not_in_file"])) == (["6ARU"], len(STARTER.layouts) - 1)


def test_files_that_were_built_with_it_are_read_with_it(tmp_path: Path) -> None:
    write_dictionary(convert_licensee(), tmp_path / "mine", ())
    mine = load_dictionary(tmp_path / "mine")
    pet = {
        "pets_name": "REX",
        "species_code": "DOG",
        "weight_lb": Decimal("61.5"),
        "vet_bill": Decimal("-12.50"),
        "vet_bill_5pet05": Decimal("700.00"),
        "element_iteration": 3,
        "last_visit": datetime(2025, 2, 3, 9, 30, 0),  # noqa: DTZ001 - as sent, without a zone
    }
    driver = {
        "drivers_name": {"format": "P", "first": "ANNA", "last": "SMITH"},
        "date_of_birth_superseded": date(1982, 5, 6),
        "points": 4,
    }
    records = [
        Record("1MHG", {"count_unit_code": "1"}, length=161),
        Record("2TRG", {"transaction_function": "FMG"}, length=204),
        Record("2PTC", {"count_of_pets": 1, "sent_at": "09:30", "tag_numbers": "1 2"}),
        Record("5DRV", driver, "F1", 1),
        Record("5PET", pet, "R1", 1),
        Record("CVX1", {"element_1st_visit": date(2024, 7, 1)}, "W1", 1),
        Record("3MTG", length=20),
    ]
    parsed = parse(build_file(records, mine), dictionary=mine)
    assert parsed.faults() == []
    assert parsed.rows("pet_control", "count_of_pets", "sent_at", "tag_numbers") == [(1, "09:30", "1 2")]
    assert parsed.rows("drivers", "drivers_name_last", "date_of_birth", "points") == [
        ("SMITH", date(1982, 5, 6), 4)
    ]
    assert parsed.rows("pets_of_the_household", *pet) == [tuple(pet.values())]
    assert parsed.rows("vet_extras_of_the_carrier", "element_1st_visit") == [(date(2024, 7, 1),)]


def test_dictionary_that_was_written_out_comes_back_the_same() -> None:
    lines = [
        f"{each.group},{each.name},{each.start},{each.length},{each.kind},{each.element_id},{each.superseded_by},{each.pii},{each.scale}"
        for layout in STARTER.layouts
        for each in layout.elements
        if each.kind != "gap"
    ]
    converted = convert_rows(*lines)
    before = [
        replace(each, confidence="", sources="", pii=find_tag(each, layout))
        for layout in STARTER.layouts
        for each in layout.elements
        if each.kind != "gap"
    ]
    assert list(converted.elements) == before
    assert {group["state"] for group in converted.report["groups"]} == {"same"}


def test_all_that_is_wrong_is_told_with_its_line_and_nothing_else_happens() -> None:
    assert complaint(
        ",lost,30,4,AN,,,,",
        "5QQQ,one,30,10,AN,,,,",
        "5QQQ,two,35,10,AN,,,,",
        "5QQQ,three,x,4,AN,,,,",
        "5QQQ,four,50,4,K,,,,",
        "5QQQ,five,54,4,K,,,,",
        "5QQQ,six,58,7,D,,,,",
        "5QQQ,seven,68,4,,,,,",
        "5QQQ,eight,990,20,AN,,,,",
        "5QQQ,nine,25,10,AN,,,,",
        "5QQQ,ten,80,4,AN,,,yes,",
        "5QQQ,eleven,84,4,N,,,,many",
        "sixth,twelve,30,4,AN,,,,",
    ) == [
        "x.csv line 2: no group: neither the row nor a heading above it names one",
        "x.csv line 3: 5QQQ.one starts at 30, inside 5QQQ.nine (25-34)",
        "x.csv line 4: 5QQQ.two starts at 35, inside 5QQQ.one (30-39)",
        "x.csv line 5: 5QQQ.three has start 'x', which is not a whole number",
        "x.csv line 6: " + complaint("5QQQ,four,50,4,K,,,,", "5QQQ,five,54,4,K,,,,")[0].partition(": ")[2],
        "x.csv line 8: 5QQQ.six is a date of 7 bytes; known are 4, 6, 8, 13, 15",
        "x.csv line 9: " + complaint("5QQQ,seven,68,4,,,,,")[0].partition(": ")[2],
        "x.csv line 10: 5QQQ.eight ends at 1010, but no record is longer than 999",
        "x.csv line 11: 5QQQ.nine starts at 25, inside its header (0-29)",
        f"x.csv line 12: 5QQQ.ten has pii 'YES': say in the map's pii_tags what it is; known are {TAGS}",
        "x.csv line 13: 5QQQ.eleven has decimals 'many', which is not a whole number",
        "x.csv line 14: 'SIXTH' is not a group: 4 characters, digits and capital letters",
    ]


def test_tag_of_the_map_that_nobody_knows_is_refused_with_all_else() -> None:
    how = replace(SMALL, pii_tags={"Y": "snn", "X": "", "Z": "ssn"})
    assert complaint("5QQQ,one,30,x,N,,,Y,", how=how) == [
        f"the map: pii_tags.Y is 'snn'; known are {TAGS}",
        "x.csv line 2: 5QQQ.one has length 'x', which is not a whole number",
    ]


def test_type_that_nobody_knows_is_told_once() -> None:
    (line,) = complaint("5QQQ,four,50,4,K,,,,", "5QQQ,five,54,4,K,,,,")
    assert line.startswith(
        "x.csv line 2: type 'K' (2 rows): say in the map's types which kind it is, one of amount, "
    )
    assert line.endswith(" FILLER RSV UNUSED")


def test_file_without_elements_is_refused() -> None:
    assert complaint("5QQQ,,,,,,,,") == ["x.csv: describes no element"]


def test_numbers_of_any_length_are_ids() -> None:
    number = "7" * 5000
    converted = convert_rows(f"5QQQ,one,30,4,AN,{number}", f"5QQQ,two,34,4,AN,,{number}")
    assert [(each.element_id, each.superseded_by) for each in converted.elements] == [
        (f"5QQQ{number}", ""),
        ("", f"5QQQ{number}"),
    ]


def test_element_that_is_there_twice_is_refused() -> None:
    assert complaint("5QQQ,one,30,4,AN,1,,,", "5QQQ,two,34,4,AN,01,,,") == [
        "x.csv line 3: 5QQQ.two has element id 5QQQ01, as 5QQQ.one has (line 2)"
    ]


def test_map_names_tables_and_titles_before_all_else() -> None:
    how = replace(SMALL, groups={"5DRV": Group("people", "People")})
    converted = convert(f"{HEAD}\n5DRV,one,30,4,N,,,,".encode(), "x.csv", how, STARTER, Taken())
    assert [(row.table, row.title) for row in converted.groups] == [("people", "People")]
    assert converted.report["groups"][0]["changes"][-1] == {
        "what": "renamed",
        "element": "",
        "line": 2,
        "text": "the table was drivers",
    }


def test_group_that_only_the_map_has_is_noted() -> None:
    how = replace(SMALL, groups={"5QQR": Group("people", "People")})
    report = convert(f"{HEAD}\n5QQQ,one,30,4,N,,,,".encode(), "x.csv", how, STARTER, Taken()).report
    assert report["notes"][0] == {
        "text": "groups of the map that the file does not have",
        "count": 1,
        "where": ["5QQR"],
    }


def test_table_of_the_file_counts_for_new_groups_and_on_demand() -> None:
    how = ImportMap(Columns(group="G", table="B", element="E", start="S", type="T"), 0)
    text = b"G,B,E,S,T\n5DRV,people,one,30-33,N\n5QQQ,notes,one,30-33,N\n"
    tables = [
        [row.table for row in convert(text, "x.csv", how, STARTER, taken).groups]
        for taken in (Taken(), Taken(names=True))
    ]
    assert tables == [["drivers", "notes"], ["people", "notes"]]


def test_new_table_gets_a_name_that_is_free() -> None:
    how = ImportMap(Columns(group="G", group_name="N", element="E", start="S", type="T"), 0)
    named = {"5QQQ": "Drivers", "5QQR": "Errors", "5QQS": "Notes", "5QQT": "Notes"}
    text = "".join(["G,N,E,S,T\n", *(f"{group},{name},one,30-33,N\n" for group, name in named.items())])
    tables = [row.table for row in convert(text.encode(), "x.csv", how, STARTER, Taken()).groups]
    assert tables == ["drivers_5qqq", "errors_5qqr", "notes", "notes_5qqt"]


def test_table_that_is_taken_is_refused_with_its_line() -> None:
    how = replace(SMALL, groups={"5QQQ": Group("drivers")})
    (line,) = complaint("5QQQ,one,30,4,N,,,,", how=how)
    assert line.startswith("x.csv line 2: 5QQQ has table drivers, as 5DRV has (the loaded dictionary")


def test_group_that_was_known_by_name_gets_a_table_of_it() -> None:
    converted = convert_rows("6ARU,one,30,4,N")
    assert [(row.table, row.title) for row in converted.groups] == [
        ("agriculture_rating_and_underwriting", "Agriculture Rating and Underwriting")
    ]
    assert converted.report["groups"][0]["state"] == "described"


def test_rows_without_a_name_are_a_gap() -> None:
    converted = convert_rows("5QQQ,one,30,4,N", "5QQQ,,34,4,N", "5QQQ,two,38,4,N")
    assert [each.name for each in converted.elements] == ["one", "two"]
    assert converted.report["groups"][0]["gaps"] == [{"start": 34, "length": 4}]
    assert converted.report["notes"][0]["where"] == ["5QQQ line 3"]

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from al3spark.al3.building import Record, build_file
from al3spark.al3.dictionary import Dictionary
from al3spark.al3.privacy import DEFAULT_RULES, find_tag, list_tags, protect
from al3spark.al3.tables import table_schemas
from tests.al3.samples import DICTIONARY, Parsed, parse

KEY = b"a key of the tests, 27 bytes"
DRIVER = {
    "drivers_name": {"format": "P", "first": "ANNA", "last": "SMITH"},
    "social_security_number": 12345678,
    "drivers_license_number": "D1234-5678-9012",
    "date_of_birth": date(1982, 5, 17),
}
ACCOUNT = {"account_number": "DE0012345678", "account_bank_name": "BANK OF NOWHERE"}


def protected(rules: Mapping[str, str]) -> Dictionary:
    return protect(DICTIONARY, rules, KEY)


def parsed(rules: Mapping[str, str], *records: Record | bytes) -> Parsed:
    head = build_file([Record("2TRG", {"transaction_function": "FMG"}, length=212)], DICTIONARY)
    parts = [record if isinstance(record, bytes) else build_file([record], DICTIONARY) for record in records]
    return parse(head + b"".join(parts), dictionary=protected(rules))


def driver(**values: object) -> Record:
    return Record("5DRV", {**DRIVER, **values}, "F2", 1)


def value(rules: Mapping[str, str], column: str, record: Record | None = None) -> Any:
    return parsed(rules, record or driver()).tables["drivers"][column][0].as_py()


def test_tags_are_those_of_the_dictionary() -> None:
    assert list_tags(DICTIONARY) == (
        *("account", "address", "bank_account", "birth_date", "driver_license", "name", "phone", "secret"),
        *("ssn", "vehicle"),
    )


def test_every_name_and_phone_has_a_tag() -> None:
    untagged = [
        f"{element.group}.{element.name}"
        for layout in DICTIONARY.layouts
        for element in layout.elements
        if element.kind in ("name", "phone") and not find_tag(element, layout)
    ]
    assert untagged == []


@pytest.mark.parametrize(
    ("column", "masked"),
    [
        ("social_security_number", "***-**-5678"),
        ("drivers_license_number", "****9012"),
        ("date_of_birth", "**/**/1982"),
        ("drivers_name", "***"),
        ("drivers_name_format", "P"),
        ("drivers_name_first", "***"),
        ("drivers_name_middle", None),
        ("drivers_name_last", "***"),
    ],
)
def test_masked_value_shows_the_little_that_its_tag_allows(column: str, masked: str | None) -> None:
    everything = dict.fromkeys(list_tags(DICTIONARY), "mask")
    assert value(everything, column) == masked


@pytest.mark.parametrize("number", ["1234", "1234567", "ABCDEFGHIJ", "12345678A"])
def test_what_is_short_or_does_not_end_in_digits_shows_nothing(number: str) -> None:
    record = driver(drivers_license_number=number)
    assert value({"driver_license": "mask"}, "drivers_license_number", record) == "***"


def test_the_default_masks_what_opens_doors_and_keeps_the_rest() -> None:
    found = parsed(DEFAULT_RULES, driver(), Record("5PMI", ACCOUNT, "F2", 1))
    columns = ("social_security_number", "drivers_license_number", "date_of_birth", "drivers_name_last")
    assert found.rows("drivers", *columns) == [("***-**-5678", "****9012", date(1982, 5, 17), "SMITH")]
    assert found.rows("payment_methods", "account_number", "account_bank_name") == [("****5678", "***")]


def test_leading_zeros_count_in_what_is_masked_and_hashed() -> None:
    digest = hmac.new(KEY, b"ssn\x00012345678", hashlib.sha256).hexdigest()
    assert value({"ssn": "hash"}, "social_security_number") == digest


def test_equal_values_have_equal_hashes_in_any_table_and_not_under_another_key_or_tag() -> None:
    other = Record("6MVR", {"drivers_social_security_number": 12345678}, "F2", 1)
    rules = {"ssn": "hash", "driver_license": "hash"}
    found = parsed(rules, driver(drivers_license_number="012345678"), other)
    ((one, license_number),) = found.rows("drivers", "social_security_number", "drivers_license_number")
    assert found.rows("motor_vehicle_reports", "drivers_social_security_number") == [(one,)]
    assert license_number != one
    again = parse(
        build_file([driver()], DICTIONARY), dictionary=protect(DICTIONARY, rules, b"another key of the tests")
    )
    assert again.rows("drivers", "social_security_number") != [(one,)]


def test_dates_of_both_forms_have_equal_hashes() -> None:
    old = Record("5DRV", {"date_of_birth_superseded": date(1982, 5, 17)}, "F2", 1)
    rules = {"birth_date": "hash"}
    found = parsed(rules, driver(), old)
    assert len({row[0] for row in found.rows("drivers", "date_of_birth")}) == 1


def test_superseded_element_is_protected_as_the_newer_one_and_fills_it() -> None:
    old = Record("5DRV", {"date_of_birth_superseded": date(1982, 5, 17)}, "F2", 1)
    found = parsed({"birth_date": "mask"}, old)
    assert found.rows("drivers", "date_of_birth", "date_of_birth_superseded") == [
        ("**/**/1982", "**/**/1982")
    ]


def test_dropped_value_is_null_and_keeps_its_type() -> None:
    assert value({"ssn": "drop", "birth_date": "drop"}, "social_security_number") is None
    schemas = [table_schemas(each.layouts) for each in (DICTIONARY, protected({"ssn": "drop"}))]
    assert schemas[0] == schemas[1]


@pytest.mark.parametrize("action", ["mask", "hash"])
def test_null_and_what_does_not_fit_stay_null_and_a_fault(action: str) -> None:
    good = build_file([driver()], DICTIONARY)
    bad = good[:98] + b"12A456789" + good[107:]
    unsent = good[:98] + b"?        " + good[107:]
    found = parsed({"ssn": action}, bad, unsent, driver(social_security_number=None))
    assert found.rows("drivers", "social_security_number") == [(None,)] * 3
    assert found.rows_of("VALUE_INVALID", "element", "raw") == [("social_security_number", "99A999999")]


REMARK = Record("5RMK", {"remarks_text": "CALL ANNA SMITH"}, "F2", 1)
UNKNOWN = Record("5ZZZ", level="F2", iteration=1, raw=b"ANNA SMITH")
TAIL = Record("5BPI", {"policy_number": "P1"}, "F1", 1, tail=b"ANNA SMITH")


def test_what_can_hold_anything_is_kept_unless_it_is_dropped() -> None:
    kept = parsed({}, REMARK, UNKNOWN, TAIL)
    assert kept.rows("remarks", "remarks_text") == [("CALL ANNA SMITH",)]
    assert [raw.endswith(b"ANNA SMITH") for (raw,) in kept.rows("unmapped_groups", "raw")] == [True]
    assert kept.rows("policies", "extra_bytes") == [(b"ANNA SMITH",)]
    dropped = parsed({"untyped": "drop"}, REMARK, UNKNOWN, TAIL)
    assert dropped.rows("remarks", "remarks_text") == [(None,)]
    assert dropped.rows("unmapped_groups", "group_code", "raw") == [("5ZZZ", None)]
    assert dropped.rows("policies", "policy_number", "extra_bytes") == [("P1", None)]


def test_gap_between_elements_can_hold_anything() -> None:
    layout = DICTIONARY.layout("5BPI")
    assert layout is not None
    gap = next(element.name for element in layout.elements if element.kind == "gap")
    record = Record("5BPI", {gap: "A"}, "F1", 1)
    assert parsed({}, record).rows("policies", gap) == [("A",)]
    assert parsed({"untyped": "drop"}, record).rows("policies", gap) == [(None,)]


def test_header_that_is_none_is_not_told_where_what_is_untyped_is_dropped() -> None:
    columns = ("processing_level", "iteration", "parent_group", "parent_level", "header_flags")
    header = b"   SMITH ANNA 987651234"
    for code, table in ((b"5DRV", "drivers"), (b"5ZZZ", "unmapped_groups")):
        record = code + b"195" + header + b" " * (195 - 7 - len(header))
        assert parsed({}, record).rows(table, *columns) != [(None,) * 5]
        assert parsed({"untyped": "drop"}, record).rows(table, *columns) == [(None,) * 5]


def test_record_with_a_value_that_does_not_fit_tells_nothing_where_what_is_untyped_is_dropped() -> None:
    good = build_file([driver()], DICTIONARY)
    shifted = good[:35] + b"XYZ" + good[35:-3]
    found = parsed({**DEFAULT_RULES, "untyped": "drop"}, shifted, driver())
    rows = found.tables["drivers"].to_pylist()
    names = [element.name for element in DICTIONARY.layout("5DRV").elements]  # type: ignore[union-attr]
    assert {rows[0][name] for name in names} == {None}
    assert rows[0]["transaction_function"] == "FMG"
    assert rows[1]["social_security_number"] == "***-**-5678"
    assert found.rows_of("VALUE_INVALID", "record_offset") != []


def test_masked_and_hashed_columns_are_text() -> None:
    schema = table_schemas(protected({"ssn": "mask", "birth_date": "hash"}).layouts)["drivers"]
    assert {str(schema.field(name).type) for name in ("social_security_number", "date_of_birth")} == {
        "string"
    }


def test_policy_number_that_is_tagged_is_protected_in_every_table() -> None:
    layouts = tuple(
        replace(
            layout,
            elements=tuple(
                replace(each, pii="policy") if each.name == "policy_number" else each
                for each in layout.elements
            ),
        )
        for layout in DICTIONARY.layouts
    )
    tagged = Dictionary(layouts, DICTIONARY.titles, "", DICTIONARY.kinds)
    data = build_file([Record("2TRG", length=212), REMARK, TAIL], DICTIONARY)
    found = parse(data, dictionary=protect(tagged, {"policy": "mask"}))
    assert found.rows("remarks", "policy_number") == found.rows("policies", "policy_number") == [("***",)]

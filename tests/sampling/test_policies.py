"""The tree of a policy, as the parser sees it; tests units and drafts too."""

from collections import defaultdict
from decimal import Decimal

import pytest

from al3spark.sampling import SENDERS, sample_bytes

# (table, level) -> (parent, its level): FORMAT.md, Hierarchy; where that says nothing, as assumed.
TREE = {
    ("insureds", "B1"): {(None, None)},
    ("insured_addresses", "B1"): {(None, None)},
    ("insured_supplements", "B2"): {("5BIS", "B1")},
    ("signatures", "B2"): {("5BIS", "B1")},
    ("policies", "F1"): {("5BIS", "B1")},
    ("remarks", "F2"): {("5BPI", "F1")},
    ("payment_plans", "F2"): {("5BPI", "F1")},
    ("prior_policies", "F2"): {("5BPI", "F1")},
    ("forms", "F2"): {("5BPI", "F1")},
    ("forms", "R2"): {("6HRU", "R1")},
    ("drivers", "F2"): {("5BPI", "F1")},
    ("locations", "L1"): {("5BPI", "F1")},
    ("vehicles", "R1"): {("5LAG", "L1")},
    ("vehicle_physical_damage", "R2"): {("5VEH", "R1")},
    ("auto_coverages", "W1"): {("5VEH", "R1")},
    ("dwellings", "R1"): {("5LAG", "L1")},
    ("home_coverages", "W1"): {("6HRU", "R1")},
    ("dwelling_fire_supplements", "R2"): {("6HRU", "R1")},
    ("dwelling_replacement_costs", "R2"): {("6HRU", "R1")},
    ("additional_interests", "R2"): {("6HRU", "R1"), ("5VEH", "R1")},
    ("additional_interest_extensions", "R2"): {("6HRU", "R1")},
}
CONTROL = {"messages", "transactions", "transaction_controls", "group_controls", "message_trailers"}


@pytest.fixture(scope="module", params=[SENDERS[0], SENDERS[1]], ids=["new", "old"])
def tables(request, parse):
    return parse(sample_bytes(600_000, seed=8, sender=request.param))[0]


def column(rows, name):
    return [row[name] for row in rows]


def test_groups_hang_where_the_format_has_them(tables):
    tree = defaultdict(set)
    for table in tables.keys() - CONTROL - {"errors", "unmapped_groups"}:
        for row in tables[table]:
            tree[table, row["processing_level"]].add((row["parent_group"], row["parent_level"]))
    assert tree == TREE


def test_policies_are_of_three_lines_and_four_purposes(tables):
    assert set(column(tables["policies"], "line_of_business_code")) == {"AUTOP", "HOME", "DFIRE"}
    assert set(column(tables["transactions"], "cycle_business_purpose")) == {"NBS", "RWL", "PCH", "XLC"}


def test_premiums_of_coverages_add_up_to_the_policy(tables):
    sums = defaultdict(Decimal)
    for row in tables["auto_coverages"] + tables["home_coverages"]:
        sums[row["transaction_offset"]] += row["full_term_premium"]
    assert sums == {row["transaction_offset"]: row["current_term_amount"] for row in tables["policies"]}


def test_premiums_of_coverages_add_up_to_the_vehicle(tables):
    sums = defaultdict(Decimal)
    for row in tables["auto_coverages"]:
        sums[row["parent_offset"]] += row["full_term_premium"]
    assert sums == {row["record_offset"]: row["total_vehicle_full_term_amount"] for row in tables["vehicles"]}


def test_terms_begin_before_they_end(tables):
    days = {
        (row["line_of_business_code"], (row["policy_expiration_date"] - row["policy_effective_date"]).days)
        for row in tables["policies"]
    }
    assert days == {("AUTOP", 182), ("HOME", 365), ("DFIRE", 365)}


def test_no_number_can_be_that_of_a_person(tables):
    persons = column(tables["drivers"], "social_security_number")
    persons += column(tables["insured_supplements"], "insureds_social_security_number")
    assert {(number // 100_000_000, number // 10_000 % 100) for number in persons} == {(9, 0)}
    phones = column(tables["insured_addresses"], "insureds_telephone_number")
    assert {(len(phone), phone[3:8]) for phone in phones} == {(10, "55501")}
    assert {vin[:7] for vin in column(tables["vehicles"], "vin")} == {"EXAMPLE"}
    assert {code[:3] for code in column(tables["locations"], "zip_code")} == {"000"}


def test_policies_differ(tables):
    policies = tables["policies"]
    assert len(policies) / 4 < len(set(column(policies, "policy_number"))) < len(policies)
    assert len(set(column(policies, "current_term_amount"))) > len(policies) * 0.8


def test_a_vehicle_is_registered_where_it_is(tables):
    states = {row["record_offset"]: row["state_province_abbreviation"] for row in tables["locations"]}
    assert {
        row["vehicle_registration_state"] == states[row["parent_offset"]] for row in tables["vehicles"]
    } == {True}
    assert len(set(states.values())) >= 4


def test_a_vehicle_names_a_driver_that_there_is(tables):
    drivers = {(row["transaction_offset"], row["company_drivers_number"]) for row in tables["drivers"]}
    named = {(row["transaction_offset"], row["driver_number1"]) for row in tables["vehicle_physical_damage"]}
    assert named <= drivers


def test_names_hold_letters_beyond_ascii(tables):
    assert any(not last.isascii() for last in column(tables["drivers"], "drivers_name_last"))


def test_a_sender_may_fill_with_question_marks_what_it_does_not_send(parse):
    data = sample_bytes(50_000, seed=8, sender=SENDERS[3])
    assert b"?" * 20 in data
    rows = parse(data)[0]["insureds"]
    assert set(column(rows, "companys_id_for_insured")) == {None}


def test_a_carrier_may_have_a_group_of_its_own_that_starts_with_a_letter(parse):
    rows = parse(sample_bytes(200_000, seed=8, sender=SENDERS[0]))[0]["unmapped_groups"]
    assert set(column(rows, "group_code")) == {"CVH1", "6COM", "6PTI"}

"""What a policy insures: drivers, vehicles and dwellings, with coverages and others who have an interest.

In: a draft that holds the policy. Out: the draft, with the location and all that hangs on it.
"""

from collections.abc import Sequence
from datetime import date
from random import Random

from al3spark.sampling import invented
from al3spark.sampling.drafts import Draft, Place, Values, address
from al3spark.sampling.templates import EFFECTIVE, EXPIRATION, Premium, Varied

Bought = tuple[tuple[invented.Coverage, int], ...]  # coverages and their dollars

_PO_BOX = {"street_address_line1": "PO BOX 555"}


def buy(rng: Random, coverages: Sequence[invented.Coverage]) -> Bought:
    """Choose the first two coverages and most of the others."""
    chosen = [each for at, each in enumerate(coverages) if at < 2 or rng.random() < 0.75]
    return tuple((each, rng.randint(*each.dollars)) for each in chosen)


def total(bought: Bought) -> int:
    """Add up the dollars."""
    return sum(dollars for _, dollars in bought)


def draw_day(rng: Random, first_year: int, last_year: int) -> date:
    """Draw the first day of a month, which also is what an element of kind month_mmyy can hold."""
    return date(rng.randint(first_year, last_year), rng.randint(1, 12), 1)


def add_form(into: Draft, rng: Random, level: str, parent: Place, number: int) -> None:
    """Add a form: one of the policy (F2) or of a dwelling (R2)."""
    code, name = rng.choice(invented.FORMS)
    edition = into.sender.dated("form_edition_date", draw_day(rng, 2005, 2020))
    values = {"form_iteration_number": number, "form_number": code, "form_name": name, **edition}
    into.data("5FOR", level, parent, values)


def add_automobiles(
    into: Draft, rng: Random, policy: Place, bought: Sequence[Bought], town: invented.Town
) -> None:
    """Add drivers, and a vehicle for each set of coverages."""
    drivers = rng.choices((1, 2, 3), (4, 5, 2))[0]
    for number in range(1, drivers + 1):
        _add_driver(into, rng, policy, number, town)
    location = _add_location(into, policy, town)
    for number, coverages in enumerate(bought, 1):
        make, model, body = rng.choice(invented.VEHICLES)
        values = {
            "company_vehicle_number": number,
            "agency_vehicle_number": number,
            "vehicle_year": rng.randint(1998, 2024),
            "vehicle_make": make,
            "vehicle_model": model,
            "vehicle_body_type_code": body,
            "vin": Varied("vin", number),
            "vehicle_registration_state": town.state,
            "rating_territory": f"{rng.randrange(100):03}",
            "cost_new": rng.randrange(14_000, 60_000, 500),
            "new_car_indicator": rng.random() < 0.2,
            "license_plate_registration_number": Varied("plate", number),
            "total_vehicle_full_term_amount": Premium(total(coverages)),
        }
        vehicle = into.data("5VEH", "R1", location, values)
        if rng.random() < 0.4:
            driven = {"driver_number1": rng.randint(1, drivers), "driver_1_percent": 100, "use_code": "W"}
            into.data("6PVH", "R2", vehicle, driven)
        if rng.random() < 0.3:
            _add_interest(into, rng, vehicle, number, code="LP")
        for coverage, dollars in coverages:
            into.data("6CVA", "W1", vehicle, _auto_coverage(into, rng, coverage, dollars))
        if into.sender.own_group:
            into.unmapped(into.sender.own_group, "W1", vehicle, b"TELEMATICS    %03d" % rng.randrange(100))


def add_dwelling(
    into: Draft, rng: Random, policy: Place, bought: Bought, town: invented.Town, rented: bool
) -> None:
    """Add the dwelling with its coverages; one that is rented to others is insured against fire."""
    location = _add_location(into, policy, town)
    values = {
        "homeowners_policy_type_code": rng.choice(("01", "02") if rented else ("03", "05", "06")),
        "construction_type_code": rng.choice("FMV"),
        "year_built": rng.randint(1890, 2022),
        "number_of_families": rng.randint(1, 4),
        "number_of_rooms": rng.randint(3, 12),
        "residence_type_code": "DW",
        "dwelling_use_code": rng.choice("12"),
        "protection_class_grade": f"{rng.randint(1, 10):02}",
        "territory_code": f"{rng.randrange(100):03}",
        "hydrant_distance": rng.randrange(100, 1_000, 50),
        "fire_station_distance": rng.randint(1, 9),
        "swimming_pool_code": rng.choice("NYA"),
        "under_construction_indicator": False,
        "number_of_acres": rng.randint(0, 9),
    }
    dwelling = into.data("6HRU", "R1", location, values)
    if rented:
        supplement = {"occupancy_type_code": rng.choice("OTV"), "number_of_other_structures": 1}
        into.data("6FRU", "R2", dwelling, supplement)
    if rng.random() < 0.4:
        add_form(into, rng, "R2", dwelling, 1)
    if rng.random() < 0.7:
        _add_interest(into, rng, dwelling, 1, code="MG")
        into.data("9AOI", "R2", dwelling, {**address(rng.choice(invented.TOWNS)), **_PO_BOX})
    if rng.random() < 0.3:
        cost = {"evaluation_system_code": "EX", "stories": "2", "base_cost": 210_000}
        into.data("5REP", "R2", dwelling, cost)
    if rng.random() < 0.3:
        into.unmapped("6PTI", "R2", dwelling, b"SMOKE DETECTOR      LOCAL   Y")
    for coverage, dollars in bought:
        into.data("6CVH", "W1", dwelling, _home_coverage(into, rng, coverage, dollars))


def _add_location(into: Draft, policy: Place, town: invented.Town) -> Place:
    values = {"location_number": 1, **address(town), "county_name": town.county}
    return into.data("5LAG", "L1", policy, values)


def _add_driver(into: Draft, rng: Random, policy: Place, number: int, town: invented.Town) -> None:
    values = {
        "agency_drivers_number": number,
        "company_drivers_number": number,
        "drivers_name": Varied("name", number),
        "social_security_number": Varied("ssn", number),
        "drivers_license_number": Varied("license", number),
        "licensed_state": town.state,
        "driver_sex_code": rng.choice("FMX"),
        "driver_type_code": rng.choice("PO"),
        **into.sender.dated("date_of_birth", Varied("birth", number)),
        **into.sender.dated("date_licensed", draw_day(rng, 1990, 2020)),
    }
    into.data("5DRV", "F2", policy, values)


def _add_interest(into: Draft, rng: Random, unit: Place, number: int, code: str) -> None:
    values = {
        "interest_id_number": number,
        "nature_of_interest_code": code,
        "interest_rank": 1,
        "interest_is_payor_indicator": rng.random() < 0.3,
        "additional_other_interest_name": rng.choice(invented.LENDERS),
        "interest_holder_account_number": Varied("account", 1 + number),
    }
    into.data("5AOI", "R2", unit, values)


def _auto_coverage(into: Draft, rng: Random, coverage: invented.Coverage, dollars: int) -> Values:
    limit = rng.choice(coverage.limits) if coverage.limits else None
    return {
        "coverage_code_personal_automobile": coverage.code,
        "full_term_premium": Premium(dollars),
        "limit1": limit,
        "limit2": limit * 2 if limit and coverage.code in ("BI", "UM") else None,
        "deductible": rng.choice(coverage.deductibles) if coverage.deductibles else None,
        "coverage_code_description": coverage.description,
        **into.sender.dated("coverage_effective_date", EFFECTIVE),
        **into.sender.dated("coverage_expiration_date", EXPIRATION),
    }


def _home_coverage(into: Draft, rng: Random, coverage: invented.Coverage, dollars: int) -> Values:
    return {
        "coverage_code": coverage.code,
        "full_term_premium": Premium(dollars),
        "homeowners_limit1": rng.choice(coverage.limits),
        "first_deductible": rng.choice(coverage.deductibles) if coverage.deductibles else None,
        "first_deductible_type_code": "FL" if coverage.deductibles else None,
        "description_field": coverage.description,
        **into.sender.dated("coverage_effective_date", EFFECTIVE),
        **into.sender.dated("coverage_expiration_date", EXPIRATION),
    }

"""Plausible personal-lines policies: automobile, home and dwelling fire.

In: a source of random numbers and a sender. Out: one transaction, a tree as FORMAT.md, Hierarchy has it; what
happens to the policy (it is new, renewed, changed, cancelled) is left open.
Levels that it does not mention are assumed: what belongs to a policy is F2, to a vehicle or a dwelling R2.
Amounts add up: coverages to the vehicle, vehicles or coverages to the policy.
"""

from random import Random

from al3spark.al3.dictionary import Dictionary
from al3spark.sampling import invented
from al3spark.sampling.drafts import Draft, Place, address
from al3spark.sampling.senders import Sender
from al3spark.sampling.templates import (
    CHANGED,
    EFFECTIVE,
    EXPIRATION,
    INCEPTION,
    ISSUED,
    NEW,
    PURPOSE,
    SEQUENCE,
    NetChange,
    Premium,
    Template,
    Term,
    Varied,
    compile_template,
)
from al3spark.sampling.units import add_automobiles, add_dwelling, add_form, buy, draw_day, total

_LINES = ("AUTOP", "HOME", "AUTOP", "DFIRE", "HOME", "AUTOP", "HOME", "AUTOP")  # they take turns
_TERMS = {
    "AUTOP": Term(182, (0.92, 1.15)),
    "HOME": Term(365, (0.98, 1.24)),
    "DFIRE": Term(365, (0.96, 1.12)),
}
_AT_HOME = 0.85  # of policies insure what is where the insured lives
_COVERAGES = {
    "AUTOP": invented.AUTO_COVERAGES,
    "HOME": invented.HOME_COVERAGES,
    "DFIRE": invented.FIRE_COVERAGES,
}


def draw_policy(rng: Random, number: int, sender: Sender, dictionary: Dictionary) -> Template:
    """Draw the policy with a number, as a transaction that can be stamped."""
    into = Draft(sender, dictionary)
    line, home = _LINES[number % len(_LINES)], rng.choice(invented.TOWNS)
    town = home if rng.random() < _AT_HOME else rng.choice(invented.TOWNS)
    units = rng.choices((1, 2, 3, 4), (4, 5, 2, 1))[0] if line == "AUTOP" else 1
    bought = tuple(buy(rng, _COVERAGES[line]) for _ in range(units))
    _add_header(into, rng, line)
    insured = _add_insured(into, rng, home, company=line == "DFIRE" and rng.random() < 0.3)
    policy = _add_policy(into, rng, insured, line, sum(map(total, bought)))
    if line == "AUTOP":
        add_automobiles(into, rng, policy, bought, town)
    else:
        add_dwelling(into, rng, policy, bought[0], town, rented=line == "DFIRE")
    return compile_template(into.records, dictionary, sender, _TERMS[line])


def _add_header(into: Draft, rng: Random, line: str) -> None:
    values = {
        "transaction_structure_standard_version_number": "1",
        "automation_level": "5",
        "transaction_category": "P",
        "policy_type_routing_code": "P",
        "line_of_business_routing_code": line,
        "transaction_function": "FMG",
        "formal_transaction_address_sender": into.sender.code,
        "informal_transaction_address_recipient": "EXAMPLE INSURANCE AGENCY",
        "transaction_sequence_number": SEQUENCE,
        "cycle_business_purpose": PURPOSE,
        **into.sender.dated("transaction_date", ISSUED),
        **into.sender.dated("transaction_effective_date", CHANGED),
    }
    into.control("2TRG", values)
    if rng.random() < 0.5:
        into.control("2TCG", {"first_standard_number": "001", "first_version_number": "02"})
    if rng.random() < 0.3:
        into.control("2GCG", {"omitted_group_designator_1": "5PMI", "lob_code": line})


def _add_insured(into: Draft, rng: Random, town: invented.Town, company: bool) -> Place:
    values = {
        "insureds_name": Varied("company" if company else "name"),
        "agencys_id_for_insured": f"A{rng.randrange(100_000):05}",
        "legal_entity_code": "LL" if company else "IN",
    }
    insured = into.data("5BIS", "B1", None, values)
    extension = {
        **address(town),
        "county_name": town.county,
        "country": "USA",
        "insureds_telephone_number": Varied("phone"),
        "insureds_telephone_number_type_code": "H",
    }
    into.data("9BIS", "B1", None, extension)
    if not company and rng.random() < 0.8:
        _add_supplement(into, rng, insured)
    if not company and rng.random() < 0.3:
        name = {"supplementary_name": Varied("name", 2)}
        into.data("5SNG", "B2", insured, {"name_number": 2, "name_type_code": "COI", **name})
    return insured


def _add_supplement(into: Draft, rng: Random, insured: Place) -> None:
    values = {
        "insureds_marital_status": rng.choice("SMDW"),
        "insureds_years_employed": rng.randint(0, 40),
        "insureds_occupation": rng.choice(invented.OCCUPATIONS),
        "insureds_social_security_number": Varied("ssn"),
        "residence_owned_rented": rng.choice("OR"),
        "total_vehicles_in_household": rng.randint(0, 4),
        "losses_accidents_convictions_indicator": rng.random() < 0.2,
        **into.sender.dated("insureds_date_of_birth", Varied("birth")),
        **into.sender.dated("insured_known_by_agent_since", draw_day(rng, 1990, 2022)),
    }
    into.data("5ISI", "B2", insured, values)


def _add_policy(into: Draft, rng: Random, insured: Place, line: str, dollars: int) -> Place:
    values = {
        "policy_number": Varied("policy_number"),
        "company_code": into.sender.code,
        "line_of_business_code": line,
        "line_of_business_subcode": rng.choice(("", "PREF", "STD")),
        "original_policy_inception_date": INCEPTION,
        "renewal_term": 6 if line == "AUTOP" else 12,
        "current_term_amount": Premium(dollars),
        "net_change_amount": NetChange(dollars),
        "written_amount": Premium(dollars),
        "billing_method_code": rng.choice("AD"),
        "payor_code": "IN" if rng.random() < 0.8 else "MO",
        "new_account_indicator": NEW,
        "language_code": "E",
        "company_product_code": rng.choice(("EX1", "EX2")),
        "billing_account_number": Varied("account"),
        "policy_version": "01",
        **into.sender.dated("policy_effective_date", EFFECTIVE),
        **into.sender.dated("policy_expiration_date", EXPIRATION),
    }
    policy = into.data("5BPI", "F1", insured, values)
    for number in range(1, rng.choices((1, 2, 3), (5, 3, 1))[0]):
        remark = {"remarks_number": number, "remarks_text": rng.choice(invented.REMARKS)}
        into.data("5RMK", "F2", policy, remark)
    _add_payment(into, rng, policy, dollars)
    for number in range(1, rng.randint(1, 4)):
        add_form(into, rng, "F2", policy, number)
    if rng.random() < 0.2:
        _add_prior_policy(into, policy, line)
    if rng.random() < 0.25:
        into.unmapped("6COM", "F2", policy, b"EM" + b"someone@example.com".ljust(64))
    return policy


def _add_payment(into: Draft, rng: Random, policy: Place, dollars: int) -> None:
    payments = rng.choice((1, 2, 4, 10, 12))
    values = {
        "payment_plan_code": rng.choice(("FL", "MO", "QT")),
        "day_of_month_due": rng.randint(1, 28),
        "deposit_amount": Premium(dollars // payments),
        "number_of_payments": payments,
        "number_of_months_between_payments": max(12 // payments, 1),
        "method_of_payment_code": rng.choice(("CHECK", "EFT", "CARD")),
    }
    into.data("5PAY", "F2", policy, values)


def _add_prior_policy(into: Draft, policy: Place, line: str) -> None:
    values = {
        "company_name": "PRIOR EXAMPLE INS",
        "prior_policy_number": Varied("policy_number", 2),
        "line_of_business_code": line,
        **into.sender.dated("expiration_date_of_prior_policy", INCEPTION),
    }
    into.data("5PPH", "F2", policy, values)

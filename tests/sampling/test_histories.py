"""What becomes of policies, seen from the tables."""

from collections import defaultdict
from datetime import timedelta
from itertools import pairwise

import pytest

from al3spark.sampling import SENDERS, sample_bytes


@pytest.fixture(scope="module")
def histories(parse):
    """Pairs of transaction and policy, of each policy in the order of the file."""
    tables, _ = parse(sample_bytes(1_000_000, seed=3, sender=SENDERS[0]))
    headers = {row["record_offset"]: row for row in tables["transactions"]}
    found = defaultdict(list)
    for row in tables["policies"]:
        found[row["policy_number"]].append((headers[row["transaction_offset"]], row))
    return list(found.values())


@pytest.fixture(scope="module")
def steps(histories):
    """What follows on what: the purpose, and the two policies."""
    return [
        (header["business_purpose"], before, after)
        for history in histories
        for (_, before), (header, after) in pairwise(history)
    ]


def of(steps, purpose):
    return [(before, after) for happened, before, after in steps if happened == purpose]


def test_policies_are_changed_renewed_and_cancelled(steps):
    assert {purpose for purpose, _, _ in steps} == {"PCH", "RWL", "XLC"}


def test_some_policies_have_three_terms_and_more(histories):
    terms = [{policy["policy_effective_date"] for _, policy in history} for history in histories]
    assert max(map(len, terms)) >= 3


def test_only_the_first_that_is_seen_of_a_policy_can_be_new(histories):
    assert {header["business_purpose"] for history in histories for header, _ in history[1:]} == {
        "PCH",
        "RWL",
        "XLC",
    }


def test_nothing_happens_after_a_cancellation(histories):
    assert "XLC" not in {header["business_purpose"] for history in histories for header, _ in history[:-1]}


def test_what_happens_later_is_later(histories):
    for history in histories:
        days = [header["transaction_effective_date"] for header, _ in history]
        assert days == sorted(days)


def test_a_renewal_begins_where_the_term_before_ends(steps):
    assert {
        after["policy_effective_date"] - before["policy_expiration_date"]
        for before, after in of(steps, "RWL")
    } == {timedelta(0)}


def test_a_renewal_moves_the_premium_by_what_is_plausible(steps):
    ratios = [
        after["current_term_amount"] / before["current_term_amount"] for before, after in of(steps, "RWL")
    ]
    assert 0.9 < min(ratios) < 1 < max(ratios) < 1.25
    assert 1.02 < sum(ratios) / len(ratios) < 1.12


def test_a_net_change_is_the_difference_that_a_change_made(steps):
    for before, after in of(steps, "PCH"):
        assert after["net_change_amount"] == after["current_term_amount"] - before["current_term_amount"]


def test_a_cancellation_gives_back_a_part_of_the_premium(steps):
    for before, after in of(steps, "XLC"):
        assert after["current_term_amount"] == before["current_term_amount"]
        assert -after["current_term_amount"] < after["net_change_amount"] < 0


def test_a_policy_keeps_its_account_and_its_first_day(histories):
    for history in histories:
        kept = {(row["billing_account_number"], row["original_policy_inception_date"]) for _, row in history}
        assert len(kept) == 1

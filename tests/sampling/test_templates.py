from random import Random

import pytest

from al3spark.al3.building import Record
from al3spark.sampling.senders import SENDERS
from al3spark.sampling.templates import (
    EFFECTIVE,
    EXPIRATION,
    NEW,
    PURPOSE,
    SEQUENCE,
    Event,
    NetChange,
    Premium,
    Term,
    Varied,
    compile_template,
    draw_values,
    stamp,
)

PLAIN, SQUEEZED = SENDERS[0], SENDERS[6]
YEAR = Term(365, (1.0, 1.1))
DATES = (b"20190515", b"20230916", b"20240915", b"20231101", b"20231023")
CHANGE = Event(b"PCH", False, DATES, 144, -12)


def make(dictionary, sender, *records, sequence=1, seed=1, event=CHANGE):
    template = compile_template(records, dictionary, sender, YEAR)
    return stamp(template, sender, draw_values(template, Random(seed).random), event, sequence)


def test_what_does_not_vary_stays_as_it_was_built(dictionary):
    remark = Record("5RMK", {"remarks_text": "HELLO"}, "F2", 1)
    assert make(dictionary, PLAIN, remark) == b"5RMK195   F20001".ljust(35) + b"HELLO".ljust(160)


def test_a_sequence_number_is_put_where_it_is_wanted(dictionary):
    record = Record("2TRG", {"transaction_sequence_number": SEQUENCE})
    assert make(dictionary, PLAIN, record, sequence=12_345)[142:146] == b"2345"


def test_a_date_of_a_policy_is_the_same_in_six_and_in_eight_digits(dictionary):
    dates = {"policy_effective_date": EFFECTIVE, "policy_effective_date_superseded": EFFECTIVE}
    built = make(dictionary, PLAIN, Record("5BPI", dates, "F1", 1))
    assert built[80:86] == built[259:265]
    assert built[257:259] == b"20"


def test_the_dates_of_an_event_are_put_where_they_are_wanted(dictionary):
    dates = {"policy_effective_date": EFFECTIVE, "policy_expiration_date": EXPIRATION}
    built = make(dictionary, PLAIN, Record("5BPI", dates, "F1", 1))
    assert (built[257:265], built[265:273]) == (b"20230916", b"20240915")


@pytest.mark.parametrize(("is_new", "flag"), [(True, b"Y"), (False, b"N")])
def test_what_an_event_is_about_is_put_where_it_is_wanted(dictionary, is_new, flag):
    event = Event(b"NBS", is_new, DATES, 100, 100)
    header = Record("2TRG", {"cycle_business_purpose": PURPOSE})
    policy = Record("5BPI", {"new_account_indicator": NEW}, "F1", 1)
    built = make(dictionary, PLAIN, header, policy, event=event)
    assert (built[167:170], built[212 + 141 : 212 + 142]) == (b"NBS", flag)


def test_equal_ones_stand_for_the_same_value_and_others_do_not(dictionary):
    drivers = [Record("5DRV", {"social_security_number": Varied("ssn", n)}, "F2", n) for n in (1, 2, 1)]
    built = make(dictionary, PLAIN, *drivers)
    first, second, third = (built[at + 98 : at + 107] for at in (0, 193, 386))
    assert first == third != second


def test_amounts_have_one_factor(dictionary):
    amounts = {"current_term_amount": Premium(300), "net_change_amount": Premium(-100)}
    built = make(dictionary, PLAIN, Record("5BPI", amounts, "F1", 1))
    assert built[111:135] == b"00000043200+00000014400-"


def test_a_net_change_is_what_the_event_adds(dictionary):
    amounts = {"current_term_amount": Premium(300), "net_change_amount": NetChange(300)}
    built = make(dictionary, PLAIN, Record("5BPI", amounts, "F1", 1))
    assert built[111:135] == b"00000043200+00000003600-"


def test_a_premium_needs_an_element_of_its_length(dictionary):
    with pytest.raises(ValueError, match=r"5PAY\.installment_fee: a premium has 12 bytes"):
        make(dictionary, PLAIN, Record("5PAY", {"installment_fee": Premium(3)}, "F2", 1))


def test_what_varies_is_squeezed_too(dictionary):
    built = make(dictionary, SQUEEZED, Record("5BPI", {"current_term_amount": Premium(10)}, "F1", 1))
    assert b"\xfa0701440+" in built


def test_records_and_characters_are_counted_as_a_trailer_counts_them(dictionary):
    records = [Record("5RMK", {}, "F2", 1), Record("5PAY", {}, "F2", 1)]
    template = compile_template(records, dictionary, SENDERS[2], YEAR)
    assert (template.records, template.characters) == (2, 195 + 83 + 2 * 2)

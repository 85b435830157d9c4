from random import Random

import pytest

from al3spark.al3.building import Record
from al3spark.sampling.senders import SENDERS
from al3spark.sampling.templates import (
    EFFECTIVE,
    EXPIRATION,
    SEQUENCE,
    Premium,
    Varied,
    compile_template,
    stamp,
)

PLAIN, SQUEEZED = SENDERS[0], SENDERS[6]


def make(dictionary, sender, *records, sequence=1, seed=1):
    return stamp(compile_template(records, dictionary, sender, 365), sender, Random(seed), sequence)


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


def test_a_term_lasts_as_long_as_the_template_says(dictionary):
    dates = {"policy_effective_date": EFFECTIVE, "policy_expiration_date": EXPIRATION}
    built = make(dictionary, PLAIN, Record("5BPI", dates, "F1", 1), seed=4)
    assert (built[257:265], built[265:273]) == (b"20230916", b"20240915")


def test_equal_ones_stand_for_the_same_value_and_others_do_not(dictionary):
    drivers = [Record("5DRV", {"social_security_number": Varied("ssn", n)}, "F2", n) for n in (1, 2, 1)]
    built = make(dictionary, PLAIN, *drivers)
    first, second, third = (built[at + 98 : at + 107] for at in (0, 193, 386))
    assert first == third != second


def test_amounts_have_one_factor(dictionary):
    amounts = {"current_term_amount": Premium(300), "net_change_amount": Premium(-100)}
    built = make(dictionary, PLAIN, Record("5BPI", amounts, "F1", 1))
    assert built[122:123] + built[134:135] == b"+-"
    assert int(built[111:122]) == 3 * int(built[123:134])


def test_a_premium_needs_an_element_of_its_length(dictionary):
    with pytest.raises(ValueError, match=r"5PAY\.installment_fee: a premium has 12 bytes"):
        make(dictionary, PLAIN, Record("5PAY", {"installment_fee": Premium(3)}, "F2", 1))


def test_what_varies_is_squeezed_too(dictionary):
    built = make(dictionary, SQUEEZED, Record("5BPI", {"current_term_amount": Premium(10)}, "F1", 1))
    assert b"\xfa0701440+" in built


def test_records_and_characters_are_counted_as_a_trailer_counts_them(dictionary):
    records = [Record("5RMK", {}, "F2", 1), Record("5PAY", {}, "F2", 1)]
    template = compile_template(records, dictionary, SENDERS[2], 365)
    assert (template.records, template.characters) == (2, 195 + 83 + 2 * 2)

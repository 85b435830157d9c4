import csv
from importlib.resources import files

import pytest

from al3spark.al3.building import Separator
from al3spark.sampling.senders import LENGTHS, SENDERS, Form

SEEN = {
    row["group"]: {int(length) for length in row["lengths_seen"].split()}
    for row in csv.DictReader(
        files("al3spark.al3.dictionary").joinpath("groups.csv").read_text(encoding="utf-8").splitlines()
    )
}


def test_senders_show_every_separator_and_every_form():
    assert {sender.separator for sender in SENDERS} == set(Separator)
    assert {sender.form for sender in SENDERS} == set(Form)


def test_every_form_is_shown_with_old_or_new_lengths_and_both_occur():
    assert {sender.old for sender in SENDERS if sender.form is Form.PLAIN} == {True, False}
    assert {sender.old for sender in SENDERS if sender.form is not Form.PLAIN} == {True, False}


def test_codes_of_senders_differ():
    assert len({sender.code for sender in SENDERS}) == len(SENDERS)


def test_record_lengths_are_those_seen_in_files():
    unseen = {
        (group, length) for group, pair in LENGTHS.items() for length in pair if length not in SEEN[group]
    }
    assert unseen == {("6HRU", 300)}


@pytest.mark.parametrize(
    ("form", "stored"),
    [
        (Form.PLAIN, b"\xdc      00000x"),
        (Form.SQUEEZED, b"\xdc\xfa06 \xfa050x"),
        (Form.SQUEEZED_B3, b"\xdc\xb306 \xb3050x"),
        (Form.TRANSCODED, b"\xc3\x9c      00000x"),
        (Form.SQUEEZED_TRANSCODED, b"\xc3\x9c\xc3\xba06 \xc3\xba050x"),
    ],
)
def test_a_sender_stores_bytes_in_its_form(form, stored):
    sender = next(each for each in SENDERS if each.form is form)
    assert sender.encode(b"\xdc      00000x") == stored


def test_old_senders_put_dates_into_the_superseded_element():
    old, new = SENDERS[1], SENDERS[0]
    assert old.dated("rate_date", 1) == {"rate_date_superseded": 1}
    assert new.dated("rate_date", 1) == {"rate_date": 1}


def test_a_trailer_counts_groups_or_characters_with_itself(dictionary):
    assert SENDERS[1].close_message(dictionary, groups=7, characters=900)[10:18] == b"00000008"
    assert SENDERS[2].close_message(dictionary, groups=7, characters=900)[10:18] == b"00001142"

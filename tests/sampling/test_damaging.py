from dataclasses import replace
from io import BytesIO
from random import Random

import pytest

from al3spark.al3.archives import Limits, iter_members
from al3spark.al3.inflating import UnreadableError
from al3spark.sampling.damaging import DAMAGES, Broken, Damage, Pieces
from al3spark.sampling.senders import SENDERS, Form, Sender
from al3spark.sampling.stock import Stock

PARSED = tuple(damage for damage in DAMAGES if damage.fault != "FILE_UNREADABLE")
ARCHIVES = tuple(damage for damage in DAMAGES if damage.fault == "FILE_UNREADABLE")
# No separator; CRLF and squeezed, old lengths; CRLF inside the length, squeezed and in UTF-8; behind a BOM.
SHOWN = tuple(SENDERS[number] for number in (0, 1, 2, 7))


def name(value: Damage | Sender) -> str:
    return value.name if isinstance(value, Damage) else value.code


@pytest.fixture(scope="module")
def break_file(dictionary):
    """Break a file of a sender."""

    def broken(damage: Damage, sender: Sender) -> Broken:
        plain = replace(sender, form=Form.PLAIN, lead=b"", tail=b"")
        pieces = Stock(dictionary, plain, seed=3).write_file(Random(3), 20_000, messages=2)
        return damage.apply(Pieces(sender, list(pieces)))

    return broken


@pytest.mark.parametrize("sender", SHOWN, ids=name)
@pytest.mark.parametrize("damage", PARSED, ids=name)
def test_each_damage_gives_its_fault_at_its_offset(damage, sender, break_file, parse):
    broken = break_file(damage, sender)
    tables, totals = parse(broken.data)
    faults = [row for row in tables["errors"] if row["code"] == damage.fault]
    places = {row["byte_offset"] if row["record_offset"] is None else row["record_offset"] for row in faults}
    assert broken.offset in places
    assert totals.imbalance == ""


@pytest.mark.parametrize("damage", ARCHIVES, ids=name)
def test_each_damage_of_an_archive_makes_it_unreadable(damage, break_file):
    broken = break_file(damage, SENDERS[0])
    (_, windows), *_ = iter_members(f"x{damage.suffix}", BytesIO(broken.data), Limits(), 1 << 20)
    with pytest.raises(UnreadableError):
        list(windows)


def test_a_destroyed_transaction_leaves_no_row_under_the_one_before(break_file, parse):
    broken = break_file(next(each for each in DAMAGES if each.name == "transaction_destroyed"), SENDERS[0])
    tables, _ = parse(broken.data)
    (uncertain,) = (row for row in tables["errors"] if row["code"] == "TRANSACTION_UNCERTAIN")
    behind = [row for row in tables["policies"] if row["record_offset"] > broken.offset]
    assert [(row["transaction_offset"], row["parent_offset"]) for row in behind] == [(None, None)]
    assert uncertain["record_offset"] < behind[0]["record_offset"]

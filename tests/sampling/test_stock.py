from random import Random

import pytest

from al3spark.sampling.senders import SENDERS
from al3spark.sampling.stock import Stock


@pytest.fixture
def stock(dictionary):
    return Stock(dictionary, SENDERS[0], seed=1)


def starts(pieces):
    return [piece[:4] for piece in pieces]


def test_a_message_is_a_header_transactions_and_a_trailer(stock):
    begins = starts(stock.write_file(Random(1), 20_000, messages=1))
    assert begins == [b"1MHG", *[b"2TRG"] * (len(begins) - 2), b"3MTG"]


def test_the_smallest_file_has_one_transaction_in_each_message(stock):
    assert starts(stock.write_file(Random(1), 1, messages=2)) == [b"1MHG", b"2TRG", b"3MTG"] * 2


def test_the_stock_does_not_depend_on_the_order_in_which_it_is_used(dictionary, stock):
    used = Stock(dictionary, SENDERS[0], seed=1)
    list(used.write_file(Random(9), 50_000, messages=1))
    again = b"".join(used.write_file(Random(1), 50_000, messages=1))
    assert again == b"".join(stock.write_file(Random(1), 50_000, messages=1))


def test_a_message_ends_before_its_trailer_cannot_count_it(stock, parse):
    data = b"".join(stock.write_file(Random(1), 17 << 20, messages=1))
    assert data.count(b"1MHG196 8") == 2


def test_what_a_sender_puts_around_a_file_is_there(dictionary):
    with_bom = b"".join(Stock(dictionary, SENDERS[7], seed=1).write_file(Random(1), 1, messages=1))
    with_eof = b"".join(Stock(dictionary, SENDERS[3], seed=1).write_file(Random(1), 1, messages=1))
    assert with_bom.startswith(b"\xef\xbb\xbf1MHG")
    assert with_eof.endswith(b"\r\n\x1a")

"""The numbers of the charts, read back from their markup."""

import re

import pytest

from al3spark.report.charts import (
    LEAST_PERCENT,
    MOST_BUCKETS,
    Bucket,
    cut_buckets,
    draw_bar,
    draw_parts,
    draw_rates,
    find_ticks,
    round_up,
    spread,
)
from al3spark.report.markup import Html
from tests.report.jobs import Page


def numbers(svg: Html, kind: str, name: str) -> list[float]:
    """An attribute of the rectangles of a class."""
    page = Page(svg)
    return [
        float(attributes[name] or 0)
        for tag, attributes in page.elements
        if tag == "rect" and attributes.get("class") == kind
    ]


def test_rates_are_those_of_the_points() -> None:
    points = [(0.0, 0), (1.0, 10), (2.0, 40), (4.0, 40)]
    rates = [(each.start, each.end, each.rate) for each in cut_buckets(points)]
    assert rates == [(0, 1, 10), (1, 2, 30), (2, 3, 0), (3, 4, 0)]


def test_no_byte_is_lost_between_uneven_points() -> None:
    points = [(0.0, 0), (0.7, 5), (3.1, 900), (3.2, 1000), (250.5, 7777)]
    buckets = cut_buckets(points)
    assert len(buckets) == MOST_BUCKETS
    assert sum(each.rate * (each.end - each.start) for each in buckets) == pytest.approx(7777)


def test_a_chunk_that_is_repeated_counts_once() -> None:
    buckets = cut_buckets([(0.0, 0), (2.0, 100), (3.0, 0), (5.0, 100), (6.0, 200)])
    assert min(each.rate for each in buckets) == 0
    assert sum(each.rate for each in buckets) == pytest.approx(200)


@pytest.mark.parametrize(
    "points",
    [[], [(0.0, 0)], [(0.0, 0), (2.9, 100)], [(0.0, 0), (100.0, 0)]],
    ids=["older job", "just begun", "too short", "nothing done"],
)
def test_little_to_tell_is_no_chart(points: list[tuple[float, int]]) -> None:
    assert cut_buckets(points) == ()


def test_columns_are_as_high_as_their_rates() -> None:
    buckets = (Bucket(0, 10, 50e6), Bucket(10, 20, 25e6), Bucket(20, 30, 0), Bucket(30, 40, 1.0))
    chart = draw_rates(buckets, 18.75e6)
    assert numbers(chart, "column", "height") == [100, 50, 0, LEAST_PERCENT]
    assert numbers(chart, "column", "y") == [0, 50, 100, 100 - LEAST_PERCENT]
    assert numbers(chart, "column", "x") == [2, 27, 52, 77]
    assert re.findall(r"<title>(.*?)</title>", chart)[1] == "10.0 s to 20.0 s: 25.0 MB/s"
    assert "50.0 MB/s, 0 s to 10.0 s" in chart
    page = Page(chart)
    assert page.text.startswith("0 25 50 ")
    assert page.text.endswith(" 0 10 s 20 s 30 s 40 s")


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, 1), (1, 1), (1.1, 1.5), (2.2, 3), (2.6e6, 3e6), (5e6, 5e6), (98e6, 100e6), (101e6, 150e6)],
)
def test_an_axis_ends_at_a_round_number(number: float, expected: float) -> None:
    assert round_up(number) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        (4.0, [0, 1, 2, 3, 4]),
        (31.0, [0, 10, 20, 30]),
        (3700.0, [0, 900, 1800, 2700, 3600]),
        (1e6, [0, 200000, 400000, 600000, 800000, 1000000]),
    ],
)
def test_ticks_are_few_and_round(end: float, expected: list[int]) -> None:
    assert find_ticks(end) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [(0, "0"), (50, "50"), (100, "100"), (0.001, str(LEAST_PERCENT))]
)
def test_a_bar_is_as_long_as_its_part_and_never_unseen(value: float, expected: str) -> None:
    assert f'width="{expected}"' in draw_bar(value, 100)


def test_parts_fill_the_bar_and_small_ones_are_seen() -> None:
    bar = draw_parts([("fine", 99_998, "good"), ("failed", 2, "bad"), ("none", 0, "idle")])
    assert numbers(bar, "bad", "width") == [LEAST_PERCENT]
    assert numbers(bar, "good", "width") == [100 - LEAST_PERCENT]
    assert numbers(bar, "bad", "x") == [100 - LEAST_PERCENT]
    assert numbers(bar, "idle", "width") == [0]
    assert 'aria-label="fine 99,998, failed 2, none 0"' in bar


@pytest.mark.parametrize("percents", [[100.0], [50.0, 50.0], [99.9, 0.1, 0.0], [0.2] * 5 + [99.0]])
def test_widths_add_up(percents: list[float]) -> None:
    assert sum(spread(percents)) == pytest.approx(100)

from datetime import UTC, datetime, timedelta, timezone

import pytest

from al3spark.report.quantities import (
    tell_count,
    tell_moment,
    tell_part,
    tell_rate,
    tell_seconds,
    tell_size,
)


@pytest.mark.parametrize(
    ("number", "expected"), [(0, "0 files"), (1, "1 file"), (1234567, "1,234,567 files")]
)
def test_counts_have_thousands_separators(number: int, expected: str) -> None:
    assert tell_count(number, "file") == expected


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1234, "1.23 kB"),
        (50_000_000, "50.0 MB"),
        (2_345_000_000, "2.35 GB"),
        (123_456_000_000_000, "123 TB"),
        (1_234_000_000_000_000, "1,234 TB"),
    ],
)
def test_sizes_are_told_in_three_digits(size: int, expected: str) -> None:
    assert tell_size(size) == expected


@pytest.mark.parametrize(
    ("rate", "expected"), [(0.0, "0 MB/s"), (98_460_000, "98.5 MB/s"), (2e9, "2,000 MB/s")]
)
def test_rates_are_in_megabytes(rate: float, expected: str) -> None:
    assert tell_rate(rate) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, "0 ms"),
        (0.0456, "46 ms"),
        (2.5, "2.5 s"),
        (59.96, "60.0 s"),
        (60, "1 min"),
        (125, "2 min 5 s"),
        (3599.9, "1 h"),
        (7260, "2 h 1 min"),
        (200_000, "2 days 7 h"),
    ],
)
def test_lengths_of_time_are_told_in_two_units(seconds: float, expected: str) -> None:
    assert tell_seconds(seconds) == expected


def test_moments_are_in_utc() -> None:
    moment = datetime(2026, 1, 2, 4, 5, 6, tzinfo=timezone(timedelta(hours=1)))
    assert tell_moment(moment) == tell_moment(moment.astimezone(UTC)) == "2026-01-02 03:05:06 UTC"


@pytest.mark.parametrize(
    ("part", "whole", "expected"),
    [
        (0, 0, "0 %"),
        (1, 3, "33.3 %"),
        (1, 2, "50 %"),
        (1, 100_000, "< 0.1 %"),
        (99_999, 100_000, "> 99.9 %"),
        (7, 7, "100 %"),
    ],
)
def test_a_part_is_never_told_as_nothing_or_all(part: int, whole: int, expected: str) -> None:
    assert tell_part(part, whole) == expected

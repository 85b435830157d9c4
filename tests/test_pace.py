"""How fast a job is, by a clock that the tests set."""

import pytest

from al3spark.pace import MOST_POINTS, Pace


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def run(pace: Pace, clock: Clock, seconds: int, bytes_per_second: int = 10) -> None:
    for _ in range(seconds):
        clock.now += 1
        pace.note(0, int(clock.now - 1000) * bytes_per_second)


def test_waiting_before_the_start_is_no_work(clock: Clock) -> None:
    pace = Pace(clock)
    pace.note(0, 0)
    clock.now += 50
    assert pace.points == []
    clock.now = 1000.0
    pace.begin()
    run(pace, clock, 2)
    assert pace.points == [(0.0, 0), (1.0, 10), (2.0, 20)]


def test_rates_are_those_of_the_last_minute(clock: Clock) -> None:
    pace = Pace(clock)
    pace.begin()
    run(pace, clock, 100, bytes_per_second=10)
    for second in range(61):
        clock.now += 1
        pace.note(2 * second, 1000 + 500 * second)
    assert pace.rates() == pytest.approx((2.0, 500.0))


def test_a_chunk_that_is_repeated_has_no_negative_rate(clock: Clock) -> None:
    pace = Pace(clock)
    pace.note(0, 1000)
    clock.now += 1
    pace.note(0, 0)
    assert pace.rates() == (0.0, 0.0)


def test_points_stay_few_however_long_a_job_runs_and_the_last_is_the_newest(clock: Clock) -> None:
    pace = Pace(clock)
    pace.begin()
    longest = 0
    for _ in range(20):
        run(pace, clock, 1000)
        longest = max(longest, len(pace.points))
        assert pace.points[0] == (0.0, 0)
        assert pace.points[-1] == (clock.now - 1000, int(clock.now - 1000) * 10)
    assert MOST_POINTS / 2 < longest <= MOST_POINTS
    gaps = [after[0] - before[0] for before, after in zip(pace.points, pace.points[1:], strict=False)]
    assert max(gaps) <= 4 * 20_000 / MOST_POINTS

"""Charts as inline SVG: bars, one bar of several parts, and rates over time.

In: numbers. Out: markup. Promises: what is not 0 can be seen; every chart is told in words, too, for those
who do not see it. Shapes stretch with the page, so all that is written stands beside the SVG, as HTML.
Colours are those of the page's style, by class.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from math import floor, log10

from al3spark.report.markup import Html, tag
from al3spark.report.quantities import tell_rate, tell_seconds

MOST_BUCKETS = 60
LEAST_SECONDS = 3.0  # of a shorter time, progress by the second says nothing
LEAST_PERCENT = 0.6  # of a bar: what is less cannot be seen
_STEPS = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0)
_TIMES = (1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400)


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of time, in seconds from the start, and how many bytes a second were dealt with in it."""

    start: float
    end: float
    rate: float


def cut_buckets(points: Sequence[tuple[float, int]]) -> tuple[Bucket, ...]:
    """Rates of equal stretches of time, from (seconds, bytes until then); none where there is little to tell.

    Between two points bytes are taken to come evenly. A chunk that is repeated gives no negative rate.
    """
    if not points or points[-1][0] < LEAST_SECONDS or not any(size for _, size in points):
        return ()
    times = [seconds for seconds, _ in points]
    sizes = list(accumulate((size for _, size in points), max))
    count = min(MOST_BUCKETS, int(times[-1]))
    borders = [times[-1] * number / count for number in range(count + 1)]
    levels = [_level(times, sizes, border) for border in borders]
    return tuple(
        Bucket(start, end, (high - low) / (end - start))
        for (start, low), (end, high) in pairwise(zip(borders, levels, strict=True))
    )


def _level(times: Sequence[float], sizes: Sequence[int], at: float) -> float:
    after = min(bisect_right(times, at), len(times) - 1)
    before = max(after - 1, 0)
    span = times[after] - times[before]
    part = min(max((at - times[before]) / span, 0.0), 1.0) if span else 1.0
    return sizes[before] + part * (sizes[after] - sizes[before])


def draw_rates(buckets: Sequence[Bucket], average: float) -> Html:
    """Columns of rates over time, with the average of all as a line; `average` in bytes a second."""
    top = round_up(max(*(bucket.rate for bucket in buckets), average))
    wide = 100 / len(buckets)
    columns = [
        tag(
            "g",
            tag("rect", class_="hit", x=_num(number * wide), y="0", width=_num(wide), height="100"),
            tag("rect", **_column(number * wide, wide, 100 * bucket.rate / top)),
            tag("title", f"{_from_to(bucket)}: {tell_rate(bucket.rate)}"),
        )
        for number, bucket in enumerate(buckets)
    ]
    lines = [_line(y, "grid") for y in (0.0, 50.0, 100.0)]
    lines.append(_line(100 - 100 * average / top, "average"))
    end = buckets[-1].end
    best = max(buckets, key=lambda bucket: bucket.rate)
    told = (
        f"Throughput over {tell_seconds(end)}: {tell_rate(average)} on average, at most "
        f"{tell_rate(best.rate)}, {_from_to(best)}."
    )
    picture = tag(
        "svg",
        *columns,
        *lines,
        viewBox="0 0 100 100",
        preserveAspectRatio="none",
        role="img",
        aria_label=told,
    )
    levels = [
        tag("span", _level_name(top * part), style=f"bottom:{100 * part:g}%") for part in (0.0, 0.5, 1.0)
    ]
    ticks = [
        tag("span", _tick_name(second), style=f"left:{100 * second / end:.2f}%") for second in find_ticks(end)
    ]
    return tag(
        "div",
        tag("div", *levels, class_="levels", aria_hidden="true"),
        tag("div", picture, class_="plot"),
        tag("div", *ticks, class_="ticks", aria_hidden="true"),
        class_="rates",
    )


def _column(x: float, width: float, height: float) -> dict[str, str]:
    shown = max(height, LEAST_PERCENT) if height else 0.0
    return {
        "class_": "column",
        "x": _num(x + width * 0.08),
        "y": _num(100 - shown),
        "width": _num(width * 0.84),
        "height": _num(shown),
    }


def _line(y: float, kind: str) -> Html:
    return tag("line", class_=kind, x1="0", x2="100", y1=_num(y), y2=_num(y))


def _from_to(bucket: Bucket) -> str:
    return f"{tell_seconds(bucket.start) if bucket.start else '0 s'} to {tell_seconds(bucket.end)}"


def _level_name(bytes_per_second: float) -> str:
    return f"{bytes_per_second / 1e6:g}"


def _tick_name(seconds: int) -> str:
    return f"{seconds} s" if 0 < seconds < 60 else tell_seconds(seconds) if seconds else "0"


def round_up(number: float) -> float:
    """The next number that reads well on an axis, as does its half: few digits times a power of ten."""
    if number <= 0:
        return 1.0
    power = 10.0 ** floor(log10(number))
    return next((step * power for step in _STEPS if number <= step * power * (1 + 1e-9)), 10 * power)


def find_ticks(end: float) -> list[int]:
    """Times to name on an axis from 0 to `end` seconds: at most six, at round distances."""
    step = next((each for each in _TIMES if end / each <= 5), max(int(end / 5), 1))
    return list(range(0, int(end) + 1, step))


def draw_bar(value: float, most: float, kind: str = "") -> Html:
    """A bar as long as its part of the longest."""
    part = max(100 * value / most, LEAST_PERCENT) if value and most else 0.0
    return tag(
        "svg",
        tag("rect", x="0", y="0", width=_num(min(part, 100.0)), height="1", class_=kind or None),
        class_="bar",
        viewBox="0 0 100 1",
        preserveAspectRatio="none",
        aria_hidden="true",
    )


def draw_parts(parts: Sequence[tuple[str, int, str]]) -> Html:
    """One bar of parts that add up: (name, number, class). Small ones are made wide enough to be seen."""
    whole = sum(number for _, number, _ in parts)
    widths = spread([100 * number / whole for _, number, _ in parts]) if whole else []
    starts = [0.0, *accumulate(widths)]
    boxes = [
        tag(
            "g",
            tag("rect", x=_num(start), y="0", width=_num(width), height="1", class_=kind),
            tag("title", f"{name}: {number:,}"),
        )
        for (name, number, kind), start, width in zip(parts, starts, widths, strict=False)
    ]
    told = ", ".join(f"{name} {number:,}" for name, number, _ in parts)
    return tag(
        "svg",
        *boxes,
        class_="parts",
        viewBox="0 0 100 1",
        preserveAspectRatio="none",
        role="img",
        aria_label=told,
    )


def spread(percents: Sequence[float]) -> list[float]:
    """Percentages of which none but 0 is too small to be seen; what the small ones get, the others give."""
    small = [0 < each < LEAST_PERCENT for each in percents]
    rest = sum(each for each, is_small in zip(percents, small, strict=True) if not is_small)
    left = 100 - LEAST_PERCENT * sum(small)
    return [
        LEAST_PERCENT if is_small else each * left / rest
        for each, is_small in zip(percents, small, strict=True)
    ]


def _num(number: float) -> str:
    return f"{number:.2f}".rstrip("0").rstrip(".")


def draw_legend(parts: Sequence[tuple[str, str, str, str]]) -> Html:
    """What the colours of a bar mean: (name, number and part as told, class)."""
    items = [
        tag("div", tag("dt", tag("i", class_=f"key {kind}"), name), tag("dd", number), tag("dd", part))
        for name, number, part, kind in parts
    ]
    return tag("dl", *items, class_="legend")

"""Numbers as people read them: counts, sizes, times. Values in, text out."""

from datetime import UTC, datetime

_SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def tell_count(number: int, thing: str = "") -> str:
    """For example `1,234 files`; a single one is `1 file`."""
    return f"{number:,}" + (f" {thing}{'' if number == 1 else 's'}" if thing else "")


def tell_size(size: float) -> str:
    """Bytes in decimal units: `1.2 GB`."""
    for unit, name in _SIZES:
        if size >= unit:
            return f"{_three_digits(size / unit)} {name}"
    return tell_count(int(size), "byte")


def tell_rate(bytes_per_second: float) -> str:
    """For example `98.5 MB/s`."""
    return f"{_three_digits(bytes_per_second / 1e6)} MB/s"


def tell_seconds(seconds: float) -> str:
    """A length of time, in the two largest units that say something."""
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{_three_digits(seconds)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def tell_moment(moment: datetime) -> str:
    """A time of day in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def tell_part(part: int, whole: int) -> str:
    """A percentage; what is not 0 or all is never told as if it were."""
    percent = 100 * part / whole if whole else 0.0
    if 0 < percent < 0.1:
        return "< 0.1 %"
    if 99.9 < percent < 100:
        return "> 99.9 %"
    return f"{percent:.1f} %".replace(".0 ", " ")


def _three_digits(number: float) -> str:
    if number >= 99.95:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 9.995 else f"{number:.2f}".removesuffix("0").removesuffix(".0")

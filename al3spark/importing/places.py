"""Where an element begins and how long it is, as people write it in spreadsheets.

In: cells. Out: start and length, counted from 0 with the header, as elements.csv has them.
Raises: ValueError, whose text says what is wrong with the cell; never more than its number or its text.
"""

import re
from dataclasses import dataclass, field

from al3spark.al3.dictionary import header_length
from al3spark.importing.maps import BODY, NEXT, ImportMap
from al3spark.importing.rows import Entry

_THOUSANDS = re.compile(r"\d{1,3}(?:[,.'\u2019 \u00a0\u202f]\d{3})+")
_DATE = re.compile(r"[A-Za-z]{3}-\d{1,4}|\d{1,2}-[A-Za-z]{3}")  # `1-30` once a spreadsheet had it
_RANGE = re.compile(r"(\S+?)\s*(?:[-\u2013\u2014:/]|\.\.|to|thru)\s*(\S+)", re.IGNORECASE)


@dataclass(slots=True)
class Places:
    """Read the places of the elements of a file, one after the other."""

    how: ImportMap
    _ends: dict[str, int] = field(default_factory=dict)  # where the element before ended, by group

    def read(self, entry: Entry) -> tuple[int, int]:
        """Give start and length of an element. ValueError: they are not there, or contradict each other."""
        length = read_number("length", entry.get("length")) if entry.get("length") else None
        if self.how.columns.start is None and "start" not in self.how.constants:
            header = header_length(entry.group)
            start = self._ends.get(entry.group, header if self.how.counts_in == BODY else 0)
            end = None
        else:
            start, end = self._read_ends(entry)
        if end is not None and length is not None and end - start != length:
            raise ValueError(f"has length {length}, but its positions make {end - start}")
        size = length if end is None else end - start
        if size is None:
            raise ValueError("has neither an end nor a length")
        if size < 1:
            raise ValueError(f"has length {size}")
        self._ends[entry.group] = start + size
        return start, size

    def _read_ends(self, entry: Entry) -> tuple[int, int | None]:
        begins, ends = entry.get("start"), entry.get("end")
        if not begins:
            raise ValueError("has no start")
        if _DATE.fullmatch(begins):
            raise ValueError(
                f"has start {begins!r}: a spreadsheet made a date of it, format its column as text"
            )
        if not ends and (both := _RANGE.fullmatch(begins)):
            begins, ends = both[1], both[2]
        elif not ends and self.how.columns.length is None and self.how.columns.end is None:
            ends = begins  # one position in a column of ranges is one byte
        before = header_length(entry.group) if self.how.counts_in == BODY else 0
        first = before - (self.how.counts_from or 0)
        after = first if self.how.end_is == NEXT else first + 1
        start = read_number("start", begins) + first
        if start < 0:
            raise ValueError(f"starts at {begins}, but positions count from {self.how.counts_from}")
        return start, read_number("end", ends) + after if ends else None


def read_number(name: str, text: str) -> int:
    """Read a whole number, as spreadsheets write them: `1,024`, `12.0`, `'7`. ValueError: it is none."""
    plain = text.strip().lstrip("'")
    if _THOUSANDS.fullmatch(plain):
        plain = re.sub(r"\D", "", plain)
    plain = re.sub(r"[.,]0{1,2}$", "", plain)
    if not (plain.isascii() and plain.isdigit()):
        raise ValueError(f"has {name} {text!r}, which is not a whole number")
    return int(plain)

"""What makes a dictionary unusable: one function per place to look at, each gives all problems that it finds.

In: rows of groups.csv (`Known`) and elements.csv (`Described`) with the file and line that they stand in.
Out: problems as file, line and one sentence, with the valid values where they are known.
Raises nothing: loading.py raises them all.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from al3spark.al3.dictionary.layouts import (
    CONTEXT_COLUMNS,
    KINDS,
    LEADING_COLUMNS,
    LONGEST_RECORD,
    Element,
    TransactionKind,
    header_length,
)

RESERVED_COLUMNS = frozenset({*LEADING_COLUMNS, "extra_bytes"})
RESERVED_TABLES = frozenset({"csv", "errors", "files", "unmapped_groups"})

# Kind -> the lengths with which it can work (FORMAT.md, Values). A decimal(18) holds 18 digits, an int64 too;
# an amount has its sign beside them. Kinds that are not here can have any length.
LENGTHS: Mapping[str, Sequence[int]] = {
    "integer": range(1, 19),
    "decimal": range(1, 19),
    "amount": range(2, 20),
    "date_yymmdd": (6,),
    "date_ccyymmdd": (8,),
    "month_mmyy": (4,),
    "time_hhmm": (4,),
    "timestamp": (13, 15),
    "flag": (1,),
    "name": (60,),
}
MOST_DECIMALS = 18


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """Why a dictionary cannot be used. Line 0 is the file or directory as a whole."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file} line {self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(frozen=True, slots=True)
class Known:
    """A row of groups.csv; the table is empty for a group that is known by name only."""

    file: str
    line: int
    group: str
    table: str
    title: str


@dataclass(frozen=True, slots=True)
class Described:
    """A row of elements.csv. `measured` is false where a number could not be read: its positions are void."""

    file: str
    line: int
    element: Element
    measured: bool = True

    @property
    def label(self) -> str:
        """How messages call it: `2TRG.name`."""
        return f"{self.element.group}.{self.element.name}"


def check_groups(groups: Sequence[Known]) -> Iterator[Problem]:
    """Check the rows of one groups.csv by themselves."""
    first: dict[str, Known] = {}
    for row in groups:
        if not _is_group(row.group):
            yield Problem(row.file, row.line, _bad_group(row.group))
        if row.group in first:
            text = f"{row.group} is there twice (first in line {first[row.group].line})"
            yield Problem(row.file, row.line, text)
        first.setdefault(row.group, row)
        if row.table and not re.fullmatch(r"[a-z][a-z0-9_]*", row.table):
            text = "is not a table name: a lower-case letter, then lower-case letters, digits and _"
            yield Problem(row.file, row.line, f"{row.group} has table {row.table!r}, which {text}")
        if row.table in RESERVED_TABLES:
            text = f"is reserved (so are {', '.join(sorted(RESERVED_TABLES))})"
            yield Problem(row.file, row.line, f"{row.group} has table {row.table}, which {text}")


def check_tables(
    known: Mapping[str, Known], described: Mapping[str, Sequence[Described]]
) -> Iterator[Problem]:
    """Check all groups together: each described group is known and has a table, and no two have the same."""
    first: dict[str, Known] = {}
    for row in known.values():
        if row.table in first:
            other = first[row.table]
            text = f"{row.group} has table {row.table}, as {other.group} has ({other.file} line {other.line})"
            yield Problem(row.file, row.line, text)
        if row.table:
            first.setdefault(row.table, row)
    for group, rows in described.items():
        if group not in known:
            text = f"{group} has elements but no row in groups.csv: add one with its table and name"
            yield Problem(rows[0].file, rows[0].line, text)
        elif not known[group].table:
            row = known[group]
            yield Problem(row.file, row.line, f"{group} has elements ({rows[0].file}) but no table: name one")


def check_elements(rows: Sequence[Described]) -> Iterator[Problem]:
    """Check the elements of one group, as one elements.csv describes them."""
    group = rows[0].element.group
    if not _is_group(group):
        yield Problem(rows[0].file, rows[0].line, _bad_group(group))
    for row in rows:
        for text in (*_name_problems(row.element), *_kind_problems(row), *_position_problems(row)):
            yield Problem(row.file, row.line, f"{row.label} {text}")
    yield from _check_overlap(rows)
    yield from _check_duplicates(rows)


def check_references(
    rows: Mapping[str, Sequence[Described]],
    described: Mapping[str, Sequence[Described]],
    known: Mapping[str, Known],
) -> Iterator[Problem]:
    """Check the `superseded_by` of some rows against all that is described once they are laid over the rest.

    An id in a group that is known by name only cannot be checked and passes. `X_AND_Y` names two ids.
    """
    ids = {row.element.element_id for group in described.values() for row in group}
    for row in (row for group in rows.values() for row in group):
        for element_id in filter(None, row.element.superseded_by.split("_AND_")):
            group = element_id[:4]
            if element_id in ids or (group in known and group not in described):
                continue
            reason = f"{group} has no such element id" if group in described else f"{group} is no known group"
            yield Problem(row.file, row.line, f"{row.label} is superseded by {element_id}, but {reason}")


def check_kinds(kind: TransactionKind) -> Iterator[str]:
    """Check a row of transaction_kinds.csv."""
    for name, value in (("transaction_function", kind.function), ("business_purpose", kind.purpose)):
        if not re.fullmatch(r"[0-9A-Z]{0,3}", value):
            yield f"has {name} {value!r}: at most 3 digits and capital letters, or nothing for any"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", kind.kind):
        text = "a lower-case letter, then lower-case letters, digits and _"
        yield f"has transaction_kind {kind.kind!r}, which is no plain name: {text}"


def _is_group(group: str) -> bool:
    return re.fullmatch(r"[0-9A-Z]{4}", group) is not None


def _bad_group(group: str) -> str:
    return f"{group!r} is not a group: 4 characters, digits and capital letters"


def _name_problems(element: Element) -> Iterator[str]:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", element.name):
        yield "is not an element name: a lower-case letter, then lower-case letters, digits and _"
    elif re.fullmatch(r"unnamed_\d+", element.name):
        yield "has a name that is kept for the gaps between elements"
    for column in element.columns:
        if column in RESERVED_COLUMNS and CONTEXT_COLUMNS.get(column) != element.group:
            yield f"makes the column {column}, which every table has already"


def _kind_problems(row: Described) -> Iterator[str]:
    element = row.element
    kinds = sorted(set(KINDS) - {"gap"})
    if element.kind not in kinds:
        yield f"has kind {element.kind!r}; known are {', '.join(kinds)}"
    lengths = LENGTHS.get(element.kind, range(1, LONGEST_RECORD + 1))
    if row.measured and element.length not in lengths:
        several = f"{lengths[0]} to {lengths[-1]}"
        allowed = several if isinstance(lengths, range) else " or ".join(map(str, lengths))
        yield f"has length {element.length}; kind {element.kind} needs {allowed}"
    most = MOST_DECIMALS if element.kind in ("decimal", "amount") else 0
    if element.scale > most:
        yield f"has scale {element.scale}; kind {element.kind} takes at most {most}"


def _position_problems(row: Described) -> Iterator[str]:
    element = row.element
    header = header_length(element.group)
    if row.measured and element.start < header:
        yield f"starts at {element.start}, inside its header (0-{header - 1})"
    if row.measured and element.end > LONGEST_RECORD:
        yield f"ends at {element.end}, but no record is longer than {LONGEST_RECORD}"


def _check_overlap(rows: Sequence[Described]) -> Iterator[Problem]:
    furthest: Described | None = None
    for row in sorted((row for row in rows if row.measured), key=lambda row: (row.element.start, row.line)):
        if furthest is not None and row.element.start < furthest.element.end:
            inside = f"{furthest.label} ({furthest.element.start}-{furthest.element.end - 1})"
            yield Problem(row.file, row.line, f"{row.label} starts at {row.element.start}, inside {inside}")
        if furthest is None or row.element.end > furthest.element.end:
            furthest = row


def _check_duplicates(rows: Sequence[Described]) -> Iterator[Problem]:
    columns: dict[str, Described] = {}
    ids: dict[str, Described] = {}
    for row in rows:
        for column in row.element.columns:
            other = columns.setdefault(column, row)
            if other is not row:
                text = f"makes the column {column}, as {other.label} does (line {other.line})"
                yield Problem(row.file, row.line, f"{row.label} {text}")
                break
        other = ids.setdefault(row.element.element_id, row)
        if row.element.element_id and other is not row:
            text = f"has element id {row.element.element_id}, as {other.label} has (line {other.line})"
            yield Problem(row.file, row.line, f"{row.label} {text}")

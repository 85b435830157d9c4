"""CSV files -> a `Dictionary`: read, lay directories over the starter, check, fill the gaps, fix the version.

In: the starter that comes with the package (read as package data, so also out of a zip) and any number of
directories that hold `groups.csv`, `elements.csv`, `transaction_kinds.csv` or several of them. Out: frozen
values, or one DictionaryError that lists all problems. What is a problem is decided in checking.py.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from al3spark.al3.dictionary.checking import (
    Described,
    Known,
    Problem,
    check_elements,
    check_groups,
    check_kinds,
    check_references,
    check_tables,
)
from al3spark.al3.dictionary.layouts import Dictionary, Element, Layout, TransactionKind, header_length
from al3spark.errors import DictionaryError

NUMBERS = ("start", "length", "scale")


@dataclass(frozen=True, slots=True)
class Sheet:
    """What one of the CSV files may look like."""

    name: str
    required: tuple[str, ...]
    optional: tuple[str, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the file may have."""
        return self.required + self.optional


GROUPS = Sheet("groups.csv", ("group", "table", "name"), ("lengths_seen",))
ELEMENTS = Sheet(
    "elements.csv",
    ("group", "element", "start", "length", "kind"),
    ("scale", "ref_id", "element_id", "superseded_by", "pii", "confidence", "sources"),
)
TRANSACTION_KINDS = Sheet(
    "transaction_kinds.csv", ("transaction_function", "business_purpose", "transaction_kind"), ()
)
SHEETS = (GROUPS, ELEMENTS, TRANSACTION_KINDS)


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV file, its fields stripped of blanks; a column that the file lacks is empty."""

    file: str
    line: int
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Layer:
    """The rows of one directory."""

    groups: tuple[Row, ...]
    elements: tuple[Row, ...]
    kinds: tuple[Row, ...]


def load_dictionary(*directories: Path | str) -> Dictionary:
    """Load the starter dictionary with each directory laid over it, in the order given.

    A group that a directory's elements.csv names has the elements of that file and no others; a row of its
    groups.csv replaces the row of that group; its transaction_kinds.csv replaces all rows. Everything else
    stays.
    Raises DictionaryError with every problem on a line of its own; the starter is called `starter` there, a
    directory by its path. Files that are no tables come first; what rows say is checked when all are tables.
    """
    problems: list[Problem] = []
    layers = [_read_layer(files("al3spark.al3.dictionary"), "starter", problems)]
    layers += [_read_layer(Path(directory), str(directory), problems) for directory in directories]
    _raise_all(problems)
    known: dict[str, Known] = {}
    described: dict[str, tuple[Described, ...]] = {}
    kinds: tuple[TransactionKind, ...] = ()
    for layer in layers:
        groups = [
            Known(row.file, row.line, row.fields["group"], row.fields["table"], row.fields["name"])
            for row in layer.groups
        ]
        problems += check_groups(groups)
        known |= {group.group: group for group in groups}
        elements = _parse_elements(layer.elements, problems)
        for rows in elements.values():
            problems += check_elements(rows)
        described |= elements
        problems += check_references(elements, described, known)
        kinds = _parse_kinds(layer.kinds, problems) or kinds
    problems += check_tables(known, described)
    _raise_all(problems)
    return _compile(known, described, kinds)


def _raise_all(problems: Iterable[Problem]) -> None:
    lines = [str(problem) for problem in sorted(set(problems))]
    if lines:
        raise DictionaryError("\n".join(lines))


def _read_layer(place: Traversable, label: str, problems: list[Problem]) -> Layer:
    found = [sheet for sheet in SHEETS if place.joinpath(sheet.name).is_file()]
    if not found:
        names = " nor ".join(sheet.name for sheet in SHEETS)
        text = f"holds neither {names}" if place.is_dir() else "is not a directory"
        problems.append(Problem(label, 0, text))
    rows = {
        sheet.name: _read_sheet(place.joinpath(sheet.name), f"{label}/{sheet.name}", sheet, problems)
        for sheet in found
    }
    return Layer(*(rows.get(sheet.name, ()) for sheet in SHEETS))


def _read_sheet(place: Traversable, file: str, sheet: Sheet, problems: list[Problem]) -> tuple[Row, ...]:
    try:
        reader = csv.reader(io.StringIO(place.read_bytes().decode("utf-8-sig"), newline=""), strict=True)
    except UnicodeDecodeError:
        problems.append(Problem(file, 0, "is not UTF-8: save it as CSV UTF-8"))
        return ()
    try:
        header = [name.strip() for name in next(reader, [])]
        problems += [Problem(file, 1, text) for text in _header_problems(header, sheet)]
        return tuple(_read_rows(reader, file, header, sheet, problems))
    except csv.Error as error:
        problems.append(Problem(file, reader.line_num, f"is not CSV: {error}"))
        return ()


def _header_problems(header: Sequence[str], sheet: Sheet) -> Iterable[str]:
    for name in sheet.required:
        if name not in header:
            yield f"column {name} is missing (required: {', '.join(sheet.required)})"
    for name in dict.fromkeys(header):
        if name not in sheet.columns:
            yield f"column {name!r} is not known (known: {', '.join(sheet.columns)})"
        if header.count(name) > 1:
            yield f"column {name!r} is there {header.count(name)} times"


def _read_rows(
    reader: Iterable[list[str]], file: str, header: Sequence[str], sheet: Sheet, problems: list[Problem]
) -> Iterable[Row]:
    missing = dict.fromkeys(sheet.columns, "")
    for line, row in enumerate(reader, 2):
        if not any(row):
            continue
        if len(row) != len(header):
            problems.append(Problem(file, line, f"has {len(row)} fields, the first line has {len(header)}"))
        yield Row(file, line, missing | dict(zip(header, map(str.strip, row), strict=False)))


def _parse_elements(rows: Sequence[Row], problems: list[Problem]) -> dict[str, tuple[Described, ...]]:
    by_group: dict[str, list[Described]] = {}
    for row in rows:
        texts = dict(row.fields)
        group, name = texts.pop("group"), texts.pop("element")
        numbers = {column: texts.pop(column) for column in NUMBERS}
        wrong = {
            column: text
            for column, text in numbers.items()
            if not (text.isascii() and text.isdigit()) and not (column == "scale" and text == "")
        }
        for column, text in wrong.items():
            problem = f"{group}.{name} has {column} {text!r}, which is not a whole number"
            problems.append(Problem(row.file, row.line, problem))
        start, length, scale = (0 if column in wrong else int(numbers[column] or 0) for column in NUMBERS)
        element = Element(group, name, start, length, scale=scale, **texts)
        by_group.setdefault(group, []).append(Described(row.file, row.line, element, measured=not wrong))
    return {group: tuple(described) for group, described in by_group.items()}


def _parse_kinds(rows: Sequence[Row], problems: list[Problem]) -> tuple[TransactionKind, ...]:
    kinds = tuple(TransactionKind(*(row.fields[name] for name in TRANSACTION_KINDS.required)) for row in rows)
    for row, kind in zip(rows, kinds, strict=True):
        problems += [Problem(row.file, row.line, text) for text in check_kinds(kind)]
    return kinds


def _compile(
    known: Mapping[str, Known],
    described: Mapping[str, Sequence[Described]],
    kinds: tuple[TransactionKind, ...],
) -> Dictionary:
    layouts = tuple(
        Layout(group, known[group].table, known[group].title, fill_gaps(group, [row.element for row in rows]))
        for group, rows in sorted(described.items())
    )
    titles = tuple((group, known[group].title) for group in sorted(known))
    return Dictionary(layouts, titles, _digest(layouts, titles, kinds), kinds)


def fill_gaps(group: str, elements: Iterable[Element]) -> tuple[Element, ...]:
    """The elements sorted by start, with an element `unnamed_<start>` of kind `gap` in every hole."""
    filled: list[Element] = []
    position = header_length(group)
    for element in sorted(elements, key=lambda element: element.start):
        if element.start > position:
            filled.append(Element(group, f"unnamed_{position}", position, element.start - position, "gap"))
        filled.append(element)
        position = element.end
    return tuple(filled)


def _digest(
    layouts: Sequence[Layout], titles: Sequence[tuple[str, str]], kinds: Sequence[TransactionKind]
) -> str:
    names = [field.name for field in fields(Element)]
    tables = [
        [
            layout.group,
            layout.table,
            [[getattr(element, name) for name in names] for element in layout.elements],
        ]
        for layout in layouts
    ]
    return hashlib.sha256(
        json.dumps([titles, tables, [astuple(kind) for kind in kinds]]).encode()
    ).hexdigest()[:16]

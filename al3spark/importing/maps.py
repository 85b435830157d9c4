"""What stands where in a spreadsheet export, as its owner says in a small document, the map.

In: the text of a JSON or TOML document. Out: one frozen value that was checked whole. Every key is described
once, here, by its field (see options.py); the help text, the README and the example map are made of the same.
Raises: RequestError, with all problems at once.
"""

import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from al3spark.al3.dictionary import KINDS
from al3spark.errors import RequestError
from al3spark.options import Problems, Range, Text, Words, about, describe, read_values, show, suggest
from al3spark.requests import parse_document, tell_problems

RECORD, BODY = "record", "body"
LAST, NEXT = "last", "next"
NUMBER, DATE = "number", "date"  # what a type code can mean beside a kind: a kind that the length decides
RULES = (*sorted(set(KINDS) - {"gap"}), NUMBER, DATE)

_NAME = Text(".+", "the name of a column")


def _column(meaning: str) -> str | None:
    column: str | None = field(default=None, metadata=about(meaning, _NAME))
    return column


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column of the file says what, by its name in the file's head."""

    group: str | None = _column("The group (`5BPI`); where it is empty, the one above holds.")
    group_name: str | None = _column("What the group is called.")
    table: str | None = _column("The table of the group, if the file names one.")
    element: str | None = _column("What the element is called; a column name is made of it.")
    start: str | None = _column("Where it begins, or both (`31-90`); without it, elements follow each other.")
    end: str | None = _column("Where it ends.")
    length: str | None = _column("How many bytes it has; not needed where it begins and ends are given.")
    type: str | None = _column("Its type code.")
    decimals: str | None = _column("How many decimals are implied.")
    ref_id: str | None = _column("Its reference id.")
    element_id: str | None = _column("Its element id; a number alone gets the group in front.")
    superseded_by: str | None = _column("The element id, or the name, of the one that replaces it.")
    pii: str | None = _column("What personal data it holds; see `pii_tags`.")


@dataclass(frozen=True, slots=True)
class Rule:
    """What a type code means: a kind, `number` or `date`; `decimals` where the file tells none."""

    kind: str = field(metadata=about("The kind.", Words(RULES)))
    decimals: int | None = field(default=None, metadata=about("Implied decimals.", Range(0, 18)))


@dataclass(frozen=True, slots=True)
class Group:
    """What is said of a group by hand: it counts more than the file and the loaded dictionary."""

    table: str | None = field(
        default=None,
        metadata=about("Its table.", Text("[a-z][a-z0-9_]*", "lower-case letters, digits and _")),
    )
    name: str | None = field(default=None, metadata=about("What it is called.", Text(".+", "a text")))


@dataclass(frozen=True, slots=True)
class ImportMap:
    """How to read an export."""

    columns: Columns
    counts_from: int | None = field(
        default=None, metadata=about("Number of the first byte: 0 or 1.", Range(0, 1))
    )
    counts_in: str = field(
        default=RECORD,
        metadata=about(
            "Positions count in the whole record, or after its header; it must be said without `start`.",
            Words((RECORD, BODY)),
        ),
    )
    end_is: str = field(
        default=LAST, metadata=about("`end` is the last byte, or the one after it.", Words((LAST, NEXT)))
    )
    delimiter: str | None = field(
        default=None, metadata=about("What parts the cells.", Text(".", "one character"), "found out")
    )
    encoding: str | None = field(
        default=None, metadata=about("Its character set, like cp1252.", Text(".+", "a codec"), "UTF-8")
    )
    types: Mapping[str, Rule] = field(default_factory=dict)
    skip: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    only: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    pii_tags: Mapping[str, str] = field(default_factory=dict)
    groups: Mapping[str, Group] = field(default_factory=dict)


CONSTANTS = (*(each.name for each in fields(Columns)), "confidence", "sources")

# Key -> what a map says with it, for people. Those with values of one kind describe themselves above.
TABLES: Mapping[str, str] = {
    "columns": "Which column says what, by its name in the head of the file.",
    "types": "Type code to kind, where it is none of the usual ones or means something else.",
    "skip": "Column to the values of rows that are left out.",
    "only": "Column to the values of rows that are taken, all others are left out.",
    "constants": "What holds where the file lacks a column or a cell is empty; also `confidence`, `sources`.",
    "pii_tags": "What the file has in `pii` to a tag; an empty tag says: nothing personal.",
    "groups": "Group to `table` and `name`; what is said here counts most.",
}


def read_map(text: str, name: str) -> ImportMap:
    """Read a map; a name that ends in `.toml` is TOML, any other JSON. RequestError lists all problems."""
    document = _parse(text, name)
    problems = Problems()
    flat = describe(ImportMap)
    known = [*TABLES, *(option.name for option in flat)]
    for key in document:
        if key not in known:
            problems.add(key, f"is unknown; {suggest(key, known)}")
    plain = {option.name: document.get(option.name) for option in flat}
    values = read_values("map", plain, flat, problems)
    for key, read in _READERS.items():
        said = document.get(key)
        values[key] = read(key, {} if said is None else said, problems)
    if not problems.found:
        _check(values, problems)
    if problems.found:
        raise RequestError(tell_problems(name, [each.removeprefix("map.") for each in problems.found]))
    return ImportMap(**values)


def _parse(text: str, name: str) -> dict[str, Any]:
    if not name.lower().endswith(".toml"):
        return parse_document(text, name, tuple(TABLES))
    try:
        document: dict[str, Any] = json.loads(json.dumps(tomllib.loads(text), default=str))
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RequestError(f"{name}: {error}") from error
    return document


def _check(values: Mapping[str, Any], problems: Problems) -> None:
    """Look for what is missing in a map whose every value is valid."""
    columns, constants = values["columns"], values["constants"]
    for name in ("element", "type"):
        if getattr(columns, name) is None and name not in constants:
            problems.add(f"columns.{name}", "is missing: name the column that holds it")
    if columns.start is None and columns.length is None:
        problems.add("columns.start", "is missing, and so is columns.length: name one of them at least")
    if columns.start is None and columns.end is not None:
        problems.add("columns.end", "needs columns.start beside it")
    if columns.start is None and "counts_in" not in values:
        text = "is missing: record or body, where the first element of a group begins"
        problems.add("counts_in", text)
    if columns.start is not None and values.get("counts_from") is None:
        problems.add("counts_from", "is missing: 0 or 1, the number of the first byte")


def _read_columns(where: str, document: object, problems: Problems) -> Columns:
    return Columns(**read_values(where, _as_object(where, document, problems), describe(Columns), problems))


def _read_types(where: str, document: object, problems: Problems) -> dict[str, Rule]:
    rules = {}
    for code, said in _as_object(where, document, problems).items():
        given = said if isinstance(said, dict) else {"kind": said}
        values = read_values(f"{where}.{code}", given, describe(Rule), problems)
        if "kind" in values:
            rules[normalize(code)] = Rule(**values)
    return rules


def _read_rows(where: str, document: object, problems: Problems) -> dict[str, tuple[str, ...]]:
    rows = {}
    for column, said in _as_object(where, document, problems).items():
        texts = [said] if isinstance(said, str) else said
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            problems.add(f"{where}.{column}", f"is {show(said)}; valid: a text, or a list of texts")
            continue
        rows[normalize(column)] = tuple(map(normalize, texts))
    return rows


def _read_constants(where: str, document: object, problems: Problems) -> dict[str, str]:
    texts = _texts(where, document, problems)
    for name in texts:
        if name not in CONSTANTS:
            problems.add(f"{where}.{name}", f"is unknown; {suggest(name, CONSTANTS)}")
    return texts


def _read_tags(where: str, document: object, problems: Problems) -> dict[str, str]:
    return {normalize(said): tag for said, tag in _texts(where, document, problems).items()}


def _read_groups(where: str, document: object, problems: Problems) -> dict[str, Group]:
    groups = {}
    for code, said in _as_object(where, document, problems).items():
        given = _as_object(f"{where}.{code}", said, problems)
        groups[code.upper()] = Group(**read_values(f"{where}.{code}", given, describe(Group), problems))
    return groups


def _texts(where: str, document: object, problems: Problems) -> dict[str, str]:
    texts = {}
    for name, text in _as_object(where, document, problems).items():
        if isinstance(text, str):
            texts[name] = text
        else:
            problems.add(f"{where}.{name}", f"is {show(text)}; valid: text")
    return texts


def _as_object(where: str, document: object, problems: Problems) -> dict[str, Any]:
    if isinstance(document, dict):
        return document
    problems.add(where, f"is {show(document)}; valid: an object")
    return {}


def normalize(text: str) -> str:
    """How names of columns, type codes and cells are compared: without case, blanks squeezed."""
    return " ".join(text.split()).upper()


_READERS: Mapping[str, Callable[[str, object, Problems], Any]] = {
    "columns": _read_columns,
    "types": _read_types,
    "skip": _read_rows,
    "only": _read_rows,
    "constants": _read_constants,
    "pii_tags": _read_tags,
    "groups": _read_groups,
}

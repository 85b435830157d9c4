"""How an option is described, as metadata of the dataclass field that holds it, and how JSON is read by that.

In: dataclasses, objects of a JSON document. Out: an `Option` for each field that has a description; values,
and what is wrong with them. Flags and their help and the table in the README are made of the same.
"""

import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from datetime import date
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from al3spark.errors import RequestError


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `least` to `most`, both included."""

    least: float
    most: float | None = None

    def allows(self, value: Any) -> bool:
        """Whether a number is in the range."""
        return bool(value >= self.least and (self.most is None or value <= self.most))

    def __str__(self) -> str:
        return f"{self.least:g} and up" if self.most is None else f"{self.least:g} to {self.most:g}"


@dataclass(frozen=True, slots=True)
class Words:
    """One of some words."""

    words: tuple[str, ...]

    def allows(self, value: Any) -> bool:
        """Whether it is one of the words."""
        return value in self.words

    def __str__(self) -> str:
        return ", ".join(self.words)


@dataclass(frozen=True, slots=True)
class Text:
    """Text that a regular expression matches as a whole; `shown`: what that is, in words."""

    expression: str
    shown: str

    def allows(self, value: Any) -> bool:
        """Whether the text matches."""
        return re.fullmatch(self.expression, value, re.DOTALL) is not None

    def __str__(self) -> str:
        return self.shown


Valid = Range | Words | Text


@dataclass(frozen=True, slots=True)
class Option:
    """An option as it is described.

    `kind`: its type, `tuple` for several texts. `default`: MISSING if it has none. `unset`: what None means.
    """

    name: str
    kind: type
    default: Any
    meaning: str
    valid: Valid | None = None
    unset: str = ""
    flag_name: str = ""
    metavar: str = ""

    @property
    def flag(self) -> str:
        """The flag that sets it."""
        return f"--{self.flag_name or self.name.replace('_', '-')}"

    def problem(self, value: Any) -> str:
        """Say what is wrong with a value of the right type, or with one of several; '' if nothing is."""
        for each in value if isinstance(value, tuple) else (value,):
            if self.valid is not None and each is not None and not self.valid.allows(each):
                return f"is {each!r}; valid: {self.valid}"
        return ""


def about(
    meaning: str, valid: Valid | None = None, unset: str = "", flag_name: str = "", metavar: str = ""
) -> Mapping[str, Any]:
    """Describe an option, as metadata of its field."""
    return {"meaning": meaning, "valid": valid, "unset": unset, "flag_name": flag_name, "metavar": metavar}


def describe(values: type) -> tuple[Option, ...]:
    """Give the options that the fields of a class hold."""
    hints = get_type_hints(values)
    return tuple(
        Option(each.name, _kind_of(hints[each.name]), each.default, **each.metadata)
        for each in fields(values)
        if each.metadata
    )


def check(values: Any) -> None:
    """Raise RequestError with all options of a dataclass that have a value that is not valid."""
    found = [(each.name, each.problem(getattr(values, each.name))) for each in describe(type(values))]
    if problems := [f"{name} {problem}" for name, problem in found if problem]:
        raise RequestError("; ".join(problems))


@dataclass(slots=True)
class Problems:
    """What is wrong with a request, in the order of discovery. `labels`: other names of places, as flags."""

    labels: Mapping[str, str] = field(default_factory=dict)
    found: list[str] = field(default_factory=list)

    def add(self, where: str, what: str) -> None:
        """Note a problem."""
        self.found.append(f"{self.labels.get(where, where)} {what}")


def read_values(
    where: str, document: Mapping[str, Any], options: Sequence[Option], problems: Problems
) -> dict[str, Any]:
    """Read what an object of a document says of some options; null is as good as nothing.

    Gives valid values only. `where`: the path of the object; problems are noted below it.
    """
    names = [option.name for option in options]
    for name in document:
        if name not in names:
            problems.add(f"{where}.{name}", f"is unknown; {suggest(name, names)}")
    values: dict[str, Any] = {}
    for option in options:
        value, place = document.get(option.name), f"{where}.{option.name}"
        if value is None:
            if option.default is MISSING:
                problems.add(place, f"is missing; valid: {tell_valid(option)}")
            continue
        try:
            values[option.name] = read = _READERS[option.kind][1](value)
        except ValueError:
            problems.add(place, f"is {show(value)}; valid: {tell_valid(option)}")
            continue
        if problem := option.problem(read):
            problems.add(place, problem)
    return values


def tell_valid(option: Option) -> str:
    """Say what a document can have for an option."""
    kind = _READERS[option.kind][0] if option.kind in _READERS else ""
    if option.valid is None:
        return kind
    return f"{kind}, {option.valid}" if isinstance(option.valid, Range) else str(option.valid)


def suggest(name: str, valid: Sequence[str]) -> str:
    """Say which valid name is near an unknown one, or which there are."""
    near = difflib.get_close_matches(name.lower(), valid, 1, cutoff=0.7)
    return f"did you mean {near[0]}?" if near else f"valid: {', '.join(valid)}"


def show(value: object) -> str:
    """A value of a document as it stands there, cut if it is long."""
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _read_int(value: object) -> int:
    if type(value) is not int:
        raise ValueError
    return value


def _read_float(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > sys.float_info.max:
        raise ValueError
    return float(value)


def _read_bool(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _read_text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    os.fsencode(value)  # no path or URI has what cannot be encoded; UnicodeEncodeError is a ValueError
    return value


def _read_texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or "" in value:
        raise ValueError
    return tuple(_read_text(each) for each in value)


def _read_date(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"\d{4}-\d\d-\d\d", value):
        raise ValueError
    return date.fromisoformat(value)


# Kind -> what is valid, in words; JSON to value, ValueError if that cannot be.
_READERS: Mapping[type, tuple[str, Callable[[object], Any]]] = {
    int: ("a whole number", _read_int),
    float: ("a number", _read_float),
    bool: ("true or false", _read_bool),
    str: ("text", _read_text),
    tuple: ("a list of texts", _read_texts),
    date: ("a day like 2026-01-02", _read_date),
}


def _kind_of(hint: Any) -> type:
    """The type of one value: `int` of `int | None`, `tuple` of `tuple[str, ...]`."""
    if get_origin(hint) is UnionType:
        hint = next(each for each in get_args(hint) if each is not NoneType)
    kind: type = get_origin(hint) or hint
    return kind

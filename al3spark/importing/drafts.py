"""The rows of an export -> drafts: elements as the file has them, before the loaded dictionary has its say.

In: rows and the map. Out: drafts by group, in file order; problems with the line of each; notes on what was
assumed or left out. Raises nothing.
"""

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field
from typing import TypeVar

from al3spark.al3.dictionary import header_length
from al3spark.al3.dictionary.checking import Problem
from al3spark.importing.kinds import ALIASES, Meant, apply_rule, find_rule
from al3spark.importing.maps import RULES, ImportMap, normalize
from al3spark.importing.naming import numbered_id, snake_case
from al3spark.importing.places import Places, read_number
from al3spark.importing.rows import Entry, Rows

Read = TypeVar("Read")

_NOT_PERSONAL = frozenset(["N", "NO", "FALSE", "0"])
_VOID = Meant("text", vague=True)


@dataclass(frozen=True, slots=True)
class Draft:
    """An element as a file describes it.

    `said`: its name in snake_case. `pii`: a tag, "" if the file says that there is nothing, None if it does
    not say. `old`: the text that tells what replaces it.
    """

    line: int
    group: str
    title: str
    said: str
    start: int
    length: int
    meant: Meant
    decimals: int | None
    ref_id: str
    element_id: str
    old: str
    pii: str | None
    confidence: str
    sources: str

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + self.length


@dataclass(slots=True)
class Notes:
    """What was assumed or left out, by what it is: where it was met first, and how often."""

    found: dict[str, list[str]] = field(default_factory=dict)

    def add(self, text: str, where: str) -> None:
        """Note it once more."""
        self.found.setdefault(text, []).append(where)


@dataclass(slots=True)
class Drafter:
    """Make drafts of rows. `tags`: the kinds of personal data that the loaded dictionary knows."""

    name: str
    how: ImportMap
    tags: Set[str]
    problems: list[Problem]
    notes: Notes
    _places: Places = field(init=False)
    _unknown: dict[str, list[int]] = field(default_factory=dict)  # lines of type codes that nobody knows

    def __post_init__(self) -> None:
        self._places = Places(self.how)

    def draft(self, rows: Rows) -> Mapping[str, list[Draft]]:
        """Give the drafts of all rows, by group."""
        drafts: dict[str, list[Draft]] = {}
        for entry in rows.entries:
            if not entry.group:
                text = "no group: neither the row nor a heading above it names one"
                self.problems.append(Problem(self.name, entry.line, text))
            elif draft := self._draft(entry, rows):
                drafts.setdefault(entry.group, []).append(draft)
        for code, lines in self._unknown.items():
            self.problems.append(Problem(self.name, lines[0], _unknown_type(code, len(lines))))
        for said, tag in self.how.pii_tags.items():
            if tag and tag not in self.tags:
                text = f"pii_tags.{said} is {tag!r}; known are {self._known_tags()}"
                self.problems.append(Problem("the map", 0, text))
        return drafts

    def _draft(self, entry: Entry, rows: Rows) -> Draft | None:
        place = self._try(entry, lambda: self._places.read(entry))
        if place and sum(place) <= header_length(entry.group):
            rows.left_out["of headers"] += 1
            return None
        if not entry.get("element"):
            text = "rows without a name are left out: their bytes are a gap"
            self.notes.add(text, f"{entry.group} line {entry.line}")
            return None
        decimals = self._try(entry, lambda: _read_decimals(entry))
        rule = find_rule(entry.get("type"), self.how.types)
        if rule is None:
            self._unknown.setdefault(entry.get("type"), []).append(entry.line)
        if not place:
            return None
        start, length = place
        meant = self._try(entry, lambda: apply_rule(rule, length, decimals)) if rule else None
        if meant and meant.note:
            self.notes.add(meant.note, _label(entry))
        return Draft(
            line=entry.line,
            group=entry.group,
            title=entry.get("element"),
            said=snake_case(entry.get("element")),
            start=start,
            length=length,
            meant=meant or _VOID,
            decimals=decimals,
            ref_id=entry.get("ref_id"),
            element_id=_element_id(entry),
            old=entry.get("superseded_by"),
            pii=self._try(entry, lambda: self._read_tag(entry)),
            confidence=entry.get("confidence"),
            sources=entry.get("sources"),
        )

    def _try(self, entry: Entry, read: Callable[[], Read]) -> Read | None:
        try:
            return read()
        except ValueError as error:
            self.problems.append(Problem(self.name, entry.line, f"{_label(entry)} {error}"))
            return None

    def _read_tag(self, entry: Entry) -> str | None:
        said = normalize(entry.cells.get("pii", ""))
        if said in self.how.pii_tags:
            return self.how.pii_tags[said]
        if said in _NOT_PERSONAL:
            return ""
        tag = snake_case(entry.get("pii"))
        if not tag:
            return None
        if tag not in self.tags:
            known = self._known_tags()
            raise ValueError(f"has pii {said!r}: say in the map's pii_tags what it is; known are {known}")
        return tag

    def _known_tags(self) -> str:
        return ", ".join(sorted(self.tags))


def _read_decimals(entry: Entry) -> int | None:
    text = entry.get("decimals")
    return read_number("decimals", text) if text else None


def _element_id(entry: Entry) -> str:
    said = entry.get("element_id").replace(" ", "").upper()
    return numbered_id(entry.group, said) or said


def _label(entry: Entry) -> str:
    return f"{entry.group}.{snake_case(entry.get('element')) or '?'}"


def _unknown_type(code: str, rows: int) -> str:
    told = f"type {code!r}" if code else "no type"
    several = f" ({rows} rows)" if rows > 1 else ""
    usual = " ".join(code for code in ALIASES if code.lower() not in RULES)
    return (
        f"{told}{several}: say in the map's types which kind it is, one of {', '.join(RULES)}; "
        f"known by themselves are {usual}"
    )

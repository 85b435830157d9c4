"""What elements and groups are called in a file -> names of columns and tables.

In: names as people write them. Out: snake_case, unique in its group, none that every table has already.
Promises: the same file gives the same names; a name that is kept from the loaded dictionary is never given to
another element.
"""

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from al3spark.al3.dictionary import CONTEXT_COLUMNS, Element
from al3spark.al3.dictionary.checking import RESERVED_COLUMNS

LONGEST = 100
_WORDS = {"&": " and ", "%": " percent ", "#": " number ", "@": " at ", "+": " plus "}
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")


@dataclass(frozen=True, slots=True)
class Unnamed:
    """An element that needs a name: what the file calls it, in snake_case; `kept`: the name it keeps."""

    said: str
    kept: str
    kind: str
    element_id: str
    is_old: bool  # superseded


def snake_case(text: str) -> str:
    """Give a name of lower-case letters, digits and `_`; "" if nothing is left of the text."""
    if not re.search(r"[\s_]", text):
        text = _CAMEL.sub(" ", text)
    for sign, word in _WORDS.items():
        text = text.replace(sign, word)
    text = re.sub(r"['\u2019`]", "", text)
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    words = re.findall(r"[a-z0-9]+", plain)
    while len("_".join(words)) > LONGEST and len(words) > 1:
        words.pop()
    name = "_".join(words)[:LONGEST]
    return f"element_{name}" if name[:1].isdigit() else name


def numbered_id(group: str, said: str) -> str:
    """Give the element id that a number alone stands for: with the group in front; "" for other texts."""
    return f"{group}{said.lstrip('0').zfill(2)}" if said.isascii() and said.isdigit() else ""


def assign_names(elements: Sequence[Unnamed], group: str = "") -> list[str]:
    """Give each element of a group a name, in the same order.

    Kept names come first, then those of elements that are not superseded, then the others, in file order.
    """
    names = [each.kept for each in elements]
    taken = {column for each in elements if each.kept for column in _columns(each.kept, each.kind)}
    waiting = sorted((each.is_old, at) for at, each in enumerate(elements) if not each.kept)
    for _, at in waiting:
        names[at] = next(
            name
            for name in _candidates(elements[at], group)
            if not taken & {*_columns(name, elements[at].kind)} and is_free(name, elements[at].kind, group)
        )
        taken |= {*_columns(names[at], elements[at].kind)}
    return names


def is_free(name: str, kind: str, group: str) -> bool:
    """Whether an element of a group can have a name: no column of it is one that its table has already."""
    taken = {column for column in RESERVED_COLUMNS if CONTEXT_COLUMNS.get(column) != group}
    return not re.fullmatch(r"unnamed_\d+", name) and taken.isdisjoint(_columns(name, kind))


def table_name(title: str, group: str, taken: Iterable[str]) -> str:
    """Give a group a table that no other has."""
    name = snake_case(title)
    if not name or re.match(r"element_\d", name):
        return f"group_{group.lower()}"
    return name if name not in set(taken) else f"{name}_{group.lower()}"


def _columns(name: str, kind: str) -> tuple[str, ...]:
    return Element("", name, 0, 1, kind).columns


def _candidates(element: Unnamed, group: str) -> Iterator[str]:
    name = element.said or "element"
    if not is_free(name, element.kind, group):
        name = f"element_{name}"
    yield name
    if element.is_old:
        yield f"{name}_superseded"
    if element.element_id:
        yield f"{name}_{'_'.join(re.findall('[a-z0-9]+', element.element_id.lower()))}"
    number = 2
    while True:
        yield f"{name}_{number}"
        number += 1

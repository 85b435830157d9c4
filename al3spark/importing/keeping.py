"""Drafts and the loaded dictionary -> the elements of a group: what stays as it is, so that readers go on.

An element at the same place (group, start and length, and no other element id) keeps its name, and its kind
where the file only tells characters from digits. What the file leaves out (ids, tags of personal data) is
taken over. Promises: bytes that were tagged as personal stay tagged where an element describes them, unless
the file or the map says that they are not. Raises nothing.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from al3spark.al3.dictionary import Element, Layout
from al3spark.al3.privacy import find_tag
from al3spark.importing.drafts import Draft, Notes
from al3spark.importing.naming import Unnamed, assign_names, is_free, numbered_id, snake_case

_NUMBERS = ("integer", "decimal", "amount")


@dataclass(frozen=True, slots=True)
class Settled:
    """An element as it will be, the line that describes it, and what the file calls it."""

    line: int
    title: str
    said: str
    element: Element
    old: str  # what the file says of what replaces it


@dataclass(frozen=True, slots=True)
class Taken:
    """What is taken from the file although readers of the tables see it: names of columns, kinds."""

    names: bool = False
    kinds: bool = False


def settle(drafts: Sequence[Draft], layout: Layout | None, taken: Taken, notes: Notes) -> tuple[Settled, ...]:
    """Give the elements of a group; `superseded_by` is left to `link`."""
    known = [each for each in layout.elements if each.kind != "gap"] if layout else []
    tagged = [(old, tag) for old in known if layout and (tag := find_tag(old, layout))]
    same = [_at_same_place(draft, known) for draft in drafts]
    kinds = [_settle_kind(*pair, taken, notes) for pair in zip(drafts, same, strict=True)]
    names = _settle_names(drafts, same, [kind for kind, _ in kinds], taken, notes)
    ids = {draft.element_id for draft in drafts}
    settled = []
    for draft, old, (kind, scale), name in zip(drafts, same, kinds, names, strict=True):
        before = old or Element(draft.group, "", draft.start, draft.length, "")
        element = replace(
            before,
            name=name,
            kind=kind,
            scale=scale,
            ref_id=draft.ref_id or before.ref_id,
            element_id=draft.element_id or ("" if before.element_id in ids else before.element_id),
            pii=_settle_tag(draft, name, tagged, notes),
            confidence=draft.confidence,
            sources=draft.sources,
        )
        settled.append(Settled(draft.line, draft.title, draft.said, element, draft.old))
    return tuple(settled)


def _settle_names(
    drafts: Sequence[Draft],
    same: Sequence[Element | None],
    kinds: Sequence[str],
    taken: Taken,
    notes: Notes,
) -> list[str]:
    movers = {draft.said for draft, old in zip(drafts, same, strict=True) if old is None}
    kept = [
        old.name if old and not taken.names and not _moves_away(old, draft, movers) else ""
        for draft, old in zip(drafts, same, strict=True)
    ]
    unnamed = [
        Unnamed(draft.said, stays, kind, draft.element_id, bool(draft.old))
        for draft, stays, kind in zip(drafts, kept, kinds, strict=True)
    ]
    names = assign_names(unnamed, drafts[0].group)
    for draft, asked, name in zip(drafts, unnamed, names, strict=True):
        _note_name(draft, asked, name, notes)
    return names


def link(
    groups: Mapping[str, Sequence[Settled]], others: Mapping[str, Sequence[Element]], notes: Notes
) -> dict[str, tuple[Settled, ...]]:
    """Fill `superseded_by` of all groups; what names no element is left out, with a note.

    `others`: groups that the file does not describe, without elements where they are known by name only.
    """
    ids = {each.element.element_id for settled in groups.values() for each in settled} - {""}
    ids |= {each.element_id for elements in others.values() for each in elements}
    unchecked = tuple(group for group, elements in others.items() if not elements)
    linked = {}
    for group, settled in groups.items():
        names = {each.said: each.element.element_id for each in settled}

        def find(said: str, group: str = group, names: Mapping[str, str] = names) -> str:
            found = _as_id(said, group, names)
            return found if found in ids or (found and found.startswith(unchecked)) else ""

        linked[group] = tuple(_link(each, find, notes) for each in settled)
    return linked


def _link(settled: Settled, find: Callable[[str], str], notes: Notes) -> Settled:
    element = settled.element
    said = settled.old or element.superseded_by
    parts = [part for part in re.split(r"(?i)[,;&+]|_AND_|\band\b", said) if part.strip()]
    several = [find(part) for part in parts]
    newer = find(said) or ("_AND_".join(several) if all(several) else "")
    if said and not newer:
        notes.add("superseded_by that names no element is left out", f"{element.group}.{element.name}")
    return replace(settled, element=replace(element, superseded_by=newer))


def _as_id(said: str, group: str, names: Mapping[str, str]) -> str:
    plain = said.strip()
    return numbered_id(group, plain) or names.get(snake_case(plain), "") or plain.upper()


def _at_same_place(draft: Draft, known: Sequence[Element]) -> Element | None:
    for old in known:
        if (old.start, old.length) == (draft.start, draft.length):
            differ = draft.element_id and old.element_id and draft.element_id != old.element_id
            return None if differ else old
    return None


def _moves_away(old: Element, draft: Draft, movers: set[str]) -> bool:
    """Whether the file has the name for an element that is now elsewhere, and another name for this one."""
    return draft.said != old.name and old.name in movers


def _settle_kind(draft: Draft, old: Element | None, taken: Taken, notes: Notes) -> tuple[str, int]:
    meant = draft.meant
    if old is None or taken.kinds or not meant.vague or _tells_decimals(draft, old):
        return meant.kind, meant.scale
    if (old.kind, old.scale) != (meant.kind, meant.scale):
        notes.add("kinds of the loaded dictionary are kept", f"{draft.group}.{old.name} ({old.kind})")
    return old.kind, old.scale


def _tells_decimals(draft: Draft, old: Element) -> bool:
    """Whether both are numbers, and the file says that there are other decimals."""
    numbers = draft.meant.kind in _NUMBERS and old.kind in _NUMBERS
    return numbers and draft.decimals is not None and draft.decimals != old.scale


def _note_name(draft: Draft, asked: Unnamed, name: str, notes: Notes) -> None:
    if asked.kept:
        if name != draft.said:
            notes.add("names of the loaded dictionary are kept", f"{draft.group}.{name} ({draft.title})")
    elif name == f"element_{draft.said}" and not is_free(draft.said, asked.kind, draft.group):
        notes.add("names that every table has already got element_ in front", f"{draft.group}.{name}")
    elif name != draft.said:
        notes.add(
            "names that are there twice, or are none, were changed", f"{draft.group}.{name} ({draft.title})"
        )


def _settle_tag(draft: Draft, name: str, tagged: Sequence[tuple[Element, str]], notes: Notes) -> str:
    """The file's tag; else that of an element whose bytes these are, or that has the same id or name."""
    before = next((tag for old, tag in tagged if _is_of(draft, old)), "")
    if draft.pii is None:
        if before:
            notes.add("tags of personal data are kept", f"{draft.group}.{name} ({before})")
        return before
    if before and draft.pii != before:
        told = f"{draft.group}.{name} ({before} to {draft.pii or 'none'})"
        notes.add("tags of personal data are changed, as the file says", told)
    return draft.pii


def _is_of(draft: Draft, old: Element) -> bool:
    """Whether it has bytes of an element, or is the same one elsewhere."""
    shares = old.start < draft.end and draft.start < old.end
    return shares or (old.element_id == draft.element_id if draft.element_id else old.name == draft.said)

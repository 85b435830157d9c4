"""An export becomes a dictionary: the story.

In: the bytes of a file, its map, the loaded dictionary. Out: rows for groups.csv and elements.csv, and a
report. Promises: what comes out loads; a file that cannot be made to load gives one DictionaryError that
lists all problems with file and line, and nothing else. Writes nothing.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from al3spark.al3.dictionary import Dictionary, Element, Layout
from al3spark.al3.dictionary.checking import (
    RESERVED_TABLES,
    Described,
    Known,
    Problem,
    check_elements,
    check_groups,
    check_references,
    check_tables,
)
from al3spark.al3.privacy import find_tag
from al3spark.errors import DictionaryError
from al3spark.importing.comparing import RENAMED, Change, compare, find_gaps, find_shift
from al3spark.importing.drafts import Drafter, Notes
from al3spark.importing.keeping import Settled, Taken, link, settle
from al3spark.importing.maps import Group, ImportMap
from al3spark.importing.naming import table_name
from al3spark.importing.rows import Rows, read_rows

LOADED = "the loaded dictionary"
# What people are told by: only for a hint, nothing is tagged by it.
PERSONAL = re.compile(
    r"(^|_)(ssn|social_security|tax_id|fein|birth|dob|drivers?_licen[cs]e|licen[cs]e_number|e?_?mail|phone|telephone|"
    r"fax|street|address_line|account_number|routing|password|insureds?_name|drivers?_name|first_name|last_name|"
    r"surname|remark|comment|description|free_text)"
)
UNPERSONAL = ("flag", "amount", "decimal", "month_mmyy", "time_hhmm", "reserved")


@dataclass(frozen=True, slots=True)
class Converted:
    """What goes into the two files, and what there is to tell about it."""

    groups: tuple[Known, ...]
    elements: tuple[Element, ...]
    report: Mapping[str, Any]


def convert(data: bytes, name: str, how: ImportMap, loaded: Dictionary, taken: Taken) -> Converted:
    """Convert the file `name`. DictionaryError: it cannot be done."""
    rows, problems, notes = read_rows(data, name, how), list[Problem](), Notes()
    layouts = {layout.group: layout for layout in loaded.layouts}
    tags = {element.pii for layout in loaded.layouts for element in layout.elements} - {""}
    drafts = Drafter(name, how, tags, problems, notes).draft(rows)
    groups = {group: settle(each, layouts.get(group), taken, notes) for group, each in drafts.items()}
    others: dict[str, Sequence[Element]] = {group: () for group, _ in loaded.titles}
    others |= {group: layout.elements for group, layout in layouts.items()}
    linked = link(groups, {group: each for group, each in others.items() if group not in groups}, notes)
    known = _name_groups(name, how, rows, linked, loaded, notes, taken.names)
    problems += _check(name, known, linked, loaded)
    if not linked and not problems:
        problems.append(Problem(name, 0, "describes no element"))
    if problems:
        raise DictionaryError("\n".join(str(problem) for problem in sorted(set(problems))))
    report = _report(name, rows, known, linked, loaded, notes, find_shift(drafts, layouts))
    elements = [each.element for settled in linked.values() for each in settled]
    ordered = sorted(elements, key=lambda element: (element.group, element.start))
    return Converted(tuple(known), tuple(ordered), report)


def _name_groups(
    name: str,
    how: ImportMap,
    rows: Rows,
    groups: Mapping[str, Sequence[Settled]],
    loaded: Dictionary,
    notes: Notes,
    take_names: bool,
) -> list[Known]:
    """Give a row of groups.csv for each group that the file describes, or names only."""
    titles = dict(loaded.titles) | rows.titles
    tables = {layout.group: layout.table for layout in loaded.layouts}
    found = []
    for group in sorted(how.groups.keys() - groups.keys() - rows.titles.keys()):
        notes.add("groups of the map that the file does not have", group)
    for group in sorted({*groups, *rows.titles} - {""}):
        by_hand = how.groups.get(group, Group())
        title = by_hand.name or titles.get(group, "") or group
        others = {table for other, table in tables.items() if other != group} | RESERVED_TABLES
        own = rows.tables.get(group, "") if take_names or group not in tables else ""
        table = by_hand.table or own or tables.get(group, "")
        if not table and group in groups:
            table = table_name(title, group, others)
            notes.add("tables were named after their group", f"{group}: {table}")
        if table:
            tables[group] = table
        found.append(Known(name, rows.lines.get(group, 0), group, table, title))
    return found


def _check(
    name: str, known: Sequence[Known], groups: Mapping[str, Sequence[Settled]], loaded: Dictionary
) -> Iterable[Problem]:
    """Check as a load does, but with the lines of the file."""
    described = {
        group: [Described(name, each.line, each.element) for each in settled]
        for group, settled in groups.items()
    }
    before = {
        layout.group: [Described(LOADED, 0, each) for each in layout.elements] for layout in loaded.layouts
    }
    tables = {layout.group: layout.table for layout in loaded.layouts}
    all_known = {
        group: Known(LOADED, 0, group, tables.get(group, ""), title) for group, title in loaded.titles
    }
    all_known |= {each.group: each for each in known}
    yield from check_groups(known)
    for each in described.values():
        yield from check_elements(each)
    yield from check_references(described, before | described, all_known)
    yield from check_tables(all_known, before | described)


def _report(
    name: str,
    rows: Rows,
    known: Sequence[Known],
    groups: Mapping[str, Sequence[Settled]],
    loaded: Dictionary,
    notes: Notes,
    shift: str,
) -> dict[str, Any]:
    titled = {group for group, _ in loaded.titles}
    for line in rows.filled:
        notes.add("rows without a group belong to the one above", f"line {line}")
    _note_privacy(groups, loaded, notes)
    return {
        "file": name,
        "groups": [
            _report_group(each, groups[each.group], loaded.layout(each.group), each.group in titled)
            for each in known
            if each.group in groups
        ],
        "named_only": [each.group for each in known if each.group not in groups],
        "not_in_file": [layout.group for layout in loaded.layouts if layout.group not in groups],
        "left_out": dict(rows.left_out),
        "notes": [{"text": text, "count": len(found), "where": found} for text, found in notes.found.items()],
        "warning": shift,
    }


def _note_privacy(groups: Mapping[str, Sequence[Settled]], loaded: Dictionary, notes: Notes) -> None:
    """Note what may be personal and is not tagged, or not any more."""
    for group, settled in groups.items():
        for each in (each.element for each in settled):
            hints = each.kind not in UNPERSONAL and not each.superseded_by and PERSONAL.search(each.name)
            if hints and not each.pii:
                notes.add("names that look personal have no tag in pii", f"{group}.{each.name}")
        ends = [(each.element.start, each.element.end) for each in settled]
        layout = loaded.layout(group)
        for old in layout.elements if layout else ():
            tag = find_tag(old, layout) if layout else ""
            if tag and not any(start < old.end and old.start < end for start, end in ends):
                text = "bytes of elements that are gone lose their tag in pii"
                notes.add(text, f"{group}.{old.name} ({tag})")


def _report_group(
    row: Known, settled: Sequence[Settled], layout: Layout | None, was_named: bool
) -> dict[str, Any]:
    gaps = find_gaps(row.group, settled)
    changes = [asdict(change) for change in compare(layout, settled)] if layout else []
    if layout and layout.table != row.table:
        changes.append(asdict(Change(RENAMED, "", row.line, f"the table was {layout.table}")))
    state = ("changed" if changes else "same") if layout else ("described" if was_named else "new")
    return {
        "group": row.group,
        "table": row.table,
        "name": row.title,
        "state": state,
        "elements": len(settled),
        "length": max(each.element.end for each in settled),
        "gaps": [{"start": gap.start, "length": gap.length} for gap in gaps],
        "changes": changes,
    }

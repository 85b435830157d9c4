"""The report of an import as text for people. Values in, lines out."""

from collections.abc import Mapping, Sequence
from typing import Any

from al3spark.display import aligned

PLACES = 3
_STATES = {
    "new": "new group",
    "described": "was known by name only",
    "same": "as loaded",
}


def report_lines(report: Mapping[str, Any]) -> list[str]:
    """Tell what an import found and did."""
    groups = report["groups"]
    elements = sum(each["elements"] for each in groups)
    lines = [f"{report['file']}: {len(groups)} groups, {elements:,} elements"]
    if report["left_out"]:
        told = ", ".join(f"{count:,} {why}" for why, count in report["left_out"].items())
        lines.append(f"rows left out: {told}")
    for group in groups:
        lines += _group_lines(group)
    if report["named_only"]:
        lines.append(f"named, without elements: {' '.join(report['named_only'])}")
    if report["not_in_file"]:
        lines.append(f"not in the file, they stay as they are: {len(report['not_in_file'])} groups")
    for note in report["notes"]:
        lines += [f"{note['text']}: {note['count']:,}", f"  {_some(note['where'])}"]
    if report["warning"]:
        lines.append(f"LOOK AT THIS: {report['warning']}")
    return [*lines, *_end(report)]


def _group_lines(group: Mapping[str, Any]) -> list[str]:
    counts: dict[str, int] = {}
    for change in group["changes"]:
        counts[change["what"]] = counts.get(change["what"], 0) + 1
    state = ", ".join(f"{count} {what}" for what, count in counts.items()) or _STATES[group["state"]]
    lines = [
        f"{group['group']} {group['name']}: table {group['table']}, {group['elements']} elements, "
        f"{group['length']} bytes; {state}"
    ]
    rows = [("gap", f"{gap['start']}-{gap['start'] + gap['length'] - 1}", "", "") for gap in group["gaps"]]
    rows += [
        (
            change["what"],
            change["element"] or "-",
            change["text"],
            f"line {change['line']}" if change["line"] else "",
        )
        for change in group["changes"]
    ]
    return lines + [f"  {line}" for line in aligned(rows)]


def _some(places: Sequence[str]) -> str:
    more = len(places) - PLACES
    return ", ".join(places[:PLACES]) + (f" and {more:,} more" if more > 0 else "")


def _end(report: Mapping[str, Any]) -> list[str]:
    if not report["written"]:
        return ["nothing is written; -o DIRECTORY writes groups.csv and elements.csv"]
    directory = report["written"]
    return [f"written: {directory}/groups.csv, {directory}/elements.csv"]

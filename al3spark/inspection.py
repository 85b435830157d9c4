"""Show one file as a tree of messages, transactions and groups with decoded values, without Spark.

In: a path on a disk, plain or an archive. Out: for each file a mapping for JSON, and lines for people. Values
that identify people are masked unless asked for. Raises: StoreError. Memory grows with the file: it is for
looking at one.
"""

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from al3spark.al3.archives import Limits, is_archive, iter_members
from al3spark.al3.dictionary import CONTEXT_COLUMNS, MASK, Dictionary
from al3spark.al3.inflating import UnreadableError
from al3spark.al3.parsing import SplitParser
from al3spark.al3.privacy import UNTYPED, list_tags, protect
from al3spark.al3.squeeze import detect_form
from al3spark.al3.tables import ERRORS_TABLE, LEADING_FIELDS, UNMAPPED_TABLE
from al3spark.store.places import open_place

_WINDOW = 4 << 20
_LEADING = frozenset(field.name for field in LEADING_FIELDS)
_BYTES = ("raw", "extra_bytes")  # can hold anything
_HIDDEN = "***"
_DEEPEST = 100  # what hangs lower stands beside its parent
_SHOWN_KEYS = ("group_version", "processing_level", "iteration")


def inspect_file(path: Path, dictionary: Dictionary, pivot: int, show_pii: bool) -> Iterator[dict[str, Any]]:
    """Give the tree of a file, or of each member of an archive."""
    name = path.resolve().name  # the place of a link is where it leads
    with open_place(str(path)).open_stream(name) as stream:
        if not is_archive(name):
            yield _inspect(str(path), stream.read(), dictionary, pivot, show_pii)
            return
        for member, windows in iter_members(str(path), stream, Limits(), _WINDOW):
            try:
                yield _inspect(member.path, b"".join(windows), dictionary, pivot, show_pii)
            except UnreadableError as error:
                yield {
                    "file": member.path,
                    "groups": [],
                    "faults": [{"code": "FILE_UNREADABLE", "message": str(error)}],
                }


def tree_lines(tree: Mapping[str, Any]) -> list[str]:
    """Write a tree as indented text."""
    lines = [tree["file"]]
    for group in tree["groups"]:
        lines += _group_lines(group, 1)
    for fault in tree["faults"]:
        where = f" at {fault['byte_offset']}" if fault.get("byte_offset") is not None else ""
        what = ".".join(fault[name] for name in ("group_code", "element") if fault.get(name))
        lines.append(f"  {fault['code']}{where}: {what + ' ' if what else ''}{fault['message']}")
    return lines


def _inspect(path: str, data: bytes, dictionary: Dictionary, pivot: int, show_pii: bool) -> dict[str, Any]:
    parser = SplitParser(dictionary if show_pii else _protected(dictionary), pivot)
    windows = [data[at : at + _WINDOW] for at in range(0, len(data), _WINDOW)]
    blocks = [*parser.parse(path, "", detect_form(data), windows), *parser.flush()]
    codes = {layout.table: layout.group for layout in dictionary.layouts}
    keys = {layout.table: _LEADING.union(layout.context_columns) for layout in dictionary.layouts}
    keys[UNMAPPED_TABLE] = _LEADING.union(CONTEXT_COLUMNS, ["group_code"])
    nodes: dict[int, dict[str, Any]] = {}
    faults: list[dict[str, Any]] = []
    for block in blocks:
        if block.table == ERRORS_TABLE:
            faults += [_facts(row) for row in block.batch.to_pylist()]
            continue
        for row in block.batch.to_pylist():
            values = {name: value for name, value in row.items() if name not in keys[block.table]}
            if not show_pii:
                values |= {name: _HIDDEN for name in _BYTES if values.get(name)}
            nodes[row["record_offset"]] = _node(row, values, block.table, codes)
    return {"file": path, "groups": _hang(nodes), "faults": faults}


def _node(
    row: dict[str, Any], values: dict[str, Any], table: str, codes: Mapping[str, str]
) -> dict[str, Any]:
    shown = {name: _as_json(value) for name, value in values.items() if value is not None}
    return {
        "group": codes.get(table) or row["group_code"],
        "table": table,
        "offset": row["record_offset"],
        "length": row["record_length"],
        **{name: row[name] for name in _SHOWN_KEYS if row[name] is not None},
        "values": shown,
        "groups": [],
        "_above": [row["parent_offset"], row["transaction_offset"], row["message_offset"]],
    }


def _hang(nodes: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Hang each record below its parent, else its transaction, else its message."""
    top: list[dict[str, Any]] = []
    below: dict[int, list[dict[str, Any]]] = {}  # where what hangs below a record goes
    depths: dict[int, int] = {}
    for offset in sorted(nodes):  # a parent stands before its children
        node = nodes[offset]
        above = next((each for each in node.pop("_above") if each is not None and each != offset), None)
        siblings, depths[offset] = (top, 0) if above is None else (below[above], depths[above] + 1)
        siblings.append(node)
        below[offset] = node["groups"] if depths[offset] < _DEEPEST else siblings
    return top


def _protected(dictionary: Dictionary) -> Dictionary:
    """Mask what is tagged, and what can hold anything; of odd records show their keys."""
    return protect(dictionary, dict.fromkeys((*list_tags(dictionary), UNTYPED), MASK))


def _facts(row: dict[str, Any]) -> dict[str, Any]:
    return {
        name: value
        for name, value in row.items()
        if value is not None and name not in ("file_id", "file_path")
    }


def _group_lines(group: Mapping[str, Any], depth: int) -> list[str]:
    pad = "  " * depth
    keys = " ".join(str(group[name]) for name in _SHOWN_KEYS if name in group)
    lines = [f"{pad}{group['group']} {group['table']} at {group['offset']}{' ' + keys if keys else ''}"]
    lines += [f"{pad}    {name}: {value}" for name, value in group["values"].items()]
    for below in group["groups"]:
        lines += _group_lines(below, depth + 1)
    return lines


def _as_json(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, date | datetime):
        return value.isoformat()
    return value.decode("latin-1") if isinstance(value, bytes) else value

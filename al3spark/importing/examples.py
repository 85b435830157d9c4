"""A map to begin with: every key with what it means, and for a file those of its columns that tell by name.

In: the names of a file's columns, or none. Out: TOML that `read_map` reads. What could not be told is left
for its owner to fill in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any

from al3spark.importing.maps import TABLES, Columns, ImportMap, normalize
from al3spark.options import Option, describe

# Words by which people call such a column, the likeliest first. An example stands for a file without them.
_CALLED = {
    "group": ("Group", "GROUP ID", "GROUP CODE", "GRP", "RECORD", "RECORD TYPE", "SEGMENT", "DESIGNATOR"),
    "group_name": ("Group Name", "GROUP TITLE", "GROUP DESCRIPTION", "RECORD NAME", "SEGMENT NAME"),
    "table": ("TABLE",),
    "element": ("Element Name", "DATA ELEMENT", "ELEMENT", "FIELD NAME", "FIELD", "NAME", "DESCRIPTION"),
    "start": (
        "Start",
        "FROM",
        "BEGIN",
        "POS",
        "POSITION",
        "POSITIONS",
        "START POS",
        "START POSITION",
        "OFFSET",
    ),
    "end": ("End", "TO", "THRU", "END POS", "END POSITION"),
    "length": ("Length", "LEN", "SIZE", "BYTES"),
    "type": ("Type", "DATA TYPE", "FORMAT", "CLASS", "TYP"),
    "decimals": ("Decimals", "DEC", "SCALE", "DECIMAL PLACES"),
    "ref_id": ("REF ID", "REFERENCE ID", "REF", "REFERENCE", "REF. ID"),
    "element_id": ("ELEMENT ID", "ID", "ELEMENT NUMBER", "ELEMENT NO", "ELEMENT #", "DATA ELEMENT ID"),
    "superseded_by": ("SUPERSEDED BY", "REPLACED BY", "REPLACEMENT", "SEE"),
    "pii": ("PII", "PERSONAL DATA", "PRIVACY"),
}
_EXAMPLES = ("group", "element", "start", "end", "type")
_TABLES = {
    "types": ('"K" = "code"', '"$" = { kind = "amount", decimals = 2 }', '"Z" = "date"  # by its length'),
    "skip": ('"Type" = ["Header", "Total"]', '"Start" = ""  # rows without a position'),
    "only": ('"Status" = ["Current"]',),
    "constants": ('sources = "L"', 'confidence = "high"'),
    "pii_tags": ('"Y" = "name"', '"N" = ""'),
    "groups": ('"5XYZ" = { table = "carrier_notes", name = "Notes of the Carrier" }',),
}


def example_map(head: Sequence[str] = (), encoding: str | None = None) -> str:
    """Write a map, with the columns of a file whose head and encoding (None: UTF-8) are known."""
    lines = ["# What stands where in a spreadsheet export. Take the # away where a line is needed."]
    if head:
        lines.append(f"# The columns of the file: {', '.join(head)}")
    lines += [line for option in describe(ImportMap) for line in _option_lines(option, encoding)]
    lines += ["", f"[columns]  # {TABLES['columns']}", *_column_lines(head)]
    for name, examples in _TABLES.items():
        lines += ["", f"[{name}]  # {TABLES[name]}", *(f"# {example}" for example in examples)]
    return "\n".join(lines) + "\n"


def _option_lines(option: Option, encoding: str | None) -> Iterator[str]:
    yield ""
    yield f"# {option.meaning}"
    if option.default is not None:
        yield f"# {option.name} = {_quote(option.default)}  # or {_other(option)}"
    elif option.name == "counts_from":
        yield f"{option.name} = 1"
    elif option.name == "encoding" and encoding:
        yield f"{option.name} = {_quote(encoding)}"
    else:
        yield f"# {option.name} = {_quote({'delimiter': ';'}.get(option.name, 'cp1252'))}"


def _other(option: Option) -> str:
    words: Any = option.valid
    return " ".join(_quote(word) for word in words.words if word != option.default)


def _column_lines(head: Sequence[str]) -> Iterator[str]:
    left = {normalize(name): name for name in head}
    meanings = {option.name: option.meaning for option in describe(Columns)}
    for each in fields(Columns):
        called = _CALLED[each.name]
        found = next((left.pop(normalize(word)) for word in called if normalize(word) in left), None)
        used = found is not None or (not head and each.name in _EXAMPLES)
        shown = f"{each.name} = {_quote(called[0] if found is None else found)}"
        yield f"{'' if used else '# '}{shown}  # {meanings[each.name]}"


def _quote(text: object) -> str:
    plain = str(text).replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{plain}"'

"""What scripts/bench compares al3spark with: a parser that takes one record after the other, in plain Python.

It is what a good engineer writes in a day, and no straw man: records are decoded to text once, blank
elements are skipped, decoders are chosen once per layout, rows become Arrow arrays a few thousand at a time.
In: the bytes of a valid file that is not squeezed. Out: the tables that al3spark makes of it, but `errors`:
it has no windows, no resynchronisation, no offsets of squeezed files, and what does not fit is just null.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal

import pyarrow as pa

from al3spark.al3.dictionary import CONTEXT_COLUMNS, Dictionary, Element, Layout, load_dictionary
from al3spark.al3.tables import LEADING_FIELDS, UNMAPPED_SCHEMA, UNMAPPED_TABLE, layout_schema

PIVOT = 50
ROWS = 8192
KINDS = load_dictionary().kinds
_LEADING = len(LEADING_FIELDS)

_Row = list[object]
_Decoder = Callable[[str], object]


@dataclass(slots=True)
class _Table:
    """One table in the making."""

    schema: pa.Schema
    rows: list[_Row] = field(default_factory=list)
    batches: list[pa.RecordBatch] = field(default_factory=list)

    def append(self, row: _Row) -> None:
        self.rows.append(row)
        if len(self.rows) == ROWS:
            self.flush()

    def flush(self) -> None:
        columns = zip(*self.rows, strict=True)
        arrays = [pa.array(column, kind) for column, kind in zip(columns, self.schema.types, strict=True)]
        self.batches.append(pa.RecordBatch.from_arrays(arrays, schema=self.schema))
        self.rows = []

    def finish(self) -> pa.Table:
        if self.rows:
            self.flush()
        return pa.Table.from_batches(self.batches, self.schema)


@dataclass(slots=True)
class _Plan:
    """What to do with the records of one group: decoders by position, and columns that replace each other."""

    layout: Layout
    elements: list[tuple[int, int, _Decoder, bool]]
    replacements: list[tuple[int, int]]
    context: list[int]  # which values about the transaction its table shows


class _Hierarchy:
    """The open message and transaction, and the last record of each designator, level and iteration."""

    def __init__(self) -> None:
        self.message: int | None = None
        self.transaction: int | None = None
        self.exact: dict[tuple[str, str, str], int] = {}
        self.nearest: dict[tuple[str, str], int] = {}

    def place(self, offset: int, header: str) -> tuple[int | None, int | None, int | None]:
        """Give message, transaction and parent of a record, and remember it."""
        group, level, iteration = header[:4], header[10:12], header[12:16]
        if group == "1MHG":
            self.message, self.transaction = offset, None
        elif group == "3MTG":
            self.transaction = None
        elif group == "2TRG":
            self.transaction = offset
            self.exact, self.nearest = {}, {}
        placed = self.message, self.transaction, self._parent(header, group, level, iteration)
        self.exact[group, level, iteration] = self.nearest[group, level] = offset
        if group == "3MTG":
            self.message = None
        return placed

    def _parent(self, header: str, group: str, level: str, iteration: str) -> int | None:
        if self.transaction is None:
            return None
        wanted, at, number = header[16:20], header[20:22], header[22:26]
        if wanted.isspace():
            return self.exact.get(("5" + group[1:], level, iteration)) if group[0] == "9" else None
        return self.exact.get((wanted, at, number), self.nearest.get((wanted, at)))


class _Transaction:
    """Rows of one transaction, which wait for its 5BPI, and what it says of all of them."""

    def __init__(self, text: str = "") -> None:
        function, purpose = _to_code(text[30:33] or " "), _to_code(text[167:170] or " ")
        function, purpose = function or None, purpose or None
        kind = next(
            (
                each.kind
                for each in KINDS
                if each.function in ("", function) and each.purpose in ("", purpose)
            ),
            "other",
        )
        newer, older = text[204:212].strip(), text[160:166].strip()
        day = _to_date(newer[:4], newer[4:6], newer[6:]) if len(newer) == 8 else None
        if day is None and len(older) == 6:
            day = _to_date(older[:2], older[2:4], older[4:])
        self.values: _Row = [None, None, function, purpose, kind if text else None, day]
        self.is_open = bool(text)
        self.rows: list[tuple[_Plan | None, _Row]] = []

    def see_policy(self, text: str) -> None:
        if self.is_open and not self.values[0]:
            self.values[:2] = [_to_text(text[30:55]) or None, _to_code(text[71:76].ljust(1)) or None]

    def finish(self) -> Iterator[tuple[str, Layout | None, _Row]]:
        for plan, row in self.rows:
            shown = self.values if plan is None else [self.values[at] for at in plan.context]
            row[_LEADING:_LEADING] = shown
            yield (plan.layout.table, plan.layout, row) if plan else (UNMAPPED_TABLE, None, row)


def parse_by_record(data: bytes, file_id: str, dictionary: Dictionary) -> dict[str, pa.Table]:
    """Parse a file: tables by name."""
    tables: dict[str, _Table] = {}
    for name, layout, row in iterate_rows(data, file_id, make_plans(dictionary)):
        table = tables.get(name)
        if table is None:
            table = tables[name] = _Table(layout_schema(layout) if layout else UNMAPPED_SCHEMA)
        table.append(row)
    return {name: table.finish() for name, table in tables.items()}


def make_plans(dictionary: Dictionary) -> dict[str, _Plan]:
    """What to do with the records of each group."""
    return {layout.group: _make_plan(layout) for layout in dictionary.layouts}


def iterate_rows(
    data: bytes, file_id: str, plans: dict[str, _Plan]
) -> Iterator[tuple[str, Layout | None, _Row]]:
    """Parse a file: for each record its table, its layout if it has one, and its row."""
    hierarchy = _Hierarchy()
    transaction = _Transaction()
    at, end = 0, len(data)
    while at < end:
        if data[at] < 0x30:
            at += 1
            continue
        length = int(data[at + 4 : at + 7])
        record = data[at : at + length]
        text = record.decode("cp1252")
        if "\0" in text:
            text = text.replace("\0", " ")
        group = text[:4]
        header = text[:10].ljust(30) if group < "5" else text[:30]
        row = _leading_values(file_id, at, length, header, hierarchy)
        plan = plans.get(group)
        if plan is None:
            row += [group, record]
        else:
            _add_elements(row, plan, text, record)
        if group in ("1MHG", "2TRG", "3MTG"):
            yield from transaction.finish()
            transaction = _Transaction(text) if group == "2TRG" else _Transaction()
        elif group == "5BPI":
            transaction.see_policy(text)
        transaction.rows.append((plan, row))
        at += length
    yield from transaction.finish()


def _leading_values(file_id: str, offset: int, length: int, header: str, hierarchy: _Hierarchy) -> _Row:
    message, transaction, parent = hierarchy.place(offset, header)
    return [
        file_id,
        offset,
        length,
        message,
        transaction,
        parent,
        header[8].rstrip() or None,
        header[10:12].rstrip() or None,
        _to_integer(header[12:16]),
        header[16:20].rstrip() or None,
        header[20:22].rstrip() or None,
        _to_integer(header[22:26]),
        (header[7] + header[9] + header[26:30]).rstrip() or None,
    ]


def _add_elements(row: _Row, plan: _Plan, text: str, record: bytes) -> None:
    """Add the values of a record to its row, and what is behind its layout."""
    first = len(row)
    content = len(text.removesuffix("\n").removesuffix("\r"))
    if content < plan.layout.length:
        text = text[:content].ljust(plan.layout.length)
    for start, end, decode, is_name in plan.elements:
        value = text[start:end]
        if is_name:
            row += decode(value)
        else:
            row.append(None if value.isspace() else decode(value))
    for newer, older in plan.replacements:
        if row[first + newer] is None:
            row[first + newer] = row[first + older]
    row.append(record[plan.layout.length : content] or None)


def _make_plan(layout: Layout) -> _Plan:
    elements = [(each.start, each.end, _make_decoder(each), each.kind == "name") for each in layout.elements]
    columns, count = [], 0
    for each in layout.elements:
        columns.append(count)
        count += len(each.columns)
    context = [at for at, name in enumerate(CONTEXT_COLUMNS) if name in layout.context_columns]
    replacements = [(columns[newer], columns[older]) for newer, older in layout.replacements]
    return _Plan(layout, elements, replacements, context)


def _make_decoder(element: Element) -> _Decoder:
    if element.kind == "decimal":
        return lambda value: _to_decimal(value, element.scale)
    if element.kind == "amount":
        return lambda value: _to_amount(value, element.scale)
    return DECODERS[element.kind]


def _to_text(value: str) -> str | None:
    return None if value[0] == "?" and value.strip("?") == "" else value.rstrip(" ")


def _to_code(value: str) -> str | None:
    return None if value[0] == "?" else value.rstrip(" ")


def _to_integer(value: str) -> int | None:
    digits = value.strip(" ")
    return int(digits) if digits.isdigit() and digits.isascii() else None


def _to_decimal(value: str, scale: int) -> Decimal | None:
    digits = value.strip(" ")
    return Decimal(digits).scaleb(-scale) if digits.isdigit() and digits.isascii() else None


def _to_amount(value: str, scale: int) -> Decimal | None:
    if value[-1] not in "+- ":
        return None
    amount = _to_decimal(value[:-1], scale)
    return -amount if amount is not None and value[-1] == "-" else amount


def _to_date(year: str, month: str, day: str) -> date | None:
    if len(year) == 2 and year.isdigit():
        year = ("19" if int(year) > PIVOT else "20") + year
    try:
        return date(int(year), int(month), int(day))
    except ValueError:
        return None


def _to_timestamp(value: str) -> datetime | None:
    year, rest = (value[:4], value[4:]) if len(value) == 15 else (value[:2], value[2:])
    day = _to_date(year, rest[:2], rest[2:4])
    clock = rest[4:].replace(" ", "0")
    try:
        hour, minute, second, tenth = int(clock[:2]), int(clock[2:4]), int(clock[4:6]), int(clock[6])
        return day and datetime(day.year, day.month, day.day, hour, minute, second, tenth * 100_000)  # noqa: DTZ001 - as sent, without a zone
    except ValueError:
        return None


def _to_name(value: str) -> _Row:
    """Split a name into itself, its format code, prefix, first, middle, last and suffix."""
    if value.isspace() or value[0] == "?":
        return [None] * 7
    code = value[0]
    parts: _Row = [value[1:].rstrip(" ") or None, code.rstrip(" ") or None]
    if code == "P":
        cuts = ((1, 9), (9, 36), (0, 0), (36, 56), (56, 60))
    elif code == "F":
        cuts = ((1, 9), (9, 25), (25, 36), (36, 56), (56, 60))
    else:
        return [*parts, None, None, None, None, None]
    return parts + [value[start:end].rstrip(" ") or None for start, end in cuts]


DECODERS: dict[str, _Decoder] = {
    "text": _to_text,
    "reserved": _to_text,
    "gap": _to_text,
    "code": _to_code,
    "phone": _to_code,
    "integer": _to_integer,
    "flag": {"Y": True, "N": False}.get,
    "date_yymmdd": lambda value: _to_date(value[:2], value[2:4], value[4:]),
    "date_ccyymmdd": lambda value: _to_date(value[:4], value[4:6], value[6:]),
    "month_mmyy": lambda value: _to_date(value[2:], value[:2], "1"),
    "time_hhmm": lambda value: f"{value[:2]}:{value[2:]}",
    "timestamp": _to_timestamp,
    "name": _to_name,
}

"""The inverse of the parser: values -> AL3 bytes, for tests, the demo and benchmarks.

In: records as values by element name, and the layouts. Out: bytes as a sender would write them, free of NUL
unless given as bytes. Promises: what does not fit raises ValueError, whose text has the element and its
length, never the value. Fills in nothing by itself except the total of a `3MTG` that has none.
"""

import enum
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal

from al3spark.al3.dictionary import Dictionary, Element, Layout, header_length
from al3spark.al3.dictionary.layouts import LONGEST_RECORD

_TOTAL = "total_data_in_message"

# Where the parts of a name stand, by its format code: part -> (start, length). Source: FORMAT.md, Values.
_NAME_PARTS: Mapping[str, Mapping[str, tuple[int, int]]] = {
    "P": {"prefix": (1, 8), "first": (9, 27), "last": (36, 20), "suffix": (56, 4)},
    "F": {"prefix": (1, 8), "first": (9, 16), "middle": (25, 11), "last": (36, 20), "suffix": (56, 4)},
}


class Separator(enum.Enum):
    """What ends each group of a file: nothing, CRLF after it, or CRLF that its length counts."""

    NONE = "none"
    CRLF = "crlf"
    CRLF_INSIDE = "crlf_inside"


@dataclass(frozen=True, slots=True)
class Record:
    """One record to be built.

    `values` by element name: str, int, Decimal, date, datetime or bool, as the kind asks; None is blank,
    bytes are put as they are. A `name` is a str (a company), or a mapping of `format` and either the parts
    or `whole`, the 59 bytes after it. A `time_hhmm` is HH:MM, a `month_mmyy` the first of the month.
    `parent`: group, level, iteration. `length`: that of the layout and `tail`, unless given: elements that
    end after it must not have values, what is beyond them is `tail` and then blanks.
    `raw`: a whole body, without values.
    """

    group: str
    values: Mapping[str, object] = field(default_factory=dict)
    level: str = ""
    iteration: int | None = None
    parent: tuple[str, str, int] | None = None
    version: str = " "
    length: int | None = None
    tail: bytes = b""
    raw: bytes | None = None


def build_record(record: Record, layout: Layout | None) -> bytes:
    """Build one record, header included.

    Raises ValueError for what does not fit and for values of unknown elements.
    Source: FORMAT.md, Records and Values.
    """
    return _frame(record, _body(record, layout))


def build_file(
    records: Iterable[Record], dictionary: Dictionary, separator: Separator = Separator.NONE
) -> bytes:
    """Build a file: the records in the order given, each with the separator.

    A `3MTG` whose total is not among its values gets the right one: the groups of its message where byte 97
    of the 1MHG is `1`, else the characters as the lengths count them; 1MHG and 3MTG included.
    Raises ValueError as build_record does. Source: FORMAT.md, Records and Separators.
    """
    inside = b"\r\n" if separator is Separator.CRLF_INSIDE else b""
    after = b"\r\n" if separator is Separator.CRLF else b""
    parts: list[bytes] = []
    groups = characters = 0
    counts_groups = False
    for record in records:
        layout = dictionary.layout(record.group)
        built = _frame(record, _body(record, layout) + inside)
        if record.group == "1MHG":
            groups = characters = 0
            counts_groups = built[97:98] == b"1"
        groups += 1
        characters += len(built)
        if record.group == "3MTG" and record.raw is None and _TOTAL not in record.values:
            total = {_TOTAL: groups if counts_groups else characters}
            built = _frame(record, _body(replace(record, values={**record.values, **total}), layout) + inside)
        parts += (built, after)
    return b"".join(parts)


def squeeze(data: bytes, escape: bytes = b"\xfa", minimum: int = 5) -> bytes:
    """Compress runs of blank, `?` and `0`, if at least `minimum` long: escape, count in two hex digits, fill.

    A run over 255 becomes several. Raises ValueError, with the position, where two hex digits would follow an
    escape that is data: a reader might take it for a compressed run. Source: FORMAT.md, Compression.
    """
    runs = re.compile(rb"([ ?0])\1{%d,}" % (minimum - 1))
    literals = runs.sub(lambda run: b"\0" * len(run[0]), data)
    if found := re.search(re.escape(escape) + rb"[0-9A-Fa-f]{2}", literals):
        raise ValueError(f"the escape at byte {found.start()} might be taken for a compressed run")

    def compress(run: re.Match[bytes]) -> bytes:
        full, rest = divmod(len(run[0]), 255)
        return (escape + b"FF" + run[1]) * full + (escape + b"%02X" % rest + run[1] if rest else b"")

    return runs.sub(compress, data)


def transcode(data: bytes) -> bytes:
    """Turn single bytes into UTF-8, escapes too, as a transfer does that takes a file for latin-1 text."""
    return data.decode("latin-1").encode()


def _frame(record: Record, body: bytes) -> bytes:
    length = header_length(record.group) + len(body)
    if len(record.group) != 4 or length > LONGEST_RECORD:
        raise ValueError(f"{record.group}: a designator has 4 bytes and a record at most {LONGEST_RECORD}")
    start = f"{_put(record, record.group, 4)}{length:03} {_put(record, record.version, 1)} "
    if header_length(record.group) == 10:
        if record.level or record.iteration is not None or record.parent is not None:
            raise ValueError(f"{record.group} is a control group: it has no level, iteration and parent")
        return start.encode() + body
    group, level, iteration = record.parent or ("", "", None)
    own = _put(record, record.level, 2) + _put(record, _digits(record.iteration), 4)
    parent = _put(record, group, 4) + _put(record, level, 2) + _put(record, _digits(iteration), 4)
    return f"{start}{own}{parent}    ".encode() + body


def _put(record: Record, text: str, length: int) -> str:
    if len(text) > length or not text.isascii() or not text.isprintable():
        raise ValueError(f"the header of {record.group} takes {length} printable ASCII characters there")
    return text.ljust(length)


def _digits(iteration: int | None) -> str:
    return "" if iteration is None else f"{iteration:04}"


def _body(record: Record, layout: Layout | None) -> bytes:
    elements = layout.elements if layout is not None and record.raw is None else ()
    unknown = record.values.keys() - {element.name for element in elements}
    if unknown:
        raise ValueError(f"{record.group} has no element {', '.join(sorted(unknown))}")
    end = LONGEST_RECORD if record.length is None else record.length
    encoded = [_encode(record.values.get(element.name), element, end) for element in elements]
    body = b"".join(encoded) + (record.raw or b"") + record.tail
    room = len(body) if record.length is None else record.length - header_length(record.group)
    if len(body) > room:
        raise ValueError(f"the body of {record.group} has {len(body)} bytes, more than {room}")
    return body.ljust(room)


def _encode(value: object, element: Element, end: int) -> bytes:
    """Encode the value of one element for a record that ends at `end`."""
    if value is None:
        return b" " * max(min(element.end, end) - element.start, 0)
    try:
        encoded = (
            value if isinstance(value, bytes) else _ENCODERS[element.kind](value, element).encode("cp1252")
        )
        fits = len(encoded) <= element.length and element.end <= end
    except ValueError:
        fits = False
    if not fits:  # raised out here, so that no exception with the value in it comes along as its context
        place = f"{element.group}.{element.name} has {element.length} bytes of kind {element.kind}"
        raise ValueError(f"{place}: the value does not fit, or the record ends before")
    return encoded.ljust(element.length)


def _text(value: object, _: Element) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError
    return value


def _flag(value: object, _: Element) -> str:
    if not isinstance(value, bool):
        raise ValueError
    return "Y" if value else "N"


def _unscaled(value: object, scale: int) -> int:
    """A number as a whole number of its last decimals; exact."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal) or not Decimal(value).is_finite():
        raise ValueError
    unscaled = int(Decimal(value).scaleb(scale))
    if Decimal(unscaled).scaleb(-scale) != value:
        raise ValueError
    return unscaled


def _unsigned(value: object, element: Element) -> str:
    unscaled = _unscaled(value, element.scale)
    if unscaled < 0:
        raise ValueError
    return str(unscaled).zfill(element.length)


def _amount(value: object, element: Element) -> str:
    unscaled = _unscaled(value, element.scale)
    return str(abs(unscaled)).zfill(element.length - 1) + ("-" if unscaled < 0 else "+")


def _year(value: date, digits: int) -> str:
    """The year in 4 digits; or in 2, if it is of one of the centuries that a pivot decides between."""
    if digits == 2 and not 1900 <= value.year <= 2099:
        raise ValueError
    return f"{value.year:04}"[-digits:]


def _date(value: object, element: Element) -> str:
    if not isinstance(value, date) or isinstance(value, datetime):
        raise ValueError
    if element.kind != "month_mmyy":
        return f"{_year(value, element.length - 4)}{value.month:02}{value.day:02}"
    if value.day != 1:
        raise ValueError
    return f"{value.month:02}{_year(value, 2)}"


def _time(value: object, element: Element) -> str:
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", _text(value, element)):
        raise ValueError
    return _text(value, element).replace(":", "")


def _timestamp(value: object, element: Element) -> str:
    if not isinstance(value, datetime) or value.tzinfo is not None or value.microsecond % 100_000:
        raise ValueError
    return f"{_year(value, element.length - 11)}{value:%m%d%H%M%S}{value.microsecond // 100_000}"


def _name(value: object, element: Element) -> str:
    parts = dict(value) if isinstance(value, Mapping) else {"format": "C", "whole": value}
    code = _text(parts.pop("format", None), element)
    if code == "P" and parts.get("middle"):  # it has one place for both
        parts["first"] = f"{parts.get('first') or ''} {parts.pop('middle')}"
    places = {"whole": (1, 59)} if "whole" in parts else _NAME_PARTS.get(code, {})
    text = code
    for part, (start, length) in places.items():
        content = _text(parts.pop(part, None) or "", element)
        if len(content) > length:
            raise ValueError
        text = text.ljust(start) + content
    if len(code) != 1 or any(parts.values()):
        raise ValueError
    return text


_ENCODERS: Mapping[str, Callable[[object, Element], str]] = {
    "text": _text,
    "code": _text,
    "phone": _text,
    "reserved": _text,
    "gap": _text,
    "integer": _unsigned,
    "decimal": _unsigned,
    "amount": _amount,
    "flag": _flag,
    "date_yymmdd": _date,
    "date_ccyymmdd": _date,
    "month_mmyy": _date,
    "time_hhmm": _time,
    "timestamp": _timestamp,
    "name": _name,
}

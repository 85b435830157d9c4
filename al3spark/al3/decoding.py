"""Decode a matrix of equal records into typed columns, and say which values do not fit.

In: the bytes of n records of one group, one row each, blank where a record is shorter than its layout or has
a NUL. Out: one Arrow array per column, and for each element a mask of the rows whose value does not fit its
kind (null in the column). Promises: a value is what was sent, or null; never a guess. One decoder per kind,
in one table. Raises nothing. Source: FORMAT.md, Values.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.dictionary import Element, Layout
from al3spark.al3.tables import element_type

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BLANK, UNSENT = ord(" "), ord("?")
DEFAULT_PIVOT = 50

_FREE_TEXT = ("text", "reserved", "gap")  # `?` must fill these to mean "not sent"
_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
# cp1252 where it has a letter, latin-1 where it has none.
_LETTERS = "".join(
    bytes([code]).decode("cp1252", errors="ignore") or bytes([code]).decode("latin-1") for code in range(256)
)


@dataclass(frozen=True, slots=True)
class Cells:
    """The bytes of one element in n records.

    Shapes: `rows` uint8[n, w], `columns` uint8[w, n], the same bytes; `null` bool[n], blank or not sent.
    """

    rows: Bytes
    columns: Bytes
    null: Mask


@dataclass(frozen=True, slots=True)
class Decoded:
    """Columns of one element, and which rows do not fit (None: all do)."""

    arrays: tuple[pa.Array, ...]
    invalid: Mask | None = None


@dataclass(frozen=True, slots=True)
class DecodedGroup:
    """Columns of all elements in order, and the elements with rows that do not fit, as (element, bool[n])."""

    arrays: tuple[pa.Array, ...]
    invalid: tuple[tuple[Element, Mask], ...]


def decode_group(layout: Layout, matrix: Bytes, pivot: int = DEFAULT_PIVOT) -> DecodedGroup:
    """Decode n records of one group. Shape: `matrix` uint8[n, layout.length].

    `pivot`: two-digit years above it are 19yy, others 20yy.
    """
    columns = np.ascontiguousarray(matrix.T)
    blank = (columns.max(axis=1) == BLANK) & (columns.min(axis=1) == BLANK)
    per_element: list[tuple[pa.Array, ...]] = []
    invalid: list[tuple[Element, Mask]] = []
    for element in layout.elements:
        if blank[element.start : element.end].all():
            per_element.append(_all_null(element, len(matrix)))
            continue
        part = columns[element.start : element.end]
        cells = Cells(matrix[:, element.start : element.end], part, _is_null(part, element.kind))
        decoded = DECODERS[element.kind](cells, element, pivot)
        per_element.append(decoded.arrays)
        if decoded.invalid is not None and decoded.invalid.any():
            invalid.append((element, decoded.invalid))
    for newer, older in layout.replacements:
        if per_element[newer][0].null_count and per_element[older][0].null_count < len(matrix):
            per_element[newer] = (pc.coalesce(per_element[newer][0], per_element[older][0]),)
    return DecodedGroup(tuple(array for arrays in per_element for array in arrays), tuple(invalid))


def decode_text(rows: Bytes, null: Mask) -> pa.Array:
    """Make strings of fixed-width cells, trailing blanks cut. Shapes: `rows` uint8[n, w], `null` bool[n]."""
    count, width = rows.shape
    if width == 1:
        offsets = np.zeros(count + 1, np.int32)
        np.cumsum(~null, out=offsets[1:])
        trimmed = _strings(offsets, np.ascontiguousarray(rows[:, 0][~null]))
    else:
        offsets = np.arange(0, (count + 1) * width, width, dtype=np.int32)
        trimmed = pc.ascii_rtrim(_strings(offsets, np.ascontiguousarray(rows)), " ")
    if null.any():
        _, starts, data = trimmed.buffers()
        trimmed = pa.Array.from_buffers(pa.string(), count, [_bitmap(~null), starts, data])
    foreign = (rows.max(axis=1) >= 0x80) & ~null if rows.max() >= 0x80 else None
    if foreign is None or not foreign.any():
        return trimmed
    texts = [row.tobytes().decode("latin-1").translate(_LETTERS).rstrip(" ") for row in rows[foreign]]
    return pc.replace_with_mask(trimmed, pa.array(foreign), pa.array(texts, pa.string()))


def read_integers(columns: Bytes) -> tuple[Ints, Mask]:
    """Read unsigned digits; blanks may stand around them.

    Shapes: `columns` uint8[w, n]; gives int64[n], and whether each row fits.
    """
    values, fits = _read_digits(columns)
    if not fits.all():
        ragged = np.flatnonzero(~fits)
        values[ragged], fits[ragged] = _read_padded(columns[:, ragged])
    return values, fits


def _read_padded(columns: Bytes) -> tuple[Ints, Mask]:
    is_digit = columns - np.uint8(48) <= 9
    starts = is_digit[0].astype(np.int64) + (is_digit[1:] & ~is_digit[:-1]).sum(axis=0)
    values = np.zeros(columns.shape[1], np.int64)
    for digit, present in zip(columns, is_digit, strict=True):
        values = np.where(present, values * 10 + (digit - np.uint8(48)), values)
    return values, np.asarray((is_digit | (columns == BLANK)).all(axis=0) & (starts == 1))


def _read_digits(columns: Bytes) -> tuple[Ints, Mask]:
    """Read cells that digits fill; the number of any other row means nothing."""
    digits = columns - np.uint8(48)
    values = digits[0].astype(np.int64 if len(digits) > 9 else np.int32)
    for digit in digits[1:]:
        values *= 10
        values += digit
    return values.astype(np.int64), np.asarray((digits <= 9).all(axis=0))


def _is_null(columns: Bytes, kind: str) -> Mask:
    blank = ~(columns != BLANK).any(axis=0)
    first_unsent: Mask = columns[0] == UNSENT
    if first_unsent.any():
        unsent = (columns == UNSENT).all(axis=0) if kind in _FREE_TEXT else first_unsent
        return np.asarray(blank | unsent)
    return np.asarray(blank)


def _all_null(element: Element, count: int) -> tuple[pa.Array, ...]:
    kind = element_type(element)
    return tuple(pa.nulls(count, kind) for _ in element.columns)


def _decode_string(cells: Cells, element: Element, pivot: int) -> Decoded:
    return Decoded((decode_text(cells.rows, cells.null),))


def _decode_integer(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits = read_integers(cells.columns)
    return Decoded((_numbers(values, pa.int64(), cells.null | ~fits),), ~fits & ~cells.null)


def _decode_decimal(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits = read_integers(cells.columns)
    return Decoded((_decimals(values, element.scale, cells.null | ~fits),), ~fits & ~cells.null)


def _decode_amount(cells: Cells, element: Element, pivot: int) -> Decoded:
    sign = cells.columns[-1]
    values, fits = read_integers(cells.columns[:-1])
    fits &= (sign == ord("+")) | (sign == ord("-")) | (sign == BLANK)
    values = np.where(sign == ord("-"), -values, values)
    return Decoded((_decimals(values, element.scale, cells.null | ~fits),), ~fits & ~cells.null)


def _decode_flag(cells: Cells, element: Element, pivot: int) -> Decoded:
    yes, no = cells.columns[0] == ord("Y"), cells.columns[0] == ord("N")
    return Decoded((pa.array(yes, mask=~(yes | no)),), ~(yes | no | cells.null))


def _decode_yymmdd(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits = _read_digits(cells.columns)
    return _dates(cells.null | (fits & (values == 0)), fits, _century(values // 10000, pivot), values)


def _decode_ccyymmdd(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits = _read_digits(cells.columns)
    return _dates(cells.null | (fits & (values == 0)), fits, values // 10000, values)


def _decode_mmyy(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits = _read_digits(cells.columns)
    first_of_month = values // 100 * 100 + 1
    return _dates(cells.null | (fits & (values == 0)), fits, _century(values % 100, pivot), first_of_month)


def _dates(null: Mask, fits: Mask, year: Ints, month_day: Ints) -> Decoded:
    """Make dates of years and numbers that end in MMDD."""
    days, real = _civil_days(year, month_day // 100 % 100, month_day % 100)
    bad = ~(fits & real) & ~null
    return Decoded((pa.array(days.astype(np.int32), pa.int32(), mask=null | bad).cast(pa.date32()),), bad)


def _decode_time(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits = _read_digits(cells.columns)
    fits &= (values // 100 < 24) & (values % 100 < 60)
    text = np.insert(cells.rows, 2, ord(":"), axis=1)
    return Decoded((decode_text(text, cells.null | ~fits),), ~fits & ~cells.null)


def _decode_timestamp(cells: Cells, element: Element, pivot: int) -> Decoded:
    """Read CCYYMMDDHHMMSST or YYMMDDHHMMSST; seconds and tenths may be blank."""
    split = element.length - 7
    date, date_fits = _read_digits(cells.columns[:split])
    year = date // 10000 if split == 8 else _century(date // 10000, pivot)
    days, real = _civil_days(year, date // 100 % 100, date % 100)
    null = cells.null | (cells.columns == ord("0")).all(axis=0)
    time = cells.columns[split:].copy()
    time[4:][time[4:] == BLANK] = ord("0")
    clock, clock_fits = _read_digits(time)
    hour, minute, second, tenth = clock // 100000, clock // 1000 % 100, clock // 10 % 100, clock % 10
    fits = date_fits & clock_fits & real & (hour < 24) & (minute < 60) & (second < 60)
    micros = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + tenth * 100_000
    return Decoded((_numbers(micros, pa.timestamp("us"), null | ~fits),), ~fits & ~null)


def _decode_name(cells: Cells, element: Element, pivot: int) -> Decoded:
    """Split a 60-byte name by its format code (FORMAT.md, Values); the parts are null where it has none."""
    code = cells.columns[0]
    person, family = code == ord("P"), code == ord("F")
    either = person | family

    def part(start: int, end: int, present: Mask) -> pa.Array:
        absent = ~present | cells.null | _is_null(cells.columns[start:end], "text")
        return (
            pa.nulls(len(absent), pa.string())
            if absent.all()
            else decode_text(cells.rows[:, start:end], absent)
        )

    everyone = np.ones(len(code), bool)
    given = pc.coalesce(part(9, 36, person), part(9, 25, family))
    return Decoded(
        (
            part(1, 60, everyone),
            part(0, 1, everyone),
            part(1, 9, either),
            given,
            part(25, 36, family),
            part(36, 56, either),
            part(56, 60, either),
        )
    )


def _century(years: Ints, pivot: int) -> Ints:
    return np.where(years > pivot, 1900, 2000) + years


def _civil_days(year: Ints, month: Ints, day: Ints) -> tuple[Ints, Mask]:
    """Days since 1970-01-01 in the proleptic Gregorian calendar, and whether there is such a day."""
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    real = (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    real &= (day <= _DAYS[np.where(real, month, 0)]) & ((month != 2) | (day < 29) | leap)
    shifted = year - (month <= 2)
    day_of_year = (153 * (month + np.where(month > 2, -3, 9)) + 2) // 5 + day - 1
    return shifted * 365 + shifted // 4 - shifted // 100 + shifted // 400 + day_of_year - 719468, real


def _strings(offsets: npt.NDArray[np.int32], data: Bytes) -> pa.Array:
    return pa.Array.from_buffers(
        pa.string(), len(offsets) - 1, [None, pa.py_buffer(offsets), pa.py_buffer(data)]
    )


def _numbers(values: Ints, kind: pa.DataType, null: Mask) -> pa.Array:
    bitmap = _bitmap(~null) if null.any() else None
    return pa.Array.from_buffers(kind, len(values), [bitmap, pa.py_buffer(np.ascontiguousarray(values))])


def _decimals(values: Ints, scale: int, null: Mask) -> pa.Array:
    wide = np.empty((len(values), 2), np.int64)
    wide[:, 0] = values
    wide[:, 1] = values >> 63
    bitmap = _bitmap(~null) if null.any() else None
    return pa.Array.from_buffers(pa.decimal128(18, scale), len(values), [bitmap, pa.py_buffer(wide)])


def _bitmap(valid: Mask) -> pa.Buffer:
    return pa.py_buffer(np.packbits(valid, bitorder="little"))


DECODERS: dict[str, Callable[[Cells, Element, int], Decoded]] = {
    "text": _decode_string,
    "code": _decode_string,
    "phone": _decode_string,
    "reserved": _decode_string,
    "gap": _decode_string,
    "integer": _decode_integer,
    "decimal": _decode_decimal,
    "amount": _decode_amount,
    "flag": _decode_flag,
    "date_yymmdd": _decode_yymmdd,
    "date_ccyymmdd": _decode_ccyymmdd,
    "month_mmyy": _decode_mmyy,
    "time_hhmm": _decode_time,
    "timestamp": _decode_timestamp,
    "name": _decode_name,
}

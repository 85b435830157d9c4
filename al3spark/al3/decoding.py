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

from al3spark.al3.cells import BLANK, UNSENT, Cells, Matrix, bitmap, decode_text
from al3spark.al3.dictionary import KEEP, Element, Layout
from al3spark.al3.privacy import protect_columns
from al3spark.al3.tables import element_type

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

DEFAULT_PIVOT = 50

_FREE_TEXT = ("text", "reserved", "gap")  # `?` must fill these to mean "not sent"
_DAYS = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])


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


def decode_group(
    layout: Layout, matrix: Matrix, pivot: int = DEFAULT_PIVOT, hash_key: bytes = b""
) -> DecodedGroup:
    """Decode n records of one group. Shape: `matrix` uint8[n, layout.length].

    `pivot`: two-digit years above it are 19yy, others 20yy. `hash_key`: for elements that are to be hashed.
    """
    per_element: list[tuple[pa.Array, ...]] = []
    invalid: list[tuple[Element, Mask]] = []
    for element in layout.elements:
        cells = matrix.cells(element.start, element.end)
        if cells is None:
            per_element.append(_all_null(element, len(matrix.rows)))
            continue
        decoded = DECODERS[element.kind](cells, element, pivot)
        if element.protection == KEEP:
            per_element.append(decoded.arrays)
        else:
            per_element.append(protect_columns(decoded.arrays, cells, element, hash_key))
        if decoded.invalid is not None and decoded.invalid.any():
            invalid.append((element, decoded.invalid))
    for newer, older in layout.replacements:
        if per_element[newer][0].null_count and per_element[older][0].null_count < len(matrix.rows):
            per_element[newer] = (pc.coalesce(per_element[newer][0], per_element[older][0]),)
    return DecodedGroup(tuple(array for arrays in per_element for array in arrays), tuple(invalid))


def read_integers(columns: Bytes, null: Mask) -> tuple[Ints, Mask]:
    """Read unsigned digits; blanks may stand around them.

    Shapes: `columns` uint8[w, n]; `null` bool[n], what need not be read; gives int64[n], and whether each row
    fits.
    """
    values, fits = _read_digits(columns)
    ragged = np.flatnonzero(~(fits | null))
    if len(ragged):
        values[ragged], fits[ragged] = _read_padded(columns[:, ragged])
    return values, fits


def _read_numbers(columns: Bytes) -> tuple[Ints, Mask, Mask]:
    """Read unsigned digits: int64[n], whether each row is null, whether it does not fit."""
    null = _is_null(columns)
    values, fits = read_integers(columns, null)
    return values, null, ~fits & ~null


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


def _is_unsent(rows: Bytes, kind: str) -> Mask | None:
    """Which rows are not sent (FORMAT.md, Values); None if none is."""
    unsent: Mask = rows[:, 0] == UNSENT
    if not unsent.any():
        return None
    if kind in _FREE_TEXT:
        unsent[unsent] = (rows[unsent] == UNSENT).all(axis=1)
    return unsent


def _is_null(columns: Bytes) -> Mask:
    """Which rows are blank or not sent, of a kind that is no text."""
    return np.asarray((columns == BLANK).all(axis=0) | (columns[0] == UNSENT))


def _all_null(element: Element, count: int) -> tuple[pa.Array, ...]:
    kind = element_type(element)
    return tuple(pa.nulls(count, kind) for _ in element.columns)


def _decode_string(cells: Cells, element: Element, pivot: int) -> Decoded:
    return Decoded((decode_text(cells, _is_unsent(cells.rows, element.kind)),))


def _decode_integer(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, null, invalid = _read_numbers(cells.columns())
    return Decoded((numbers(values, pa.int64(), null | invalid),), invalid)


def _decode_decimal(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, null, invalid = _read_numbers(cells.columns())
    return Decoded((_decimals(values, element.scale, null | invalid),), invalid)


def _decode_amount(cells: Cells, element: Element, pivot: int) -> Decoded:
    columns = cells.columns()
    null, sign = _is_null(columns), columns[-1]
    values, fits = read_integers(columns[:-1], null)
    fits &= (sign == ord("+")) | (sign == ord("-")) | (sign == BLANK)
    values = np.where(sign == ord("-"), -values, values)
    return Decoded((_decimals(values, element.scale, null | ~fits),), ~fits & ~null)


def _decode_flag(cells: Cells, element: Element, pivot: int) -> Decoded:
    columns = cells.columns()
    yes, no = columns[0] == ord("Y"), columns[0] == ord("N")
    return Decoded((pa.array(yes, mask=~(yes | no)),), ~(yes | no | _is_null(columns)))


def _decode_yymmdd(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits, null = _read_dates(cells)
    return _dates(null, fits, _century(values // 10000, pivot), values)


def _decode_ccyymmdd(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits, null = _read_dates(cells)
    return _dates(null, fits, values // 10000, values)


def _decode_mmyy(cells: Cells, element: Element, pivot: int) -> Decoded:
    values, fits, null = _read_dates(cells)
    return _dates(null, fits, _century(values % 100, pivot), values // 100 * 100 + 1)


def _read_dates(cells: Cells) -> tuple[Ints, Mask, Mask]:
    """Read digits: int64[n], whether each row fits, and whether it is null (zeros are)."""
    columns = cells.columns()
    values, fits = _read_digits(columns)
    return values, fits, _is_null(columns) | (fits & (values == 0))


def _dates(null: Mask, fits: Mask, year: Ints, month_day: Ints) -> Decoded:
    """Make dates of years and numbers that end in MMDD."""
    days, real = _civil_days(year, month_day // 100 % 100, month_day % 100)
    bad = ~(fits & real) & ~null
    return Decoded((numbers(days.astype(np.int32), pa.date32(), null | bad),), bad)


def _decode_time(cells: Cells, element: Element, pivot: int) -> Decoded:
    columns = cells.columns()
    null = _is_null(columns)
    values, fits = _read_digits(columns)
    fits &= (values // 100 < 24) & (values % 100 < 60)
    text = Cells(np.insert(cells.rows, 2, ord(":"), axis=1), cells.is_ascii)
    return Decoded((decode_text(text, null | ~fits),), ~fits & ~null)


def _decode_timestamp(cells: Cells, element: Element, pivot: int) -> Decoded:
    """Read CCYYMMDDHHMMSST or YYMMDDHHMMSST; seconds and tenths may be blank."""
    columns = cells.columns()
    split = element.length - 7
    date, date_fits = _read_digits(columns[:split])
    year = date // 10000 if split == 8 else _century(date // 10000, pivot)
    days, real = _civil_days(year, date // 100 % 100, date % 100)
    null = _is_null(columns) | (columns == ord("0")).all(axis=0)
    time = columns[split:]
    time[4:][time[4:] == BLANK] = ord("0")
    clock, clock_fits = _read_digits(time)
    hour, minute, second, tenth = clock // 100000, clock // 1000 % 100, clock // 10 % 100, clock % 10
    fits = date_fits & clock_fits & real & (hour < 24) & (minute < 60) & (second < 60)
    micros = (((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000_000 + tenth * 100_000
    return Decoded((numbers(micros, pa.timestamp("us"), null | ~fits),), ~fits & ~null)


def _decode_name(cells: Cells, element: Element, pivot: int) -> Decoded:
    """Split a 60-byte name by its format code (FORMAT.md, Values); the parts are null where it has none."""
    code = cells.rows[:, 0]
    sent, person, family = code != UNSENT, code == ord("P"), code == ord("F")
    either = person | family

    def part(start: int, end: int, present: Mask) -> pa.Array:
        if not present.any():
            return pa.nulls(len(present), pa.string())
        text = cells.part(start, end)
        unsent = _is_unsent(text.rows, "text")
        return decode_text(text, ~present if unsent is None else ~present | unsent)

    given = part(9, 36, person)
    if family.any():
        given = pc.coalesce(given, part(9, 25, family))
    return Decoded(
        (
            part(1, 60, sent),
            part(0, 1, sent),
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


def numbers(values: npt.NDArray[np.generic], kind: pa.DataType, null: Mask) -> pa.Array:
    """Make a column of numbers that are laid out as Arrow does."""
    valid = bitmap(~null) if null.any() else None
    return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(np.ascontiguousarray(values))])


def _decimals(values: Ints, scale: int, null: Mask) -> pa.Array:
    wide = np.empty((len(values), 2), np.int64)
    wide[:, 0] = values
    wide[:, 1] = values >> 63
    valid = bitmap(~null) if null.any() else None
    return pa.Array.from_buffers(pa.decimal128(18, scale), len(values), [valid, pa.py_buffer(wide)])


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

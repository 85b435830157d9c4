"""Frozen values: what the dictionary knows about every group, as the parser and the builder use it.

Positions count from 0 and include the header. A layout has no holes: every byte after the header of a record
belongs to one element, and the gaps between described elements are elements too (kind `gap`). Values are
hashable and picklable. loading.py makes them from CSV files, checking.py says what those may hold.
"""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from al3spark.errors import DictionaryError

LONGEST_RECORD = 999

# Kind -> Arrow type of its column. A `decimal128` has 18 digits and the scale of its element.
# A `name` makes seven columns. `gap` is for the bytes between described elements, not for elements.csv.
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "text": "string",
        "code": "string",
        "phone": "string",
        "reserved": "string",
        "gap": "string",
        "time_hhmm": "string",
        "integer": "int64",
        "decimal": "decimal128",
        "amount": "decimal128",
        "date_yymmdd": "date32",
        "date_ccyymmdd": "date32",
        "month_mmyy": "date32",
        "timestamp": "timestamp[us]",
        "flag": "bool",
        "name": "string",
    }
)

# What becomes of a value that may identify people. Masked and hashed, it is text, whatever its kind.
KEEP, MASK, HASH, DROP = "keep", "mask", "hash", "drop"

# What a `name` element adds to its own column: <element>_format and so on.
NAME_PARTS = ("format", "prefix", "first", "middle", "last", "suffix")

# Columns that say of a record what its transaction is about -> the group that says it. An element of that
# group can have the name: then it is the column, for there is no need of both.
CONTEXT_COLUMNS: Mapping[str, str] = MappingProxyType(
    {
        "policy_number": "5BPI",
        "line_of_business": "5BPI",
        "transaction_function": "2TRG",
        "business_purpose": "2TRG",
        "transaction_kind": "2TRG",
        "transaction_effective_date": "2TRG",
    }
)

# What the folders of a table can be made by: some of these columns, and two made of the date.
BY_MONTH, BY_YEAR = "transaction_effective_month", "transaction_effective_year"
PARTITION_COLUMNS = (
    "line_of_business",
    "transaction_kind",
    "transaction_function",
    "business_purpose",
    BY_MONTH,
    BY_YEAR,
)

# The columns that every table starts with. No other element can have such a name.
LEADING_COLUMNS = (
    "job_id",
    "file_id",
    "record_offset",
    "record_length",
    "message_offset",
    "transaction_offset",
    "parent_offset",
    "group_version",
    "processing_level",
    "iteration",
    "parent_group",
    "parent_level",
    "parent_iteration",
    "header_flags",
    *CONTEXT_COLUMNS,
)


def header_length(group: str) -> int:
    """Bytes of the header: 10 for a control group (its designator starts with a digit below 5), otherwise 30.

    Source: FORMAT.md, Records.
    """
    return 10 if group[:1] < "5" else 30


@dataclass(frozen=True, slots=True)
class Element:
    """A position range in a group, and how to read it. `scale` is the number of implied decimals.

    `pii`: what it tells of people, "" for nothing; `protection`: what becomes of that.
    """

    group: str
    name: str
    start: int
    length: int
    kind: str
    scale: int = 0
    ref_id: str = ""
    element_id: str = ""
    superseded_by: str = ""
    pii: str = ""
    confidence: str = ""
    sources: str = ""
    protection: str = KEEP

    @property
    def end(self) -> int:
        """The position after the last byte."""
        return self.start + self.length

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that it makes: its own, and for a `name` also those of the parts."""
        parts = NAME_PARTS if self.kind == "name" else ()
        return (self.name, *(f"{self.name}_{part}" for part in parts))


@dataclass(frozen=True, slots=True)
class Layout:
    """The elements of one group, sorted by start; they cover the record from its header on without a hole."""

    group: str
    table: str
    title: str
    elements: tuple[Element, ...]

    def __post_init__(self) -> None:
        position = self.header_length
        for element in self.elements:
            if element.group != self.group or element.start != position or element.length < 1:
                problem = f"{element.group}.{element.name} does not start at {position}"
                raise DictionaryError(f"layout of {self.group}: {problem}")
            position = element.end

    @property
    def header_length(self) -> int:
        """Bytes of the header."""
        return header_length(self.group)

    @property
    def context_columns(self) -> tuple[str, ...]:
        """The columns about the transaction that its table has beside its elements."""
        own = {column for element in self.elements for column in element.columns}
        return tuple(column for column in CONTEXT_COLUMNS if column not in own)

    @property
    def length(self) -> int:
        """Bytes of a record that has every element, header included."""
        return self.elements[-1].end if self.elements else self.header_length

    @property
    def replacements(self) -> tuple[tuple[int, int], ...]:
        """Pairs of indices into `elements`, (newer, older): a null in the newer is filled from the older one.

        Only where the value can be taken over as it is: both in this group, of one Arrow type, no names.
        An older element that was split (`6HRU71_AND_6HRU72`) has no pair: its value is neither of the two.
        Source: FORMAT.md, Values.
        """
        by_id = {element.element_id: index for index, element in enumerate(self.elements)}
        return tuple(
            (by_id[older.superseded_by], index)
            for index, older in enumerate(self.elements)
            if older.superseded_by
            and older.superseded_by in by_id
            and _same_type(older, self.elements[by_id[older.superseded_by]])
        )


@dataclass(frozen=True, slots=True)
class TransactionKind:
    """What a 2TRG with this function and business purpose is about; "" stands for any."""

    function: str
    purpose: str
    kind: str


@dataclass(frozen=True, slots=True)
class Dictionary:
    """All groups with described elements, sorted by designator; the titles of all known groups; a digest.

    `kinds`: of transactions, the first that fits counts. `keeps_untyped`: what no element describes is kept,
    too. `hides_odd`: of a record that may be shifted, only its keys are told. `hash_key`: for values that are
    hashed.
    """

    layouts: tuple[Layout, ...]
    titles: tuple[tuple[str, str], ...]
    version: str
    kinds: tuple[TransactionKind, ...] = ()
    keeps_untyped: bool = True
    hides_odd: bool = False
    hash_key: bytes = field(default=b"", repr=False)

    def layout(self, group: str) -> Layout | None:
        """The layout of a group, or None if its elements are not described."""
        index = bisect_left(self.layouts, group, key=lambda layout: layout.group)
        found = self.layouts[index : index + 1]
        return found[0] if found and found[0].group == group else None


def _same_type(older: Element, newer: Element) -> bool:
    if "name" in (older.kind, newer.kind) or older.protection != newer.protection:
        return False
    if older.protection in (MASK, HASH):
        return True
    if KINDS[older.kind] != KINDS[newer.kind]:
        return False
    return KINDS[older.kind] != "decimal128" or older.scale == newer.scale

"""What a transaction says of all its records: policy, line of business, function, purpose, effective date.

In: the records of one file after the other, linked, window by window. Out: for each record the number of its
transaction's context; the context columns of given numbers. Promises: nothing depends on how the windows were
cut; a record in front of its transaction's 5BPI has the same context as one behind it. The policy is that of
the first 5BPI that begins within 8 MiB of its 2TRG. Memory: records wait for it no longer than that; contexts
are forgotten with the records that need them. Raises nothing.
Source: FORMAT.md, Meaning and Values (superseded elements).
"""

from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from al3spark.al3.blocks import find_runs, repeat_values
from al3spark.al3.cells import BLANK, examine
from al3spark.al3.decoding import DECODERS, DEFAULT_PIVOT
from al3spark.al3.dictionary import DROP, KEEP, KINDS, Dictionary, Element
from al3spark.al3.faults import FaultLog
from al3spark.al3.oddities import find_odd_records
from al3spark.al3.privacy import protect_columns
from al3spark.al3.records import Ints, Window
from al3spark.al3.tables import CONTEXT_FIELDS, element_type
from al3spark.al3.trails import TRG

Bytes = npt.NDArray[np.uint8]

LOOKAHEAD = 8 << 20  # expanded bytes behind the beginning of a 2TRG in which its 5BPI is looked for
NO_CONTEXT = -1
_BPI = int.from_bytes(b"5BPI", "little")
_OTHER = "other"

# Where the values stand. Positions never move between versions (FORMAT.md, Values).
_POLICY = (
    Element("5BPI", "policy_number", 30, 25, "text"),
    Element("5BPI", "line_of_business", 71, 5, "code"),
)
_FUNCTION = Element("2TRG", "transaction_function", 30, 3, "code")
_PURPOSE = Element("2TRG", "business_purpose", 167, 3, "code")
_DATE = Element("2TRG", "transaction_effective_date", 204, 8, "date_ccyymmdd")
_OLDER_DATE = Element("2TRG", "transaction_effective_date_superseded", 160, 6, "date_yymmdd")
_TRANSACTION = (_FUNCTION, _PURPOSE, _DATE, _OLDER_DATE)


@dataclass(slots=True)
class Contexts:
    """The contexts of the transactions of a split, numbered in the order in which they begin."""

    dictionary: Dictionary
    pivot: int = DEFAULT_PIVOT
    total: int = 0
    _policy: tuple[Element, ...] = ()
    _transaction: tuple[Element, ...] = ()
    _forgotten: int = 0
    _fresh: list[tuple[Bytes, Bytes]] = field(default_factory=list)
    _columns: dict[str, pa.Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._columns = {each.name: pa.nulls(0, each.type) for each in CONTEXT_FIELDS}
        self._policy, self._transaction = (
            tuple(_as_protected(element, self.dictionary) for element in elements)
            for elements in (_POLICY, _TRANSACTION)
        )

    def add(self, transactions: Bytes, policies: Bytes) -> None:
        """Take up contexts: the cells of `_TRANSACTION` and of `_POLICY`, uint8[n, bytes of all of them].

        A policy that is still to come is put in place before `settle`.
        """
        if len(transactions):
            self._fresh.append((transactions, policies))
            self.total += len(transactions)

    @property
    def settled(self) -> int:
        """How many are settled and not forgotten."""
        return len(self._columns[_PURPOSE.name])

    def settle(self, awaited: int | None = None) -> None:
        """Decode what was taken up, but not the last one if it is `awaited`."""
        fresh, self._fresh = self._fresh, []
        if fresh and awaited is not None:
            transactions, policies = fresh.pop()
            self._fresh = [(transactions[-1:], policies[-1:])]  # the same memory: its policy is still to come
            fresh.append((transactions[:-1], policies[:-1]))
        if sum(len(transactions) for transactions, _ in fresh):
            transactions, policies = (np.concatenate(parts) for parts in zip(*fresh, strict=True))
            decoded = zip(self._columns.items(), self._decode(transactions, policies), strict=True)
            self._columns = {name: pa.concat_arrays([before, more]) for (name, before), more in decoded}

    def columns(self, numbers: Ints, names: tuple[str, ...]) -> list[pa.Array]:
        """Give context columns of a block by the contexts of its rows, all settled. Shape: int64[n]."""
        met, which = find_runs(numbers)
        at = pa.array(met - self._forgotten, mask=met == NO_CONTEXT)
        return [repeat_values(self._columns[name].take(at), which) for name in names]

    def forget(self, before: int | None = None) -> None:
        """Forget those with a lower number, or all that are settled, but the last: it may go on."""
        end = self._forgotten + self.settled
        gone = max(min(end - 1, end if before is None else before) - self._forgotten, 0)
        self._forgotten += gone
        self._columns = {name: values.slice(gone) for name, values in self._columns.items()}

    def _decode(self, transactions: Bytes, policies: Bytes) -> list[pa.Array]:
        policy = self._decode_cells(policies, self._policy)
        function, purpose, date, older = self._decode_cells(transactions, self._transaction)
        kind = self._classify(transactions[:, : _FUNCTION.length + _PURPOSE.length])
        return [*policy, function, purpose, kind, pc.coalesce(date, older)]

    def _decode_cells(self, cells: Bytes, elements: tuple[Element, ...]) -> list[pa.Array]:
        """Decode what `_cut` cut; what does not fit is null, and reported where its record is decoded."""
        matrix, arrays, start = examine(cells), [], 0
        for element in elements:
            found = matrix.cells(start, start + element.length)
            start += element.length
            if found is None:
                arrays.append(pa.nulls(len(cells), element_type(element)))
                continue
            decoded = DECODERS[element.kind](found, element, self.pivot).arrays
            if element.protection != KEEP:
                decoded = protect_columns(decoded, found, element, self.dictionary.hash_key)
            arrays.append(decoded[0])
        return arrays

    def _classify(self, cells: Bytes) -> pa.Array:
        """Name the kind of n transactions by their function and purpose."""
        keys = np.zeros((len(cells), 8), np.uint8)
        keys[:, : cells.shape[1]] = cells
        met, which = np.unique(keys.view("<u8").ravel(), return_inverse=True)
        kinds = [self._kind_of(int(key).to_bytes(8, "little")) for key in met]
        return pa.array(kinds, pa.string()).take(pa.array(which))

    def _kind_of(self, key: bytes) -> str:
        texts = (key[: _FUNCTION.length], key[_FUNCTION.length : _FUNCTION.length + _PURPOSE.length])
        function, purpose = (text.decode("latin-1").rstrip(" ") for text in texts)
        return next(
            (
                rule.kind
                for rule in self.dictionary.kinds
                if rule.function in ("", function) and rule.purpose in ("", purpose)
            ),
            _OTHER,
        )


@dataclass(slots=True)
class ContextReader:
    """Find the contexts of one file's records."""

    contexts: Contexts
    file: int
    faults: FaultLog
    _open: int = NO_CONTEXT  # the last transaction, its beginning in the expanded and in the original file
    _start: int = 0
    _offset: int = 0
    _awaited: Bytes | None = None  # where the policy of the open transaction goes, if it is still to come

    @property
    def awaited(self) -> int | None:
        """The context of the open transaction, if its policy may still come."""
        return None if self._awaited is None else self._open

    def read(
        self, window: Window, positions: Ints, contents: Ints, starts: Ints, groups: Ints, transactions: Ints
    ) -> Ints:
        """Give the context of each of the next records: int64[n], `NO_CONTEXT` where it has no transaction.

        Shapes: int64[n]. `positions` in the window, `starts` in the expanded file; `contents`, bytes of the
        record; `transactions`, original offset of each one's 2TRG, -1 for none.
        Faults: POLICY_NOT_FOUND, once for a transaction that goes on for more than 8 MiB without a 5BPI.
        """
        begins = groups == TRG
        which = np.cumsum(begins)  # 0: the one that was open, then those that begin here; -1: none
        which[transactions < 0] = -1
        numbers = np.where(
            which > 0, self.contexts.total + which - 1, np.where(which < 0, NO_CONTEXT, self._open)
        )
        began, places = np.append(self._start, starts[begins]), np.append(self._offset, transactions[begins])
        policies = np.full((len(began), _width(_POLICY)), BLANK, np.uint8)
        found = np.zeros(len(began), bool)
        found[0] = self._awaited is None
        at = np.flatnonzero((groups == _BPI) & (which >= 0) & ~found[which])
        at = at[starts[at] - began[which[at]] <= LOOKAHEAD]
        met, first = np.unique(which[at], return_index=True)
        policies[met] = self._cut(window, positions[at[first]], contents[at[first]], _POLICY)
        found[met] = True
        if self._awaited is not None and found[0]:
            self._awaited[:] = policies[0]
        transactions_here = self._cut(window, positions[begins], contents[begins], _TRANSACTION)
        self.contexts.add(transactions_here, policies[1:])
        late = np.unique(which[(which >= 0) & ~found[which] & (starts - began[which] > LOOKAHEAD)])
        found[late] = True  # as good as
        self._report(places[late])
        last = int(which[-1])
        self._open, self._start, self._offset = int(numbers[-1]), int(began[last]), int(places[last])
        if last < 0 or found[last]:
            self._awaited = None
        elif last > 0:
            self._awaited = policies[last]
        return numbers

    def _cut(self, window: Window, positions: Ints, contents: Ints, elements: tuple[Element, ...]) -> Bytes:
        """Cut elements out of n records; blank of odd ones if these are hidden."""
        cells = _cut(window, positions, contents, elements)
        dictionary = self.contexts.dictionary
        if dictionary.hides_odd and len(cells):
            layout = dictionary.layout(elements[0].group)
            cells[find_odd_records(window, positions, contents, layout, self.contexts.pivot)] = BLANK
        return cells

    def _report(self, places: Ints) -> None:
        text = f"no 5BPI within {LOOKAHEAD >> 20} MiB of the 2TRG: policy and line of business are unknown"
        for place in places.tolist():
            self.faults.note("POLICY_NOT_FOUND", text, self.file, record=place, offset=place, group="2TRG")


def _width(elements: tuple[Element, ...]) -> int:
    return sum(element.length for element in elements)


def _cut(window: Window, positions: Ints, contents: Ints, elements: tuple[Element, ...]) -> Bytes:
    """Cut the elements out of n records, one behind the other; blank where a record is too short for one."""
    matrix = window.matrix(positions, max(element.end for element in elements))
    parts = []
    for element in elements:
        part = matrix[:, element.start : element.end]
        part[contents < element.end] = BLANK
        parts.append(part)
    return np.concatenate(parts, axis=1)


def _as_protected(element: Element, dictionary: Dictionary) -> Element:
    """Protect an element as the one is that the dictionary has in its place; a date can only be dropped."""
    layout = dictionary.layout(element.group)
    same = (each for each in (layout.elements if layout else ()) if each.start == element.start)
    known = next(same, element)
    protection = known.protection
    if protection != KEEP and KINDS[element.kind] != "string":
        protection = DROP
    return replace(element, pii=known.pii, protection=protection)

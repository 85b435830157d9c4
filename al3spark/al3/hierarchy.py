"""Give every record its message, transaction and parent.

In: the records of one file in order, window by window, with the unreadable spans between them. Out: the
offset of each record's 1MHG, 2TRG and parent, as arrays. Promises: what is unknown is null (-1) and never the
record of another customer; nothing depends on how the windows were cut; what is carried on is the open
message, the open transaction and the last record per designator, level and iteration in it. Raises nothing.
Source: FORMAT.md, Records (Envelope) and Hierarchy.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from al3spark.al3.faults import FaultLog, Faults
from al3spark.al3.trails import (
    MHG,
    MTG,
    NONE,
    TRG,
    UNCERTAIN,
    Trail,
    spread,
    spread_messages,
    trailer_counts_groups,
)

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BLANK_GROUP = int.from_bytes(b"    ", "little")


@dataclass(frozen=True, slots=True)
class Headers:
    """The header fields of n records, in file order.

    Shapes: all [n]. `groups`, `levels`, `iterations` and those of the parent: the bytes of the field as
    little-endian numbers, blank where a control group has no such field. `offsets`: in the original file.
    `starts`, `lengths`: in the expanded file. `is_data`: the header has 30 bytes.
    """

    groups: Ints
    levels: Ints
    iterations: Ints
    parent_groups: Ints
    parent_levels: Ints
    parent_iterations: Ints
    offsets: Ints
    starts: Ints
    lengths: Ints
    is_data: Mask


@dataclass(frozen=True, slots=True)
class Links:
    """Where each record hangs. Shapes: int64[n], original offsets, -1 for none or uncertain."""

    message: Ints
    transaction: Ints
    parent: Ints


@dataclass(frozen=True, slots=True)
class _Seen:
    """The last record per designator, level and iteration in the open transaction, in file order."""

    groups: Ints
    levels: Ints
    iterations: Ints
    offsets: Ints


def _no_one() -> _Seen:
    empty = np.empty(0, np.int64)
    return _Seen(empty, empty, empty, empty)


@dataclass(slots=True)
class Linker:
    """Link the records of one file, window by window; `file` is its number in the fault log."""

    file: int
    faults: FaultLog
    messages: int = 0
    transactions: int = 0
    _message: int = NONE
    _transaction: int = NONE
    _message_start: int = NONE  # expanded offset of the open 1MHG
    _message_records: int = 0
    _message_bytes: int = 0
    _counts_groups: bool = False
    _span_before: bool = False  # an unreadable span lies before the next record
    _seen: _Seen = field(default_factory=_no_one)

    @classmethod
    def after(cls, trail: Trail, file: int, faults: FaultLog) -> "Linker":
        """Make one that goes on at the 1MHG or 2TRG to which a trail leads from the beginning of the file."""
        return cls(
            file,
            faults,
            _message=trail.message,
            _message_start=trail.start,
            _message_records=trail.records,
            _message_bytes=trail.size,
            _counts_groups=trail.counts_groups,
        )

    def link(self, headers: Headers, span_at: Ints, data: bytes, positions: Ints) -> Links:
        """Link the next records.

        Shapes: `span_at` int64[m], before which record each unreadable span lies (n: after the last);
        `positions` int64[n], where each record starts in `data`.
        """
        spans = np.zeros(len(positions) + 1, bool)
        spans[span_at] = True
        spans[0] |= self._span_before
        self._span_before = False
        message, before = spread_messages(headers.groups, headers.offsets, spans[:-1], self._message)
        transaction, opened_by = self._spread_transactions(headers, spans[:-1])
        parent = self._find_parents(headers, transaction, opened_by)
        self._check_trailers(headers, message, before, data, positions)
        self.messages += int((headers.groups == MHG).sum())
        self.transactions += int((headers.groups == TRG).sum())
        self._message = NONE if headers.groups[-1] == MTG else int(message[-1])
        self._transaction = int(transaction[-1])
        if spans[-1]:
            self.skip()
        return Links(np.maximum(message, NONE), np.maximum(transaction, NONE), parent)

    def skip(self) -> None:
        """Take note of an unreadable span that no record follows in its window."""
        self._message = self._transaction = UNCERTAIN
        self._span_before = True

    def finish(self) -> None:
        """Report what the end of the file leaves open."""
        if self._message >= 0:
            self._report_trailer_missing(self._message)

    def _spread_transactions(self, headers: Headers, spans: Mask) -> tuple[Ints, Ints]:
        """Transaction of each record, and the index of the record that opened it (-1: an earlier window)."""
        begins = headers.groups == TRG
        ends = (headers.groups == MHG) | (headers.groups == MTG)
        events = np.full(len(spans), NONE)
        events[spans] = UNCERTAIN
        events[ends] = NONE
        events[begins] = headers.offsets[begins]
        transaction, opened_by = spread(events, spans | ends | begins, self._transaction)
        uncertain = "an unreadable span may hide a 2TRG: no transaction and no parent until the next one"
        self._report("TRANSACTION_UNCERTAIN", uncertain, headers, spans & ~ends & ~begins)
        self._report(
            "RECORD_OUTSIDE_TRANSACTION", "no 2TRG before it", headers, (transaction == NONE) & ~ends
        )
        return transaction, opened_by

    def _find_parents(self, headers: Headers, transaction: Ints, opened_by: Ints) -> Ints:
        """Offset of each record's parent: the last one before it, in its transaction, that it names."""
        groups, levels, iterations, extends = _named(headers)
        seen, known = self._seen, len(self._seen.groups)
        candidates = _Seen(
            np.concatenate([seen.groups, headers.groups]),
            np.concatenate([seen.levels, headers.levels]),
            np.concatenate([seen.iterations, headers.iterations]),
            np.concatenate([seen.offsets, headers.offsets]),
        )
        opened = np.concatenate([np.full(known, -1), opened_by])
        asks = np.flatnonzero((groups != _BLANK_GROUP) & (transaction >= 0))
        exact = _last_before(candidates, groups[asks], levels[asks], iterations[asks], asks + known)
        exact[(exact >= 0) & (opened[exact] != opened_by[asks])] = -1
        missed = np.flatnonzero((exact < 0) & ~extends[asks])
        lost = asks[missed]
        near = _last_before(candidates, groups[lost], levels[lost], None, lost + known)
        near[(near >= 0) & (opened[near] != opened_by[lost])] = -1
        text = (
            "no such iteration of the named parent before it: the last one of that group and level is taken"
        )
        self._report("PARENT_ITERATION_MISMATCH", text, headers, lost[near >= 0])
        text = "no record of the named group and level before it in its transaction"
        self._report("PARENT_MISSING", text, headers, lost[near < 0])
        exact[missed] = near
        parent = np.full(len(headers.groups), -1)
        parent[asks] = np.where(exact >= 0, candidates.offsets[exact], -1)
        self._seen = _latest(candidates, opened == opened_by[-1])
        return parent

    def _check_trailers(
        self, headers: Headers, message: Ints, before: Ints, data: bytes, positions: Ints
    ) -> None:
        """Compare each trailer with its message, and find messages without one."""
        done = 0
        totals = np.concatenate([[0], np.cumsum(headers.lengths)])
        for at in np.flatnonzero((headers.groups == MHG) | (headers.groups == MTG)).tolist():
            head, length = int(positions[at]), int(headers.lengths[at])
            if headers.groups[at] == MTG:
                if message[at] >= 0:
                    records = self._message_records + at + 1 - done
                    size = self._message_bytes + int(totals[at + 1] - totals[done])
                    span = int(headers.starts[at]) + length - self._message_start
                    counted = (records,) if self._counts_groups else (size, span)
                    self._compare(data[head + 10 : head + min(18, length)], counted, int(headers.offsets[at]))
                continue
            if before[at] >= 0:
                self._report_trailer_missing(int(before[at]))
            self._message_start = int(headers.starts[at])
            self._message_records = self._message_bytes = 0
            self._counts_groups = trailer_counts_groups(data, head, length)
            done = at
        self._message_records += len(positions) - done
        self._message_bytes += int(totals[-1] - totals[done])

    def _compare(self, sent: bytes, counted: tuple[int, ...], trailer: int) -> None:
        """Compare the total of a trailer.

        Characters may or may not include what lies between the groups (assumed).
        """
        total = sent.strip(b" \0")
        if total.isdigit() and int(total) not in counted:
            unit = "groups" if self._counts_groups else "characters"
            text = f"the trailer says {int(total)} {unit}, there are {counted[0]}"
            self.faults.note("TRAILER_COUNT_MISMATCH", text, self.file, record=trailer, group="3MTG")

    def _report_trailer_missing(self, message: int) -> None:
        self.faults.note(
            "TRAILER_MISSING", "the message has no 3MTG", self.file, record=message, group="1MHG"
        )

    def _report(self, code: str, text: str, headers: Headers, at: Ints | Mask) -> None:
        """Report a fault of each record that `at` selects, one group at a time."""
        chosen = np.flatnonzero(at) if at.dtype == bool else at
        for group in np.unique(headers.groups[chosen]).tolist():
            records = chosen[headers.groups[chosen] == group]
            offsets = headers.offsets[records]
            files = np.full(len(records), self.file)
            name = group.to_bytes(4, "little").decode("latin-1")
            self.faults.add(Faults(code, text, files, offsets, offsets, headers.lengths[records], name))


def _named(headers: Headers) -> tuple[Ints, Ints, Ints, Mask]:
    """What each record names as its parent; a 9xxx group that names none extends a 5xxx group.

    That one has its level and iteration. The last array marks those that extend: for them it is no fault
    if there is none.
    Source: FORMAT.md, Hierarchy and Meaning (for a 9xxx group that names a parent: the parent it names).
    """
    extends = (headers.parent_groups == _BLANK_GROUP) & headers.is_data & (headers.groups & 0xFF == ord("9"))
    base = headers.groups - ord("9") + ord("5")
    return (
        np.where(extends, base, headers.parent_groups),
        np.where(extends, headers.levels, headers.parent_levels),
        np.where(extends, headers.iterations, headers.parent_iterations),
        extends,
    )


def _last_before(candidates: _Seen, groups: Ints, levels: Ints, iterations: Ints | None, at: Ints) -> Ints:
    """Find, for each question, the last candidate before position `at` with that group, level and iteration.

    Returns int64, the candidate's position or -1. Without iterations, group and level decide.
    """
    if not len(at) or not len(candidates.groups):
        return np.full(len(at), -1)
    kinds = candidates.groups << 16 | candidates.levels
    known = np.unique(kinds)
    keys, wanted = np.searchsorted(known, kinds), groups << 16 | levels
    asked = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    possible = known[asked] == wanted
    if iterations is not None:
        keys, asked = keys << 32 | candidates.iterations, asked << 32 | iterations
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    runs = np.concatenate([[0], np.cumsum(ordered[1:] != ordered[:-1])])
    size = len(order) + 1
    heads = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    run = np.minimum(np.searchsorted(ordered[heads], asked), len(heads) - 1)
    possible &= ordered[heads][run] == asked
    found = np.searchsorted(runs * size + order, run * size + at) - 1
    possible &= (found >= 0) & (runs[found] == run)
    return np.where(possible, order[found], -1)


def _latest(candidates: _Seen, chosen: Mask) -> _Seen:
    """Keep the last of each designator, level and iteration among the chosen, in file order."""
    at = np.flatnonzero(chosen)[::-1]
    keys = np.stack([candidates.groups[at], candidates.levels[at], candidates.iterations[at]])
    _, latest = np.unique(keys, axis=1, return_index=True)
    kept = np.sort(at[latest])
    return _Seen(
        candidates.groups[kept],
        candidates.levels[kept],
        candidates.iterations[kept],
        candidates.offsets[kept],
    )

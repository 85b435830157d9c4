"""Find where each record starts and ends.

In: the expanded bytes of one file, in windows cut anywhere. Out: arrays of record spans and unreadable spans.
Promises: spans are in file order and do not overlap; records, separators and unreadable spans together cover
every byte; nothing depends on how the windows were cut; what is kept from one window to the next is a few
KiB. It leaves what a record means to `hierarchy` and `decoding`. Raises nothing. Source: FORMAT.md, Records
and Separators.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from al3spark.al3.dictionary.layouts import LONGEST_RECORD, header_length

Ints = npt.NDArray[np.int64]

MESSAGE_HEADER, TRANSACTION_HEADER, MESSAGE_TRAILER = b"1MHG", b"2TRG", b"3MTG"

_PREFIX = 7  # designator and length: what it takes to recognise a record
_MOST_MET = 10_000  # designators remembered, and heads of records
_NARROW = 4  # separators between two records that the hot loop takes in its stride
_GAP = 4096  # how far behind a candidate the next header may be for the walk to resume (assumed)
_LENGTHS = {b"%03d" % length: length for length in range(LONGEST_RECORD + 1)}
# Four digits are no designator (assumed): amounts, dates and any file of numbers would be full of them.
_DESIGNATOR = re.compile(rb"(?![0-9]{4})[0-9A-Z]{4}")
_CANDIDATE = re.compile(rb"(?=(?![0-9]{4})[0-9A-Z]{4}[0-9]{3})")
_SEPARATORS = re.compile(rb"(?:[\x00-\x2f]+|\xef\xbb\xbf)*")


@dataclass(frozen=True, slots=True)
class Frames:
    """What one window held.

    Shapes: `starts`, `lengths` int64[n], the records: positions in `data`, lengths as their headers say;
    `span_starts`, `span_ends` int64[m], unreadable spans in expanded offsets of the file; `span_at` int64[m],
    the index of the record that follows each span (n if none does yet); `bad_lengths` int64[k], expanded
    offsets of headers whose length cannot be. `base`: expanded offset of `data[0]`. `truncated`: the last
    record runs past the end of the file.
    """

    data: bytes
    base: int
    starts: Ints
    lengths: Ints
    span_starts: Ints
    span_ends: Ints
    span_at: Ints
    bad_lengths: Ints
    truncated: bool


@dataclass(slots=True)
class _Found:
    """What is found in the window at hand."""

    starts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    spans: list[tuple[int, int, int]] = field(default_factory=list)
    bad_lengths: list[int] = field(default_factory=list)
    truncated: bool = False
    _before: list[tuple[Ints, Ints]] = field(default_factory=list)  # starts and lengths before those above

    @property
    def count(self) -> int:
        """Records found so far."""
        return sum(len(starts) for starts, _ in self._before) + len(self.starts)

    def add_run(self, ends: Ints, gap: int) -> None:
        """Add records that follow each other behind `ends[0]`, with `gap` bytes before each."""
        self._close()
        self._before.append((ends[:-1] + gap, np.diff(ends) - gap))

    def frames(self, data: bytes, base: int) -> Frames:
        self._close()
        starts, lengths = (np.concatenate(each) for each in zip(*self._before, strict=True))
        spans = np.array(self.spans, np.int64).reshape(-1, 3)
        bad = np.array(self.bad_lengths, np.int64)
        return Frames(data, base, starts, lengths, spans[:, 0], spans[:, 1], spans[:, 2], bad, self.truncated)

    def _close(self) -> None:
        self._before.append((np.array(self.starts, np.int64), np.array(self.lengths, np.int64)))
        self.starts, self.lengths = [], []


@dataclass(slots=True)
class Framer:
    """Frame one file, window by window.

    Counts, in bytes of the expanded file, that add up to its size: `record_bytes`, `separator_bytes`,
    `unreadable_bytes`.
    """

    known: frozenset[bytes] = frozenset()  # designators that are believed at sight
    stop: int | None = None  # expanded offset from which on no record is taken, nor searched
    record_bytes: int = 0
    separator_bytes: int = 0
    unreadable_bytes: int = 0
    opened: bool = False  # a first record was accepted
    lost_at: int = -1  # expanded offset at which an unreadable span began, or -1
    position: int = 0  # expanded offset of what the next window is put behind
    _held: bytes = b""
    _headers: dict[bytes, int] = field(default_factory=dict)  # designators met -> bytes of their header
    _steps: dict[bytes, int] = field(default_factory=dict)  # separators and head of a record -> bytes of both
    _end: int = 0  # `stop` in the window at hand

    @classmethod
    def inside(
        cls,
        known: frozenset[bytes],
        position: int,
        stop: int,
        met: Iterable[bytes] = (),
        opened: bool = True,
        lost_at: int = -1,
    ) -> "Framer":
        """Make one that begins inside a file; `met`: designators of the records before `position`."""
        headers = {code: header_length(code.decode("ascii")) for code in met}
        return cls(known, stop, opened=opened, lost_at=lost_at, position=position, _headers=headers)

    def feed(self, window: bytes, final: bool = False) -> Frames:
        """Frame the next window and what was held back of the one before; `final` with the last one."""
        data = self._held + window if self._held else window
        self._end = len(data) if self.stop is None else min(self.stop - self.position, len(data))
        found, at, going = _Found(), 0, True
        while going:
            step = self._search if self.lost_at >= 0 else self._walk
            at, going = step(data, at, final, found)
        base, self.position, self._held = self.position, self.position + at, data[at:]
        return found.frames(data, base)

    def _walk(self, data: bytes, at: int, final: bool, found: _Found) -> tuple[int, bool]:
        """Take records from `at`; return where it stopped and whether there is more to do in this window."""
        end = self._run(data, at, found)
        at = self._skip(data, end)
        left = len(data) - at
        if at >= self._end or (left < _PREFIX and not final):
            return at, False
        length = self._length(data, at)
        if not length:
            if left >= _PREFIX and _DESIGNATOR.match(data, at):
                found.bad_lengths.append(self.position + at)
            self.lost_at = self.position + at
            return at, True
        if not self.opened:
            opens = data[at : at + 4] in (MESSAGE_HEADER, TRANSACTION_HEADER, MESSAGE_TRAILER)
            leads = opens or self._resumes(data, at, final)
            if leads is None:
                return at, False
            self.opened = leads
            self.lost_at = -1 if leads else self.position + at
            return at, True
        if length > left and not final:
            return at, False
        if len(self._headers) < _MOST_MET:
            self._headers[data[at : at + 4]] = header_length(data[at : at + 4].decode("ascii"))
        if at - end <= _NARROW and len(self._steps) < _MOST_MET:
            self._steps[data[end : at + _PREFIX]] = at - end + length
        found.starts.append(at)
        found.lengths.append(length)
        found.truncated = length > left
        self.record_bytes += min(length, left)
        return at + min(length, left), True

    def _run(self, data: bytes, at: int, found: _Found) -> int:
        """Take whole records while nothing is out of the ordinary: the hot loop.

        What separates the next record from the one before probably separates those behind it, too: so one
        look-up of separator and head together says how far it is to the end of a record.
        """
        if not self.opened:
            return at
        gap = separators_end(data, at, at + _NARROW) - at
        reach = gap + _PREFIX
        limit = min(len(data) - LONGEST_RECORD - _NARROW, self._end - gap)
        steps, ends = self._steps, [at]
        add_end = ends.append
        try:
            while at < limit:
                at += steps[data[at : at + reach]]
                add_end(at)
        except KeyError:
            pass
        if len(ends) > 1:
            self.record_bytes += at - ends[0] - gap * (len(ends) - 1)
            self.separator_bytes += gap * (len(ends) - 1)
            found.add_run(np.array(ends, np.int64), gap)
        return at

    def _skip(self, data: bytes, at: int) -> int:
        end = separators_end(data, at, len(data))
        self.separator_bytes += end - at
        return end

    def _search(self, data: bytes, at: int, final: bool, found: _Found) -> tuple[int, bool]:
        """Look for the next header that leads to another one; return as `_walk` does."""
        for candidate in _CANDIDATE.finditer(data, at):
            if candidate.start() >= self._end:
                return self._end, False
            leads = self._resumes(data, candidate.start(), final)
            if leads is None:
                return candidate.start(), False
            if leads:
                self.opened = True
                self._close_span(candidate.start(), found)
                return candidate.start(), True
        if final and self._end == len(data):
            self._close_span(len(data), found)
            return len(data), False
        return max(at, min(len(data) - _PREFIX + 1, self._end)), False

    def _close_span(self, end: int, found: _Found) -> None:
        found.spans.append((self.lost_at, self.position + end, found.count))
        self.unreadable_bytes += self.position + end - self.lost_at
        self.lost_at = -1

    def _length(self, data: bytes, at: int) -> int:
        """Length of the record whose header is at `at`, 0 if there is none or its length cannot be."""
        length = _LENGTHS.get(data[at + 4 : at + _PREFIX], 0)
        designator = data[at : at + 4]
        header = self._headers.get(designator, 0)
        if not header and _DESIGNATOR.match(designator):
            header = header_length(designator.decode("ascii"))
        return length if header and length >= header else 0

    def _resumes(self, data: bytes, at: int, final: bool) -> bool | None:
        """Whether the walk can go on at `at`; None if more data must tell.

        Another header or the end must follow the record. Chance makes headers out of a parent's designator
        and iteration, or of dates: so a group that is neither known nor was met in this file must not hold a
        record that is, and two headers must follow it.
        """
        following = self._follow(data, at, final)
        if following is None or following < 0:
            return None if following is None else False
        if self._is_familiar(data[at : at + 4]):
            return True
        inside = at + self._length(data, at) + _PREFIX - 1
        for inner in _CANDIDATE.finditer(data, at + 1, inside):
            if self._is_familiar(data[inner.start() : inner.start() + 4]):
                beyond = self._follow(data, inner.start(), final)
                if beyond is None or beyond >= 0:
                    return None if beyond is None else False
        beyond = following if following == len(data) else self._follow(data, following, final)
        return None if beyond is None else beyond >= 0

    def _is_familiar(self, designator: bytes) -> bool:
        return designator in self._headers or designator in self.known

    def _follow(self, data: bytes, at: int, final: bool) -> int | None:
        """Where the header or the end is that follows the record at `at`; -1: nowhere; None: wait."""
        length = self._length(data, at)
        if not length:
            return -1
        end = at + length
        if end > len(data):
            return -1 if final else None
        following = separators_end(data, end, min(end + _GAP, len(data)))
        if following - end >= _GAP:
            return -1
        if following == len(data):
            return following if final else None
        if following + _PREFIX > len(data):
            return -1 if final else None
        return following if self._length(data, following) else -1


def looks_like_record(data: bytes, at: int) -> bool:
    """Whether a designator and digits for its length are there."""
    return _CANDIDATE.match(data, at) is not None


def separators_end(data: bytes, at: int, limit: int) -> int:
    """Give the position behind the separators at a position, if there are any."""
    match = _SEPARATORS.match(data, at, limit)
    return match.end() if match else at

"""Walk through the records of a range of a large file, from wherever the range can be entered.

In: the bytes of one range of a file that is not squeezed. Out: a `Survey`, of which `composing` makes cuts.
Promises: a walk takes the records that the parse of the whole file takes, if it begins where that comes by. A
range is entered where the last record before it ends, which only its neighbour knows: so it is walked from
every offset that can be such an end. A walk that meets bytes that are no record depends on what came before
it, and counts only if that is known.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from al3spark.al3.composing import Standing, Survey, Walk
from al3spark.al3.dictionary.layouts import LONGEST_RECORD
from al3spark.al3.framing import Framer, Frames, looks_like_record, separators_end
from al3spark.al3.hidden import find_hidden
from al3spark.al3.trails import (
    LOOKAHEAD,
    MHG,
    TRG,
    UNCERTAIN,
    Trail,
    make_trail,
    trailer_counts_groups,
)

Ints = npt.NDArray[np.int64]

_ENTRIES = LONGEST_RECORD + 1  # a range begins at most inside the longest record
_HEAD = 64 << 10  # after so many bytes walks from different entries have met or failed
_MOST_WALKS = 4  # from different places behind the head, in a range


@dataclass(frozen=True, slots=True)
class Surveyor:
    """Look at ranges of files. `grid`: a cut is wanted behind each multiple of so many bytes."""

    known: frozenset[bytes]  # designators that the dictionary has a title for
    described: frozenset[bytes]  # and those that it has a layout for
    grid: int

    def survey(self, windows: Iterable[bytes], start: int, stop: int, final: bool) -> Survey:
        """Walk through a range from each possible entry.

        `windows` begin at `start` and go on `LOOKAHEAD` behind `stop`, or to the end of the file: then
        `final`.
        """
        if start == 0:
            return Survey(start, stop, {0: self.walk(windows, Standing(), stop, final)}, (0,))
        rest = iter(windows)
        head, is_all = _take_head(rest, min(start + _HEAD, stop) - start + LOOKAHEAD)
        entries = tuple(
            start + separators_end(head, at, len(head))
            for at in range(min(_ENTRIES, stop - start, len(head)))
        )
        begun = self._begin_walks(head, set(entries), start, stop, final and is_all)
        walkers: dict[int, _Walker] = {}
        for walker in begun.values():
            end = walker.framer.position
            if end not in walkers and len(walkers) < _MOST_WALKS:
                walkers[end] = self._walker(Standing(end, opened=True), stop)
                walkers[end].due = walker.due
        for end, walker in walkers.items():
            walker.feed(head[end - start :], False)
        for window in rest:
            for walker in walkers.values():
                walker.feed(window, False)
        for walker in walkers.values():
            walker.feed(b"", final)
        walks = {
            entry: _join(walker.end(), walkers[walker.framer.position].end())
            for entry, walker in begun.items()
            if walker.framer.position in walkers and walkers[walker.framer.position].counts
        }
        return Survey(start, stop, walks, entries)

    def walk(self, windows: Iterable[bytes], standing: Standing, stop: int, final: bool) -> Walk:
        """Walk on from where a walk stands; `windows` begin there."""
        walker = self._walker(standing, stop, certain=True)
        for window in windows:
            walker.feed(window, False)
        walker.feed(b"", final)
        return walker.end()

    def _begin_walks(
        self, head: bytes, entries: set[int], start: int, stop: int, final: bool
    ) -> dict[int, "_Walker"]:
        """Walk from each entry to the end of the head; give the walks that come there."""
        begun = {}
        cut = min(start + _HEAD, stop)
        for entry in sorted(entries):
            at = entry - start
            if looks_like_record(head, at) or entry >= cut:
                walker = self._walker(Standing(entry, opened=True), cut)
                walker.due = -(-start // self.grid) * self.grid
                walker.feed(head[at : cut - start + LOOKAHEAD], final)
                if walker.counts and walker.framer.position >= cut:
                    begun[entry] = walker
        return begun

    def _walker(self, standing: Standing, stop: int, certain: bool = False) -> "_Walker":
        met = [code for code, *_ in standing.trail.met]
        framer = Framer.inside(
            self.known, standing.offset, stop, met, opened=standing.opened, lost_at=standing.lost_at
        )
        due = max(-(-standing.offset // self.grid), 1) * self.grid
        return _Walker(framer, self.known | self.described, self.grid, certain, due)


@dataclass(slots=True)
class _Walker:
    """One walk. `certain`: what came before it is known, so it goes on behind bytes that are no record.

    `due`: from which offset on a cut is wanted. `counts`: false when it met bytes that are no record.
    """

    framer: Framer
    known: frozenset[bytes]
    grid: int
    certain: bool
    due: int
    counts: bool = True
    _cuts: list[tuple[int, Trail]] = field(default_factory=list)
    _trail: Trail = field(default_factory=Trail)  # since the last cut

    def feed(self, window: bytes, final: bool) -> None:
        """Walk through the next bytes, unless the walk does not count any more."""
        if not self.counts:
            return
        frames = self.framer.feed(window, final)
        is_clean = self.framer.lost_at < 0 and not len(frames.span_at) and not len(frames.bad_lengths)
        self.counts = self.certain or is_clean
        if self.counts and len(frames.starts):
            self._take(frames)
        elif self.counts and len(frames.span_at):
            self._trail = self._trail.then(Trail(message=UNCERTAIN))

    def end(self) -> Walk:
        """Give the walk as far as it went."""
        return Walk(
            self.framer.position, tuple(self._cuts), self._trail, self.framer.lost_at, self.framer.opened
        )

    def _take(self, frames: Frames) -> None:
        starts = frames.base + frames.starts
        groups = _read_groups(frames)
        lost_before = np.zeros(len(groups) + 1, bool)
        hidden = find_hidden(frames, groups, self.known.__contains__)
        lost_before[np.concatenate([frames.span_at, hidden])] = True
        messages = np.flatnonzero(groups == MHG)
        counting = [
            at
            for at in messages.tolist()
            if trailer_counts_groups(frames.data, int(frames.starts[at]), int(frames.lengths[at]))
        ]
        is_place = (groups == TRG) | (groups == MHG)
        is_place[frames.span_at[frames.span_at < len(groups)]] = False  # a part cannot end with such a span
        places = np.flatnonzero(is_place)
        begin = 0
        for end in (*self._choose(places, starts), len(groups)):
            if end > begin:
                some = slice(begin, end)
                trail = make_trail(
                    groups[some],
                    starts[some],
                    starts[some],
                    frames.lengths[some],
                    lost_before[begin : end + 1],
                    np.array(counting) - begin,
                )
                self._trail = self._trail.then(trail)
            if end < len(groups):
                self._cuts.append((int(starts[end]), self._trail))
                self._trail = Trail()
            begin = end

    def _choose(self, places: Ints, starts: Ints) -> Iterator[int]:
        """Choose, of the records where a cut can be, the first one from each multiple of the grid on."""
        at = 0
        while True:
            at += int(np.searchsorted(starts[places[at:]], self.due))
            if at >= len(places):
                return
            self.due = (int(starts[places[at]]) // self.grid + 1) * self.grid
            yield int(places[at])


def _take_head(windows: Iterator[bytes], size: int) -> tuple[bytes, bool]:
    """Take windows until they hold so many bytes; also say whether these were all."""
    parts: list[bytes] = []
    while size > 0:
        window = next(windows, None)
        if window is None:
            return b"".join(parts), True
        parts.append(window)
        size -= len(window)
    return b"".join(parts), False


def _read_groups(frames: Frames) -> Ints:
    codes: npt.NDArray[np.uint32] = np.ndarray((len(frames.data) - 3,), "<u4", frames.data, strides=(1,))
    return codes[frames.starts].astype(np.int64)


def _join(first: Walk, then: Walk) -> Walk:
    if not then.cuts:
        return replace(then, cuts=first.cuts, trail=first.trail.then(then.trail))
    offset, since = then.cuts[0]
    return replace(then, cuts=(*first.cuts, (offset, first.trail.then(since)), *then.cuts[1:]))

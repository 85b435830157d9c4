"""Put the walks through the ranges of a large file together: where the file can be cut.

In: the surveys of all ranges in order. Out: the parts of the file. Promises: a cut is where the parse of the
whole file finds a 1MHG or 2TRG, whatever a remark contains, and says what that parse knows there. Where no
walk counts, `Composition.lacking` says what must be walked again, now that it is known what came before.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from al3spark.al3.trails import BEGINNING, Part, Trail


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a walk stands between two ranges.

    `offset`: of the next byte; `lost_at`: where an open unreadable span began, or -1; `opened`: a record was
    found; `trail`: from the beginning of the file.
    """

    offset: int = 0
    lost_at: int = -1
    opened: bool = False
    trail: Trail = BEGINNING


@dataclass(frozen=True, slots=True)
class Walk:
    """A walk through a range: cuts with the trail from the one before, and how it left the range."""

    offset: int
    cuts: tuple[tuple[int, Trail], ...]
    trail: Trail
    lost_at: int = -1
    opened: bool = True


@dataclass(frozen=True, slots=True)
class Survey:
    """The walks through one range, by the offset of their first record.

    `entries`: for each of the first offsets of the range, counted from `start`, the offset of the record that
    is first if one ends there.
    """

    start: int
    stop: int
    walks: dict[int, Walk]
    entries: tuple[int, ...] = ()

    def find(self, standing: Standing) -> Walk | None:
        """Give the walk that goes on where another one stands, if there is one."""
        if standing.lost_at >= 0 or not standing.opened:
            return None
        at = standing.offset - self.start
        return self.walks.get(self.entries[at]) if 0 <= at < len(self.entries) else None


@dataclass(slots=True)
class Composition:
    """Put the surveys of one file together, in order."""

    file_size: int
    surveys: Sequence[Survey]
    standing: Standing = Standing()
    cuts: list[tuple[int, Trail]] = field(default_factory=list)  # with trails from the beginning of the file
    _next: int = 0
    _rounds: int = 0

    def __post_init__(self) -> None:
        self._go_on()

    @property
    def lacking(self) -> tuple[Standing, int] | None:
        """What must be walked before it can go on: from where, and to which offset. Each time it is more.

        A file that does not begin with AL3 is left as it is: most likely there is none in it.
        """
        if self._next == len(self.surveys) or not self.standing.opened:
            return None
        last = min(self._next + (1 << self._rounds), len(self.surveys)) - 1
        return self.standing, self.surveys[last].stop

    def add(self, walk: Walk) -> None:
        """Take up the walk that was lacking, and go on."""
        self._take(walk)
        self._rounds += 1
        self._go_on()

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts of the file; none if it is not cut."""
        if not self.cuts:
            return ()
        begins = [(0, BEGINNING), *self.cuts]
        stops = [*(offset for offset, _ in self.cuts), self.file_size]
        return tuple(
            Part(start, stop, self.file_size, trail)
            for (start, trail), stop in zip(begins, stops, strict=True)
        )

    def _go_on(self) -> None:
        while self._next < len(self.surveys):
            survey = self.surveys[self._next]
            walk = survey.walks[0] if survey.start == 0 else survey.find(self.standing)
            if self.standing.offset < survey.stop:
                if walk is None:
                    return
                self._take(walk)
            self._next += 1

    def _take(self, walk: Walk) -> None:
        trail = self.standing.trail
        for offset, since in walk.cuts:
            trail = trail.then(since)
            if trail.met:  # else there is no record before it
                self.cuts.append((offset, trail))
        self.standing = Standing(walk.offset, walk.lost_at, walk.opened, trail.then(walk.trail))

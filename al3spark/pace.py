"""How fast a job is: over the last minute, and over all of its time.

In: how many files and bytes are dealt with, whenever somebody looks. Out: rates, and a series of (seconds
since the start, bytes) that stays short however long the job runs: where it would grow longer than
`MOST_POINTS`, every second point goes and later ones come less often. No I/O.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

RATE_OVER_S = 60.0
MOST_POINTS = 240


@dataclass(slots=True)
class Pace:
    """What was noted so far. `points`: (seconds since `begin`, bytes); the last one is always the newest."""

    clock: Callable[[], float] = monotonic
    points: list[tuple[float, int]] = field(default_factory=list)
    _began: float | None = None
    _least_s: float = 0.0  # between two points
    _marks: deque[tuple[float, int, int]] = field(default_factory=deque)

    def begin(self) -> None:
        """Start the clock; what was noted before was waiting, not work."""
        self._began = self.clock()
        self.points = [(0.0, 0)]
        self._marks.clear()

    def note(self, files: int, size: int) -> None:
        """Note how many files and bytes are dealt with now."""
        now = self.clock()
        self._marks.append((now, files, size))
        while len(self._marks) > 2 and now - self._marks[0][0] > RATE_OVER_S:
            self._marks.popleft()
        if self._began is not None:
            self._add(round(now - self._began, 3), size)

    def rates(self) -> tuple[float, float]:
        """Files and bytes a second over the last minute; 0 while a chunk that is repeated catches up."""
        if not self._marks:
            return 0.0, 0.0
        (since, files, size), (now, more_files, more_size) = self._marks[0], self._marks[-1]
        seconds = now - since
        if seconds <= 0:
            return 0.0, 0.0
        return max(more_files - files, 0) / seconds, max(more_size - size, 0) / seconds

    def _add(self, seconds: float, size: int) -> None:
        points = self.points
        if len(points) > 1 and points[-1][0] - points[-2][0] < self._least_s:
            points.pop()
        points.append((seconds, size))
        if len(points) > MOST_POINTS:
            self.points = [*points[:-1:2], points[-1]]
            self._least_s = 2 * seconds / MOST_POINTS

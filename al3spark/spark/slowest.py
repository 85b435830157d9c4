"""Which files took longest: the time of the parse's tasks, shared over the files that they read.

In: the splits of a chunk, and how long the task of each ran. Out: the slowest files. Promises: no time is
lost or made up: a task that read several files does not know what each of them took, so they share its time
by their bytes; a file that is cut gets the time of all its parts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest

from al3spark.spark.splits import Split

MOST_SLOW = 20


@dataclass(frozen=True, slots=True)
class FileTime:
    """How long a file took. `size`: bytes that were read; `tasks`: how many read it.

    `shared`: a task read other files, too, so that its time is shared by bytes.
    """

    path: str
    seconds: float
    size: int
    tasks: int
    shared: bool

    def plus(self, other: "FileTime") -> "FileTime":
        """Give what both parts of a file took."""
        return FileTime(
            self.path,
            self.seconds + other.seconds,
            self.size + other.size,
            self.tasks + other.tasks,
            self.shared or other.shared,
        )


def find_slowest(splits: Sequence[Split], seconds: Mapping[int, float]) -> tuple[FileTime, ...]:
    """Find the slowest files of a chunk; `seconds`: of the task of each split, by its id."""
    times: dict[str, FileTime] = {}
    for split in splits:
        for time in _share(split, seconds.get(split.split_id, 0.0)):
            known = times.get(time.path)
            times[time.path] = known.plus(time) if known else time
    return keep_slowest(times.values())


def keep_slowest(times: Iterable[FileTime]) -> tuple[FileTime, ...]:
    """Keep the slowest few that took any time, the slowest first."""
    return tuple(nlargest(MOST_SLOW, (time for time in times if time.seconds), key=lambda time: time.seconds))


def _share(split: Split, seconds: float) -> Iterable[FileTime]:
    files, size = split.files, split.size
    for file in files:
        part = file.size / size if size else 1 / len(files)
        yield FileTime(file.path, seconds * part, file.size, 1, len(files) > 1)

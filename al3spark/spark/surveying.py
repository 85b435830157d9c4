"""What runs inside tasks before large files are parsed: read their ranges, each in a task of its own.

Out: for each range a digest of its bytes, what it says of the file's form, and the walks through it
(al3/cutting.py); or the fault that says why there is none. A range is a segment of the file's digest.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from al3spark.al3.composing import Standing, Survey, Walk
from al3spark.al3.cutting import Surveyor
from al3spark.al3.memory import keep_freed_memory
from al3spark.al3.squeeze import RangeScan
from al3spark.al3.trails import LOOKAHEAD
from al3spark.errors import StoreError
from al3spark.spark.reading import Failure, as_failure, stream
from al3spark.spark.splits import InputFile, Sealed, seal, unseal
from al3spark.spark.tasks import Batches, ParseTask, Task
from al3spark.store.retrying import Patience

SURVEYS = "range int, payload binary"

_SCHEMA = pa.schema([("range", pa.int32()), ("payload", pa.binary())])


@dataclass(frozen=True, slots=True)
class Range:
    """A range of a file that is to be read. `file`: its number.

    `grid`: a cut is wanted behind each multiple of so many bytes, none if it is 0. `standing`: from where a
    walk that is known so far goes on; without one all walks are looked for.
    """

    file: int
    input: InputFile
    start: int
    stop: int
    grid: int
    standing: Standing | None = None


@dataclass(frozen=True, slots=True)
class RangeRead:
    """What was found in a range. `walk`: that goes on from where it was to."""

    digest: bytes = b""
    characters: int = 0
    strays: int = 0
    escapes: int = 0
    survey: Survey | None = None
    walk: Walk | None = None
    failure: Failure | None = None


def make_survey(task: ParseTask, ranges: tuple[Range, ...]) -> Task:
    """Make the function that reads ranges: their numbers to what was found in them."""
    sealed = Sealed.seal(ranges)
    known = frozenset(group.encode("ascii") for group, _ in task.dictionary.titles)
    described = frozenset(layout.group.encode("ascii") for layout in task.dictionary.layouts)

    def survey(ids: Batches) -> Batches:
        keep_freed_memory()
        for batch in ids:
            for number in batch.column(0).to_pylist():
                asked = sealed.open(number)
                payload = seal(_read(task, Surveyor(known, described, asked.grid), asked))
                yield pa.RecordBatch.from_pylist([{"range": number, "payload": payload}], _SCHEMA)

    return survey


def open_read(payload: bytes) -> RangeRead:
    """Read what a task sent."""
    found: RangeRead = unseal(payload)
    return found


def _read(task: ParseTask, surveyor: Surveyor, asked: Range) -> RangeRead:
    file = asked.input
    begin = asked.standing.offset if asked.standing else asked.start
    end = min(asked.stop + LOOKAHEAD, file.size)
    windows = stream(task.place, file, task.window, Patience(task.retry), begin, end)
    try:
        if asked.standing:
            return RangeRead(walk=surveyor.walk(windows, asked.standing, asked.stop, end == file.size))
        reader = _RangeReader(asked.start, asked.stop)
        counted = reader.read(windows)
        survey = surveyor.survey(counted, asked.start, asked.stop, end == file.size) if asked.grid else None
        for _ in counted:  # what nobody walked through
            pass
    except StoreError as error:
        return RangeRead(failure=as_failure(error))
    scan = reader.scan
    found = None if scan.escapes else survey
    return RangeRead(reader.digest.digest(), scan.characters, scan.strays, scan.escapes, found)


class _RangeReader:
    """Digests and scans the windows of a range, and passes them on while nothing is squeezed."""

    def __init__(self, start: int, stop: int) -> None:
        self.digest = hashlib.blake2b(digest_size=16)
        self.scan = RangeScan(stop - start, start == 0)
        self._room = stop - start

    def read(self, windows: Iterator[bytes]) -> Iterator[bytes]:
        for window in windows:
            self.digest.update(memoryview(window)[: self._room])
            self._room = max(self._room - len(window), 0)
            self.scan.feed(window)
            if not self.scan.escapes:
                yield window
        self.scan.feed(b"", final=True)

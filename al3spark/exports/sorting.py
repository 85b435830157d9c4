"""Sort rows of any number in bounded memory.

In: batches of one schema, and the columns to sort by. Out: the same rows in order, nulls last. Promises: what
is held at a time is a few runs of 16 MiB, whatever there is to sort; what is more goes to temporary files
(TMPDIR) that have no name, so that nothing is left even of a process that is killed. Rows that are equal in
all these columns come in any order. Raises: StoreError where a temporary file cannot be written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import chain
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from al3spark.store.disks import disk_errors

RUN_BYTES = 16 << 20
BLOCK_BYTES = 256 << 10  # what is read of a run at a time
MOST_RUNS = 64  # that are merged at a time
BUFFER_BYTES = 1 << 20

Integers = npt.NDArray[np.int64]


def sort_rows(batches: Iterable[pa.RecordBatch], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Give all rows in order, in batches of any size."""
    with ExitStack() as files:
        runs = _Runs(keys, files)
        waiting: list[pa.RecordBatch] = []
        for batch in (each for each in batches if each.num_rows):  # so that rows are left for the last run
            if sum(each.nbytes for each in waiting) >= RUN_BYTES:
                runs.add(_sort(waiting, keys))
                waiting = []
            waiting.append(batch)
        if not runs.levels:
            yield from _sort(waiting, keys)
            return
        runs.add(_sort(waiting, keys))
        waiting = []
        yield from _merge([run for level in runs.levels for run in level], keys)


def _sort(batches: list[pa.RecordBatch], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Give the rows of a list in order, in one batch; empties the list, to hold them no longer."""
    if batches:
        rows = _join(batches)
        batches.clear()
        yield rows.take(_order(rows, keys))


def _join(batches: Sequence[pa.RecordBatch]) -> pa.RecordBatch:
    if len(batches) == 1:
        return batches[0]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _order(rows: pa.RecordBatch, keys: Sequence[str]) -> pa.Array:
    return pc.sort_indices(rows, [(key, "ascending") for key in keys])


@dataclass(slots=True)
class _Run:
    """Sorted rows in a temporary file. `head`: what was read of them and not given out yet."""

    file: IO[bytes]
    blocks: Any
    left: int
    head: pa.RecordBatch

    def read_on(self) -> None:
        """Hold at least half a block, unless there is no more."""
        while self.left and (not self.head.num_rows or self.head.nbytes < BLOCK_BYTES // 2):
            with disk_errors(tempfile.gettempdir()):
                block = self.blocks.read_next_batch()
            self.head = _join([self.head, block]) if self.head.num_rows else block
            self.left -= 1


class _Runs:
    """Runs by level: 64 of one level become one of the next, so that few are open at a time."""

    def __init__(self, keys: Sequence[str], files: ExitStack) -> None:
        self.levels: list[list[_Run]] = []
        self._keys, self._files = keys, files

    def add(self, rows: Iterator[pa.RecordBatch]) -> None:
        run = self._write(rows)
        for level in self.levels:
            level.append(run)
            if len(level) < MOST_RUNS:
                return
            run = self._write(_merge(level, self._keys))
            for merged in level:
                _close(merged.file)
            level.clear()
        self.levels.append([run])

    def _write(self, rows: Iterator[pa.RecordBatch]) -> _Run:
        count, first = 0, next(rows)
        with disk_errors(tempfile.gettempdir()):
            file = tempfile.TemporaryFile(buffering=BUFFER_BYTES)  # noqa: SIM115 -- the stack closes it
            self._files.callback(_close, file)
            with pa.ipc.new_stream(file, first.schema) as stream:
                for block in _cut(chain([first], rows)):
                    stream.write_batch(block)
                    count += 1
            file.seek(0)
            pa.default_memory_pool().release_unused()
            return _Run(file, pa.ipc.open_stream(file), count, pa.RecordBatch.from_pylist([], first.schema))


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # of what could not be written; nobody needs it any more
        file.close()


def _cut(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Cut into blocks."""
    for batch in batches:
        rows = max(BLOCK_BYTES * batch.num_rows // max(batch.nbytes, 1), 1)
        for start in range(0, batch.num_rows, rows):
            yield batch.slice(start, rows)


def _merge(runs: Sequence[_Run], keys: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Give the rows of all runs in order.

    What is read of a run is no later than the rest of it. So all is in its place that is no later than the
    end of each head, but for runs that have no rest.
    """
    while True:
        for run in runs:
            run.read_on()
        runs = [run for run in runs if run.head.num_rows]
        if not runs:
            return
        sizes = np.array([run.head.num_rows for run in runs])
        after = np.cumsum(sizes)
        order = np.asarray(_order(_join([run.head.select(keys) for run in runs]), keys)).astype(np.int64)
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        ends = place[[end - 1 for run, end in zip(runs, after, strict=True) if run.left]]
        chosen = order[: int(ends.min(initial=len(order) - 1)) + 1]
        owners = np.searchsorted(after, chosen, side="right")
        counts = np.bincount(owners, minlength=len(runs))
        parts = [run.head.slice(0, count) for run, count in zip(runs, counts.tolist(), strict=True) if count]
        for run, count in zip(runs, counts.tolist(), strict=True):
            run.head = run.head.slice(count)
        if len(parts) == 1:
            yield parts[0]
        else:  # heads are sorted, and the order is stable: of each a first part is taken
            moved = (np.cumsum(counts) - counts) - (after - sizes)
            yield _join(parts).take(pa.array(chosen + moved[owners]))

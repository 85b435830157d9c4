"""The work of a batch without Spark: what it could cost at least on this machine.

Each process takes its share of the files, parses them as a task does, and stages one Parquet file for each
table as the write stage does: row groups of as many bytes, the same settings, synced. Nothing is shuffled, no
ledger is kept, nothing is published.
"""

import gc
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context

import numpy as np
import pyarrow as pa

from al3spark.al3.blocks import Block, plain_rows
from al3spark.al3.comments import file_schemas
from al3spark.planning import list_inputs
from al3spark.preparing import Prepared
from al3spark.spark.reading import read_files
from al3spark.spark.splits import InputFile, Split
from al3spark.spark.tasks import SplitTotals, parse_split
from al3spark.spark.writing import ROW_GROUP_BYTES, final_name, write_rows
from al3spark.store.places import Place
from al3spark.store.retrying import Patience
from al3spark.store.staging import StagedWriter
from al3spark.store.tablefiles import begin_parquet

_JOB = "batch-20260102-abc123"
_DAY = "2026-01-02"
_BEYOND_CACHES = 256 << 20

Tables = dict[str, list[pa.RecordBatch]]


@dataclass(frozen=True, slots=True)
class Share:
    """What one process does; `number` tells it from the others."""

    prepared: Prepared
    number: int
    files: tuple[InputFile, ...]

    @property
    def split(self) -> Split:
        """All of it as if one task did it."""
        return Split(self.number, self.files)


Work = Callable[[Share], float]  # gives the seconds that it took


@contextmanager
def open_processes(count: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that have imported what they need."""
    with ProcessPoolExecutor(count, get_context("spawn")) as pool:
        list(pool.map(abs, range(4 * count)))
        yield pool


def deal_shares(prepared: Prepared, count: int) -> tuple[Share, ...]:
    """Deal the files of a source to so many processes, about equal bytes to each."""
    hands: list[list[InputFile]] = [[] for _ in range(count)]
    sizes = [0] * count
    for file in sorted(list_inputs(prepared.source, "*"), key=lambda file: -file.size):
        least = sizes.index(min(sizes))
        hands[least].append(file)
        sizes[least] += file.size
    return tuple(Share(prepared, number, tuple(hand)) for number, hand in enumerate(hands))


def time_all(pool: ProcessPoolExecutor, work: Work, shares: Sequence[Share]) -> float:
    """Let every process do its share; seconds of the slowest one."""
    return max(pool.map(work, shares))


def run_share(share: Share) -> float:
    """Read, parse and write."""
    began = time.perf_counter()
    tables = _Tables(share)
    for block in parse_split(share.prepared.parse_task, share.split):
        if isinstance(block, Block):
            tables.add(block)
    tables.finish()
    return time.perf_counter() - began


def read_share(share: Share) -> float:
    """Read, and do no more with it than a digest and a look for the form of each file."""
    began = time.perf_counter()
    task = share.prepared.parse_task
    patience = Patience(task.retry)
    for _ in read_files(task.place, share.files, task.limits, task.window, patience):
        pass
    return time.perf_counter() - began


def load_share(share: Share) -> float:
    """Read alone."""
    began = time.perf_counter()
    for file in share.files:
        share.prepared.source.read_range(file.name, 0, file.size, file.version)
    return time.perf_counter() - began


def parse_share(share: Share) -> float:
    """Read and parse; `read_share` tells what of it is reading."""
    began = time.perf_counter()
    for _ in parse_split(share.prepared.parse_task, share.split):
        pass
    return time.perf_counter() - began


def encode_share(share: Share) -> float:
    """Turn Arrow into Parquet that goes nowhere."""
    tables: Tables = {}
    for block in parse_split(share.prepared.parse_task, share.split):
        if not isinstance(block, SplitTotals):
            tables.setdefault(block.table, []).append(plain_rows(block.batch))
    gc.collect()
    began = time.perf_counter()
    schemas = file_schemas(share.prepared.dictionary.layouts)
    for name, batches in tables.items():
        with begin_parquet(_Nowhere(), schemas[name]) as parquet:
            for rows in _row_groups(batches):
                write_rows(parquet, rows, _JOB)
    return time.perf_counter() - began


def copy_memory(share: Share) -> float:
    """Copy as many bytes as the share has, in a buffer that no cache holds."""
    whence = np.ones(_BEYOND_CACHES, np.uint8)
    whither = np.ones(_BEYOND_CACHES, np.uint8)
    rounds = max(share.split.size // _BEYOND_CACHES, 1)
    began = time.perf_counter()
    for _ in range(rounds):
        np.copyto(whither, whence)
    return (time.perf_counter() - began) * share.split.size / (rounds * _BEYOND_CACHES)


def _row_groups(batches: Sequence[pa.RecordBatch]) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    for batch in batches:
        waiting.append(batch)
        if sum(each.nbytes for each in waiting) >= ROW_GROUP_BYTES:
            yield pa.Table.from_batches(waiting)
            waiting = []
    if waiting:
        yield pa.Table.from_batches(waiting)


@dataclass(slots=True)
class _Tables:
    """A file for each table, all open at once."""

    share: Share
    _files: "dict[str, _Table]" = field(default_factory=dict)
    _schemas: dict[str, pa.Schema] = field(init=False)

    def __post_init__(self) -> None:
        self._schemas = file_schemas(self.share.prepared.dictionary.layouts)

    def add(self, block: Block) -> None:
        if block.table not in self._files:
            destination, number = self.share.prepared.destination, self.share.number
            name = final_name(block.table, _DAY, _JOB, number, f"{number:05}")
            self._files[block.table] = _Table(destination, name, number, self._schemas[block.table])
        self._files[block.table].add(plain_rows(block.batch))

    def finish(self) -> None:
        for file in self._files.values():
            file.finish()


class _Table:
    def __init__(self, place: Place, name: str, number: int, schema: pa.Schema) -> None:
        self._file: StagedWriter = place.stage(name, _JOB, number, 0)
        self._parquet = begin_parquet(self._file, schema)
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._bytes += batch.nbytes
        if self._bytes >= ROW_GROUP_BYTES:
            self._write()

    def finish(self) -> None:
        self._write()
        self._parquet.close()
        self._file.finish()

    def _write(self) -> None:
        if self._waiting:
            write_rows(self._parquet, pa.Table.from_batches(self._waiting), _JOB)
            self._waiting, self._bytes = [], 0


class _Nowhere:
    """A binary file that keeps nothing."""

    closed = False

    def __init__(self) -> None:
        self._at = 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:
        self._at += len(data)
        return len(data)

    def tell(self) -> int:
        return self._at

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

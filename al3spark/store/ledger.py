"""The `files` table as a ledger: which input was dealt with, how it ended, and which contents are there.

In: the Parquet files of the table. Out: a Ledger, for lookups of whole listings at once.
Promises: the last attempt of a path, size and version counts; some 60 bytes of memory a row, however long the
paths are; found means equal, with the certainty of 128 bits of BLAKE2b (as with `file_id` itself).
Leaves to others: recovery first, so that what is visible is committed; and what a status means for a new run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from al3spark.errors import StoreError
from al3spark.store.places import Place

FILES_TABLE = "files"
FILES_SCHEMA = pa.schema(
    [
        pa.field("job_id", pa.string(), nullable=False),
        pa.field("file_path", pa.string(), nullable=False),
        ("file_id", pa.string()),
        pa.field("status", pa.string(), nullable=False),
        ("reason", pa.string()),
        ("duplicate_of", pa.string()),
        ("replaces", pa.string()),
        ("archived_to", pa.string()),
        ("size", pa.int64()),
        ("version", pa.string()),
        ("expanded_size", pa.int64()),
        ("record_bytes", pa.int64()),
        ("separator_bytes", pa.int64()),
        ("unreadable_bytes", pa.int64()),
        ("messages", pa.int64()),
        ("transactions", pa.int64()),
        ("records", pa.int64()),
        ("faults", pa.int64()),
        ("started_at", pa.timestamp("us", tz="UTC")),
        ("finished_at", pa.timestamp("us", tz="UTC")),
        ("attempts", pa.int64()),
    ]
)
STATUSES = ("succeeded", "succeeded_with_faults", "failed", "skipped")
SUCCEEDED = 2  # so many of them, from the first
COLUMNS = ["file_path", "size", "version", "file_id", "status", "finished_at"]
BATCH_ROWS = 1 << 14
READERS = 4

Integers = npt.NDArray[np.int64]
RowGroup = tuple[Place, str, int]  # where it is, the file, and its number in the file
Digests = npt.NDArray[np.uint64]  # [n, 2]: 16 bytes a row


@dataclass(frozen=True, slots=True)
class _Index:
    """Digests, sorted, and a number for each."""

    digests: Digests
    numbers: Integers

    def find(self, digests: Digests) -> Integers:
        """The number of each digest, -1 where it is not there."""
        numbers = np.full(len(digests), -1)
        near, end = (np.searchsorted(self.digests[:, 0], digests[:, 0], side) for side in ("left", "right"))
        left = np.flatnonzero(near < end)
        while len(left):  # once, but for digests whose first halves are equal
            same = self.digests[near[left], 1] == digests[left, 1]
            numbers[left[same]] = self.numbers[near[left[same]]]
            near[left] += 1
            left = left[~same & (near[left] < end[left])]
        return numbers


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is kept of some rows of a row group. `finished`: microseconds since 1970."""

    group: RowGroup
    keys: Digests
    statuses: npt.NDArray[np.int32]
    finished: Integers
    rows: Integers  # those that succeeded; the two that follow are of them only
    contents: Digests
    sizes: Integers


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of files that were dealt with."""

    _statuses: _Index  # path, size and version -> place in STATUSES
    _contents: _Index  # file_id -> row, counted over all row groups
    _sizes: Integers
    _groups: tuple[RowGroup, ...]
    _starts: Integers  # the row with which each begins

    def known(self, paths: Sequence[str], sizes: Integers, versions: Sequence[str]) -> list[str | None]:
        """The last status of each path, size and version; None if there is none."""
        found = self._statuses.find(_digest_keys(paths, sizes.tolist(), versions))
        return [STATUSES[number] if number >= 0 else None for number in found.tolist()]

    def sizes_known(self, sizes: Integers) -> npt.NDArray[np.bool_]:
        """Whether a file of each size was ingested: only then can it be the same content."""
        first, after = (np.searchsorted(self._sizes, sizes, side) for side in ("left", "right"))
        return first < after

    def path_of(self, file_id: str) -> str | None:
        """The path under which a content was ingested first, None if it was not."""
        return self.paths_of([file_id])[0]

    def paths_of(self, file_ids: Sequence[str]) -> list[str | None]:
        """The same for many; paths are read from the table again, each row group once."""
        rows = self._contents.find(_parse_ids(file_ids))
        groups = np.searchsorted(self._starts, rows, side="right") - 1  # -1 for what is not there
        paths: list[str | None] = [None] * len(rows)
        for group in np.unique(groups[groups >= 0]).tolist():
            wanted = np.flatnonzero(groups == group)
            column = _read_paths(self._groups[group])
            found = column.take(pa.array(rows[wanted] - self._starts[group])).to_pylist()
            for position, path in zip(wanted.tolist(), found, strict=True):
                paths[position] = path
        return paths


def no_ledger() -> Ledger:
    """A ledger that knows nothing."""
    return _assemble(())


def load_ledger(place: Place) -> Ledger:
    """Read the ledger of a destination. StoreError: a file of the table cannot be read."""
    names = [name for name in place.list_names(f"{FILES_TABLE}/") if name.endswith(".parquet")]
    return _assemble(_read_files(place, names))


def _assemble(batches: Iterable[_Batch]) -> Ledger:
    """Put all rows together, in buffers that grow in place: no two copies of 5 million rows."""
    keys, statuses, finished, rows, contents, sizes = (bytearray() for _ in range(6))
    starts: dict[RowGroup, int] = {}
    count = 0
    for batch in batches:
        starts.setdefault(batch.group, count)
        keys.extend(batch.keys.tobytes())
        statuses.extend(batch.statuses.tobytes())
        finished.extend(batch.finished.tobytes())
        rows.extend((batch.rows + count).tobytes())
        contents.extend(batch.contents.tobytes())
        sizes.extend(batch.sizes.tobytes())
        count += len(batch.statuses)
    when, where = np.frombuffer(finished, np.int64), np.frombuffer(rows, np.int64)
    known = _index(_as_digests(keys), np.frombuffer(statuses, np.int32), when)
    del keys, statuses
    return Ledger(
        known,
        _index(_as_digests(contents), where, -when[where]),
        np.sort(np.frombuffer(sizes, np.int64)),
        tuple(starts),
        np.array(list(starts.values()), np.int64),
    )


def _index(digests: Digests, numbers: Integers, rank: Integers) -> _Index:
    """Sort; of equal digests the one with the highest rank stays."""
    order = np.lexsort((rank, digests[:, 1], digests[:, 0]))
    last = np.ones(len(order), bool)
    last[:-1] = (digests[order[1:]] != digests[order[:-1]]).any(axis=1)
    return _Index(digests[order[last]], numbers[order[last]])


def _read_files(place: Place, names: Sequence[str]) -> Iterator[_Batch]:
    """A few files at a time, so that what is read does not pile up."""
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(names), READERS):
            for batches in pool.map(partial(_read_file, place), names[start : start + READERS]):
                yield from batches


def _read_file(place: Place, name: str) -> list[_Batch]:
    try:
        with place.open_stream(name) as stream, pq.ParquetFile(stream) as file:
            return [
                _condense((place, name, group), rows)
                for group in range(file.num_row_groups)
                for rows in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=COLUMNS)
            ]
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise StoreError(f"{place.uri(name)}: not a file of the ledger ({error})") from error


def _condense(group: RowGroup, batch: pa.RecordBatch) -> _Batch:
    """Keep what lookups need. ValueError: content that no batch writes."""
    paths, sizes, versions = (batch[name].to_pylist() for name in ("file_path", "size", "version"))
    statuses = pc.index_in(batch["status"], pa.array(STATUSES)).fill_null(-1).to_numpy()
    if (statuses < 0).any():
        raise ValueError("an unknown status")
    rows = np.flatnonzero((statuses < SUCCEEDED) & batch["file_id"].is_valid().to_numpy(False))
    return _Batch(
        group,
        _digest_keys(paths, sizes, versions),
        statuses,
        batch["finished_at"].cast(pa.int64()).fill_null(0).to_numpy(),
        rows,
        _parse_ids(batch["file_id"].take(pa.array(rows)).to_pylist()),
        batch["size"].fill_null(-1).to_numpy()[rows],
    )


@lru_cache(maxsize=2)
def _read_paths(group: RowGroup) -> pa.ChunkedArray:
    """The paths of a row group; kept, because the next path that is asked for is often beside the last."""
    place, name, number = group
    with place.open_stream(name) as stream, pq.ParquetFile(stream) as file:
        return file.read_row_group(number, columns=["file_path"])["file_path"]


def _digest_keys(paths: Sequence[str], sizes: Sequence[int], versions: Sequence[str]) -> Digests:
    digests = [
        hashlib.blake2b(f"{path}\0{size}\0{version}".encode(), digest_size=16).digest()
        for path, size, version in zip(paths, sizes, versions, strict=True)
    ]
    return _as_digests(b"".join(digests))


def _parse_ids(file_ids: Sequence[str]) -> Digests:
    """ValueError: not 32 hex digits each."""
    digests = _as_digests(bytes.fromhex("".join(file_ids)))
    if len(digests) != len(file_ids):
        raise ValueError("a file_id that is not 32 hex digits")
    return digests


def _as_digests(data: bytes | bytearray) -> Digests:
    return np.frombuffer(data, np.uint64).reshape(-1, 2)

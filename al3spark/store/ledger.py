"""The `files` table as a ledger: which input was dealt with, how it ended, and which contents are there.

In: the Parquet files of the table. Out: a Ledger, for lookups of whole listings at once.
Promises: the last attempt of a path counts; some 100 bytes of memory a row, however long the paths are; found
means equal, with the certainty of 128 bits of BLAKE2b (as with `file_id` itself). A ledger reads its table
again for some answers: compact it under the lock only.
Leaves to others: recovery first, so that what is visible is committed; and what a status means for a new run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any

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
COLUMNS = [
    "file_path",
    "size",
    "version",
    "file_id",
    "status",
    "duplicate_of",
    "replaces",
    "finished_at",
]
BATCH_ROWS = 1 << 14
READERS = 4
ATTEMPTS = 3

Integers = npt.NDArray[np.int64]
RowGroup = tuple[Place, str, int]  # where it is, the file, and its number in the file
Digests = npt.NDArray[np.uint64]  # [n, 2]: 16 bytes a row


@dataclass(frozen=True, slots=True)
class _Index:
    """Digests, sorted, and a number for each."""

    digests: Digests
    numbers: npt.NDArray[np.integer[Any]]

    def find(self, digests: Digests) -> Integers:
        """The number of each digest, -1 where it is not there."""
        places = self.find_places(digests)
        numbers = np.full(len(digests), -1)
        met = places >= 0
        numbers[met] = self.numbers[places[met]]
        return numbers

    def find_places(self, digests: Digests) -> Integers:
        """Where each digest is, -1 where it is not there."""
        places = np.full(len(digests), -1)
        near, end = (np.searchsorted(self.digests[:, 0], digests[:, 0], side) for side in ("left", "right"))
        left = np.flatnonzero(near < end)
        while len(left):  # once, but for digests whose first halves are equal
            same = self.digests[near[left], 1] == digests[left, 1]
            places[left[same]] = near[left[same]]
            near[left] += 1
            left = left[~same & (near[left] < end[left])]
        return places


@dataclass(frozen=True, slots=True)
class _Batch:
    """What is kept of the rows of a part of a row group. `finished`: microseconds since 1970.

    `contents`: digests of the rows in `rows`, which are those with a file_id that tell what is where.
    """

    group: RowGroup
    paths: Digests
    versions: npt.NDArray[np.uint64]  # of size and version
    statuses: npt.NDArray[np.int8]
    finished: Integers
    sizes: Integers
    rows: Integers
    contents: Digests
    replacing: Integers  # rows that name a content whose rows they replaced
    replaced: Digests


@dataclass(frozen=True, slots=True)
class Held:
    """A content whose rows are in the tables: the job that wrote them, and the path it read."""

    file_id: str
    job_id: str
    path: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What is known of files that were dealt with.

    A content is *there* if a row says that it succeeded and no later row says that its rows were replaced. A
    path *holds* the content of the newest of its rows that succeeded or were skipped as a duplicate.
    """

    _paths: _Index  # path -> row of its last attempt, counted over all row groups
    _versions: npt.NDArray[np.uint64]  # by row
    _statuses: npt.NDArray[np.int8]  # by row
    _contents: _Index  # file_id of what is there -> row
    _holding: npt.NDArray[
        np.int32
    ]  # by path, in the order of `_paths`: the row that tells what it holds, or -1
    _held: npt.NDArray[np.uint64]  # first halves of what all paths hold, sorted
    _sizes: Integers
    _groups: tuple[RowGroup, ...]
    _starts: Integers  # the row with which each begins
    newest: datetime  # when the last row was finished
    _gone: frozenset[str] = frozenset()

    def known(self, paths: Sequence[str], sizes: Integers, versions: Sequence[str]) -> list[str | None]:
        """The last status of each path; None if there is none, or it had another size or version then."""
        rows = self._paths.find(_digest(paths))
        met = np.flatnonzero(rows >= 0)
        same = met[self._versions[rows[met]] == _digest_versions(sizes.tolist(), versions)[met]]
        ended: list[str | None] = [None] * len(rows)
        for position, status in zip(same.tolist(), self._statuses[rows[same]].tolist(), strict=True):
            ended[position] = STATUSES[status]
        return ended

    def sizes_known(self, sizes: Integers) -> npt.NDArray[np.bool_]:
        """Whether a file of each size was ingested: only then can it be the same content."""
        first, after = (np.searchsorted(self._sizes, sizes, side) for side in ("left", "right"))
        return first < after

    def path_of(self, file_id: str) -> str | None:
        """The path under which a content that is there was ingested, None if it is not there."""
        return self.paths_of([file_id])[0]

    def paths_of(self, file_ids: Sequence[str]) -> list[str | None]:
        """The same for many."""
        return [held.path if held else None for held in self.find_contents(file_ids)]

    def find_contents(self, file_ids: Sequence[str]) -> list[Held | None]:
        """What is known of contents that are there; read from the table again, each row group once."""
        rows = self._contents.find(_parse_ids(file_ids))
        if self._gone:
            rows[[file_id in self._gone for file_id in file_ids]] = -1
        found = self._read(rows, "file_id", "job_id", "file_path")
        return [Held(*values) if values else None for values in found]

    def held_by(self, paths: Sequence[str]) -> list[Held | None]:
        """What each path holds, None where that is nothing that is there."""
        places = self._paths.find_places(_digest(paths))
        holding = np.full(len(places), -1)
        holding[places >= 0] = self._holding[places[places >= 0]]
        ids = [values[0] if values else None for values in self._read(holding, "file_id")]
        held: list[Held | None] = [None] * len(ids)
        asked = [(position, file_id) for position, file_id in enumerate(ids) if file_id]
        found = self.find_contents([file_id for _, file_id in asked])
        for (position, _), each in zip(asked, found, strict=True):
            held[position] = each
        return held

    def holders(self, file_ids: Sequence[str]) -> list[int]:
        """How many paths hold each content."""
        halves = _parse_ids(file_ids)[:, 0]
        first, after = (np.searchsorted(self._held, halves, side) for side in ("left", "right"))
        return list((after - first).tolist())

    def last_rows(self, paths: Sequence[str], *columns: str) -> list[tuple[Any, ...] | None]:
        """Values of the row of the last attempt of each path."""
        return self._read(self._paths.find(_digest(paths)), *columns)

    def without(self, file_ids: Iterable[str]) -> Ledger:
        """The same ledger, but these contents are not there any more."""
        return replace(self, _gone=self._gone | set(file_ids))

    def _read(self, rows: Integers, *columns: str) -> list[tuple[Any, ...] | None]:
        """Values of rows, None for row -1."""
        groups = np.searchsorted(self._starts, rows, side="right") - 1  # -1 for what is not there
        values: list[tuple[Any, ...] | None] = [None] * len(rows)
        for group in np.unique(groups[groups >= 0]).tolist():
            wanted = np.flatnonzero(groups == group)
            table = _read_columns(self._groups[group], columns)
            found = table.take(pa.array(rows[wanted] - self._starts[group]))
            for position, *each in zip(
                wanted.tolist(), *(found[name].to_pylist() for name in columns), strict=True
            ):
                values[position] = tuple(each)
        return values


def no_ledger() -> Ledger:
    """A ledger that knows nothing."""
    return _assemble(())


def load_ledger(place: Place) -> Ledger:
    """Read the ledger of a destination. StoreError: a file of the table cannot be read.

    Without the lock a compaction can remove a file that was listed; then the list is made again.
    """
    for _ in range(ATTEMPTS):
        names = _list_files(place)
        try:
            return _assemble(_read_files(place, names))
        except StoreError:
            if names == _list_files(place):
                raise
    return _assemble(_read_files(place, _list_files(place)))


@dataclass(frozen=True, slots=True)
class Outcome:
    """A file that a job published."""

    path: str
    file_id: str


def list_outcomes(place: Place, job_id: str) -> Iterator[Outcome]:
    """The files that a job published, from its own rows; StoreError: a file of the table cannot be read."""
    columns = ["job_id", "file_path", "file_id", "status"]
    for name in _list_files(place):
        with _open(place, name) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=columns):
                wanted = pc.and_(
                    pc.equal(batch["job_id"], job_id), pc.starts_with(batch["status"], "succeeded")
                )
                rows = batch.filter(wanted)
                for path, file_id in zip(
                    rows["file_path"].to_pylist(), rows["file_id"].to_pylist(), strict=True
                ):
                    yield Outcome(path, file_id)


def _list_files(place: Place) -> list[str]:
    return [name for name in place.list_names(f"{FILES_TABLE}/") if name.endswith(".parquet")]


def _assemble(batches: Iterable[_Batch]) -> Ledger:
    """Put all rows together, in buffers that grow in place: no two copies of 5 million rows."""
    names = ("paths", "versions", "statuses", "finished", "sizes", "contents", "replaced")
    buffers = {name: bytearray() for name in names}
    rows, replacing = bytearray(), bytearray()
    starts: dict[RowGroup, int] = {}
    count = 0
    for batch in batches:
        starts.setdefault(batch.group, count)
        for name, buffer in buffers.items():
            buffer.extend(getattr(batch, name).tobytes())
        rows.extend((batch.rows + count).tobytes())
        replacing.extend((batch.replacing + count).tobytes())
        count += len(batch.statuses)
    statuses = np.frombuffer(buffers["statuses"], np.int8)
    finished, sizes = (np.frombuffer(buffers[name], np.int64) for name in ("finished", "sizes"))
    contents, replaced = (_as_digests(buffers[name]) for name in ("contents", "replaced"))
    where, by = np.frombuffer(rows, np.int64), np.frombuffer(replacing, np.int64)
    paths, holding = _index_paths(_as_digests(buffers.pop("paths")), finished, where)
    held = np.zeros(count, np.uint64)
    held[where] = contents[:, 0]
    held = np.sort(held[holding[holding >= 0]])
    there = _is_there(contents, where, statuses, finished, _index(replaced, finished[by], finished[by]))
    if not there.all():
        contents, where = contents[there], where[there]
    return Ledger(
        paths,
        np.frombuffer(buffers["versions"], np.uint64),
        statuses,
        _index(contents, where, -finished[where]),
        holding,
        held,
        np.sort(sizes[where]),
        tuple(starts),
        np.array(list(starts.values()), np.int64),
        datetime.fromtimestamp(int(finished.max(initial=0)) / 1e6, UTC),
    )


def _index_paths(
    paths: Digests, finished: Integers, telling: Integers
) -> tuple[_Index, npt.NDArray[np.int32]]:
    """The last row of each path, and of those that tell what it holds the last one, or -1."""
    order, last = _sort(paths, finished)
    tells = np.zeros(len(order), bool)
    tells[telling] = True
    latest = np.where(tells[order], np.arange(len(order), dtype=np.int32), -1)
    latest = np.maximum.accumulate(latest)[last]  # a place in `order`, maybe of a path before
    ends = np.flatnonzero(last)
    begins = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    holding = np.where(latest >= begins, order[latest], -1).astype(np.int32)
    return _Index(paths[order[last]], order[last]), holding


def _is_there(
    contents: Digests, rows: Integers, statuses: npt.NDArray[np.int8], finished: Integers, replaced: _Index
) -> npt.NDArray[np.bool_]:
    """Which contents succeeded, and were not replaced by a later row."""
    since = replaced.find(contents)  # a time, -1 where nothing was replaced
    return np.asarray((statuses[rows] < SUCCEEDED) & (finished[rows] >= since))


def _index(digests: Digests, numbers: Integers, rank: Integers) -> _Index:
    """Sort; of equal digests the one with the highest rank stays."""
    order, last = _sort(digests, rank)
    return _Index(digests[order[last]], numbers[order[last]])


def _sort(digests: Digests, rank: Integers) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The order of digests, of equal ones by rank; and which of them are the last of equal ones."""
    order = np.lexsort((rank, digests[:, 1], digests[:, 0])).astype(np.int32)
    last = np.ones(len(order), bool)
    last[:-1] = False
    for half in (0, 1):
        values = digests[order, half]
        last[:-1] |= values[1:] != values[:-1]
    return order, last


def _read_files(place: Place, names: Sequence[str]) -> Iterator[_Batch]:
    """A few files at a time, so that what is read does not pile up."""
    with ThreadPoolExecutor(READERS) as pool:
        for start in range(0, len(names), READERS):
            for batches in pool.map(partial(_read_file, place), names[start : start + READERS]):
                yield from batches


def _read_file(place: Place, name: str) -> list[_Batch]:
    with _open(place, name) as file:
        return [
            _condense((place, name, group), rows)
            for group in range(file.num_row_groups)
            for rows in file.iter_batches(BATCH_ROWS, row_groups=[group], columns=COLUMNS)
        ]


@contextmanager
def _open(place: Place, name: str) -> Iterator[pq.ParquetFile]:
    """StoreError: it is not a file of the table."""
    try:
        with place.open_stream(name) as stream, pq.ParquetFile(stream) as file:
            yield file
    except (pa.ArrowException, KeyError, ValueError) as error:
        raise StoreError(f"{place.uri(name)}: not a file of the ledger ({error})") from error


def _condense(group: RowGroup, batch: pa.RecordBatch) -> _Batch:
    """Keep what lookups need. ValueError: content that no batch writes."""
    paths, sizes, versions = (batch[name].to_pylist() for name in ("file_path", "size", "version"))
    statuses = pc.index_in(batch["status"], pa.array(STATUSES)).fill_null(-1).to_numpy()
    if (statuses < 0).any():
        raise ValueError("an unknown status")
    tells = (statuses < SUCCEEDED) | batch["duplicate_of"].is_valid().to_numpy(False)
    rows = np.flatnonzero(tells & batch["file_id"].is_valid().to_numpy(False))
    replacing = np.flatnonzero(batch["replaces"].is_valid().to_numpy(False))
    return _Batch(
        group,
        _digest(paths),
        _digest_versions(sizes, versions),
        statuses.astype(np.int8),
        batch["finished_at"].cast(pa.int64()).fill_null(0).to_numpy(),
        batch["size"].fill_null(-1).to_numpy(),
        rows,
        _parse_ids(batch["file_id"].take(pa.array(rows)).to_pylist()),
        replacing,
        _parse_ids(batch["replaces"].take(pa.array(replacing)).to_pylist()),
    )


@lru_cache(maxsize=4)
def _read_columns(group: RowGroup, columns: tuple[str, ...]) -> pa.Table:
    """Columns of a row group; kept, because the next row that is asked for is often beside the last."""
    place, name, number = group
    with place.open_stream(name) as stream, pq.ParquetFile(stream) as file:
        return file.read_row_group(number, columns=list(columns))


def _digest(texts: Sequence[str]) -> Digests:
    return _as_digests(b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts))


def _digest_versions(sizes: Sequence[int], versions: Sequence[str]) -> npt.NDArray[np.uint64]:
    """64 bits are enough: they are compared for one path only."""
    digests = [
        hashlib.blake2b(f"{size}\0{version}".encode(), digest_size=8).digest()
        for size, version in zip(sizes, versions, strict=True)
    ]
    return np.frombuffer(b"".join(digests), np.uint64)


def _parse_ids(file_ids: Sequence[str]) -> Digests:
    """ValueError: not 32 hex digits each."""
    digests = _as_digests(bytes.fromhex("".join(file_ids)))
    if len(digests) != len(file_ids):
        raise ValueError("a file_id that is not 32 hex digits")
    return digests


def _as_digests(data: bytes | bytearray) -> Digests:
    return np.frombuffer(data, np.uint64).reshape(-1, 2)

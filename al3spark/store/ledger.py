"""The `files` table as a ledger: which input was dealt with, how it ended, and which contents are there.

In: the Parquet files of the table. Out: a Ledger, for lookups of whole listings at once.
Promises: the last attempt of a path counts; some 100 bytes of memory a row, however long the paths are; found
means equal, with the certainty of 128 bits of BLAKE2b (as with `file_id` itself). A ledger reads its table
again for some answers: compact it under the lock only.
Leaves to others: recovery first, so that what is visible is committed; and what a status means for a new run.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from al3spark.errors import StoreError
from al3spark.store.digests import (
    Digests,
    Index,
    Integers,
    as_digests,
    build_index,
    digest_texts,
    digest_versions,
    parse_ids,
    sort_digests,
)
from al3spark.store.files_table import (
    STATUSES,
    SUCCEEDED,
    Excerpt,
    RowGroup,
    list_parts,
    read_columns,
    read_parts,
)
from al3spark.store.places import Place

ATTEMPTS = 3


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

    _paths: Index  # path -> row of its last attempt, counted over all row groups
    _versions: Integers  # by row
    _statuses: npt.NDArray[np.int8]  # by row
    _contents: Index  # file_id of what is there -> row
    _holding: npt.NDArray[np.int32]  # by path, in the order of `_paths`: the row that tells it, or -1
    _held: npt.NDArray[np.uint64]  # first halves of what all paths hold, sorted
    _sizes: Integers
    _groups: tuple[RowGroup, ...]
    _starts: Integers  # the row with which each begins
    newest: datetime  # when the last row was finished
    _gone: frozenset[str] = frozenset()

    def known(self, paths: Sequence[str], sizes: Integers, versions: Sequence[str]) -> list[str | None]:
        """The last status of each path; None if there is none, or it had another size or version then."""
        rows = self._paths.find(digest_texts(paths))
        met = np.flatnonzero(rows >= 0)
        same = met[self._versions[rows[met]] == digest_versions(sizes.tolist(), versions)[met]]
        ended: list[str | None] = [None] * len(rows)
        for position, status in zip(same.tolist(), self._statuses[rows[same]].tolist(), strict=True):
            ended[position] = STATUSES[status]
        return ended

    def sizes_known(self, sizes: Integers) -> npt.NDArray[np.bool_]:
        """Whether a file of each size was ingested: only then can it be the same content."""
        first, after = (np.searchsorted(self._sizes, sizes, side) for side in ("left", "right"))
        return first < after

    def versions_known(self, sizes: Integers, versions: Sequence[str]) -> npt.NDArray[np.bool_]:
        """Whether a file of each size and version was dealt with, under any path."""
        return np.isin(digest_versions(sizes.tolist(), versions), self._versions)

    def path_of(self, file_id: str) -> str | None:
        """The path under which a content that is there was ingested, None if it is not there."""
        return self.paths_of([file_id])[0]

    def paths_of(self, file_ids: Sequence[str]) -> list[str | None]:
        """The same for many."""
        return [held.path if held else None for held in self.find_contents(file_ids)]

    def find_contents(self, file_ids: Sequence[str]) -> list[Held | None]:
        """What is known of contents that are there; read from the table again, each row group once."""
        rows = self._contents.find(parse_ids(file_ids))
        if self._gone:
            rows[[file_id in self._gone for file_id in file_ids]] = -1
        found = self._read(rows, "file_id", "job_id", "file_path")
        return [Held(*values) if values else None for values in found]

    def held_by(self, paths: Sequence[str]) -> list[Held | None]:
        """What each path holds, None where that is nothing that is there."""
        places = self._paths.find_places(digest_texts(paths))
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
        halves = parse_ids(file_ids)[:, 0]
        first, after = (np.searchsorted(self._held, halves, side) for side in ("left", "right"))
        return list((after - first).tolist())

    def last_rows(self, paths: Sequence[str], *columns: str) -> list[tuple[Any, ...] | None]:
        """Values of the row of the last attempt of each path."""
        return self._read(self._paths.find(digest_texts(paths)), *columns)

    def without(self, file_ids: Iterable[str]) -> Ledger:
        """The same ledger, but these contents are not there any more."""
        return replace(self, _gone=self._gone | set(file_ids))

    def _read(self, rows: Integers, *columns: str) -> list[tuple[Any, ...] | None]:
        """Values of rows, None for row -1."""
        groups = np.searchsorted(self._starts, rows, side="right") - 1  # -1 for what is not there
        values: list[tuple[Any, ...] | None] = [None] * len(rows)
        for group in np.unique(groups[groups >= 0]).tolist():
            wanted = np.flatnonzero(groups == group)
            table = read_columns(self._groups[group], columns)
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
        names = list_parts(place)
        try:
            return _assemble(read_parts(place, names))
        except StoreError:
            if names == list_parts(place):
                raise
    return _assemble(read_parts(place, list_parts(place)))


def _assemble(excerpts: Iterable[Excerpt]) -> Ledger:
    """Put all rows together, in buffers that grow in place: no two copies of 5 million rows."""
    names = ("paths", "versions", "statuses", "finished", "sizes", "contents", "replaced")
    buffers = {name: bytearray() for name in names}
    rows, replacing = bytearray(), bytearray()
    starts: dict[RowGroup, int] = {}
    count = 0
    for excerpt in excerpts:
        starts.setdefault(excerpt.group, count)
        for name, buffer in buffers.items():
            buffer.extend(getattr(excerpt, name).tobytes())
        rows.extend((excerpt.rows + count).tobytes())
        replacing.extend((excerpt.replacing + count).tobytes())
        count += len(excerpt.statuses)
    statuses = np.frombuffer(buffers["statuses"], np.int8)
    finished, sizes = (np.frombuffer(buffers[name], np.int64) for name in ("finished", "sizes"))
    contents, replaced = (as_digests(buffers[name]) for name in ("contents", "replaced"))
    where, by = np.frombuffer(rows, np.int64), np.frombuffer(replacing, np.int64)
    paths, holding = _index_paths(as_digests(buffers.pop("paths")), finished, where)
    held = np.zeros(count, np.uint64)
    held[where] = contents[:, 0]
    held = np.sort(held[holding[holding >= 0]])
    there = _is_there(contents, where, statuses, finished, build_index(replaced, finished[by], finished[by]))
    if not there.all():
        contents, where = contents[there], where[there]
    return Ledger(
        paths,
        np.frombuffer(buffers["versions"], np.int64),
        statuses,
        build_index(contents, where, -finished[where]),
        holding,
        held,
        np.sort(sizes[where]),
        tuple(starts),
        np.array(list(starts.values()), np.int64),
        datetime.fromtimestamp(int(finished.max(initial=0)) / 1e6, UTC),
    )


def _index_paths(
    paths: Digests, finished: Integers, telling: Integers
) -> tuple[Index, npt.NDArray[np.int32]]:
    """The last row of each path, and of those that tell what it holds the last one, or -1."""
    order, last = sort_digests(paths, finished)
    tells = np.zeros(len(order), bool)
    tells[telling] = True
    latest = np.where(tells[order], np.arange(len(order), dtype=np.int32), -1)
    latest = np.maximum.accumulate(latest)[last]  # a place in `order`, maybe of a path before
    ends = np.flatnonzero(last)
    begins = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    holding = np.where(latest >= begins, order[latest], -1).astype(np.int32)
    return Index(paths[order[last]], order[last]), holding


def _is_there(
    contents: Digests, rows: Integers, statuses: npt.NDArray[np.int8], finished: Integers, replaced: Index
) -> npt.NDArray[np.bool_]:
    """Which contents succeeded, and were not replaced by a later row."""
    since = replaced.find(contents)  # a time, -1 where nothing was replaced
    return np.asarray((statuses[rows] < SUCCEEDED) & (finished[rows] >= since))

"""Find the files of a job again, to read them once more: where they were, or where the archive put them.

In: a job, its destination, and the places where its files can be. Out: files to read, under the paths that
they had, and what their new rows replace. Raises: RequestError if the job has nothing to replace, BatchError
if a file is gone; before anything is read or removed.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from al3spark.al3.archives import is_archive
from al3spark.errors import BatchError, RequestError
from al3spark.spark.splits import InputFile
from al3spark.store.files_table import list_outcomes
from al3spark.store.ledger import Held, Ledger
from al3spark.store.naming import StoredFile
from al3spark.store.places import Place, Readable

_MOST_NAMED = 3


@dataclass(frozen=True, slots=True)
class Relocated:
    """Files by the path that they had, wherever they are now: a `Readable` with paths for names."""

    files: Mapping[str, tuple[Place, str]]

    def uri(self, name: str) -> str:
        """The path that the file had."""
        return name

    def read_range(self, name: str, offset: int, length: int, version: str) -> bytes:
        """See Readable."""
        place, now = self.files[name]
        return place.read_range(now, offset, length, version)

    def open_stream(self, name: str, version: str | None = None) -> BinaryIO:
        """See Readable."""
        place, now = self.files[name]
        return place.open_stream(now, version)


@dataclass(frozen=True, slots=True)
class Rerun:
    """What a job is run again with.

    `again`: what it wrote, by path of the file or of the member of an archive. `archived`: where the archive
    put a file, by path.
    """

    files: tuple[InputFile, ...]
    place: Readable
    again: Mapping[str, Held]
    archived: Mapping[str, str]


def find_rerun(destination: Place, job_id: str, ledger: Ledger, places: Sequence[Place]) -> Rerun:
    """Find what a job published and nobody replaced since."""
    rows = list(list_outcomes(destination, job_id))
    held = ledger.find_contents([row.file_id for row in rows])
    again = {row.path: was for row, was in zip(rows, held, strict=True) if was and was.job_id == job_id}
    if not again:
        raise RequestError(f"reprocess: {job_id} has written nothing that is still in the tables")
    paths = list(dict.fromkeys(_physical(path) for path in again))
    last = zip(paths, ledger.last_rows(paths, "archived_to"), strict=True)
    moved = {path: row[0] for path, row in last if row and row[0]}
    there = {uri: (place, file) for place in places for uri, file in _list(place)}
    found = {path: there.get(moved.get(path, path)) or there.get(path) for path in paths}
    gone = [path for path in paths if found[path] is None]
    if gone:
        raise BatchError(
            f"reprocess: {len(gone)} of the files of {job_id} are neither in the source nor in the archive, "
            f"so nothing is replaced: {', '.join(gone[:_MOST_NAMED])}{', ...' if gone[_MOST_NAMED:] else ''}"
        )
    files, now = [], {}
    for path, each in found.items():
        if each:
            place, file = each
            files.append(InputFile(path, path, file.size, file.size, file.version))
            now[path] = place, file.name
    return Rerun(tuple(files), Relocated(now), again, moved)


def _physical(path: str) -> str:
    """The file that a path is, or lies in: `/in/a.zip` for `/in/a.zip!b.al3`."""
    for mark in re.finditer("!", path):
        if is_archive(path[: mark.start()]):
            return path[: mark.start()]
    return path


def _list(place: Place) -> Iterator[tuple[str, StoredFile]]:
    for file in place.list_files():
        yield place.uri(file.name), file

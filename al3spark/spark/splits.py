"""Files to splits of about equal bytes, and splits to chunks.

In: the files that a batch reads. Out: splits, one for each task of the parse, and chunks of splits, each one
published as a whole. Promises: every file is in exactly one split; the order of files is kept, so the same
listing gives the same splits.
"""

import pickle
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from al3spark.al3.trails import Part

Item = TypeVar("Item")

_FILE_COST = 64 << 10  # opening a file costs about as much as reading this many bytes


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to parse, or a member of an archive (`member`, its full path).

    `name`, `version`: as listed by the source. `size`: bytes to parse, out of an archive. `listed_size`:
    bytes as listed, for a member of a .zip as expanded. `file_id`: "" where the parse finds it out (the file
    is read whole there). `transcoded`: known for files that are read as a stream. `failure`: a fault code, a
    message and whether waiting can help, if it is known that the file cannot be parsed. `parts`: into which a
    large file is to be cut; `part`: the one that this is.
    """

    path: str
    name: str
    size: int
    listed_size: int
    version: str
    member: str = ""
    file_id: str = ""
    transcoded: bool = False
    failure: tuple[str, str, bool] | None = None
    parts: tuple[Part, ...] = ()
    part: Part | None = None

    @property
    def pieces(self) -> tuple["InputFile", ...]:
        """What is parsed on its own: the file, or each of its parts."""
        if not self.parts or self.failure:
            return (self,)
        return tuple(replace(self, parts=(), part=part, size=part.stop - part.start) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Split:
    """What one task parses."""

    split_id: int
    files: tuple[InputFile, ...]

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True)
class Sealed(Generic[Item]):
    """Splits, or what else tasks work on, as every task gets them all; it opens only its own.

    Sealed, 100,000 files are 2 to 4 MB, and take no time but their copy.
    """

    sealed: tuple[bytes, ...]

    @classmethod
    def seal(cls, items: Iterable[Item]) -> "Sealed[Item]":
        """Make each of them a few bytes."""
        return cls(tuple(seal(item) for item in items))

    def open(self, number: int) -> Item:
        """Give one of them, counted from 0."""
        item: Item = unseal(self.sealed[number])
        return item


def seal(item: object) -> bytes:
    """Make something a few bytes, for the way between driver and task."""
    return zlib.compress(pickle.dumps(item), 1)


def unseal(sealed: bytes) -> Any:
    """Give what was sealed."""
    return pickle.loads(zlib.decompress(sealed))


def pack_splits(files: Iterable[InputFile], split_bytes: int) -> tuple[Split, ...]:
    """Pack files, or the parts of large ones, into splits of at most about `split_bytes`.

    What is larger is a split of its own.
    """
    packs: list[list[InputFile]] = []
    room = 0
    for file in (piece for given in files for piece in given.pieces):
        cost = file.size + _FILE_COST
        if not packs or cost > room:
            packs.append([])
            room = split_bytes
        packs[-1].append(file)
        room -= cost
    return tuple(Split(number, tuple(pack)) for number, pack in enumerate(packs))


def choose_split_bytes(files: Sequence[InputFile], cores: int, limit: int) -> int:
    """Choose a size that gives every core several splits, yet no more than `limit` and no less than 1 MiB."""
    total = sum(file.size + _FILE_COST for file in files)
    return max(min(limit, total // (3 * cores) + 1), 1 << 20)


def cut_chunks(splits: Sequence[Split], chunk_bytes: int) -> tuple[tuple[Split, ...], ...]:
    """Cut splits into chunks of about `chunk_bytes`, but no file.

    Opening a file counts, so that they are not too many.
    """
    chunks: list[list[Split]] = []
    room = 0
    for split in splits:
        cost = split.size + len(split.files) * _FILE_COST
        first = split.files[0].part
        if not chunks or (cost > room and not (first and first.start)):
            chunks.append([])
            room = chunk_bytes
        chunks[-1].append(split)
        room -= cost
    return tuple(tuple(chunk) for chunk in chunks)


def whole_files(splits: Iterable[Split]) -> tuple[InputFile, ...]:
    """Give the files of splits in order, those that are cut once."""
    files: dict[str, InputFile] = {}
    for file in (file for split in splits for file in split.files):
        whole = replace(file, part=None, size=file.listed_size) if file.part else file
        files.setdefault(file.path, whole)
    return tuple(files.values())

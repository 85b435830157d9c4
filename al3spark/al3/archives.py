"""The files inside .gz and .zip files: also zips in zips, a .gz in a zip, a zip in a .gz.

In: a seekable binary stream (`read(n)` gives n bytes unless the end is near) and its path.
Out: a `Member` per file inside, in archive order, each with its expanded bytes in windows of one size.
Paths: `a.zip!b.al3`, `a.zip!b.zip!c.al3`, `a.zip!b.al3.gz`, `a.zip.gz!b.al3`; a .gz adds no segment.
Names are labels, nothing is written under them. A backslash becomes `/`, a leading `/` goes, `!` and what
does not print become `_`, a second equal name ends in `#2`: a path names one member, each time the same.
Promises: what cannot be read is a `Member` with a reason, or an `UnreadableError` out of its windows; an
archive causes no other exception. Limits count the bytes that come out, never what headers claim.
Memory: two windows, and the directories on the way; an inner zip over 16 MiB goes to a temporary file.
Leaves to others: reading the stream, whose StoreError passes untouched, and what the bytes mean.
Source: FORMAT.md, Character set; PKWARE's APPNOTE.TXT; RFC 1952.
"""

import errno
import io
import tempfile
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import IO, BinaryIO, TypeAlias

from al3spark.al3.inflating import (
    PIECE,
    ZIP_DAMAGE,
    UnreadableError,
    cut_windows,
    find_obstacle,
    gunzip,
    inflate,
)
from al3spark.errors import StoreError

ARCHIVE_SUFFIXES = (".gz", ".zip")

_SPOOL_IN_MEMORY = 16 * 1024 * 1024
_END_RECORD = 128 * 1024  # zipfile looks for it in the last 64 KiB and some
_ENTRY = 320  # bytes of directory for one member, amply; a directory of more for each one allowed is not read


@dataclass(frozen=True, slots=True)
class Limits:
    """How far an outermost archive may expand, all that is in it together; what is beyond is not read.

    depth: archives on the way to a member, the outermost and each .gz included.
    ratio: bytes that came out, those of inner archives too, to bytes stored; checked once over `ratio_from`.
    members: entries of all directories.
    """

    depth: int = 4
    ratio: int = 1000
    ratio_from: int = 64 * 1024 * 1024
    total_bytes: int = 64 * 1024 * 1024 * 1024
    members: int = 100_000

    def __post_init__(self) -> None:
        """Raise ValueError unless every limit lets something through."""
        if min(self.depth, self.ratio, self.total_bytes, self.members) < 1 or self.ratio_from < 0:
            raise ValueError("the limits of archives must be at least 1, ratio_from at least 0")


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside an archive, or an inner archive that cannot be opened.

    `reason` is empty if it can be read, as far as is known before; else one short clause without payload.
    """

    path: str
    reason: str = ""


Members: TypeAlias = Iterator[tuple[Member, Iterator[bytes]]]


def is_archive(path: str) -> bool:
    """Say whether the name is that of an archive; upper and lower case are alike."""
    return path.lower().endswith(ARCHIVE_SUFFIXES)


def iter_members(
    path: str, stream: BinaryIO, limits: Limits, window: int, only: Collection[str] | None = None
) -> Members:
    """Walk through the members of the archive `path`, each with the iterator of its windows.

    Take or skip a member's windows before the next member, and keep the walk meanwhile: its end closes all.
    Windows that are skipped are not expanded.
    `only`: paths of members from an earlier walk. No others are given or expanded, except an inner archive on
    the way to one of them that turns out unreadable. Units: window in bytes, at least 1; the last is shorter.
    Left out: folders, and names with a part that starts with `.` or `_`; a zip of nothing else has a reason.
    Raises UnreadableError, out of windows only, and at once out of those of a member that has a reason;
    StoreError for an OSError of the stream or of temporary files; whatever else the stream raises.
    """
    source = _Source(stream)
    walk = _Walk(limits, window, source.size, None if only is None else _with_archives(only))
    yield from walk.expand(path, path, source.pieces(), 0, source)


def open_member(
    path: str, member_path: str, stream: BinaryIO, limits: Limits, window: int
) -> Iterator[bytes]:
    """Read the windows of one member, found again by its full path.

    It reads the directories again; for several members take `iter_members(..., only=...)`.
    Raises as `iter_members` does; UnreadableError also if there is no such member.
    """
    for _, windows in iter_members(path, stream, limits, window, only=(member_path,)):
        yield from windows
        return
    raise UnreadableError("not in the archive")


class _Source:
    """What zipfile reads from; bounds directories and keeps an OSError of the disk apart from damage."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._position = 0
        self.size = stream.seek(0, io.SEEK_END)
        self.longest_read: int | None = None  # set while zipfile reads a directory, in one piece

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        target = offset + (0, self._position, self.size)[whence]
        if target < 0:
            raise OSError(errno.EINVAL, "before the start")  # as a file does: zipfile relies on it
        self._position = min(target, self.size)
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = self.size - self._position
        size = left if size < 0 else min(size, left)
        if self.longest_read is not None and size > self.longest_read:
            raise UnreadableError("directory too long")
        try:
            self._stream.seek(self._position)
            data = self._stream.read(size)
        except OSError as error:
            raise StoreError(f"reading an archive stopped: {error.strerror}", retryable=True) from error
        self._position += len(data)
        return data

    def pieces(self) -> Iterator[bytes]:
        return iter(partial(self.read, PIECE), b"")


@dataclass(slots=True)
class _Walk:
    """One walk through one outermost archive; counts what came out of it so far."""

    limits: Limits
    window: int
    stored: int
    only: frozenset[str] | None
    expanded: int = 0
    entries: int = 0

    def expand(
        self, path: str, name: str, pieces: Iterator[bytes], depth: int, source: _Source | None = None
    ) -> Members:
        """Give the file itself, or its members if `name` says archive; `source` is the file, if seekable."""
        if not is_archive(name):
            yield Member(path), cut_windows(pieces, self.window)
        elif depth >= self.limits.depth:
            yield _refused(path, f"nested deeper than {self.limits.depth}")
        elif name.lower().endswith(".gz"):
            yield from self.expand(path, name[:-3], self.count(gunzip(pieces)), depth + 1)
        else:
            yield from self.unzip(path, pieces, depth + 1, source)

    def unzip(self, path: str, pieces: Iterator[bytes], depth: int, source: _Source | None) -> Members:
        with ExitStack() as stack:
            reason = ""
            try:
                archive = stack.enter_context(self.open_zip(source or _spooled(pieces, stack)))
                labelled = list(_labelled(archive.infolist()))
            except UnreadableError as fault:
                reason, labelled = str(fault), []
            if not labelled:
                yield _refused(path, reason or "holds no files")
            for info, name, label in labelled:
                inner = f"{path}!{label}"
                if self.only is not None and inner not in self.only:
                    continue
                if obstacle := find_obstacle(info):
                    yield _refused(inner, obstacle)
                else:
                    yield from self.expand(inner, name, self.count(inflate(archive, info)), depth)

    def open_zip(self, source: _Source) -> zipfile.ZipFile:
        source.longest_read = max(_END_RECORD, _ENTRY * (self.limits.members - self.entries))
        try:
            archive = zipfile.ZipFile(source)
        except ZIP_DAMAGE as error:
            raise UnreadableError("not a zip file, or damaged") from error
        source.longest_read = None
        if self.entries + len(archive.infolist()) > self.limits.members:
            archive.close()
            raise UnreadableError(f"more than {self.limits.members} members")
        self.entries += len(archive.infolist())
        return archive

    def count(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        for piece in pieces:
            self.expanded += len(piece)
            if self.expanded > self.limits.total_bytes:
                raise UnreadableError(f"archive expands to more than {self.limits.total_bytes} bytes")
            if self.expanded > max(self.limits.ratio_from, self.limits.ratio * self.stored):
                raise UnreadableError(f"archive expands more than {self.limits.ratio} times")
            yield piece


def _labelled(infos: Iterable[zipfile.ZipInfo]) -> Iterator[tuple[zipfile.ZipInfo, str, str]]:
    """Give every visible file's entry, its clean name, and its label: the name made unique."""
    taken: set[str] = set()
    copies: Counter[str] = Counter()
    for info in infos:
        raw = info.filename.replace("\\", "/")
        parts = [part for part in raw.split("/") if part not in ("", ".")]
        if raw.endswith("/") or any(part != ".." and part.startswith((".", "_")) for part in parts):
            continue
        name = "".join(c if c.isprintable() and c != "!" else "_" for c in "/".join(parts)) or "unnamed"
        label = name
        while label in taken:
            copies[name] += 1
            label = f"{name}#{copies[name] + 1}"
        taken.add(label)
        yield info, name, label


def _with_archives(paths: Collection[str]) -> frozenset[str]:
    """Add to the paths those of the archives that they lie in."""
    return frozenset(prefix for path in paths for prefix in accumulate(path.split("!"), "{}!{}".format))


def _spooled(pieces: Iterable[bytes], stack: ExitStack) -> _Source:
    spool = tempfile.SpooledTemporaryFile(_SPOOL_IN_MEMORY)  # noqa: SIM115 - the caller's stack closes it
    stack.enter_context(spool)
    for piece in pieces:
        try:
            spool.write(piece)
        except OSError as error:
            raise StoreError(f"spooling an archive stopped: {error.strerror}", retryable=True) from error
    return _Source(spool)


def _refused(path: str, reason: str) -> tuple[Member, Iterator[bytes]]:
    return Member(path, reason), _raising(reason)


def _raising(reason: str) -> Iterator[bytes]:
    yield from ()
    raise UnreadableError(reason)

"""Write a corpus of sample files, some of them broken on purpose.

In: how many files, how large, a seed. Out: a folder per sender, with files as carriers send them: bare under
various names, in .gz, in .zip and in zips in zips. What was broken is listed in `_broken.csv`, a name that
ingestion leaves out. Promises: the same arguments give the same bytes (no clock; a file depends on the seed
and its number only); what is not listed there is valid. Memory: that of a broken file or of an inner archive.
"""

import csv
import gzip
import io
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import BinaryIO

from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.errors import RequestError
from al3spark.sampling.damaging import DAMAGES, Damage, Pieces
from al3spark.sampling.senders import SENDERS, Form, Sender
from al3spark.sampling.stock import Stock

BROKEN_LIST = "_broken.csv"

_MESSAGES = (1, 1, 2, 3)
_NESTED = "_nested.zip"
_SUFFIXES = (".al3", ".dat", "", ".gz", ".txt", ".zip", _NESTED)  # 7 of them: each meets each of 12 senders
_MEMBERS = 3
_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time that a .zip can hold


@dataclass(frozen=True, slots=True)
class BrokenFile:
    """A row of `_broken.csv`.

    `path`: below the corpus. `fault`: the code that the parse gives it. `offset`: None if all is broken.
    """

    path: str
    damage: str
    fault: str
    offset: int | None


@dataclass(frozen=True, slots=True)
class SampleReport:
    """What was written: number of files on disk, their bytes, and which are broken."""

    files: int
    size: int
    broken: tuple[BrokenFile, ...]


def write_sample(directory: Path, files: int, size_kib: int, seed: int, damage: float = 0.0) -> SampleReport:
    """Write `files` files of about `size_kib` KiB each (before .gz or .zip).

    `damage`, 0 to 1: how likely each is to be broken.

    The directory is made if need be, and must be empty. Raises RequestError; OSError as the disk does.
    """
    _check(directory, files, size_kib, damage)
    corpus = _Corpus(seed, size_kib << 10, damage)
    broken: list[BrokenFile] = []
    size = 0
    for number in range(files):
        found = corpus.write(directory, number)
        size += found.size
        broken += found.broken
    if damage:
        with (directory / BROKEN_LIST).open("w", newline="", encoding="utf-8") as stream:
            rows = csv.writer(stream, lineterminator="\n")
            rows.writerow(("file", "damage", "fault", "offset"))
            rows.writerows((each.path, each.damage, each.fault, each.offset) for each in broken)
    return SampleReport(files, size, tuple(broken))


def sample_bytes(size: int, seed: int, sender: Sender = SENDERS[0]) -> bytes:
    """Make one valid file of about `size` bytes."""
    stock = Stock(load_dictionary(), sender, seed)
    return b"".join(stock.write_file(Random(f"{seed}/sample"), size, messages=1))


@dataclass(frozen=True, slots=True)
class _Written:
    size: int
    broken: tuple[BrokenFile, ...] = ()


@dataclass(slots=True)
class _Corpus:
    """What all files of a corpus share."""

    seed: int
    size: int
    damage: float
    _dictionary: Dictionary = field(default_factory=load_dictionary)
    _stocks: dict[Sender, Stock] = field(default_factory=dict)

    def write(self, directory: Path, number: int) -> _Written:
        """Write one file."""
        rng = Random(f"{self.seed}/file/{number}")
        sender = SENDERS[number % len(SENDERS)]
        path = f"{sender.code.lower()}/download_{number:05}"
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        if rng.random() < self.damage:
            return self._write_broken(directory, path, rng, sender, DAMAGES[number % len(DAMAGES)])
        suffix = _SUFFIXES[number % len(_SUFFIXES)]
        with (directory / f"{path}{suffix}").open("wb") as stream:
            if suffix.endswith(".zip"):
                self._write_zip(stream, rng, sender, nested=suffix == _NESTED)
            elif suffix == ".gz":
                _write_gzip(stream, self._file(rng, sender, self.size))
            else:
                stream.writelines(self._file(rng, sender, self.size))
            return _Written(stream.tell())

    def _write_broken(
        self, directory: Path, path: str, rng: Random, sender: Sender, damage: Damage
    ) -> _Written:
        plain = replace(sender, form=Form.PLAIN, lead=b"", tail=b"")
        pieces = list(self._stock(plain).write_file(rng, self.size, messages=2))
        broken = damage.apply(Pieces(sender, pieces))
        name = f"{path}{damage.suffix or '.al3'}"
        (directory / name).write_bytes(broken.data)
        row = BrokenFile(name, damage.name, damage.fault, broken.offset)
        return _Written(len(broken.data), (row,))

    def _write_zip(self, stream: BinaryIO, rng: Random, sender: Sender, nested: bool) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(1, _MEMBERS + 1):
                pieces = self._file(rng, sender, self.size // _MEMBERS)
                if nested and number == 1:
                    _add(archive, "policies.al3.gz", _gzipped(pieces))
                elif nested and number == 2:
                    _add(archive, "more.zip", _zipped("inner/policies.al3", pieces))
                else:
                    _add(archive, f"policies_{number}.al3", pieces)

    def _file(self, rng: Random, sender: Sender, size: int) -> Iterator[bytes]:
        return self._stock(sender).write_file(rng, size, rng.choice(_MESSAGES))

    def _stock(self, sender: Sender) -> Stock:
        if sender not in self._stocks:
            self._stocks[sender] = Stock(self._dictionary, sender, self.seed)
        return self._stocks[sender]


def _check(directory: Path, files: int, size_kib: int, damage: float) -> None:
    problems = []
    if files < 1:
        problems.append(f"files is {files}, it must be at least 1")
    if size_kib < 1:
        problems.append(f"size is {size_kib} KiB, it must be at least 1")
    if not 0 <= damage <= 1:
        problems.append(f"damage is {damage}, it must be from 0 to 1")
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        problems.append(f"{directory} exists and is no empty directory: name another")
    if problems:
        raise RequestError("; ".join(problems))


def _write_gzip(stream: BinaryIO, pieces: Iterable[bytes]) -> None:
    with gzip.GzipFile("", "wb", 1, stream, mtime=0) as packed:
        packed.writelines(pieces)


def _gzipped(pieces: Iterable[bytes]) -> list[bytes]:
    stream = io.BytesIO()
    _write_gzip(stream, pieces)
    return [stream.getvalue()]


def _zipped(name: str, pieces: Iterable[bytes]) -> list[bytes]:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        _add(archive, name, pieces)
    return [stream.getvalue()]


def _add(archive: zipfile.ZipFile, name: str, pieces: Iterable[bytes]) -> None:
    entry = zipfile.ZipInfo(name, _LONG_AGO)
    entry.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(entry, "w", force_zip64=True) as member:
        member.writelines(pieces)

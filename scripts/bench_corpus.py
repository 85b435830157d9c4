"""Valid sample files by the hundreds of MB, each with a content and a size of its own.

A few files are made as al3spark.sampling makes them, of three senders who do not squeeze; all others are
those with other digits in their texts and amounts. So numbers of policies, vehicles and accounts, streets and
premiums are as manifold as in real files; names, codes and dates repeat.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt

from al3spark.al3.dictionary import Dictionary, load_dictionary
from al3spark.al3.framing import Framer
from al3spark.sampling import SENDERS, sample_bytes
from al3spark.sampling.senders import Form

PLAIN = tuple(sender for sender in SENDERS if sender.form is Form.PLAIN)
_MADE_BYTES = 24 << 20
_VARIED_KINDS = ("text", "amount")
_SPREAD = (0.75, 1.25)  # of file sizes around the wanted one

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mould:
    """A valid file, and where in it other digits are as valid: those from 1 to 9, so zeros keep leading."""

    data: Bytes
    digits: Ints

    @classmethod
    def make(cls, data: bytes, dictionary: Dictionary) -> "Mould":
        """Find the digits."""
        codes = np.frombuffer(data, np.uint8)
        places = np.concatenate([np.zeros(0, np.int64), *_varied_places(data, dictionary)])
        return cls(codes, places[(codes[places] > ord("0")) & (codes[places] <= ord("9"))])

    def cast(self, rng: np.random.Generator) -> bytes:
        """Make another file of it."""
        data = self.data.copy()
        data[self.digits] = rng.integers(ord("1"), ord("9") + 1, len(self.digits), np.uint8)
        return data.tobytes()


def _varied_places(data: bytes, dictionary: Dictionary) -> Iterator[Ints]:
    frames = Framer(frozenset(group.encode() for group, _ in dictionary.titles)).feed(data, final=True)
    ends = frames.starts + frames.lengths
    codes = np.frombuffer(frames.data, np.uint8)
    groups = codes[frames.starts[:, None] + np.arange(4)].copy().view("S4").ravel()
    for layout in dictionary.layouts:
        chosen = np.flatnonzero(groups == layout.group.encode())
        varied = [each for each in layout.elements if each.kind in _VARIED_KINDS]
        for element in varied if len(chosen) else ():
            places = frames.starts[chosen][:, None] + np.arange(element.start, element.end)
            yield places[places < ends[chosen][:, None]]


def make_moulds(size: int, file_bytes: int, seed: int = 1) -> tuple[Mould, ...]:
    """Make the files that a corpus of `size` bytes derives from; sizes vary around `file_bytes`."""
    dictionary, rng = load_dictionary(), Random(seed)
    count = max(min(size, _MADE_BYTES) // file_bytes, 1)
    return tuple(
        Mould.make(
            sample_bytes(int(file_bytes * rng.uniform(*_SPREAD)), seed + number, PLAIN[number % len(PLAIN)]),
            dictionary,
        )
        for number in range(count)
    )


def write_corpus(folder: Path, size: int, file_bytes: int, seed: int = 1) -> tuple[Path, ...]:
    """Write files of about `file_bytes` until they have `size` bytes together; they are on the disk then."""
    paths, done = [], 0
    folder.mkdir(parents=True)
    for number, data in enumerate(derive_files(make_moulds(size, file_bytes, seed), seed)):
        paths.append(folder / f"download_{number:06}.al3")
        paths[-1].write_bytes(data)
        done += len(data)
        if done >= size:
            break
    os.sync()  # else it is written while something is measured
    return tuple(paths)


def derive_files(moulds: Sequence[Mould], seed: int) -> Iterator[bytes]:
    """Give files without end: no two are equal, and each turn of the moulds is longer by a blank."""
    rng = np.random.default_rng(seed)
    turn = 0
    while True:
        for mould in moulds:
            yield mould.cast(rng) + b" " * turn
        turn += 1


def total_size(paths: Sequence[Path]) -> int:
    """Bytes of all of them."""
    return sum(path.stat().st_size for path in paths)


def describe(paths: Sequence[Path]) -> dict[str, Any]:
    """What is told of a corpus."""
    return {"bytes": total_size(paths), "files": len(paths)}

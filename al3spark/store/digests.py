"""Digests of 16 bytes, many of them: an index that finds a number for each.

In: texts, file_ids (32 hex digits) or raw bytes. Out: arrays [n, 2] of uint64, and sorted indexes of them.
Promises: found means equal; an index has no Python object for a digest, only its 16 bytes and a number.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
Digests = npt.NDArray[np.uint64]  # [n, 2]: 16 bytes a row


@dataclass(frozen=True, slots=True)
class Index:
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


def build_index(digests: Digests, numbers: Integers, rank: Integers) -> Index:
    """Sort; of equal digests the one with the highest rank stays."""
    order, last = sort_digests(digests, rank)
    return Index(digests[order[last]], numbers[order[last]])


def sort_digests(digests: Digests, rank: Integers) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.bool_]]:
    """The order of digests, of equal ones by rank; and which of them are the last of equal ones."""
    order = np.argsort(digests[:, 0]).astype(np.int32)
    repeated = digests[order[1:], 0] == digests[order[:-1], 0]
    tied = np.flatnonzero(np.append(repeated, False) | np.append(False, repeated))
    rows = order[tied]  # few as a rule, and sorting by three keys takes four times as long
    order[tied] = rows[np.lexsort((rank[rows], digests[rows, 1], digests[rows, 0]))]
    last = np.ones(len(order), bool)
    last[:-1] = False
    for half in (0, 1):
        values = digests[order, half]
        last[:-1] |= values[1:] != values[:-1]
    return order, last


def digest_texts(texts: Sequence[str]) -> Digests:
    """A digest of each."""
    return as_digests(b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts))


def digest_versions(sizes: Sequence[int], versions: Sequence[str]) -> Integers:
    """Python's keyed hash of each size with its version: 64 bits that this process alone can compare.

    So few are enough: they are compared for one path only.
    """
    return np.fromiter(map(hash, zip(sizes, versions, strict=True)), np.int64, len(sizes))


def parse_ids(file_ids: Sequence[str]) -> Digests:
    """The digests that the ids are. ValueError: not 32 hex digits each."""
    digests = as_digests(bytes.fromhex("".join(file_ids)))
    if len(digests) != len(file_ids):
        raise ValueError("a file_id that is not 32 hex digits")
    return digests


def as_digests(data: bytes | bytearray) -> Digests:
    """Raw bytes as digests, without a copy."""
    return np.frombuffer(data, np.uint64).reshape(-1, 2)

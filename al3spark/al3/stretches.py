"""Linked records of a window, before they are dealt to their groups.

Small files hold a few records of many groups: put together first, they are dealt as fast as those of a large
one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

import numpy as np

from al3spark.al3.records import Ints, Keys, Window, join_keys

CUT_OFF = 0  # stands for the group of a record that the end of the file cuts off


@dataclass(frozen=True, slots=True)
class Stretch:
    """The linked records of a window.

    Shapes: int64[n]. `positions`: in the window. `sizes`: bytes that are there; `contents`: without a line
    end that is inside the length. `groups`: designators as little-endian numbers, or `CUT_OFF`.
    """

    window: Window
    positions: Ints
    sizes: Ints
    contents: Ints
    groups: Ints
    keys: Keys


@dataclass(slots=True)
class WaitingStretches:
    """Stretches that wait until there are enough, or for a context. `size`: bytes of their windows."""

    size: int = 0
    awaited: int | None = None  # the last context, if it is not known yet
    _stretches: list[Stretch] = field(default_factory=list)
    _ready: int = 0  # how many of them lie before those that wait for it

    @property
    def keys(self) -> Keys | None:
        """Keys of the first one."""
        return self._stretches[0].keys if self._stretches else None

    def add(self, stretch: Stretch, awaited: int | None) -> None:
        """Take up a stretch. From the one on in which the transaction of `awaited` begins they wait."""
        self._stretches.append(stretch)
        self.size += len(stretch.window.data)
        if awaited is None:
            self._ready = len(self._stretches)
        elif awaited != self.awaited:
            self._ready = len(self._stretches) - 1
        self.awaited = awaited

    def await_none(self) -> None:
        """Wait for no context any more."""
        self.awaited, self._ready = None, len(self._stretches)

    def take_ready(self) -> Stretch | None:
        """Give out those that wait for no context, as one."""
        ready, self._stretches = self._stretches[: self._ready], self._stretches[self._ready :]
        self.size = sum(len(each.window.data) for each in self._stretches)
        self._ready = 0
        return join_stretches(ready) if ready else None


def join_stretches(parts: Sequence[Stretch]) -> Stretch:
    """Put the records of several windows into one."""
    if len(parts) == 1:
        return parts[0]
    data = b"".join(part.window.data for part in parts)
    begins = accumulate((len(part.window.data) for part in parts[:-1]), initial=0)
    return Stretch(
        Window(data, any(part.window.has_nuls for part in parts)),
        np.concatenate([part.positions + begin for part, begin in zip(parts, begins, strict=True)]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.contents for part in parts]),
        np.concatenate([part.groups for part in parts]),
        join_keys([part.keys for part in parts]),
    )


def by_group(groups: Ints) -> tuple[list[int], Ints, list[int]]:
    """Sort records by group: the groups, the records in that order, and where each group ends in it."""
    met = np.unique(groups)
    which = np.searchsorted(met, groups)
    order = np.argsort(which.astype(np.min_scalar_type(len(met))), kind="stable")  # short ones sort fast
    return met.tolist(), order, np.cumsum(np.bincount(which)).tolist()

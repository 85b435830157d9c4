"""Where a 2TRG may be hidden though every byte is readable (assumed).

Behind a record whose bytes hold a 2TRG, for its length may be wrong; and at a group that nobody knows whose
designator is one character away from 2TRG.
"""

import re
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from al3spark.al3.framing import TRANSACTION_HEADER, Frames

Ints = npt.NDArray[np.int64]

_TRANSACTION = re.compile(re.escape(TRANSACTION_HEADER) + rb"[0-9]{3}")
_FIRST_PAIR, _MIDDLE_PAIR = np.frombuffer(TRANSACTION_HEADER[:2] + TRANSACTION_HEADER[1:3], "<u2")


def find_hidden(frames: Frames, groups: Ints, is_known: Callable[[bytes], bool]) -> Ints:
    """Give the indexes of records before which one may be hidden (n: behind the last of the n records).

    Shape: `groups` int64[n], the designators of the frames' records as little-endian numbers.
    """
    places = _find_transactions(frames.data)
    places = places[places < int(frames.starts[-1] + frames.lengths[-1])]
    holders = np.searchsorted(frames.starts, places, side="right") - 1
    inside = (holders >= 0) & (frames.starts[holders] != places)
    inside &= places < frames.starts[holders] + frames.lengths[holders]
    met = [group.to_bytes(4, "little") for group in np.unique(groups).tolist()]
    broken = [code for code in met if _is_near(code) and not is_known(code)]
    numbers = [int.from_bytes(code, "little") for code in broken]
    return np.concatenate([holders[inside] + 1, np.flatnonzero(np.isin(groups, numbers))])


def _is_near(code: bytes) -> bool:
    return sum(mine != due for mine, due in zip(code, TRANSACTION_HEADER, strict=True)) == 1


def _find_transactions(data: bytes) -> Ints:
    """Find what reads like the head of a 2TRG, by pairs of bytes: twice as fast as byte by byte."""
    pairs = np.frombuffer(data, "<u2", len(data) // 2)
    found = np.flatnonzero((pairs == _FIRST_PAIR) | (pairs == _MIDDLE_PAIR))
    places = 2 * found - (pairs[found] == _MIDDLE_PAIR)
    return np.array([at for at in places.tolist() if at >= 0 and _TRANSACTION.match(data, at)], np.int64)
